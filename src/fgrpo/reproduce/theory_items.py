"""Figures 1a, 3, 4 and 5: the theory, checked against groups drawn at random."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.integrate import quad  # type: ignore[import-untyped,unused-ignore]

from fgrpo.advantage import focal_weight
from fgrpo.plan import Asked, plan_for_rates
from fgrpo.plan.figures import compare_rates_figure, tail_miss_figure, worst_size_figure
from fgrpo.presentation.axes import percent_axis
from fgrpo.presentation.figures import draw_panels, save
from fgrpo.presentation.numbers import percent, share_name, size_name
from fgrpo.presentation.series import arm_style
from fgrpo.reproduce.item import Claim, Finding, Made, Runs, Table, every
from fgrpo.theory import peak_group_size, tail_miss_probability, update_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RATE: Final = 0.3
RATES: Final = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
RARE_SHARES: Final = (0.05, 0.1, 0.2)
GAMMAS: Final = (0.0, 0.5, 1.0, 2.0)
PAPER_SCALES: Final = {0.5: 0.67906, 1.0: 0.5, 2.0: 0.3125}  # appendix N
_SIZES = (2, 4, 8, 16, 32, 64, 128)
_LONG = 4096  # group sizes looked at one by one for rise and fall
_GROUPS = 100_000
_FAR = 4.0  # standard errors
_SEED = 0
_OURS_TO_CHOOSE = (
    "The paper's own success rates and rare shares are not known to us; these are the ones of "
    "docs/group-size.md. fgrpo plan draws any others."
)
_SHARES = ", ".join(share_name(share) for share in RARE_SHARES)


class Drawn(NamedTuple):
    """Share of drawn groups that were active and missed the rare answers, and lemma 3.1."""

    rate: float
    share: float
    size: int
    measured: float
    error: float
    predicted: float

    @property
    def deviation(self) -> float:
        """How many standard errors apart they are."""
        return (self.measured - self.predicted) / self.error


def figure_1a(_: Runs) -> Made:
    """Draw tail miss against the group size, for several rare shares."""
    plan = plan_for_rates([RATE], Asked(rare_shares=RARE_SHARES))
    drawn = draw_groups([RATE], RARE_SHARES)
    figure = tail_miss_figure(plan.parts[0])
    _crosses(figure, drawn)
    peaks = [int(peak_group_size(RATE, share * RATE)) for share in RARE_SHARES]
    heights = [
        float(tail_miss_probability(RATE, s * RATE, n))
        for s, n in zip(RARE_SHARES, peaks, strict=True)
    ]
    shown = ", ".join(
        f"{share_name(share)}: {percent(height)} at N = {peak}"
        for share, height, peak in zip(RARE_SHARES, heights, peaks, strict=True)
    )
    both = zip(pairwise(heights), pairwise(peaks), strict=True)
    rarer_is_worse = [a > b and m > n for (a, b), (m, n) in both]
    return Made(
        scale=f"exact; {_GROUPS:,} groups drawn for each cross",
        ours=f"worst group size by rare share: {shown}",
        paper="tail miss rises from 0, peaks and falls; rarer answers peak later and higher",
        claims=(
            _lemma(drawn),
            _hump([(RATE, share) for share in RARE_SHARES]),
            every(
                "the rarer the answers, the larger and the worse the worst N",
                rarer_is_worse,
                "each share against the next larger one",
                exact=True,
            ),
        ),
        tables=(_drawn_table(drawn),),
        figures=(
            save(
                figure,
                "figure-1a",
                "Tail miss against the group size",
                f"Groups that are active and contain none of the rare right answers, at a success "
                f"rate of {share_name(RATE)}; the rare ones have {_SHARES} of the correct mass. "
                f"Lines: lemma 3.1, a dot with its N on top; grey: all active groups. Crosses: "
                f"{_GROUPS:,} groups drawn. A stroke marks the N from which the rare answers are "
                "missed less often than the dotted target.",
                f"Humps over the group size; their tops, by rare share: {shown}.",
            ),
        ),
        notes=(_OURS_TO_CHOOSE,),
    )


def figure_3(_: Runs) -> Made:
    """Draw tail miss against the group size, for several success rates."""
    share = 0.1
    plan = plan_for_rates(list(RATES), Asked(rare_shares=(share,)))
    drawn = draw_groups(RATES, [share])
    figure = compare_rates_figure(plan, share)
    _crosses(figure, drawn)
    peaks = [int(peak_group_size(rate, share * rate)) for rate in RATES]
    shown = ", ".join(
        f"{share_name(rate)}: {peak}" for rate, peak in zip(RATES, peaks, strict=True)
    )
    return Made(
        scale=f"exact; {_GROUPS:,} groups drawn for each cross",
        ours=f"worst group size by success rate: {shown}",
        paper="the hump is there for every success rate; where it lies depends on the rate",
        claims=(_lemma(drawn), _hump([(rate, share) for rate in RATES])),
        tables=(_drawn_table(drawn),),
        figures=(
            save(
                figure,
                "figure-3",
                "Tail miss for several success rates",
                "Groups that are active and miss right answers that have "
                f"{share_name(share)} of the correct mass. Lines: lemma 3.1. Crosses: "
                f"{_GROUPS:,} groups drawn.",
                f"Humps over the group size; their tops, by success rate: {shown}.",
            ),
        ),
        notes=(_OURS_TO_CHOOSE,),
    )


def figure_4(_: Runs) -> Made:
    """Draw the focal weight and the update that it leaves, against the success rate."""
    rates = np.linspace(0.0, 1.0, 201)

    def paint(axes: Axes, of_update: bool) -> None:
        size = 2 * np.sqrt(rates * (1 - rates)) if of_update else 1.0
        for place, gamma in enumerate(GAMMAS):
            style = arm_style("γ = 0: no weight" if gamma == 0 else f"γ = {gamma:g}", place)
            values = 100 * size * focal_weight(rates, gamma)
            axes.plot(100 * rates, values, **{**style.main(), "marker": ""})
        axes.set_xlabel("success rate of a prompt (%)")
        axes.set_ylabel("mean size of the update (%)" if of_update else "focal weight (%)")
        percent_axis(axes)

    figure = draw_panels([lambda axes: paint(axes, False), lambda axes: paint(axes, True)])
    rows, held = [], []
    for gamma, stated in PAPER_SCALES.items():
        ours = _mean_scale(gamma)
        held.append(abs(ours - stated) < 5e-6 and abs(float(update_scale(gamma)) - ours) < 1e-9)
        rows.append((f"{gamma:g}", f"{ours:.5f}", f"{stated:.5f}"))
    shown = ", ".join(f"{ours} (γ = {gamma})" for gamma, ours, _ in rows)
    halfway = ", ".join(f"{percent(focal_weight(0.5, g))} (γ = {g:g})" for g in GAMMAS)
    return Made(
        scale="exact",
        ours=f"mean size of the update {shown}",
        paper="weight (1 − success rate)^γ; mean size m_γ = B(3/2, γ + 3/2) / B(3/2, 3/2)",
        claims=(
            every(
                "the mean size of the update is the paper's m_γ, to five digits",
                held,
                shown,
                exact=True,
            ),
        ),
        tables=(
            Table("Mean size of the update", ("γ", "ours, by integration", "paper"), tuple(rows)),
        ),
        figures=(
            save(
                figure,
                "figure-4",
                "The focal weight, and what it leaves of the update",
                "Left: (1 − μ)^γ. Right: the same times 2√(μ(1 − μ)), the mean size of a group's "
                "normalised advantages, 100% being its largest without weight.",
                f"Weight at a success rate of 50%: {halfway}. Mean size of the update over all "
                f"success rates, against γ = 0: {shown}.",
            ),
        ),
    )


def figure_5(_: Runs) -> Made:
    """Draw the worst group size against the success rate."""
    plan = plan_for_rates(list(RATES), Asked(rare_shares=RARE_SHARES))
    sizes = np.arange(1, _LONG + 1)
    rows, held = [], []
    for rate in RATES:
        cells = []
        for share in RARE_SHARES:
            searched = int(sizes[_curve(rate, share, sizes).argmax()])
            held.append(searched == peak_group_size(rate, share * rate))
            cells.append(size_name(searched))
        rows.append((share_name(rate), *cells))
    rarer_is_larger = []
    for rate in RATES:
        peaks = [int(peak_group_size(rate, share * rate)) for share in RARE_SHARES]
        rarer_is_larger.append(all(a > b for a, b in pairwise(peaks)))
    shown = (
        f"{', '.join(rows[0][1:])} at a success rate of {rows[0][0]}, "
        f"{', '.join(rows[-1][1:])} at {rows[-1][0]}"
    )
    return Made(
        scale=f"exact; every N up to {_LONG:,} searched",
        ours=f"worst group size, for rare shares of {_SHARES}: {shown}",
        paper="rarer answers move the worst group size up, at every success rate",
        claims=(
            every(
                "the N drawn is where lemma 3.1 is highest, as a search over every N finds it",
                held,
                "success rates × rare shares",
                exact=True,
            ),
            every(
                "the rarer the answers, the larger the worst N",
                rarer_is_larger,
                "success rates",
                exact=True,
            ),
        ),
        tables=(
            Table(
                "Worst group size",
                ("success rate", *(f"rare share {share_name(s)}" for s in RARE_SHARES)),
                tuple(rows),
            ),
        ),
        figures=(
            save(
                worst_size_figure(plan),
                "figure-5",
                "The worst group size",
                "The group size at which an active group most probably misses the rare answers. "
                "Dots: the success rates of the table.",
                f"Worst group size against the success rate, for rare shares of {_SHARES}: "
                f"{shown}.",
            ),
        ),
        notes=(_OURS_TO_CHOOSE,),
    )


def draw_groups(rates: Sequence[float], shares: Sequence[float]) -> list[Drawn]:
    """Draw groups at random and count those that are active and miss the rare answers."""
    rng = np.random.default_rng(_SEED)
    found = []
    for rate in rates:
        for share in shares:
            for size in _SIZES:
                mass = [share * rate, (1 - share) * rate, 1 - rate]
                rare, other, wrong = rng.multinomial(size, mass, size=_GROUPS).T
                measured = float(((rare == 0) & (other > 0) & (wrong > 0)).mean())
                predicted = float(tail_miss_probability(rate, share * rate, size))
                error = float(np.sqrt(predicted * (1 - predicted) / _GROUPS))
                found.append(Drawn(rate, share, size, measured, error, predicted))
    return found


def _lemma(drawn: Sequence[Drawn]) -> Claim:
    far = max(abs(one.deviation) for one in drawn)
    within = Finding.AGREES if far < _FAR else Finding.DISAGREES
    text = f"lemma 3.1 holds: the share of drawn groups is within {_FAR:g} standard errors of it"
    return Claim(text, f"largest deviation of {len(drawn)}: {far:.1f} standard errors", within)


def _hump(cases: Sequence[tuple[float, float]]) -> Claim:
    """Judge that tail miss starts at 0, rises to one peak, and falls, over all N."""
    sizes = np.arange(1, _LONG + 1)
    held = []
    for rate, share in cases:
        values = _curve(rate, share, sizes)
        top, steps = int(values.argmax()), np.diff(values)
        one_peak = (steps[:top] > 0).all() and (steps[top:] <= 0).all()
        held.append(bool(one_peak and values[0] == 0 and top > 0 and values[-1] < 1e-3))
    return every(
        "over N tail miss starts at 0, rises to one peak and falls to nothing",
        held,
        f"every N from 1 to {_LONG:,}",
        exact=True,
    )


def _curve(rate: float, share: float, sizes: np.ndarray) -> np.ndarray:
    return np.asarray(tail_miss_probability(rate, share * rate, sizes))


def _mean_scale(gamma: float) -> float:
    """Integrate the size of the update over success rates, against that without weight."""

    def mean(power: float) -> float:
        return float(quad(lambda mu: np.sqrt(mu * (1 - mu)) * (1 - mu) ** power, 0, 1)[0])

    return mean(gamma) / mean(0.0)


def _crosses(figure: Figure, drawn: Sequence[Drawn]) -> None:
    axes = figure.axes[0]
    axes.plot(
        [one.size for one in drawn],
        [100 * one.measured for one in drawn],
        "x",
        color="#222222",
        markersize=5,
        zorder=5,
    )


def _drawn_table(drawn: Sequence[Drawn]) -> Table:
    return Table(
        "Active groups that miss the rare answers",
        ("success rate", "rare share", "N", "drawn", "lemma 3.1", "standard errors apart"),
        tuple(
            (
                share_name(one.rate),
                share_name(one.share),
                size_name(one.size),
                percent(one.measured),
                percent(one.predicted),
                f"{one.deviation:+.1f}".replace("-", "−"),
            )
            for one in drawn
        ),
    )
