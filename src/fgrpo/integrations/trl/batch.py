"""One generation batch: the weight of every rollout, and what is logged about its groups."""

from __future__ import annotations

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
    weights
        (n_rollouts,) weight of each rollout.
    success_rates
        One for each group with a reward that could be scored, on the host.
    group_size
        N.
    """

    weights: Tensor
    success_rates: NDArray[np.float64]
    group_size: int

    @classmethod
    def of(cls, rewards: Tensor, group_size: int, settings: FocalSettings) -> FocalBatch:
        """Weigh the groups of a batch.

        Parameters
        ----------
        rewards
            (n_rollouts,) the reward that means "correct", gathered from all processes, groups
            side by side; NaN where a completion could not be scored.
        group_size
            N.
        settings
            γ and the threshold.
        """
        rates = success_rate(rewards, group_size, threshold=settings.threshold)
        scorable = ~rewards.isnan().view(-1, group_size).all(dim=1)
        known = rates.view(-1, group_size)[:, 0][scorable]
        return cls(
            weights=focal_weight(rates, settings.gamma),
            success_rates=known.double().cpu().numpy(),
            group_size=group_size,
        )

    def metrics(self, settings: FocalSettings) -> dict[str, float]:
        r"""Return what is logged; nothing if no group could be scored.

        Returns
        -------
        dict
            Over the groups that could be scored: ``focal/weight_mean``, the mean weight;
            ``focal/groups_solved_all``, ``_none``, ``_mixed``, shares that sum to 1;
            ``focal/success_rate_mean``; and ``focal/tail_miss_risk``, the mean of lemma 3.1's
            :math:`(1-\tau)^N - (\mu-\tau)^N - (1-\mu)^N` with each group's own
            :math:`\mu = \hat\mu` and :math:`\tau = \rho\hat\mu`.

        Notes
        -----
        F-GRPO (arXiv 2602.06717), lemma 3.1 and eqs. 11-13. The risk puts an estimate in the
        place of μ: a group of N can show no success rate between 0 and 1/N.
        """
        rates = self.success_rates
        if not len(rates):
            return {}
        risk = tail_miss_probability(rates, settings.tail_share * rates, self.group_size)
        return {
            "focal/weight_mean": float(np.mean(focal_weight(rates, settings.gamma))),
            "focal/groups_solved_all": float(np.mean(rates == 1)),
            "focal/groups_solved_none": float(np.mean(rates == 0)),
            "focal/groups_mixed": float(np.mean((rates > 0) & (rates < 1))),
            "focal/success_rate_mean": float(np.mean(rates)),
            "focal/tail_miss_risk": float(np.mean(risk)),
        }
