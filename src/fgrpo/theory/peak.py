"""The group size at which an active group most probably misses the tail."""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, Context, Decimal, localcontext
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import place, refuse
from fgrpo.theory.activity import split

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Doubles carry the logarithms below to about 4e-13 (their size is at most 745); a difference
# further from zero than this is trusted, a nearer one is settled in decimal arithmetic.
_CLEAR = 1e-11


def peak_group_size(success_rate: ArrayLike, tail_mass: ArrayLike) -> int | NDArray[np.int64]:
    """Group size ``N >= 1`` that maximises `tail_miss_probability`, exactly.

    With ``a = μ−τ``, ``b = 1−μ`` and ``s = 1−τ``, the probability ``f`` obeys
    ``f(N+1) − f(N) = s^N·h(N)``, ``h(N) = (b+τ)(a/s)^N + μ(b/s)^N − τ``. ``h`` is strictly
    decreasing, so ``f`` rises and then falls, and the maximiser is the least ``N`` with
    ``h(N) <= 0``. The sign of ``h`` is decided in doubles where that is safe and in decimal
    arithmetic of growing precision elsewhere; the cost grows with the digits of the answer, not
    with the answer.

    Parameters
    ----------
    success_rate
        ``μ``, in (0, 1].
    tail_mass
        ``τ``, in (0, μ]. (At ``τ = 0`` the probability rises for ever.)

    Returns
    -------
    int or int64 array
        A Python integer of any size when both arguments are scalars, else an array of their
        broadcast shape. Between equal maxima the smallest ``N`` is returned; in particular 1
        where the probability is zero for every ``N``, which is where ``τ = μ`` or ``μ = 1``.

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number, a tail that is empty or heavier than the success
        rate, shapes that do not broadcast, or an array element whose peak passes 2**63 − 1
        (possible only for a success rate below 1e-16).

    References
    ----------
    F-GRPO, arXiv 2602.06717, lemma 3.1. The form of the difference is derived here.
    """
    mu, tau = split(success_rate, tail_mass)
    refuse("tail_mass", tau, tau == 0, "has no peak; pass a positive mass")
    estimate, certain = _estimate(mu, tau)
    peaks = np.ones(mu.shape, dtype=object)
    for index in np.ndindex(mu.shape):
        m, t = float(mu[index]), float(tau[index])
        if t == m or m == 1:
            continue
        near = float(estimate[index])
        peaks[index] = int(near) if certain[index] else _exact_peak(m, t, near)
    if mu.ndim == 0:
        return int(peaks[()])
    for index in np.ndindex(mu.shape):
        if peaks[index] > np.iinfo(np.int64).max:
            raise ValueError(
                f"{place('success_rate', index)} = {mu[index]} has a peak of "
                f"{len(str(peaks[index]))} digits, beyond 64-bit integers; pass it as a scalar"
            )
    return peaks.astype(np.int64)


def _estimate(
    mu: NDArray[np.float64], tau: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the peak in doubles, and where rounding cannot have changed it.

    Newton on ``g(N) = log(h(N)/τ + 1)``, which is convex and decreasing: from the left it never
    passes the root.
    """
    with np.errstate(all="ignore"):
        a, b, s = mu - tau, 1 - mu, 1 - tau
        small = np.minimum(a, b) / s
        slopes = np.stack([np.log1p(-small), np.log(small)])
        weights = np.where(a >= b, np.stack([b + tau, mu]), np.stack([mu, b + tau]))
        offsets = np.log(weights) - np.log(tau)

        def log_ratio(n: NDArray[np.float64]) -> NDArray[np.float64]:
            terms: NDArray[np.float64] = offsets + n * slopes
            return terms

        n = np.ones(mu.shape)
        for _ in range(60):
            terms = log_ratio(n)
            g = np.logaddexp(terms[0], terms[1])
            step = g / (slopes * np.exp(terms - g)).sum(axis=0)
            n = n - step
            if not (np.abs(step) > 1e-9 * n).any():
                break
        n = np.ceil(n)
        here = np.logaddexp.reduce(log_ratio(n), axis=0)
        before = np.logaddexp.reduce(log_ratio(n - 1), axis=0)
        return n, (here < -_CLEAR) & (before > _CLEAR)


def _exact_peak(mu: float, tau: float, near: float) -> int:
    """Return the least ``N`` with ``h(N) <= 0``: Newton in decimal, then a check of its sign."""
    with localcontext(_context(40)) as context:
        least = min(Decimal(mu) - Decimal(tau), 1 - Decimal(mu))
        # The smaller slope and the peak each cost as many digits as the least mass has zeros.
        context.prec += 2 * max(0, -least.adjusted())
        (ratio_a, weight_a), (ratio_b, weight_b), t = _terms(mu, tau)
        slope_a, slope_b = ratio_a.ln(), ratio_b.ln()
        offset_a, offset_b = (weight_a / t).ln(), (weight_b / t).ln()
        x = Decimal(near) if np.isfinite(near) and near >= 1 else Decimal(1)
        step = Decimal(1)
        while abs(step) > Decimal("0.001"):
            part_a, part_b = (offset_a + x * slope_a).exp(), (offset_b + x * slope_b).exp()
            total = part_a + part_b
            step = total.ln() * total / (slope_a * part_a + slope_b * part_b)
            x -= step
        n = max(1, int(x.to_integral_value(rounding=ROUND_CEILING)))
    while _sign(mu, tau, n) > 0:
        n += 1
    while n > 1 and _sign(mu, tau, n - 1) <= 0:
        n -= 1
    return n


def _sign(mu: float, tau: float, n: int) -> int:
    """Return the exact sign of ``h(N)``.

    The masses are multiples of some ``2^−m``, so ``h·s^N`` is a multiple of ``2^−m(N+1)``: once
    the precision passes that, a value indistinguishable from zero is zero.
    """
    bits = max(mu.as_integer_ratio()[1], tau.as_integer_ratio()[1]).bit_length()
    digits = len(str(n))
    precision = digits + 30
    while True:
        with localcontext(_context(precision)):
            (ratio_a, weight_a), (ratio_b, weight_b), t = _terms(mu, tau)
            total = (weight_a * ratio_a**n + weight_b * ratio_b**n) / t
            # Each ratio is good to a few units of the last place, its power to n times that.
            noise = Decimal(n + 10).scaleb(2 - precision) * (total + 1)
            if abs(total - 1) > noise:
                return 1 if total > 1 else -1
        if (precision - digits - 5) * 3 > (n + 1) * bits:
            return 0
        precision *= 2


def _terms(
    mu: float, tau: float
) -> tuple[tuple[Decimal, Decimal], tuple[Decimal, Decimal], Decimal]:
    """Return ``(a/s, b+τ)``, ``(b/s, μ)`` and ``τ``, rounded once each to the context."""
    m, t = Decimal(mu), Decimal(tau)
    a, b, s = m - t, 1 - m, 1 - t
    return (a / s, b + t), (b / s, m), t


def _context(precision: int) -> Context:
    return Context(prec=precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
