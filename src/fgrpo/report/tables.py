"""The numbers as files: CSV tables and ``summary.json``."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from fgrpo.compare.levels import DRAWS
from fgrpo.presentation.tables import csv_text, plain
from fgrpo.report.data import BASE
from fgrpo.report.statistics import BOOTSTRAP_SEED, mean_pass_at
from fgrpo.report.sweep_tables import sweep_entries
from fgrpo.report.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fgrpo.report.data import RunData
    from fgrpo.report.statistics import Contrast, Curve, Statistics
    from fgrpo.report.sweep_numbers import SweepNumbers
    from fgrpo.report.verdict import Verdict


def csv_tables(data: RunData, numbers: Statistics) -> dict[str, str]:
    """Map file names to the contents of the tables; shares are in [0, 1], NaN is left empty."""
    return {
        "pass_at_k.csv": csv_text(
            ("arm", "seed", "k", "pass_at_k", "low", "high"), _pass_at_k_rows(numbers)
        ),
        "during_training.csv": csv_text(
            ("arm", "seed", "step", "pass_at_1", f"pass_at_{data.samples}"), _training_rows(data)
        ),
        "comparisons.csv": csv_text(_COMPARISON_FIELDS, _comparison_rows(numbers.contrasts)),
        "lost_gained.csv": csv_text(
            ("arm", "seed", "lost", "gained", "solved", "solved_by_base", "problems"),
            (
                (r.name, r.seed, r.lost, r.gained, r.solved, r.base_solved, len(data.base.problems))
                for r in numbers.lost_gained
            ),
        ),
        "problems.csv": csv_text(("problem", "arm", "seed", "n", "c"), _problem_rows(data)),
    }


def summary(
    data: RunData,
    numbers: Statistics,
    said: Sequence[Verdict],
    sweep: SweepNumbers | None = None,
) -> str:
    """Return the whole report as JSON; what is not a number is null."""
    references = {arm.name: data.reference_for(arm) for arm in data.arms}
    content = {
        "recipe": data.recipe.name,
        "description": data.recipe.description,
        "arms": [
            {
                "name": arm.name,
                "label": arm.label,
                "reference": reference.name if (reference := references[arm.name]) else None,
                "settings": arm.settings.model_dump(mode="json"),
            }
            for arm in data.arms
        ],
        "arms_left_out": list(data.left_out),
        "seeds": data.recipe.seeds,
        "problems": len(data.base.problems),
        "samples": data.samples,
        "bootstrap": {"seed": BOOTSTRAP_SEED, "draws": DRAWS},
        "verdicts": [
            {"arm": verdict.name, "sentence": verdict.line, "judgements": _judged(numbers, verdict)}
            for verdict in said
        ],
        "pass_at_k": [_curve_entry(numbers.ks, curve) for curve in numbers.curves],
        "comparisons": [_contrast_entry(contrast) for contrast in numbers.contrasts],
        "lost_gained": [dataclasses.asdict(one) for one in numbers.lost_gained],
        **(sweep_entries(sweep) if sweep else {}),
        "environment": data.environment,
    }
    return json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _judged(numbers: Statistics, verdict: Verdict) -> dict[str, dict[str, str]]:
    """Map what the arm is compared with to k to the judgement."""
    judged: dict[str, dict[str, str]] = {}
    for one in numbers.contrasts:
        if one.b == verdict.name:
            judged.setdefault(one.a, {})[str(one.k)] = judge(one)
    return judged


def _curve_entry(ks: Sequence[int], curve: Curve) -> dict[str, Any]:
    return {
        "arm": curve.name,
        "label": curve.label,
        "k": list(ks),
        "mean": curve.mean.tolist(),
        "low": curve.low.tolist(),
        "high": curve.high.tolist(),
        "seeds": {
            str(seed): run.tolist() for seed, run in zip(curve.seeds, curve.runs, strict=False)
        },
    }


def _contrast_entry(contrast: Contrast) -> dict[str, Any]:
    return {
        "a": contrast.a,
        "b": contrast.b,
        "k": contrast.k,
        "judgement": judge(contrast),
        **{
            f"over_{noise}": None if one is None else dataclasses.asdict(one)
            for noise, one in contrast.noises.items()
        },
    }


def _pass_at_k_rows(numbers: Statistics) -> Iterable[Sequence[Any]]:
    """Yield means over seeds (no seed, with their interval), then each seed."""
    for curve in numbers.curves:
        for k, *values in zip(numbers.ks, curve.mean, curve.low, curve.high, strict=True):
            yield curve.name, "", k, *values
        for seed, run in zip(curve.seeds, curve.runs, strict=False):  # the base has no seed
            for k, value in zip(numbers.ks, run, strict=True):
                yield curve.name, seed, k, value, "", ""


def _training_rows(data: RunData) -> Iterable[Sequence[Any]]:
    ks = (1, data.samples)
    yield BASE, "", 0, *mean_pass_at(data.base, ks)
    for arm in data.arms:
        for run in arm.runs:
            for step, counts in sorted(run.counts.items()):
                yield arm.name, run.seed, step, *mean_pass_at(counts, ks)


def _problem_rows(data: RunData) -> Iterable[Sequence[Any]]:
    runs = [(BASE, "", data.base)]
    runs += [(arm.name, str(run.seed), run.final) for arm in data.arms for run in arm.runs]
    for place, problem in enumerate(data.base.problems):
        for name, seed, counts in runs:
            yield problem, name, seed, counts.n[place], counts.c[place]


_COMPARISON_FIELDS = (
    *("a", "b", "k", "value_a", "value_b", "difference"),
    *("noise", "standard_error", "low", "high", "p", "caveat"),
    "judgement",
)


def _comparison_rows(contrasts: Iterable[Contrast]) -> Iterable[Sequence[Any]]:
    """Yield a row for every noise of every contrast; the one judged by has the judgement."""
    for contrast in contrasts:
        for noise, one in contrast.noises.items():
            if one is not None:
                yield (
                    *(contrast.a, contrast.b, one.k, one.a, one.b, one.estimate),
                    *(noise, one.standard_error, *one.interval, one.p_value, one.caveat),
                    judge(contrast) if one is contrast.deciding else "",
                )
