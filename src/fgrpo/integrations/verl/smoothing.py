"""Differential smoothing, a control of the paper, as an advantage estimator of verl."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from fgrpo.advantage import success_rate
from fgrpo.errors import UsageError
from fgrpo.integrations.verl.observe import observe
from fgrpo.integrations.verl.rollouts import Rollouts
from fgrpo.integrations.verl.settings import FocalSettings, SmoothingSettings
from fgrpo.integrations.verl.step import FOCAL_TRAINER, current_step
from fgrpo.integrations.verl.version import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@register_adv_est("differential_smoothing")  # type: ignore[untyped-decorator]
def differential_smoothing(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any] | NDArray[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    epsilon: float = 1e-6,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return verl's GRPO advantages, shifted by each rollout's own log-probability.

    ``A − γ_p·log π_old(y|x)`` for a correct rollout and
    ``A + γ_n·log π_old(y|x)`` for a wrong one, in every group, those without a
    signal too. Needs a ``focal_*`` trainer: verl hands no log-probabilities to an estimator. Of an
    agent loop with several outputs it is the last one's.

    Parameters
    ----------
    token_level_rewards, response_mask, index, epsilon
        As for `f_grpo`.
    config
        verl's ``config.algorithm`` with the ``smoothing_…`` settings of `SmoothingSettings`, and
        ``focal_threshold`` and ``focal_success`` for what is correct.

    Returns
    -------
    tuple of tensor
        Advantages and returns, the same (n_rows, response_length).

    Raises
    ------
    UsageError
        Outside a ``focal_*`` trainer, and for settings missing or out of range.

    Notes
    -----
    arXiv 2511.19942, eq. 6, as the F-GRPO paper's control (arXiv 2602.06717, table 3). The formula
    is known to us from a third party's restatement, which leaves open whether the log-probability
    is summed or averaged over tokens: hence the setting.
    """
    check_version()
    # Not weighed: what is logged about the groups is of success alone.
    judging = replace(FocalSettings.of(config), gamma=0.0)
    settings = SmoothingSettings.of(config)
    step = current_step()
    if step is None:
        raise UsageError(
            "differential_smoothing needs the log-probabilities under the sampling policy, which "
            f"only a focal_* trainer hands over: set {FOCAL_TRAINER}"
        )
    with torch.no_grad():
        rollouts = Rollouts.of(token_level_rewards, response_mask, index, config)
        log_probs = step.old_log_probs().masked_fill(response_mask == 0, 0.0).sum(-1)
        if settings.log_prob == "mean":
            log_probs = log_probs / rollouts.lengths.clamp(min=1)
        log_probs = log_probs[rollouts.rows]
        correct = rollouts.correct(judging)
        shift = log_probs * torch.where(correct, -settings.gamma_p, settings.gamma_n)
        observe(rollouts, success_rate(correct.float(), rollouts.groups), judging, config)
        shifted = rollouts.per_row(rollouts.advantages(config, epsilon) + shift)
        advantages = shifted.unsqueeze(-1) * response_mask
        return advantages, advantages
