"""Ctrl-C and SIGTERM: one line that says what comes next, and the exit code of the signal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    Handler: TypeAlias = Callable[[int, Any], Any] | int | None

GOES_ON = "The same command goes on from here."
_BOTH = (signal.SIGINT, signal.SIGTERM)
_CURSOR = "\x1b[?25h"  # shown again: a bar hides it


@contextmanager
def stoppable(then: str = GOES_ON, signals: Sequence[signal.Signals] = _BOTH) -> Iterator[None]:
    """Run a block that the user or the system may stop.

    The first signal ends it as Ctrl-C does in Python, so that bars are cleared, workers ended and
    locks dropped. A second one does not wait for that.

    Parameters
    ----------
    then
        What can be done next, in a sentence; empty for nothing.
    signals
        Those that are caught. One that the caller ignores stays ignored.

    Raises
    ------
    typer.Exit
        130 after Ctrl-C, 143 after SIGTERM.
    """
    # Said once for the processes of a machine.
    left = f"\nStopped. {then}".rstrip() + "\n" if os.environ.get("LOCAL_RANK", "0") == "0" else ""
    came: list[int] = []
    owner = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() != owner:  # a fork has the handler too, and nothing to say
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif came:
            os.write(2, f"{_CURSOR * os.isatty(2)}{left}".encode())
            os._exit(128 + number)
        else:
            came.append(number)
            raise KeyboardInterrupt

    before = _install(stop, signals)
    try:
        yield
    except KeyboardInterrupt:
        said, left = left, ""
        print(said, file=sys.stderr, end="", flush=True)
        raise typer.Exit(128 + (came[0] if came else signal.SIGINT)) from None
    finally:
        if not came:  # else this process ends, and a second signal may come on the way
            for number, handler in before.items():
                signal.signal(number, handler)


def _install(handler: Handler, signals: Sequence[signal.Signals]) -> dict[int, Handler]:
    """Catch the signals that do here what they usually do; return what they did."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    usual = (signal.default_int_handler, signal.SIG_DFL)
    found = {number: signal.getsignal(number) for number in signals}
    before: dict[int, Handler] = {number: was for number, was in found.items() if was in usual}
    for number in before:
        signal.signal(number, handler)
    return before
