"""Shares, their differences and intervals, and group sizes in words; imports nothing."""

from __future__ import annotations

# Means of values in [0, 1] are exact to about 1e-14; fewer points than this are no difference.
_NO_POINTS = 1e-10


def percent(share: float) -> str:
    """Write a share in percent with one decimal, never rounding to 0 or 100 what is not."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1 - 1e-12:
        return ">99.9%"
    return f"{round(100 * share, 9):.1f}%"  # sums in another order end in the same digits


def percent_cell(share: float) -> str:
    """Write a share as `percent` does, without the sign: for a column that is named so."""
    return percent(share).removesuffix("%")


def interval(low: float, high: float) -> str:
    """Write an interval of shares in percent."""
    return f"{percent(low).removesuffix('%')}–{percent(high)}"


def share_name(share: float) -> str:
    """Write a share that someone chose, such as a level, in percent, with as few digits as it has.

    Measured ones are for `percent`.
    """
    return f"{100 * share:.3g}%"


def points(difference: float) -> str:
    """Write a difference in percentage points with its sign and one decimal.

    A difference that would so be written 0.0 gets as many decimals as its first digit needs: an
    interval that excludes 0 is seen to.
    """
    if abs(difference) < _NO_POINTS:
        return "0.0"
    texts = (f"{difference:+.{decimals}f}" for decimals in range(1, 12))
    return next(text for text in texts if float(text)).replace("-", "−")


def in_points(difference: float) -> str:
    """Write a difference of shares in percentage points; sums in another order end the same."""
    return points(round(100 * difference, 9))


def size_name(group_size: float) -> str:
    """Write a group size, its thousands apart."""
    return f"{group_size:,.0f}"


def signed(number: float, digits: int = 1) -> str:
    """Write a number with its sign, and 0 without."""
    text = f"{number:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
