"""The page: what the template is filled with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.compare.levels import DRAWS
from fgrpo.presentation.numbers import in_points, percent, percent_cell
from fgrpo.presentation.page import fill
from fgrpo.report.settings_table import made_with_rows, setting_rows, training_rows
from fgrpo.report.statistics import BOOTSTRAP_SEED
from fgrpo.report.sweep_tables import deepest_table, size_table
from fgrpo.report.verdict import HIGHER, LOWER, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.compare import Comparison
    from fgrpo.presentation.figures import DrawnFigure
    from fgrpo.presentation.series import SeriesStyle
    from fgrpo.report.data import RunData
    from fgrpo.report.mazes import LostMazes
    from fgrpo.report.statistics import Contrast, Statistics
    from fgrpo.report.sweep_numbers import SweepNumbers
    from fgrpo.report.verdict import Verdict


def render_page(
    data: RunData,
    numbers: Statistics,
    said: Sequence[Verdict],
    styles: Mapping[str, SeriesStyle],
    figures: Sequence[DrawnFigure],
    lost: LostMazes,
    sweep: SweepNumbers | None = None,
) -> str:
    """Fill the template; all pictures lie inside the page."""
    return fill(
        "fgrpo.report",
        recipe=data.recipe,
        description=[part for part in data.recipe.description.split("\n\n") if part.strip()],
        left_out=data.left_out,
        arms_shown=len(data.arms),
        samples=data.samples,
        problems=len(data.base.problems),
        seeds=data.recipe.seeds,
        unpaired=[
            arm.label
            for arm in data.arms
            if arm.settings.gamma > 0 and data.reference_for(arm) is None
        ],
        verdicts=said,
        colours={name: style.colour for name, style in styles.items()},
        figures=figures,
        lost=lost,
        ks=numbers.ks,
        base=numbers.curves[0],
        pass_rows=_pass_rows(numbers),
        contrast_groups=_contrast_groups(numbers.contrasts),
        contrasts=len(numbers.contrasts),
        lost_gained=numbers.lost_gained,
        sweep=sweep,
        sizes=size_table(sweep) if sweep else None,
        deepest=deepest_table(sweep) if sweep else None,
        settings=setting_rows(data, sweep.sweep if sweep else None),
        training=training_rows(data),
        environment=made_with_rows(data),
        draws=f"{DRAWS:,}",
        bootstrap_seed=BOOTSTRAP_SEED,
    )


def _pass_rows(numbers: Statistics) -> list[dict[str, Any]]:
    return [
        {
            "name": curve.name,
            "label": curve.label,
            "cells": [
                {
                    "mean": percent_cell(mean),
                    "interval": "" if low != low else f"{percent_cell(low)}–{percent_cell(high)}",
                }
                for mean, low, high in zip(curve.mean, curve.low, curve.high, strict=True)
            ],
        }
        for curve in numbers.curves
    ]


def _contrast_groups(contrasts: Sequence[Contrast]) -> list[dict[str, Any]]:
    """Group the rows of the comparisons by what they compare with."""
    groups: dict[str, dict[str, Any]] = {}
    for one in contrasts:
        group = groups.setdefault(one.a, {"against": one.a_label, "rows": []})
        verdict = judge(one)
        group["rows"].append(
            {
                "name": one.b,
                "label": one.b_label,
                "k": one.k,
                "a": percent(one.deciding.a),
                "b": percent(one.deciding.b),
                "difference": in_points(one.deciding.estimate),
                "noises": [_noise(noise) for noise in one.noises.values()],
                "verdict": verdict,
                "marked": verdict in (HIGHER, LOWER),
                "caveats": list(
                    dict.fromkeys(c.caveat for c in one.noises.values() if c and c.caveat)
                ),
            }
        )
    return list(groups.values())


def _noise(one: Comparison | None) -> tuple[str, str]:
    """Interval and p as text."""
    if one is None:
        return "one seed only", ""
    low, high = one.interval
    if low != low:
        return "not known", ""
    return f"{in_points(low)} to {in_points(high)}", one.p_text
