"""Figures of all arms: in one panel, or in a sweep over group sizes in one for each size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.figures import HEIGHT, WIDTH, draw, draw_panels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fgrpo.report.data import ArmRuns
    from fgrpo.report.sweep import Sweep

_PANEL_HEIGHT = 3.1  # inches; a row of panels is two usual figures wide


def draw_arms(
    arms: Sequence[ArmRuns],
    sweep: Sweep | None,
    paint: Callable[[Axes, Sequence[ArmRuns]], None],
    finish: Callable[[Axes], None],
    names: tuple[str, str],
) -> Figure:
    """Draw arms in one panel, or those of each group size in a panel of its own.

    Parameters
    ----------
    arms
        All arms.
    sweep
        Where they stand, if they make a sweep.
    paint
        Draws some arms in a panel.
    finish
        Sets limits, scales and ticks, which all panels share: called once, when all are painted.
    names
        Of the horizontal and the vertical axis.
    """
    last = len(sweep.sizes) - 1 if sweep else 0

    def panel(place: int) -> Callable[[Axes], None]:
        def fill(axes: Axes) -> None:
            paint(axes, sweep.at(sweep.sizes[place]) if sweep else arms)
            if sweep:
                axes.set_title(f"N = {sweep.sizes[place]}", fontsize=10.5)
            axes.set_xlabel(names[0])
            axes.set_ylabel(names[1])
            if place == last:
                finish(axes)

        return fill

    if sweep is None:
        return draw(panel(0), size=(WIDTH, HEIGHT))
    columns = _columns(last + 1)
    return draw_panels(
        [panel(place) for place in range(last + 1)],
        size=(2 * WIDTH / columns, _PANEL_HEIGHT),
        columns=columns,
        share=True,
    )


def _columns(panels: int) -> int:
    return panels if panels <= 4 else 3 if panels <= 6 else 4


def panels_note(sweep: Sweep | None) -> str:
    """Say in a caption what the panels are; nothing without a sweep."""
    return " One panel for each group size N, all with the same axes." if sweep else ""
