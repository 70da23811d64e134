"""How the figures of a plan draw lines with bands, points with intervals, and numbers at marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patheffects import withStroke

from fgrpo.presentation.numbers import size_name
from fgrpo.presentation.series import arm_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.plan.rates import Band

    Floats = NDArray[np.float64]


def line(
    axes: Axes, sizes: NDArray[np.int64], values: Band, label: str, place: int, scale: float = 100
) -> str:
    """Draw a mean with its band and return its colour."""
    style = arm_style(label, place)
    fill(axes, sizes, values, style.colour, scale)
    axes.plot(sizes, scale * values.mean, **{**style.main(), "marker": ""})
    return style.colour


def fill(axes: Axes, sizes: NDArray[np.int64], values: Band, colour: str, scale: float) -> None:
    """Shade a band, if there is one."""
    if not np.array_equal(values.low, values.high, equal_nan=True):
        axes.fill_between(
            sizes, scale * values.low, scale * values.high, color=colour, alpha=0.15, linewidth=0
        )


def points(
    axes: Axes,
    places: Floats | NDArray[np.int64],
    mean: Floats,
    low: Floats,
    high: Floats,
    *,
    label: str,
    colour: str = "#222222",
    scale: float = 100,
) -> None:
    """Draw points with upright intervals, where these are known."""
    axes.vlines(places, scale * low, scale * high, color=colour, linewidth=1.4, zorder=3)
    axes.plot(
        *(places, scale * mean, "D"),
        color=colour,
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3.5,
        label=label,
    )


def number(axes: Axes, size: int, height: float, shift: tuple[float, float], **look: Any) -> None:
    """Write a group size beside its mark, with a white edge that keeps lines off the digits."""
    axes.annotate(
        size_name(size),
        *((size, height), shift),
        textcoords="offset points",
        fontsize=9,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
        **look,
    )
