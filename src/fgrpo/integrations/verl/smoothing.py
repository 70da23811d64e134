"""Differential smoothing, a control of the paper, as an advantage estimator of verl."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from fgrpo.errors import UsageError
from fgrpo.integrations.settings import check_number
from fgrpo.integrations.verl.rollouts import Rollouts
from fgrpo.integrations.verl.settings import FocalSettings
from fgrpo.integrations.verl.step import current_step
from fgrpo.integrations.verl.version import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_LOG_PROBS = ("sum", "mean")


@register_adv_est("differential_smoothing")  # type: ignore[untyped-decorator]
def differential_smoothing(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: Sequence[Any] | NDArray[Any] | None = None,
    config: Mapping[str, Any] | None = None,
    epsilon: float = 1e-6,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Return verl's GRPO advantages, shifted by each rollout's own log-probability.

    :math:`A_i - \gamma_p \log \pi_{old}(y_i|x)` for a correct rollout and
    :math:`A_i + \gamma_n \log \pi_{old}(y_i|x)` for a wrong one, in every group, those without a
    signal too. Needs a ``focal_*`` trainer: verl hands no log-probabilities to an estimator. Of an
    agent loop with several outputs it is the last one's.

    Parameters
    ----------
    token_level_rewards, response_mask, index, epsilon
        As for `f_grpo`.
    config
        verl's ``config.algorithm`` with ``smoothing_gamma_p`` and ``smoothing_gamma_n``, at least
        0; ``smoothing_log_prob``, "sum" over the rollout's tokens (the default) or their "mean";
        and ``focal_threshold`` and ``focal_success`` for what is correct.

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
    settings = FocalSettings.of(config)
    correct_factor, wrong_factor, how = _settings(config)
    step = current_step()
    if step is None:
        raise UsageError(
            "differential_smoothing needs the log-probabilities under the sampling policy, which "
            "only a focal_* trainer hands over: set trainer.v1.trainer_mode=focal_sync "
            "(docs/verl.md)"
        )
    with torch.no_grad():
        rollouts = Rollouts.of(token_level_rewards, response_mask, index, config)
        log_probs = (step.old_log_probs() * response_mask).sum(-1)
        if how == "mean":
            log_probs = log_probs / rollouts.lengths.clamp(min=1)
        log_probs = log_probs[rollouts.rows]
        correct = rollouts.correct(settings)
        shift = torch.where(correct, -correct_factor * log_probs, wrong_factor * log_probs)
        shifted = rollouts.per_row(rollouts.advantages(config, epsilon) + shift)
        advantages = shifted.unsqueeze(-1) * response_mask
        return advantages, advantages


def _settings(config: Mapping[str, Any] | None) -> tuple[float, float, str]:
    given = config or {}
    factors = [given.get(f"smoothing_gamma_{kind}") for kind in "pn"]
    for kind, factor in zip("pn", factors, strict=True):
        name = f"+algorithm.smoothing_gamma_{kind}"
        check_number(name, factor, lambda x: 0 <= x < math.inf, "finite, at least 0")
    how = given.get("smoothing_log_prob", "sum")
    if how not in _LOG_PROBS:
        raise UsageError(f"+algorithm.smoothing_log_prob={how}: choose sum or mean")
    return float(factors[0]), float(factors[1]), how  # type: ignore[arg-type]
