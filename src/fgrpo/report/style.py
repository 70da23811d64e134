"""Which style each arm of a run has in all figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.series import (
    ARM_COLOURS,
    ARM_LINES,
    ARM_MARKERS,
    PLAIN_COLOURS,
    PLAIN_MARKERS,
    SeriesStyle,
    base_style,
)
from fgrpo.report.data import BASE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fgrpo.report.data import RunData
    from fgrpo.report.sweep import Sweep


def palette(data: RunData, sweep: Sweep | None = None) -> dict[str, SeriesStyle]:
    """Map the base and every arm to its style.

    In a sweep over group sizes all arms of a line look the same and have its label: they never
    stand in one panel, except in the figures against N, where they are one line.
    """
    if sweep is not None:
        looks = _styles((line.label, line.label, line.gamma) for line in sweep.lines)
        named = {arm.name: looks[line.label] for line in sweep.lines for arm in line.arms.values()}
    else:
        named = _styles((arm.name, arm.label, arm.settings.gamma) for arm in data.arms)
    return {BASE: base_style("Base"), **named}


def _styles(series: Iterable[tuple[str, str, float]]) -> dict[str, SeriesStyle]:
    """Map the names of series, given with their labels and γ, to their styles."""
    styles: dict[str, SeriesStyle] = {}
    plain = place = 0
    for name, label, gamma in series:
        if gamma == 0:
            styles[name] = SeriesStyle(
                label,
                PLAIN_COLOURS[plain % len(PLAIN_COLOURS)],
                "solid",
                PLAIN_MARKERS[plain % len(PLAIN_MARKERS)],
            )
            plain += 1
            continue
        styles[name] = SeriesStyle(
            label,
            ARM_COLOURS[place % len(ARM_COLOURS)],
            ARM_LINES[place % len(ARM_LINES)],
            ARM_MARKERS[place % len(ARM_MARKERS)],
        )
        place += 1
    return styles
