"""How the base and the arms are drawn in every figure: colours, lines, markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BASE_COLOUR = "#767676"
# Okabe and Ito's palette, which colour-blind readers can tell apart. Arms without focal weight
# have solid lines in the strongest colours, vermilion first.
PLAIN_COLOURS = ("#d55e00", "#5d3a9b", "#222222")
PLAIN_MARKERS = "ohp8"
ARM_COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5d3a9b", "#222222")
ARM_LINES = ((0, (7, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (1.5, 1.2)), (0, (4, 1, 1, 1, 1, 1)))
ARM_MARKERS = "s^Dv*PX"


@dataclass(frozen=True)
class SeriesStyle:
    """How the base or an arm is drawn in every figure."""

    label: str
    colour: str
    line: Any
    marker: str

    def main(self) -> dict[str, Any]:
        """Arguments of ``Axes.plot`` for the mean."""
        return {
            "color": self.colour,
            "linestyle": self.line,
            "marker": self.marker,
            "linewidth": 2.0,
            "markersize": 5,
            "markeredgecolor": "white",
            "markeredgewidth": 0.6,
            "label": self.label,
        }

    def thin(self) -> dict[str, Any]:
        """Arguments of ``Axes.plot`` for one seed."""
        return {"color": self.colour, "linewidth": 0.8, "alpha": 0.4}


def base_style(label: str) -> SeriesStyle:
    """Return the style of what the others are compared with."""
    return SeriesStyle(label, BASE_COLOUR, (0, (3, 1.6)), "")


def arm_style(label: str, place: int) -> SeriesStyle:
    """Return the style of the arm number ``place``, from 0, among those of which no more is known.

    The first has the strongest colour and a solid line; from the eighth on colours repeat, with
    other lines and markers.
    """
    colours, lines, markers = (
        (PLAIN_COLOURS[0], *ARM_COLOURS[:6]),
        ("solid", *ARM_LINES),
        PLAIN_MARKERS[0] + ARM_MARKERS,
    )
    return SeriesStyle(
        label,
        colours[place % len(colours)],
        lines[place % len(lines)],
        markers[place % len(markers)],
    )
