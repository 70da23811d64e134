"""Figure 2: the categorical policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fgrpo.presentation.figures import save
from fgrpo.presentation.numbers import in_points, percent, size_name
from fgrpo.reproduce.item import Claim, Finding, Made, Runs, Table, every
from fgrpo.simulation.figures import figure_2 as drawn_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.simulation.result import Sweep
    from fgrpo.simulation.rows import FinalRow

# "Near 1" and "collapses", which the paper's figure shows and does not put in numbers.
_KEPT: Final = 0.9
_COLLAPSED: Final = 0.5


def figure_2(runs: Runs) -> Made:
    """Draw total and retained correct mass against the group size, with and without the weight."""
    sweep = runs.simulation()
    plain, focal = (
        [row for row in sweep.final_rows if row.gamma == gamma] for gamma in sweep.recipe.gammas
    )
    worst = min(plain, key=lambda row: row.m_ret.mean)
    beside = next(row for row in focal if row.group_size == worst.group_size)
    ours = (
        f"retained mass falls to {percent(worst.m_ret.mean)} at N = "
        f"{size_name(worst.group_size)}; with γ = 1 {percent(beside.m_ret.mean)} there"
    )
    return Made(
        scale=_scale(sweep),
        ours=ours,
        paper="correct mass rises for every N; retained mass is near 1 for small N and for "
        "N = 131,072 and collapses in between; γ = 1 raises it, mostly there",
        claims=_claims(sweep, plain, focal),
        tables=(_table(plain, focal),),
        figures=(
            save(
                drawn_sweep(sweep),
                "figure-2",
                "The categorical policy",
                "Total correct mass and retained correct mass during training without weight, and "
                "the retained mass after the last step with and without.",
                f"Without weight {ours}.",
            ),
        ),
        notes=(
            "The paper's figure has no numbers to compare with, and names no optimiser: ours is "
            "Adam on the score-function gradient, which gives the figure's shape; plain ascent at "
            "the paper's rate moves nothing.",
        ),
    )


def _claims(
    sweep: Sweep, plain: Sequence[FinalRow], focal: Sequence[FinalRow]
) -> tuple[Claim, ...]:
    start = sweep.policy.success_rate
    rises = [row.q_pos.low > start for row in (*plain, *focal)]
    ends = (plain[0], plain[-1])
    worst = min(plain, key=lambda row: row.m_ret.mean)
    kept = ", ".join(
        f"{percent(end.m_ret.mean)} at N = {size_name(end.group_size)}" for end in ends
    )
    gains = [b.m_ret.mean - a.m_ret.mean for a, b in zip(plain, focal, strict=True)]
    largest, least = (most(range(len(gains)), key=gains.__getitem__) for most in (max, min))
    middle = 0 < largest < len(gains) - 1
    return (
        every(
            "correct mass rises for every N, with and without the weight", rises, "in every seed"
        ),
        every(
            f"retained mass stays near 1 (above {percent(_KEPT)}) at the ends",
            [end.m_ret.mean > _KEPT for end in ends],
            kept,
        ),
        Claim(
            f"and collapses (below {percent(_COLLAPSED)}) in between",
            f"{percent(worst.m_ret.mean)} at N = {size_name(worst.group_size)}",
            Finding.AGREES
            if worst.m_ret.mean < _COLLAPSED and worst not in ends
            else Finding.DISAGREES,
        ),
        every(
            "γ = 1 does not lower the retained mass at any N, in the mean over seeds",
            [gain >= 0 for gain in gains],
            f"least change {in_points(gains[least])} points at N = "
            f"{size_name(plain[least].group_size)}",
        ),
        Claim(
            "and raises it most in between",
            f"{in_points(gains[largest])} points at N = {size_name(plain[largest].group_size)}",
            Finding.AGREES if middle and gains[largest] > 0 else Finding.DISAGREES,
        ),
    )


def _scale(sweep: Sweep) -> str:
    recipe = sweep.recipe
    sizes, seeds = len(recipe.group_sizes), len(recipe.seeds)
    return (
        f"{int(sweep.policy.sizes.sum()):,} actions, {recipe.steps:,} steps, {sizes} group sizes, "
        f"{seeds} seed{'s' if seeds > 1 else ''}"
    )


def _table(plain: Sequence[FinalRow], focal: Sequence[FinalRow]) -> Table:
    return Table(
        "After the last step, mean over seeds",
        ("N", "correct mass, γ = 0", "γ = 1", "retained mass, γ = 0", "γ = 1", "paper"),
        tuple(
            (
                size_name(a.group_size),
                *(percent(row.q_pos.mean) for row in (a, b)),
                *(percent(row.m_ret.mean) for row in (a, b)),
                "no numbers, see the claims",
            )
            for a, b in zip(plain, focal, strict=True)
        ),
    )
