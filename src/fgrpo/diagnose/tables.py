"""The numbers as CSV tables, in full precision; shares are in [0, 1], NaN is left empty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.presentation.tables import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fgrpo.diagnose.result import Contrast, Diagnosis

_PASS_FIELDS = (
    *("arm", "scope", "benchmark", "k", "pass_at_k", "low", "high", "difference"),
    *("standard_error", "difference_low", "difference_high", "p", "p_adjusted", "tests"),
    *("judgement", "caveat"),
)
_CHANGED_FIELDS = (
    *("arm", "benchmark", "change", "problem"),
    *("first_c", "first_n", "c", "n", "p"),
)
_QUALITY_FIELDS = (
    *("arm", "benchmark", "samples"),
    *("truncated", "timed_out", "unverifiable", "mean_tokens"),
)
_COUNT_FIELDS = ("arm", "run", "problem", "n", "c")


def csv_tables(found: Diagnosis) -> dict[str, str]:
    """Map file names to the contents of the tables."""
    return {
        "pass_at_k.csv": csv_text(_PASS_FIELDS, _pass_rows(found)),
        "changed_problems.csv": csv_text(_CHANGED_FIELDS, _changed_rows(found)),
        "samples.csv": csv_text(_QUALITY_FIELDS, _quality_rows(found)),
        "problems.csv": csv_text(_COUNT_FIELDS, _count_rows(found)),
    }


def _pass_rows(found: Diagnosis) -> Iterator[tuple[Any, ...]]:
    """Yield a row for every arm, benchmark (or the macro average) and k."""
    for place, label in enumerate(found.labels):
        for scope in found.scopes:
            curve = scope.curves[place]
            where = (label, "macro", "") if scope.macro else (label, "benchmark", scope.name)
            for i, k in enumerate(curve.ks):
                against = _against(scope.contrasts[place - 1][i]) if place else ("",) * 8
                yield *where, k, curve.mean[i], curve.low[i], curve.high[i], *against


def _against(one: Contrast) -> tuple[Any, ...]:
    result = one.comparison
    return (
        *(result.estimate, result.standard_error, *result.interval, result.p_value),
        *(one.adjusted, one.family, one.judgement, result.caveat),
    )


def _changed_rows(found: Diagnosis) -> Iterator[tuple[Any, ...]]:
    for later, label in found.later:
        for scope in found.benchmarks:
            one = scope.changed[later]
            for change, problems in (("lost", one.lost), ("gained", one.gained)):
                for p in problems:
                    counts = (p.first_c, p.first_n, p.c, p.n, p.p)
                    yield label, scope.name, change, p.problem, *counts


def _quality_rows(found: Diagnosis) -> Iterator[tuple[Any, ...]]:
    for place, label in enumerate(found.labels):
        for scope in found.benchmarks:
            one = scope.quality[place]
            shares = (one.truncated, one.timed_out, one.unverifiable, one.tokens)
            yield label, scope.name, one.samples, *shares


def _count_rows(found: Diagnosis) -> Iterator[tuple[Any, ...]]:
    for arm in found.arms:
        for number, run in enumerate(arm.runs):
            counts = run.counts
            for problem, n, c in zip(counts.problems, counts.n, counts.c, strict=True):
                yield arm.label, number, problem, n, c
