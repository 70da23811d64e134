"""The report's numbers: pass@k with intervals, comparisons, problems lost and gained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare import Comparison, compare_problems, compare_seeds
from fgrpo.passk import pass_at_k
from fgrpo.report.data import BASE, BASE_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.records import Counts
    from fgrpo.report.data import ArmRuns, RunData

BOOTSTRAP_SEED = 0  # every bootstrap starts from it: the same folder gives the same report
DRAWS = 10_000
LEAST_PROBLEMS = 6  # as in compare_problems: fewer say nothing about other problems


@dataclass(frozen=True)
class Curve:
    """Mean pass@k over problems.

    Attributes
    ----------
    name, label
        Of the arm, or of the base model.
    seeds
        Training seeds; empty for the base model.
    mean
        Mean over runs, (K,).
    low, high
        95% interval of ``mean`` over problems, (K,); NaN if there are too few problems.
    runs
        Each run's own, (R, K).
    """

    name: str
    label: str
    seeds: tuple[int, ...]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: NDArray[np.float64]


@dataclass(frozen=True)
class Contrast:
    """The difference B − A in mean pass@k, under each noise that can be computed.

    ``seeds`` is None when no arm has two runs.
    """

    a: str
    b: str
    a_label: str
    b_label: str
    problems: Comparison
    seeds: Comparison | None

    @property
    def k(self) -> int:
        """Which pass@k."""
        return self.problems.k


@dataclass(frozen=True)
class LostGained:
    """Problems that one run lost and gained against the base model.

    ``lost``: the base solved it at least once in its n samples, the run never; ``gained``: the
    reverse. ``solved``: at least once by the run; ``base_solved``: by the base.
    """

    name: str
    label: str
    seed: int
    lost: int
    gained: int
    solved: int
    base_solved: int


@dataclass(frozen=True)
class Statistics:
    """All numbers of a report; curves and arms in the recipe's order, the base first."""

    ks: tuple[int, ...]
    curves: tuple[Curve, ...]
    contrasts: tuple[Contrast, ...]
    lost_gained: tuple[LostGained, ...]

    def curve(self, name: str) -> Curve:
        """Return the curve of an arm, or of the base."""
        return next(curve for curve in self.curves if curve.name == name)

    def contrast(self, a: str, b: str) -> list[Contrast]:
        """Contrasts of B − A, one for each k."""
        return [one for one in self.contrasts if (one.a, one.b) == (a, b)]


def compute(data: RunData) -> Statistics:
    """Compute the numbers of a report."""
    ks = subset_sizes(data.samples)
    curves = [_curve(BASE, BASE_LABEL, (), [data.base], ks)]
    curves += [
        _curve(arm.name, arm.label, tuple(run.seed for run in arm.runs), arm.finals, ks)
        for arm in data.arms
    ]
    contrasts = [
        contrast
        for arm in data.arms
        for contrast in _contrasts(BASE, BASE_LABEL, [data.base], arm, data.samples)
    ]
    reference = data.reference
    if reference is not None:
        contrasts += [
            contrast
            for arm in data.arms
            if arm is not reference
            for contrast in _contrasts(
                reference.name, reference.label, reference.finals, arm, data.samples
            )
        ]
    lost = [
        lost_gained(data.base, run.final, arm, run.seed) for arm in data.arms for run in arm.runs
    ]
    return Statistics(ks, tuple(curves), tuple(contrasts), tuple(lost))


def subset_sizes(samples: int) -> tuple[int, ...]:
    """Powers of two up to the number of samples, and that number."""
    powers = {2**i for i in range(samples.bit_length()) if 2**i <= samples}
    return tuple(sorted(powers | {samples}))


def lost_gained(base: Counts, final: Counts, arm: ArmRuns, seed: int) -> LostGained:
    """Count the problems a run lost and gained; both sides list them in the same order."""
    before, after = base.c > 0, final.c > 0
    return LostGained(
        arm.name,
        arm.label,
        seed,
        lost=int((before & ~after).sum()),
        gained=int((after & ~before).sum()),
        solved=int(after.sum()),
        base_solved=int(before.sum()),
    )


def mean_pass_at(counts: Counts, k: int | Sequence[int]) -> NDArray[np.float64]:
    """Pass@k averaged over problems, of shape (K,)."""
    values: NDArray[np.float64] = np.asarray(pass_at_k(counts.n, counts.c, np.atleast_1d(k)))
    return np.asarray(values.mean(axis=0))


def _curve(
    name: str, label: str, seeds: tuple[int, ...], runs: Sequence[Counts], ks: tuple[int, ...]
) -> Curve:
    values = np.stack([pass_at_k(run.n, run.c, np.array(ks)) for run in runs])  # (R, P, K)
    per_problem = values.mean(axis=0)
    size = len(per_problem)
    low = high = np.full(len(ks), np.nan)
    if size >= LEAST_PROBLEMS:
        rng = np.random.default_rng(BOOTSTRAP_SEED)
        weights = rng.multinomial(size, np.full(size, 1 / size), size=DRAWS) / size
        low, high = np.quantile(weights @ per_problem, [0.025, 0.975], axis=0).clip(0, 1)
    return Curve(name, label, seeds, per_problem.mean(axis=0), low, high, values.mean(axis=1))


def _contrasts(
    a: str, a_label: str, a_runs: list[Counts], arm: ArmRuns, samples: int
) -> list[Contrast]:
    ks = (1, samples)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    problems = compare_problems(a_runs, arm.finals, k=ks, draws=DRAWS, rng=rng)
    seeds: Sequence[Comparison | None] = (
        compare_seeds(a_runs, arm.finals, k=ks) if len(arm.runs) > 1 else [None, None]
    )
    return [
        Contrast(a, arm.name, a_label, arm.label, one, other)
        for one, other in zip(problems, seeds, strict=True)
    ]
