"""The verdicts in words: one for each later arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.compare.result import SIGNIFICANT
from fgrpo.diagnose.curves import crossing_words
from fgrpo.presentation.numbers import in_points, percent
from fgrpo.report.verdict import HIGHER, LOWER, NO_DIFFERENCE, UNKNOWN

if TYPE_CHECKING:
    from fgrpo.diagnose.result import Contrast, Diagnosis, Scope

_TOLD = 8  # benchmarks named in a sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said about one later arm.

    Attributes
    ----------
    label
        Of the arm.
    headline
        One short sentence.
    details
        Whole sentences: values and intervals, benchmarks, crossing, lost and gained, caveats.
    """

    label: str
    headline: str
    details: tuple[str, ...]


def verdicts(found: Diagnosis) -> list[Verdict]:
    """Return the verdict on each later arm."""
    return [_verdict(found, later, label) for later, label in found.later]


def _verdict(found: Diagnosis, later: int, label: str) -> Verdict:
    overall = found.overall
    contrasts = [overall.contrast(later, k) for k in found.ks]
    where = f" (macro average of {len(found.benchmarks)} benchmarks)" if found.macro else ""
    details = [_values(one) for one in contrasts]
    if found.macro:
        details += [_by_benchmark(found, later, k) for k in found.ks]
    details.append(
        f"pass@k against {found.labels[0]}'s: {crossing_words(overall.crossings[later])}."
    )
    details.append(changed_words(overall, later, found.labels[0]))
    details += _caveats(contrasts)
    return Verdict(
        label, f"{label} against {found.labels[0]}{where}: {_short(contrasts)}.", tuple(details)
    )


def _short(contrasts: list[Contrast]) -> str:
    if all(one.judgement == NO_DIFFERENCE for one in contrasts):
        return f"{NO_DIFFERENCE} in {' or '.join(f'pass@{one.k}' for one in contrasts)}"
    return ", ".join(_judged(one) for one in contrasts)


def _judged(one: Contrast) -> str:
    if one.judgement == NO_DIFFERENCE:
        return f"{NO_DIFFERENCE} in pass@{one.k}"
    if one.judgement == UNKNOWN:
        return f"pass@{one.k} {UNKNOWN}"
    size = in_points(abs(one.comparison.estimate)).lstrip("+")
    return f"pass@{one.k} {one.judgement} by {size} points"


def _values(one: Contrast) -> str:
    result = one.comparison
    found = f"pass@{one.k}: {percent(result.b)} against {percent(result.a)}"
    given = f"{found}, {in_points(result.estimate)} points"
    if one.judgement == UNKNOWN:
        return f"{given}; {UNKNOWN}."
    low, high = (in_points(end) for end in result.interval)
    return f"{given} (95% interval {low} to {high}, {p_words(one)})."


def p_words(one: Contrast) -> str:
    """Give p, and the adjusted p if there were other tests to adjust for."""
    p = f"p {one.comparison.p_text}"
    if one.family <= 1:
        return p
    told = f"{p}, adjusted p {one.adjusted_text}"
    if one.judgement == NO_DIFFERENCE and one.comparison.p_value < SIGNIFICANT:
        return f"{told}, so {NO_DIFFERENCE}"
    return told


def _by_benchmark(found: Diagnosis, later: int, k: int) -> str:
    groups: dict[str, list[str]] = {}
    for scope in found.benchmarks:
        one = scope.contrast(later, k)
        size = f" ({in_points(one.comparison.estimate)})" if one.sign else ""
        groups.setdefault(one.judgement, []).append(f"{scope.name}{size}")
    parts = []
    for judgement, words in (
        (HIGHER, "higher on"),
        (LOWER, "lower on"),
        (NO_DIFFERENCE, f"{NO_DIFFERENCE} on"),
        (UNKNOWN, f"{UNKNOWN} on"),
    ):
        if names := groups.get(judgement, []):
            more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            parts.append(f"{words} {', '.join(names[:_TOLD])}{more}")
    return f"pass@{k} by benchmark: {'; '.join(parts)}."


def changed_words(scope: Scope, later: int, first: str) -> str:
    """Say how many problems were lost and gained, and how many chance would change."""
    one = scope.changed[later]
    return (
        f"Of {scope.problems} problems {len(one.lost)} that {first} solved at least once were lost "
        f"({one.expected_lost:.1f} expected by chance at equal rates) and {len(one.gained)} gained "
        f"({one.expected_gained:.1f})."
    )


def _caveats(contrasts: list[Contrast]) -> list[str]:
    """Say why a number is missing or too good: each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in contrasts:
        if one.comparison.caveat:
            reasons.setdefault(one.comparison.caveat, []).append(f"pass@{one.k}")
    return [f"Note on {' and '.join(where)}: {why}." for why, where in reasons.items()]


def method_notes(found: Diagnosis) -> list[str]:
    """Say what the intervals cover and what p is corrected for."""
    noise = "problems and training seeds" if found.several_runs else "problems"
    arms, benchmarks = len(found.later), len(found.benchmarks)
    notes = [
        f"Intervals: 95%, over {noise}, paired by problem; the noise of the samples drawn is "
        "included."
    ]
    if not found.several_runs:
        notes.append("One run an arm: nothing here says what training again would give.")
    if arms * benchmarks > 1:
        of = f"{benchmarks} benchmark{'s' if benchmarks > 1 else ''} × {arms} later arm"
        macro = ""
        if found.macro:
            macro = f", the macro average's {'are another' if arms > 1 else 'stands by itself'}"
        notes.append(
            f"Verdicts use p adjusted by Holm's method: at each k the tests of {of}"
            f"{'s' if arms > 1 else ''} are one family{macro}. Several k are not corrected for."
        )
        if not found.several_runs:
            notes.append(
                "The p adjusted is the bootstrap's or, if that is larger, a sign-flip test's: "
                "with few problems the bootstrap's is too small to be multiplied."
            )
        least = 2 * arms * benchmarks / (found.draws + 1)
        if least >= SIGNIFICANT and not found.several_runs:
            notes.append(
                f"With {arms * benchmarks} tests and {found.draws:,} draws no adjusted p is below "
                f"{least:.2g}: compare fewer arms or benchmarks at a time."
            )
    return notes
