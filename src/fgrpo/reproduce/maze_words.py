"""What the items of the maze share: the paper's table, how differences are judged, and words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fgrpo.presentation.numbers import in_points
from fgrpo.report.verdict import HIGHER, LOWER
from fgrpo.reproduce.item import Claim, Finding
from fgrpo.reproduce.paper import paper_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fgrpo.reproduce.maze_run import Difference, MazeRun

GAMMAS = (0.0, 0.5, 1.0)


def paper_cells() -> dict[tuple[int, float], dict[int, float]]:
    """Map group size and γ to k → pass@k of the paper's table 4, shares in [0, 1]."""
    found: dict[tuple[int, float], dict[int, float]] = {}
    for row in paper_rows("maze"):
        cell = found.setdefault((row["group_size"], row["gamma"]), {})
        cell[row["k"]] = row["pass_at_k"] / 100
    return found


def judged(text: str, found: Mapping[str, Difference], *, often: bool = False) -> Claim:
    """Judge that differences are above 0, by their tests.

    Parameters
    ----------
    text
        Of the claim.
    found
        The differences, by what tells them apart.
    often
        Whether the paper says it of most cases, not of all.

    Returns
    -------
    Claim
        Said of all, it agrees if every difference is significantly above 0, and disagrees if one
        is significantly below. Said of most, each takes more than half. Undecided otherwise.
    """
    above, below = (
        sum(one.judgement == judgement for one in found.values()) for judgement in (HIGHER, LOWER)
    )
    half = len(found) / 2
    if below > (half if often else 0):
        finding = Finding.DISAGREES
    elif above > half if often else 0 < above == len(found):
        finding = Finding.AGREES
    else:
        finding = Finding.OPEN
    ours = "; ".join(f"{case}: {difference(one)}" for case, one in found.items())
    return Claim(text, ours or "not trained", finding)


def difference(one: Difference) -> str:
    """Write a difference with its interval."""
    ends = "no interval"
    if not math.isnan(one.low):
        ends = f"{in_points(one.low)} to {in_points(one.high)}"
    return f"{in_points(one.estimate)} ({ends}) points"


def method(gamma: float) -> str:
    """Name an arm by its γ."""
    return "GRPO" if gamma == 0 else f"F-GRPO γ = {gamma:g}"


def scale(run: MazeRun) -> str:
    """Say what was trained."""
    sizes = ", ".join(map(str, run.sizes))
    seeds = f"{run.seeds} seed{'s' if run.seeds > 1 else ''}"
    return (
        f"{run.name}: {run.maze_size}×{run.maze_size} mazes, {run.steps:,} steps, N = {sizes}, "
        f"{seeds}"
    )


def notes(run: MazeRun) -> tuple[str, str]:
    """Say how the paper's scale differs, and what made our run."""
    gap = max(100 * (cell[256] - cell[1]) for cell in paper_cells().values())
    return (
        "The paper trains a model of 3.9 million parameters by its settings (about 3 million by "
        "its words) on 17×17 mazes, for 20,000 steps of 256 prompts. In its table pass@256 is "
        f"nowhere more than {gap:.1f} points above pass@1: there most mazes end up solved nearly "
        "always or nearly never.",
        f"Trained by `{run.command}` on {run.device}.",
    )
