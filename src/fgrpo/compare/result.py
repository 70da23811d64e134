"""The result of a comparison, and how simulated differences become an interval and a p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNIFICANT = 0.05
LEAST_DRAWS = 1000  # 25 draws in each tail: the interval's ends then vary by some 20% of their gap
# Means over problems of values in [0, 1] are exact to about 1e-14; a smaller difference is none.
ZERO = 1e-12
NO_SPREAD = "the spread is zero, which does not show that the noise is"


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
            return f"no significant difference in pass@{self.k} (p = {self.p_value:.2g})"
        low, high = sorted(abs(100 * end) for end in self.interval)
        side = "higher" if self.estimate > 0 else "lower"
        return (
            f"pass@{self.k} is {side} for B by {abs(100 * self.estimate):.2g} points "
            f"(95% interval {low:.2g} to {high:.2g}, p = {self.p_value:.2g})"
            + (f"; but {self.caveat}" if self.caveat else "")
        )


def summarise(
    differences: NDArray[np.float64],
) -> tuple[float, tuple[float, float], float]:
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
