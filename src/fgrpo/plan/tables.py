"""The numbers of a plan as files: CSV tables and ``plan.json``."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fgrpo import __version__
from fgrpo.presentation.tables import csv_of_rows, plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fgrpo.plan.batches import BatchCheck
    from fgrpo.plan.planning import Part, PilotFindings, Plan
    from fgrpo.plan.rates import Band

SCHEMA_VERSION = 1


def curves_rows(part: Part, findings: PilotFindings | None = None) -> list[dict[str, Any]]:
    """Return a row for each group size; shares lie in [0, 1], what is not known is NaN.

    Parameters
    ----------
    part
        One success rate's curves, those of several evenly mixed, or the pilot's.
    findings
        Of the plan's pilot: adds the columns without a model.

    Returns
    -------
    list of dict
        ``part``, ``group_size``; ``active``, ``all_right``, ``all_wrong``, ``dead``;
        ``tail_miss_ρ`` and ``unsampled_ρ`` for each rare share ρ, ``drain_ρ_gamma_γ`` for each of
        them and each γ. With a budget ``prompts``, ``left_over``, ``active_groups``,
        ``dead_rollouts``. What is uncertain is followed by columns that end in ``_low`` and
        ``_high``. With findings ``active_direct`` and its ``_standard_error``, and, if solutions
        are known, ``unsampled_direct``.
    """
    curves = part.curves
    uncertain = len(part.rates.weights) > 1
    active = curves.active
    bands: dict[str, Band] = {
        "active": active,
        "all_right": curves.all_right,
        "all_wrong": curves.all_wrong,
        "dead": active.complement(),
    }
    shares, gammas = _names(curves.rare_shares), _names(curves.gammas)
    for name in ("tail_miss", "unsampled"):
        for place, share in enumerate(shares):
            bands[f"{name}_{share}"] = getattr(curves, name).at(place)
    for place, share in enumerate(shares):
        for other, gamma in enumerate(gammas):
            bands[f"drain_{share}_gamma_{gamma}"] = curves.drain.at((other, place))
    if (table := part.table) is not None:
        bands |= {"active_groups": table.active_groups, "dead_rollouts": table.dead_rollouts}
    rows = []
    for i, size in enumerate(curves.group_sizes):
        row: dict[str, Any] = {"part": part.label, "group_size": int(size)}
        if table is not None:
            row |= {"prompts": int(table.prompts[i]), "left_over": int(table.left_over[i])}
        for name, values in bands.items():
            row[name] = float(values.mean[i])
            if uncertain:
                row |= {f"{name}_low": float(values.low[i]), f"{name}_high": float(values.high[i])}
        rows.append(row | ({} if findings is None else _direct(findings, i)))
    return rows


def pilot_rows(findings: PilotFindings) -> list[dict[str, Any]]:
    """Return a row for each prompt of the pilot.

    ``problem``, ``n``, ``c``, ``success_rate`` (posterior mean); where solutions are known
    ``solutions``, the distinct correct ones, and ``singletons``, those that one sample alone holds.
    """
    fit, labelled = findings.fit, findings.labelled
    known = {one.problem: one for one in labelled.solutions} if labelled is not None else {}
    counts = fit.counts
    rows = []
    prompts = zip(counts.problems, counts.n, counts.c, fit.prompt_means(), strict=True)
    for problem, n, c, mean in prompts:
        row = {"problem": problem, "n": int(n), "c": int(c), "success_rate": float(mean)}
        if known:
            one = known.get(problem)
            row["solutions"] = math.nan if one is None else len(one.multiplicities)
            row["singletons"] = math.nan if one is None else one.singletons
        rows.append(row)
    return rows


def turning_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return for each part and rare share the worst group size and the smallest safe one.

    Sizes above 2**20 are None, which is empty in a CSV. ``mostly_dead`` says that ``safe`` means
    little (`fgrpo.plan.GroupCurves`).
    """
    return [
        {
            "part": part.label,
            "rare_share": float(share),
            "worst": worst,
            "safe": safe,
            "mostly_dead": dead,
            "target": part.curves.target,
        }
        for part in plan.parts
        for share, worst, safe, dead in zip(
            part.curves.rare_shares,
            part.curves.worst,
            part.curves.safe,
            part.curves.mostly_dead,
            strict=True,
        )
    ]


def csv_tables(plan: Plan) -> dict[str, str]:
    """Map file names to the contents of the tables; NaN is left empty.

    ``curves.csv`` ends with the mixture of several success rates, whose drain the advice is about.
    """
    shown = plan.parts if len(plan.parts) == 1 else (*plan.parts, plan.mixture)
    curves = [row for part in shown for row in curves_rows(part, plan.pilot)]
    tables = {"curves.csv": curves, "turning_points.csv": turning_rows(plan)}
    if plan.pilot is not None:
        tables["pilot.csv"] = pilot_rows(plan.pilot)
    return {name: csv_of_rows(rows) for name, rows in tables.items()}


