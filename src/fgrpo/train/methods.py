"""GRPO, DAPO and CISPO as the paper means them, in TRL's settings."""

from __future__ import annotations

import math
from typing import Any, Final

from fgrpo.errors import UsageError

METHODS: Final[dict[str, dict[str, Any]]] = {
    "grpo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": None, "beta": 0.0},
    "dapo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28, "beta": 0.0},
    "cispo": {"loss_type": "cispo", "epsilon_high": 6.0, "beta": 0.0},
}
"""TRL's settings for each method of the paper (F-GRPO, arXiv 2602.06717, appendices B and L.2).

All three take the mean over the batch's tokens, which TRL's ``loss_type`` calls "dapo"; its "grpo"
is the mean over sequences. For CISPO the paper keeps the ratio in [1 − 1, 1 + 5]; TRL's
``epsilon_high`` is the upper end itself, and the lower end, 0, needs no clamp. With several updates
for a generation TRL divides by the mean number of tokens of these updates, not by each one's own.
"""

_CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo", "luspo")
_SOFT = ("sapo", "vespo")


def ratio_bounds(
    loss_type: str, epsilon: float, epsilon_high: float | None, delta: float | None = None
) -> tuple[float, float] | None:
    """Return the importance ratios between which a token's gradient is not cut or capped.

    Parameters
    ----------
    loss_type, epsilon, epsilon_high, delta
        TRL's settings.

    Returns
    -------
    tuple of float or None
        Lower and upper bound; None for a loss without hard bounds (sapo, vespo). Where the
        objective is min(r A, clip(r) A), the lower one holds for A < 0 and the upper for A > 0;
        with ``delta``, a ratio above both it and the upper bound is capped for A < 0 too.

    Raises
    ------
    UsageError
        For an unknown loss; if CISPO's cap is below 1: TRL would shrink every token, the on-policy
        ones too; if a clip leaves out the ratio 1: on-policy tokens would have no gradient.
    """
    high = epsilon if epsilon_high is None else epsilon_high
    if loss_type == "cispo":
        if high < 1:
            raise UsageError(
                f"epsilon_high={high} with loss_type cispo caps every ratio at {high}, below the "
                "on-policy ratio 1: in TRL it is the cap itself; the paper's is 6.0"
            )
        return 0.0, high
    if loss_type in _SOFT:
        return None
    if loss_type not in _CLIPPED:
        known = ", ".join((*_CLIPPED, "cispo", *_SOFT))
        raise UsageError(f"loss_type={loss_type!r}: choose one of {known}")
    bounds = max(0.0, 1 - epsilon), min(1 + high, math.inf if delta is None else delta)
    if not bounds[0] <= 1 <= bounds[1]:
        raise UsageError(
            f"epsilon={epsilon:g}, epsilon_high={high:g}, delta={delta} clip the ratio to "
            f"[{bounds[0]:g}, {bounds[1]:g}], without the on-policy ratio 1: no token would learn"
        )
    return bounds


def describe_bounds(
    loss_type: str, epsilon: float, epsilon_high: float | None, delta: float | None = None
) -> str:
    """Say in words what `ratio_bounds` returns."""
    bounds = ratio_bounds(loss_type, epsilon, epsilon_high, delta)
    if bounds is None:
        return "no hard bounds on the ratio"
    text = f"ratio in [{bounds[0]:g}, {bounds[1]:g}]"
    if loss_type == "cispo":
        return f"{text}, capped (gradient kept)"
    if delta is not None and math.isfinite(delta):
        most = max(delta, 1 + (epsilon if epsilon_high is None else epsilon_high))
        text += f", at most {most:g} where the advantage is negative"
    return f"{text}, clipped (no gradient beyond)"
