"""What ``fgrpo plan`` prints of a plan: tables for every group size, then the advice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.plan.words import CHOSEN, nearly_all_differ, safe_name, turning_name, turning_notes
from fgrpo.presentation.numbers import percent, share_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike
    from rich.table import Table

    from fgrpo.plan.planning import Part, PilotFindings, Plan
    from fgrpo.plan.rates import Band

_GAP = 2  # columns between two columns of a table
_NONE = "–"

_MEANING = (
    "Active: some right, some wrong; only these groups teach. Tail miss: the group is active, and "
    "none of its answers is among those that have the share ρ of the correct mass. Unsampled: the "
    "correct mass that is not in the group, if every correct answer has the share ρ of it."
)
_TURNING = (
    "Worst N: the most likely tail miss. Safe N: from here on a tail miss is less likely than "
    "{target}."
)
_DRAIN = (
    "Drain: correct mass that an update takes from correct answers outside the group, for each "
    "unit of correct mass it gains; to first order, if every correct answer has the share ρ of it."
)
_LIMITS = (
    "Solutions are as different as their {labels}: this is the mass of all unseen ones together, "
    "and says neither which they are nor how common any of them is."
)
_NEARLY_ALL = "As {labels} go nearly all differ, so it says little of the policy."


@dataclass(frozen=True, slots=True)
class _Group:
    """Columns that belong together: header lines and cells for every group size."""

    headers: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    def widths(self) -> list[int]:
        return [
            max(len(line) for line in (*header.split("\n"), *column))
            for header, column in zip(self.headers, self.cells, strict=True)
        ]

    def parts(self) -> list[_Group]:
        return [
            _Group((header,), (column,))
            for header, column in zip(self.headers, self.cells, strict=True)
        ]


def blocks(found: Plan, pilot: Path | None, width: int, by: str = "text") -> list[Table | str]:
    """Return what to print.

    Parameters
    ----------
    found
        The plan.
    pilot
        Where its pilot came from, if it has one.
    width
        Columns of the terminal.
    by
        What told the pilot's solutions apart: ``text`` or ``answer``.
    """
    result: list[Table | str] = []
    if found.pilot is not None:
        result += [*_pilot_lines(found.pilot, str(pilot)), ""]
    for part in found.parts:
        findings = found.pilot
        counted = _unsampled_counted(findings)
        # With a budget the tail miss stands beside what it buys.
        missed = [_tail_miss(part)] if part.table is None else []
        groups = [_activity(part, findings), *counted, *missed, _unsampled(part)]
        result += _tables(_title(part), part, groups, width)
    result += [_MEANING, *_direct_note(found), "", _turning_table(found)]
    result += [_TURNING.format(target=share_name(found.asked.target)), *turning_notes(found), ""]
    for part in found.parts:
        if part.table is not None:
            title = f"{_title(part)}: a budget of {part.table.budget:,} rollouts a step"
            result += _tables(title, part, [_bought(part), _tail_miss(part)], width)
    if found.pilot is not None:
        result += [f"{_good_turing(found.pilot, by)} {CHOSEN}", ""]
    result += [*_drain_table(found, width), ""]
    result += _advice(found)
    result += [f"Warning: {text}" for text in found.warnings]
    return result


def _title(part: Part) -> str:
    return part.label[:1].upper() + part.label[1:]


def _pilot_lines(findings: PilotFindings, path: str) -> Iterator[str]:
    from fgrpo.diagnose.arms import printable

    fit = findings.fit
    each = f"{fit.fewest:,}" if fit.fewest == fit.most else f"{fit.fewest:,}–{fit.most:,}"
    plural = "s" * (fit.prompts != 1)
    yield (
        f"Pilot {printable(path)}: {fit.prompts:,} prompt{plural}, {each} samples each, "
        f"{fit.samples:,} in all."
    )
    mean = _between(fit.mean.mean, fit.mean.low, fit.mean.high)
    yield (
        f"Mean success rate {mean}; {percent(fit.never)} of the prompts have no correct sample, "
        f"{percent(fit.always)} no wrong one."
    )
    verdict = "does not speak" if fit.plausible else "speaks"
    yield (
        f"The pilot {verdict} against a Beta distribution of success rates (posterior-predictive "
        f"p = {fit.fit_p_value:.2g}). In parentheses: {share_name(fit.level)} intervals."
    )


def _activity(part: Part, findings: PilotFindings | None) -> _Group:
    curves = part.curves
    headers = ["active", "all\nright", "all\nwrong"]
    # The two follow from activity and each other: their intervals, which are in the files, would
    # take the room of the tail miss.
    dead = [
        tuple(map(percent, band.mean.tolist())) for band in (curves.all_right, curves.all_wrong)
    ]
    cells = [_cells(curves.active), *dead]
    if findings is not None and findings.direct.mean.size:
        direct = [percent(float(value)) for value in findings.direct.mean]
        headers.insert(1, "active,\nno model")
        cells.insert(1, (*direct, *[_NONE] * (len(curves.group_sizes) - len(direct))))
    return _Group(tuple(headers), tuple(cells))


def _tail_miss(part: Part) -> _Group:
    curves = part.curves
    return _Group(
        tuple(
            f"{_words(part, 'tail miss')}\nρ {share_name(share)}" for share in curves.rare_shares
        ),
        tuple(_cells(curves.tail_miss.at(t)) for t in range(len(curves.rare_shares))),
    )


def _unsampled(part: Part) -> _Group:
    curves = part.curves
    name = _words(part, "unsampled")
    return _Group(
        tuple(f"{name}\nρ {share_name(share)}" for share in curves.rare_shares),
        tuple(_cells(curves.unsampled.at(t)) for t in range(len(curves.rare_shares))),
    )


def _unsampled_counted(findings: PilotFindings | None) -> list[_Group]:
    """Return the column of what was counted without a model, if anything could be."""
    if findings is None or findings.unsampled is None or np.isnan(findings.unsampled.mean).all():
        return []
    return [_Group(("unsampled,\nno model",), (_cells(findings.unsampled),))]


def _words(part: Part, name: str) -> str:
    """Break a column's name where its cells are narrow, as they hold no interval."""
    if len(part.rates.weights) > 1:
        return name
    return {"tail miss": "tail\nmiss", "unsampled": "un-\nsampled"}[name]


