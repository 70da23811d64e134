"""`fgrpo train` as a program of its own, without waiting for its imports each time.

A server imports them once and forks for every run: a process with its own exit code, output and
signals. Runs that must be started as users do use `start` of the tests.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
NOISE = ("Warning", "warnings.warn", "%|", "it/s", "[transformers]")
PATHS = filter(None, [str(HERE), os.environ.get("PYTHONPATH")])
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(PATHS),  # workers find the test's verifiers
    "PYTHONWARNINGS": "ignore",
    "HF_HUB_OFFLINE": "1",
}


class Programs:
    """Starts runs; use it in a ``with`` statement, which leaves none running."""

    def __init__(self):
        self._running = set()
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in list(self._running):
            program.signal(signal.SIGKILL)
            program.wait()
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()

    def ask(self, **request):
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return json.loads(self._server.stdout.readline())

    def start(self, *words, folder):
        program = Program(self, words, folder)
        self._running.add(program)
        return program

    def run(self, *words, folder):
        return self.start(*words, folder=folder).wait()

    def done(self, program):
        self._running.discard(program)


class Program:
    """One run: ``code``, ``out`` and ``err`` once it has ended."""

    def __init__(self, programs, words, folder):
        self._programs = programs
        self._out, self._err = (folder / f".{name}" for name in ("out", "err"))
        self.code = None
        self.pid = programs.ask(
            words=list(map(str, words)),
            folder=str(folder),
            out=str(self._out),
            err=str(self._err),
        )

    def wait(self):
        """Wait for the end; a code below 0 is a signal's."""
        self.code = self._programs.ask(wait=self.pid)
        self._programs.done(self)
        return self

    def signal(self, number):
        os.kill(self.pid, number)

    def until(self, path, seconds=60):
        """Wait for a file."""
        end = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < end, f"{path} never came: {self.err}"
            time.sleep(0.005)

    @property
    def out(self):
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self):
        return self._err.read_text(encoding="utf-8")

    @property
    def told(self):
        """The lines of stderr that are not the libraries' warnings and bars."""
        return own_lines(self.err)


def own_lines(text):
    """Lines without the libraries' warnings and bars; one that stands behind a bar is kept."""
    text = text.replace("\x1b[A", "")  # a bar's cursor goes up
    lines = (line.rpartition("]")[2] if "%|" in line else line for line in text.splitlines())
    return [line for line in lines if line.strip() and not any(noise in line for noise in NOISE)]


def serve():
    # All that a run imports, so that no fork has to.
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import reasoning_gym  # noqa: F401
    import torch._dynamo  # noqa: F401

    import fgrpo.cli
    import fgrpo.evaluate.samplers.transformers
    import fgrpo.train.run

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif not (answer := os.fork()):
            become(request, fgrpo.cli.main)
        print(answer, flush=True)


def become(request, main):
    """Be that program, to the end."""
    os.chdir(request["folder"])
    for name, number in (("/dev/null", 0), (request["out"], 1), (request["err"], 2)):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = ["fgrpo", *request["words"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
    sys.exit(0)


if __name__ == "__main__":
    serve()
