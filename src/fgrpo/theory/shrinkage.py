"""How much the focal weight shrinks the average update."""

from __future__ import annotations

from math import lgamma
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import reals, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


# Beyond it the logarithms of the gamma function are too large to subtract.
_LARGEST = 1e6

_log_gamma = np.vectorize(lgamma, otypes=[np.float64])


def update_scale(gamma: ArrayLike) -> np.float64 | NDArray[np.float64]:
    """Average factor by which the focal weight ``(1−μ)^γ`` shrinks the update.

    ``m_γ = B(3/2, γ + 3/2) / B(3/2, 3/2)``. Averaged over ``μ`` uniform on [0, 1], the mean
    absolute normalised advantage is proportional to ``√(μ(1−μ))``; ``m_γ`` is the ratio of that
    average with the weight to the one without. A run with ``γ = 0`` and learning rate
    ``lr·m_γ`` is the control with the same average update.

    Parameters
    ----------
    gamma
        ``γ`` in [0, 1e6], of any shape.

    Returns
    -------
    float64
        In (0, 1], of the shape of ``gamma``: exactly 1 at 0, then 0.67906 at 0.5, 0.5 at 1 and
        0.3125 at 2. Relative error below 1e-12 up to ``γ = 100`` and 1e-8 up to 1e6.

    Raises
    ------
    ValueError, TypeError
        A ``gamma`` out of range, not finite or not a number.

    References
    ----------
    F-GRPO, arXiv 2602.06717, appendix N.
    """
    value = reals("gamma", gamma)
    refuse(
        "gamma",
        value,
        (value < 0) | (value > _LARGEST),
        f"is outside [0, {_LARGEST:g}]; bring it inside",
    )
    # Each difference is exactly 0 at gamma = 0.
    upper = _log_gamma(value + 1.5) - lgamma(1.5)
    lower = _log_gamma(value + 3.0) - lgamma(3.0)
    scale: np.float64 | NDArray[np.float64] = np.exp(upper - lower)[()]
    return scale