def _bought(part: Part) -> _Group:
    table = part.table
    assert table is not None
    return _Group(
        ("prompts", "left\nover", "active\ngroups", "dead\nrollouts"),
        (
            tuple(f"{count:,}" for count in table.prompts),
            tuple(f"{count:,}" for count in table.left_over),
            tuple(_number(*values) for values in zip(*table.active_groups, strict=True)),
            tuple(_number(*values) for values in zip(*table.dead_rollouts, strict=True)),
        ),
    )


def _drain_table(found: Plan, width: int) -> Iterator[Table | str]:
    """Yield the drain of the rarest answers, over all prompts: γ pays between those that differ."""
    part = found.mixture
    curves = part.curves
    rarest = int(np.argmin(curves.rare_shares))
    group = _Group(
        tuple(f"drain\nγ = {gamma:g}" for gamma in curves.gammas),
        tuple(
            tuple(
                _ratio(*values)
                for values in zip(*(side[g, rarest] for side in curves.drain), strict=True)
            )
            for g in range(len(curves.gammas))
        ),
    )
    title = f"{_title(part)}: drain at ρ = {share_name(curves.rare_shares[rarest])}"
    yield from _tables(title, part, [group], width)
    yield _DRAIN


def _tables(title: str, part: Part, groups: Sequence[_Group], width: int) -> Iterator[Table | str]:
    """Yield the title and tables with a row for each group size, as few as the width allows."""
    sizes = tuple(f"{size:,}" for size in part.curves.group_sizes)
    first = _Group(("N",), (sizes,))
    yield title
    room = width - first.widths()[0] - _GAP
    shown: list[_Group] = []
    for wanted in groups:
        fits = sum(size + _GAP for size in wanted.widths()) <= room
        for group in [wanted] if fits else wanted.parts():
            taken = sum(size + _GAP for one in shown for size in one.widths())
            if shown and taken + sum(size + _GAP for size in group.widths()) > room:
                yield from (_table([first, *shown]), "")
                shown = []
            shown.append(group)
    yield from (_table([first, *shown]), "")


