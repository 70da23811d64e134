"""Success rate, focal weight and group-relative advantages, in NumPy or torch.

Every function returns what it was given: a tensor of the same device and dtype for a torch
tensor (integers become torch's default float), a NumPy array otherwise (float16 and float32 are
kept, everything else becomes float64). Results carry no gradient. Half precision is accumulated
in single, NumPy in double.

With an integer `groups` nothing here waits for an accelerator. The price is that values on an
accelerator cannot be checked: where NumPy input or a CPU tensor raises ValueError for an infinite
reward or a success rate outside [0, 1], an accelerator's result is NaN, for the whole group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np

from fgrpo.groups import Grouping, as_floats, first_index, is_tensor, namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from fgrpo.groups import Groups

    Rewards: TypeAlias = Sequence[float | None] | NDArray[Any]
    Floats: TypeAlias = NDArray[np.floating[Any]]

Scale: TypeAlias = Literal["std", "population_std", "none"]
_SCALES = ("std", "population_std", "none")


@overload
def success_rate(rewards: Rewards, groups: Groups, *, threshold: float = ...) -> Floats: ...
@overload
def success_rate(
    rewards: torch.Tensor, groups: Groups, *, threshold: float = ...
) -> torch.Tensor: ...
def success_rate(rewards: Any, groups: Groups, *, threshold: float = 0.5) -> Any:
    """Return the share of each rollout's group that succeeded, ``X / N``.

    Parameters
    ----------
    rewards : array or tensor of shape (n_rollouts,)
        One finite reward per rollout. NaN (or None in a list) marks a rollout that could not be
        scored: it is counted neither in X nor in N.
    groups : int, or sequence or array of n_rollouts ids
        The group size, when the rollouts of a prompt are contiguous; or each rollout's prompt id.
        Ids may be numbers, strings, tuples or any hashable mixture, in any order, and groups of
        unequal size. Ids that compare equal (1, 1.0 and True) are one group.
    threshold : float, default 0.5
        A rollout succeeded when its reward is at least this. It is rounded to the dtype of
        `rewards` first, so that a single-precision 0.7 reaches a threshold of 0.7.

    Returns
    -------
    array or tensor of shape (n_rollouts,)
        In [0, 1], the same value for every rollout of a group. A group without a single scorable
        reward has no known success: 0.0, and its advantages are 0 as well.

    Raises
    ------
    ValueError
        Rewards empty, not one-dimensional, infinite or too large to be summed; a group size below
        1 or that does not divide the batch; a wrong number of ids, or a NaN id; a threshold that
        is not finite. Infinite rewards on an accelerator give NaN for their group instead.
    TypeError
        Rewards that are not real numbers, ids that are not hashable.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), section 3 and eqs. 11-13.

    Examples
    --------
    >>> success_rate([1.0, 0.0, 0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b", "a", "b"])
    array([0.66666667, 0.66666667, 0.33333333, 0.33333333, 0.66666667,
           0.33333333])
    """
    threshold = _checked_number("threshold", threshold)
    batch = _Batch.of(rewards, groups)
    return batch.finish(_success_rate(batch, threshold))


@overload
def focal_weight(success_rate: float, gamma: float) -> float: ...
@overload
def focal_weight(success_rate: Sequence[float] | NDArray[Any], gamma: float) -> Floats: ...
@overload
def focal_weight(success_rate: torch.Tensor, gamma: float) -> torch.Tensor: ...
def focal_weight(success_rate: Any, gamma: float) -> Any:
    """Return the focal weight ``(1 − success rate)^γ``.

    Parameters
    ----------
    success_rate : float, or array or tensor of any shape
        Success rates in [0, 1].
    gamma : float
        Focal exponent, finite and at least 0. The weight is exactly 1 everywhere for 0, at a
        success rate of 1 too; the paper uses 0.5 and 1.

    Returns
    -------
    array or tensor of the shape of `success_rate`
        Weights in [0, 1].

    Raises
    ------
    ValueError
        A success rate outside [0, 1] or NaN (on an accelerator: a NaN weight instead), `gamma`
        negative or not finite.
    TypeError
        An argument that is not real numbers.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eqs. 11-13.

    Examples
    --------
    >>> focal_weight([0.0, 0.75, 1.0], gamma=0.5)
    array([1. , 0.5, 0. ])
    """
    gamma = _checked_number("gamma", gamma, at_least=0)
    rates, wide, on_host = _load(success_rate, "success_rate")
    inside = (wide >= 0) & (wide <= 1)  # false for NaN
    if on_host and (place := first_index(~inside)) is not None:
        where = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(
            f"success_rate{where} is {float(wide[place])}: a success rate lies in [0, 1]; "
            "compute it with success_rate(rewards, groups)"
        )
    weight = _focal_weight(wide, gamma)
    if is_tensor(weight):
        return namespace(weight).where(inside, weight, math.nan).to(rates.dtype)
    return weight.astype(rates.dtype)


@overload
def group_advantages(
    rewards: Rewards, groups: Groups, *, scale: Scale = ..., epsilon: float = ...
) -> Floats: ...
@overload
def group_advantages(
    rewards: torch.Tensor, groups: Groups, *, scale: Scale = ..., epsilon: float = ...
) -> torch.Tensor: ...
def group_advantages(
    rewards: Any, groups: Groups, *, scale: Scale = "std", epsilon: float = 1e-6
) -> Any:
    """Return the group-relative advantages ``(R − mean R) / (σ_R + ε)``.

    Mean and deviation are those of the rollout's own group. A group whose scorable rewards are
    all equal, one rollout included, is inactive: its advantages are exactly 0.

    Parameters
    ----------
    rewards, groups
        As for `success_rate`. A NaN reward is left out of the mean and the deviation, and its
        advantage is 0.
    scale : {"std", "population_std", "none"}, default "std"
        The deviation: of a sample (divided by N - 1, as in verl and TRL), of a population
        (divided by N), or no division at all, epsilon included (Dr. GRPO).
    epsilon : float, default 1e-6
        Added to the deviation; finite and at least 0.

    Returns
    -------
    array or tensor of shape (n_rollouts,)

    Raises
    ------
    ValueError, TypeError
        As for `success_rate`; an unknown `scale`; `epsilon` negative or not finite.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eq. 3.

    Examples
    --------
    >>> group_advantages([3.0, 1.0, 2.0, 5.0, 5.0, 5.0], 3, epsilon=0.0)
    array([ 1., -1.,  0.,  0.,  0.,  0.])
    """
    epsilon = _checked_epsilon(scale, epsilon)
    batch = _Batch.of(rewards, groups)
    return batch.finish(_group_advantages(batch, scale, epsilon))


@overload
def focal_advantages(
    rewards: Rewards,
    groups: Groups,
    *,
    gamma: float,
    threshold: float = ...,
    scale: Scale = ...,
    epsilon: float = ...,
) -> Floats: ...
@overload
def focal_advantages(
    rewards: torch.Tensor,
    groups: Groups,
    *,
    gamma: float,
    threshold: float = ...,
    scale: Scale = ...,
    epsilon: float = ...,
) -> torch.Tensor: ...
def focal_advantages(
    rewards: Any,
    groups: Groups,
    *,
    gamma: float,
    threshold: float = 0.5,
    scale: Scale = "std",
    epsilon: float = 1e-6,
) -> Any:
    """Return F-GRPO's ``(1 − success rate)^γ · (R − mean R) / (σ_R + ε)``.

    This is `focal_weight(success_rate(...), gamma) * group_advantages(...)`, rounded once.

    Parameters
    ----------
    rewards, groups, threshold
        As for `success_rate`.
    gamma : float
        As for `focal_weight`; 0 gives `group_advantages`.
    scale, epsilon
        As for `group_advantages`.

    Returns
    -------
    array or tensor of shape (n_rollouts,)

    Raises
    ------
    ValueError, TypeError
        As for the three functions it is made of.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eqs. 3 and 11-13.

    Examples
    --------
    >>> focal_advantages([1, 0, 0, 0], 4, gamma=1.0, scale="none")
    array([ 0.5625, -0.1875, -0.1875, -0.1875])
    """
    gamma = _checked_number("gamma", gamma, at_least=0)
    threshold = _checked_number("threshold", threshold)
    epsilon = _checked_epsilon(scale, epsilon)
    batch = _Batch.of(rewards, groups)
    weight = _focal_weight(_success_rate(batch, threshold), gamma)
    return batch.finish(weight * _group_advantages(batch, scale, epsilon))


@dataclass(frozen=True)
class _Batch:
    """Checked rewards in the precision of the computation, and how to hand a result back."""

    xp: Any
    rewards: Any
    scorable: Any
    grouping: Grouping
    dtype: Any
    on_host: bool

    @classmethod
    def of(cls, rewards: Any, groups: Groups) -> _Batch:
        values, wide, on_host = _load(rewards, "rewards")
        if values.ndim != 1:
            raise ValueError(
                f"rewards has shape {tuple(values.shape)}: pass one reward per rollout, "
                "as rewards.reshape(-1)"
            )
        if not len(values):
            raise ValueError("rewards has shape (0,): pass at least one reward")
        grouping = Grouping.of(groups, values)
        xp = namespace(wide)
        # Below this no sum of differences can overflow.
        limit = float(xp.finfo(wide.dtype).max) / (4 * len(values))
        scorable = abs(wide) <= limit
        too_large = abs(wide) > limit
        if on_host and (place := first_index(too_large)) is not None:
            raise ValueError(
                f"rewards[{place[0]}] is {float(wide[place])}: rewards are finite and at most "
                f"{limit:.3g} in size; clip it, or pass NaN if it could not be scored"
            )
        return cls(xp, wide, scorable, grouping, values.dtype, on_host)

    def finish(self, result: Any) -> Any:
        if not is_tensor(result):
            return result.astype(self.dtype)
        if not self.on_host:
            too_large = (~self.scorable & ~self.rewards.isnan()).to(result.dtype)
            result = self.xp.where(self.grouping.max(too_large) > 0, math.nan, result)
        return result.to(self.dtype)

    def round(self, number: float) -> float:
        """Return the number nearest to `number` in the dtype the rewards came in."""
        if self.xp is np:
            with np.errstate(over="ignore"):
                return float(np.asarray(number).astype(self.dtype))
        return float(self.xp.tensor(number, dtype=self.dtype, device="cpu"))


def _load(values: Any, name: str) -> tuple[Any, Any, bool]:
    """Return floats as given and in the precision to compute in, and whether we may look at them.

    A tensor's values are looked at on the CPU only: elsewhere that would wait for the device.
    """
    if not is_tensor(values):
        array = as_floats(values, name)
        return array, array.astype(np.float64), True
    torch = namespace(values)
    if values.is_complex():
        raise TypeError(f"{name} has dtype {values.dtype}: pass real numbers")
    values = values.detach()
    if not values.is_floating_point():
        values = values.to(torch.get_default_dtype())
    wide = values.double() if values.dtype == torch.float64 else values.float()
    return values, wide, values.device.type == "cpu"


def _success_rate(batch: _Batch, threshold: float) -> Any:
    scorable = batch.scorable
    succeeded = scorable & (batch.rewards >= batch.round(threshold))
    n_succeeded = batch.grouping.sum(_as_numbers(batch, succeeded))
    n_scorable = batch.grouping.sum(_as_numbers(batch, scorable))
    return n_succeeded / n_scorable.clip(1)  # 0 / 1 where nothing could be scored


def _focal_weight(rates: Any, gamma: float) -> Any:
    return (1 - rates) ** gamma  # 0 ** 0 is 1 in both libraries


def _group_advantages(batch: _Batch, scale: Scale, epsilon: float) -> Any:
    where, grouping, rewards = batch.xp.where, batch.grouping, batch.rewards
    low = grouping.min(where(batch.scorable, rewards, math.inf))
    high = grouping.max(where(batch.scorable, rewards, -math.inf))
    # Deciding "all equal" on the rewards themselves leaves no rounding residue of the mean to be
    # divided by a tiny deviation. Other groups get harmless stand-ins below, and 0 in the end.
    active = high > low
    used = active & batch.scorable
    count = where(active, grouping.sum(_as_numbers(batch, used)), 2.0)
    above = where(used, rewards - low, 0.0)
    deviation = where(used, above - grouping.sum(above) / count, 0.0)
    if scale == "none":
        return deviation
    # Squares are taken in units of the range, so that they neither overflow nor vanish.
    span = where(active, high - low, 1.0)
    freedom = count - 1 if scale == "std" else count
    sigma = span * (grouping.sum((deviation / span) ** 2) / freedom) ** 0.5
    return deviation / where(active, sigma + epsilon, 1.0)


def _as_numbers(batch: _Batch, flags: Any) -> Any:
    return flags + batch.xp.zeros_like(batch.rewards)


def _checked_number(name: str, value: object, at_least: float | None = None) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}: pass a plain number")
    if not math.isfinite(value) or (at_least is not None and value < at_least):
        bound = "" if at_least is None else f" and at least {at_least}"
        raise ValueError(f"{name}={value}: pass a number that is finite{bound}")
    return float(value)


def _checked_epsilon(scale: str, epsilon: float) -> float:
    if scale not in _SCALES:
        raise ValueError(f"scale={scale!r}: choose one of {', '.join(map(repr, _SCALES))}")
    return _checked_number("epsilon", epsilon, at_least=0)