def summary(plan: Plan) -> dict[str, Any]:
    """Return everything a script needs, ready for JSON; what is not known is None.

    Returns
    -------
    dict
        ``fgrpo_plan`` (schema version), ``fgrpo`` (of the program), ``asked``,
        ``recommendation``, ``warnings``, ``parts``, ``mixture`` (what the advice is about: several
        success rates evenly mixed, or once more the only part) and ``pilot``. A part has
        ``label``, ``target``, lists over ``group_sizes``, ``budget`` (None without), and ``rare``:
        for each rare share ``worst`` and ``safe`` group size (None above 2**20), ``mostly_dead``
        and its curves, ``drain`` for each γ. Bands are ``{mean, low, high}``; without a pilot all
        three are the same.
    """
    content = {
        "fgrpo_plan": SCHEMA_VERSION,
        "fgrpo": __version__,
        "asked": asdict(plan.asked),
        "recommendation": asdict(plan.recommendation),
        "warnings": plan.warnings,
        "parts": [_part(part) for part in plan.parts],
        "mixture": _part(plan.mixture),
        "pilot": None if plan.pilot is None else _pilot(plan.pilot),
    }
    made: dict[str, Any] = plain(content)
    return made


def batch_summary(batch: BatchCheck) -> dict[str, Any]:
    """Return a checked batch, ready for JSON."""
    made: dict[str, Any] = plain(asdict(batch))
    return made


def _part(part: Part) -> dict[str, Any]:
    curves, table = part.curves, part.table
    return {
        "label": part.label,
        "target": curves.target,
        "group_sizes": curves.group_sizes,
        "active": curves.active._asdict(),
        "all_right": curves.all_right._asdict(),
        "all_wrong": curves.all_wrong._asdict(),
        "rare": [
            {
                "share": share,
                "worst": curves.worst[i],
                "safe": curves.safe[i],
                "mostly_dead": curves.mostly_dead[i],
                "tail_miss": curves.tail_miss.at(i)._asdict(),
                "unsampled": curves.unsampled.at(i)._asdict(),
                "drain": [
                    {"gamma": gamma, **curves.drain.at((j, i))._asdict()}
                    for j, gamma in enumerate(curves.gammas)
                ],
            }
            for i, share in enumerate(curves.rare_shares)
        ],
        "budget": None
        if table is None
        else {
            "rollouts": table.budget,
            "prompts": table.prompts,
            "left_over": table.left_over,
            "active_groups": table.active_groups._asdict(),
            "dead_rollouts": table.dead_rollouts._asdict(),
        },
    }


def _pilot(findings: PilotFindings) -> dict[str, Any]:
    fit, labelled, rare = findings.fit, findings.labelled, findings.rare
    return {
        "prompts": fit.prompts,
        "samples": fit.samples,
        "fewest": fit.fewest,
        "most": fit.most,
        "never": fit.never,
        "always": fit.always,
        "level": fit.level,
        "mean": fit.mean._asdict(),
        "concentration": fit.concentration._asdict(),
        "fit_p_value": fit.fit_p_value,
        "plausible": fit.plausible,
        "direct_activity": findings.direct._asdict(),
        "solutions": None
        if labelled is None
        else {
            "prompts": len(labelled.solutions),
            "texts": labelled.texts,
            "unlabelled": labelled.unlabelled,
            "left_out": labelled.left_out,
        },
        "good_turing": None
        if rare is None
        else {
            "share": rare.share._asdict(),
            "mass": rare.mass._asdict(),
            "prompts": rare.used,
            "without_correct": rare.without_correct,
            "with_one_correct": rare.with_one_correct,
        },
        "unsampled": None if findings.unsampled is None else findings.unsampled._asdict(),
    }


def _direct(findings: PilotFindings, place: int) -> dict[str, float]:
    mean, error = findings.direct
    known = place < len(mean)
    row = {
        "active_direct": float(mean[place]) if known else math.nan,
        "active_direct_standard_error": float(error[place]) if known else math.nan,
    }
    if (found := findings.unsampled) is not None:
        for end, value in zip(("", "_low", "_high"), found.at(place), strict=True):
            row[f"unsampled_direct{end}"] = float(value)
    return row


def _names(values: NDArray[np.float64]) -> list[str]:
    """Write numbers for column names: short, yet no two the same."""
    short = [f"{value:.4g}" for value in values]
    return short if len(set(short)) == len(short) else [repr(float(value)) for value in values]
