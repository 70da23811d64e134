"""What is logged about a batch's groups, and what is warned of."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.groups import Grouping
from fgrpo.integrations.groups import JudgedGroups
from fgrpo.integrations.health import Health, Names
from fgrpo.integrations.verl.settings import run_setting
from fgrpo.integrations.verl.step import current_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from fgrpo.integrations.verl.rollouts import Rollouts
    from fgrpo.integrations.verl.settings import FocalSettings

_LOG = logging.getLogger(__name__)
_GROUP_SIZE = "actor_rollout_ref.rollout.n"
_LENGTH = "data.max_response_length"
_NAMES = Names(_LENGTH, _GROUP_SIZE, "focal_success")


def observe(
    rollouts: Rollouts,
    success_rates: torch.Tensor,
    settings: FocalSettings,
    config: Mapping[str, Any] | None,
) -> None:
    """Leave the groups' metrics to the trainer, if it is one that logs them, and warn of trouble.

    Parameters
    ----------
    rollouts
        Of the batch.
    success_rates
        (n_rollouts,) that of each one's group.
    settings
        With which they were judged and weighed.
    config
        verl's ``config.algorithm``.
    """
    groups = _judged(rollouts, success_rates, settings)
    if (step := current_step()) is not None:
        step.metrics.update(groups.metrics())
    _look_at_sizes(np.asarray(groups.group_size), run_setting(config, _GROUP_SIZE))
    limit = run_setting(config, _LENGTH)
    lengths = rollouts.lengths[rollouts.lengths > 0]
    cut = float((lengths >= limit).float().mean()) if limit and len(lengths) else None
    _health(limit).add(groups, cut)


def _judged(rollouts: Rollouts, rates: torch.Tensor, settings: FocalSettings) -> JudgedGroups:
    grouping = Grouping.of(rollouts.groups, rollouts.rewards)
    equal = grouping.min(rollouts.rewards) == grouping.max(rollouts.rewards)
    first = np.unique(rollouts.groups, return_index=True)[1][rollouts.real]
    return JudgedGroups(
        settings=settings,
        success_rates=rates.cpu().double().numpy()[first],
        equal=equal.cpu().numpy()[first],
        group_size=rollouts.sizes[rollouts.real],
    )


@cache  # one for a process, as there is one run in it
def _health(limit: int | None) -> Health:
    return Health(_NAMES, limit)


_told: set[str] = set()


def _look_at_sizes(sizes: np.ndarray[Any, Any], expected: int | None) -> None:
    single, small = int(np.sum(sizes == 1)), int(np.sum(sizes < (expected or 0)))
    if single:
        _warn_once(
            "single",
            f"{single} of {len(sizes)} prompts have a single rollout: nothing to compare it with, "
            f"so its advantage is 0 (verl's grpo takes the raw reward); is {_GROUP_SIZE} 1, or uid "
            "not the prompt's?",
        )
    if small:
        _warn_once(
            "small",
            f"{small} of {len(sizes)} prompts have fewer rollouts than {_GROUP_SIZE}={expected}, "
            f"the smallest group {sizes.min()}: the others failed, in the agent loop or in the "
            "reward function; the log says why (a package that is missing on one node?)",
        )


def _warn_once(kind: str, text: str) -> None:
    if kind not in _told:
        _told.add(kind)
        _LOG.warning(text)
