"""The figures: pass@k, differences against k, differences by benchmark, lost and gained."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from fgrpo.diagnose.curves import crossing_words
from fgrpo.diagnose.names import shortened
from fgrpo.presentation.figures import HEIGHT, WIDTH, DrawnFigure, render
from fgrpo.presentation.numbers import in_points, percent
from fgrpo.presentation.series import arm_style, base_style
from fgrpo.report.figures import count_both_ways, shown_ks, within_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from fgrpo.diagnose.result import Contrast, Diagnosis, Scope
    from fgrpo.presentation.series import SeriesStyle

_LONGEST = 26  # characters of a name that a figure has room for
_CAPTION = (
    "Bands: 95% bootstrap intervals over problems, of each curve alone; arms are compared on the "
    "same problems, so overlapping bands say nothing about their difference."
)


def arm_styles(found: Diagnosis) -> list[SeriesStyle]:
    """Return the style of every arm, the first as the reference."""
    first, *later = map(drawable, shortened(found.labels, _LONGEST))
    return [base_style(first), *(arm_style(label, place) for place, label in enumerate(later))]


def drawable(text: str) -> str:
    """Replace what the font lacks, and take its meaning from $ and a leading _."""
    known = _glyphs()
    text = "".join(
        c if ord(c) in known and c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # matplotlib hides labels that start so


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _benchmark_axis(axes: Axes, scopes: Sequence[Scope]) -> None:
    """Name the scopes beside y = 0, 1 and so on."""
    names = shortened([scope.name for scope in scopes], _LONGEST)
    axes.set_yticks(range(len(scopes)), list(map(drawable, names)))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def _file_name(found: Diagnosis, scope: Scope) -> str:
    """Name a scope in file names: its number, and what is safe of its name."""
    if scope.macro:
        return "macro"
    safe = re.sub(r"[^A-Za-z0-9-]+", "_", scope.name)[:40]
    return f"{found.benchmarks.index(scope) + 1:02d}_{safe.strip('_')}".rstrip("_")


def overview_figures(found: Diagnosis) -> list[DrawnFigure]:
    """Draw what is about all benchmarks: differences by benchmark at every k, lost and gained."""
    styles = arm_styles(found)
    figures = [_by_benchmark(found, styles, k) for k in found.ks] if found.macro else []
    return [*figures, _lost_gained(found, styles)]


def scope_figures(found: Diagnosis, scope: Scope) -> list[DrawnFigure]:
    """Draw a scope's curves, and their differences from the first arm's."""
    styles = arm_styles(found)
    end = _file_name(found, scope)
    return [_curves(found, scope, styles, end), _differences(found, scope, styles, end)]


def _k_axis(axes: Axes, ks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(shown_ks([k for k in ks if _round(k, ks)])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:g}"))
    axes.set_xlabel("k (samples allowed)")


def _round(k: int, ks: Sequence[int]) -> bool:
    """Tell the powers of two and the last k, which get labels, from others that were asked for."""
    return k & (k - 1) == 0 or k == ks[-1]


def _curves(found: Diagnosis, scope: Scope, styles: Sequence[SeriesStyle], end: str) -> DrawnFigure:
    def paint(axes: Axes) -> None:
        for curve, style in zip(scope.curves, styles, strict=True):
            if np.isfinite(curve.low).all():
                low, high = 100 * curve.low, 100 * curve.high
                axes.fill_between(curve.ks, low, high, color=style.colour, alpha=0.1, linewidth=0)
            axes.plot(curve.ks, 100 * curve.mean, **style.main())
        _k_axis(axes, scope.curves[0].ks)
        axes.set_ylabel("solved: pass@k (%)")
        within_percent(axes)

    bands = _CAPTION if np.isfinite(scope.curves[0].low).all() else "No bands: too few problems."
    shown = "; ".join(
        f"{label} from {percent(curve.mean[0])} at k = 1 to {percent(curve.mean[-1])} at "
        f"k = {curve.ks[-1]}"
        for label, curve in zip(found.labels, scope.curves, strict=True)
    )
    return render(
        f"pass_at_k_{end}",
        "pass@k against k",
        f"Share of problems solved by at least one of k samples. {bands}",
        f"Pass@k against k, {scope.name}: {shown}.",
        paint,
    )


def _differences(
    found: Diagnosis, scope: Scope, styles: Sequence[SeriesStyle], end: str
) -> DrawnFigure:
    def paint(axes: Axes) -> None:
        axes.axhline(0, color=styles[0].colour, linestyle=styles[0].line, linewidth=1.4)
        for contrasts, style in zip(scope.contrasts, styles[1:], strict=True):
            ks = [one.k for one in contrasts]
            low, high = np.array([one.comparison.interval for one in contrasts]).T * 100
            if np.isfinite(low).all():
                axes.fill_between(ks, low, high, color=style.colour, alpha=0.13, linewidth=0)
            axes.plot(ks, [100 * one.comparison.estimate for one in contrasts], **style.main())
        _k_axis(axes, scope.curves[0].ks)
        axes.set_ylabel("difference in pass@k\n(percentage points)")
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))

    bands = "No bands: too few problems."
    if any(np.isfinite(one.comparison.interval).all() for one in scope.contrasts[0]):
        bands = (
            "Bands: 95% intervals of the difference at each k, not corrected for the number of "
            "tests."
        )
    words = "; ".join(
        f"{label}: {crossing_words(scope.crossings[later])}" for later, label in found.later
    )
    return render(
        f"difference_{end}",
        f"Difference from {found.labels[0]}",
        f"Above the dashed line an arm solves more with k samples than {found.labels[0]}; where "
        f"it crosses the line the curves cross. {bands}",
        f"Difference from {found.labels[0]} in pass@k, {scope.name}: {words}.",
        paint,
    )


def _by_benchmark(found: Diagnosis, styles: Sequence[SeriesStyle], k: int) -> DrawnFigure:
    scopes = found.scopes
    arms = len(found.later)

    def paint(axes: Axes) -> None:
        axes.axvline(0, color="#333333", linewidth=1)
        for later, _ in found.later:
            style = styles[1 + later]
            shift = (later - (arms - 1) / 2) * 0.62 / max(arms, 2)
            results = [scope.contrast(later, k).comparison for scope in scopes]
            values = np.array([100 * one.estimate for one in results])
            low, high = (100 * np.array([one.interval for one in results])).T
            y = np.arange(len(scopes)) + shift
            known = np.isfinite(low)
            axes.hlines(y[known], low[known], high[known], color=style.colour, linewidth=1.8)
            look = {**style.main(), "linestyle": "none"}
            axes.plot(values, y, **look)
        _benchmark_axis(axes, scopes)
        axes.axhline(0.5, color="#cccccc", linewidth=1)
        axes.set_ylim(len(scopes) - 0.45, -0.55)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.set_xlabel("difference (points)")

    words = "; ".join(
        f"{label} " + ", ".join(_told(scope, scope.contrast(later, k)) for scope in scopes)
        for later, label in found.later
    )
    height = max(HEIGHT - 0.6, 0.34 * len(scopes) * max(1.0, 0.55 * arms) + 1.1)
    return render(
        f"by_benchmark_{k}",
        f"pass@{k}: difference from {found.labels[0]} by benchmark",
        "Right of the line an arm is better. Bars: 95% intervals, paired by problem, not corrected "
        "for the number of tests (the verdicts are).",
        f"Difference in pass@{k} from {found.labels[0]}: {words}.",
        paint,
        size=(WIDTH, height),
    )


def _told(scope: Scope, one: Contrast) -> str:
    return f"{scope.name} {in_points(one.comparison.estimate)} points"


def _lost_gained(found: Diagnosis, styles: Sequence[SeriesStyle]) -> DrawnFigure:
    scopes, arms = found.benchmarks, len(found.later)
    width = 0.8 / arms

    def paint(axes: Axes) -> None:
        axes.axvline(0, color="#333333", linewidth=1)
        for later, _ in found.later:
            style = styles[1 + later]
            for y, scope in enumerate(scopes):
                one = scope.changed[later]
                place = y + (later - (arms - 1) / 2) * width
                pairs = (
                    (-1, len(one.lost), one.expected_lost),
                    (1, len(one.gained), one.expected_gained),
                )
                for sign, number, expected in pairs:
                    axes.barh(
                        place,
                        sign * number,
                        0.86 * width,
                        color=style.colour,
                        alpha=0.75,
                        label=style.label if (y, sign) == (0, 1) else None,
                    )
                    mark = (place - width / 2, place + width / 2)
                    axes.plot([sign * expected] * 2, mark, color="#222222", linewidth=1.4)
                    axes.annotate(
                        f"{number}",
                        (sign * max(number, expected), place),
                        (sign * 4, 0),
                        textcoords="offset points",
                        ha="left" if sign > 0 else "right",
                        va="center",
                        fontsize=9,
                    )
        _benchmark_axis(axes, scopes)
        axes.set_ylim(len(scopes) - 0.5, -0.5)
        count_both_ways(axes, room=0.12)
        axes.set_xlabel("problems: ← lost   |   gained →")

    words = "; ".join(
        f"{label} "
        + ", ".join(
            f"{scope.name} lost {len(scope.changed[later].lost)}, gained "
            f"{len(scope.changed[later].gained)}"
            for scope in scopes
        )
        for later, label in found.later
    )
    first = found.labels[0]
    return render(
        "lost_gained",
        f"Problems lost and gained against {first}",
        f"Lost: {first} solved it at least once, the arm never; gained: the reverse. Black marks: "
        "how many chance would change on average if both had the same success rate on every "
        "problem.",
        f"Problems lost and gained against {first}: {words}.",
        paint,
        size=(WIDTH, max(HEIGHT - 0.6, 0.24 * len(scopes) * max(2, arms) + 1.2)),
    )
