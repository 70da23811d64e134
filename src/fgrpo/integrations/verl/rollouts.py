"""A batch's rollouts, one row each, and their groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage

from fgrpo.errors import RunError, UsageError
from fgrpo.integrations.verl.settings import run_setting
from fgrpo.integrations.verl.step import FOCAL_TRAINER, current_step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fgrpo.integrations.verl.settings import FocalSettings


@dataclass(frozen=True)
class Rollouts:
    """The rollouts of a batch: one row for each, the last output of its agent loop.

    verl trains on every output of an agent loop and gives each the reward of the last, so a
    session with many outputs would count as often in its group. verl's ``grpo`` therefore compares
    the last outputs and hands their advantages to the others; so does this.

    Parameters
    ----------
    rows
        (n_rollouts,) the batch's row of each rollout.
    rollout_of
        (n_rows,) which rollout each row of the batch belongs to.
    rewards
        (n_rollouts,) sums of their token rewards.
    token_level_rewards
        (n_rows, response_length), of the whole batch.
    lengths
        (n_rows,) numbers of tokens to train on.
    groups
        (n_rollouts,) number of each rollout's group, from 0.
    sizes
        (n_groups,).
    real
        (n_groups,) whether there is a token to train on: there is none in what verl pads with.
    """

    rows: NDArray[np.intp]
    rollout_of: NDArray[np.intp]
    rewards: torch.Tensor
    token_level_rewards: torch.Tensor
    lengths: torch.Tensor
    groups: NDArray[np.intp]
    sizes: NDArray[np.intp]
    real: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Sequence[Any] | NDArray[Any] | None,
        config: Mapping[str, Any] | None,
    ) -> Rollouts:
        """Find the rollouts and groups of a batch.

        Parameters
        ----------
        token_level_rewards, response_mask
            (n_rows, response_length).
        index
            (n_rows,) the prompt's uid of each row.
        config
            verl's ``config.algorithm``.

        Raises
        ------
        UsageError
            Without uids; with agent loops of several outputs in a trainer that does not tell them
            apart.
        RunError
            If a reward is not finite.
        """
        if index is None:
            raise UsageError("the batch has no uid, which tells the rows that share a prompt")
        uids = np.asarray(index).astype(str)
        step = current_step()
        rows, rollout_of = _sessions(step.keys) if step else (np.arange(len(uids)),) * 2
        names, groups, sizes = np.unique(uids[rows], return_inverse=True, return_counts=True)
        lengths = response_mask.sum(-1)
        real = np.bincount(groups, weights=(lengths[rows] > 0).cpu().numpy()) > 0
        if step is None:
            # verl's padding is one uid's, of as many rows as it takes.
            _refuse_several_outputs(names, np.where(real, sizes, 0), config)
        rewards = token_level_rewards.sum(-1)[rows]
        broken = ~rewards.isfinite()
        if broken.any():
            at = int(broken.nonzero()[0])
            raise RunError(
                f"a rollout of prompt {names[groups[at]]} has the reward {float(rewards[at])}: its "
                "whole group would train on NaN; return a finite number from the reward function"
            )
        return cls(
            rows=rows,
            rollout_of=rollout_of,
            rewards=rewards,
            token_level_rewards=token_level_rewards,
            lengths=lengths,
            groups=groups,
            sizes=sizes,
            real=real,
        )

    def advantages(self, config: Mapping[str, Any] | None, epsilon: float) -> torch.Tensor:
        """Return verl's own GRPO advantage of each rollout; that of a single one is 0.

        verl makes the raw reward of a prompt's only rollout its advantage.
        """
        advantages, _ = compute_grpo_outcome_advantage(
            token_level_rewards=self.rewards.unsqueeze(-1),
            response_mask=torch.ones_like(self.rewards.unsqueeze(-1)),
            index=self.groups,
            epsilon=epsilon,
            norm_adv_by_std_in_grpo=bool((config or {}).get("norm_adv_by_std_in_grpo", True)),
        )
        single = torch.as_tensor(self.sizes[self.groups] == 1, device=advantages.device)
        plain: torch.Tensor = advantages.squeeze(-1).masked_fill(single, 0.0)
        return plain

    def correct(self, settings: FocalSettings) -> torch.Tensor:
        """Return (n_rollouts,) booleans.

        Raises
        ------
        UsageError
            If the settings name a value beside the score, in a trainer that does not tell it.
        """
        if settings.by_name:
            step = current_step()
            if step is None:
                raise UsageError(
                    f"focal_success={settings.success}: only a focal_* trainer can read that; "
                    f"choose sum or max_token_reward, or set {FOCAL_TRAINER}"
                )
            values = torch.tensor(step.reward_values(settings.success))[self.rows]
        elif settings.success == "sum":
            values = self.rewards
        else:
            values = self.token_level_rewards.amax(-1)[self.rows]
        right: torch.Tensor = values >= values.new_tensor(settings.threshold)
        return right

    def per_row(self, values: torch.Tensor) -> torch.Tensor:
        """Return (n_rows,) the value of each row's rollout.

        As in verl's ``grpo``, 0 where the rollout's last output has no token to train on.
        """
        return values.masked_fill(self.lengths[self.rows] == 0, 0.0)[self.rollout_of]


def _sessions(keys: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row of each session's last output, and the session of each row.

    Sessions are numbered as they come, which is verl's order too: a mean's last bit depends on it.
    """
    parts = [key.rsplit("_", 2) for key in keys]
    number: dict[tuple[str, ...], int] = {}
    session = np.array([number.setdefault(tuple(part[:2]), len(number)) for part in parts])
    outputs = np.array([int(part[2]) for part in parts])
    order = np.lexsort((outputs, session))
    last = np.searchsorted(session[order], np.arange(len(number)), side="right") - 1
    return order[last], session


def _refuse_several_outputs(
    names: NDArray[Any], sizes: NDArray[np.intp], config: Mapping[str, Any] | None
) -> None:
    expected = run_setting(config, "actor_rollout_ref.rollout.n")
    if expected is not None and sizes.max() > expected:
        at = int(sizes.argmax())
        raise UsageError(
            f"prompt {names[at]} has {sizes[at]} rows for actor_rollout_ref.rollout.n={expected}: "
            "more rollouts than that, or several outputs of an agent loop, which would each count "
            "in their group; verl does not tell an estimator which rows are one rollout, a focal_* "
            f"trainer does: set {FOCAL_TRAINER}"
        )
