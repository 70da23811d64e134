"""What is measured at every training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from fgrpo.advantage import focal_weight, success_rate

if TYPE_CHECKING:
    from torch import Tensor

    from fgrpo.lab.sampling import Rollouts


def rollout_metrics(rollouts: Rollouts, rewards: Tensor, gamma: float) -> dict[str, Any]:
    """Describe a batch of G groups of N rollouts.

    Parameters
    ----------
    rollouts
        The batch.
    rewards
        (G, N), 0 or 1.
    gamma
        Focal exponent.

    Returns
    -------
    dict
        ``reward``: mean; ``groups_solved_all``, ``groups_solved_none``, ``groups_mixed``: shares
        of groups; ``success_histogram``: number of groups with 0, 1 … N correct;
        ``focal_weight``: mean over groups; ``entropy``: nats per token; ``length``,
        ``length_max``: tokens; ``truncated``: share of rollouts.
    """
    groups, size = rewards.shape
    rates = success_rate(rewards.flatten(), size).view(groups, size)[:, 0]
    histogram = torch.bincount((rates * size).round().long(), minlength=size + 1)
    solved_all, solved_none = int(histogram[size]), int(histogram[0])
    return {
        "reward": float(rewards.float().mean()),
        "groups_solved_all": solved_all / groups,
        "groups_solved_none": solved_none / groups,
        "groups_mixed": (groups - solved_all - solved_none) / groups,
        "success_histogram": histogram.tolist(),
        "focal_weight": float(focal_weight(rates, gamma).mean()),
        "entropy": float(rollouts.entropies.sum() / rollouts.lengths.sum()),
        "length": float(rollouts.lengths.float().mean()),
        "length_max": int(rollouts.lengths.max()),
        "truncated": float(rollouts.truncated.float().mean()),
    }
