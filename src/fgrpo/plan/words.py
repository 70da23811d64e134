"""What the page and the terminal say of a plan in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.numbers import size_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fgrpo.plan.curves import GroupCurves
    from fgrpo.plan.planning import Plan
    from fgrpo.plan.solutions import RareMass

CHOSEN = "The rare shares ρ are chosen, not estimated."
_NEARLY_ALL = 0.9  # Good–Turing share above which it speaks of wording, not of the policy


def listed(names: Iterable[str]) -> str:
    """Write one or several names: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def turning_name(size: int | None) -> str:
    """Write a worst or safe group size; None is one above `fgrpo.plan.curves.LARGEST`."""
    return "more than a million" if size is None else size_name(size)


def safe_name(curves: GroupCurves, place: int) -> str:
    """Write the safe group size of a rare share, or why there is none to speak of."""
    return "mostly dead" if curves.mostly_dead[place] else turning_name(curves.safe[place])


def turning_notes(plan: Plan) -> Iterator[str]:
    """Yield what must be known to read the worst and safe group sizes, a sentence or two each."""
    if any(dead for part in plan.parts for dead in part.curves.mostly_dead):
        yield (
            "Mostly dead: at no N of the table are half of the groups active, so that few miss "
            "anything, and few teach."
        )
    if plan.pilot is None:
        return
    most = plan.pilot.fit.most
    curves = plan.parts[0].curves
    told = [size for size, dead in zip(curves.safe, curves.mostly_dead, strict=True) if not dead]
    if any(size is None or size > most for size in told):
        yield (
            f"A safe N beyond the pilot's {size_name(most)} samples of a prompt rests on the tail "
            "of the fitted Beta distribution alone."
        )


def nearly_all_differ(rare: RareMass) -> bool:
    """Say whether nearly every correct sample is the only one of its solution."""
    return float(rare.share.mean) > _NEARLY_ALL
