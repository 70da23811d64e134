"""The pictures of a plan's page: each figure with its title, caption and words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo.plan.figures import (
    compare_rates_figure,
    drain_figure,
    groups_figure,
    shown_sizes,
    tail_miss_figure,
    unsampled_figure,
    worst_size_figure,
)
from fgrpo.plan.pilot_figure import pilot_figure
from fgrpo.plan.words import listed, safe_name, turning_name
from fgrpo.presentation.figures import save
from fgrpo.presentation.numbers import percent, share_name

if TYPE_CHECKING:
    from fgrpo.plan.planning import Part, PilotFindings, Plan
    from fgrpo.presentation.figures import DrawnFigure

DRAWN_PARTS = 20  # of more parts none is drawn alone: nobody looks through hundreds of pictures


def plan_pictures(plan: Plan) -> dict[str, list[DrawnFigure]]:
    """Draw every figure of a plan, by the section of the page that shows it.

    The sections: ``together``, what compares several success rates; then one for each part, by its
    number, which is empty if there are more than `DRAWN_PARTS`; ``pilot``.
    """
    several = len(plan.parts) > 1
    pictures: dict[str, list[DrawnFigure]] = {"together": [], "pilot": []}
    if several:
        pictures["together"] = [
            *(_compared(plan, i) for i in range(len(plan.parts[0].curves.rare_shares))),
            _worst(plan),
            _drain(plan.mixture, "drain_mixture", plan.asked.level),
        ]
    if len(plan.parts) > DRAWN_PARTS:
        return pictures | {str(number): [] for number in range(1, len(plan.parts) + 1)}
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


def _bands(part: Part, level: float) -> str:
    if len(part.rates.weights) == 1:
        return ""
    return f" Shaded: {share_name(level)} interval, as the pilot leaves success rates uncertain."


def _tail_miss(part: Part, plan: Plan, name: str) -> DrawnFigure:
    curves, level = part.curves, plan.asked.level
    last = shown_sizes(part)[1]
    told = [safe_name(curves, place) for place in range(len(curves.safe))]
    beyond = [
        f"N = {name}"
        for name, size, dead in zip(told, curves.safe, curves.mostly_dead, strict=True)
        if not dead and (size is None or size > last)
    ]
    far = f" Beyond the axis: safe from {listed(beyond)} on." if beyond else ""
    points = ""
    if plan.pilot is not None and len(plan.pilot.direct.mean):
        points = (
            " Grey points: how often groups are active by the pilot's samples alone, without a "
            "model, with 90% intervals."
        )
    words = "; ".join(
        f"rare share {share_name(share)}: highest at N = {turning_name(worst)}, "
        + (
            "groups mostly dead"
            if dead
            else f"below {share_name(curves.target)} from N = {safe} on"
        )
        for share, worst, safe, dead in zip(
            curves.rare_shares, curves.worst, told, curves.mostly_dead, strict=True
        )
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
            f" Points: what the pilot's own solutions say, without a model, with "
            f"{share_name(level)} intervals over prompts, which count by their success rate. The "
            "lines are not fitted to them: each gives all correct answers the share chosen for it, "
            "where the pilot's solutions have many shares, and counts every prompt the same, "
            "unsolved ones as wholly unsampled. If nearly every text differs, the points stay near "
            "100% at any N."
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
        " Among prompts of one success rate γ raises the drain somewhat; the weight pays only "
        "between prompts that differ."
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
        f"{part.label}: highest at N = {turning_name(part.curves.worst[place])}"
        for part in plan.parts
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
        f"{part.label}: " + ", ".join(turning_name(worst) for worst in part.curves.worst)
        for part in plan.parts
    )
    shares = listed([share_name(share) for share in plan.parts[0].curves.rare_shares])
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
