"""The caller's side of one keeper and its worker: what becomes of each task of a batch.

- The worker answers all of it.
- The worker dies after saying that it has the batch: the first task without an answer is the
  culprit, the others are sent again.
- The worker dies before: nobody knows how much of the batch it had read; the keeper is replaced,
  all tasks are sent again, one by one.
- The keeper dies, or nothing is heard for longer than a task may take: the keeper is replaced.

A task that is only suspected, because something outside may have ended the process, is sent again
once, alone.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fgrpo.errors import RunError, UsageError, to_install
from fgrpo.verify import launch
from fgrpo.verify.exchange import Answer, Ending, Exchange
from fgrpo.verify.frames import Inbox, encode, frame, write_some
from fgrpo.verify.verdict import Outcome, Verdict
from fgrpo.verify.worker import REFUSED, RETIRED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.verify.task import Task

_IMPORT_SECONDS = 300.0  # for importing verifiers, on a slow disk
_IMPORT_TRIES = 5  # something outside, such as a lack of memory, may end it meanwhile
_LONGEST_MESSAGE = 1 << 16


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of the workers.

    Parameters
    ----------
    seconds
        Longest time one answer may take.
    memory
        Bytes of address space beyond what the verifiers themselves need.
    grace
        Seconds after which a worker that the kernel should have ended is ended from outside.
    """

    seconds: float
    memory: int
    grace: float = 5.0


class Ledger(Protocol):
    """Who is told what became of the tasks."""

    def judged(self, task: Task, verdict: Verdict, seconds: float) -> None:
        """Take a task's verdict."""

    def failed(self, task: Task, error: Exception) -> None:
        """Take the reason why a task could not be tried at all."""

    def lost(self, *, keeper: bool) -> None:
        """Count a worker, or a whole keeper, that had to be replaced."""


class KeeperLostError(Exception):
    """The keeper has ended."""


class Slot:
    """One keeper, started when first needed.

    Parameters
    ----------
    settings
        Limits.
    ledger
        Who is told what became of the tasks.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._keeper: launch.Keeper | None = None
        self._answers = self._reports = Inbox(-1, 0)
        self._loaded: set[str] = set()
        self._guard = threading.Lock()
        self._closed = False
        self.layers: dict[str, str] = {}

    def run(self, batch: Sequence[Task]) -> list[Task]:
        """Have a batch verified; return the tasks to be sent again."""
        try:
            failures = self._prepare(batch)
        except (OSError, RunError) as error:
            self.drop()
            if self._closed:
                return list(batch)
            for task in batch:
                self._ledger.failed(task, RunError(f"verifier {task.name!r}: {error}"))
            return []
        for task in batch:
            if task.name in failures:
                self._ledger.failed(task, _import_error(task, failures[task.name]))
        ready = [task for task in batch if task.name not in failures]
        if not ready:
            return []
        assert self._keeper is not None
        patience = self._settings.seconds + self._settings.grace
        exchange = Exchange(ready, patience, self._answered, self.layers)
        ending = exchange.run(self._keeper.tasks, self._answers, self._reports)
        return self._settle(exchange, ready[exchange.answered :], ending) if ending else []

    def kill(self) -> None:
        """End the processes now and for good; callable from any thread."""
        with self._guard:
            self._closed = True
            self._signal()

    def drop(self) -> None:
        """End the processes and close the pipes; another batch would start others."""
        with self._guard:
            if self._keeper is None:
                return
            self._signal()
            self._keeper.process.wait()
            self._keeper.close()
            self._keeper = None
            self._loaded.clear()

    def _signal(self) -> None:
        if self._keeper is not None and self._keeper.process.returncode is None:
            # The worker too: it is in the keeper's group, and may not leave it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._keeper.process.pid, signal.SIGKILL)

    def _answered(self, task: Task, answer: Answer) -> None:
        if answer.outcome == REFUSED:
            self._ledger.failed(
                task,
                UsageError(
                    f"verifier {task.name!r} evaluates what the model wrote, so it runs only with "
                    f"every layer of isolation; missing on this machine: {answer.reason}"
                ),
            )
        else:
            verdict = Verdict(Outcome(answer.outcome), answer.reason)
            self._ledger.judged(task, verdict, answer.seconds)

    def _settle(self, exchange: Exchange, rest: list[Task], ending: Ending) -> list[Task]:
        """Judge the culprit of a batch that ended early; return the tasks to be sent again."""
        if ending.replace:
            self.drop()
        if self._closed:
            return rest
        if ending.replace or ending.reason:
            self._ledger.lost(keeper=ending.replace)
        suspects = 0 if not ending.reason else 1 if exchange.acknowledged else len(rest)
        again = []
        for task in rest[:suspects]:
            task.suspicion += 2 if ending.certain and exchange.acknowledged else 1
            if task.suspicion < 2:
                again.append(task)
                continue
            verdict = Verdict(Outcome.UNVERIFIABLE, ending.reason)
            self._ledger.judged(task, verdict, time.monotonic() - exchange.heard)
        return again + rest[suspects:]

    # --- the keeper -----------------------------------------------------------------------------

    def _prepare(self, batch: Sequence[Task]) -> dict[str, Any]:
        """See to it that a keeper has the verifiers; return those it cannot import, and why."""
        for _ in range(_IMPORT_TRIES):
            try:
                return self._load(batch)
            except KeeperLostError:
                self.drop()
                if self._closed:
                    break
                self._ledger.lost(keeper=True)
        raise RunError("its process ended while importing it")

    def _load(self, batch: Sequence[Task]) -> dict[str, Any]:
        if self._keeper is None:
            self._start()
        assert self._keeper is not None
        wanted = {task.name: task.verifier.function for task in batch}
        wanted = {name: where for name, where in wanted.items() if name not in self._loaded}
        if not wanted:
            self._news()  # of workers that died idle
            return {}
        request = memoryview(frame(encode({"names": wanted})))
        deadline = time.monotonic() + _IMPORT_SECONDS
        watched = select.poll()
        watched.register(self._keeper.reports, select.POLLIN)
        while time.monotonic() < deadline:
            try:
                request = write_some(self._keeper.control, request)
            except BrokenPipeError:
                raise KeeperLostError from None
            watched.poll(100 if request else 1000)
            for report in self._news():
                if "loaded" in report:
                    failures: dict[str, Any] = report["failures"]
                    self._loaded |= set(report["loaded"]) - set(failures)
                    return failures
        raise RunError(f"importing it took longer than {_IMPORT_SECONDS:.0f} s")

    def _start(self) -> None:
        keeper = launch.start(self._settings)
        with self._guard:
            self._keeper = keeper
            self._answers = Inbox(keeper.answers, _LONGEST_MESSAGE)
            self._reports = Inbox(keeper.reports, _LONGEST_MESSAGE)
            if self._closed:
                self._signal()

    def _news(self) -> list[dict[str, Any]]:
        reports, gone = self._reports.read()
        if gone and not any("loaded" in report for report in reports):
            raise KeeperLostError
        for report in reports:
            if "died" in report and report["code"] != RETIRED:
                self._ledger.lost(keeper=False)
        return reports


def _import_error(task: Task, failure: dict[str, str | None]) -> UsageError:
    extra, missing = task.verifier.extra, failure["missing"]
    if extra and missing and not missing.startswith("fgrpo"):
        return UsageError(f"verifier {task.name!r} needs {missing}: {to_install(extra)}")
    return UsageError(f"verifier {task.name!r} cannot be imported: {failure['error']}")
