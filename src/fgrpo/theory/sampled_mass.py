"""How much of the policy's mass a group covers, given its number of correct rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fgrpo._validate import broadcast, first, integers, masks, place, policies

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ExpectedSampledMass(NamedTuple):
    """Expected mass of the distinct actions drawn, apart for correct and wrong ones."""

    correct: np.float64 | NDArray[np.float64]
    """``E[P_pos | X = k]`` (eq. 24), non-decreasing in ``k``."""
    wrong: np.float64 | NDArray[np.float64]
    """``E[P_neg | X = k]`` (eq. 25), non-increasing in ``k``."""


def expected_sampled_mass(
    probabilities: ArrayLike, correct: ArrayLike, group_size: ArrayLike, k: ArrayLike
) -> ExpectedSampledMass:
    """Compute the expected sampled correct and wrong mass of a group with ``k`` successes.

    ``E[P_pos|k] = Σ_{correct} π(o)(1 − (1 − π(o)/μ)^k)`` and
    ``E[P_neg|k] = Σ_{wrong} π(o)(1 − (1 − π(o)/(1−μ))^{N−k})``, with ``μ`` the correct mass.
    Hence ``S_R = R_c·P_pos + R_w·P_neg`` grows with ``k`` on average when ``R_w <= 0``: groups
    with a high success rate push unsampled correct answers down most.

    Parameters
    ----------
    probabilities
        ``π``, shape ``(..., actions)``, each row summing to 1 (within 1e-6).
    correct
        Boolean mask that broadcasts with ``probabilities``.
    group_size, k
        ``N >= 1`` and ``0 <= k <= N``, integers that broadcast with each other.

    Returns
    -------
    ExpectedSampledMass
        Two arrays of shape ``batch + shape(group_size, k)``: the leading axes of the policies,
        then one entry for every given ``k``. One pass over the policies is made for each
        distinct ``k`` and ``N − k``.

    Raises
    ------
    ValueError, TypeError
        Probabilities out of range, a mask that is not boolean, ``k`` above ``N``, a ``k`` of
        probability zero (``k > 0`` without correct mass, ``k < N`` without wrong mass), or
        shapes that do not broadcast.

    References
    ----------
    F-GRPO, arXiv 2602.06717, eqs. 24 and 25.
    """
    p, right = broadcast(
        probabilities=policies("probabilities", probabilities), correct=masks("correct", correct)
    )
    n, hits = broadcast(group_size=integers("group_size", group_size, 1), k=integers("k", k, 0))
    if (hits > n).any():
        at = first(hits > n)
        raise ValueError(
            f"{place('k', at)} = {hits[at]:.0f} exceeds the group size {n[at]:.0f}; "
            "k counts the correct rollouts of the group"
        )
    return ExpectedSampledMass(
        correct=_covered(p, right, hits, "correct"), wrong=_covered(p, ~right, n - hits, "wrong")
    )


def _covered(
    p: NDArray[np.float64], mask: NDArray[np.bool_], draws: NDArray[np.float64], kind: str
) -> np.float64 | NDArray[np.float64]:
    """Return the expected mass hit by ``draws`` draws from ``p`` restricted to ``mask``."""
    inside = np.where(mask, p, 0.0)
    mass = inside.sum(axis=-1, keepdims=True)
    empty = mass[..., 0] == 0
    if empty.any() and draws.any():
        row = first(empty)
        at = first(draws > 0)
        raise ValueError(
            f"{place('probabilities', row)} has no {kind} mass, yet {place('k', at)} asks for "
            f"{draws[at]:.0f} {kind} rollouts; leave out a k of probability zero"
        )
    result = np.zeros(empty.shape + draws.shape)
    with np.errstate(divide="ignore"):
        # A lone action has share 1, whose logarithm is -inf: it is hit by the first draw.
        log_missed = np.log1p(-np.minimum(inside / np.where(mass == 0, 1.0, mass), 1.0))
    for count in np.unique(draws[draws > 0]):
        covered = (inside * -np.expm1(count * log_missed)).sum(axis=-1)
        result[..., draws == count] = covered[..., np.newaxis]
    return result[()]
