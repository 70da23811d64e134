"""Warnings of samples cut off or not judged: what pass@k silently counts as wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fgrpo.presentation.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fgrpo.records import Quality

# A share that is worth a word whoever has it, and a difference between arms that is: smaller
# ones move pass@1 by less than the tables' intervals usually do.
_HIGH = {"truncated": 0.10, "timed_out": 0.02, "unverifiable": 0.05}
_DIFFERENT = 0.02
_TOLD = 5  # benchmarks named in a warning
_SURE = 3.0  # standard errors of a difference of two shares
_WORDS = {
    "truncated": "were cut off at the length limit, perhaps before their answer",
    "timed_out": "ran into the verifier's time limit and count as wrong",
    "unverifiable": "could not be verified and count as wrong",
}


def warnings(labels: Sequence[str], found: Mapping[str, Sequence[Quality]]) -> Iterator[str]:
    """Say which shares are high, or differ between the first arm and another.

    Parameters
    ----------
    labels
        Of the arms.
    found
        Benchmark → each arm's samples.
    """
    for name, words in _WORDS.items():
        told: dict[str, set[int]] = {benchmark: set() for benchmark in found}
        for i in range(1, len(labels)):
            places = []
            for benchmark, arms in found.items():
                p, q = getattr(arms[0], name), getattr(arms[i], name)
                if _differ(p, arms[0].samples, q, arms[i].samples):
                    places.append((abs(p - q), f"{percent(q)} against {percent(p)} on {benchmark}"))
                    told[benchmark] |= {0, i}
            if places:
                yield (
                    f"{labels[i]} and {labels[0]} differ in the share of samples that {words}: "
                    f"{_largest(places)}. Their difference in pass@k may be due to that."
                )
        for i, label in enumerate(labels):
            places = [
                (share, f"{percent(share)} on {benchmark}")
                for benchmark, arms in found.items()
                if (share := getattr(arms[i], name)) >= _HIGH[name] and i not in told[benchmark]
            ]
            if places:
                yield f"{label}: many samples {words}: {_largest(places)}."


def _largest(places: Sequence[tuple[float, str]]) -> str:
    """List what is told of several benchmarks, the largest share first."""
    ranked = [text for _, text in sorted(places, key=lambda one: -one[0])]
    more = len(ranked) - _TOLD
    return ", ".join(ranked[:_TOLD]) + (f" and on {more} more" if more > 0 else "")


def _differ(p: float, n: int, q: float, m: int) -> bool:
    """Tell whether two shares differ by enough to matter, and by more than chance."""
    pooled = (p * n + q * m) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return abs(p - q) >= max(_DIFFERENT, _SURE * error)
