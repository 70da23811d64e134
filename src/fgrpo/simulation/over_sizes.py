"""Panels against the group size N: the final policies, and tail miss before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo.presentation.axes import dense_sizes, percent_axis, size_axis, size_ends
from fgrpo.presentation.series import BASE_COLOUR
from fgrpo.simulation.looks import AXES, gamma_styles
from fgrpo.simulation.trajectory import COLUMNS, ENTROPY
from fgrpo.theory import activity_probability, tail_miss_probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fgrpo.simulation.looks import Painter
    from fgrpo.simulation.result import Sweep


def final_painter(sweep: Sweep, column: int) -> Painter:
    """Return what paints a column of the final policies against N, a line for each γ."""
    styles, rows = gamma_styles(sweep), sweep.final_rows
    scale = 1 if column == ENTROPY else 100

    def paint(axes: Axes) -> None:
        sizes = np.array(sorted(sweep.recipe.group_sizes))
        for gamma, style in styles.items():
            means = [getattr(row, COLUMNS[column]).mean for row in rows if row.gamma == gamma]
            axes.plot(sizes, scale * np.array(means), **{**style.main(), "marker": ""})
            seeds = np.array([sweep.rows(int(size), gamma)[:, -1, column] for size in sizes])
            axes.plot(
                np.repeat(sizes, seeds.shape[1]),
                scale * seeds.ravel(),
                style.marker,
                color=style.colour,
                markersize=4.5,
                alpha=0.6,
                markeredgewidth=0,
            )
        size_axis(axes, sizes, marks=sizes)
        axes.set_ylabel(AXES[column])
        if column == ENTROPY:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        else:
            percent_axis(axes)

    return paint


def tail_miss_painter(sweep: Sweep) -> Painter:
    """Return what paints predicted and measured tail miss, and activity, against N."""
    rows, policy = sweep.tail_miss_rows, sweep.policy

    def paint(axes: Axes) -> None:
        sizes = np.array([row.group_size for row in rows])
        dense = dense_sizes(*size_ends(sizes), sizes)
        mu, p = policy.success_rate, policy.probabilities[policy.tail]
        active = np.asarray(activity_probability(mu, dense))
        missed = np.array(
            [
                np.average(tail_miss_probability(mu, p, n), weights=policy.sizes[policy.tail])
                for n in dense
            ]
        )
        axes.plot(dense, 100 * active, color=BASE_COLOUR, linewidth=1.4, label="active, predicted")
        axes.plot(dense, 100 * missed, color="#0072b2", linewidth=2, label="tail miss, predicted")
        axes.errorbar(
            sizes,
            [100 * row.measured for row in rows],
            [200 * row.standard_error for row in rows],
            fmt="D",
            color="#222222",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label="measured",
            zorder=3,
        )
        size_axis(axes, sizes, marks=sizes)
        axes.set_ylabel("active, tail miss (%)")
        percent_axis(axes)

    return paint


def deviation_painter(sweep: Sweep) -> Painter:
    """Return what paints measured less predicted tail miss in standard errors, against N."""
    rows = sweep.tail_miss_rows

    def paint(axes: Axes) -> None:
        sizes = np.array([row.group_size for row in rows])
        axes.axhspan(-2, 2, color="#f0f0f0", zorder=0)
        axes.axhline(0, color="#333333", linewidth=1)
        deviations = np.array([row.deviation for row in rows])
        axes.plot(
            sizes,
            deviations,
            "D",
            color="#222222",
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            zorder=3,
        )
        size_axis(axes, sizes, marks=sizes)
        reach = 1.1 * max(3.0, float(np.abs(deviations).max()))
        axes.set_ylim(-reach, reach)
        axes.set_ylabel("measured − predicted\n(standard errors)")

    return paint
