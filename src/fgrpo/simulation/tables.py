"""The numbers of a sweep: final masses, tail miss against theory, sentences, a summary."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fgrpo.presentation.numbers import percent
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
    """Tail miss of the initial policy for a group size: theory, and two measurements.

    Attributes
    ----------
    group_size
        ``N``.
    predicted
        Probability by lemma 3.1 that a group is active and misses a given action of the tail.
    groups, measured
        Number of groups drawn, and the share of the tail that they missed while active.
    standard_error
        Of ``measured``, as estimated from these groups.
    expected_error
        Of ``measured``, by theory. The estimate is far too small where a group is so rarely
        inactive that none was among those drawn.
    deviation
        ``(measured − predicted) / expected_error``.
    first_groups, first_measured, first_deviation
        The same for the first groups of the sweep's own runs.
    """

    group_size: int
    predicted: float
    groups: int
    measured: float
    standard_error: float
    expected_error: float
    deviation: float
    first_groups: int
    first_measured: float
    first_deviation: float


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
        first = np.concatenate(
            [sweep.rows(size, gamma)[:, 0, TAIL_MISS] for gamma in sweep.recipe.gammas]
        )
        one = _one_group_error(sweep.policy, size)
        error = one / math.sqrt(groups)
        rows.append(
            TailMissRow(
                *(size, predicted, groups, measured, float(found.standard_error[i]), error),
                _in_errors(measured - predicted, error),
                *(len(first), float(first.mean())),
                _in_errors(float(first.mean()) - predicted, one / math.sqrt(len(first))),
            )
        )
    return rows


def largest_deviation(rows: Iterable[TailMissRow]) -> TailMissRow:
    """Return the row that is farthest from theory in standard errors."""
    return max(rows, key=lambda row: abs(row.deviation))


def least_kept(rows: Iterable[FinalRow], gamma: float) -> FinalRow:
    """Return the row of a γ with the least retained mass; the smallest group size of several."""
    return min((row for row in rows if row.gamma == gamma), key=lambda row: row.m_ret.mean)


def sentences(sweep: Sweep) -> dict[float, list[str]]:
    """Say for each γ where least is kept, and against the smallest γ where it changes most."""
    rows = final_rows(sweep)
    at = {(row.group_size, row.gamma): row for row in rows}
    gammas = sorted(sweep.recipe.gammas)
    said = {}
    for gamma in gammas:
        least = least_kept(rows, gamma)
        where = _at(least.group_size)
        if len(sweep.recipe.group_sizes) > 1:
            first = f"the least is kept {where}: {_kept(least)} of the initial correct mass"
        else:
            first = f"{_kept(least)} of the initial correct mass is kept {where}"
        lines = [
            f"With γ = {gamma:g}, {first}.",
            f"The correct actions hold {in_range(least.q_pos)} of all mass {where} in the end; "
            f"before the first step they held {percent(sweep.policy.success_rate)}.",
        ]
        if gamma != gammas[0]:
            pairs = [(at[size, gammas[0]], at[size, gamma]) for size, g in at if g == gamma]
            lines += _against(pairs)
        said[gamma] = lines
    return said


def final_lines(sweep: Sweep) -> list[str]:
    """Return what a terminal shows: a table of the final policies, then the sentences."""
    rows, gammas = final_rows(sweep), sorted(sweep.recipe.gammas)
    at = {(row.group_size, row.gamma): row for row in rows}
    names = [f"γ = {gamma:g}" for gamma in gammas]
    wide = max(8, *map(len, names))
    measures = ("retained mass M_ret", "correct mass Q_pos")
    group = max(len(gammas) * (wide + 2) - 2, *map(len, measures))
    cell = max(wide, -(-(group - 2 * (len(gammas) - 1)) // len(gammas)))
    group = len(gammas) * (cell + 2) - 2
    lines = [
        f"After {sweep.recipe.steps:,} steps"
        + (f", means over {len(sweep.recipe.seeds)} seeds" if len(sweep.recipe.seeds) > 1 else ""),
        "   ".join([" " * 9, *(f"{name:>{group}}" for name in measures)]),
        "   ".join(["        N", *["  ".join(f"{name:>{cell}}" for name in names)] * 2]),
    ]
    for size in sorted(sweep.recipe.group_sizes):
        chosen = [at[size, gamma] for gamma in gammas]
        shares = ([row.m_ret.mean for row in chosen], [row.q_pos.mean for row in chosen])
        cells = ("  ".join(f"{percent(share):>{cell}}" for share in part) for part in shares)
        lines.append("   ".join([f"{size_name(size):>9}", *cells]))
    for told in sentences(sweep).values():
        lines += ["", *told]
    return lines


def csv_tables(sweep: Sweep) -> dict[str, str]:
    """Map file names to the contents of the tables; shares are in [0, 1], entropy in nats."""
    return {
        "final.csv": _csv(_flat(asdict(row)) for row in final_rows(sweep)),
        "tail_miss.csv": _csv(asdict(row) for row in tail_miss_rows(sweep)),
    }


def summary(sweep: Sweep) -> dict[str, Any]:
    """Return everything the page says as a dictionary ready for JSON."""
    rows, missed = final_rows(sweep), tail_miss_rows(sweep)
    farthest = largest_deviation(missed)
    policy = sweep.policy
    return {
        "recipe": sweep.recipe.model_dump(mode="json"),
        "policy": {
            "actions": int(policy.sizes.sum()),
            "correct": int(policy.sizes[policy.correct].sum()),
            "tail": int(policy.sizes[policy.leaves].sum()),
            "q_pos": policy.success_rate,
        },
        "sentences": [line for lines in sentences(sweep).values() for line in lines],
        "least_kept": [_nested(least_kept(rows, gamma)) for gamma in sorted(sweep.recipe.gammas)],
        "final": [_nested(row) for row in rows],
        "tail_miss": [asdict(row) for row in missed],
        "largest_deviation": {
            "group_size": farthest.group_size,
            "standard_errors": farthest.deviation,
        },
        "environment": list(sweep.starts),
    }


def size_name(group_size: float) -> str:
    """Write a group size, its thousands apart where that helps."""
    return f"{group_size:,.0f}" if group_size >= 10_000 else f"{group_size:.0f}"


def in_range(spread: Spread) -> str:
    """Write a mean share in percent, with the range over the seeds if there is one."""
    mean, low, high = (percent(value) for value in spread)
    return mean if low == high else f"{mean} ({low.removesuffix('%')}–{high})"


def _kept(row: FinalRow) -> str:
    return in_range(row.m_ret)


def _at(group_size: int) -> str:
    return f"at N = {size_name(group_size)}"


def _against(pairs: Iterable[tuple[FinalRow, FinalRow]]) -> list[str]:
    """Compare the runs of a γ with those of the smallest, each pair of one group size."""
    ordered = sorted(pairs, key=lambda pair: pair[1].m_ret.mean - pair[0].m_ret.mean)
    lines = []
    base, best = ordered[-1]
    if _more(best, base):
        where = _at(best.group_size)
        most = f"the gain is largest {where}" if len(ordered) > 1 else f"there is a gain {where}"
        lines.append(
            f"Against γ = {base.gamma:g} {most}: {_kept(best)} of the initial correct mass kept "
            f"instead of {_kept(base)}, with {in_range(best.q_pos)} of all mass on correct actions "
            f"instead of {in_range(base.q_pos)}."
        )
    fewer = [(base, one) for base, one in ordered if _more(base, one)]
    if fewer:
        base, worst = fewer[0]
        most = f"at {len(fewer)} of {len(ordered)} group sizes, most so " if ordered[1:] else ""
        lines.append(
            f"It keeps less than γ = {base.gamma:g} {most}{_at(worst.group_size)}: "
            f"{_kept(worst)} instead of {_kept(base)}."
        )
    return lines


def _more(one: FinalRow, other: FinalRow) -> bool:
    """Say whether one keeps more than the other, in the digits that are shown."""
    mine, theirs = one.m_ret.mean, other.m_ret.mean
    return mine > theirs and percent(mine) != percent(theirs)


def _one_group_error(policy: Policy, group_size: int) -> float:
    """Return the standard deviation of one group's tail miss, by theory.

    The mean square is the probability, averaged over all pairs of tail actions, that a group is
    active and misses both, which lemma 3.1 gives for a tail of their joint mass.
    """
    mu, p, many = policy.success_rate, policy.probabilities, policy.sizes.astype(np.float64)
    p, many = _gathered(p[policy.leaves], many[policy.leaves])
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


def _in_errors(difference: float, error: float) -> float:
    return difference / error if error > 0 else 0.0


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(float(values.mean()), float(values.min()), float(values.max()))


def _nested(row: FinalRow) -> dict[str, Any]:
    """Write a row with its spreads as dictionaries."""
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    return {
        name: value._asdict() if isinstance(value, Spread) else value
        for name, value in values.items()
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Give each number of a spread a column of its own."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, tuple):
            flat |= {
                f"{name}_{kind}": x for kind, x in zip(("mean", "min", "max"), value, strict=True)
            }
        else:
            flat[name] = value
    return flat


def _csv(rows: Iterable[dict[str, Any]]) -> str:
    """Write a table as CSV, numbers in full."""
    lines: list[str] = []
    for row in rows:
        if not lines:
            lines.append(",".join(row))
        lines.append(",".join(map(repr, row.values())))
    return "\n".join(lines) + "\n"
