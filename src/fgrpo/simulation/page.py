"""The page of a sweep: its pictures with their words, and what the template is filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fgrpo.presentation.figures import draw, save
from fgrpo.presentation.numbers import percent
from fgrpo.presentation.page import fill
from fgrpo.simulation.figures import (
    block_length,
    deviation_painter,
    figure_2,
    final_painter,
    gamma_styles,
    steps_painter,
    tail_miss_painter,
    trajectory_painter,
)
from fgrpo.simulation.tables import (
    FinalRow,
    Spread,
    final_rows,
    largest_deviation,
    least_kept,
    sentences,
    size_name,
    tail_miss_rows,
)
from fgrpo.simulation.trajectory import ENTROPY, M_RET, Q_POS, TAIL_MISS, UNSAMPLED_CORRECT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes

    from fgrpo.presentation.figures import DrawnFigure
    from fgrpo.simulation.result import Sweep

    Rows = list[tuple[str, str]]

_OPTIMISERS = {
    "adam": "Adam with β 0.9 and 0.999 and ε 1e-8",
    "sgd": "plain gradient ascent",
}
_DIVIDED = {
    "none": "not divided by a standard deviation",
    "std": "divided by the group's sample standard deviation",
    "population_std": "divided by the group's population standard deviation",
}
_SURROGATES = {
    "ratio": "importance ratio p/p_old, as in a trainer",
    "probability": "probability p, as in the paper's eq. 5",
}


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
    rows = final_rows(sweep)
    gamma = min(sweep.recipe.gammas)
    several = len(sweep.recipe.seeds) > 1
    dots = "Lines: means over seeds; markers: each seed." if several else "One seed."
    bands = " Lines: means over seeds; bands: from the smallest to the largest." if several else ""

    lines = (
        " One line for each group size N, lighter for larger ones."
        if len(sweep.recipe.group_sizes) > 1
        else ""
    )

    def steps(name: str, title: str, column: int, field: str, caption: str) -> DrawnFigure:
        ends = "; ".join(
            f"N = {size_name(row.group_size)} {percent(getattr(row, field).mean)}"
            for row in rows
            if row.gamma == gamma
        )
        return _save(
            *(name, f"{title}, γ = {gamma:g}"),
            f"{caption}{lines}{bands}",
            f"{title} over {sweep.recipe.steps} steps with γ = {gamma:g}; in the end: {ends}.",
            steps_painter(sweep, gamma, column),
            legend=False,
        )

    def final(name: str, title: str, column: int, field: str, caption: str) -> DrawnFigure:
        words = "; ".join(_extremes(rows, one, field) for one in sorted(sweep.recipe.gammas))
        return _save(
            *(name, title, f"{caption} {dots}", f"{title}: {words}."),
            final_painter(sweep, column),
        )

    main = [
        final(
            "final_retained_mass",
            "Retained correct mass after the last step",
            M_RET,
            "m_ret",
            "How much of the initial probability of each correct action is still there, whatever "
            "others gained: 100% if no correct action lost any.",
        ),
        steps(
            "correct_mass",
            "Total correct mass",
            Q_POS,
            "q_pos",
            "Probability of all correct actions together.",
        ),
        steps(
            "retained_mass",
            "Retained correct mass",
            M_RET,
            "m_ret",
            "It falls where mass moves from some correct actions to others.",
        ),
        final(
            "final_correct_mass",
            "Total correct mass after the last step",
            Q_POS,
            "q_pos",
            "Probability of all correct actions together: what training is rewarded for.",
        ),
        final(
            "final_entropy",
            "Entropy after the last step",
            ENTROPY,
            "entropy",
            "Of the whole policy, in nats.",
        ),
    ]
    return Pictures(main, _tail_miss(sweep), _steps(sweep, rows, bands), _wide(sweep, main))


def render_page(sweep: Sweep, drawn: Pictures) -> str:
    """Fill the template; all pictures lie inside the page."""
    recipe, policy = sweep.recipe, sweep.policy
    rows, missed = final_rows(sweep), tail_miss_rows(sweep)
    gammas = sorted(recipe.gammas)
    p = policy.probabilities[policy.leaves]
    return fill(
        "fgrpo.simulation",
        recipe=recipe,
        description=[part for part in recipe.description.split("\n\n") if part.strip()],
        actions=f"{int(policy.sizes.sum()):,}",
        correct=f"{int(policy.sizes[policy.correct].sum()):,}",
        tail=f"{int(policy.sizes[policy.leaves].sum()):,}",
        tail_p=" to ".join(dict.fromkeys(map(_probability, (p.min(), p.max())))),
        top_p=_probability(policy.probabilities[policy.correct].max()),
        success_rate=policy.success_rate,
        runs=len(sweep.runs),
        sizes=sorted(recipe.group_sizes),
        gammas=gammas,
        steps=f"{recipe.steps:,}",
        sentences={
            gamma: [line.replace(" = ", "\u00a0=\u00a0") for line in lines]
            for gamma, lines in sentences(sweep).items()
        },
        colours={gamma: style.colour for gamma, style in gamma_styles(sweep).items()},
        pictures=drawn,
        final=_final_cells(rows, gammas),
        shown_size=size_name(least_kept(rows, gammas[0]).group_size),
        tail_miss=missed,
        farthest=largest_deviation(missed),
        size_name=size_name,
        percents=_percents,
        signed=_signed,
        optimiser=_OPTIMISERS[recipe.update.optimizer],
        settings=_setting_rows(sweep),
        environment=_environment_rows(sweep.starts),
    )


def _save(
    name: str,
    title: str,
    caption: str,
    alt: str,
    paint: Callable[[Axes], None],
    *,
    legend: bool = True,
) -> DrawnFigure:
    return save(draw(paint, legend=legend), name, title, caption, alt)


def _tail_miss(sweep: Sweep) -> list[DrawnFigure]:
    rows = tail_miss_rows(sweep)
    farthest = largest_deviation(rows)
    shown = "; ".join(
        f"N = {size_name(row.group_size)} {percent(row.measured)}, predicted "
        f"{percent(row.predicted)}"
        for row in rows
    )
    few = len(sweep.recipe.gammas) * len(sweep.recipe.seeds)
    return [
        _save(
            "tail_miss",
            "Tail miss before the first step",
            "Probability that a group is active, that is mixed, and misses a given rare correct "
            "action: lemma 3.1 of the paper, and the measured share with two standard errors to "
            "each side. Grey: that it is active at all. Circles: the first "
            f"group{'s' if few > 1 else ''} of the sweep's own runs, {few} for each N.",
            f"Tail miss against group size: {shown}.",
            tail_miss_painter(sweep),
        ),
        _save(
            "tail_miss_deviation",
            "How far from theory",
            "Measured less predicted tail miss, in the standard errors that theory expects of the "
            "groups drawn. Shaded: two standard errors to each side. Circles: the first groups of "
            "the sweep's own runs, in the larger standard errors of so few.",
            f"Deviation from theory: largest at N = {size_name(farthest.group_size)} with "
            f"{_signed(farthest.deviation)} standard errors.",
            deviation_painter(sweep),
        ),
    ]


def _steps(sweep: Sweep, rows: Sequence[FinalRow], bands: str) -> list[DrawnFigure]:
    """Draw step by step the group size at which the smallest γ keeps least."""
    size = least_kept(rows, min(sweep.recipe.gammas)).group_size
    length = block_length(sweep.recipe.steps)
    blocks = f" Averages of {length} steps." if length > 1 else ""
    at = [row for row in rows if row.group_size == size]

    def picture(name: str, title: str, column: int, field: str, caption: str) -> DrawnFigure:
        values = "; ".join(f"γ = {row.gamma:g} {percent(getattr(row, field).mean)}" for row in at)
        when = "in the end" if field in ("q_pos", "m_ret") else "averaged over all steps"
        return _save(
            *(f"steps_{name}", title, f"{caption}{bands}"),
            f"{title} over the steps at N = {size_name(size)}; {when}: {values}.",
            trajectory_painter(sweep, size, column),
        )

    return [
        picture("correct_mass", "Total correct mass", Q_POS, "q_pos", "Of all correct actions."),
        picture(
            *("retained_mass", "Retained correct mass", M_RET, "m_ret"),
            "Of what each correct action had before the first step.",
        ),
        picture(
            *("unsampled", "Unsampled correct mass", UNSAMPLED_CORRECT, "unsampled_correct"),
            f"Probability of the correct actions that are not in the step's group.{blocks}",
        ),
        picture(
            *("tail_miss", "Tail missing from the group", TAIL_MISS, "tail_miss"),
            "Share of the rare correct actions that are not in the step's group; 0 where the "
            f"group is all correct or all wrong, and so teaches nothing.{blocks}",
        ),
    ]


def _wide(sweep: Sweep, main: Sequence[DrawnFigure]) -> DrawnFigure:
    return save(
        figure_2(sweep),
        "figure_2",
        "Correct mass, retained mass, and what γ changes",
        "The first three pictures of the page side by side.",
        " ".join(figure.alt for figure in (main[1], main[2], main[0])),
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


def _final_cells(rows: Sequence[FinalRow], gammas: Sequence[float]) -> list[dict[str, Any]]:
    """Arrange the final rows: for each measure a table of group sizes by γ."""
    at = {(row.group_size, row.gamma): row for row in rows}
    sizes = sorted({row.group_size for row in rows})
    measures = (
        ("Retained correct mass M_ret", "m_ret", _share_cell),
        ("Total correct mass Q_pos", "q_pos", _share_cell),
        ("Entropy, nats", "entropy", _nats_cell),
    )
    return [
        {
            "name": name,
            "rows": [
                (size_name(size), [cell(getattr(at[size, gamma], field)) for gamma in gammas])
                for size in sizes
            ],
        }
        for name, field, cell in measures
    ]


def _share_cell(spread: Spread) -> tuple[str, str]:
    mean, low, high = (percent(value) for value in spread)
    return mean, low if low == high else f"{low.removesuffix('%')}–{high}"


def _nats_cell(spread: Spread) -> tuple[str, str]:
    mean, low, high = (f"{value:.2f}" for value in spread)
    return mean, low if low == high else f"{low}–{high}"


def _probability(p: float) -> str:
    if p < 1e-6:
        return f"{p:.1e}"
    return np.format_float_positional(p, precision=2, fractional=False, trim="-")


def _percents(share: float) -> str:
    """Write a share for a column of percents."""
    return "<0.0001" if 0 < share < 5e-7 else f"{100 * share:.4f}"


def _signed(number: float, digits: int = 1) -> str:
    """Write a number with its sign, and 0 without."""
    text = f"{number:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def _setting_rows(sweep: Sweep) -> Rows:
    recipe, update = sweep.recipe, sweep.recipe.update
    policy = recipe.policy
    logits = (
        _minus(
            f"anchor {policy.anchor_logit:g}, other correct {policy.correct_logit:g}, wrong "
            f"{policy.wrong_logit:g}"
        )
        if policy.logits is None
        else f"read from {policy.logits}; kept in policy.csv"
    )
    return [
        ("Group sizes N", ", ".join(map(size_name, sorted(recipe.group_sizes)))),
        ("Focal exponents γ", ", ".join(f"{gamma:g}" for gamma in sorted(recipe.gammas))),
        ("Seeds", ", ".join(map(str, recipe.seeds))),
        ("Steps", f"{recipe.steps:,}, one group and one update each"),
        ("Initial logits", logits),
        ("Rewards", _minus(f"correct {update.reward_correct:g}, wrong {update.reward_wrong:g}")),
        ("Advantages", f"(1 − X/N)^γ (R − mean R), {_DIVIDED[update.scale]}"),
        ("Objective", f"advantage × {_SURROGATES[update.surrogate]}"),
        ("Optimiser", f"{_OPTIMISERS[update.optimizer]}, learning rate {update.learning_rate:g}"),
    ]


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _environment_rows(starts: Sequence[Any]) -> Rows:
    """List what made the runs; several starts of a sweep show what differed."""

    def row(name: str, value: Callable[[Any], Any]) -> tuple[str, str]:
        found = dict.fromkeys(str(one) for one in map(value, starts) if one not in (None, ""))
        return name, "; ".join(found) or "not recorded"

    return [
        row("Command", lambda start: start.get("command")),
        row("Started", lambda start: start.get("started")),
        row("fgrpo", lambda start: start.get("fgrpo")),
        row("Commit", lambda start: start.get("commit")),
        row("Python", lambda start: start.get("python")),
        row("Packages", _packages),
        row("System", lambda start: start.get("platform")),
        row("Processor", lambda start: start.get("processor")),
        row("Device", lambda start: start.get("device")),
    ]


def _packages(start: Any) -> str:
    packages = start.get("packages") or {}
    return ", ".join(f"{name} {version}" for name, version in packages.items() if version)
