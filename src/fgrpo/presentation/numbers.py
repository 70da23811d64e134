"""Shares and their differences in words."""

from __future__ import annotations

from fgrpo.compare.result import points


def percent(share: float) -> str:
    """Write a share in percent with one decimal, never rounding to 0 or 100 what is not."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1 - 1e-12:
        return ">99.9%"
    return f"{round(100 * share, 9):.1f}%"  # sums in another order end in the same digits


def in_points(difference: float) -> str:
    """Write a difference of shares in percentage points; sums in another order end the same."""
    return points(round(100 * difference, 9))
