"""The three losses, a batch for them, and the token-by-token loop they are compared with."""

from __future__ import annotations

import math

import pytest
import torch

from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss

LOSSES = {"grpo": grpo_loss, "dapo": dapo_loss, "cispo": cispo_loss}
BOUNDS = {"grpo": (0.8, 1.2), "dapo": (0.8, 1.28), "cispo": (0.0, 6.0)}
AGGREGATES = ("token_mean", "sequence_mean")
every_loss = pytest.mark.parametrize("name", LOSSES)
every_aggregate = pytest.mark.parametrize("aggregate", AGGREGATES)

# Both signs of the advantage at ratios inside, between and outside all the bounds tried.
RATIOS = [0.05, 0.6, 0.79, 0.81, 1.0, 1.19, 1.25, 1.3, 5.9, 6.1]


def tensor(values, **kwargs):
    return torch.tensor(values, dtype=torch.float64, **kwargs)


def example():
    """Return log-probabilities, old ones, per-token advantages and a 0/1 mask, all (4, 6)."""
    generator = torch.Generator().manual_seed(3)
    ratio = tensor([*RATIOS, *RATIOS, 0.9, 1.1, 1.0, 1.0]).reshape(4, 6)
    sign = tensor([1.0] * 10 + [-1.0] * 10 + [1.0, -1.0, 0.0, 0.0]).reshape(4, 6)
    order = torch.randperm(24, generator=generator)
    ratio, sign = (x.reshape(-1)[order].reshape(4, 6) for x in (ratio, sign))
    log_probs = -3 * torch.rand(4, 6, generator=generator, dtype=torch.float64) - 0.1
    size = 0.5 + torch.rand(4, 6, generator=generator, dtype=torch.float64)
    mask = torch.ones(4, 6, dtype=torch.float64)
    mask[0, 4:] = 0
    mask[2, :1] = 0
    return log_probs, log_probs - ratio.log(), sign * size, mask


def loop(name, batch, bounds, aggregate="token_mean", normalizer=None, frozen=None):
    """Compute loss and clip fractions token by token; `frozen` log-probs set CISPO's ratio."""
    log_probs, old, advantages, mask = (x.tolist() for x in batch)
    frozen = log_probs if frozen is None else frozen.tolist()
    low, high = bounds
    sequences, clipped, n_tokens = [], [0.0, 0.0], 0.0
    for b, row in enumerate(mask):
        total = 0.0
        for t, weight in enumerate(row):
            if weight == 0:
                continue
            advantage = advantages[b][t]
            if name == "cispo":
                ratio = math.exp(frozen[b][t] - old[b][t])
                total += weight * min(max(ratio, low), high) * advantage * log_probs[b][t]
                below, above = ratio < low, ratio > high
            else:
                ratio = math.exp(log_probs[b][t] - old[b][t])
                plain, kept = ratio * advantage, min(max(ratio, low), high) * advantage
                total += weight * min(plain, kept)
                below, above = kept < plain and ratio < low, kept < plain and ratio > high
            clipped[0] += weight * below
            clipped[1] += weight * above
            n_tokens += weight
        sequences.append((total, sum(row), max(row)))
    if aggregate == "token_mean":
        loss = -sum(total for total, _, _ in sequences) / (normalizer or n_tokens)
    else:
        counted = [(total / length, w) for total, length, w in sequences if length]
        loss = -sum(mean * w for mean, w in counted) / (normalizer or sum(w for _, w in counted))
    return loss, clipped[0] / n_tokens, clipped[1] / n_tokens


def loss_and_gradient(function, log_probs, *rest, **options):
    log_probs = log_probs.detach().clone().requires_grad_()
    result = function(log_probs, *rest, **options)
    result.loss.backward()
    return result, log_probs.grad
