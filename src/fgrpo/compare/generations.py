"""Noise of the generations: paired m-out-of-n subsampling."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.arms import Arm, align, check_draws, check_k
from fgrpo.compare.result import LEAST_DRAWS, NO_SPREAD, Comparison, compared, summarise
from fgrpo.passk import pass_at_k

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.records import Counts

_NOISE = "generations (which samples each model happened to produce for these problems)"


def compare_generations(
    a: Counts,
    b: Counts,
    *,
    k: int | Sequence[int] = (1, 256),
    draws: int = 50_000,
    m: int = 256,
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compare two models on the same problems, given the noise of sampling from them.

    Each draw takes m of the n generations of every problem without replacement, for both models,
    so that a problem with c right ones shows ``X ~ Hypergeometric(n, c, m)`` of them, and records
    ``mean_p pass@k(m, X_B) − mean_p pass@k(m, X_A)``. Interval and p-value come from the draws
    (see `fgrpo.compare.result.summarise`); the estimate is the unbiased pass@k of all n samples,
    which is the mean over all subsamples.

    For k = 1 a draw varies ``(n−m)/m`` times as much as the n generations do. So the interval is
    too wide for m < n/2 (for m = 256 of n = 1024, the paper's choice, by √3), right at m = n/2
    and too narrow above, which the result's ``caveat`` says.

    Parameters
    ----------
    a, b
        Counts of the reference and of the other model; the same problems in any order.
    k
        One or several, 1 ≤ k ≤ m.
    draws
        Number of draws D, at least 1000.
    m
        Size of the subsamples, at most the smallest n, and less than n somewhere.
    rng
        Source of the draws.

    Returns
    -------
    list of Comparison
        One for each k, in the order given.

    Raises
    ------
    ValueError, TypeError
        If the problems differ, or k, m or draws is out of range; the message says which and
        what to pass.

    References
    ----------
    F-GRPO, arXiv 2602.06717, appendix Q.
    """
    arm_a, arm_b = align([a], [b])
    draws = check_draws(draws, LEAST_DRAWS)
    m = check_m(m, arm_a, arm_b)
    ks = check_k(k, arm_a, arm_b)
    if ks.max() > m:
        raise ValueError(
            f"k = {ks.max()} is more than m = {m}: subsamples of {m} cannot give pass@{ks.max()}; "
            "pass a larger m or a smaller k"
        )
    means = [arm.pass_at(ks)[0].mean(axis=0) for arm in (arm_a, arm_b)]
    differences = subsample_differences(arm_a, arm_b, ks, m, draws, rng)
    too_large = ""
    if 2 * m > min(arm_a.fewest, arm_b.fewest):
        too_large = "m is more than half of n: the interval is narrower than the noise"
    results = []
    for one, mean_a, mean_b, row in zip(ks, *means, differences, strict=True):
        judged = summarise(row)
        caveat = NO_SPREAD if judged[0] == 0 else too_large
        results.append(
            compared(
                (arm_a, arm_b), one, (mean_a, mean_b), judged, _NOISE, caveat, draws=draws, m=m
            )
        )
    return results


def check_m(m: int, *arms: Arm) -> int:
    """Refuse subsamples that some problem cannot give, and those that all hold every sample."""
    m = operator.index(m)
    fewest = min(arms, key=lambda arm: arm.fewest)
    half = max(1, fewest.fewest // 2)
    if not 1 <= m <= fewest.fewest:
        raise ValueError(
            f"m = {m} is not in 1 … {fewest.fewest}, the samples that {fewest.fewest_run} has "
            f"of {fewest.fewest_problem!r}; pass m={half} (half of them), or sample more"
        )
    if all((arm.n == m).all() for arm in arms):
        raise ValueError(
            f"m = {m} takes all samples of every problem, so no two draws differ; pass m={half} "
            "(half of them), or sample more"
        )
    return m


def subsample_differences(
    a: Arm, b: Arm, k: NDArray[np.int64], m: int, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the differences of `compare_generations`: shape (K, draws).

    Exact, without drawing a hypergeometric variate for each problem and draw: the numbers of
    draws in which X takes each value are multinomial, and a shuffle assigns them to the draws.
    """
    values = np.ascontiguousarray(np.asarray(pass_at_k(m, np.arange(m + 1), k)).T)
    total = np.zeros((len(k), draws))
    buffer = np.empty(draws)
    for arm, signed in ((a, -values), (b, values)):
        for n, c in zip(arm.n[0].tolist(), arm.c[0].tolist(), strict=True):
            low, pmf = _hypergeometric(n, c, m)
            if len(pmf) == 1:
                total += signed[:, low, None]
                continue
            times = rng.multinomial(draws, pmf)
            hits = np.repeat(np.arange(low, low + len(pmf)), times)
            rng.shuffle(hits)
            for row, table in zip(total, signed, strict=True):
                np.take(table, hits, out=buffer, mode="clip")  # "raise" would copy the buffer
                row += buffer
    return total / len(a.problems)


def _hypergeometric(n: int, c: int, m: int) -> tuple[int, NDArray[np.float64]]:
    """Return the least number of right ones among m of n, and the probabilities from there on.

    By the ratio ``P(x+1)/P(x) = (c−x)(m−x) / ((x+1)(n−c−m+x+1))``, in logarithms.
    """
    low, high = max(0, m - (n - c)), min(m, c)
    x = np.arange(low, high, dtype=np.float64)
    steps = np.log((c - x) * (m - x)) - np.log((x + 1) * (n - c - m + x + 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(logs - logs.max())
    return low, weights / weights.sum()
