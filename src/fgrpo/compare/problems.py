"""Noise of the problems: paired bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.arms import Runs, align, check_draws, check_k
from fgrpo.compare.result import (
    LEAST_DRAWS,
    LEAST_PROBLEMS,
    NO_SPREAD,
    TOO_FEW,
    UNJUDGED,
    Comparison,
    compared,
    summarise,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.compare.result import Judged

_NOISE = "problems (which problems were asked, and through each problem's estimate, generations)"
FEW = 20  # with P problems the interval is about √((P−1)/P)·1.96/t(P−1) of what it should be
_CHUNK = 1 << 20  # resampled problems held in memory at a time


def compare_problems(
    a: Runs,
    b: Runs,
    *,
    k: int | Sequence[int] = (1, 256),
    draws: int = 10_000,
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compare two models, given the noise of the choice of problems.

    With ``d_p = pass@k_B(p) − pass@k_A(p)``, each draw takes P problems with replacement, the
    same for both models, and records the mean of their d. The standard error approaches
    ``sd(d)/√P`` (divisor P); interval and p-value come from the draws (see
    `fgrpo.compare.result.summarise`). As d_p carries the noise of the problem's own samples, that
    is covered too; the noise of training is not. With several runs in an arm, pass@k of each
    problem is first averaged over them.

    Parameters
    ----------
    a, b
        Counts of the reference and of the other side, one or several runs each; the same
        problems in any order.
    k
        One or several, 1 ≤ k ≤ the smallest n.
    draws
        Number of draws, at least 1000. 10,000 give the ends of the interval to about 3% of the
        standard error.
    rng
        Source of the draws.

    Returns
    -------
    list of Comparison
        One for each k, in the order given. Below 20 problems the ``caveat`` says that the
        interval is too narrow (by 9% at 20, by 18% at 10); below 6 all of standard error, interval
        and p are NaN, as not even all problems favouring one side would be significant.

    Raises
    ------
    ValueError, TypeError
        If the problems differ, or k or draws is out of range.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile interval).
    """
    arm_a, arm_b = align(a, b)
    draws = check_draws(draws, LEAST_DRAWS)
    ks = check_k(k, arm_a, arm_b)
    per_a, per_b = (arm.pass_at(ks).mean(axis=0) for arm in (arm_a, arm_b))
    differences = resample(per_b - per_a, draws, rng)
    results = []
    for one, mean_a, mean_b, row in zip(
        ks, per_a.mean(axis=0), per_b.mean(axis=0), differences, strict=True
    ):
        judged, caveat = judge_draws(row, len(arm_a.problems))
        results.append(
            compared((arm_a, arm_b), one, (mean_a, mean_b), judged, _NOISE, caveat, draws=draws)
        )
    return results


def judge_draws(differences: NDArray[np.float64], size: int, where: str = "") -> tuple[Judged, str]:
    """Return what draws over so many problems say, and a caveat; ``where`` names the benchmark."""
    if size < LEAST_PROBLEMS:
        return UNJUDGED, TOO_FEW.format(size) + where
    judged = summarise(differences)
    if judged[0] == 0:
        return judged, NO_SPREAD
    few = f"{size} problems{where} are few: the interval is too narrow"
    return judged, few if size < FEW else ""


def resample(
    per_problem: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return bootstrap means of (P, K) differences: shape (K, draws)."""
    size = len(per_problem)
    columns = [np.ascontiguousarray(column) for column in per_problem.T]
    means = np.empty((len(columns), draws))
    step = max(1, _CHUNK // size)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        chosen = rng.integers(size, size=(stop - start, size))
        for row, column in zip(means, columns, strict=True):
            row[start:stop] = column[chosen].mean(axis=1)
    return means
