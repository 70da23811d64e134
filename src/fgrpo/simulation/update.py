"""Moving the logits after a group, and what makes that fast without changing the result.

- An action idle for so long that Adam's momentum no longer changes its logit in double precision
  rests if it is rare: it is passed over until it is drawn again.
- ``exp`` is replaced by its series in the small change of the logit; every so many steps, and
  after a large change, all weights are taken afresh.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fgrpo.simulation.compiling import compiled, vectorised
from fgrpo.simulation.settings import ADAM_EPSILON, BETA1, BETA2
from fgrpo.simulation.side import (
    BLOCK,
    COUNT,
    DECAY1,
    DECAY2,
    HITS,
    MOVES,
    MOVING,
    MOVING_Z,
    TOP,
    Floats,
    M,
    S,
    Side,
    W,
    Z,
    add_up,
    mass,
    refresh,
    swap,
)

REFRESH = 64  # steps between exact exponentials, and between looks for idle actions
RARE = 1 / 8  # an action that is drawn less often than this in a step may rest
SERIES = 0.1  # the largest change of a logit for which the series of exp below is exact


class Step(NamedTuple):
    """What is the same in every step of a run."""

    group_size: int
    gamma: float
    gap: float  # R_c − R_w
    standardised: bool  # whether the advantages are divided by the group's standard deviation
    sample: bool  # the sample's one, not the population's
    epsilon: float  # added to that
    learning_rate: float
    adam: bool
    probability: bool  # the surrogate of eq. 5, not the importance ratio's
    initial_success: float
    tail: int  # actions in it


@compiled
def update(right: Side, wrong: Side, step: Step, clock: Floats, t: int) -> None:
    """Make update number ``t`` (from 0) from the counts, and forget them."""
    hits = 0.0
    for i in right.hits[: right.size[HITS]]:
        hits += right.actions[COUNT, i]
    mean = hits / step.group_size
    # (1 − μ̂)^γ (R − R̄), over the group size; a group of one kind teaches nothing.
    scale = step.gap * (1.0 - mean) ** step.gamma / step.group_size
    if step.standardised:
        variance = step.gap**2 * mean * (1.0 - mean)
        if step.sample:
            variance *= step.group_size / max(1.0, step.group_size - 1.0)
        scale /= math.sqrt(variance) + step.epsilon
    if hits == 0 or hits == step.group_size:
        scale = 0.0
    up, down = scale * (1.0 - mean), -scale * mean
    if step.adam:
        clock[DECAY1] *= BETA1
        clock[DECAY2] *= BETA2
    largest = 0.0
    if step.probability:
        total = mass(right) + mass(wrong)
        push = 0.0
        for side, reward in ((right, up), (wrong, down)):
            for i in side.hits[: side.size[HITS]]:
                push += reward * side.actions[COUNT, i] * side.actions[W, i] / total
        for side, reward in ((right, up), (wrong, down)):
            largest = max(largest, _move_all(side, step, clock, t, reward, push, total))
    else:
        for side, reward in ((right, up), (wrong, down)):
            for i in side.hits[: side.size[HITS]]:
                _learn(side.actions, i, side.actions[COUNT, i] * reward, step, clock)
            largest = max(largest, _move(side, step, clock, t))
    forget(right)
    forget(wrong)
    if largest > SERIES or (t + 1) % REFRESH == 0:
        if not step.probability:
            total = mass(right) + mass(wrong)
            for side in (right, wrong):
                _rest(side, step, clock, t, total)
        refresh(right, wrong, clock)


@compiled
def forget(side: Side) -> None:
    """Clear the counts of a group."""
    for i in side.hits[: side.size[HITS]]:
        side.actions[COUNT, i] = 0.0
    side.size[HITS] = 0


@compiled
def _rates(step: Step, clock: Floats, t: int) -> tuple[float, float, float]:
    """Return ``a``, ``b``, ``e``: update ``t`` changes a logit by ``a·M/(b·S + e)``."""
    if not step.adam:
        return step.learning_rate, 0.0, 1.0
    bias1, bias2 = 1.0 - BETA1 ** (t + 1), 1.0 - BETA2 ** (t + 1)
    b = math.sqrt(clock[DECAY2] / bias2)
    return step.learning_rate * clock[DECAY1] / bias1, b, ADAM_EPSILON


@compiled
def _learn(states: Floats, i: int, gradient: float, step: Step, clock: Floats) -> None:
    """Take a gradient into an action's averages; without Adam there is but the gradient."""
    if step.adam:
        states[M, i] += (1 - BETA1) / clock[DECAY1] * gradient
        square = (1 - BETA2) / clock[DECAY2] * gradient**2
        states[S, i] = math.sqrt(states[S, i] ** 2 + square)
    else:
        states[M, i] = gradient


@vectorised
def _move(side: Side, step: Step, clock: Floats, t: int) -> float:
    """Move the moving actions; return the largest change of a logit."""
    z, m, s, w = side.actions[Z], side.actions[M], side.actions[S], side.actions[W]
    a, b, e = _rates(step, clock, t)
    end = side.size[MOVES]
    sum_w = sum_wz = largest = top = 0.0
    for block in range(-(-end // BLOCK)):
        part = 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, end)):
            change = a * m[i] / (b * s[i] + e)
            z[i] += change
            w[i] *= _series(change)
            part += w[i]
            sum_wz += w[i] * z[i]
            largest = max(largest, abs(change))
            top = max(top, w[i])
        sum_w += part
        side.cumulative[block] = sum_w
    if not step.adam:
        m[:end] = 0.0
    side.total[MOVING], side.total[MOVING_Z], side.total[TOP] = sum_w, sum_wz, top
    return largest


@compiled
def _move_all(
    side: Side, step: Step, clock: Floats, t: int, reward: float, push: float, total: float
) -> float:
    """Move every action along ``p·(count·reward − push)``, untouched ones by class."""
    a, b, e = _rates(step, clock, t)
    largest = 0.0
    for states, end, touched in (
        (side.actions, side.size[MOVES], True),
        (side.classes, len(side.untouched), False),
    ):
        for i in range(end):
            if not touched and side.untouched[i] == 0:
                continue
            reached = states[COUNT, i] * reward if touched else 0.0
            _learn(states, i, states[W, i] / total * (reached - push), step, clock)
            change = a * states[M, i] / (b * states[S, i] + e)
            states[Z, i] += change
            states[W, i] *= _series(change)
            largest = max(largest, abs(change))
    add_up(side)
    return largest


@vectorised
def _series(x: float) -> float:
    """Return ``exp(x)`` for ``|x| <= SERIES``."""
    x2 = x * x
    even = 1 + x2 * (1 / 2 + x2 * (1 / 24 + x2 * (1 / 720 + x2 / 40320)))
    odd = 1 + x2 * (1 / 6 + x2 * (1 / 120 + x2 * (1 / 5040 + x2 / 362880)))
    return even + x * odd


@compiled
def _rest(side: Side, step: Step, clock: Floats, t: int, total: float) -> None:
    """Lay to rest the rare actions that update ``t`` moved by less than their last digit."""
    # Without a draw Adam's changes only get smaller, as its first average decays faster. To find
    # a resting action takes many tries, so those soon to be drawn again stay up.
    z, m, s, w = side.actions[Z], side.actions[M], side.actions[S], side.actions[W]
    a, b, e = _rates(step, clock, t)
    rare = RARE * total / step.group_size
    for i in range(side.size[MOVES] - 1, -1, -1):
        if w[i] < rare and z[i] + a * m[i] / (b * s[i] + e) == z[i]:
            side.size[MOVES] -= 1
            swap(side, i, side.size[MOVES])
