"""The groups of a generation batch: what is logged about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.advantage import focal_weight
from fgrpo.theory import tail_miss_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.integrations.settings import WeightSettings


@dataclass(frozen=True)
class JudgedGroups:
    """The groups of a generation batch in which something could be scored, on the host.

    Parameters
    ----------
    settings
        With which they were weighed.
    success_rates
        (n_groups,) in [0, 1].
    equal
        (n_groups,) whether all scored completions of the group have the same reward.
    group_size
        N, or (n_groups,) the size of each.
    """

    settings: WeightSettings
    success_rates: NDArray[np.float64]
    equal: NDArray[np.bool_]
    group_size: int | NDArray[np.intp]

    def metrics(self) -> dict[str, float]:
        """Return what is logged.

        Returns
        -------
        dict
            Empty without groups. ``focal/weight_mean``, the mean weight;
            ``focal/groups_solved_all``, ``_none``, ``_mixed``, shares that sum to 1;
            ``focal/success_rate_mean``; and ``focal/tail_miss_risk``, the mean of lemma 3.1's
            ``(1−τ)^N − (μ−τ)^N − (1−μ)^N`` with each group's own
            success rate as ``μ`` and ``τ = ρμ``.

        Notes
        -----
        F-GRPO (arXiv 2602.06717), lemma 3.1 and eqs. 11-13. The risk puts an estimate in the
        place of μ: a group of N can show no success rate between 0 and 1/N.
        """
        rates, settings = self.success_rates, self.settings
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
