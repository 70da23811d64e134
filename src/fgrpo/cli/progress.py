"""Progress of jobs: bars with an ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN_LINE_SECONDS = 15.0


class ProgressDisplay:
    """Shows the jobs of one stage after another.

    Parameters
    ----------
    console
        Where to print; default standard error, so that results can be piped.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._at_start: dict[str, int] = {}
        self._running: dict[str, TaskID] = {}
        self._stage: TaskID | None = None
        self._began = self._last_line = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def announce(self, totals: Mapping[str, int]) -> None:
        """Begin a stage of jobs, each with a name and a size."""
        self._totals = dict(totals)
        self._done, self._at_start = {}, {}
        self._running, self._stage = {}, None
        self._began = self._last_line = time.monotonic()
        if len(totals) > 1:
            title = f"{len(totals)} jobs"
            self._stage = self._bars.add_task(title, total=sum(self._totals.values()), text="")
            self._plain(f"{title}: {', '.join(self._totals)}")

    def stage(self, what: str, done: int, total: int) -> None:
        """Take in how far a stage of a single job has come; another name or size begins one."""
        if self._totals != {what: total}:
            self.announce({what: total})
        self.show(what, done)

    def show(self, name: str, done: int, text: str = "") -> None:
        """Take in how far a job has come."""
        total = self._totals[name]
        if name not in self._running:
            self._running[name] = self._bars.add_task(name, total=total, text="")
        self._done[name] = done
        # What a resumed job had done already says nothing about the speed now.
        self._at_start.setdefault(name, done)
        self._bars.update(self._running[name], completed=done, text=text)
        if self._stage is not None:
            self._bars.update(self._stage, completed=sum(self._done.values()))
        finished = done >= total
        if finished and len(self._totals) > 1:
            self._bars.update(self._running[name], visible=False)
        if finished or time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._plain(f"{name}: {done}/{total} {text}{self._left()}".rstrip())

    def _left(self) -> str:
        """Estimate the rest of the stage from its speed so far."""
        done, total = sum(self._done.values()), sum(self._totals.values())
        fresh = done - sum(self._at_start.values())
        if done == total or fresh <= 0:
            return ""
        left = (time.monotonic() - self._began) / fresh * (total - done)
        return f" ({done}/{total} in all, about {left:.0f} s left)"

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, highlight=False, soft_wrap=True)
