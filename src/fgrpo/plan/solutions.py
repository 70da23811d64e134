"""How much of the correct mass lies on solutions that a group is likely to miss.

Both estimates are made of how often each distinct correct solution of a pilot was sampled
(`fgrpo.plan.labels`) and assume no model of the policy: leave one sample out and ask whether its
solution is among the others.

What they cannot tell:

- A solution is what its label says. If every text is worded differently, every correct sample is
  a singleton, and the share on rare solutions is near 1 whatever the policy.
- They give the mass of all unseen solutions together, at the pilot's size or below; not which
  solutions these are, nor the mass of any one of them.
- A prompt with few correct samples says little: its estimate is a multiple of 1/c.
- A wrong answer that the verifier accepts counts as one more, mostly rare, solution.

References
----------
Good, Biometrika 40 (1953) 237–264 (the share of singletons); Hoeffding, Annals of
Mathematical Statistics 19 (1948) 293–325 (leaving out averaged over subsets: U-statistics);
Cochran, Sampling Techniques (1977), chapter 6 (ratio of sums).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import integers
from fgrpo.errors import UsageError
from fgrpo.passk import pass_at_k
from fgrpo.plan.rates import Band

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from fgrpo.plan.labels import Solutions

# A resample of so few prompts varies far less than they do: with P of one spread the interval is
# about √((P−1)/P)·1.64/t(P−1) of what it should be, 0.75 at 6 and 0.46 at 3.
LEAST_PROMPTS = 6


@dataclass(frozen=True, slots=True, eq=False)
class RareMass:
    """Good–Turing estimates of the correct mass on solutions that the pilot did not see.

    Attributes
    ----------
    share
        Mean over the prompts with c ≥ 2, each counting the same, of ``m1/c``: the share of a
        prompt's correct mass.
    mass
        Mean over all prompts of ``m1/n``: that mass itself, a probability.
    used
        Number of prompts in ``share``.
    without_correct, with_one_correct
        Number of prompts left out of it: c = 0 has no estimate, c = 1 is always 1.
    """

    share: Band
    mass: Band
    used: int
    without_correct: int
    with_one_correct: int

    @property
    def prompts(self) -> int:
        """Number of prompts, of all three kinds."""
        return self.used + self.without_correct + self.with_one_correct


def good_turing(
    solutions: Sequence[Solutions],
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.9,
) -> RareMass:
    """Estimate the correct mass on solutions that the pilot did not sample.

    Of c correct samples of a prompt, m1 hold a solution that no other holds. With ``q_s`` the
    share of solution s in the correct mass, ``E[m1/c | c] = Σ_s q_s·(1 − q_s)^(c−1)``: exactly the
    share that c − 1 correct samples leave unseen, and at most 1/c more than what c leave. In
    absolute terms ``E[m1/n] = Σ_s π_s·(1 − π_s)^(n−1)`` over the correct solutions.

    Parameters
    ----------
    solutions
        One entry for each prompt.
    rng
        Source of the bootstrap over prompts (percentile interval), which covers which prompts were
        drawn and, through each prompt's estimate, which samples. A width of zero shows only that
        the pilot had no spread.
    draws
        Number of resamples.
    level
        Probability the intervals are made for.

    Returns
    -------
    RareMass
        ``share`` is NaN if no prompt has two correct samples; it says nothing of prompts solved
        less often than that, ``mass`` covers all. The ends of the intervals are NaN where fewer
        than 6 prompts count, too few to resample, and with few prompts the interval is too narrow:
        made for 90%, it held the truth in 88–92% of 1000 synthetic pilots of 60 prompts (24
        samples each), 83–87% of those of 20, 75–84% of those of 10.

    Raises
    ------
    UsageError, ValueError, TypeError
        No prompt, or ``draws`` or ``level`` out of range.
    """
    n, c = _counts(solutions)
    single = np.array([one.singletons for one in solutions], np.float64)
    counted = c >= 2
    shares = single[counted] / c[counted]
    used = len(shares)
    share = _ratio(shares[:, None], np.ones(used), rng, draws, level)
    mass = _ratio((single / n)[:, None], np.ones(len(n)), rng, draws, level)
    return RareMass(
        Band(*share).at(0),
        Band(*mass).at(0),
        used,
        without_correct=int((c == 0).sum()),
        with_one_correct=int((c == 1).sum()),
    )


def unsampled_correct_share(
    solutions: Sequence[Solutions],
    group_sizes: ArrayLike,
    rng: np.random.Generator,
    *,
    draws: int = 2000,
    level: float = 0.9,
) -> Band:
    """Estimate the share of the correct mass whose solutions a group does not sample.

    The target is ``E[Σ_s π_s·(1 − π_s)^N]/E[μ]``, sums over the correct solutions of a prompt,
    expectations over prompts: of all correct answers the policy would give to one more sample of
    each prompt, the share whose solution is not among the N rollouts of that prompt's group.

    Leave sample i of n out and draw N of the others without replacement: they miss its solution,
    of multiplicity m, with probability ``C(n−m, N)/C(n−1, N)``. The mean over the n samples, wrong
    ones counting 0, is an unbiased estimate of a prompt's ``Σ_s π_s·(1 − π_s)^N``, as ``c/n`` is
    of μ. The estimate is the ratio of their sums over prompts. The mean of each prompt's own ratio
    is not used: that is biased however many prompts there are, and undefined where c = 0; the
    ratio of sums tends to its target. It weighs prompts by their success rate.

    Parameters
    ----------
    solutions
        One entry for each prompt.
    group_sizes
        Group sizes N ≥ 1: a scalar or one axis.
    rng
        Source of the bootstrap over prompts (percentile interval), which covers which prompts were
        drawn and, through each prompt's estimate, which samples. A width of zero shows only that
        the pilot had no spread.
    draws
        Number of resamples.
    level
        Probability the intervals are made for.

    Returns
    -------
    Band
        Each of the shape of ``group_sizes``. For N = n − 1 this is the share of singletons among
        the correct samples (those of each prompt divided by its n). NaN for N ≥ the smallest n,
        as n samples say nothing of larger groups (leave out the prompts with few samples to go
        further), and everywhere if no sample is correct. The interval is that of `good_turing`.

    Raises
    ------
    UsageError, ValueError, TypeError
        No prompt, or ``group_sizes``, ``draws`` or ``level`` out of range.
    """
    sizes = integers("group_sizes", group_sizes, 1)
    if sizes.ndim > 1:
        raise ValueError(f"group_sizes has shape {sizes.shape}; pass a scalar or one axis")
    n, c = _counts(solutions)
    flat = sizes.ravel()
    known = flat < n.min()
    result = np.full((3, flat.size), math.nan)
    missed = _missed(solutions, n, flat[known])
    result[:, known] = _ratio(missed, c / n, rng, draws, level)
    return Band(*(side.reshape(sizes.shape)[()] for side in result))


def _counts(solutions: Sequence[Solutions]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n and c of each prompt."""
    if not solutions:
        raise UsageError("solutions is empty; pass the labelled samples of at least one prompt")
    n, c = np.array([(one.n, one.c) for one in solutions], np.float64).T
    return n, c


