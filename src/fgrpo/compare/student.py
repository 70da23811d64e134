"""Student's t: variances of means, their sum, and what it says of a difference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fgrpo.compare.result import UNJUDGED, ZERO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.compare.result import Judged


class Variance(NamedTuple):
    """An estimated variance and its degrees of freedom, which are NaN where the variance is 0."""

    value: float
    freedom: float


def variance_of_mean(values: NDArray[np.float64]) -> Variance:
    """Return ``s²/R`` (divisor R − 1) with R − 1 degrees of freedom, for R values.

    It is 0 for one value, which counts as fixed, and for values without spread.
    """
    if len(values) == 1 or np.ptp(values) <= ZERO:
        return Variance(0.0, math.nan)
    return Variance(float(values.var(ddof=1)) / len(values), len(values) - 1)


def add(*variances: Variance) -> Variance:
    """Add independent variances: ``v = Σ v_i`` with ``v²/Σ(v_i²/f_i)`` degrees of freedom.

    For the two variances of means this is Welch's t.

    References
    ----------
    Satterthwaite, Biometrics Bulletin 2 (1946) 110–114; Welch, Biometrika 34 (1947) 28–35.
    """
    varying = [one for one in variances if one.value > 0]
    if not varying:
        return Variance(0.0, math.nan)
    total = sum(one.value for one in varying)
    return Variance(total, total**2 / sum(one.value**2 / one.freedom for one in varying))


def student(estimate: float, variance: Variance) -> Judged:
    """Return standard error, 95% interval ``estimate ± t·√v`` and two-sided p.

    Without variance p is 1 for no difference, and nothing is known of any other.
    """
    # Imported here: importing fgrpo loads NumPy and nothing heavier.
    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped,unused-ignore]  # no stubs

    if variance.value == 0:
        return (0.0, (estimate, estimate), 1.0) if abs(estimate) <= ZERO else (0.0, *UNJUDGED[1:])
    error = math.sqrt(variance.value)
    half = error * float(stdtrit(variance.freedom, 0.975))
    p_value = 2 * float(stdtr(variance.freedom, -abs(estimate) / error))
    return error, (estimate - half, estimate + half), p_value
