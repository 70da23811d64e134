"""How groups of every size fare: active or dead, and what they miss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import fractions, integers, reals, refuse
from fgrpo.plan.flow import LARGEST_GROUP, mass_flow
from fgrpo.plan.rates import Band, SuccessRates, band
from fgrpo.theory import activity_probability, peak_group_size, tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

GROUP_SIZES = tuple(2**i for i in range(1, 11))
RARE_SHARES = (0.05, 0.1, 0.2)
GAMMAS = (0.0, 0.5, 1.0)
TARGET = 0.05
LARGEST = 2**20  # worst and safe group sizes beyond this are not told: no run has such groups
FEW_ACTIVE = 0.5  # with a smaller share of active groups most of them are dead


@dataclass(frozen=True, slots=True, eq=False)
class GroupCurves:
    """Averages over prompts, for group sizes ``(S,)``, rare shares ``(T,)`` and γ ``(G,)``.

    Attributes
    ----------
    group_sizes, rare_shares, gammas
        What the axes are.
    active
        Probability that a group is neither all right nor all wrong; ``(S,)``.
    all_right, all_wrong
        Probabilities of the two kinds of dead groups; ``(S,)``.
    tail_miss
        Probability that a group is active and contains nothing of a part of the correct answers
        that has the share ``ρ`` of the correct mass (lemma 3.1); ``(T, S)``.
    unsampled
        Expected share of the correct mass that is not in the group, if every correct answer has
        the share ``ρ``: ``(1 − ρμ)^N``; ``(T, S)``.
    gained
        Expected correct mass gained from one group, per unit of learning rate (`mass_flow`);
        ``(G, T, S)``. NaN for groups above 4096.
    drain
        Correct mass drained from answers outside the group for each unit gained: the ratio of
        `mass_flow`'s two averages; ``(G, T, S)``.
    worst
        For each rare share the group size that maximises the mean tail miss; None if that is
        above `LARGEST`, 2**20.
    safe
        For each rare share the smallest group size from ``worst`` on whose mean tail miss is below
        ``target``, and stays below it up to `LARGEST`; None if there is none up to there.
    mostly_dead
        For each rare share whether ``safe`` means little, as less than half of the groups are
        active, at that size and at every one of ``group_sizes``.
    target
        As given.
    """

    group_sizes: NDArray[np.int64]
    rare_shares: NDArray[np.float64]
    gammas: NDArray[np.float64]
    active: Band
    all_right: Band
    all_wrong: Band
    tail_miss: Band
    unsampled: Band
    gained: Band
    drain: Band
    worst: tuple[int | None, ...]
    safe: tuple[int | None, ...]
    mostly_dead: tuple[bool, ...]
    target: float


def group_curves(
    rates: SuccessRates,
    *,
    rare_shares: ArrayLike = RARE_SHARES,
    group_sizes: ArrayLike = GROUP_SIZES,
    gammas: ArrayLike = GAMMAS,
    target: float = TARGET,
    level: float = 0.9,
) -> GroupCurves:
    """Average activity, tail miss, unsampled mass and drain over the success rates of prompts.

    Parameters
    ----------
    rates
        Success rates of the prompts: `SuccessRates.exactly` for one, ``fit_pilot(…).rates`` for
        an estimate.
    rare_shares
        ``ρ``, shares of the correct mass of a prompt that count as rare, in (0, 1); shape (T,).
    group_sizes
        ``N >= 2``; shape (S,).
    gammas
        ``γ >= 0``; shape (G,).
    target
        Tail miss to stay below, in (0, 1).
    level
        Of the intervals, in (0, 1).

    Returns
    -------
    GroupCurves

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number, or an argument of more than one axis.
    """
    sizes = _axis("group_sizes", integers("group_sizes", group_sizes, 2)).astype(np.int64)
    shares = _axis("rare_shares", fractions("rare_shares", rare_shares))
    outside = (shares == 0) | (shares == 1)
    refuse("rare_shares", shares, outside, "must lie between 0 and 1, both excluded")
    exponents = _axis("gammas", reals("gammas", gammas))
    refuse("gammas", exponents, exponents < 0, "is negative; pass at least 0")
    check_target(target)
    nodes = rates.nodes
    column = sizes[:, None]
    missed = tail_miss_probability(nodes, shares[:, None, None] * nodes, column)
    unsampled = _none_of(shares[:, None, None] * nodes, column)
    gained, drained = flows(rates, shares, sizes, exponents)
    worst, safe = zip(*(_turning_points(rates, share, target) for share in shares), strict=True)
    return GroupCurves(
        group_sizes=sizes,
        rare_shares=shares,
        gammas=exponents,
        active=rates.band(activity_probability(nodes, column), level),
        all_right=rates.band(nodes**column, level),
        all_wrong=rates.band(_none_of(nodes, column), level),
        tail_miss=rates.band(missed, level),
        unsampled=rates.band(unsampled, level),
        gained=band(gained, level),
        drain=band(drained / np.where(gained > 0, gained, np.nan), level),
        worst=worst,
        safe=safe,
        mostly_dead=tuple(_mostly_dead(rates, one, sizes) for one in safe),
        target=target,
    )


def safe_group_size(success_rate: float, tail_mass: float, target: float = TARGET) -> int:
    """Smallest group size from the worst one on whose tail-miss probability is below a target.

    Parameters
    ----------
    success_rate
        ``μ``, in (0, 1].
    tail_mass
        ``τ``, in (0, μ].
    target
        In (0, 1).

    Returns
    -------
    int
        ``N``; the worst group size itself (`fgrpo.theory.peak_group_size`) where even that stays
        below the target.

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number.
    """
    check_target(target)
    worst = int(peak_group_size(success_rate, tail_mass))
    return _first_below(
        lambda n: float(tail_miss_probability(success_rate, tail_mass, n)), worst, target
    )


def check_target(target: float) -> None:
    """Refuse a tail miss to stay below that is not in (0, 1)."""
    if not 0 < target < 1:
        raise ValueError(f"target = {target} is no probability to stay below; pass say 0.05")


def _none_of(mass: NDArray[np.float64], column: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``(1 − mass)^N``, for tiny masses too."""
    with np.errstate(divide="ignore"):  # a mass of 1: exp(−inf) is the 0 it should be
        return np.asarray(np.exp(column * np.log1p(-mass)))


