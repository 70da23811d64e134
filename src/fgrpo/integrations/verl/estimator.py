"""The advantage estimator ``f_grpo``: verl's GRPO advantages times the focal weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from fgrpo.advantage import focal_weight, success_rate
from fgrpo.integrations.verl.observe import observe
from fgrpo.integrations.verl.rollouts import Rollouts
from fgrpo.integrations.verl.settings import FocalSettings
from fgrpo.integrations.verl.step import current_step
from fgrpo.integrations.verl.version import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@register_adv_est("f_grpo")  # type: ignore[untyped-decorator]
def f_grpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any] | NDArray[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    epsilon: float = 1e-6,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``(1 − success rate)^γ`` times verl's GRPO advantages.

    Parameters
    ----------
    token_level_rewards, response_mask
        (n_rows, response_length).
    index
        (n_rows,) uid of each row's prompt: rows that share it are a group.
    config
        verl's ``config.algorithm``, with ``norm_adv_by_std_in_grpo`` and the ``focal_…`` settings
        of `FocalSettings`.
    epsilon
        Added to the standard deviation.

    Returns
    -------
    tuple of tensor
        Advantages and returns, the same (n_rows, response_length). With γ = 0 bit for bit verl's
        ``grpo``, but for groups of one rollout: 0 and a warning instead of the raw reward.

    Raises
    ------
    UsageError
        With a verl that was not tested, wrong settings, no uids, or agent loops of several outputs
        outside a ``focal_*`` trainer.
    RunError
        If a reward is not finite.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eqs. 3 and 11-13.
    """
    check_version()
    settings = FocalSettings.of(config)
    with torch.no_grad():
        rollouts = Rollouts.of(token_level_rewards, response_mask, index, config)
        plain = rollouts.advantages(config, epsilon)
        rates = success_rate(rollouts.correct(settings).to(plain.dtype), rollouts.groups)
        weighted = rollouts.per_row(plain * focal_weight(rates, settings.gamma))
        observe(rollouts, rates, settings, config)
        if (step := current_step()) is not None:
            before = float((rollouts.per_row(plain).abs() * rollouts.lengths).sum())
            if before > 0:
                after = float((weighted.abs() * rollouts.lengths).sum())
                step.metrics["focal/update_scale"] = after / before
        advantages = weighted.unsqueeze(-1) * response_mask
        return advantages, advantages
