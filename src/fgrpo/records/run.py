"""One record file, read in one pass: its counts, and its samples cut off or not judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.records.record import Counts, RecordError
from fgrpo.records.scan import Scan, counts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fgrpo.records.record import Record

# Columns of `Run.flaws`.
_TRUNCATED, _TIMED_OUT, _UNVERIFIABLE, _TOKENS, _WITH_TOKENS = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One evaluation of one model.

    Attributes
    ----------
    path
        The record file.
    counts
        Samples and right answers of every problem.
    flaws
        Of every problem, the number of its samples that were truncated, whose verification timed
        out, that could not be verified for another reason; the tokens of those that say how many
        they have, and the number of these. Shape (P, 5).
    """

    path: Path
    counts: Counts
    flaws: NDArray[np.int64]

    @property
    def meta(self) -> Mapping[str, Any]:
        """Metadata of the record file."""
        return self.counts.meta

    def only(self, problems: Sequence[str]) -> Run:
        """Return the part about these problems, in this order."""
        places = {problem: i for i, problem in enumerate(self.counts.problems)}
        rows = np.array([places[problem] for problem in problems], dtype=np.int64)
        counts = Counts(tuple(problems), self.counts.n[rows], self.counts.c[rows], self.meta)
        return Run(self.path, counts, self.flaws[rows])


def read_run(path: Path) -> Run:
    """Read a record file as a stream: memory grows with its problems, not with its samples.

    Raises
    ------
    RecordError
        If it cannot be read or is malformed, as `fgrpo.records.read_records`.
    """
    flaws: dict[str, list[int]] = {}
    try:
        handle = path.open("rb")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    with handle:
        scan = Scan(handle, path)
        for record in scan:
            row = flaws.get(record.problem)
            if row is None:
                row = flaws[record.problem] = [0] * 5
            _add(row, record)
        counts = counts_of(scan.index, scan.meta)
    table = np.array([flaws[problem] for problem in counts.problems], dtype=np.int64)
    return Run(path, counts, table.reshape(-1, 5))


def _add(row: list[int], record: Record) -> None:
    row[_TRUNCATED] += record.truncated
    row[_TIMED_OUT] += record.timed_out
    row[_UNVERIFIABLE] += record.unverifiable is not None and not record.timed_out
    if record.tokens is not None:
        row[_TOKENS] += record.tokens
        row[_WITH_TOKENS] += 1


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of samples that were cut off or could not be judged.

    Attributes
    ----------
    samples
        Number of samples.
    truncated, timed_out, unverifiable
        Shares in [0, 1]; a time-out does not count as unverifiable too.
    tokens
        Mean number of tokens, NaN if the records do not say.
    """

    samples: int
    truncated: float
    timed_out: float
    unverifiable: float
    tokens: float


def quality(runs: Sequence[Run]) -> Quality:
    """Return the shares among all samples of these runs, of which there is at least one."""
    samples = sum(int(run.counts.n.sum()) for run in runs)
    flaws = np.sum([run.flaws.sum(axis=0) for run in runs], axis=0)
    return Quality(
        samples=samples,
        truncated=float(flaws[_TRUNCATED] / samples),
        timed_out=float(flaws[_TIMED_OUT] / samples),
        unverifiable=float(flaws[_UNVERIFIABLE] / samples),
        tokens=float(flaws[_TOKENS] / flaws[_WITH_TOKENS]) if flaws[_WITH_TOKENS] else math.nan,
    )
