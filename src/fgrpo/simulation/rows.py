"""What a sweep came to, in rows: the final policies, and tail miss against theory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fgrpo.simulation.trajectory import ENTROPY, M_RET, Q_POS, TAIL_MISS, UNSAMPLED_CORRECT
from fgrpo.theory import tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.result import Sweep

_CLASSES = 256  # of the tail's actions, for the standard error: it takes every pair of them
_RESOLVED = 1e-15  # a variance below this share of the mean square is rounding


class Spread(NamedTuple):
    """Mean, smallest and largest value over the seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class FinalRow:
    """What the runs of a group size and a γ came to.

    Attributes
    ----------
    group_size, gamma, seeds
        Which runs, and how many.
    q_pos, m_ret, entropy
        Of the final policy, see `Trajectory`.
    unsampled_correct, tail_miss
        Averages over all steps of what the groups missed, see `Trajectory`.
    """

    group_size: int
    gamma: float
    seeds: int
    q_pos: Spread
    m_ret: Spread
    entropy: Spread
    unsampled_correct: Spread
    tail_miss: Spread


@dataclass(frozen=True)
class TailMissRow:
    """Tail miss of the initial policy for a group size: theory and measurement.

    Attributes
    ----------
    group_size
        ``N``.
    predicted
        Probability by lemma 3.1 that a group is active and misses a given action of the tail.
    groups, measured
        Number of groups drawn, and the share of the tail that they missed while active.
    standard_error
        Of ``measured``, by theory. What the groups themselves would estimate is far too small where
        a group is so rarely inactive that none was among those drawn.
    deviation
        ``(measured − predicted) / standard_error``.
    """

    group_size: int
    predicted: float
    groups: int
    measured: float
    standard_error: float
    deviation: float


def final_rows(sweep: Sweep) -> list[FinalRow]:
    """Return a row for each group size and γ, both rising.

    Parameters
    ----------
    sweep
        What `fgrpo.simulation.result.load_sweep` returns.
    """
    rows = []
    for group_size in sorted(sweep.recipe.group_sizes):
        for gamma in sorted(sweep.recipe.gammas):
            runs = sweep.rows(group_size, gamma)
            last, steps = runs[:, -1], runs[:, :-1].mean(axis=1)
            rows.append(
                FinalRow(
                    *(group_size, gamma, len(runs)),
                    *(_spread(last[:, column]) for column in (Q_POS, M_RET, ENTROPY)),
                    *(_spread(steps[:, column]) for column in (UNSAMPLED_CORRECT, TAIL_MISS)),
                )
            )
    return rows


def tail_miss_rows(sweep: Sweep) -> list[TailMissRow]:
    """Return a row for each group size, rising: tail miss at step 0 against theory."""
    found = sweep.tail_miss
    rows = []
    for i in np.argsort(found.group_sizes):
        size, groups = int(found.group_sizes[i]), int(found.groups[i])
        predicted, measured = float(found.predicted[i]), float(found.measured[i])
        error = _one_group_error(sweep.policy, size) / math.sqrt(groups)
        deviation = (measured - predicted) / error if error > 0 else 0.0
        rows.append(TailMissRow(size, predicted, groups, measured, error, deviation))
    return rows


def largest_deviation(rows: Iterable[TailMissRow]) -> TailMissRow:
    """Return the row that is farthest from theory in standard errors."""
    return max(rows, key=lambda row: abs(row.deviation))


def least_kept(rows: Iterable[FinalRow], gamma: float) -> FinalRow:
    """Return the row of a γ with the least retained mass; the smallest group size of several."""
    return min((row for row in rows if row.gamma == gamma), key=lambda row: row.m_ret.mean)


def _one_group_error(policy: Policy, group_size: int) -> float:
    """Return the standard deviation of one group's tail miss, by theory.

    The mean square is the probability, averaged over all pairs of tail actions, that a group is
    active and misses both, which lemma 3.1 gives for a tail of their joint mass.
    """
    mu, p, many = policy.success_rate, policy.probabilities, policy.sizes.astype(np.float64)
    p, many = _gathered(p[policy.tail], many[policy.tail])
    tail = many.sum()
    single = np.asarray(tail_miss_probability(mu, p, group_size))
    both = np.asarray(tail_miss_probability(mu, np.minimum(p[:, None] + p, mu), group_size))
    pairs = np.outer(many, many)
    pairs[np.diag_indices_from(pairs)] -= many  # an action is no pair with itself
    square = ((pairs * both).sum() + (many * single).sum()) / tail**2
    variance = square - ((many * single).sum() / tail) ** 2
    return math.sqrt(max(float(variance), _RESOLVED * float(square)))


def _gathered(
    p: NDArray[np.float64], many: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gather many classes of actions into a few, alike in their probability."""
    if len(p) <= _CLASSES:
        return p, many
    order = np.argsort(p)
    parts = np.array_split(order, _CLASSES)
    sizes = np.array([many[part].sum() for part in parts])
    return np.array([(p * many)[part].sum() for part in parts]) / sizes, sizes


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(float(values.mean()), float(values.min()), float(values.max()))
