"""The result of a comparison, and how simulated differences become an interval and a p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fgrpo.presentation.numbers import points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.compare.arms import Arm

# Standard error, 95% interval and two-sided p of a difference.
Judged: TypeAlias = tuple[float, tuple[float, float], float]

SIGNIFICANT = 0.05
LEAST_DRAWS = 1000  # 25 draws in each tail: the interval's ends then vary by some 20% of their gap
# Means over problems of values in [0, 1] are exact to about 1e-14; a smaller difference is none.
ZERO = 1e-12
# Without any difference, all of P problems favour one side with probability 2^(1−P): below 0.05
# from 6 on. The bootstrap does not know that and would call 2 of 2 significant.
LEAST_PROBLEMS = 6
TOO_FEW = f"it takes at least {LEAST_PROBLEMS} problems, not {{}}"
UNJUDGED: Judged = (math.nan, (math.nan, math.nan), math.nan)
NO_SPREAD = "nothing varied here, which does not mean that there is no noise"
MACRO = "macro average"  # its name where benchmarks stand beside it


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference B − A in mean pass@k, with its noise.

    Attributes
    ----------
    k
        Which pass@k.
    a, b
        Mean unbiased pass@k of the reference and of the other side, in [0, 1].
    estimate
        ``b − a``, in [−1, 1].
    standard_error
        Standard error of the estimate.
    interval
        95% interval of the difference (low, high).
    p_value
        Two-sided, in [0, 1]; below 0.05 exactly if the interval excludes 0. NaN, with a NaN
        interval, if the difference cannot be judged.
    noise
        Which noise the three numbers above cover, in words.
    problems
        Number of problems P.
    samples
        Smallest number of samples of any problem, (A, B).
    runs
        Number of runs averaged, (A, B).
    draws
        Number of simulated differences; 0 where none are drawn.
    m
        Size of the subsamples; None where there are none.
    caveat
        Why the numbers may be too good, or empty.
    verdict
        One sentence, such as "no significant difference in pass@8 (p = 0.4)".
    """

    k: int
    a: float
    b: float
    estimate: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float
    noise: str
    problems: int
    samples: tuple[int, int]
    runs: tuple[int, int] = (1, 1)
    draws: int = 0
    m: int | None = None
    caveat: str = ""
    verdict: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verdict", self._verdict())

    def _verdict(self) -> str:
        if math.isnan(self.p_value):
            return f"the difference in pass@{self.k} cannot be judged: {self.caveat}"
        if self.p_value >= SIGNIFICANT:
            return f"no significant difference in pass@{self.k} (p {self.p_text})"
        low, high = (points(100 * end) for end in self.interval)
        side = "higher" if self.estimate > 0 else "lower"
        return (
            f"pass@{self.k} is {side} for B by {points(100 * abs(self.estimate)).lstrip('+')} "
            f"points (95% interval {low} to {high}, p {self.p_text})"
            + (f"; but {self.caveat}" if self.caveat else "")
        )

    @property
    def p_text(self) -> str:
        """The p-value in words; see `p_words`."""
        return p_words(self.p_value, self.draws)


def p_words(p: float, draws: int = 0) -> str:
    """Write a p-value: "= 0.4", "< 0.001", "≤ 0.002", or "–" if it is NaN.

    Two significant digits, and more where two would round what is below 0.05 up to it; "≤",
    rounded up, where none of the ``draws`` contradicts, so that more might give a smaller p.
    """
    if math.isnan(p):
        return "–"
    if p < 0.001:
        return "< 0.001"
    if draws and p <= 2 / (draws + 1):
        scale = 10 ** (1 - math.floor(math.log10(p)))
        return f"≤ {math.ceil(round(p * scale, 9)) / scale:.2g}"
    texts = (f"{p:.{digits}g}" for digits in range(2, 18))  # 17 digits tell any two apart
    return "= " + next(t for t in texts if (float(t) < SIGNIFICANT) == (p < SIGNIFICANT))


def compared(
    arms: tuple[Arm, Arm],
    k: np.int64,
    means: tuple[float, float],
    judged: Judged,
    noise: str,
    caveat: str = "",
    *,
    draws: int = 0,
    m: int | None = None,
) -> Comparison:
    """Put the parts of a comparison of A with B together.

    ``means`` are mean pass@k of A and B, ``judged`` standard error, interval and p.
    """
    error, interval, p_value = judged
    arm_a, arm_b = arms
    return Comparison(
        k=int(k),
        a=float(means[0]),
        b=float(means[1]),
        estimate=float(means[1] - means[0]),
        standard_error=error,
        interval=interval,
        p_value=p_value,
        noise=noise,
        problems=len(arm_a.problems),
        samples=(arm_a.fewest, arm_b.fewest),
        runs=(arm_a.runs, arm_b.runs),
        draws=draws,
        m=m,
        caveat=caveat,
    )


def summarise(differences: NDArray[np.float64]) -> Judged:
    """Reduce simulated differences to standard error, 95% interval and two-sided p.

    With D draws, of which ``l`` are ≤ 0 and ``h`` are ≥ 0, ``p = min(1, 2(1 + min(l, h))/(D+1))``.
    The interval runs between the order statistics number ``j + 1`` from either end, with j the
    largest count for which p < 0.05 (``j = D//40 − 1``, so 2.5% lie outside on each side). Hence
    p < 0.05 exactly if the interval excludes 0.

    Parameters
    ----------
    differences
        Shape (D,), D ≥ 40. Values within 1e-12 of 0 count as 0: ties of sums of fractions.
    """
    draws = len(differences)
    values = np.where(np.abs(differences) < ZERO, 0.0, differences)
    least = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    p_value = min(1.0, 2 * (1 + int(least)) / (draws + 1))
    outside = draws // 40 - 1
    ends = np.partition(values, (outside, draws - 1 - outside))[[outside, draws - 1 - outside]]
    error = 0.0 if np.ptp(values) < ZERO else float(values.std(ddof=1))
    return error, (float(ends[0]), float(ends[1])), p_value
