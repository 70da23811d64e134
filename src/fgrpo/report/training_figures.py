"""The figures of what happened at every training step: kinds of groups, entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from fgrpo.presentation.figures import DrawnFigure, save
from fgrpo.report.panels import draw_arms, panels_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.presentation.series import SeriesStyle
    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.sweep import Sweep

_MEASURES = (
    (
        "groups_solved_all",
        "Groups with every rollout right",
        "groups all right (%)",
        "Share of training groups in which all rollouts are right: nothing is left to learn from.",
    ),
    (
        "groups_mixed",
        "Groups with right and wrong rollouts",
        "mixed groups (%)",
        "Share of training groups with both right and wrong rollouts: only these give a gradient.",
    ),
    (
        "groups_solved_none",
        "Groups with no rollout right",
        "groups all wrong (%)",
        "Share of training groups in which no rollout is right: the mazes out of reach.",
    ),
    (
        "entropy",
        "Entropy",
        "entropy (nats per token)",
        "Mean entropy of the next-token distribution along the rollouts: how much the policy "
        "still varies its answers.",
    ),
)


def training_figures(
    data: RunData, styles: Mapping[str, SeriesStyle], sweep: Sweep | None = None
) -> list[DrawnFigure]:
    """Draw the shares of groups solved always, sometimes and never, and the entropy."""
    return [_measure(data, styles, sweep, *measure) for measure in _MEASURES]


def _measure(
    data: RunData,
    styles: Mapping[str, SeriesStyle],
    sweep: Sweep | None,
    field: str,
    title: str,
    axis: str,
    caption: str,
) -> DrawnFigure:
    factor = 1 if field == "entropy" else 100
    windows = {arm.name: smoothing_window(arm.settings.steps) for arm in data.arms}
    values = {arm.name: factor * _values(arm, field, windows[arm.name]) for arm in data.arms}

    def paint(axes: Axes, arms: Sequence[ArmRuns]) -> None:
        for place, arm in enumerate(arms):
            runs, style = values[arm.name], styles[arm.name]
            steps = np.arange(runs.shape[1])
            if len(runs) > 1:
                for run in runs:
                    axes.plot(steps, run, **{**style.thin(), "alpha": 0.28})
            gap = max(1, runs.shape[1] // 5)  # markers of different arms do not coincide
            first = place * gap // (len(arms) + 1)
            axes.plot(steps, runs.mean(axis=0), markevery=(first, gap), **style.main())

    def finish(axes: Axes) -> None:
        axes.xaxis.set_major_locator(MaxNLocator(4 if sweep else 6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        low, high = axes.get_ylim()
        axes.set_ylim(max(0.0, low), min(high, 101.0) if factor == 100 else high)

    seeds = " Thick lines: means over seeds; thin: each seed." if len(data.recipe.seeds) > 1 else ""
    widths = sorted({width for width in windows.values() if width > 1})
    smooth = ""
    if widths:
        smooth = f" Smoothed: moving average over {' or '.join(map(str, widths))} steps."
    unit = " nats" if factor == 1 else "%"
    words = "; ".join(
        f"{arm.label} from {values[arm.name][:, 0].mean():.3g}{unit} to "
        f"{values[arm.name][:, -1].mean():.3g}{unit}"
        for arm in data.arms
    )
    alt = f"{title} during training: {words}."
    drawn = draw_arms(data.arms, sweep, paint, finish, ("training step", axis))
    return save(drawn, field, title, f"{caption}{seeds}{smooth}{panels_note(sweep)}", alt)


def smoothing_window(steps: int) -> int:
    """Odd number of steps to average over: about a thirtieth of the run, 1 for a short one."""
    return 2 * (steps // 60) + 1


def moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Centred moving average of a sequence; at the ends over the steps there are."""
    ones = np.ones(window)
    full = np.convolve(values, ones)[window // 2 : window // 2 + len(values)]
    there = np.convolve(np.ones(len(values)), ones)[window // 2 : window // 2 + len(values)]
    return full / there


def _values(arm: ArmRuns, field: str, window: int) -> NDArray[np.float64]:
    """Smoothed measures of shape (seeds, steps)."""
    return np.stack(
        [
            moving_average(np.array([line[field] for line in run.metrics], dtype=float), window)
            for run in arm.runs
        ]
    )
