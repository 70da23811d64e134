"""The cells of the tables of a plan's page, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.plan.words import nearly_all_differ, safe_name, turning_name
from fgrpo.presentation.numbers import interval as percents
from fgrpo.presentation.numbers import percent, share_name

if TYPE_CHECKING:
    from fgrpo.plan.batches import BatchFacts
    from fgrpo.plan.planning import Part, PilotFindings, Plan
    from fgrpo.plan.rates import Band


def group_rows(part: Part, plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each group size: activity, and what the budget buys if there is one."""
    curves, table, pilot = part.curves, part.table, plan.pilot
    rows = []
    for i, size in enumerate(curves.group_sizes):
        cells = [_cell(one, i) for one in (curves.active, curves.all_right, curves.all_wrong)]
        if pilot is not None:
            cells.insert(1, ("–", ""))
            if i < len(pilot.direct.mean):
                mean, error = float(pilot.direct.mean[i]), float(pilot.direct.standard_error[i])
                cells[1] = (percent(mean), "" if error != error else f"± {100 * error:.1f}")
        if table is not None:
            fits = table.prompts[i] > 0
            cells += [(f"{table.prompts[i]:,}", ""), (f"{table.left_over[i]:,}", "")]
            cells += [
                _cell(one, i, scale="count") if fits else ("–", "")
                for one in (table.active_groups, table.dead_rollouts)
            ]
        rows.append({"size": f"{size:,}", "advised": _advised(plan, int(size)), "cells": cells})
    return rows


def rare_rows(part: Part, plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each group size: tail miss, unsampled mass and drain."""
    curves = part.curves
    smallest = int(curves.rare_shares.argmin())
    rows = []
    for i, size in enumerate(curves.group_sizes):
        cells = [_cell(curves.tail_miss, (j, i)) for j in range(len(curves.rare_shares))]
        cells += [_cell(curves.unsampled, (j, i)) for j in range(len(curves.rare_shares))]
        if plan.pilot is not None and (found := plan.pilot.unsampled) is not None:
            cells.append(_cell(found, i))
        cells += [
            _cell(curves.drain, (j, smallest, i), scale="ratio") for j in range(len(curves.gammas))
        ]
        rows.append({"size": f"{size:,}", "advised": _advised(plan, int(size)), "cells": cells})
    return rows


def turning_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each part and rare share: worst and safe group size."""
    return [
        {
            "part": part.label,
            "share": share_name(share),
            "worst": turning_name(part.curves.worst[i]),
            "safe": safe_name(part.curves, i),
            "start": i == 0,
        }
        for part in plan.parts
        for i, share in enumerate(part.curves.rare_shares)
    ]


def _advised(plan: Plan, size: int) -> bool:
    return size == plan.recommendation.group_size


def _cell(values: Band, place: int | tuple[int, ...], scale: str = "share") -> tuple[str, str]:
    """Write a mean, and its interval if it has one."""
    mean, low, high = map(float, values.at(place))
    if mean != mean:
        return "–", ""
    if scale == "share":
        return percent(mean), "" if low == mean == high else _interval(low, high)
    write = _ratio if scale == "ratio" else _count
    return write(mean), "" if low == mean == high else f"{write(low)}–{write(high)}"


def _ratio(value: float) -> str:
    return "<0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def _count(value: float) -> str:
    return f"{value:,.1f}"


def _interval(low: float, high: float) -> str:
    return "interval not known" if low != low else percents(low, high).removesuffix("%")


def fit_rows(findings: PilotFindings) -> list[tuple[str, str]]:
    """Return what the pilot is and what was fitted to it, by name."""
    fit = findings.fit
    samples = f"{fit.fewest}" if fit.fewest == fit.most else f"{fit.fewest} to {fit.most}"
    verdict = (
        "such a pilot is not unusual for the fitted distribution"
        if fit.plausible
        else "the fitted distribution does not describe this pilot"
    )
    level = share_name(fit.level)
    mean, low, high = (float(end) for end in fit.mean)
    alike, least, most = (float(end) for end in fit.concentration)
    return [
        ("Prompts", f"{fit.prompts:,}"),
        ("Samples", f"{fit.samples:,} in all, {samples} of each prompt"),
        ("Never solved", f"{percent(fit.never)} of the prompts"),
        ("Always solved", f"{percent(fit.always)} of the prompts"),
        ("Mean success rate", f"{percent(mean)} ({level} interval {percents(low, high)})"),
        (
            "How alike, a + b",
            f"{alike:.3g} ({level} interval {least:.2g}–{most:.2g}); below 2 many prompts are "
            "near never or always, large values mean that all are alike",
        ),
        ("Fit", f"p = {fit.fit_p_value:.3f}: {verdict}"),
    ]


def unseen_mass(findings: PilotFindings) -> dict[str, Any] | None:
    """Return what Good–Turing says, for the page; None without solutions."""
    rare, labelled = findings.rare, findings.labelled
    if rare is None or labelled is None:
        return None
    share, mass = (
        None
        if float(one.mean) != float(one.mean)
        else (
            percent(float(one.mean)),
            "" if float(one.low) != float(one.low) else percents(float(one.low), float(one.high)),
        )
        for one in (rare.share, rare.mass)
    )
    return {
        "share": share,
        "mass": mass,
        "rare": rare,
        "labelled": labelled,
        "differ": nearly_all_differ(rare),
    }


def batch_rows(facts: BatchFacts) -> list[tuple[str, str]]:
    """Return what comes of a valid batch, by name."""
    names = {
        "group_size": "Group size",
        "prompts_per_step": "Prompts a step",
        "rollouts_per_step": "Rollouts a step",
        "prompts_per_update": "Prompts an update",
        "rollouts_per_update": "Rollouts an update",
        "updates_per_step": "Updates a step",
        "padding": "Empty rollouts added a step",
    }
    values = {said: getattr(facts, name) for name, said in names.items()}
    return [
        (said, f"{value:,}" if isinstance(value, int) else f"{value:g}")
        for said, value in values.items()
    ]
