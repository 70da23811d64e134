"""The valid settings nearest to some that are not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from fgrpo.plan.words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fgrpo.plan.batches.batch import Batch, BatchFacts

MOST = 4


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Valid settings near those that were asked for.

    Attributes
    ----------
    change
        What differs, in words and in the trainer's own names.
    batch
        The settings.
    facts
        What comes of them.
    """

    change: str
    batch: Batch
    facts: BatchFacts


def nearest(batch: Batch, most: int = MOST) -> tuple[Suggestion, ...]:
    """Return valid settings that differ little from these.

    Parameters
    ----------
    batch
        Settings that may be invalid.
    most
        How many to return at most.

    Returns
    -------
    tuple of Suggestion
        At least one if the settings are invalid, none if they are valid. Those that change the
        rollouts of a step least come first; among equals, those that change fewer settings, and
        these by less.
    """
    if not batch.problems():
        return ()
    found: dict[Batch, dict[str, Any]] = {}
    for other in batch.neighbours():
        if not other.problems():
            found[other] = _changes(batch, other)
    far = {other: _relative(batch.rollouts, other.rollouts) for other in found}
    # One that changes all the settings that another changes, and more, must be nearer for it.
    kept = [
        other
        for other, changes in found.items()
        if not any(
            less.keys() < changes.keys() and far[simpler] <= far[other]
            for simpler, less in found.items()
        )
    ]
    kept.sort(key=lambda other: (far[other], *_distance(batch, other, found[other])))
    return tuple(
        Suggestion(_words(batch, other, found[other]), other, other.facts())
        for other in kept[:most]
    )


def multiples_beside(value: int, period: int, least: int = 1) -> list[int]:
    """Return the nearest multiples of ``period`` at or below ``value``, and at or above it.

    Both are at least ``least``; a value that is a multiple itself comes alone.
    """
    lowest = -(-least // period) * period
    below, above = value // period * period, -(-value // period) * period
    return sorted({max(above, lowest), *([below] if below >= lowest else [])})


def divisors_beside(value: int, number: int, period: int = 1, least: int = 1) -> list[int]:
    """Return the divisors of ``number`` nearest to ``value`` below and above it.

    They are multiples of ``period``, at least ``least``, and other than ``value``.
    """
    fitting = [d for d in _divisors(number) if d % period == 0 and d >= least]
    below = max((d for d in fitting if d < value), default=None)
    above = min((d for d in fitting if d > value), default=None)
    return [d for d in (below, above) if d is not None]


def period(factor: int, modulus: int) -> int:
    """Return the p for which ``modulus`` divides ``factor · x`` exactly if p divides x."""
    return modulus // math.gcd(factor, modulus)


def _divisors(number: int) -> Iterator[int]:
    for small in range(1, math.isqrt(number) + 1):
        if number % small == 0:
            yield small
            yield number // small


def _changes(asked: Batch, other: Batch) -> dict[str, Any]:
    values = {field: getattr(other, field) for field in asked.options}
    return {field: new for field, new in values.items() if new != getattr(asked, field)}


def _distance(asked: Batch, other: Batch, changes: dict[str, Any]) -> tuple[Any, ...]:
    fields = list(asked.options)
    return (
        len(changes),
        sum(_relative(getattr(asked, field), new) for field, new in changes.items()),
        [fields.index(field) for field in changes],
        other.rollouts,
    )


def _relative(old: int | None, new: int) -> Fraction:
    return Fraction(abs(new - old), old) if old else Fraction(1)  # not set before: a change


def _words(asked: Batch, other: Batch, changes: dict[str, Any]) -> str:
    said = [
        _change(asked.options[field], getattr(asked, field), new) for field, new in changes.items()
    ]
    return f"{listed(said)}: {_rollouts(asked.rollouts, other.rollouts)}"


def _change(option: str, old: int | None, new: int) -> str:
    if old is None:
        return f"{option}={new} (was not set)"
    if isinstance(new, bool):
        return f"{option}={str(new).lower()}"
    return f"{option}={new} instead of {old}"


def _rollouts(old: int, new: int) -> str:
    return f"still {new} rollouts a step" if old == new else f"{new} rollouts a step, not {old}"
