"""A process of its own for what could crash or hang: imports and devices."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from threading import Event

SECONDS = 60.0
_TICK = 0.1
_PROGRAM = "from fgrpo.doctor.child import main; main()"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one step.

    Parameters
    ----------
    facts
        What it found.
    error
        Why it failed, in one line; empty if it did not.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def ask(steps: Sequence[str], stop: Event, seconds: float = SECONDS) -> dict[str, Answer]:
    """Do these steps one after another in another process.

    Parameters
    ----------
    steps
        What `fgrpo.doctor.child` knows.
    stop
        Set to end it early; what was not done then has no answer.
    seconds
        Longest time for one step.

    Returns
    -------
    dict
        By step. A step that ended the process, or took too long, failed; those after it are done
        in a new one.
    """
    answers: dict[str, Answer] = {}
    left = list(steps)
    while left and not stop.is_set():
        found, end = _run(left, stop, seconds)
        answers |= found
        left = left[len(found) :]
        if left and not stop.is_set():
            answers[left.pop(0)] = Answer(error=end)
    return answers


def _run(steps: Sequence[str], stop: Event, seconds: float) -> tuple[dict[str, Answer], str]:
    """Return the answers of one process, and how it ended if some are missing."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *steps],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            process_group=0,  # so that what it starts ends with it
        )
        with process:
            try:
                answers, in_time = _read(process, len(steps), stop, seconds)
                if len(answers) == len(steps) or stop.is_set():
                    return answers, ""
                if not in_time:
                    return answers, f"no end after {seconds:g} s"
                return answers, _how_it_ended(process, said)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _read(
    process: subprocess.Popen[bytes], expected: int, stop: Event, seconds: float
) -> tuple[dict[str, Answer], bool]:
    """Read answers till the last, till the process ends, or till one takes too long."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    answers: dict[str, Answer] = {}
    begun = b""
    deadline = time.monotonic() + seconds
    while len(answers) < expected and not stop.is_set():
        if select.select([pipe], [], [], _TICK)[0]:
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                break
            *lines, begun = (begun + chunk).split(b"\n")
            for line in lines:
                step, facts, error = json.loads(line)
                answers[step] = Answer(facts, error)
                deadline = time.monotonic() + seconds
        elif time.monotonic() > deadline:
            return answers, False
        elif process.poll() is not None:
            break  # something it started still holds the pipe
    return answers, True


def _how_it_ended(process: subprocess.Popen[bytes], said: IO[bytes]) -> str:
    """Name the signal or exit code, and the last that was said before it."""
    try:
        code = process.wait(1)
    except subprocess.TimeoutExpired:
        return "it closed its output without an answer"
    end = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return one_line(f"{end}: {last}" if last else end)


def one_line(text: str, longest: int = 300) -> str:
    """Bring a message to one line; of a long one, keep the ends, where the reason mostly is."""
    text = " ".join(text.split())
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
