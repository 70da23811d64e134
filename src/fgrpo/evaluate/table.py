"""The table of an evaluation: pass@k of every benchmark and of their average."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.levels import Level, levels, subset_sizes
from fgrpo.compare.macro import benchmark_of
from fgrpo.compare.result import MACRO
from fgrpo.evaluate.folder import RECORDS, TABLE
from fgrpo.files import write_text
from fgrpo.records import Quality, Run, quality, read_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SEED = 0  # of every bootstrap: the same records give the same table


@dataclass(frozen=True, slots=True)
class Column:
    """Pass@k of one benchmark, or of the average over benchmarks.

    Attributes
    ----------
    name
        The benchmark's name, or ``macro average``: every benchmark counts the same.
    problems
        Number of problems.
    samples
        Smallest number of samples of any problem.
    levels
        One for each k: 1, 2, 4 … n.
    quality
        Shares of samples that were cut off or could not be judged.
    """

    name: str
    problems: int
    samples: int
    levels: tuple[Level, ...]
    quality: Quality


def table(folder: Path) -> list[Column]:
    """Read an evaluation's records as a stream and compute its table.

    With several benchmarks the last column is their average.
    """
    run = read_run(folder / RECORDS)
    parts: dict[str, list[str]] = {}
    for problem in run.counts.problems:
        parts.setdefault(benchmark_of(problem), []).append(problem)
    columns = [_column(name, run.only(problems), macro=False) for name, problems in parts.items()]
    if len(columns) > 1:
        columns.append(_column(MACRO, run, macro=True))
    return columns


def write_table(folder: Path, columns: Sequence[Column]) -> None:
    """Write ``pass_at_k.csv``: a row for each benchmark and k, values in [0, 1]."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "problems", "n", "k", "pass_at_k", "low", "high"])
    for column in columns:
        for k, mean, *ends in column.levels:
            low, high = ("" if math.isnan(end) else repr(end) for end in ends)
            row = [column.name, column.problems, column.samples, k, repr(mean), low, high]
            writer.writerow(row)
    write_text(folder / TABLE, text.getvalue())


def _column(name: str, run: Run, *, macro: bool) -> Column:
    samples = int(run.counts.n.min())
    rng = np.random.default_rng(SEED)
    found = levels([run.counts], k=subset_sizes(samples), rng=rng, macro=macro)
    return Column(name, len(run.counts.problems), samples, tuple(found), quality([run]))
