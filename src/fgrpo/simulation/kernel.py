"""The compiled inner loop: draw a group, measure it, move the logits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.simulation.compiling import compiled
from fgrpo.simulation.drawing import draw
from fgrpo.simulation.side import (
    ALL,
    COUNT,
    FIRST,
    HITS,
    MOVING_Z,
    RESTING_Z,
    SHIFT,
    UNTOUCHED_Z,
    Floats,
    Side,
    W,
    add_up,
    mass,
)
from fgrpo.simulation.trajectory import (
    ENTROPY,
    M_RET,
    Q_POS,
    SUCCESS_RATE,
    TAIL_MISS,
    UNSAMPLED_CORRECT,
)
from fgrpo.simulation.update import Step, forget, update

if TYPE_CHECKING:
    from numpy.random import Generator


@compiled
def advance(
    right: Side,
    wrong: Side,
    step: Step,
    clock: Floats,
    rng: Generator,
    begin: int,
    end: int,
    rows: Floats,
) -> None:
    """Do the steps ``begin`` to ``end − 1``; row ``t`` describes step ``t``.

    If the logits overflow, the rows from there on stay as they were.
    """
    for t in range(begin, end):
        if not 0.0 < mass(right) + mass(wrong) < np.inf:  # some draws would never end
            return
        draw(right, wrong, step.group_size, rng)
        describe(right, wrong, step, clock, rows[t])
        _describe_group(right, wrong, step, rows[t])
        update(right, wrong, step, clock, t)


@compiled
def describe(right: Side, wrong: Side, step: Step, clock: Floats, row: Floats) -> None:
    """Fill in what a policy is like, whatever is drawn from it."""
    total = mass(right) + mass(wrong)
    tilted = lost = 0.0
    for side in (right, wrong):
        tilted += side.total[MOVING_Z] + side.total[RESTING_Z] + side.total[UNTOUCHED_Z]
    for i in range(right.size[ALL]):
        lost += max(0.0, right.classes[FIRST, right.kind[i]] - right.actions[W, i] / total)
    for k in range(len(right.untouched)):
        each = right.classes[FIRST, k] - right.classes[W, k] / total
        lost += right.untouched[k] * max(0.0, each)
    row[Q_POS] = mass(right) / total
    row[M_RET] = 1.0 - lost / step.initial_success
    row[ENTROPY] = max(0.0, clock[SHIFT] + math.log(total) - tilted / total)  # but for rounding


@compiled
def _describe_group(right: Side, wrong: Side, step: Step, row: Floats) -> None:
    """Fill in what the group is like that was just drawn."""
    hits = seen = tail = 0.0
    for i in right.hits[: right.size[HITS]]:
        hits += right.actions[COUNT, i]
        seen += right.actions[W, i]
        tail += right.tail[right.kind[i]]
    row[SUCCESS_RATE] = hits / step.group_size
    row[UNSAMPLED_CORRECT] = max(0.0, row[Q_POS] - seen / (mass(right) + mass(wrong)))
    mixed = 0 < hits < step.group_size
    row[TAIL_MISS] = 1.0 - tail / step.tail if mixed else 0.0


@compiled
def sample(right: Side, wrong: Side, step: Step, rng: Generator, rows: Floats) -> None:
    """Draw a group for each row from the policy as it is, and describe it there."""
    for row in rows:
        draw(right, wrong, step.group_size, rng)
        row[Q_POS] = mass(right) / (mass(right) + mass(wrong))
        _describe_group(right, wrong, step, row)
        for side in (right, wrong):
            forget(side)
            add_up(side)
