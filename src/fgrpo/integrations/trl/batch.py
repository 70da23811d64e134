"""One generation batch: the weight of every rollout, and what is logged about its groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.advantage import focal_weight, success_rate
from fgrpo.integrations.groups import JudgedGroups

if TYPE_CHECKING:
    from torch import Tensor

    from fgrpo.integrations.trl.settings import FocalSettings


@dataclass(frozen=True)
class FocalBatch(JudgedGroups):
    """The focal weights of a generation batch, of all processes, and its groups.

    Parameters
    ----------
    settings, success_rates, equal, group_size
        As for `JudgedGroups`, groups of one size.
    weights
        (n_rollouts,) weight of each rollout.
    """

    group_size: int
    weights: Tensor

    @classmethod
    def of(cls, rewards: Tensor, group_size: int, settings: FocalSettings) -> FocalBatch:
        """Weigh the groups of a batch.

        Parameters
        ----------
        rewards
            (n_rollouts, n_functions) the rewards that tell a correct completion, gathered from
            all processes, groups side by side. A rollout is judged by the first that is not NaN;
            without one it is left out.
        group_size
            N.
        settings
            γ and the threshold.
        """
        judged = rewards[:, 0]
        for other in rewards.unbind(1)[1:]:
            judged = judged.where(~judged.isnan(), other)
        # As 1 and 0: an infinite reward is right or wrong like any other.
        correct = (judged >= judged.new_tensor(settings.threshold)).to(judged.dtype)
        correct = correct.masked_fill(judged.isnan(), math.nan)
        rates = success_rate(correct, group_size)
        scorable = ~judged.isnan().view(-1, group_size).all(dim=1)
        known = rates.view(-1, group_size)[:, 0][scorable]
        groups = judged.view(-1, group_size)[scorable]
        lowest = groups.nan_to_num(math.inf, math.inf, -math.inf).amin(1)
        highest = groups.nan_to_num(-math.inf, math.inf, -math.inf).amax(1)
        return cls(
            settings=settings,
            weights=focal_weight(rates, settings.gamma),
            success_rates=known.cpu().double().numpy(),  # not every accelerator has float64
            equal=(lowest == highest).cpu().numpy(),
            group_size=group_size,
        )

    def metrics(self) -> dict[str, float]:
        """Return what is logged.

        Returns
        -------
        dict
            ``focal/groups_unscored``, the share of groups in which nothing could be scored, which
            keep weight 1; and `JudgedGroups.metrics` of the others.
        """
        unscored = 1 - len(self.success_rates) * self.group_size / len(self.weights)
        return {"focal/groups_unscored": unscored, **super().metrics()}
