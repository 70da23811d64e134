"""The focal weight's settings that are the same in every trainer, and their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class WeightSettings:
    """Settings of the focal weight in any trainer.

    Parameters
    ----------
    gamma
        Focal exponent, finite and at least 0; 0 leaves every advantage as it is.
    threshold
        A completion is correct if the reward that tells it is at least this.
    tail_share
        ρ = τ/μ in (0, 1): the share of the correct answers' mass that the logged tail-miss risk
        is about.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    gamma: float = 0.5
    threshold: float = 0.5
    tail_share: float = 0.1

    def __post_init__(self) -> None:
        check_number("focal_gamma", self.gamma, lambda x: 0 <= x < math.inf, "finite, at least 0")
        check_number("focal_threshold", self.threshold, math.isfinite, "finite")
        check_number("focal_tail_share", self.tail_share, lambda x: 0 < x < 1, "between 0 and 1")


def check_number(name: str, value: object, fine: Callable[[Any], bool], range_: str) -> None:
    """Refuse what is not a number, or not in its range."""
    if isinstance(value, bool) or not isinstance(value, Real) or not fine(value):
        raise UsageError(f"{name}={value!r}: give a number that is {range_}")
