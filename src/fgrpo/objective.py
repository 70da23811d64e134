r"""GRPO, DAPO and CISPO policy losses on token log-probabilities, in torch.

The three differ in how they use the importance ratio ``r = π_θ / π_old`` of a
token, and in nothing else. Multiplying the advantages by the focal weight
(`fgrpo.advantage.focal_advantages`) makes them F-GRPO, F-DAPO and F-CISPO.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Literal, NamedTuple, TypeAlias

from fgrpo.errors import to_install

try:
    import torch
    from torch import Tensor
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        f"fgrpo.objective needs PyTorch: {to_install('lab')}", name="torch"
    ) from None

Aggregate: TypeAlias = Literal["token_mean", "sequence_mean"]
_AGGREGATES = ("token_mean", "sequence_mean")


class PolicyLoss(NamedTuple):
    """A policy loss and how much of the batch the clip decided, all scalar tensors.

    Attributes
    ----------
    loss : Tensor
        To be minimised; carries the gradient.
    clip_fraction_low, clip_fraction_high : Tensor
        Share of the tokens of this call, weighted by the mask, whose objective uses the lower or
        the upper bound in place of the ratio. In [0, 1], 0 without tokens; no gradient.
    """

    loss: Tensor
    clip_fraction_low: Tensor
    clip_fraction_high: Tensor


def grpo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: float = 0.2,
    dual_clip: float | None = None,
    aggregate: Aggregate = "token_mean",
    normalizer: float | Tensor | None = None,
) -> PolicyLoss:
    """Return GRPO's loss, minus the mean of ``min(r·A, clip(r, 1−ε, 1+ε)·A)``.

    Parameters
    ----------
    log_probs : Tensor of shape (B, T)
        Log-probability of each sampled token under the policy being trained.
    old_log_probs : Tensor of shape (B, T)
        The same under the policy that sampled; no gradient flows into it.
    advantages : Tensor of shape (B,) or (B, T)
        One advantage per sequence or per token; no gradient flows into it.
    mask : Tensor of shape (B, T)
        1 (or True) for tokens that count, 0 for the others, where the other tensors may hold
        anything, NaN and infinity included. A weight w >= 0 counts a token w times.
    clip : float, default 0.2
        ``ε``, in [0, 1]. A token is clipped low when A < 0 and r < 1 - clip, high when
        A > 0 and r > 1 + clip.
    dual_clip : float, optional
        Above 1: a token with A < 0 and r > dual_clip is clipped high as well. The paper has no
        such bound; verl always has one (``clip_ratio_c``, 3 by default), TRL's is ``delta``.
    aggregate : {"token_mean", "sequence_mean"}, default "token_mean"
        Mean over all tokens of the batch, or the mean over sequences of each one's own token mean.
    normalizer : float or scalar Tensor, optional
        Replaces the denominator found in this call, so that the losses (and gradients) of the
        micro-batches of one batch add up to the batch's: ``mask.sum()`` of the whole batch for
        the token mean, its number of sequences for the sequence mean (the sum of each sequence's
        largest mask weight, so that a sequence without tokens is not counted).

    Returns
    -------
    PolicyLoss
        In the dtype of `log_probs`; half precision is computed and returned in float32.

    Raises
    ------
    ValueError
        Shapes that do not agree or are empty, a bound out of range, an unknown `aggregate`; a
        mask that is negative, not finite, or zero throughout while no `normalizer` is given; a
        normalizer that is not finite and positive. The values of a mask or a normalizer on an
        accelerator are not looked at, since that would wait for it: there the loss is NaN.
    TypeError
        An argument of another type, or log-probabilities that are not floating point.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), appendices B and L.2. A token of advantage 0 adds exactly 0,
    whatever its ratio.
    """
    low, high = _ratio_bounds("clip", clip, "clip", clip)
    tokens = _Tokens.of(log_probs, old_log_probs, advantages, mask)
    return _min_clip_loss(tokens, low, high, _checked_dual(dual_clip), aggregate, normalizer)


def dapo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = None,
    aggregate: Aggregate = "token_mean",
    normalizer: float | Tensor | None = None,
) -> PolicyLoss:
    """Return minus the mean of ``min(r·A, clip(r, 1 − ε_low, 1 + ε_high)·A)``.

    This is GRPO's loss with a clip of its own on each side; "DAPO" stands for that alone here,
    without DAPO's dynamic sampling or length penalty.

    Parameters
    ----------
    log_probs, old_log_probs, advantages, mask, dual_clip, aggregate, normalizer
        As for `grpo_loss`.
    clip_low : float, default 0.2
        ``ε_low``, in [0, 1]: a token is clipped low when A < 0 and r < 1 - clip_low.
    clip_high : float, default 0.28
        ``ε_high ≥ 0``: clipped high when A > 0 and r > 1 + clip_high.

    Returns
    -------
    PolicyLoss
        As for `grpo_loss`.

    Raises
    ------
    ValueError, TypeError
        As for `grpo_loss`.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), appendices B and L.2.
    """
    low, high = _ratio_bounds("clip_low", clip_low, "clip_high", clip_high)
    tokens = _Tokens.of(log_probs, old_log_probs, advantages, mask)
    return _min_clip_loss(tokens, low, high, _checked_dual(dual_clip), aggregate, normalizer)


def cispo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 1.0,
    clip_high: float = 5.0,
    aggregate: Aggregate = "token_mean",
    normalizer: float | Tensor | None = None,
) -> PolicyLoss:
    """Return CISPO's loss, minus the mean of ``sg(clip(r, low, high))·A·log π_θ``.

    The stop-gradient ``sg`` makes the clipped ratio a constant weight: every token keeps its
    gradient, one outside the bounds too.

    Parameters
    ----------
    log_probs, old_log_probs, advantages, mask, aggregate, normalizer
        As for `grpo_loss`.
    clip_low, clip_high : float, default 1.0 and 5.0
        Offsets from 1: the ratio is kept in [1 - clip_low, 1 + clip_high], [0, 6] by default;
        clip_low lies in [0, 1], clip_high >= 0. Trainers differ: TRL's `epsilon_high` is the
        upper bound itself (6 for the default here), verl's `clip_ratio_high` the offset.

    Returns
    -------
    PolicyLoss
        As for `grpo_loss`; a token counts as clipped when its ratio is outside the bound,
        whatever the sign of its advantage.

    Raises
    ------
    ValueError, TypeError
        As for `grpo_loss`.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), appendices B and L.2.
    """
    low, high = _ratio_bounds("clip_low", clip_low, "clip_high", clip_high)
    tokens = _Tokens.of(log_probs, old_log_probs, advantages, mask)
    ratio = tokens.log_ratio.detach().exp()
    coefficient = ratio.clamp(low, high) * tokens.advantages
    # 0 * log(0) is NaN, but a token with no weight has no say. (A NaN ratio is no 0: it stays.)
    surrogate = coefficient * tokens.log_probs.masked_fill(coefficient == 0, 0)
    return _finish(tokens, surrogate, ratio < low, ratio > high, aggregate, normalizer)


class _Tokens(NamedTuple):
    """A checked batch, every field (B, T), with 0 wherever the mask is 0."""

    log_probs: Tensor
    log_ratio: Tensor
    advantages: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor
    ) -> _Tokens:
        _check_tensors(log_probs, old_log_probs, advantages, mask)
        dtype = torch.float64 if log_probs.dtype == torch.float64 else torch.float32
        weights = mask.detach().to(dtype)
        fine = (weights >= 0) & (weights < math.inf)
        if _may_look(mask) and not bool(fine.all()):
            row, column = (int(i) for i in (~fine).nonzero()[0])
            raise ValueError(
                f"mask[{row}, {column}] is {float(weights[row, column])}: use 0 for a token that "
                "does not count, 1 (or a finite weight) for one that does"
            )
        # Bad weights that could not be looked at must not pass for a mask.
        weights = weights.masked_fill(~fine, math.nan)
        # Replaced, not multiplied by 0: NaN times 0 is NaN, in the gradient as well.
        unused = weights == 0
        per_token = advantages if advantages.ndim == 2 else advantages[:, None]
        new = log_probs.to(dtype).masked_fill(unused, 0)
        old = old_log_probs.detach().to(dtype).masked_fill(unused, 0)
        advantage = per_token.detach().to(dtype).expand(mask.shape).masked_fill(unused, 0)
        return cls(new, new - old, advantage, weights)


def _min_clip_loss(
    tokens: _Tokens,
    low: float,
    high: float,
    dual: float,
    aggregate: Aggregate,
    normalizer: float | Tensor | None,
) -> PolicyLoss:
    """Return the loss whose surrogate is min(r A, clip(r, low, high) A), at least dual A."""
    advantages = tokens.advantages
    ratio = tokens.log_ratio.detach().exp()
    clipped_low = (advantages < 0) & (ratio < low)
    bound = torch.full_like(ratio, dual).masked_fill(advantages > 0, high)
    clipped_high = (advantages != 0) & (ratio > bound)
    # A ratio that is not used must not reach exp: where it overflows, the gradient is 0 * inf.
    # A NaN ratio is left in, to be seen.
    unused = clipped_low | clipped_high | ((advantages == 0) & ~ratio.isnan())
    used_ratio = tokens.log_ratio.masked_fill(unused, 0).exp()
    used_ratio = used_ratio.masked_fill(clipped_low, low).where(~clipped_high, bound)
    return _finish(
        tokens, used_ratio * advantages, clipped_low, clipped_high, aggregate, normalizer
    )


def _finish(
    tokens: _Tokens,
    surrogate: Tensor,
    clipped_low: Tensor,
    clipped_high: Tensor,
    aggregate: Aggregate,
    normalizer: float | Tensor | None,
) -> PolicyLoss:
    """Aggregate the surrogate to a loss, and the clip flags to fractions."""
    n_tokens = tokens.weights.sum()
    n_tokens = n_tokens.masked_fill(n_tokens == 0, 1)
    return PolicyLoss(
        -_mean(surrogate, tokens.weights, aggregate, normalizer),
        (tokens.weights * clipped_low).sum() / n_tokens,
        (tokens.weights * clipped_high).sum() / n_tokens,
    )


def _mean(
    values: Tensor, weights: Tensor, aggregate: Aggregate, normalizer: float | Tensor | None
) -> Tensor:
    """Return the weighted mean of `values` over tokens, or over sequences of their token means."""
    if aggregate not in _AGGREGATES:
        choices = ", ".join(map(repr, _AGGREGATES))
        raise ValueError(f"aggregate={aggregate!r}: choose one of {choices}")
    if aggregate == "token_mean":
        total, size = (values * weights).sum(), weights.sum()
    else:
        lengths = weights.sum(dim=1)
        means = (values * weights).sum(dim=1) / lengths.masked_fill(lengths == 0, 1)
        per_sequence = weights.amax(dim=1)
        total, size = (means * per_sequence).sum(), per_sequence.sum()
    if normalizer is not None:
        return total / _checked_normalizer(normalizer, values)
    if _may_look(size) and not bool(size > 0):
        raise ValueError(
            f"mask of shape {tuple(weights.shape)} is 0 throughout: no token counts; skip this "
            "batch, or pass the whole batch's normalizer if it is one of its micro-batches"
        )
    return total / size


def _checked_normalizer(normalizer: float | Tensor, like: Tensor) -> float | Tensor:
    remedy = "pass the whole batch's finite, positive number of tokens or sequences"
    if not isinstance(normalizer, Tensor):
        if not isinstance(normalizer, Real) or isinstance(normalizer, bool):
            raise TypeError(f"normalizer is {normalizer!r}: {remedy}")
        if not 0 < normalizer < math.inf:
            raise ValueError(f"normalizer={normalizer}: {remedy}")
        return float(normalizer)
    if normalizer.numel() != 1:
        raise ValueError(f"normalizer has shape {tuple(normalizer.shape)}: {remedy}")
    value = normalizer.detach().reshape(()).to(like.dtype)
    fine = (value > 0) & (value < math.inf)
    if _may_look(normalizer) and not bool(fine):
        raise ValueError(f"normalizer={float(value)}: {remedy}")
    return value.masked_fill(~fine, math.nan)


def _may_look(tensor: Tensor) -> bool:
    """Tell whether branching on values is free: on an accelerator it would wait for the device."""
    return tensor.device.type == "cpu"


def _check_tensors(log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor) -> None:
    named = {
        "log_probs": log_probs,
        "old_log_probs": old,
        "advantages": advantages,
        "mask": mask,
    }
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is of type {type(value).__name__}: pass a torch tensor")
        if value.is_complex():
            raise TypeError(f"{name} has dtype {value.dtype}: pass real numbers")
    for name in ("log_probs", "old_log_probs"):
        if not named[name].is_floating_point():
            raise TypeError(f"{name} has dtype {named[name].dtype}: log-probabilities are floats")
    shape = tuple(log_probs.shape)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"log_probs has shape {shape}: pass (sequences, tokens), neither of them 0"
        )
    allowed: dict[str, list[tuple[int, ...]]] = {
        "old_log_probs": [shape],
        "mask": [shape],
        "advantages": [shape[:1], shape],
    }
    for name, shapes in allowed.items():
        if tuple(named[name].shape) not in shapes:
            raise ValueError(
                f"{name} has shape {tuple(named[name].shape)} beside log_probs of {shape}: "
                f"give it shape {' or '.join(map(str, shapes))}"
            )


def _ratio_bounds(low_name: str, low: float, high_name: str, high: float) -> tuple[float, float]:
    """Return the checked bounds of the ratio, 1 - low and 1 + high."""
    for name, value in {low_name: low, high_name: high}.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}: pass a plain number")
    if not 0 <= low <= 1:
        raise ValueError(f"{low_name}={low}: choose one in [0, 1], since no ratio is below 0")
    if not 0 <= high < math.inf:
        raise ValueError(
            f"{high_name}={high}: choose a finite offset of at least 0; the ratio is kept below "
            f"1 + {high_name}"
        )
    return 1 - float(low), 1 + float(high)


def _checked_dual(dual_clip: float | None) -> float:
    if dual_clip is None:
        return math.inf
    if not isinstance(dual_clip, Real) or isinstance(dual_clip, bool):
        raise TypeError(f"dual_clip is {dual_clip!r}: pass a plain number, or None for no bound")
    if not dual_clip > 1:
        raise ValueError(f"dual_clip={dual_clip}: choose one above 1, the on-policy ratio")
    return float(dual_clip)
