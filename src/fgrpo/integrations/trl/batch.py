"""One generation batch: the weight of every rollout, and what is logged about its groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.advantage import focal_weight, success_rate
from fgrpo.theory import tail_miss_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from fgrpo.integrations.trl.settings import FocalSettings


@dataclass(frozen=True)
class FocalBatch:
    """The focal weights of a generation batch, of all processes.

    Parameters
    ----------
    settings
        With which they were computed.
    weights
        (n_rollouts,) weight of each rollout.
    success_rates
        One for each group with a reward that could be scored, on the host.
    equal
        Whether all scored completions of such a group have the same reward.
    group_size
        N.
    """

    settings: FocalSettings
    weights: Tensor
    success_rates: NDArray[np.float64]
    equal: NDArray[np.bool_]
    group_size: int

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
        r"""Return what is logged.

        Returns
        -------
        dict
            ``focal/groups_unscored``, the share of groups in which nothing could be scored, which
            keep weight 1. Over the others, if any: ``focal/weight_mean``, the mean weight;
            ``focal/groups_solved_all``, ``_none``, ``_mixed``, shares that sum to 1;
            ``focal/success_rate_mean``; and ``focal/tail_miss_risk``, the mean of lemma 3.1's
            :math:`(1-\tau)^N - (\mu-\tau)^N - (1-\mu)^N` with each group's own
            :math:`\mu = \hat\mu` and :math:`\tau = \rho\hat\mu`.

        Notes
        -----
        F-GRPO (arXiv 2602.06717), lemma 3.1 and eqs. 11-13. The risk puts an estimate in the
        place of μ: a group of N can show no success rate between 0 and 1/N.
        """
        rates, settings = self.success_rates, self.settings
        unscored = 1 - len(rates) * self.group_size / len(self.weights)
        if not len(rates):
            return {"focal/groups_unscored": unscored}
        risk = tail_miss_probability(rates, settings.tail_share * rates, self.group_size)
        return {
            "focal/groups_unscored": unscored,
            "focal/weight_mean": float(np.mean(focal_weight(rates, settings.gamma))),
            "focal/groups_solved_all": float(np.mean(rates == 1)),
            "focal/groups_solved_none": float(np.mean(rates == 0)),
            "focal/groups_mixed": float(np.mean((rates > 0) & (rates < 1))),
            "focal/success_rate_mean": float(np.mean(rates)),
            "focal/tail_miss_risk": float(np.mean(risk)),
        }
