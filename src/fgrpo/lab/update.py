"""One policy update from a batch of rollouts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from fgrpo.errors import RunError
from fgrpo.lab.gradient import accumulate
from fgrpo.lab.packing import (
    MicroBatch,
    Responses,
    distinct_responses,
    response_logprobs,
    split,
)
from fgrpo.lab.sampling import Rollouts, autocast
from fgrpo.objective import PolicyLoss, cispo_loss, dapo_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from fgrpo.lab.model import Decoder
    from fgrpo.lab.settings import OptimizerSettings, TrainSettings

# Of each method. GRPO and DAPO differ in their bounds alone.
LOSSES: Final[dict[str, Callable[..., PolicyLoss]]] = {
    "grpo": dapo_loss,
    "dapo": dapo_loss,
    "cispo": cispo_loss,
}


def make_optimizer(model: Decoder, settings: OptimizerSettings) -> torch.optim.AdamW:
    """AdamW with the settings' rate and decay; one kernel for all parameters on a GPU."""
    parameters = list(model.parameters())
    return torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=parameters[0].is_cuda or None,
    )


def apply_gradient(
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    settings: OptimizerSettings,
    update: int,
    updates: int,
) -> float:
    """Clip the gradient and take update ``update`` (from 0) of ``updates``.

    The rate rises linearly over the warm-up; with the linear schedule it falls to 0 at the end.

    Returns
    -------
    float
        The gradient's norm before clipping.

    Raises
    ------
    RunError
        If the gradient is not finite; nothing is changed then.
    """
    factor = min(1.0, (update + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    if settings.schedule == "linear":
        factor *= 1 - update / updates
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * factor
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm))
    if not math.isfinite(norm):
        raise RunError(
            f"update {update}: the gradient's norm is {norm}; lower learning_rate "
            f"({settings.learning_rate}) or raise warmup_steps ({settings.warmup_steps})"
        )
    optimizer.step()
    return norm


def policy_update(
    model: Decoder,
    optimizer: torch.optim.Optimizer,
    rollouts: Rollouts,
    advantages: Tensor,
    settings: TrainSettings,
    *,
    step: int,
    generator: torch.Generator,
    precision: str = "fp32",
) -> dict[str, float]:
    """Update the policy from one batch: ``epochs × minibatches`` gradient steps.

    Parameters
    ----------
    model, optimizer
        Changed in place.
    rollouts
        Of G groups of N.
    advantages
        (G, N).
    settings
        Method, bounds, aggregation, mini- and micro-batches.
    step
        Number of this batch, from 0; the warm-up counts gradient steps.
    generator
        CPU generator that deals groups to minibatches.
    precision
        ``"fp32"`` or ``"bf16"``.

    Returns
    -------
    dict
        ``loss``, ``grad_norm``, ``clip_fraction_low``, ``clip_fraction_high``: means over the
        gradient steps (clip fractions over the tokens of groups that carry a gradient).
    """
    groups = len(rollouts.prompts)
    per_batch = settings.epochs * settings.minibatches
    totals: dict[str, list[float]] = {}
    for epoch in range(settings.epochs):
        order = torch.arange(groups)
        if settings.minibatches > 1:
            order = torch.randperm(groups, generator=generator)
        parts = order.to(advantages.device).tensor_split(settings.minibatches)
        for i, part in enumerate(parts):
            update = step * per_batch + epoch * settings.minibatches + i
            chosen = Rollouts(*(field[part] for field in rollouts))
            figures = _accumulate(model, chosen, advantages[part], settings, precision)
            figures["grad_norm"] = apply_gradient(
                model, optimizer, settings, update, settings.steps * per_batch
            )
            for name, value in figures.items():
                totals.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in totals.items()}


def _accumulate(
    model: Decoder,
    rollouts: Rollouts,
    advantages: Tensor,
    settings: TrainSettings,
    precision: str,
) -> dict[str, float]:
    """Set the gradient of one minibatch's loss, micro-batch by micro-batch."""
    responses = distinct_responses(rollouts, advantages)
    # Groups without advantage are skipped, but their tokens count in the mean.
    if settings.aggregate == "token_mean":
        normalizer = float(rollouts.lengths.sum())
    else:
        normalizer = float(rollouts.lengths.numel())
    total_weight = responses.mask.sum()
    device = rollouts.prompts.device

    def loss_of(part: MicroBatch) -> tuple[Tensor, Tensor]:
        with autocast(device, precision):
            logprobs = response_logprobs(model, rollouts.prompts, part, settings.temperature)
        result = _loss(logprobs, part.responses, settings, normalizer)
        share = part.responses.mask.sum() / total_weight
        clipped = torch.stack([result.clip_fraction_low, result.clip_fraction_high]) * share
        return result.loss, torch.cat([result.loss.detach()[None], clipped])

    parts = split(responses, rollouts.prompts.shape[1], settings.micro_batch_tokens)
    sums = accumulate(model, loss_of, parts)
    loss, low, high = (0.0, 0.0, 0.0) if sums is None else sums.tolist()
    return {"loss": loss, "clip_fraction_low": low, "clip_fraction_high": high}


def _loss(
    logprobs: Tensor, responses: Responses, settings: TrainSettings, normalizer: float
) -> PolicyLoss:
    low, high = settings.clip_bounds
    arguments: tuple[Tensor, ...] = (
        logprobs,
        responses.old_logprobs,
        responses.advantage,
        responses.mask,
    )
    options: dict[str, Any] = {"aggregate": settings.aggregate, "normalizer": normalizer}
    return LOSSES[settings.method](*arguments, clip_low=low, clip_high=high, **options)
