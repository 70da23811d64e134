"""The figures of a plan, as matplotlib objects: for notebooks, and saved by `fgrpo.plan.write`.

Shares are drawn in percent, the group size N on an axis of base 2. Where the plan was made from a
pilot, lines are means over the plausible distributions of success rates, and bands hold as many of
them as ``Asked.level`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from scipy.stats import betabinom  # type: ignore[import-untyped,unused-ignore]

from fgrpo.plan.curves import flows, group_curves
from fgrpo.plan.flow import LARGEST_GROUP
from fgrpo.plan.planning import Part
from fgrpo.plan.rates import Band, SuccessRates, band
from fgrpo.presentation.figures import draw, draw_panels
from fgrpo.presentation.series import BASE_COLOUR, arm_style
from fgrpo.theory import activity_probability, peak_group_size, tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fgrpo.plan.pilot import Pilot
    from fgrpo.plan.planning import PilotFindings, Plan

    Floats = NDArray[np.float64]

# The axis reaches on to a safe group size at most so many times the largest one asked for.
_FARTHER = 16
_LEVEL = 0.9
_NORMAL = 1.645  # standard errors on each side of a 90% interval
_ALL_WRONG, _MIXED, _ALL_RIGHT = "#d9a27e", "#2f7f6b", "#a9cde6"
_RATES = np.geomspace(0.002, 0.998, 160)
_ONE_BAR_EACH = 12  # most samples of a prompt with a bar for each number of correct ones
_BETA_CELLS = 2_000_000  # numbers held for the expectation of the histogram


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
        _size_axis(axes, sizes)
        axes.set_ylabel("groups (%)")
        axes.set_ylim(0, 100)
        axes.margins(x=0)

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
            _line(axes, sizes, part.rates.band(values, level), _share_label(share), place)
        if findings is not None and findings.unsampled is not None:
            found = findings.unsampled
            known = np.isfinite(np.asarray(found.mean))
            _points(
                axes,
                curves.group_sizes[known],
                *(np.asarray(side)[known] for side in (found.mean, found.low, found.high)),
                label="from the solutions, no model",
            )
        _size_axis(axes, sizes)
        axes.set_ylabel("correct mass outside\nthe group (%)")
        _percent_axis(axes)

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
            one = Band(*(side[place] for side in ratio))
            _line(axes, sizes, one, f"γ = {gamma:g}", place, scale=1)
        _size_axis(axes, sizes)
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


def pilot_figure(findings: PilotFindings) -> Figure:
    """Draw how many prompts of the pilot have which share of correct samples.

    Bars: the pilot. Points: what the fitted distribution expects, with the interval in which
    pilots drawn from it fall as often as the fit's level says.
    """
    fit = findings.fit

    def paint(axes: Axes) -> None:
        bars = _histogram(fit)
        axes.bar(bars.place, bars.seen, bars.width, color="#7fb2d6", label="pilot")
        low, high = np.quantile(bars.drawn, [(1 - fit.level) / 2, (1 + fit.level) / 2], axis=0)
        _points(axes, bars.place, bars.expected, low, high, label="fitted distribution", scale=1)
        axes.set_xticks(*bars.ticks)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(bars.axis)
        axes.set_ylabel("prompts")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))

    return draw(paint)


def mixture(plan: Plan) -> Part:
    """Return the part that the advice is about: all success rates of the plan, evenly mixed."""
    if len(plan.parts) == 1:
        return plan.parts[0]
    first = plan.parts[0].curves
    nodes = np.concatenate([part.rates.nodes for part in plan.parts])
    weights = np.concatenate([part.rates.weights.mean(axis=0) for part in plan.parts])
    rates = SuccessRates(nodes, weights[None] / len(plan.parts))
    curves = group_curves(
        rates,
        rare_shares=first.rare_shares,
        group_sizes=first.group_sizes,
        gammas=first.gammas,
        target=first.target,
    )
    return Part("all success rates, evenly mixed", rates, curves, None)


def shown_sizes(part: Part) -> tuple[int, int]:
    """Return the ends of the axis of `tail_miss_figure`.

    Those of the table, or as far as the largest safe group size if that is not too far away.
    """
    first, last = _range(part)
    near = [size for size in part.curves.safe if size <= _FARTHER * last]
    return first, max(last, *(1 << (size - 1).bit_length() for size in near)) if near else last


def _tail_miss_painter(
    part: Part, findings: PilotFindings | None, level: float
) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        curves, nodes = part.curves, part.rates.nodes
        first, last = shown_sizes(part)
        sizes = _dense(first, last, (*curves.worst, *curves.safe, *curves.group_sizes))
        active = part.rates.band(activity_probability(nodes, sizes[:, None]), level)
        axes.plot(sizes, 100 * active.mean, color=BASE_COLOUR, linewidth=1.6, label="active")
        _fill(axes, sizes, active, BASE_COLOUR, 100)
        if findings is not None and len(findings.direct.mean):
            mean, error = findings.direct
            error = np.nan_to_num(_NORMAL * error)
            _points(
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
            colour = _line(axes, sizes, missed, _share_label(share), place)
            worst, safe = curves.worst[place], curves.safe[place]
            if first <= worst <= last:
                height = 100 * float(missed.mean[np.flatnonzero(sizes == worst)[0]])
                axes.plot([worst], [height], "o", color=colour, markersize=6, zorder=4)
                _number(axes, worst, height, (0, 6), color=colour, ha="center")
            if worst < safe and first <= safe <= last:
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
                shift = (3 * side, 6)
                _number(axes, safe, 100 * curves.target, shift, color=colour, ha=align)
        _size_axis(axes, sizes)
        axes.set_ylabel("groups (%)")
        _percent_axis(axes)

    return paint


def _rates_painter(parts: Sequence[Part], share: float, named: bool) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        sizes = np.unique(np.concatenate([_sizes(part) for part in parts]))
        for place, part in enumerate(parts):
            nodes = part.rates.nodes
            missed = part.rates.band(tail_miss_probability(nodes, share * nodes, sizes[:, None]))
            _line(axes, sizes, missed, _drawable(part.label), place)
        _size_axis(axes, sizes)
        what = f"active, without a part that\nhas {share_name(share)} of the correct mass (%)"
        axes.set_ylabel(what if named else "groups active and missing\nrare answers (%)")
        _percent_axis(axes)

    return paint


def _worst_painter(shares: Sequence[float], parts: Sequence[Part] = ()) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for place, share in enumerate(shares):
            style = arm_style(_share_label(share), place)
            worst = np.asarray(peak_group_size(_RATES, share * _RATES), dtype=np.float64)
            axes.plot(100 * _RATES, worst, **{**style.main(), "marker": ""})
            for part in parts:
                if len(part.rates.nodes) == 1:
                    curves = part.curves
                    axes.plot(100 * part.rates.nodes, curves.worst[place], "o", color=style.colour)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        axes.set_xlabel("success rate of a prompt (%)")
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
        axes.set_ylabel("worst group size N")

    return paint


class _Histogram(NamedTuple):
    """The bars of the pilot's histogram, and what the fit makes of them."""

    place: Floats
    width: float
    seen: Floats
    expected: Floats
    drawn: Floats  # (D, K): one pilot from each plausible distribution
    ticks: tuple[Sequence[float], Sequence[str]]
    axis: str


