"""Verdicts: which differences may be called differences, and the sentences that say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.compare.result import SIGNIFICANT
from fgrpo.report.data import BASE

if TYPE_CHECKING:
    from fgrpo.compare import Comparison
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
    differences
        How it differs from that, one phrase for each k.
    notes
        What limits this, in whole sentences.
    """

    name: str
    label: str
    scores: str
    against: str
    differences: tuple[str, ...]
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

    Higher or lower only if every computed noise says so; unknown if none contradicts but some
    cannot tell.
    """
    noises = [one for one in (contrast.problems, contrast.seeds) if one is not None]
    if any(one.p_value >= SIGNIFICANT for one in noises):
        return NO_DIFFERENCE
    if any(math.isnan(one.p_value) for one in noises):
        return UNKNOWN
    return HIGHER if contrast.problems.estimate > 0 else LOWER


def verdicts(data: RunData, numbers: Statistics) -> list[Verdict]:
    """Return one verdict per arm, in the recipe's order."""
    return [_verdict(data, numbers, arm) for arm in data.arms]


def _verdict(data: RunData, numbers: Statistics, arm: ArmRuns) -> Verdict:
    reference = data.reference
    against = BASE if reference is None or arm is reference else reference.name
    contrasts = numbers.contrast(against, arm.name)
    values = [f"pass@{one.k} {percent(one.problems.b)}" for one in contrasts]
    other = contrasts[0].a_label
    if against == BASE:
        levels = ", ".join(percent(one.problems.a) for one in contrasts)
        other = f"the base model ({levels})"
    notes = _caveats(contrasts)
    if len(arm.runs) == 1:
        notes.append("One training seed only: how far another would differ is not known.")
    phrases = tuple(phrase(one) for one in contrasts)
    return Verdict(arm.name, arm.label, ", ".join(values), other, phrases, tuple(notes))


def phrase(contrast: Contrast) -> str:
    """Say in words how B's pass@k differs from A's, with the intervals."""
    verdict = judge(contrast)
    difference = 100 * contrast.problems.estimate
    intervals = [_interval(contrast.problems, "over mazes")]
    if contrast.seeds is not None:
        intervals.append(_interval(contrast.seeds, "over training seeds"))
    given = ", ".join(interval for interval in intervals if interval)
    given = f"95% interval {given}" if given else "no interval"
    if verdict in (HIGHER, LOWER):
        size = points(abs(difference)).lstrip("+")
        return f"pass@{contrast.k} {verdict} by {size} points ({given})"
    return f"pass@{contrast.k} {verdict} ({points(difference)} points, {given})"


def percent(share: float) -> str:
    """Write a share in percent with one decimal, never rounding to 0 or 100 what is not."""
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1 - 1e-12:
        return ">99.9%"
    return f"{round(100 * share, 9):.1f}%"  # sums in another order end in the same digits


def points(difference: float) -> str:
    """Write a difference in percentage points with its sign; small ones with more decimals."""
    if math.isnan(difference):
        return "–"
    size = abs(difference)
    if size < 0.0005:
        return "0.0"
    digits = 1 if size >= 0.05 else 2 if size >= 0.005 else 3
    return f"{round(difference, 9):+.{digits}f}".replace("-", "−")


def p_value(p: float) -> str:
    """Write a p-value, with its sign of equality, to two digits."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def _interval(comparison: Comparison, over: str) -> str:
    low, high = comparison.interval
    if math.isnan(low):
        return ""
    return f"{points(100 * low)} to {points(100 * high)} {over}"


def _caveats(contrasts: list[Contrast]) -> list[str]:
    """Say why an interval is missing or too good: each reason once, with where it applies."""
    found: dict[str, list[str]] = {}
    for contrast in contrasts:
        for one, over in ((contrast.problems, "mazes"), (contrast.seeds, "training seeds")):
            if one is not None and one.caveat:
                found.setdefault(one.caveat, []).append(f"pass@{one.k} over {over}")
    return [f"Note on {', '.join(places)}: {caveat}." for caveat, places in found.items()]