def _axis(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if values.ndim > 1 or not values.size:
        raise ValueError(f"{name} has shape {values.shape}; pass one or several numbers")
    return np.atleast_1d(values)


def flows(
    rates: SuccessRates,
    shares: NDArray[np.float64],
    sizes: NDArray[np.int64],
    gammas: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return gained and drained mass under each distribution, shape (D, G, T, S)."""
    shape = (len(rates.weights), len(gammas), len(shares), len(sizes))
    gained, drained = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, size in enumerate(sizes):
        if size <= LARGEST_GROUP:
            flow = mass_flow(rates.nodes, shares, int(size), gammas)
            gained[..., i], drained[..., i] = map(rates.average, flow)
    return gained, drained


def _mostly_dead(rates: SuccessRates, safe: int | None, sizes: NDArray[np.int64]) -> bool:
    if safe is None:
        return False
    most = max(safe, int(sizes.max()))  # the larger a group, the likelier it is active
    active = rates.band(activity_probability(rates.nodes, most)).mean
    return bool(active < FEW_ACTIVE)


def _turning_points(
    rates: SuccessRates, share: float, target: float
) -> tuple[int | None, int | None]:
    """Return the group size with the highest mean tail miss, and the first safe one after it."""
    if len(rates.nodes) == 1:
        mu = float(rates.nodes[0])
        if mu in (0, 1):  # no group is active
            return 1, 1
        worst = int(peak_group_size(mu, share * mu))
        return _told(worst), _told(safe_group_size(mu, share * mu, target))
    weights = rates.weights.mean(axis=0)

    def missed(n: ArrayLike) -> NDArray[np.float64]:
        column = np.asarray(n)[..., None]
        return np.asarray(tail_miss_probability(rates.nodes, share * rates.nodes, column) @ weights)

    # A mean of curves that rise and fall may have several peaks: a coarse look finds them, and
    # each is climbed, as the second may just reach the target between two points of the look.
    grid = np.unique(np.geomspace(1, 2 * LARGEST, 200).round())  # sees a rise at the limit
    values = missed(grid)
    padded = np.concatenate([[-1.0], values, [-1.0]])
    tops = np.flatnonzero((values >= padded[:-2]) & (values > padded[2:]))
    tops = tops[values[tops] > 0.98 * min(values.max(), target)]
    climbed = [
        _climb(missed, int(grid[max(i - 1, 0)]), int(grid[min(i + 1, len(grid) - 1)])) for i in tops
    ]
    grid, first = np.unique(np.concatenate([grid, climbed]), return_index=True)
    values = np.concatenate([values, missed(climbed)])[first]
    worst = int(grid[values.argmax()])
    above = np.flatnonzero((values >= target) & (grid > worst))
    start = int(grid[above[-1]]) if above.size else worst
    if max(worst, start) > LARGEST:
        return _told(worst), None
    return worst, _told(_first_below(lambda n: float(missed(n)), start, target))


def _told(size: int) -> int | None:
    return size if size <= LARGEST else None


def _climb(value: Callable[[ArrayLike], NDArray[np.float64]], low: int, high: int) -> int:
    """Return the integer in ``[low, high]`` at which a function that rises and falls is highest."""
    while high - low > 64:
        step = (high - low) // 3
        if value(low + step) < value(high - step):
            low += step
        else:
            high -= step
    near = np.arange(low, high + 1)
    return int(near[value(near).argmax()])


def _first_below(value: Callable[[int], float], start: int, target: float) -> int:
    """Return the least ``n >= start`` with ``value(n) < target`` of a falling function."""
    if value(start) < target:
        return start
    low, high = start, 2 * start
    while value(high) >= target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if value(middle) >= target else (low, middle)
    return high
