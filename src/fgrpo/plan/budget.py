"""What a fixed number of rollouts a step buys with groups of different sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.plan.curves import GroupCurves
    from fgrpo.plan.rates import Band

USUAL_PROMPTS = 64  # prompts a step that a budget should leave, where it allows them with N = 8


@dataclass(frozen=True, slots=True, eq=False)
class BudgetTable:
    """One row for each group size ``(S,)`` of a `GroupCurves`; NaN where the budget buys none.

    Attributes
    ----------
    budget
        Rollouts a step: prompts × N.
    prompts
        Prompts a step, ``⌊budget / N⌋``; ``(S,)``.
    left_over
        Rollouts of the budget that form no whole group; ``(S,)``.
    active_groups
        Expected groups a step that carry a signal; ``(S,)``.
    dead_rollouts
        Expected rollouts a step in groups that carry none; ``(S,)``.
    """

    budget: int
    prompts: NDArray[np.int64]
    left_over: NDArray[np.int64]
    active_groups: Band
    dead_rollouts: Band


def budget_table(curves: GroupCurves, budget: int) -> BudgetTable:
    """Divide a budget of rollouts a step among groups of every size.

    Parameters
    ----------
    curves
        From `group_curves`.
    budget
        Rollouts a step, at least 2.

    Returns
    -------
    BudgetTable

    Raises
    ------
    ValueError, TypeError
        A budget that is not a whole number from 2 up.
    """
    total = int(integers("budget", budget, 2))
    prompts = total // curves.group_sizes
    whole = np.where(prompts > 0, prompts, np.nan)
    return BudgetTable(
        budget=total,
        prompts=prompts,
        left_over=total - prompts * curves.group_sizes,
        active_groups=curves.active.times(whole),
        dead_rollouts=curves.active.complement().times(whole * curves.group_sizes),
    )


def fewest_prompts(budget: int) -> int:
    """Prompts a step that a recommendation leaves at least: 64, or as many as N = 8 leaves."""
    return max(1, min(USUAL_PROMPTS, budget // 8))
