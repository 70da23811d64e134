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
    from fgrpo.report.data import RunData


def palette(data: RunData) -> dict[str, SeriesStyle]:
    """Map the base and every arm to its style."""
    styles = {BASE: base_style("Base")}
    plain = place = 0
    for arm in data.arms:
        if arm.settings.gamma == 0:
            styles[arm.name] = SeriesStyle(
                arm.label,
                PLAIN_COLOURS[plain % len(PLAIN_COLOURS)],
                "solid",
                PLAIN_MARKERS[plain % len(PLAIN_MARKERS)],
            )
            plain += 1
            continue
        styles[arm.name] = SeriesStyle(
            arm.label,
            ARM_COLOURS[place % len(ARM_COLOURS)],
            ARM_LINES[place % len(ARM_LINES)],
            ARM_MARKERS[place % len(ARM_MARKERS)],
        )
        place += 1
    return styles
