"""All arms brought to the same problems, benchmark by benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.arms import align
from fgrpo.compare.macro import benchmark_of
from fgrpo.diagnose.arms import printable
from fgrpo.diagnose.asked import check_questions, settings_notes
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fgrpo.diagnose.arms import Arm
    from fgrpo.records import Run

UNNAMED = "unnamed benchmark"


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Arms that hold the same problems.

    Attributes
    ----------
    arms
        The first is the reference; every run holds exactly the problems of `benchmarks`.
    benchmarks
        Benchmark → its problems, both sorted by name. Ids without a slash belong to "".
    notes
        What was left out, which files hold too few samples, which arms were sampled in other
        ways, one sentence each.
    """

    arms: tuple[Arm, ...]
    benchmarks: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def shown(benchmark: str) -> str:
    """Name a benchmark for readers."""
    return printable(benchmark) or UNNAMED


def in_words(benchmark: str, *, alone: bool) -> str:
    """Name a benchmark in a sentence; without a name and ``alone`` it is "these problems"."""
    return "these problems" if alone and not benchmark else shown(benchmark)


def match(arms: Sequence[Arm], *, common: bool = False) -> Matched:
    """Bring arms to the same problems.

    A benchmark that one arm lacks is left out of all, with a note.

    Parameters
    ----------
    arms
        Two or more.
    common
        Within a benchmark keep the problems that all runs hold, and note how many were left out,
        rather than refuse.

    Raises
    ------
    UsageError
        If a file is empty, the problems of a benchmark differ and ``common`` is false, nothing is
        left, or a name stands for different questions.
    """
    held = [(arm.label, run, _by_benchmark(run)) for arm in arms for run in arm.runs]
    for _, run, found in held:
        if not found:
            raise UsageError(f"{run.path} holds no problems")
    kept: dict[str, tuple[str, ...]] = {}
    notes = []
    for benchmark in sorted({name for _, _, found in held for name in found}):
        lacking = list(dict.fromkeys(label for label, _, found in held if benchmark not in found))
        if lacking:
            notes.append(f"{shown(benchmark)} is left out: missing from {' and '.join(lacking)}.")
            continue
        sets = [found[benchmark] for _, _, found in held]
        shared, union = set.intersection(*sets), set.union(*sets)
        if shared != union:
            if not common:
                _refuse([run for _, run, _ in held], sets, len(shared))
            notes.append(
                f"{shown(benchmark)}: {len(union) - len(shared)} of {len(union)} problems are "
                "left out, as some arm lacks them."
            )
        if shared:
            kept[benchmark] = tuple(sorted(shared))
    if not kept:
        raise UsageError(
            "the arms have no benchmark or problem in common: "
            + "; ".join(f"{run.path} holds {_names(found)}" for _, run, found in held)
        )
    for benchmark, names in kept.items():
        where = in_words(benchmark, alone=len(kept) == 1)
        notes += _unfinished(where, [run.only(names) for _, run, _ in held])
    problems = [problem for names in kept.values() for problem in names]
    check_questions([run for _, run, _ in held], problems)
    notes += settings_notes(arms)
    return Matched(tuple(arm.only(problems) for arm in arms), kept, tuple(notes))


def _unfinished(benchmark: str, runs: Sequence[Run]) -> Iterator[str]:
    """Say which runs hold fewer samples of some problem than of most, if that limits k."""
    fewest = min(int(run.counts.n.min()) for run in runs)
    for run in runs:
        n, most = run.counts.n, int(np.median(run.counts.n))
        if int(n.min()) == fewest < most:
            yield (
                f"{benchmark}: k goes up to {fewest} only, as {printable(str(run.path))} holds "
                f"{fewest} samples of {printable(run.counts.problems[int(n.argmin())])!r}, and "
                f"{most} of most; is its evaluation complete?"
            )


def _names(benchmarks: dict[str, set[str]]) -> str:
    names = [shown(name) for name in sorted(benchmarks)]
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _by_benchmark(run: Run) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for problem in run.counts.problems:
        found.setdefault(benchmark_of(problem), set()).add(problem)
    return found


def _refuse(runs: Sequence[Run], sets: Sequence[set[str]], shared: int) -> None:
    """Say which problems the first run and one that differs from it do not share."""
    other = next(i for i, problems in enumerate(sets) if problems != sets[0])
    first, second = (runs[i].only(sorted(sets[i])).counts for i in (0, other))
    try:
        align(first, second, names=([str(runs[0].path)], [str(runs[other].path)]))
    except ValueError as error:
        remedy = f"; or pass --common to compare the {shared} that all hold" if shared else ""
        raise UsageError(f"{error}{remedy}") from error
