"""Progress of jobs: bars with an ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAIN_LINE_SECONDS = 15.0


class _TimeLeft(ProgressColumn):
    """Counts down to the end that was last estimated; rich's own takes resumed work for speed."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        until = task.fields["until"]
        if until is None and not task.finished:
            return Text("-:--:--", style="progress.remaining")
        left = 0.0 if task.finished else max(0.0, until - time.monotonic())
        return Text(str(timedelta(seconds=round(left))), style="progress.remaining")


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
            _TimeLeft(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._at_start: dict[str, int] = {}
        self._first: dict[str, float] = {}
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
        self._done, self._at_start, self._first = {}, {}, {}
        self._running, self._stage = {}, None
        self._began = self._last_line = time.monotonic()
        if len(totals) > 1:
            title = f"{len(totals)} jobs"
            whole = sum(self._totals.values())
            self._stage = self._bars.add_task(title, total=whole, text="", until=None)
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
            self._running[name] = self._bars.add_task(name, total=total, text="", until=None)
            self._first[name] = time.monotonic() if self._stage is not None else self._began
        self._done[name] = done
        # What a resumed job had done already says nothing about the speed now.
        self._at_start.setdefault(name, done)
        until = self._until([name], self._first[name])
        self._bars.update(self._running[name], completed=done, text=text, until=until)
        if self._stage is not None:
            until = self._until(self._totals, self._began)
            self._bars.update(self._stage, completed=sum(self._done.values()), until=until)
        finished = done >= total
        if finished and len(self._totals) > 1:
            self._bars.update(self._running[name], visible=False)
        if finished or time.monotonic() - self._last_line >= PLAIN_LINE_SECONDS:
            self._last_line = time.monotonic()
            self._plain(f"{name}: {done}/{total} {text}{self._left()}".rstrip())

    def _until(self, names: Iterable[str], began: float) -> float | None:
        """Estimate when some of the jobs end, from their speed since they began."""
        fresh = left = 0
        for name in names:
            done = self._done.get(name, 0)
            fresh += done - self._at_start.get(name, 0)
            left += self._totals[name] - done
        now = time.monotonic()
        return now + (now - began) / fresh * left if left and fresh > 0 else None

    def _left(self) -> str:
        """Say how far the stage is, and when it ends."""
        until = self._until(self._totals, self._began)
        if until is None:
            return ""
        done, total = sum(self._done.values()), sum(self._totals.values())
        left = max(0.0, until - time.monotonic())
        return f" ({done}/{total} in all, about {left:.0f} s left)"

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, highlight=False, soft_wrap=True)
