"""The distribution of success rates over prompts, estimated from a pilot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped,unused-ignore]
from scipy.special import gammaln  # type: ignore[import-untyped,unused-ignore]

from fgrpo._validate import integers
from fgrpo.errors import UsageError
from fgrpo.passk import pass_at_k
from fgrpo.plan.fit_test import LEAST_DRAWS, fit_p_value
from fgrpo.plan.rates import Band, SuccessRates, band

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from fgrpo.records import Counts

# Prior of the concentration s: log s is normal around log 2, a Beta's s where it is neither
# U-shaped nor peaked, and 95% of it lies between 0.015 and 270. The mean is uniform on (0, 1).
_LOG_S, _LOG_S_SD = np.log(2), 2.5
_S_RANGE = (np.log(1e-3), np.log(1e6))
# Cells of the grid of (logit of the mean, log s), and what is left out beyond its edges, in nats.
_CELLS = 48
_DROP = 10.0
_CHUNK = 1 << 20  # numbers held in memory at a time
# Counts beyond this are summed with log-gamma functions, not as products term by term.
_TERMS = 4096


class MeanError(NamedTuple):
    """A mean over prompts and its standard error (NaN with one prompt)."""

    mean: NDArray[np.float64]
    standard_error: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pilot:
    """What a pilot says about the success rates of the prompts it was drawn from.

    Attributes
    ----------
    counts
        The pilot: samples and correct samples of each prompt.
    a, b
        Draws of the two parameters of the Beta over prompts; shape (D,).
    rates
        The same draws as distributions on common nodes.
    level
        That of the intervals.
    fit_p_value
        Posterior-predictive p-value of the Beta (see `fit_pilot`).
    """

    counts: Counts
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    rates: SuccessRates
    level: float
    fit_p_value: float

    @property
    def prompts(self) -> int:
        """Number of prompts."""
        return len(self.counts.problems)

    @property
    def samples(self) -> int:
        """Number of samples of all prompts."""
        return int(self.counts.n.sum())

    @property
    def fewest(self) -> int:
        """Least number of samples of a prompt."""
        return int(self.counts.n.min())

    @property
    def most(self) -> int:
        """Largest number of samples of a prompt."""
        return int(self.counts.n.max())

    @property
    def never(self) -> float:
        """Share of the prompts without a correct sample."""
        return float(np.mean(self.counts.c == 0))

    @property
    def always(self) -> float:
        """Share of the prompts without a wrong sample."""
        return float(np.mean(self.counts.c == self.counts.n))

    @property
    def mean(self) -> Band:
        """Mean success rate, a/(a+b)."""
        return band(self.a / (self.a + self.b), self.level)

    @property
    def concentration(self) -> Band:
        """How alike the prompts are, a + b: below 2 many are near 0 or 1, large: all the same.

        Its mean is the geometric one, as its logarithm is what has a tame distribution.
        """
        return Band(*map(np.exp, band(np.log(self.a + self.b), self.level)))

    @property
    def plausible(self) -> bool:
        """Whether the Beta is compatible with the pilot: p-value of at least 0.05."""
        return self.fit_p_value >= 0.05

    def prompt_means(self) -> NDArray[np.float64]:
        """Return the posterior mean of each prompt's success rate.

        ``(c + a)/(n + a + b)``, averaged over the draws: between c/n and the mean of all prompts,
        and never 0 or 1. Shape (P,), in the order of ``counts.problems``.
        """
        n, c, _, back = _pairs(self.counts)
        step = max(1, _CHUNK // len(self.a))
        total = self.a + self.b
        parts = [
            np.mean((c[i : i + step, None] + self.a) / (n[i : i + step, None] + total), axis=1)
            for i in range(0, len(n), step)
        ]
        return np.asarray(np.concatenate(parts)[back], dtype=np.float64)


def fit_pilot(
    counts: Counts, rng: np.random.Generator, *, draws: int = 1000, level: float = 0.9
) -> Pilot:
    """Estimate how success rates are spread over the prompts that a pilot's were drawn from.

    Model: prompt i has success rate ``μ_i ~ Beta(a, b)`` and ``c_i ~ Binomial(n_i, μ_i)``.
    The posterior of the mean ``a/(a+b)`` and the concentration ``s = a+b`` is evaluated on a grid
    around its mode and sampled. Prior: the mean is uniform on (0, 1); ``log s`` is normal with
    mean log 2 and standard deviation 2.5, cut to 0.001 < s < 1e6. It is weak: it matters where
    the pilot says little, for example about s with one prompt or with one sample for each, and
    the bands are then wide.

    The bands cover what is not known about the Beta, given that it is a Beta. Whether it can be
    one is tested: prompts are counted in up to 12 cells of c/n (none correct, all correct, and
    cells between with at least 5 expected prompts), and the chi-square distance from what a draw
    of (a, b) expects is compared with that of a replicate drawn from it. ``fit_p_value`` is the
    share of draws whose replicate is at least as far; it errs on the large side, as the same data
    were fitted. Few prompts, or fewer than about 4 samples for each, leave too few cells to find
    anything. A p-value below 0.05 says that the planned averages may be off, by more the further
    the group size is beyond the pilot's; compare with `direct_activity`.

    Measured on simulated pilots, 1000 of each kind: with rates from a Beta (2, 5; 0.4, 0.6; or
    0.15, 2) and 60 prompts of 32 samples, 150 of 4 to 12, or 20 of 16, the 90% bands of mean
    activity and mean tail miss at group sizes 8 and 32 held the truth in 87–91%, and the p-value
    was below 0.05 in 0–3%. With half the prompts at 0.1 and half at 0.7, the test found all of
    those with 300 prompts of 64 samples or 100 of 16, and half of those with 30 of 16; mean
    activity at group size 32, in truth 0.98, came out 0.05 to 0.08 too low, outside the band.

    Parameters
    ----------
    counts
        Samples and correct samples of each prompt; at least one prompt.
    rng
        Source of the draws.
    draws
        Number of draws, at least 100.
    level
        Level of the intervals of ``Pilot.mean`` and ``Pilot.concentration``, in (0, 1).

    Raises
    ------
    UsageError
        If there is no prompt.
    ValueError
        If draws or level is out of range.
    """
    if not counts.problems:
        raise UsageError("the pilot's counts hold 0 prompts; pass records of at least one")
    if integers("draws", draws, LEAST_DRAWS).ndim:
        raise ValueError(f"draws = {draws} is not one number; pass one, such as 1000")
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is out of range; pass a share in (0, 1), such as 0.9")
    density = _log_posterior(counts)
    logit, log_s = _draw(density, _grid(density, counts), int(draws), rng)
    a, b = _shapes(logit, log_s)
    p_value = fit_p_value(counts, a, b, rng)
    return Pilot(counts, a, b, SuccessRates.from_betas(a, b), level, p_value)


def direct_activity(counts: Counts, group_size: ArrayLike) -> MeanError:
    """Estimate the mean activity of groups without a model, where the pilot is large enough.

    The mean over prompts of ``1 − [C(c, N) + C(n−c, N)]/C(n, N)``: the share of the groups of N
    among a prompt's n samples that hold both a correct and a wrong one. Unbiased for the mean of
    ``1 − μ^N − (1−μ)^N``, whatever the distribution of μ.

    Parameters
    ----------
    counts
        Samples and correct samples of each prompt; at least one prompt.
    group_size
        N, a whole number or one axis of them, 1 ≤ N ≤ the smallest n.

    Returns
    -------
    MeanError
        Arrays of the group sizes' shape. The standard error is that of a mean over prompts, so
        it covers the choice of prompts and the noise of their samples.

    Raises
    ------
    UsageError
        If there is no prompt, or a group size exceeds the samples of a prompt.
    ValueError, TypeError
        If a group size is not a whole number of at least 1.
    """
    if not counts.problems:
        raise UsageError("the pilot's counts hold 0 prompts; pass records of at least one")
    sizes = integers("group_size", group_size, 1)
    least = int(np.argmin(counts.n))
    if sizes.size and sizes.max() > counts.n[least]:
        raise UsageError(
            f"group size {sizes.max():.0f} exceeds the {counts.n[least]} samples of problem "
            f"{counts.problems[least]!r}; sample more, or ask for a smaller group"
        )
    n, c, times, _ = _pairs(counts)
    active = np.maximum(pass_at_k(n, c, sizes) + pass_at_k(n, n - c, sizes) - 1, 0.0)
    prompts = len(counts.problems)
    mean = np.tensordot(times, active, axes=1) / prompts
    squares = np.tensordot(times, (active - mean) ** 2, axes=1)
    if prompts == 1:
        return MeanError(mean, np.full_like(squares, np.nan)[()])
    return MeanError(mean, np.sqrt(squares / (prompts - 1) / prompts))


def _pairs(
    counts: Counts,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct pairs n, c, how often each occurs, and each prompt's pair."""
    both = np.stack([counts.n, counts.c])
    pairs, back, times = np.unique(both, axis=1, return_inverse=True, return_counts=True)
    return pairs[0], pairs[1], times, back.ravel()


