"""Panels over the steps: a line for each group size, or for each γ of one group size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import FuncFormatter, MaxNLocator

from fgrpo.errors import UsageError
from fgrpo.presentation.axes import percent_axis, spaced
from fgrpo.presentation.numbers import size_name
from fgrpo.simulation.looks import AXES, gamma_styles, size_colours
from fgrpo.simulation.trajectory import TAIL_MISS, UNSAMPLED_CORRECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.simulation.looks import Painter
    from fgrpo.simulation.result import Sweep

    Floats = NDArray[np.float64]

_POINTS = 200  # of a line over the steps
_BLOCKS = 50  # into which the steps of a run are gathered where each step has a group of its own


def steps_painter(sweep: Sweep, gamma: float, column: int) -> Painter:
    """Return what paints a column over the steps, a line for each group size."""
    sizes = sorted(sweep.recipe.group_sizes)
    colours = size_colours(sizes)

    def paint(axes: Axes) -> None:
        shown = _shown_steps(sweep.recipe.steps)
        for size, colour in zip(sizes, colours, strict=True):
            _band(axes, shown, 100 * sweep.rows(size, gamma)[:, shown, column], color=colour)
        _step_axis(axes, sweep.recipe.steps)
        axes.set_ylabel(AXES[column])
        percent_axis(axes)
        _size_bar(axes, sizes, colours)

    return paint


def trajectory_painter(sweep: Sweep, group_size: int, column: int) -> Painter:
    """Return what paints a column of one group size over the steps, a line for each γ."""
    known = sorted(sweep.recipe.group_sizes)
    if group_size not in known:
        raise UsageError(
            f"group_size {group_size} is not in the sweep; choose from {', '.join(map(str, known))}"
        )

    def paint(axes: Axes) -> None:
        for gamma, style in gamma_styles(sweep).items():
            values = 100 * sweep.rows(group_size, gamma)[:, :, column]
            if column in (UNSAMPLED_CORRECT, TAIL_MISS):
                at, values = in_blocks(values[:, :-1])
            else:
                shown = _shown_steps(sweep.recipe.steps)
                at, values = shown.astype(np.float64), values[:, shown]
            _band(axes, at, values, **{**style.main(), "marker": "" if len(at) > 1 else "o"})
        _step_axis(axes, sweep.recipe.steps)
        axes.set_ylabel(AXES[column])
        percent_axis(axes)

    return paint


def in_blocks(values: Floats) -> tuple[Floats, Floats]:
    """Average over blocks of steps, the last axis; return their middles and the averages.

    Blocks are as long as `block_length` says, the last one perhaps shorter.
    """
    steps = values.shape[-1]
    begins = np.arange(0, steps, block_length(steps))
    lengths = np.diff([*begins, steps])
    return begins + (lengths - 1) / 2, np.add.reduceat(values, begins, axis=-1) / lengths


def block_length(steps: int) -> int:
    """Return how many steps are averaged."""
    return -(-steps // _BLOCKS)


def _band(axes: Axes, at: Any, values: Floats, **look: Any) -> None:
    """Draw the mean over seeds, the first axis, and shade from the smallest to the largest."""
    look = {"linewidth": 1.6, **look}
    axes.plot(at, values.mean(axis=0), **look)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(at, low, high, color=look["color"], alpha=0.18, linewidth=0)


def _shown_steps(steps: int) -> NDArray[np.int64]:
    """Return the steps at which a line is drawn: more would only make the file larger."""
    return np.unique(np.linspace(0, steps, min(steps, _POINTS) + 1).round()).astype(np.int64)


def _step_axis(axes: Axes, steps: int) -> None:
    axes.set_xlim(-0.02 * steps, 1.02 * steps)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:.0f}"))
    axes.set_xlabel("step")


def _size_bar(axes: Axes, sizes: Sequence[int], colours: Sequence[str]) -> None:
    """Explain the colours of the group sizes beside the panel."""
    cells = np.arange(len(sizes) + 1) - 0.5
    mapping = ScalarMappable(BoundaryNorm(cells, len(sizes)), ListedColormap(list(colours)))
    # An inset: the layout would shift a bar of its own a little each time the figure is drawn.
    place = axes.inset_axes((1.03, 0, 0.045, 1))
    bar = axes.figure.colorbar(mapping, cax=place)
    shown = spaced(np.arange(len(sizes), dtype=np.float64), 9)
    bar.set_ticks(shown, labels=[size_name(sizes[i]) for i in shown])
    place.tick_params(length=0, labelsize=9)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    place.set_title("N", fontsize=10, loc="left")
