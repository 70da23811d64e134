"""The figure of a pilot: its success rates, and what was fitted to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.stats import betabinom  # type: ignore[import-untyped,unused-ignore]

from fgrpo.plan.painting import points
from fgrpo.presentation.figures import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fgrpo.plan.pilot import Pilot
    from fgrpo.plan.planning import PilotFindings

    Floats = NDArray[np.float64]

_ONE_BAR_EACH = 12  # most samples of a prompt with a bar for each number of correct ones
_BETA_CELLS = 2_000_000  # numbers held for the expectation of the histogram


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
        points(axes, bars.place, bars.expected, low, high, label="fitted distribution", scale=1)
        axes.set_xticks(*bars.ticks)
        axes.tick_params(axis="x", length=0)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(bars.axis)
        axes.set_ylabel("prompts")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))

    return draw(paint)


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