def _shapes(
    logit: NDArray[np.float64], log_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.exp(log_s - np.logaddexp(0, -logit)), np.exp(log_s - np.logaddexp(0, logit))


def _log_posterior(
    counts: Counts,
) -> Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]:
    """Return the log-density, up to a constant, of flat (logit of the mean, log s)."""
    right, wrong = _log_rising(counts.c), _log_rising(counts.n - counts.c)
    both = _log_rising(counts.n)

    def density(logit: NDArray[np.float64], log_s: NDArray[np.float64]) -> NDArray[np.float64]:
        a, b = _shapes(logit, log_s)
        prior = -np.logaddexp(0, logit) - np.logaddexp(0, -logit)
        prior -= 0.5 * ((log_s - _LOG_S) / _LOG_S_SD) ** 2
        inside = (log_s >= _S_RANGE[0]) & (log_s <= _S_RANGE[1])
        value = right(a) + wrong(b) - both(np.exp(log_s)) + prior
        return np.where(inside, value, -np.inf)

    return density


def _log_rising(
    powers: NDArray[np.int64],
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return ``x ↦ Σ_i log[x(x+1)…(x+p_i−1)]``, for the p_i given.

    ``B(a+c, b+n−c)/B(a, b)`` is such products: those of a over c, of b over n−c, and divided by
    those of a+b over n. Up to `_TERMS` factors they are taken one by one, which loses nothing
    where x is large. Longer ones are differences of two log-gamma functions, of up to 1.3e7 each
    at x = 1e6, so that rounding leaves an error of about 1e-9 for each prompt.
    """
    if powers.max() <= _TERMS:  # log(x + j) occurs once for each power beyond j
        weights = len(powers) - np.cumsum(np.bincount(powers))[:-1].astype(np.float64)
        offsets = np.arange(len(weights), dtype=np.float64)
        subtract = 0.0
    else:
        unique, times = np.unique(powers, return_counts=True)
        offsets, weights = unique.astype(np.float64), times.astype(np.float64)
        subtract = float(len(powers))
    term = gammaln if subtract else np.log

    def total(x: NDArray[np.float64]) -> NDArray[np.float64]:
        step = max(1, _CHUNK // max(1, len(offsets)))
        parts = [term(x[i : i + step, None] + offsets) @ weights for i in range(0, len(x), step)]
        result = np.concatenate(parts)
        if subtract:
            result -= subtract * gammaln(x)
        return np.asarray(result, dtype=np.float64)

    return total


class _Grid(NamedTuple):
    """Edges of a box in (logit of the mean, log s): two rows, low and high."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def axes(self, cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = np.linspace(self.low, self.high, cells, axis=1)
        return x, y


def _grid(
    density: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    counts: Counts,
) -> _Grid:
    """Return a box that holds the posterior down to _DROP below its mode, and little else."""
    rate = (counts.c.sum() + 0.5) / (counts.n.sum() + 1)
    start = np.array([np.log(rate / (1 - rate)), _LOG_S])

    def minus(point: NDArray[np.float64]) -> float:
        value = float(density(point[:1], point[1:])[0])
        return -value if np.isfinite(value) else 1e300

    found = minimize(minus, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-2})
    mode, peak = found.x, -found.fun
    floor, ceiling = np.array([-30, _S_RANGE[0]]), np.array([30, _S_RANGE[1]])
    low, high = np.maximum(mode - 1, floor), np.minimum(mode + 1, ceiling)
    for _ in range(40):
        x, y = _Grid(low, high).axes(17)
        near = density(np.repeat(x, len(y)), np.tile(y, len(x))).reshape(len(x), len(y))
        near = near > peak - _DROP
        new_low, new_high = low.copy(), high.copy()
        for axis, (points, inside) in enumerate(((x, near.any(axis=1)), (y, near.any(axis=0)))):
            width = high[axis] - low[axis]
            cell = points[1] - points[0]
            # The mode counts as inside even if it lies between the points.
            first = min(points[inside].min(initial=mode[axis]), mode[axis]) - cell
            last = max(points[inside].max(initial=mode[axis]), mode[axis]) + cell
            new_low[axis] = low[axis] - width / 2 if first < low[axis] else first
            new_high[axis] = high[axis] + width / 2 if last > high[axis] else last
        new_low, new_high = np.maximum(new_low, floor), np.minimum(new_high, ceiling)
        grew = ((new_low < low) | (new_high > high)).any()
        shrank = (new_high - new_low < 0.75 * (high - low)).any()
        low, high = new_low, new_high
        if not (grew or shrank):
            break
    return _Grid(low, high)


def _draw(
    density: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    grid: _Grid,
    draws: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw from the density on the grid's cells, uniformly within a cell."""
    x, y = grid.axes(_CELLS)
    logs = density(np.repeat(x, len(y)), np.tile(y, len(x)))
    mass = np.cumsum(np.exp(logs - logs.max()))
    # One draw from each of equal slices of the mass, which steadies the quantiles.
    aims = (np.arange(draws) + rng.random(draws)) / draws * mass[-1]
    cell = np.searchsorted(mass, aims, side="right").clip(max=len(mass) - 1)
    cell = rng.permutation(cell)
    jitter = rng.random((2, draws)) - 0.5
    logit = x[cell // len(y)] + jitter[0] * (x[1] - x[0])
    log_s = y[cell % len(y)] + jitter[1] * (y[1] - y[0])
    return logit, np.clip(log_s, *_S_RANGE)
