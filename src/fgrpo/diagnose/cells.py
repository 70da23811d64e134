"""Table cells for readers, the same on the terminal, in Markdown and on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.presentation.numbers import in_points, percent
from fgrpo.report.verdict import HIGHER, LOWER

if TYPE_CHECKING:
    from fgrpo.diagnose.changed import ChangedProblem
    from fgrpo.diagnose.result import Diagnosis, Scope
    from fgrpo.records import Quality


@dataclass(frozen=True, slots=True)
class Row:
    """One arm at one k: pass@k in percent, and against the first arm (empty for that itself)."""

    k: int
    place: int
    arm: str
    value: str
    difference: str = ""
    interval: str = ""
    p: str = ""
    adjusted: str = ""
    judgement: str = ""
    caveat: str = ""

    @property
    def marked(self) -> bool:
        """Whether there is a significant difference."""
        return self.judgement in (HIGHER, LOWER)


def rows(found: Diagnosis, scope: Scope) -> list[Row]:
    """Return a row for every k that verdicts are about and every arm."""
    made = []
    for k in found.ks:
        for place, arm in enumerate(found.labels):
            curve = scope.curves[place]
            value = percent(curve.mean[curve.ks.index(k)])
            if place == 0:
                made.append(Row(k, place, arm, value))
                continue
            one = scope.contrast(place - 1, k)
            result = one.comparison
            low, high = (in_points(end) if math.isfinite(end) else "" for end in result.interval)
            made.append(
                Row(
                    k,
                    place,
                    arm,
                    value,
                    in_points(result.estimate),
                    f"{low} to {high}" if low else "not known",
                    result.p_text.removeprefix("= "),
                    one.adjusted_text.removeprefix("= ") if one.family > 1 else "",
                    one.judgement,
                    result.caveat,
                )
            )
    return made


def adjusted(found: Diagnosis, scope: Scope) -> bool:
    """Tell whether any p-value of a scope is one of several tests."""
    return any(scope.contrast(later, k).family > 1 for later, _ in found.later for k in found.ks)


def changed_cells(one: ChangedProblem) -> tuple[str, str, str]:
    """Give c/n of the first arm and of the other, and p."""
    p = "< 0.001" if one.p < 0.001 else f"{one.p:.2g}"
    return f"{one.first_c}/{one.first_n}", f"{one.c}/{one.n}", p


def quality_cells(one: Quality) -> tuple[str, ...]:
    """Give samples, the three shares, and mean tokens."""
    shares = (percent(share) for share in (one.truncated, one.timed_out, one.unverifiable))
    return f"{one.samples:,}", *shares, "–" if math.isnan(one.tokens) else f"{one.tokens:,.0f}"
