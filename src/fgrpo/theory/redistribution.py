"""Where one update moves the mass of a categorical policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from fgrpo._validate import broadcast, first, integers, masks, place, policies, reals, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Real: TypeAlias = "np.float64 | NDArray[np.float64]"


class MassChange(NamedTuple):
    """First-order change of correct mass after one update, term by term.

    Each field already holds the factor ``η/N`` and has the shape of the batch (a NumPy scalar
    for a single policy). Symbols as in `mass_change`.
    """

    total_sampled_correct: Real
    """``(η/N)(R_c − S_R)·Q_neg·A2``: sampled correct actions are pushed up (eq. 17)."""
    total_sampled_wrong: Real
    """``(η/N)(S_R − R_w)·Q_pos·B2``: sampled wrong actions are pushed down (eq. 17)."""
    total_unsampled: Real
    """``(η/N)·S_R·(Q_pos·U_neg2 − Q_neg·U_pos2)``: what unsampled actions lose (eq. 17)."""
    unsampled_direct_drift: Real
    """``−(η/N)·S_R·U_pos2``: unsampled correct logits drift against ``S_R`` (eq. 10)."""
    unsampled_normalisation_coupling: Real
    """``−(η/N)·Q_u,pos·((R_c−S_R)A2 + (R_w−S_R)B2 − S_R·U2)``: the softmax rescales (eq. 10)."""

    @property
    def total(self) -> Real:
        """``ΔQ_pos``, the change of all correct mass (eq. 17)."""
        return self.total_sampled_correct + self.total_sampled_wrong + self.total_unsampled

    @property
    def unsampled(self) -> Real:
        """``ΔQ_u,pos``, the change of the correct mass no rollout hit (eq. 10)."""
        return self.unsampled_direct_drift + self.unsampled_normalisation_coupling


def mass_change(
    probabilities: ArrayLike,
    correct: ArrayLike,
    sampled: ArrayLike,
    *,
    learning_rate: ArrayLike,
    group_size: ArrayLike,
    reward_correct: float = 1.0,
    reward_wrong: float = -1.0,
) -> MassChange:
    """First-order change of the total and of the unsampled correct mass after one update.

    The policy is ``p = softmax(z)``; the update is ``Δz_i = (η/N)·p_i·(R_i − S_R)`` (eq. 5) with
    ``R_i`` the reward of a sampled action and 0 for an unsampled one, and ``S_R = Σ p_i·R_i``.
    With ``Q_pos``, ``Q_neg`` the correct and wrong mass, ``Q_u,pos`` the unsampled correct mass
    and ``A2``, ``B2``, ``U2``, ``U_pos2``, ``U_neg2`` the sums of ``p²`` over sampled correct,
    sampled wrong, unsampled, unsampled correct and unsampled wrong actions, the changes are the
    terms of `MassChange`. The unsampled correct mass can fall while the total rises. The error
    against the exact change is of second order in ``η``.

    Parameters
    ----------
    probabilities
        ``p``, shape ``(..., actions)``, each row summing to 1 (within 1e-6).
    correct, sampled
        Boolean masks that broadcast with ``probabilities``: the correct actions, and those drawn
        at least once.
    learning_rate, group_size
        ``η >= 0`` and ``N >= 1``; they broadcast with the batch, that is all axes but the last.
        ``N`` is at least the number of distinct sampled actions.
    reward_correct, reward_wrong
        ``R_c > R_w``.

    Raises
    ------
    ValueError, TypeError
        Probabilities or rewards out of range, masks that are not boolean, a row without a
        sampled action or with more of them than rollouts, or shapes that do not broadcast.

    References
    ----------
    F-GRPO, arXiv 2602.06717, eqs. 5, 10 and 17.
    """
    p, right, drawn = broadcast(
        probabilities=policies("probabilities", probabilities),
        correct=masks("correct", correct),
        sampled=masks("sampled", sampled),
    )
    r_c, r_w = _rewards(reward_correct, reward_wrong)
    scale = _scale(learning_rate, group_size, drawn)

    def mass(mask: NDArray[np.bool_]) -> Real:
        total: Real = np.sum(p, axis=-1, where=mask)
        return total

    def squares(mask: NDArray[np.bool_]) -> Real:
        total: Real = np.sum(p * p, axis=-1, where=mask)
        return total

    q_pos, q_neg, q_unsampled = mass(right), mass(~right), mass(right & ~drawn)
    a2, b2 = squares(right & drawn), squares(~right & drawn)
    u_pos2, u_neg2 = squares(right & ~drawn), squares(~right & ~drawn)
    s_r = r_c * mass(right & drawn) + r_w * mass(~right & drawn)
    coupling = (r_c - s_r) * a2 + (r_w - s_r) * b2 - s_r * (u_pos2 + u_neg2)
    return MassChange(
        total_sampled_correct=scale * (r_c - s_r) * q_neg * a2,
        total_sampled_wrong=scale * (s_r - r_w) * q_pos * b2,
        total_unsampled=scale * s_r * (q_pos * u_neg2 - q_neg * u_pos2),
        unsampled_direct_drift=-scale * s_r * u_pos2,
        unsampled_normalisation_coupling=-scale * q_unsampled * coupling,
    )


def _rewards(reward_correct: float, reward_wrong: float) -> tuple[float, float]:
    r_c = float(reals("reward_correct", reward_correct))
    r_w = float(reals("reward_wrong", reward_wrong))
    if r_c <= r_w:
        raise ValueError(
            f"reward_correct = {r_c} is not above reward_wrong = {r_w}; swap them or set them apart"
        )
    return r_c, r_w


def _scale(learning_rate: ArrayLike, group_size: ArrayLike, drawn: NDArray[np.bool_]) -> Real:
    """Return ``η/N`` after checking both against the number of distinct sampled actions."""
    eta = reals("learning_rate", learning_rate)
    refuse("learning_rate", eta, eta < 0, "is negative; it must be at least 0")
    distinct = drawn.sum(axis=-1)
    eta, n, distinct = broadcast(
        learning_rate=eta, group_size=integers("group_size", group_size, 1), batch=distinct
    )
    why = "is too few: a group draws at least one action; mark it in `sampled`"
    refuse("count of sampled", distinct, distinct == 0, why)
    if (distinct > n).any():
        at = first(distinct > n)
        raise ValueError(
            f"{place('group_size', at)} = {n[at]:.0f} cannot draw {distinct[at]} distinct "
            "actions; raise it or unmark some in `sampled`"
        )
    scale: Real = (eta / n)[()]
    return scale
