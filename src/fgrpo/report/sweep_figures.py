"""The figures against group size: pass@1 and pass@n, and the difference that the weight makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from fgrpo.presentation.axes import size_axis
from fgrpo.presentation.figures import DrawnFigure, draw_panels, save
from fgrpo.presentation.numbers import in_points, percent
from fgrpo.report.data import BASE
from fgrpo.report.figures import within_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

    from fgrpo.presentation.series import SeriesStyle
    from fgrpo.report.sweep import Sweep
    from fgrpo.report.sweep_numbers import Point, SweepNumbers

    Ends = tuple[float, float, float]  # a value and the ends of its interval

_APART = 1.04  # factor between lines at one group size, so that their bars do not coincide
_OVERLAP = (
    "Whether bars of two arms overlap says nothing about their difference, as arms are compared "
    "on the same mazes"
)


def sweep_figures(found: SweepNumbers, styles: Mapping[str, SeriesStyle]) -> list[DrawnFigure]:
    """Draw pass@1 and pass@n against N, then the differences if there is any to be drawn."""
    figures = [_levels(found, styles)]
    if any(point.contrasts for point in found.points):
        figures.append(_differences(found, styles))
    return figures


def _levels(found: SweepNumbers, styles: Mapping[str, SeriesStyle]) -> DrawnFigure:
    def panel(place: int) -> Callable[[Axes], None]:
        def paint(axes: Axes) -> None:
            base = styles[BASE]
            axes.axhline(
                100 * found.base[place].mean,
                color=base.colour,
                linestyle=base.line,
                linewidth=1.4,
                label=base.label,
            )
            _lines(axes, found, styles, [(p, p.levels[place][1:]) for p in found.points])
            axes.set_ylabel(f"mazes solved: pass@{found.ks[place]} (%)")
            within_percent(axes)

        return paint

    bars = _noises(found)
    words = "; ".join(
        f"{point.arm.label} {' and '.join(percent(level.mean) for level in point.levels)}"
        for point in found.points
    )
    n = found.ks[1]
    return save(
        draw_panels([panel(0), panel(1)]),
        "group_sizes",
        f"pass@1 and pass@{n} against group size",
        f"Share of held-out mazes solved by one sample (left) and by at least one of {n} (right) "
        f"after training, against the rollouts of a prompt N. Bars: 95% intervals {bars}. "
        f"{_OVERLAP}: see the differences.{_also(found.sweep)}",
        f"Pass@1 and pass@{n} after training: base {percent(found.base[0].mean)} and "
        f"{percent(found.base[1].mean)}; {words}.",
    )


def _differences(found: SweepNumbers, styles: Mapping[str, SeriesStyle]) -> DrawnFigure:
    def panel(place: int) -> Callable[[Axes], None]:
        def paint(axes: Axes) -> None:
            axes.axhline(0, color="#333333", linewidth=1)
            deciding = [(p, p.contrasts[place].deciding) for p in found.points if p.contrasts]
            _lines(axes, found, styles, [(p, (d.estimate, *d.interval)) for p, d in deciding])
            axes.set_ylabel(f"pass@{found.ks[place]} against γ = 0 (points)")
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))

        return paint

    bars = _noises(found)
    words = "; ".join(
        f"{point.arm.label} "
        + " and ".join(in_points(one.deciding.estimate) for one in point.contrasts)
        for point in found.points
        if point.contrasts
    )
    n = found.ks[1]
    return save(
        draw_panels([panel(0), panel(1)]),
        "group_size_differences",
        "What the focal weight changes at each group size",
        f"Difference in pass@1 (left) and pass@{n} (right) after training from the arm of the "
        f"same N without focal weight. Bars: 95% intervals {bars}; one that does not reach the "
        "line at 0 is called a difference.",
        f"Differences in pass@1 and pass@{n} from the arm without focal weight, in points: "
        f"{words}.",
    )


def _lines(
    axes: Axes,
    found: SweepNumbers,
    styles: Mapping[str, SeriesStyle],
    points: Sequence[tuple[Point, Ends]],
) -> None:
    """Draw each line with its intervals, somewhat aside of the others."""
    by_line: dict[str, list[tuple[Point, Ends]]] = {}
    for point, values in points:
        by_line.setdefault(point.line.label, []).append((point, values))
    for place, own in enumerate(by_line.values()):
        style = styles[own[0][0].arm.name]
        aside = _APART ** (place - (len(by_line) - 1) / 2)
        sizes = aside * np.array([point.size for point, _ in own])
        mean, low, high = 100 * np.array([values for _, values in own]).T
        axes.plot(sizes, mean, **style.main())
        axes.vlines(sizes, low, high, color=style.colour, linewidth=1.4)
    size_axis(axes, found.sweep.sizes, found.sweep.sizes)
    first, last = axes.get_xlim()
    axes.set_xlim(first / _APART**2, last * _APART**2)


def _also(sweep: Sweep) -> str:
    if not sweep.other:
        return ""
    return f" What else changes with N: {', '.join(sweep.other)}."


def _noises(found: SweepNumbers) -> str:
    several = len(found.points[0].arm.runs) > 1
    return "over mazes and training seeds" if several else "over mazes"
