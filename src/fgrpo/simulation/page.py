"""The page of a sweep: what the template is filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.presentation.made_with import environment_rows
from fgrpo.presentation.numbers import interval, percent, signed, size_name
from fgrpo.presentation.page import fill
from fgrpo.simulation.looks import gamma_styles
from fgrpo.simulation.rows import FinalRow, Spread, largest_deviation, least_kept
from fgrpo.simulation.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.simulation.pictures import Pictures
    from fgrpo.simulation.result import Sweep

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


def render_page(sweep: Sweep, drawn: Pictures) -> str:
    """Fill the template; all pictures lie inside the page."""
    recipe, policy = sweep.recipe, sweep.policy
    rows, missed = sweep.final_rows, sweep.tail_miss_rows
    gammas = sorted(recipe.gammas)
    p = policy.probabilities[policy.tail]
    return fill(
        "fgrpo.simulation",
        recipe=recipe,
        description=[part for part in recipe.description.split("\n\n") if part.strip()],
        actions=f"{int(policy.sizes.sum()):,}",
        correct=f"{int(policy.sizes[policy.correct].sum()):,}",
        tail=f"{int(policy.sizes[policy.tail].sum()):,}",
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
        signed=signed,
        optimiser=_OPTIMISERS[recipe.update.optimizer],
        settings=_setting_rows(sweep),
        environment=environment_rows(sweep.starts),
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
    one = percent(spread.low) == percent(spread.high)
    return percent(spread.mean), percent(spread.low) if one else interval(spread.low, spread.high)


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


def _setting_rows(sweep: Sweep) -> list[tuple[str, str]]:
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
