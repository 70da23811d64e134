"""The figures of a sweep, as matplotlib objects: for notebooks, and saved by `write`.

Shares are drawn in percent, the group size N on an axis of base 2. Lines are means over the seeds,
bands reach from the smallest to the largest seed, small markers are single seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from fgrpo.errors import UsageError
from fgrpo.presentation.figures import HEIGHT, WIDTH, draw_panels
from fgrpo.presentation.series import BASE_COLOUR, SeriesStyle, arm_style
from fgrpo.simulation.tables import final_rows, size_name, tail_miss_rows
from fgrpo.simulation.trajectory import ENTROPY, M_RET, Q_POS, TAIL_MISS, UNSAMPLED_CORRECT
from fgrpo.theory import activity_probability, tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fgrpo.simulation.result import Sweep

    Floats = NDArray[np.float64]
    Painter = Callable[[Axes], None]

AXES = {
    Q_POS: r"correct mass $Q_\mathrm{pos}$ (%)",
    M_RET: r"retained mass $M_\mathrm{ret}$ (%)",
    ENTROPY: "entropy (nats)",
    UNSAMPLED_CORRECT: "unsampled correct mass (%)",
    TAIL_MISS: "tail miss (%)",
}
_NAMES = {Q_POS: "q_pos", M_RET: "m_ret", ENTROPY: "entropy"}
_POINTS = 200  # of a line over the steps
_BLOCKS = 50  # into which the steps of a run are gathered where each step has a group of its own
_TICKS = 6
# How far into a colour map: its end is too light on white.
_VIRIDIS, _PLASMA = 0.9, 0.82
_MANY = 5  # from so many γ on their colours are ordered
_WIDE_LEGEND, _LEGEND_ROW = 3, 0.22  # entries beside each other, inches below each other


def figure_2(sweep: Sweep) -> Figure:
    """Draw the paper's figure 2: correct mass and retained mass over the steps, and what γ changes.

    From the left: total correct mass over the steps, one line for each group size, with the
    sweep's smallest γ; retained correct mass likewise; retained correct mass of the final policy
    against the group size, one line for each γ.

    Parameters
    ----------
    sweep
        What `fgrpo.simulation.result.load_sweep` returns.
    """
    gamma = min(sweep.recipe.gammas)
    last = final_painter(sweep, M_RET)

    def changed(axes: Axes) -> None:
        last(axes)
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.02, 1.0),
            ncols=_WIDE_LEGEND,
            handlelength=2.8,
            columnspacing=1.4,
            borderaxespad=0.2,
        )

    panels = [steps_painter(sweep, gamma, column) for column in (Q_POS, M_RET)]
    named = [_titled(panel, f"γ = {gamma:g}") for panel in panels]
    legend_rows = -(-len(sweep.recipe.gammas) // _WIDE_LEGEND)
    size = (WIDTH, HEIGHT + _LEGEND_ROW * (legend_rows - 1))
    return draw_panels([*named, changed], size=size, legend=False)


def retention_figure(sweep: Sweep) -> Figure:
    """Draw retained mass, correct mass and entropy of the final policies against N, for each γ."""
    return draw_panels([final_painter(sweep, column) for column in (M_RET, Q_POS, ENTROPY)])


def tail_miss_figure(sweep: Sweep) -> Figure:
    """Draw tail miss of the initial policy against N: theory and measurement, and how far apart.

    Left: the probability by lemma 3.1 that a group is active and misses a given action of the tail
    (line), that it is active at all (grey), and the measured share with two standard errors to each
    side. Right: measured less predicted, in the standard errors that theory expects. Circles: the
    mean over the first groups of the sweep's own runs, which are few.
    """
    return draw_panels([tail_miss_painter(sweep), deviation_painter(sweep)])


def trajectories_figure(sweep: Sweep, group_size: int) -> Figure:
    """Draw a group size's runs step by step, one line for each γ.

    From the left: total correct mass, retained correct mass, and averages over blocks of steps of
    the correct mass outside the step's group and of the share of the tail that the group misses (0
    where it is not mixed).

    Parameters
    ----------
    sweep
        What `fgrpo.simulation.result.load_sweep` returns.
    group_size
        One of the sweep's.

    Raises
    ------
    UsageError
        If the sweep has no such group size.
    """
    columns = (Q_POS, M_RET, UNSAMPLED_CORRECT, TAIL_MISS)
    panels = [trajectory_painter(sweep, group_size, column) for column in columns]
    return draw_panels(panels, size=(0.85 * WIDTH, 3.2))


def steps_painter(sweep: Sweep, gamma: float, column: int) -> Painter:
    """Return what paints a column over the steps, a line for each group size."""
    sizes = sorted(sweep.recipe.group_sizes)
    colours = size_colours(sizes)

    def paint(axes: Axes) -> None:
        shown = _shown_steps(sweep.recipe.steps)
        for size, colour in zip(sizes, colours, strict=True):
            _band(axes, shown, 100 * sweep.rows(size, gamma)[:, shown, column], color=colour)
        _step_axis(axes, sweep.recipe.steps)
        axes.set_ylabel(AXES[column])
        _percent_axis(axes)
        _size_bar(axes, sizes, colours)

    return paint


def final_painter(sweep: Sweep, column: int) -> Painter:
    """Return what paints a column of the final policies against N, a line for each γ."""
    styles, rows = gamma_styles(sweep), final_rows(sweep)
    scale = 1 if column == ENTROPY else 100

    def paint(axes: Axes) -> None:
        sizes = np.array(sorted(sweep.recipe.group_sizes))
        for gamma, style in styles.items():
            means = [getattr(row, _NAMES[column]).mean for row in rows if row.gamma == gamma]
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
        _size_axis(axes, sizes)
        axes.set_ylabel(AXES[column])
        if column == ENTROPY:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        else:
            _percent_axis(axes)

    return paint


def tail_miss_painter(sweep: Sweep) -> Painter:
    """Return what paints predicted and measured tail miss, and activity, against N."""
    rows, policy = tail_miss_rows(sweep), sweep.policy

    def paint(axes: Axes) -> None:
        sizes = np.array([row.group_size for row in rows])
        dense = _dense(sizes)
        mu, p = policy.success_rate, policy.probabilities[policy.leaves]
        active = np.asarray(activity_probability(mu, dense))
        missed = np.array(
            [
                np.average(tail_miss_probability(mu, p, n), weights=policy.sizes[policy.leaves])
                for n in dense
            ]
        )
        axes.plot(dense, 100 * active, color=BASE_COLOUR, linewidth=1.4, label="active, predicted")
        axes.plot(dense, 100 * missed, color="#0072b2", linewidth=2, label="tail miss, predicted")
        axes.errorbar(
            sizes,
            [100 * row.measured for row in rows],
            [200 * row.expected_error for row in rows],
            fmt="D",
            color="#222222",
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            label="measured",
            zorder=3,
        )
        axes.plot(sizes, [100 * row.first_measured for row in rows], **_first_look(), zorder=4)
        _size_axis(axes, sizes)
        axes.set_ylabel("active, tail miss (%)")
        _percent_axis(axes)

    return paint


def deviation_painter(sweep: Sweep) -> Painter:
    """Return what paints measured less predicted tail miss in standard errors, against N."""
    rows = tail_miss_rows(sweep)

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
            label="measured",
            zorder=3,
        )
        first = np.array([row.first_deviation for row in rows])
        axes.plot(sizes, first, **_first_look(), zorder=4)
        _size_axis(axes, sizes)
        reach = 1.1 * max(3.0, float(np.abs([deviations, first]).max()))
        axes.set_ylim(-reach, reach)
        axes.set_ylabel("measured − predicted\n(standard errors)")

    return paint


def trajectory_painter(sweep: Sweep, group_size: int, column: int) -> Painter:
    """Return what paints a column of one group size over the steps, a line for each γ."""
    known = sorted(sweep.recipe.group_sizes)
    if group_size not in known:
        raise UsageError(
            f"group_size {group_size} is not in the sweep; choose from {', '.join(map(str, known))}"
        )

    def paint(axes: Axes) -> None:
        for gamma, style in gamma_styles(sweep).items():
            values = 100 * sweep.rows(group_size, gamma)[:, :, column]
            if column in (UNSAMPLED_CORRECT, TAIL_MISS):
                at, values = in_blocks(values[:, :-1])
            else:
                shown = _shown_steps(sweep.recipe.steps)
                at, values = shown.astype(np.float64), values[:, shown]
            _band(axes, at, values, **{**style.main(), "marker": "" if len(at) > 1 else "o"})
        _step_axis(axes, sweep.recipe.steps)
        axes.set_ylabel(AXES[column])
        _percent_axis(axes)

    return paint


def in_blocks(values: Floats) -> tuple[Floats, Floats]:
    """Average over blocks of steps, the last axis; return their middles and the averages.

    Blocks are as long as `block_length` says, the last one perhaps shorter.
    """
    steps = values.shape[-1]
    begins = np.arange(0, steps, block_length(steps))
    lengths = np.diff([*begins, steps])
    return begins + (lengths - 1) / 2, np.add.reduceat(values, begins, axis=-1) / lengths


def block_length(steps: int) -> int:
    """Return how many steps are averaged."""
    return -(-steps // _BLOCKS)


def gamma_styles(sweep: Sweep) -> dict[float, SeriesStyle]:
    """Map each γ, rising, to its look."""
    gammas = sorted(sweep.recipe.gammas)
    styles = {gamma: arm_style(f"γ = {gamma:g}", place) for place, gamma in enumerate(gammas)}
    if len(gammas) < _MANY:
        return styles
    colours = _colours(np.linspace(0, _PLASMA, len(gammas)), "plasma")
    return {
        gamma: SeriesStyle(style.label, colour, style.line, style.marker)
        for (gamma, style), colour in zip(styles.items(), colours, strict=True)
    }


def size_colours(sizes: Sequence[int]) -> list[str]:
    """Return a colour for each group size, by its logarithm, lighter for larger ones."""
    place = np.log2(sizes)
    share = (place - place[0]) / max(place[-1] - place[0], 1e-9)
    return _colours(_VIRIDIS * share, "viridis")


def _colours(places: Floats, name: str) -> list[str]:
    rows = colormaps[name](places)
    return ["#{:02x}{:02x}{:02x}".format(*(round(255 * x) for x in row[:3])) for row in rows]


def _titled(paint: Painter, title: str) -> Painter:
    def titled(axes: Axes) -> None:
        paint(axes)
        axes.set_title(title, loc="left", fontsize=10.5)

    return titled


def _band(axes: Axes, at: Any, values: Floats, **look: Any) -> None:
    """Draw the mean over seeds, the first axis, and shade from the smallest to the largest."""
    look = {"linewidth": 1.6, **look}
    axes.plot(at, values.mean(axis=0), **look)
    if len(values) > 1:
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(at, low, high, color=look["color"], alpha=0.18, linewidth=0)


def _first_look() -> dict[str, Any]:
    """Return how the mean over the runs' own first groups is drawn."""
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": 7,
        "markerfacecolor": "none",
        "markeredgecolor": "#d55e00",
        "markeredgewidth": 1.3,
        "label": "measured, first groups",
    }


