"""A sweep in words: where least is kept and what γ changes, for the page and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.numbers import interval, percent, size_name
from fgrpo.simulation.rows import least_kept

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fgrpo.simulation.result import Sweep
    from fgrpo.simulation.rows import FinalRow, Spread


def sentences(sweep: Sweep) -> dict[float, list[str]]:
    """Say for each γ where least is kept, and against the smallest γ where it changes most."""
    rows = sweep.final_rows
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
    rows, gammas = sweep.final_rows, sorted(sweep.recipe.gammas)
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


def in_range(spread: Spread) -> str:
    """Write a mean share in percent, with the range over the seeds if there is one."""
    mean = percent(spread.mean)
    one = percent(spread.low) == percent(spread.high)
    return mean if one else f"{mean} ({interval(spread.low, spread.high)})"


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
        both = f"γ = {worst.gamma:g} keeps less than γ = {base.gamma:g}"
        most = f"at {len(fewer)} of {len(ordered)} group sizes, most so " if ordered[1:] else ""
        lines.append(
            f"{both} {most}{_at(worst.group_size)}: {_kept(worst)} instead of {_kept(base)}."
        )
    return lines


def _more(one: FinalRow, other: FinalRow) -> bool:
    """Say whether one keeps more than the other, in the digits that are shown."""
    mine, theirs = one.m_ret.mean, other.m_ret.mean
    return mine > theirs and percent(mine) != percent(theirs)
