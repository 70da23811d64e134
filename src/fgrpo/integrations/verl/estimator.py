"""The advantage estimator ``f_grpo``: verl's GRPO advantages times the focal weight."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from fgrpo.advantage import focal_weight, success_rate
from fgrpo.groups import Grouping
from fgrpo.integrations.groups import JudgedGroups
from fgrpo.integrations.health import Health, Names
from fgrpo.integrations.verl.rollouts import Rollouts
from fgrpo.integrations.verl.settings import FocalSettings, run_setting
from fgrpo.integrations.verl.step import current_step
from fgrpo.integrations.verl.version import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_LOG = logging.getLogger(__name__)
_NAMES = Names("data.max_response_length", "actor_rollout_ref.rollout.n", "focal_success")


@register_adv_est("f_grpo")  # type: ignore[untyped-decorator]
def f_grpo(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any] | NDArray[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    epsilon: float = 1e-6,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return :math:`(1-\hat\mu)^\gamma` times verl's GRPO advantages.

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
        groups = _judged(rollouts, rates, settings)
        _warn(rollouts, groups, config)
        if (step := current_step()) is not None:
            step.metrics.update(groups.metrics())
            before = float((rollouts.per_row(plain).abs() * rollouts.lengths).sum())
            if before > 0:
                after = float((weighted.abs() * rollouts.lengths).sum())
                step.metrics["focal/update_scale"] = after / before
        advantages = weighted.unsqueeze(-1) * response_mask
        return advantages, advantages


def _judged(rollouts: Rollouts, rates: torch.Tensor, settings: FocalSettings) -> JudgedGroups:
    grouping = Grouping.of(rollouts.groups, rollouts.rewards)
    equal = grouping.min(rollouts.rewards) == grouping.max(rollouts.rewards)
    trained = (rollouts.lengths[rollouts.rows] > 0).to(rates.dtype)
    real = grouping.max(trained).cpu().numpy() > 0  # verl's padding has no token to train on
    first = np.unique(rollouts.groups, return_index=True)[1]
    first = first[real[first]]
    return JudgedGroups(
        settings=settings,
        success_rates=rates.cpu().double().numpy()[first],
        equal=equal.cpu().numpy()[first],
        group_size=rollouts.sizes[rollouts.groups[first]],
    )


def _warn(rollouts: Rollouts, groups: JudgedGroups, config: Mapping[str, Any] | None) -> None:
    single = int(np.sum(groups.group_size == 1))
    if single:
        _warn_of_single(single, len(groups.success_rates))
    limit = run_setting(config, "data.max_response_length")
    lengths = rollouts.lengths[rollouts.lengths > 0]
    cut = float((lengths >= limit).float().mean()) if limit and len(lengths) else None
    _health(limit).add(groups, cut)


@cache  # one for a process, as there is one run in it
def _health(limit: int | None) -> Health:
    return Health(_NAMES, limit)


_told: set[str] = set()


def _warn_of_single(single: int, groups: int) -> None:
    if "single" not in _told:
        _told.add("single")
        _LOG.warning(
            "%d of %d prompts have a single rollout: nothing to compare it with, so its advantage "
            "is 0 (verl's grpo takes the raw reward); is actor_rollout_ref.rollout.n 1, or uid not "
            "the prompt's?",
            *(single, groups),
        )
