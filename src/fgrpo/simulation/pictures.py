"""The pictures of a sweep's page with their words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fgrpo.presentation.figures import draw, save
from fgrpo.presentation.numbers import percent, signed, size_name
from fgrpo.simulation.figures import figure_2
from fgrpo.simulation.over_sizes import deviation_painter, final_painter, tail_miss_painter
from fgrpo.simulation.over_steps import block_length, steps_painter, trajectory_painter
from fgrpo.simulation.rows import FinalRow, largest_deviation, least_kept
from fgrpo.simulation.trajectory import (
    COLUMNS,
    ENTROPY,
    M_RET,
    Q_POS,
    TAIL_MISS,
    UNSAMPLED_CORRECT,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.presentation.figures import DrawnFigure
    from fgrpo.simulation.looks import Painter
    from fgrpo.simulation.result import Sweep


class Pictures(NamedTuple):
    """The pictures of a page, by their place on it; ``wide`` is for slides, not on the page."""

    main: list[DrawnFigure]
    tail_miss: list[DrawnFigure]
    steps: list[DrawnFigure]
    wide: DrawnFigure

    @property
    def all(self) -> list[DrawnFigure]:
        """Return all of them."""
        return [*self.main, *self.tail_miss, *self.steps, self.wide]


def pictures(sweep: Sweep) -> Pictures:
    """Draw every figure of the page."""
    main = _main(sweep)
    return Pictures(main, _tail_miss(sweep), _steps(sweep), _wide(sweep, main))


def _main(sweep: Sweep) -> list[DrawnFigure]:
    """Draw the final policies against N, and what led there with the smallest γ."""
    return [
        _final(
            *(sweep, "final_retained_mass", "Retained correct mass after the last step", M_RET),
            "How much of the initial probability of each correct action is still there, whatever "
            "others gained: 100% if no correct action lost any.",
        ),
        _all_sizes(
            *(sweep, "correct_mass", "Total correct mass", Q_POS),
            "Probability of all correct actions together.",
        ),
        _all_sizes(
            *(sweep, "retained_mass", "Retained correct mass", M_RET),
            "It falls where mass moves from some correct actions to others.",
        ),
        _final(
            *(sweep, "final_correct_mass", "Total correct mass after the last step", Q_POS),
            "Probability of all correct actions together: what training is rewarded for.",
        ),
        _final(
            *(sweep, "final_entropy", "Entropy after the last step", ENTROPY),
            "Of the whole policy, in nats.",
        ),
    ]


def _final(sweep: Sweep, name: str, title: str, column: int, caption: str) -> DrawnFigure:
    """Draw a column of the final policies against N."""
    several = len(sweep.recipe.seeds) > 1
    dots = "Lines: means over seeds; markers: each seed." if several else "One seed."
    gammas = sorted(sweep.recipe.gammas)
    words = "; ".join(_extremes(sweep.final_rows, gamma, COLUMNS[column]) for gamma in gammas)
    return _save(
        *(name, title, f"{caption} {dots}", f"{title}: {words}."), final_painter(sweep, column)
    )


def _all_sizes(sweep: Sweep, name: str, title: str, column: int, caption: str) -> DrawnFigure:
    """Draw a column over the steps with the smallest γ, for every group size."""
    gamma = min(sweep.recipe.gammas)
    several = len(sweep.recipe.group_sizes) > 1
    lines = " One line for each group size N, lighter for larger ones." if several else ""
    ends = "; ".join(
        f"N = {size_name(row.group_size)} {percent(getattr(row, COLUMNS[column]).mean)}"
        for row in sweep.final_rows
        if row.gamma == gamma
    )
    return _save(
        *(name, f"{title}, γ = {gamma:g}"),
        f"{caption}{lines}{_bands(sweep)}",
        f"{title} over {sweep.recipe.steps} steps with γ = {gamma:g}; in the end: {ends}.",
        steps_painter(sweep, gamma, column),
        legend=False,
    )


def _bands(sweep: Sweep) -> str:
    several = len(sweep.recipe.seeds) > 1
    return " Lines: means over seeds; bands: from the smallest to the largest." if several else ""


def _tail_miss(sweep: Sweep) -> list[DrawnFigure]:
    rows = sweep.tail_miss_rows
    farthest = largest_deviation(rows)
    shown = "; ".join(
        f"N = {size_name(row.group_size)} {percent(row.measured)}, predicted "
        f"{percent(row.predicted)}"
        for row in rows
    )
    return [
        _save(
            "tail_miss",
            "Tail miss before the first step",
            "Probability that a group is active, that is mixed, and misses a given rare correct "
            "action: lemma 3.1 of the paper, and the measured share with two standard errors to "
            "each side. Grey: that it is active at all.",
            f"Tail miss against group size: {shown}.",
            tail_miss_painter(sweep),
        ),
        _save(
            "tail_miss_deviation",
            "How far from theory",
            "Measured less predicted tail miss, in the standard errors that theory expects of the "
            "groups drawn. Shaded: two standard errors to each side.",
            f"Deviation from theory: largest at N = {size_name(farthest.group_size)} with "
            f"{signed(farthest.deviation)} standard errors.",
            deviation_painter(sweep),
            legend=False,
        ),
    ]


def _steps(sweep: Sweep) -> list[DrawnFigure]:
    """Draw step by step the group size at which the smallest γ keeps least."""
    length = block_length(sweep.recipe.steps)
    blocks = f" Averages of {length} steps." if length > 1 else ""
    return [
        _one_size(
            *(sweep, "steps_correct_mass", "Total correct mass", Q_POS), "Of all correct actions."
        ),
        _one_size(
            *(sweep, "steps_retained_mass", "Retained correct mass", M_RET),
            "Of what each correct action had before the first step.",
        ),
        _one_size(
            *(sweep, "steps_unsampled", "Unsampled correct mass", UNSAMPLED_CORRECT),
            f"Probability of the correct actions that are not in the step's group.{blocks}",
        ),
        _one_size(
            *(sweep, "steps_tail_miss", "Tail missing from the group", TAIL_MISS),
            "Share of the rare correct actions that are not in the step's group; 0 where the "
            f"group is all correct or all wrong, and so teaches nothing.{blocks}",
        ),
    ]


def _one_size(sweep: Sweep, name: str, title: str, column: int, caption: str) -> DrawnFigure:
    size = least_kept(sweep.final_rows, min(sweep.recipe.gammas)).group_size
    values = "; ".join(
        f"γ = {row.gamma:g} {percent(getattr(row, COLUMNS[column]).mean)}"
        for row in sweep.final_rows
        if row.group_size == size
    )
    when = "in the end" if column in (Q_POS, M_RET) else "averaged over all steps"
    return _save(
        *(name, title, f"{caption}{_bands(sweep)}"),
        f"{title} over the steps at N = {size_name(size)}; {when}: {values}.",
        trajectory_painter(sweep, size, column),
    )


def _wide(sweep: Sweep, main: Sequence[DrawnFigure]) -> DrawnFigure:
    alts = {figure.name: figure.alt for figure in main}
    panels = ("correct_mass", "retained_mass", "final_retained_mass")
    return save(
        figure_2(sweep),
        "figure_2",
        "Correct mass, retained mass, and what γ changes",
        "The first three pictures of the page side by side.",
        " ".join(alts[name] for name in panels),
    )


def _extremes(rows: Sequence[FinalRow], gamma: float, field: str) -> str:
    """Say between which values a column lies for a γ, and at which group sizes these are."""
    chosen = [row for row in rows if row.gamma == gamma]
    chosen.sort(key=lambda row: getattr(row, field).mean)

    def value(row: FinalRow) -> str:
        mean = getattr(row, field).mean
        return f"{mean:.2f} nats" if field == "entropy" else percent(mean)

    low, high = chosen[0], chosen[-1]
    if len(chosen) == 1:
        return f"γ = {gamma:g} {value(low)} at N = {size_name(low.group_size)}"
    return (
        f"γ = {gamma:g} from {value(low)} at N = {size_name(low.group_size)} to {value(high)} at "
        f"N = {size_name(high.group_size)}"
    )


def _save(
    name: str,
    title: str,
    caption: str,
    alt: str,
    paint: Painter,
    *,
    legend: bool = True,
) -> DrawnFigure:
    return save(draw(paint, legend=legend), name, title, caption, alt)
