"""A plan as a self-contained page: its pictures with their words, and the tables' cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.plan.figures import (
    compare_rates_figure,
    drain_figure,
    groups_figure,
    mixture,
    pilot_figure,
    share_name,
    shown_sizes,
    tail_miss_figure,
    unsampled_figure,
    worst_size_figure,
)
from fgrpo.presentation.figures import save
from fgrpo.presentation.numbers import percent
from fgrpo.presentation.page import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.plan.batches import BatchCheck
    from fgrpo.plan.planning import Part, PilotFindings, Plan
    from fgrpo.plan.rates import Band
    from fgrpo.presentation.figures import DrawnFigure

_NAMES = 2**20  # group sizes beyond this are not written out


def plan_pictures(plan: Plan) -> dict[str, list[DrawnFigure]]:
    """Draw every figure of a plan, by the section of the page that shows it.

    The sections: ``together``, what compares several success rates; then one for each part, by its
    number; ``pilot``.
    """
    several = len(plan.parts) > 1
    pictures: dict[str, list[DrawnFigure]] = {"together": [], "pilot": []}
    if several:
        pictures["together"] = [
            *(_compared(plan, i) for i in range(len(plan.parts[0].curves.rare_shares))),
            _worst(plan),
            _drain(mixture(plan), "drain_mixture", plan.asked.level),
        ]
    for number, part in enumerate(plan.parts, 1):
        end = f"_{number}" if several else ""
        drawn = [
            _tail_miss(part, plan, f"tail_miss{end}"),
            _groups(part, f"groups{end}"),
            _unsampled(part, plan, f"unsampled{end}"),
        ]
        if not several:
            drawn.append(_drain(part, "drain", plan.asked.level))
        pictures[str(number)] = drawn
    if plan.pilot is not None:
        pictures["pilot"] = [_pilot(plan.pilot)]
    return pictures


def render_page(
    plan: Plan,
    pictures: Mapping[str, Sequence[DrawnFigure]],
    made_by: Mapping[str, Any],
    batch: BatchCheck | None,
) -> str:
    """Fill the template; all pictures lie inside the page."""
    advice, asked = plan.recommendation, plan.asked
    first = plan.parts[0]
    return fill(
        "fgrpo.plan",
        title=_title(plan),
        advice=advice,
        headline=_headline(plan),
        votes=f"{advice.agreement:.0%}" if len(first.rates.weights) > 1 else "",
        rare=share_name(advice.rare_share),
        warnings=plan.warnings,
        several=len(plan.parts) > 1,
        together=pictures["together"],
        parts=[
            {
                "label": part.label,
                "pictures": pictures[str(number)],
                "groups": _group_rows(part, plan),
                "rare": _rare_rows(part, plan),
            }
            for number, part in enumerate(plan.parts, 1)
        ],
        turning=_turning_rows(plan),
        shares=[share_name(share) for share in first.curves.rare_shares],
        gammas=[f"{gamma:g}" for gamma in first.curves.gammas],
        smallest=share_name(first.curves.rare_shares.min()),
        budget=None if first.table is None else f"{first.table.budget:,}",
        target=share_name(asked.target),
        level=share_name(asked.level),
        banded=len(first.rates.weights) > 1,
        pilot=plan.pilot,
        fit=None if plan.pilot is None else _fit_rows(plan.pilot),
        pilot_pictures=pictures["pilot"],
        unseen=None if plan.pilot is None else _unseen(plan.pilot),
        direct=plan.pilot is not None,
        from_solutions=plan.pilot is not None and plan.pilot.unsampled is not None,
        batch=batch,
        facts=[] if batch is None or batch.facts is None else _facts(batch.facts),
        made_by=[(str(key), _said(value)) for key, value in made_by.items()],
    )


def _title(plan: Plan) -> str:
    if len(plan.parts) > 1 and all(len(part.rates.nodes) == 1 for part in plan.parts):
        rates = [f"{part.rates.nodes[0]:g}" for part in plan.parts]
        return f"Group size and γ for success rates {_listed(rates)}"
    return f"Group size and γ for {_listed([part.label for part in plan.parts])}"


def _headline(plan: Plan) -> str:
    advice = plan.recommendation
    if advice.group_size is None or advice.gamma is None:
        return "No group size can be recommended: this pilot is too small to tell"
    if advice.gamma == 0:
        return f"Groups of {advice.group_size} without the focal weight (γ = 0)"
    return f"Groups of {advice.group_size} with γ = {advice.gamma:g}"


# --- pictures and their words


def _bands(part: Part, level: float) -> str:
    if len(part.rates.weights) == 1:
        return ""
    return f" Shaded: {share_name(level)} interval, as the pilot leaves success rates uncertain."


def _tail_miss(part: Part, plan: Plan, name: str) -> DrawnFigure:
    curves, level = part.curves, plan.asked.level
    last = shown_sizes(part)[1]
    beyond = [size for size in curves.safe if size > last]
    far = (
        f" Beyond the axis: safe from {_listed([f'N = {_size(size)}' for size in beyond])} on."
        if beyond
        else ""
    )
    points = ""
    if plan.pilot is not None and len(plan.pilot.direct.mean):
        points = (
            " Grey points: how often groups are active by the pilot's samples alone, without a "
            "model, with 90% intervals."
        )
    words = "; ".join(
        f"rare share {share_name(share)}: highest at N = {_size(worst)}, below "
        f"{share_name(curves.target)} from N = {_size(safe)} on"
        for share, worst, safe in zip(curves.rare_shares, curves.worst, curves.safe, strict=True)
    )
    return save(
        tail_miss_figure(part, plan.pilot, level=level),
        name,
        "Tail miss: groups that train on a prompt and miss its rare answers",
        "Coloured: probability that a group of N rollouts has right and wrong ones (is active) yet "
        "holds nothing of a part of the correct answers with the given share of the correct mass. "
        "Dots: the worst N. Strokes on the dotted line: the smallest N from where the miss stays "
        f"below the target of {share_name(curves.target)}.{far} Grey: groups that are active at "
        f"all.{points}{_bands(part, level)}",
        f"Tail-miss probability against group size, {part.label}; {words}.",
    )


def _groups(part: Part, name: str) -> DrawnFigure:
    curves = part.curves
    kinds = (curves.all_wrong, curves.active, curves.all_right)
    words = "; ".join(
        f"N = {curves.group_sizes[i]}: "
        + ", ".join(
            f"{kind} {percent(float(one.mean[i]))}"
            for kind, one in zip(("all wrong", "active", "all right"), kinds, strict=True)
        )
        for i in sorted({0, len(curves.group_sizes) // 2, len(curves.group_sizes) - 1})
    )
    return save(
        groups_figure(part),
        name,
        "Groups that carry a signal, and dead ones",
        "Share of groups of N rollouts, in percent. Groups that are all wrong or all right have "
        "advantages of 0: their rollouts train nothing."
        + (" Means over what the pilot allows." if len(part.rates.weights) > 1 else ""),
        f"Shares of groups against group size, {part.label}; {words}.",
    )


def _unsampled(part: Part, plan: Plan, name: str) -> DrawnFigure:
    curves, level = part.curves, plan.asked.level
    points = ""
    if plan.pilot is not None and plan.pilot.unsampled is not None:
        points = (
            f" Points: estimate from the pilot's distinct solutions, without a model, with "
            f"{share_name(level)} intervals over prompts. It weighs prompts by their success rate, "
            "while the lines count every prompt the same, unsolved ones too: they need not agree."
        )
    words = "; ".join(
        f"rare share {share_name(share)}: from {percent(float(curves.unsampled.mean[i, 0]))} at "
        f"N = {curves.group_sizes[0]} to {percent(float(curves.unsampled.mean[i, -1]))} at "
        f"N = {curves.group_sizes[-1]}"
        for i, share in enumerate(curves.rare_shares)
    )
    return save(
        unsampled_figure(part, plan.pilot, level=level),
        name,
        "Correct mass that a group does not sample",
        "Expected share of a prompt's correct mass whose answers are not among the N rollouts, in "
        f"percent, if every correct answer has the rare share.{points}{_bands(part, level)}",
        f"Unsampled correct mass against group size, {part.label}; {words}.",
    )


def _drain(part: Part, name: str, level: float) -> DrawnFigure:
    curves = part.curves
    share = int(curves.rare_shares.argmin())
    known = np.isfinite(curves.drain.mean[0, share])
    at = int(np.flatnonzero(known)[0]) if known.any() else 0
    words = ", ".join(
        f"{curves.drain.mean[j, share, at]:.2f} for γ = {gamma:g}"
        for j, gamma in enumerate(curves.gammas)
    )
    same = (
        " With one success rate for all prompts γ changes next to nothing: it acts between prompts."
        if len(part.rates.nodes) == 1
        else ""
    )
    return save(
        drain_figure(part, level=level),
        name,
        "What training drains from answers it does not see",
        "Correct mass lost by the correct answers outside the group for each unit of correct mass "
        "gained in all, to first order, if every correct answer has "
        f"{share_name(curves.rare_shares[share])} of the correct mass; averaged over prompts "
        f"({part.label}). Lower is better.{same}{_bands(part, level)}",
        f"Drain against group size, {part.label}; at N = {curves.group_sizes[at]}: {words}.",
    )


def _compared(plan: Plan, place: int) -> DrawnFigure:
    share = float(plan.parts[0].curves.rare_shares[place])
    words = "; ".join(
        f"{part.label}: highest at N = {_size(part.curves.worst[place])}" for part in plan.parts
    )
    return save(
        compare_rates_figure(plan, share),
        f"compare_rates_{place + 1}",
        f"Tail miss by success rate, rare share {share_name(share)}",
        "Probability, in percent, that a group of N rollouts is active and holds nothing of a part "
        f"of the correct answers with {share_name(share)} of the correct mass. Of prompts solved "
        "less than half the time, harder ones have a larger worst N.",
        f"Tail-miss probability against group size for a rare share of {share_name(share)}; "
        f"{words}.",
    )


def _worst(plan: Plan) -> DrawnFigure:
    words = "; ".join(
        f"{part.label}: " + ", ".join(_size(worst) for worst in part.curves.worst)
        for part in plan.parts
    )
    shares = _listed([share_name(share) for share in plan.parts[0].curves.rare_shares])
    return save(
        worst_size_figure(plan),
        "worst_size",
        "The worst group size",
        "Group size at which a group most often trains on a prompt and misses its rare answers, "
        "against the prompt's success rate. Dots: the success rates of this plan.",
        f"Worst group size against success rate, for rare shares of {shares}; {words}.",
    )


def _pilot(findings: PilotFindings) -> DrawnFigure:
    fit = findings.fit
    return save(
        pilot_figure(findings),
        "pilot",
        "The pilot's success rates, and what was fitted to them",
        "Bars: prompts of the pilot by their share of correct samples; never and always stand "
        "apart. Points: what the fitted distribution expects; lines: the interval that holds "
        f"{share_name(fit.level)} of pilots drawn from it. Bars well outside mean that it fits "
        "badly.",
        f"Histogram of the success rates of {fit.prompts} prompts: {percent(fit.never)} never "
        f"solved, {percent(fit.always)} always, mean {percent(float(fit.mean.mean))}.",
    )


# --- cells


def _group_rows(part: Part, plan: Plan) -> list[dict[str, Any]]:
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


def _rare_rows(part: Part, plan: Plan) -> list[dict[str, Any]]:
    curves = part.curves
    smallest = int(curves.rare_shares.argmin())
    rows = []
    for i, size in enumerate(curves.group_sizes):
        cells = [_cell(curves.tail_miss, (j, i)) for j in range(len(curves.rare_shares))]
        cells += [_cell(curves.unsampled, (j, i)) for j in range(len(curves.rare_shares))]
        if plan.pilot is not None and (found := plan.pilot.unsampled) is not None:
            mean, low, high = (float(np.asarray(side)[i]) for side in found)
            cells.append(("–", "") if mean != mean else (percent(mean), _interval(low, high)))
        cells += [
            _cell(curves.drain, (j, smallest, i), scale="ratio") for j in range(len(curves.gammas))
        ]
        rows.append({"size": f"{size:,}", "advised": _advised(plan, int(size)), "cells": cells})
    return rows


def _turning_rows(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "part": part.label,
            "share": share_name(share),
            "worst": _size(part.curves.worst[i]),
            "safe": _size(part.curves.safe[i]),
            "start": i == 0,
        }
        for part in plan.parts
        for i, share in enumerate(part.curves.rare_shares)
    ]


def _advised(plan: Plan, size: int) -> bool:
    return size == plan.recommendation.group_size


def _cell(values: Band, place: int | tuple[int, ...], scale: str = "share") -> tuple[str, str]:
    """Write a mean, and its interval if it has one."""
    mean, low, high = (float(side[place]) for side in values)
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
    if low != low:
        return "interval not known"
    return f"{percent(low).removesuffix('%')}–{percent(high).removesuffix('%')}"


def _fit_rows(findings: PilotFindings) -> list[tuple[str, str]]:
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
        ("Mean success rate", f"{percent(mean)} ({level} interval {_interval(low, high)}%)"),
        (
            "How alike, a + b",
            f"{alike:.3g} ({level} interval {least:.2g}–{most:.2g}); below 2 many prompts are "
            "near never or always, large values mean that all are alike",
        ),
        ("Fit", f"p = {fit.fit_p_value:.3f}: {verdict}"),
    ]


def _unseen(findings: PilotFindings) -> dict[str, Any] | None:
    """Say what Good–Turing says."""
    rare, labelled = findings.rare, findings.labelled
    if rare is None or labelled is None:
        return None
    share, mass = (
        None
        if float(one.mean) != float(one.mean)
        else (percent(float(one.mean)), _spread(float(one.low), float(one.high)))
        for one in (rare.share, rare.mass)
    )
    return {"share": share, "mass": mass, "rare": rare, "labelled": labelled}


def _spread(low: float, high: float) -> str:
    return "" if low != low else f"{_interval(low, high)}%"


def _facts(facts: Any) -> list[tuple[str, str]]:
    names = {
        "group_size": "Group size",
        "prompts_per_step": "Prompts a step",
        "rollouts_per_step": "Rollouts a step",
        "prompts_per_update": "Prompts an update",
        "rollouts_per_update": "Rollouts an update",
        "updates_per_step": "Updates a step",
        "padding": "Empty rollouts added a step",
    }
    return [(said, f"{getattr(facts, name):g}") for name, said in names.items()]


def _size(size: int) -> str:
    return f"{size:,}" if size <= _NAMES else "more than a million"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items())
    return "–" if value is None else str(value)