def _shown_steps(steps: int) -> NDArray[np.int64]:
    """Return the steps at which a line is drawn: more would only make the file larger."""
    return np.unique(np.linspace(0, steps, min(steps, _POINTS) + 1).round()).astype(np.int64)


def _step_axis(axes: Axes, steps: int) -> None:
    axes.set_xlim(-0.02 * steps, 1.02 * steps)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:.0f}"))
    axes.set_xlabel("step")


def _ends(sizes: NDArray[np.int64]) -> tuple[float, float]:
    """Return the ends of an axis of group sizes."""
    first, last = float(sizes[0]), float(sizes[-1])
    return (first, last) if first < last else (max(2.0, first / 2), 2 * last)


def _dense(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return group sizes close enough for a smooth line."""
    first, last = _ends(sizes)
    grid = np.geomspace(first, last, 2 + int(12 * np.log2(last / first)))
    return np.unique(np.concatenate([grid.round().astype(np.int64), sizes]))


def _size_axis(axes: Axes, sizes: NDArray[np.int64]) -> None:
    first, last = _ends(sizes)
    room = (last / first) ** 0.04
    axes.set_xscale("log", base=2)
    axes.set_xlim(first / room, last * room)
    axes.xaxis.set_major_locator(FixedLocator([sizes[i] for i in _spaced(np.log2(sizes), _TICKS)]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: size_name(n)))
    axes.set_xlabel("group size N")


def _spaced(places: Floats, most: int) -> list[int]:
    """Choose from rising places so that no two are nearer than their range divided by ``most``.

    The first is among them; the last too, if that leaves even gaps and not too few places.
    """
    number, gaps = len(places) - 1, np.diff(places)
    if number > 0 and np.allclose(gaps, gaps[0]):
        for step in range(-(-number // most), 2 * number // most + 1):
            if number % step == 0:
                return list(range(0, number + 1, step))
    nearest = (places[-1] - places[0]) / most
    chosen = [0]
    for i in range(1, len(places)):
        if places[i] - places[chosen[-1]] >= nearest - 1e-9:
            chosen.append(i)
    return chosen


def _size_bar(axes: Axes, sizes: Sequence[int], colours: Sequence[str]) -> None:
    """Explain the colours of the group sizes beside the panel."""
    cells = np.arange(len(sizes) + 1) - 0.5
    mapping = ScalarMappable(BoundaryNorm(cells, len(sizes)), ListedColormap(list(colours)))
    # An inset: the layout would shift a bar of its own a little each time the figure is drawn.
    place = axes.inset_axes((1.03, 0, 0.045, 1))
    bar = axes.figure.colorbar(mapping, cax=place)
    shown = _spaced(np.arange(len(sizes), dtype=np.float64), 9)
    bar.set_ticks(shown, labels=[size_name(sizes[i]) for i in shown])
    place.tick_params(length=0, labelsize=9)
    bar.minorticks_off()
    bar.outline.set_visible(False)
    place.set_title("N", fontsize=10, loc="left")


def _percent_axis(axes: Axes) -> None:
    axes.set_ylim(-2, 103)
    axes.yaxis.set_major_locator(FixedLocator(range(0, 101, 20)))
