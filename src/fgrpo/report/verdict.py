"""Verdicts: which differences may be called differences, and the sentences that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.compare.result import SIGNIFICANT
from fgrpo.presentation.numbers import in_points, percent
from fgrpo.report.data import BASE

if TYPE_CHECKING:
    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.statistics import Contrast, Statistics

HIGHER, LOWER = "higher", "lower"
NO_DIFFERENCE = "no significant difference"
UNKNOWN = "cannot be judged"


@dataclass(frozen=True)
class Verdict:
    """What is said about one arm.

    Attributes
    ----------
    name, label
        Of the arm.
    scores
        Its own pass@1 and pass@n.
    against
        What it is compared with.
    sentence
        How it differs from that, in one short sentence.
    differences
        The same with intervals, one phrase for each k.
    details
        The values of both sides and the interval, for each k.
    notes
        What limits this, in whole sentences.
    """

    name: str
    label: str
    scores: str
    against: str
    sentence: str
    differences: tuple[str, ...]
    details: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it as one line."""
        found = "; ".join(self.differences)
        return " ".join(
            [f"{self.label}: {self.scores}. Against {self.against}: {found}.", *self.notes]
        )


def judge(contrast: Contrast) -> str:
    """Return `HIGHER`, `LOWER`, `NO_DIFFERENCE` or `UNKNOWN`.

    A test at 5%: over mazes and training seeds at once, or with one seed over mazes alone.
    """
    return judge_test(contrast.deciding.estimate, contrast.deciding.p_value)


def judge_test(estimate: float, p_value: float) -> str:
    """Say the same of any difference and its p-value; NaN cannot be judged."""
    if math.isnan(p_value):
        return UNKNOWN
    if p_value >= SIGNIFICANT:
        return NO_DIFFERENCE
    return HIGHER if estimate > 0 else LOWER


def verdicts(data: RunData, numbers: Statistics) -> list[Verdict]:
    """Return one verdict per arm, in the recipe's order."""
    return [_verdict(data, numbers, arm) for arm in data.arms]


def _verdict(data: RunData, numbers: Statistics, arm: ArmRuns) -> Verdict:
    reference = data.reference_for(arm)
    against = BASE if reference is None else reference.name
    contrasts = numbers.contrast(against, arm.name)
    values = [f"pass@{one.k} {percent(one.deciding.b)}" for one in contrasts]
    other = contrasts[0].a_label if reference else "the base model"
    sentence = f"{arm.label} against {other}: {_all_short(contrasts)}."
    if reference is None:
        levels = ", ".join(percent(one.deciding.a) for one in contrasts)
        other = f"the base model ({levels})"
    notes = _caveats(contrasts)
    if len(arm.runs) == 1:
        notes.append("One training seed only: the noise of training is unknown.")
    return Verdict(
        name=arm.name,
        label=arm.label,
        scores=", ".join(values),
        against=other,
        sentence=sentence,
        differences=tuple(phrase(one) for one in contrasts),
        details=tuple(_detail(one) for one in contrasts),
        notes=tuple(notes),
    )


def phrase(contrast: Contrast) -> str:
    """Say in words how B's pass@k differs from A's, with the interval."""
    given = _interval(contrast)
    if judge(contrast) not in (HIGHER, LOWER):
        given = f"{in_points(contrast.deciding.estimate)} points, {given}"
    return f"{_short(contrast)} ({given})"


def _all_short(contrasts: list[Contrast]) -> str:
    if all(judge(one) == NO_DIFFERENCE for one in contrasts):
        return f"{NO_DIFFERENCE} in {' or '.join(f'pass@{one.k}' for one in contrasts)}"
    return ", ".join(_short(one) for one in contrasts)


def _short(contrast: Contrast) -> str:
    verdict = judge(contrast)
    if verdict not in (HIGHER, LOWER):
        return f"pass@{contrast.k} {verdict}"
    size = in_points(abs(contrast.deciding.estimate)).lstrip("+")
    return f"pass@{contrast.k} {verdict} by {size} points"


def _detail(contrast: Contrast) -> str:
    one = contrast.deciding
    return (
        f"pass@{one.k}: {percent(one.b)} against {percent(one.a)}, "
        f"{in_points(one.estimate)} points ({_interval(contrast)})"
    )


def _interval(contrast: Contrast) -> str:
    low, high = contrast.deciding.interval
    if math.isnan(low):
        return "no interval"
    return f"95% interval {in_points(low)} to {in_points(high)} {_over(contrast)}"


def _over(contrast: Contrast) -> str:
    return "over mazes" if contrast.both is None else "over mazes and training seeds"


def _caveats(contrasts: list[Contrast]) -> list[str]:
    """Say why an interval is missing or too good: each reason once, with where it applies."""
    found: dict[str, list[str]] = {}
    for contrast in contrasts:
        caveat = contrast.deciding.caveat
        if caveat:
            found.setdefault(caveat, []).append(f"pass@{contrast.k} {_over(contrast)}")
    return [f"Note on {', '.join(places)}: {caveat}." for caveat, places in found.items()]
