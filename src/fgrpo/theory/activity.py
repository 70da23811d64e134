"""How often a group carries a signal, and how often it does so while missing a rare tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import broadcast, first, fractions, integers, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def activity_probability(
    success_rate: ArrayLike, group_size: ArrayLike
) -> np.float64 | NDArray[np.float64]:
    """Probability that a group has at least one correct and one wrong rollout.

    ``Pr(active) = 1 − μ^N − (1−μ)^N``; every other group has all rewards equal, hence zero
    advantages and no update.

    Parameters
    ----------
    success_rate
        ``μ``, in [0, 1].
    group_size
        ``N``, integers ``>= 1`` (integral floats such as ``1e9`` are accepted).

    Returns
    -------
    float64
        In [0, 1], of the arguments' broadcast shape (a NumPy scalar when both are scalars);
        exactly 0 at ``N = 1`` and at ``μ`` 0 or 1. Relative error below 1e-12.

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number, a group size that is not whole, or shapes that do
        not broadcast.

    References
    ----------
    F-GRPO, arXiv 2602.06717, section 3.
    """
    return _tail_miss(fractions("success_rate", success_rate), np.zeros(()), group_size)


def tail_miss_probability(
    success_rate: ArrayLike, tail_mass: ArrayLike, group_size: ArrayLike
) -> np.float64 | NDArray[np.float64]:
    """Probability that a group is active and yet contains nothing from a tail of correct answers.

    ``Pr(B) = (1−τ)^N − (μ−τ)^N − (1−μ)^N``: no rollout falls in the tail, less the groups that
    are then all correct, less those that are all wrong. Over ``N`` it rises from 0, peaks (see
    `peak_group_size`) and falls to 0.

    Parameters
    ----------
    success_rate
        ``μ``, in [0, 1].
    tail_mass
        ``τ``, the policy's mass on the chosen subset of correct answers, in [0, μ]. The lemma
        takes ``0 < τ < μ``. Both ends hold by the same formula: ``τ = 0`` gives
        `activity_probability`, and ``τ = μ`` gives 0, since an active group has a correct
        rollout and all correct answers are in the tail.
    group_size
        ``N``, integers ``>= 1`` (integral floats such as ``1e9`` are accepted).

    Returns
    -------
    float64
        In [0, 1], of the arguments' broadcast shape (a NumPy scalar when all are scalars);
        exactly 0 at ``N = 1``. Relative error below 1e-12 wherever the result is a normal
        double (above 2.3e-308), for the doubles given, taken as exact.

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number, a tail heavier than the success rate, a group size
        that is not whole, or shapes that do not broadcast.

    References
    ----------
    F-GRPO, arXiv 2602.06717, lemma 3.1.
    """
    mu, tau = split(success_rate, tail_mass)
    return _tail_miss(mu, tau, group_size)


def split(
    success_rate: ArrayLike, tail_mass: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return checked ``μ`` and ``τ`` of one shape, with ``0 <= τ <= μ <= 1``."""
    mu, tau = broadcast(
        success_rate=fractions("success_rate", success_rate),
        tail_mass=fractions("tail_mass", tail_mass),
    )
    if (tau > mu).any():
        at = first(tau > mu)
        why = f"exceeds the success rate {mu[at]}; the tail is part of the correct answers"
        refuse("tail_mass", tau, tau > mu, why)
    return mu, tau


def _tail_miss(
    mu: NDArray[np.float64], tau: NDArray[np.float64], group_size: ArrayLike
) -> np.float64 | NDArray[np.float64]:
    """Evaluate lemma 3.1 without cancellation.

    With ``a = μ−τ`` (correct outside the tail), ``b = 1−μ`` (wrong), ``s = a+b = 1−τ`` and
    ``q = min(a, b)/s <= 1/2``, the probability is ``s^N·[(1 − (1−q)^N) − q^N]``. For ``N >= 2``
    the subtracted ``q^N`` is at most a third of what it is taken from, so nothing cancels.
    """
    mu, tau, n = broadcast(
        success_rate=mu, tail_mass=tau, group_size=integers("group_size", group_size, 1)
    )
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        rest = 1 - tau
        # rest is 0 only where the tail is everything: no group is active there.
        q = np.where(rest > 0, np.minimum(mu - tau, 1 - mu) / rest, 0.0)
        mixed = -np.expm1(n * np.log1p(-q)) - np.exp(n * np.log(q))
        result = np.exp(n * np.log1p(-tau)) * mixed
    # One rollout is never mixed; the formula leaves rounding noise there.
    return np.where(n == 1, 0.0, result)[()]
