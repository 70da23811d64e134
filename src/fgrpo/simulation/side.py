"""The state of a simulated policy: its correct and its wrong actions.

An action that was never drawn differs in nothing from the others of its class, so a class keeps
its untouched actions as a number. With the importance ratio's gradient they do not even move, as
the advantages of a group sum to zero.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fgrpo.simulation.compiling import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Rows of `Side.actions` and `Side.classes`: the logit; Adam's average of the gradient, divided by
# its decay since the last refresh, so that it stays as it is while the action is not drawn; the
# root of that of the squared gradient, divided likewise; exp(logit − shift).
Z, M, S, W = range(4)
COUNT = FIRST = 4  # how often an action was drawn in this step; a class's initial probability

# Places in `Side.size`. Of the touched actions the first MOVES move, those up to ALL rest. WERE
# moved when the draw began, HITS of those that move now have been drawn.
MOVES, ALL, WERE, HITS = range(4)

# Places in `Side.total`: weights, and weights times logit, of the actions that move, that rest,
# and that were never touched; the largest weight of one that moves, and of one that rests.
MOVING, RESTING, UNTOUCHED, MOVING_Z, RESTING_Z, UNTOUCHED_Z, TOP, TOP_RESTING = range(8)

# Places in the clock: the shift of the logits under exp; the decay of Adam's averages since the
# last refresh.
SHIFT, DECAY1, DECAY2 = range(3)

BLOCK = 64  # moving actions whose weights are summed together, to find a drawn one


class Side(NamedTuple):
    """The correct or the wrong actions."""

    actions: Floats  # (5, capacity): Z, M, S, W, COUNT of the touched ones
    classes: Floats  # (5, classes): Z, M, S, W of an untouched one, FIRST
    kind: Ints  # class of each touched action
    tail: NDArray[np.bool_]  # whether a class belongs to the tail
    untouched: Ints  # how many of each class
    drawn: Ints  # how many draws of this step fell on them
    hits: Ints  # places of the moving actions drawn in this step
    cumulative: Floats  # weights of the moving actions up to the end of each block
    size: Ints
    total: Floats


def new_side(logits: Floats, probabilities: Floats, sizes: Ints, tail: NDArray[np.bool_]) -> Side:
    """Make a side of so many untouched actions in each class; `refresh` must follow.

    A class of one action has a state of its own from the beginning: it shares with nobody.
    """
    classes, capacity = len(logits), int(sizes.sum())
    side = Side(
        actions=np.zeros((5, capacity)),
        classes=np.zeros((5, classes)),
        kind=np.zeros(capacity, np.int64),
        tail=tail.copy(),
        untouched=np.where(sizes > 1, sizes, 0),
        drawn=np.zeros(classes, np.int64),
        hits=np.zeros(capacity, np.int64),
        cumulative=np.zeros(-(-capacity // BLOCK)),
        size=np.zeros(4, np.int64),
        total=np.zeros(8),
    )
    side.classes[Z], side.classes[FIRST] = logits, probabilities
    single = np.flatnonzero(sizes == 1)
    side.actions[Z, : len(single)] = logits[single]
    side.kind[: len(single)] = single
    side.size[[MOVES, ALL]] = len(single)
    return side


@compiled
def mass(side: Side) -> float:
    """Weight of all actions of a side."""
    total: float = side.total[MOVING] + side.total[RESTING] + side.total[UNTOUCHED]
    return total


@compiled
def refresh(right: Side, wrong: Side, clock: Floats) -> None:
    """Compute every weight afresh from its logit, the largest being 1, and clear the decay."""
    top = -np.inf
    for side in (right, wrong):
        for i in range(side.size[ALL]):
            top = max(top, side.actions[Z, i])
        for k in range(len(side.untouched)):
            if side.untouched[k] > 0:
                top = max(top, side.classes[Z, k])
    for side in (right, wrong):
        for states, end in ((side.actions, side.size[ALL]), (side.classes, len(side.untouched))):
            for i in range(end):
                states[W, i] = math.exp(states[Z, i] - top)
                states[M, i] *= clock[DECAY1]
                states[S, i] *= math.sqrt(clock[DECAY2])
        add_up(side)
    clock[SHIFT], clock[DECAY1], clock[DECAY2] = top, 1.0, 1.0


@compiled
def add_up(side: Side) -> None:
    """Compute every sum of weights afresh."""
    z, w = side.actions[Z], side.actions[W]
    side.total[:] = 0.0
    for i in range(side.size[ALL]):
        if i < side.size[MOVES]:
            side.total[MOVING] += w[i]
            side.total[MOVING_Z] += w[i] * z[i]
            side.total[TOP] = max(side.total[TOP], w[i])
            side.cumulative[i // BLOCK] = side.total[MOVING]
        else:
            side.total[RESTING] += w[i]
            side.total[RESTING_Z] += w[i] * z[i]
            side.total[TOP_RESTING] = max(side.total[TOP_RESTING], w[i])
    add_up_untouched(side)


@compiled
def add_up_untouched(side: Side) -> None:
    """Compute the sums of the untouched actions' weights afresh."""
    side.total[UNTOUCHED] = side.total[UNTOUCHED_Z] = 0.0
    for k in range(len(side.untouched)):
        if side.untouched[k] > 0:
            weight = side.untouched[k] * side.classes[W, k]
            side.total[UNTOUCHED] += weight
            side.total[UNTOUCHED_Z] += weight * side.classes[Z, k]


@compiled
def swap(side: Side, i: int, j: int) -> None:
    """Exchange the places of two touched actions."""
    for row in range(len(side.actions)):
        kept = side.actions[row, i]
        side.actions[row, i] = side.actions[row, j]
        side.actions[row, j] = kept
    side.kind[i], side.kind[j] = side.kind[j], side.kind[i]
