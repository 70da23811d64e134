"""A plan as a self-contained page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.plan.cells import (
    batch_rows,
    fit_rows,
    group_rows,
    rare_rows,
    turning_rows,
    unseen_mass,
)
from fgrpo.plan.pictures import DRAWN_PARTS
from fgrpo.plan.words import listed, turning_notes
from fgrpo.presentation.numbers import share_name
from fgrpo.presentation.page import fill

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.plan.batches import BatchCheck
    from fgrpo.plan.planning import Plan
    from fgrpo.presentation.figures import DrawnFigure


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
        drawn_parts=DRAWN_PARTS,
        parts=[
            {
                "label": part.label,
                "pictures": pictures[str(number)],
                "groups": group_rows(part, plan),
                "rare": rare_rows(part, plan),
            }
            for number, part in enumerate(plan.parts, 1)
        ],
        turning=turning_rows(plan),
        turning_notes=list(turning_notes(plan)),
        shares=[share_name(share) for share in first.curves.rare_shares],
        gammas=[f"{gamma:g}" for gamma in first.curves.gammas],
        smallest=share_name(first.curves.rare_shares.min()),
        budget=None if first.table is None else f"{first.table.budget:,}",
        target=share_name(asked.target),
        level=share_name(asked.level),
        banded=len(first.rates.weights) > 1,
        pilot=plan.pilot,
        fit=None if plan.pilot is None else fit_rows(plan.pilot),
        pilot_pictures=pictures["pilot"],
        unseen=None if plan.pilot is None else unseen_mass(plan.pilot),
        direct=plan.pilot is not None,
        from_solutions=plan.pilot is not None and plan.pilot.unsampled is not None,
        batch=batch,
        facts=[] if batch is None or batch.facts is None else batch_rows(batch.facts),
        made_by=[(str(key), _said(value)) for key, value in made_by.items()],
    )


def _title(plan: Plan) -> str:
    if len(plan.parts) > 1 and all(len(part.rates.nodes) == 1 for part in plan.parts):
        rates = [f"{part.rates.nodes[0]:g}" for part in plan.parts]
        return f"Group size and γ for success rates {listed(rates)}"
    return f"Group size and γ for {listed([part.label for part in plan.parts])}"


def _headline(plan: Plan) -> str:
    advice = plan.recommendation
    if advice.group_size is None or advice.gamma is None:
        return "No group size can be recommended: this pilot is too small to tell"
    if advice.gamma == 0:
        return f"Groups of {advice.group_size} without the focal weight (γ = 0)"
    return f"Groups of {advice.group_size} with γ = {advice.gamma:g}"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(item)}" for key, item in value.items())
    return "–" if value is None else str(value)
