"""The figures of a plan, as matplotlib objects: for notebooks, and saved by `fgrpo.plan.write`.

Shares are drawn in percent, the group size N on an axis of base 2. Where the plan was made from a
pilot, lines are means over the plausible distributions of success rates, and bands hold as many of
them as ``Asked.level`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from fgrpo.plan.curves import flows
from fgrpo.plan.flow import LARGEST_GROUP
from fgrpo.plan.painting import fill, line, number, points
from fgrpo.plan.rates import band
from fgrpo.presentation.axes import dense_sizes, percent_axis, size_axis, size_ends
from fgrpo.presentation.figures import draw, draw_panels
from fgrpo.presentation.numbers import share_name
from fgrpo.presentation.series import BASE_COLOUR, arm_style
from fgrpo.theory import activity_probability, peak_group_size, tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fgrpo.plan.curves import GroupCurves
    from fgrpo.plan.planning import Part, PilotFindings, Plan

# The axis reaches on to a safe group size at most so many times the largest one asked for.
_FARTHER = 16
_LEVEL = 0.9
_NORMAL = 1.645  # standard errors on each side of a 90% interval
_ALL_WRONG, _MIXED, _ALL_RIGHT = "#d9a27e", "#2f7f6b", "#a9cde6"
_RATES = np.geomspace(0.002, 0.998, 160)


def tail_miss_figure(
    part: Part, findings: PilotFindings | None = None, *, level: float = _LEVEL
) -> Figure:
    """Draw the tail-miss probability against N, one line for each rare share.

    A dot with its number marks the worst group size, an upright stroke on the dotted line of the
    target the smallest safe one; grey is how often groups are active at all.

    Parameters
    ----------
    part
        What to draw.
    findings
        Of the plan's pilot: adds activity without a model, with 90% intervals.
    level
        Of the bands.
    """
    return draw(_tail_miss_painter(part, findings, level))


def groups_figure(part: Part) -> Figure:
    """Draw the shares of groups that are all wrong, mixed and all right, stacked, against N."""

    def paint(axes: Axes) -> None:
        sizes = _sizes(part)
        nodes, column = part.rates.nodes, sizes[:, None]
        right = 100 * part.rates.band(nodes**column).mean
        active = 100 * part.rates.band(activity_probability(nodes, column)).mean
        edges = [np.zeros(len(sizes)), 100 - right - active, 100 - right, np.full(len(sizes), 100)]
        looks = (("all wrong", _ALL_WRONG), ("mixed: active", _MIXED), ("all right", _ALL_RIGHT))
        for low, high, (label, colour) in zip(edges, edges[1:], looks, strict=False):
            axes.fill_between(
                sizes, low, high, color=colour, label=label, edgecolor="white", linewidth=1.2
            )
        size_axis(axes, sizes)
        axes.set_ylabel("groups (%)")
        axes.set_ylim(0, 100)
        axes.set_xlim(sizes[0], sizes[-1])

    return draw(paint)


def unsampled_figure(
    part: Part, findings: PilotFindings | None = None, *, level: float = _LEVEL
) -> Figure:
    """Draw the expected share of the correct mass that a group does not contain, against N.

    Parameters
    ----------
    part
        What to draw: one line for each rare share that all correct answers are taken to have.
    findings
        Of the plan's pilot: adds what its solutions say without a model, with intervals, up to the
        samples that it has.
    level
        Of the bands.
    """

    def paint(axes: Axes) -> None:
        curves = part.curves
        sizes = _sizes(part)
        for place, share in enumerate(curves.rare_shares):
            values = np.exp(sizes[:, None] * np.log1p(-share * part.rates.nodes))
            line(axes, sizes, part.rates.band(values, level), _share_label(share), place)
        if findings is not None and findings.unsampled is not None:
            found = findings.unsampled
            known = np.isfinite(np.asarray(found.mean))
            points(
                axes,
                curves.group_sizes[known],
                *(np.asarray(side)[known] for side in (found.mean, found.low, found.high)),
                label="from the solutions, no model",
            )
        size_axis(axes, sizes)
        axes.set_ylabel("correct mass outside\nthe group (%)")
        percent_axis(axes)

    return draw(paint)


def drain_figure(part: Part, *, level: float = _LEVEL) -> Figure:
    """Draw the mass drained from unseen answers for each unit gained, against N.

    One line for each γ of the plan, for its smallest rare share; groups above 4096 are left out.
    """

    def paint(axes: Axes) -> None:
        curves = part.curves
        sizes = np.unique(np.minimum(_sizes(part, 4), LARGEST_GROUP))
        share = curves.rare_shares.min(keepdims=True)
        gained, drained = flows(part.rates, share, sizes, curves.gammas)
        ratio = band((drained / np.where(gained > 0, gained, np.nan))[:, :, 0], level)
        for place, gamma in enumerate(curves.gammas):
            line(axes, sizes, ratio.at(place), f"γ = {gamma:g}", place, scale=1)
        size_axis(axes, sizes)
        axes.set_ylabel("drained from unseen answers\nfor each unit gained")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))

    return draw(paint)


def compare_rates_figure(plan: Plan, rare_share: float | None = None) -> Figure:
    """Draw tail miss against N, one line for each success rate.

    Parameters
    ----------
    plan
        Of several success rates.
    rare_share
        Which panel to draw; None: one for each rare share of the plan, side by side, and
        `worst_size_figure`'s after them.
    """
    shares = plan.parts[0].curves.rare_shares if rare_share is None else [rare_share]
    paints = [_rates_painter(plan.parts, float(share), rare_share is None) for share in shares]
    if rare_share is None:
        paints.append(_worst_painter([float(share) for share in shares]))
    return draw_panels(paints)


def worst_size_figure(plan: Plan) -> Figure:
    """Draw the group size with the highest tail miss against the success rate.

    One line for each rare share of the plan, dots at its own success rates.
    """
    curves = plan.parts[0].curves
    return draw(_worst_painter([float(share) for share in curves.rare_shares], plan.parts))


def shown_sizes(part: Part) -> tuple[int, int]:
    """Return the ends of the axis of `tail_miss_figure`.

    Those of the table, or as far as the largest safe group size if that is not too far away.
    """
    first, last = _range(part)
    near = [size for size in _marked(part.curves) if size <= _FARTHER * last]
    return first, max(last, *(1 << (size - 1).bit_length() for size in near)) if near else last


def _marked(curves: GroupCurves) -> list[int]:
    """Return the safe group sizes that mean something."""
    pairs = zip(curves.safe, curves.mostly_dead, strict=True)
    return [size for size, dead in pairs if size is not None and not dead]


def _tail_miss_painter(
    part: Part, findings: PilotFindings | None, level: float
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        curves, nodes = part.curves, part.rates.nodes
        first, last = shown_sizes(part)
        turning = [size for size in (*curves.worst, *curves.safe) if size is not None]
        sizes = dense_sizes(first, last, [*turning, *curves.group_sizes])
        active = part.rates.band(activity_probability(nodes, sizes[:, None]), level)
        axes.plot(sizes, 100 * active.mean, color=BASE_COLOUR, linewidth=1.6, label="active")
        fill(axes, sizes, active, BASE_COLOUR, 100)
        if findings is not None and len(findings.direct.mean):
            mean, error = findings.direct
            error = np.nan_to_num(_NORMAL * error)
            points(
                axes,
                curves.group_sizes[: len(mean)],
                *(mean, np.maximum(mean - error, 0), np.minimum(mean + error, 1)),
                label="active, no model",
                colour=BASE_COLOUR,
            )
        target = f"target {share_name(curves.target)}"
        axes.axhline(100 * curves.target, color="#222222", linewidth=1, linestyle=":", label=target)
        for place, share in enumerate(curves.rare_shares):
            missed = part.rates.band(
                tail_miss_probability(nodes, share * nodes, sizes[:, None]), level
            )
            colour = line(axes, sizes, missed, _share_label(share), place)
            worst = curves.worst[place] or last + 1
            if first <= worst <= last:
                height = 100 * float(missed.mean[np.flatnonzero(sizes == worst)[0]])
                axes.plot([worst], [height], "o", color=colour, markersize=6, zorder=4)
                number(axes, worst, height, (0, 6), color=colour, ha="center")
            safe = None if curves.mostly_dead[place] else curves.safe[place]
            if safe is not None and worst < safe and first <= safe <= last:
                axes.plot(
                    *([safe], [100 * curves.target]),
                    *("|",),
                    color=colour,
                    markersize=13,
                    markeredgewidth=2,
                    zorder=4,
                )
                side = -1 if 1.5 * safe > last else 1  # within the axis
                align = "left" if side > 0 else "right"
                row = (len(curves.rare_shares) - 1 - place) % 3  # apart from its neighbours
                shift = (3 * side, 6 + 12 * row)
                number(axes, safe, 100 * curves.target, shift, color=colour, ha=align)
        size_axis(axes, sizes)
        axes.set_ylabel("groups (%)")
        percent_axis(axes)

    return paint


def _rates_painter(parts: Sequence[Part], share: float, named: bool) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        sizes = np.unique(np.concatenate([_sizes(part) for part in parts]))
        for place, part in enumerate(parts):
            nodes = part.rates.nodes
            missed = part.rates.band(tail_miss_probability(nodes, share * nodes, sizes[:, None]))
            line(axes, sizes, missed, _drawable(part.label), place)
        size_axis(axes, sizes)
        what = f"active, without a part that\nhas {share_name(share)} of the correct mass (%)"
        axes.set_ylabel(what if named else "groups active and missing\nrare answers (%)")
        percent_axis(axes)

    return paint


def _worst_painter(shares: Sequence[float], parts: Sequence[Part] = ()) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for place, share in enumerate(shares):
            style = arm_style(_share_label(share), place)
            worst = np.asarray(peak_group_size(_RATES, share * _RATES), dtype=np.float64)
            axes.plot(100 * _RATES, worst, **{**style.main(), "marker": ""})
            for part in parts:
                if len(part.rates.nodes) == 1:
                    dot = part.curves.worst[place]
                    if dot is not None:
                        axes.plot(100 * part.rates.nodes, dot, "o", color=style.colour)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        axes.set_xlabel("success rate of a prompt (%)")
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
        axes.set_ylabel("worst group size N")

    return paint


def _range(part: Part) -> tuple[int, int]:
    """Return the ends of an axis of group sizes: those of the table."""
    sizes = part.curves.group_sizes
    return size_ends([int(sizes.min()), int(sizes.max())])


def _sizes(part: Part, an_octave: int = 12) -> NDArray[np.int64]:
    """Return group sizes close enough for a smooth line, those of the table among them."""
    return dense_sizes(*_range(part), part.curves.group_sizes, an_octave)


def _share_label(share: float) -> str:
    return f"rare share {share_name(share)}"


def _drawable(label: str) -> str:
    """Take from a label what matplotlib reads as formula or as hidden, and what no font has."""
    label = "".join(c if c.isprintable() else "?" for c in label)
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
