"""What a signal leaves behind: one line, the exit code, no traceback."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fgrpo.doctor import examine as doctor

STOPPED = "Stopped. The same command goes on from here."
PROGRAM = """
import os, signal, sys, threading, time
import typer
from fgrpo.cli.stopping import stoppable

def work():
    with stoppable():
        if "fork" in sys.argv:
            child = os.fork()
            if not child:  # says itself that it is there: what comes before Python's own
                print(os.getpid(), flush=True)  # work after a fork is lost
                time.sleep(60)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        if "slow" in sys.argv:
            threading.Thread(target=time.sleep, args=(60,)).start()  # waited for at the end
        print("at work", flush=True)
        time.sleep(60)

try:
    work()
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


@pytest.fixture
def started():
    """Start the program; whatever happens, it ends with the test."""
    running = []

    def start(*words, interrupt=signal.SIG_DFL):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_told_in_one_line(started, number, code):
    process = started()
    assert process.stdout.readline() == "at work\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told.split("\n")) == (code, ["", STOPPED, ""])


def test_a_second_signal_does_not_wait(started):
    process = started("slow")
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    assert [process.stderr.readline() for _ in range(2)] == ["\n", f"{STOPPED}\n"]
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "")


def test_what_the_caller_ignores_stays_ignored(started):
    process = started(interrupt=signal.SIG_IGN)
    assert process.stdout.readline() == "at work\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143


def test_a_fork_ends_as_if_there_were_no_handler(started):
    process = started("fork")
    os.kill(int(process.stdout.readline()), signal.SIGTERM)
    assert process.stdout.readline() == f"{-signal.SIGTERM}\n"
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert told.count(STOPPED) == 1


def test_a_file_that_ends_too_early_is_no_end_of_input(command_line, monkeypatch):
    def ends_early(*_, **__):
        raise EOFError("Ran out of input")

    monkeypatch.setattr(doctor, "examine", ends_early)
    code, _, told = command_line("doctor")
    assert code == 1
    assert told.startswith("fgrpo: a file is empty or ends too early (Ran out of input)")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(("rank", "waits"), [(None, []), ("0", []), ("1", [5.0])])
def test_of_several_processes_the_first_speaks_first(command_line, monkeypatch, rank, waits):
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    if rank is None:
        monkeypatch.delenv("LOCAL_RANK", raising=False)
    else:
        monkeypatch.setenv("LOCAL_RANK", rank)
    code, _, told = command_line("run", "no-such-recipe")
    assert code == 2
    assert told.startswith("fgrpo: ")  # in the end by each: rank 0 may have met no error
    assert slept == waits


def test_the_version_is_printed_whatever_stands_beside_it(command_line):
    assert command_line("--debug", "--version") == command_line("--version")