def _missed(
    solutions: Sequence[Solutions], n: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the estimates of ``Σ_s π_s·(1 − π_s)^N``, shape (P, S), for N below every n."""
    owners = np.repeat(np.arange(len(n)), [len(one.multiplicities) for one in solutions])
    held = np.concatenate([one.multiplicities for one in solutions]).astype(np.float64)
    # Millions of solutions have few different (n, m), and these alone are worked out. The codes
    # are whole numbers far below 2**53.
    step = n.max() + 1
    codes, kind = np.unique(n[owners] * step + held, return_inverse=True)
    totals, multiplicities = np.divmod(codes, step)
    weights = held / n[owners]
    result = np.zeros((len(n), len(sizes)))
    for column, size in enumerate(sizes):
        # That N of the n − 1 others hold none of the m − 1 of this solution is 1 − pass@N.
        missed = 1 - np.asarray(pass_at_k(totals - 1, multiplicities - 1, size))
        result[:, column] = np.bincount(owners, weights * missed[kind], minlength=len(n))
    return result


def _ratio(
    numerators: NDArray[np.float64],
    denominators: NDArray[np.float64],
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> NDArray[np.float64]:
    """Return ratios of sums over prompts, (P, S) to (P,), and their intervals: (3, S)."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is not in (0, 1); pass 0.9 for a 90% interval")
    draws = int(integers("draws", draws, 100))
    # What is 0 above and below the line changes no ratio: no resample then has only such prompts.
    kept = denominators > 0
    table = np.column_stack([numerators, denominators])[kept]
    result = np.full((3, numerators.shape[1]), math.nan)
    if not len(table):
        return result
    total = table.sum(axis=0)
    result[0] = total[:-1] / total[-1]
    if len(table) < LEAST_PROMPTS:
        return result
    ratios = np.empty((draws, numerators.shape[1]))
    for row in ratios:
        times = np.bincount(rng.integers(len(table), size=len(table)), minlength=len(table))
        sums = times @ table
        row[:] = sums[:-1] / sums[-1]
    tail = (1 - level) / 2
    result[1:] = np.quantile(ratios, [tail, 1 - tail], axis=0)
    return result