def _table(groups: Sequence[_Group]) -> Table:
    headers = [header for group in groups for header in group.headers]
    return _simple(headers, zip(*(c for group in groups for c in group.cells), strict=True))


def _simple(headers: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0) -> Table:
    """Make a table whose first columns, ``left`` of them, are words."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, _GAP - 1, 0, 0),  # and one for the box's own
        show_edge=False,
        pad_edge=False,
    )
    for i, header in enumerate(headers):
        table.add_column(
            header, justify="left" if i < left else "right", no_wrap=True, vertical="bottom"
        )
    for row in rows:
        table.add_row(*row)
    return table


def _turning_table(found: Plan) -> Table:
    """Make the table of worst and safe group sizes: a row for each part and rare share."""
    rows = [
        (
            _title(part) if t == 0 else "",
            share_name(share),
            turning_name(part.curves.worst[t]),
            safe_name(part.curves, t),
        )
        for part in found.parts
        for t, share in enumerate(part.curves.rare_shares)
    ]
    return _simple(("", "ρ", "worst N", "safe N"), rows, left=1)


def _direct_note(found: Plan) -> Iterator[str]:
    findings = found.pilot
    if findings is None:
        return
    named = ["active"] * bool(findings.direct.mean.size)
    named += ["unsampled"] * bool(_unsampled_counted(findings))
    if named:
        yield (
            f"No model: {' and '.join(named)} as counted in the pilot itself, whose samples reach "
            f"N = {findings.fit.fewest:,}."
        )


def _good_turing(findings: PilotFindings, by: str) -> str:
    rare = findings.rare
    if rare is None:
        why = "holds no texts" if findings.labelled is None else "does not tell its solutions apart"
        return f"Good–Turing: the pilot {why}, so nothing is known of unseen ones."
    if rare.used == 0:
        return "Good–Turing: no prompt has two correct samples, so nothing is known of unseen ones."
    limits = _NEARLY_ALL if nearly_all_differ(rare) else _LIMITS
    share = _between(*rare.share)
    return (
        f"Good–Turing: {share} of the correct mass of a prompt is on solutions that one correct "
        f"sample fewer would have left unseen (from the {rare.used:,} of {rare.prompts:,} prompts "
        "with two correct samples or more). "
        + limits.format(labels="texts" if by == "text" else "boxed answers")
    )


def _advice(found: Plan) -> list[str]:
    advice = found.recommendation
    if advice.group_size is None:
        return [f"No recommendation. {advice.reason}"]
    instead = (
        f", instead of groups of {advice.instead_of} without the weight"
        if advice.instead_of is not None
        else ""
    )
    weight = f"γ = {advice.gamma:g}" + (" (no weight)" if advice.gamma == 0 else "")
    lines = [f"→ Recommended: N = {advice.group_size}, {weight}{instead}.", advice.reason]
    if found.pilot is not None:
        lines.append(
            f"{advice.agreement:.0%} of the distributions of success rates that fit the "
            "pilot lead to this advice."
        )
    elif len(found.parts) > 1:
        lines.append("For prompts of which an equal part has each of the success rates.")
    return lines


def _cells(band: Band) -> tuple[str, ...]:
    return tuple(_between(*values) for values in zip(*map(np.atleast_1d, band), strict=True))


def _between(mean: ArrayLike, low: ArrayLike, high: ArrayLike) -> str:
    """Write a share in percent, with its interval if it has one."""
    middle, *ends = (float(value) for value in (mean, low, high))  # type: ignore[arg-type]
    if middle != middle:
        return _NONE
    return _with_interval(percent(middle), *(percent(e)[:-1] if e == e else "" for e in ends))


def _with_interval(mean: str, low: str, high: str) -> str:
    """Add an interval that there is, and that rounding leaves wider than nothing."""
    return f"{mean} ({low}–{high})" if low != high else mean


def _number(mean: float, low: float, high: float) -> str:
    if mean != mean:
        return _NONE
    digits = 0 if mean >= 100 else 1
    return _with_interval(*(f"{value:,.{digits}f}" for value in (mean, low, high)))


def _ratio(mean: float, low: float, high: float) -> str:
    if mean != mean:
        return _NONE
    return _with_interval(
        *("<0.01" if 0 < value < 0.005 else f"{value:,.2f}" for value in (mean, low, high))
    )