def _histogram(fit: Pilot) -> _Histogram:
    """Count prompts by c/n: a bar for each c if samples are few, else never, steps and always."""
    n, c = fit.counts.n, fit.counts.c
    few = fit.fewest == fit.most and fit.most <= _ONE_BAR_EACH
    steps = fit.most - 1 if few else 10 if fit.fewest >= 20 else 5

    def cell(n: NDArray[np.int64], c: NDArray[np.int64]) -> NDArray[np.int64]:
        inside = c if few else 1 + c * steps // n
        return np.where(c == 0, 0, np.where(c == n, steps + 1, inside))

    cells = steps + 2
    rng = np.random.default_rng(0)  # the same picture of the same pilot
    use = int(np.clip(_BETA_CELLS // (fit.most + 1), 100, len(fit.a)))
    expected, drawn = np.zeros(cells), np.zeros((use, cells))
    for size, times in zip(*np.unique(n, return_counts=True), strict=True):
        outcomes = np.arange(size + 1)
        chances = betabinom.pmf(outcomes, size, fit.a[:use, None], fit.b[:use, None])
        into = cell(np.full_like(outcomes, size), outcomes)
        chance = np.stack([chances[:, into == i].sum(axis=1) for i in range(cells)], axis=1)
        chance /= chance.sum(axis=1, keepdims=True)
        expected += times * chance.mean(axis=0)
        drawn += rng.multinomial(times, chance)
    seen = np.bincount(cell(n, c), minlength=cells).astype(np.float64)
    if few:
        place = np.arange(cells, dtype=np.float64)
        names = [f"{i}" for i in range(cells)]
        return _Histogram(
            *(place, 0.85, seen, expected, drawn, (place.tolist(), names)),
            f"correct ones of a prompt's {fit.most} sample{'s' if fit.most > 1 else ''}",
        )
    width = 100 / steps
    inside = width * (0.5 + np.arange(steps))
    aside = max(18.0, 4 + width / 2)  # of never and always from the ends
    place = np.concatenate([[-aside], inside, [100 + aside]])
    marks = [float(mark) for mark in range(0, 101, 20)]
    return _Histogram(
        *(place, 0.88 * width, seen, expected, drawn),
        ([-aside, *marks, 100 + aside], ["never", *(f"{mark:g}" for mark in marks), "always"]),
        "correct samples of a prompt (%)",
    )


def _range(part: Part) -> tuple[int, int]:
    """Return the ends of an axis of group sizes: those of the table."""
    sizes = part.curves.group_sizes
    first, last = int(sizes.min()), int(sizes.max())
    return (first, last) if first < last else (max(2, first // 2), 2 * last)


def _sizes(part: Part, an_octave: int = 12) -> NDArray[np.int64]:
    """Return group sizes close enough for a smooth line, those of the table among them."""
    return _dense(*_range(part), part.curves.group_sizes.tolist(), an_octave)


def _dense(first: int, last: int, also: Sequence[int], an_octave: int = 12) -> NDArray[np.int64]:
    """Return group sizes close enough for a smooth line, those of ``also`` within among them."""
    number = 2 + int(an_octave * np.log2(last / first))
    inside = [size for size in also if first <= size <= last]
    grid = np.geomspace(first, last, number).round()
    return np.unique(np.concatenate([grid, inside])).astype(np.int64)


def _line(
    axes: Axes, sizes: NDArray[np.int64], values: Band, label: str, place: int, scale: float = 100
) -> str:
    """Draw a mean with its band and return its colour."""
    style = arm_style(label, place)
    _fill(axes, sizes, values, style.colour, scale)
    axes.plot(sizes, scale * values.mean, **{**style.main(), "marker": ""})
    return style.colour


def _fill(axes: Axes, sizes: NDArray[np.int64], values: Band, colour: str, scale: float) -> None:
    """Shade a band, if there is one."""
    if not np.array_equal(values.low, values.high, equal_nan=True):
        axes.fill_between(
            sizes, scale * values.low, scale * values.high, color=colour, alpha=0.15, linewidth=0
        )


def _points(
    axes: Axes,
    places: Floats | NDArray[np.int64],
    mean: Floats,
    low: Floats,
    high: Floats,
    *,
    label: str,
    colour: str = "#222222",
    scale: float = 100,
) -> None:
    """Draw points with upright intervals, where these are known."""
    axes.vlines(places, scale * low, scale * high, color=colour, linewidth=1.4, zorder=3)
    axes.plot(
        *(places, scale * mean, "D"),
        color=colour,
        markersize=4.5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3.5,
        label=label,
    )


def _number(axes: Axes, size: int, height: float, shift: tuple[float, float], **look: Any) -> None:
    """Write a group size beside its mark, with a white edge that keeps lines off the digits."""
    axes.annotate(
        f"{size}",
        *((size, height), shift),
        textcoords="offset points",
        fontsize=9,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
        zorder=5,
        **look,
    )


def _size_axis(axes: Axes, sizes: NDArray[np.int64]) -> None:
    axes.set_xscale("log", base=2)
    octaves = range(int(np.ceil(np.log2(sizes[0]))), int(np.log2(sizes[-1])) + 1)
    axes.xaxis.set_major_locator(FixedLocator([2**i for i in octaves[:: 1 + len(octaves) // 11]]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
    axes.set_xlabel("group size N")


def _percent_axis(axes: Axes) -> None:
    axes.set_ylim(0, 105)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def share_name(share: float) -> str:
    """Write a rare share in percent, as the legends do."""
    return f"{100 * share:.3g}%"


def _share_label(share: float) -> str:
    return f"rare share {share_name(share)}"


def _drawable(label: str) -> str:
    """Take from a label what matplotlib reads as formula or as hidden, and what no font has."""
    label = "".join(c if c.isprintable() else "?" for c in label)
    label = label.replace("$", r"\$")
    return f" {label}" if label.startswith("_") else label
