"""Drawing a group: how often each action comes, distributed as a multinomial.

Independent Poisson counts of rates ``λp`` that sum to ``M`` are a multinomial draw of ``M``; with
``λ`` a little below ``N``, ``N − M`` single draws complete it to one of ``N``. A small group is
all single draws.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.simulation.compiling import compiled
from fgrpo.simulation.side import (
    ALL,
    BLOCK,
    COUNT,
    HITS,
    MOVES,
    MOVING,
    MOVING_Z,
    RESTING,
    RESTING_Z,
    TOP,
    TOP_RESTING,
    UNTOUCHED,
    WERE,
    M,
    S,
    Side,
    W,
    Z,
    add_up_untouched,
    mass,
    swap,
)

if TYPE_CHECKING:
    from numpy.random import Generator

MANY = 32  # Poisson counts if the group has more than 1/32 of the moving actions' number
INVERTED = 30.0  # mean count below which inversion, which takes as many steps, is fastest
SPARSE = 0.25  # mean count below which it is faster to skip from one drawn action to the next

_INVERSE = 1.0 / np.maximum(1.0, np.arange(200.0))  # a count of 200 has probability 1e-88 or less


@compiled
def draw(right: Side, wrong: Side, group_size: int, rng: Generator) -> None:
    """Draw a group into the counts; whatever was drawn moves from now on."""
    right.size[WERE], wrong.size[WERE] = right.size[MOVES], wrong.size[MOVES]
    mass_right = mass(right)
    total = mass_right + mass(wrong)
    many = 0
    if group_size > 64 and group_size * MANY > right.size[MOVES] + wrong.size[MOVES]:
        rate = (group_size - 4.0 * math.sqrt(group_size)) / total
        while True:
            for side in (right, wrong):
                many += _poisson_counts(side, rate, rng)
            if many <= group_size:
                break
            # Probability 3e-5. Whatever number is accepted, given it the counts are multinomial.
            many = 0
            for side in (right, wrong):
                side.actions[COUNT, : side.size[ALL]] = 0.0
                side.drawn[:] = 0
                side.size[HITS] = 0
    for _ in range(group_size - many):
        u = rng.random() * total
        if u < mass_right:
            _single(right, u, rng)
        else:
            _single(wrong, u - mass_right, rng)
    for side in (right, wrong):
        _settle(side, rng)


@compiled
def _poisson_counts(side: Side, rate: float, rng: Generator) -> int:
    """Draw a Poisson count of mean ``rate × weight`` for every action; return their sum."""
    w = side.actions[W]
    many = 0
    densest = rate * side.total[TOP]
    if densest < SPARSE:
        # A Poisson process of the highest density along the moving actions, thinned.
        x = rng.standard_exponential() / max(densest, 1e-300)
        while x < side.size[WERE]:
            i = int(x)
            if rng.random() * side.total[TOP] < w[i]:
                _count(side, i, 1)
                many += 1
            x += rng.standard_exponential() / densest
    else:
        for i in range(side.size[WERE]):
            u = rng.random()
            if u >= 1.0 - rate * w[i]:  # below that it is below exp(−mean): a count of 0
                count = _poisson(rate * w[i], u, rng)
                if count > 0:
                    _count(side, i, count)
                    many += count
    if side.size[ALL] > side.size[WERE]:
        count = rng.poisson(rate * side.total[RESTING])
        for _ in range(count):
            _single_resting(side, rng)
        many += count
    for k in range(len(side.untouched)):
        if side.untouched[k] > 0:
            count = rng.poisson(rate * side.untouched[k] * side.classes[W, k])
            side.drawn[k] = count
            many += count
    return many


@compiled
def _poisson(mean: float, u: float, rng: Generator) -> int:
    """Draw a Poisson count: by inversion of ``u`` unless the mean is large."""
    if mean >= INVERTED:
        return rng.poisson(mean)
    count, term = 0, math.exp(-mean)
    u -= term
    while u >= 0.0 and count < len(_INVERSE) - 1:
        count += 1
        term *= mean * _INVERSE[count]
        u -= term
    return count


@compiled
def _single(side: Side, u: float, rng: Generator) -> None:
    """Count the action that ``u``, between 0 and its side's mass, falls on."""
    w = side.actions[W]
    # Rounding may leave a u past the end of a side that has nothing but moving actions.
    if u < side.total[MOVING] or side.total[RESTING] + side.total[UNTOUCHED] <= 0:
        low, high = 0, -(-side.size[WERE] // BLOCK) - 1
        while low < high:  # the first block whose end lies beyond u
            middle = (low + high) // 2
            if side.cumulative[middle] > u:
                high = middle
            else:
                low = middle + 1
        if low > 0:
            u -= side.cumulative[low - 1]
        i, last = low * BLOCK, min((low + 1) * BLOCK, side.size[WERE]) - 1
        while u >= w[i] and i < last:
            u -= w[i]
            i += 1
        _count(side, i, 1)
        return
    u -= side.total[MOVING]
    if u < side.total[RESTING] or side.total[UNTOUCHED] == 0:
        _single_resting(side, rng)
        return
    u -= side.total[RESTING]
    chosen = -1
    for k in range(len(side.untouched)):
        if side.untouched[k] > 0:
            chosen = k
            u -= side.untouched[k] * side.classes[W, k]
            if u < 0:
                break
    side.drawn[chosen] += 1


@compiled
def _single_resting(side: Side, rng: Generator) -> None:
    """Count one of the actions that rested when the draw began, chosen by rejection."""
    begin = side.size[WERE]
    while True:
        i = begin + int(rng.random() * (side.size[ALL] - begin))
        if rng.random() * side.total[TOP_RESTING] < side.actions[W, i]:
            break
    if i >= side.size[MOVES]:  # it moves from now on
        swap(side, i, side.size[MOVES])
        i = side.size[MOVES]
        side.size[MOVES] += 1
    _count(side, i, 1)


@compiled
def _count(side: Side, i: int, count: int) -> None:
    """Count draws of a moving action."""
    if side.actions[COUNT, i] == 0.0:
        side.hits[side.size[HITS]] = i
        side.size[HITS] += 1
    side.actions[COUNT, i] += count


@compiled
def _settle(side: Side, rng: Generator) -> None:
    """Give the untouched actions that were drawn a state of their own; put the sums right."""
    for i in range(side.size[WERE], side.size[MOVES]):  # have woken
        weight, logit = side.actions[W, i], side.actions[Z, i]
        side.total[RESTING] -= weight
        side.total[RESTING_Z] -= weight * logit
        side.total[MOVING] += weight
        side.total[MOVING_Z] += weight * logit
    if side.size[MOVES] == side.size[ALL]:  # no rounding error may stand for resting actions
        side.total[RESTING] = side.total[RESTING_Z] = 0.0
    changed = False
    for k in range(len(side.untouched)):
        left, begin = side.untouched[k], side.size[MOVES]
        for _ in range(side.drawn[k]):
            # Which of them: all are alike, so one of those just touched or yet another.
            i = begin + int(rng.random() * left)
            if i >= side.size[MOVES]:
                i = side.size[MOVES]
                if i < side.size[ALL]:  # the first that rests makes room
                    swap(side, i, side.size[ALL])
                for row in (Z, M, S, W):
                    side.actions[row, i] = side.classes[row, k]
                side.kind[i] = k
                side.size[MOVES] += 1
                side.size[ALL] += 1
                side.total[MOVING] += side.classes[W, k]
                side.total[MOVING_Z] += side.classes[W, k] * side.classes[Z, k]
            _count(side, i, 1)
        changed |= side.drawn[k] > 0
        side.untouched[k] = left - (side.size[MOVES] - begin)
        side.drawn[k] = 0
    if changed:
        add_up_untouched(side)
