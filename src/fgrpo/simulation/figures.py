"""The figures of a sweep, as matplotlib objects: for notebooks, and saved by `write`.

Shares are drawn in percent, the group size N on an axis of base 2. Lines are means over the seeds,
bands reach from the smallest to the largest seed, small markers are single seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.figures import HEIGHT, WIDTH, draw_panels, entitle
from fgrpo.simulation.over_sizes import deviation_painter, final_painter, tail_miss_painter
from fgrpo.simulation.over_steps import steps_painter, trajectory_painter
from fgrpo.simulation.trajectory import ENTROPY, M_RET, Q_POS, TAIL_MISS, UNSAMPLED_CORRECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fgrpo.simulation.looks import Painter
    from fgrpo.simulation.result import Sweep

_WIDE_LEGEND, _LEGEND_ROW = 3, 0.22  # entries beside each other, inches below each other


def figure_2(sweep: Sweep) -> Figure:
    """Draw the paper's figure 2: correct mass and retained mass over the steps, and what γ changes.

    From the left: total correct mass over the steps, one line for each group size, with the
    sweep's smallest γ; retained correct mass likewise; retained correct mass of the final policy
    against the group size, one line for each γ.

    Parameters
    ----------
    sweep
        What `fgrpo.simulation.result.load_sweep` returns.
    """
    gamma = min(sweep.recipe.gammas)
    last = final_painter(sweep, M_RET)

    def changed(axes: Axes) -> None:
        last(axes)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=_WIDE_LEGEND,
            handlelength=2.8,
            columnspacing=1.4,
            borderaxespad=0.2,
        )

    panels = [steps_painter(sweep, gamma, column) for column in (Q_POS, M_RET)]
    named = [_titled(panel, f"γ = {gamma:g}") for panel in panels]
    legend_rows = -(-len(sweep.recipe.gammas) // _WIDE_LEGEND)
    size = (WIDTH, HEIGHT + _LEGEND_ROW * (legend_rows - 1))
    return draw_panels([*named, changed], size=size, legend=False)


def retention_figure(sweep: Sweep) -> Figure:
    """Draw retained mass, correct mass and entropy of the final policies against N, for each γ."""
    return draw_panels([final_painter(sweep, column) for column in (M_RET, Q_POS, ENTROPY)])


def tail_miss_figure(sweep: Sweep) -> Figure:
    """Draw tail miss of the initial policy against N: theory and measurement, and how far apart.

    Left: the probability by lemma 3.1 that a group is active and misses a given action of the tail
    (line), that it is active at all (grey), and the measured share with two standard errors to each
    side. Right: measured less predicted, in the standard errors that theory expects.
    """
    return draw_panels([tail_miss_painter(sweep), deviation_painter(sweep)])


def trajectories_figure(sweep: Sweep, group_size: int) -> Figure:
    """Draw a group size's runs step by step, one line for each γ.

    From the left: total correct mass, retained correct mass, and averages over blocks of steps of
    the correct mass outside the step's group and of the share of the tail that the group misses (0
    where it is not mixed).

    Parameters
    ----------
    sweep
        What `fgrpo.simulation.result.load_sweep` returns.
    group_size
        One of the sweep's.

    Raises
    ------
    UsageError
        If the sweep has no such group size.
    """
    columns = (Q_POS, M_RET, UNSAMPLED_CORRECT, TAIL_MISS)
    panels = [trajectory_painter(sweep, group_size, column) for column in columns]
    return draw_panels(panels, size=(0.85 * WIDTH, 3.2))


def _titled(paint: Painter, title: str) -> Painter:
    def titled(axes: Axes) -> None:
        paint(axes)
        entitle(axes, title)

    return titled
