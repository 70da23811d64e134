"""What one update gains of correct mass, and what of it answers outside the group lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import binom  # type: ignore[import-untyped,unused-ignore]

from fgrpo._validate import fractions, integers, reals, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LARGEST_GROUP = 4096  # its N + 1 outcomes are summed one by one


class MassFlow(NamedTuple):
    """Expected first-order changes of mass after one group, per unit of learning rate."""

    gained: NDArray[np.float64]
    """``ΔQ_pos``: of all correct answers together; at least 0."""
    drained: NDArray[np.float64]
    """``−ΔQ_u,pos``: from the correct answers that the group does not contain; at least 0."""


def mass_flow(
    success_rates: ArrayLike, rare_shares: ArrayLike, group_size: int, gammas: ArrayLike = 0.0
) -> MassFlow:
    """Return the expected correct mass that a group's update gains, and drains from unseen answers.

    A prompt whose correct mass ``μ`` is spread evenly over answers of mass ``τ = ρμ``, its wrong
    mass over very many; GRPO's advantages with the focal weight; one step of gradient ascent on
    the logits. A group with ``k`` of ``N`` correct moves a sampled answer's logit by
    ``(η/N)·count·g·Â`` and no other, so that to first order

    - ``ΔQ_pos = η·τ·(1−μ)·w_k`` and
    - ``ΔQ_u,pos = −η·τ·Q_u,pos·w_k``, with ``E[Q_u,pos | k] = μ(1−ρ)^k``,

    where ``w_k = (1−k/N)^γ·√(k/N·(1−k/N))``. Averaged over ``k ~ Binomial(N, μ)``. What unseen
    answers lose goes to those of the group: only the softmax couples them.

    Parameters
    ----------
    success_rates
        ``μ``, in [0, 1]; shape (M,) or a scalar.
    rare_shares
        ``ρ = τ/μ``, one answer's share of the correct mass, in (0, 1]; shape (T,) or a scalar.
    group_size
        ``N``, from 2 to 4096.
    gammas
        ``γ >= 0``; shape (G,) or a scalar.

    Returns
    -------
    MassFlow
        Two arrays of shape (G, T, M), without the axes of scalars.

    Raises
    ------
    ValueError, TypeError
        A value out of range or not a number.

    References
    ----------
    Follows eqs. 17 to 19 and 24 of F-GRPO, arXiv 2602.06717, for the gradient of the importance
    ratio; the closed form is derived here.
    """
    mu, rho = fractions("success_rates", success_rates), fractions("rare_shares", rare_shares)
    refuse("rare_shares", rho, rho == 0, "is empty; pass a share above 0")
    n = int(integers("group_size", group_size, 2))
    if n > LARGEST_GROUP:
        raise ValueError(f"group_size = {n} is too large to sum over; at most {LARGEST_GROUP}")
    gamma = reals("gammas", gammas)
    refuse("gammas", gamma, gamma < 0, "is negative; pass at least 0")
    k = np.arange(1, n)  # all wrong and all correct move nothing
    weight = (1 - k / n) ** gamma[..., None] * np.sqrt(k / n * (1 - k / n))
    missed = (1 - rho[..., None]) ** k
    chances = binom.pmf(k, n, mu[..., None])
    tau = np.multiply.outer(rho, mu)
    gained = np.tensordot(weight, chances, axes=(-1, -1))
    drained = np.tensordot(
        weight.reshape((*gamma.shape, *(1,) * rho.ndim, -1)) * missed, chances, axes=(-1, -1)
    )
    gained = gained.reshape((*gamma.shape, *(1,) * rho.ndim, *mu.shape))
    return MassFlow(gained=tau * (1 - mu) * gained, drained=tau * mu * drained)
