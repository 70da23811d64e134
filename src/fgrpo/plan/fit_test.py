"""Whether a Beta distribution of success rates can have produced a pilot.

Prompts are counted in cells of c/n; the chi-square distance of the counts from what a posterior
draw of the Beta expects is compared with that of a replicate drawn from it.

References
----------
Gelman, Meng and Stern, Statistica Sinica 6 (1996) 733–807 (posterior-predictive p-values).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln  # type: ignore[import-untyped,unused-ignore]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.records import Counts

LEAST_DRAWS = 100
# Least expected prompts in a cell of the chi-square test (the usual rule), and most cells wanted.
_EXPECTED = 5.0
_MOST_CELLS = 12
# Numbers held in memory at a time, and computed at most.
_CHUNK = 1 << 20
_BUDGET = 20 << 20


def fit_p_value(
    counts: Counts, a: NDArray[np.float64], b: NDArray[np.float64], rng: np.random.Generator
) -> float:
    """Return the posterior-predictive p-value of the Beta.

    Parameters
    ----------
    counts
        The pilot.
    a, b
        Draws of the Beta's two shapes from the posterior; shape (D,).
    rng
        Source of the replicates.

    Returns
    -------
    float
        Share of the draws whose replicate is at least as far from what they expect as the pilot.
    """
    sizes, prompts = np.unique(counts.n, return_counts=True)
    use = int(np.clip(_BUDGET // (sizes + 1).sum(), LEAST_DRAWS, len(a)))
    a, b = a[:use], b[:use]
    some = slice(0, int(np.clip(_CHUNK // sizes[-1], 1, 32)))
    tops = _cells(
        np.concatenate([np.arange(n + 1) / n for n in sizes]),
        np.concatenate(
            [
                _masses(n, a[some], b[some]).mean(axis=0) * p
                for n, p in zip(sizes, prompts, strict=True)
            ]
        ),
    )
    seen = np.bincount(np.searchsorted(tops, counts.c / counts.n), minlength=len(tops))
    expected, drawn = np.zeros((use, len(tops))), np.zeros((use, len(tops)))
    for n, times in zip(sizes, prompts, strict=True):
        chance = _cell_chances(int(n), tops, a, b)
        expected += times * chance
        drawn += rng.multinomial(times, chance)
    expected = np.maximum(expected, 1e-9)  # a draw far from the others may expect nothing
    observed = ((seen - expected) ** 2 / expected).sum(axis=1)
    replicated = ((drawn - expected) ** 2 / expected).sum(axis=1)
    return float(np.mean(replicated >= observed))


def _cells(ratio: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper bounds of c/n of cells with enough expected prompts; the last is 1."""
    values, back = np.unique(ratio, return_inverse=True)
    prompts = np.bincount(back.ravel(), weights=expected)
    enough = max(_EXPECTED, prompts.sum() / _MOST_CELLS)
    tops, filled = [0.0], [float(prompts[0])]
    for value, more in zip(values[1:-1], prompts[1:-1], strict=True):
        if len(tops) == 1 or filled[-1] >= enough:
            tops.append(float(value))
            filled.append(0.0)
        tops[-1] = float(value)
        filled[-1] += float(more)
    tops.append(1.0)
    filled.append(float(prompts[-1]))
    i = 0
    while i < len(tops) and len(tops) > 1:  # too small a cell joins the next, the last its previous
        if filled[i] >= _EXPECTED:
            i += 1
            continue
        into = i + 1 if i + 1 < len(tops) else i - 1
        filled[into] += filled[i]
        tops[into] = max(tops[into], tops[i])
        del tops[i], filled[i]
    return np.array(tops)


def _masses(n: int, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the beta-binomial probabilities of c = 0 … n; shape (D, n+1)."""
    c = np.arange(n)
    up = np.log((n - c) / (c + 1.0)) + np.log(a[:, None] + c) - np.log(b[:, None] + (n - 1 - c))
    logs = np.empty((len(a), n + 1))
    logs[:, 0] = betaln(a, b + n) - betaln(a, b)
    logs[:, 1:] = logs[:, :1] + np.cumsum(up, axis=1)
    return np.exp(logs)


def _cell_chances(
    n: int, tops: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability that c/n falls in each cell; shape (D, K)."""
    ends = np.searchsorted(np.arange(n + 1) / n, tops, side="right")
    step = max(1, _CHUNK // (n + 1))
    parts = []
    for i in range(0, len(a), step):
        below = np.cumsum(_masses(n, a[i : i + step], b[i : i + step]), axis=1)
        below = np.concatenate([np.zeros((len(below), 1)), below], axis=1)[:, ends]
        parts.append(np.diff(below, axis=1, prepend=0.0).clip(min=0.0))
    chance = np.concatenate(parts)
    return np.asarray(chance / chance.sum(axis=1, keepdims=True), dtype=np.float64)
