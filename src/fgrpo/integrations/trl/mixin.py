"""The focal weight for TRL's GRPOTrainer and its subclasses, by two of its methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.errors import UsageError
from fgrpo.integrations.health import Health, Names
from fgrpo.integrations.trl.batch import FocalBatch
from fgrpo.integrations.trl.histogram import log_histogram
from fgrpo.integrations.trl.settings import FocalSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

SUPPORTED_TRL = "0.29 to 1.16"
_NAMES = Names("max_completion_length", "num_generations", "focal_reward")
_METHODS = ("_calculate_rewards", "_generate_and_score_completions")


class FocalAdvantages:
    """Mixin: multiplies the advantages of a GRPOTrainer by ``(1 − success rate)^γ``.

    Put it before the trainer::

        class MyTrainer(FocalAdvantages, UnslothGRPOTrainer):
            focal_gamma = 0.5

    Every rollout of a group gets the weight of its group, computed from the rewards that TRL
    gathers from all processes, in training and in evaluation. Rewards, clipping and the loss stay
    TRL's own. A completion whose deciding reward is None or NaN is left out of its group's success
    rate.

    Attributes
    ----------
    focal_gamma, focal_reward, focal_threshold, focal_tail_share
        Settings (see `fgrpo.integrations.trl.FocalGRPOConfig`) for arguments that have no fields
        of these names; fields of the trainer's arguments come first.

    Raises
    ------
    TypeError
        At the definition of a class, if the trainer has not both of the methods relied on.
    RuntimeError
        In training, if they no longer do what is relied on.

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eqs. 11-13. Relied on: ``_calculate_rewards`` returns the rewards
    of all processes as (n_rollouts, n_functions), groups side by side in the order of processes;
    ``_generate_and_score_completions`` calls it and returns this process's ``advantages``, (B,)
    or (B, T), of the same rollouts in the same order. A trainer that puts others in their place,
    such as one with a replay buffer, gets wrong weights.
    """

    focal_gamma: float = FocalSettings.gamma
    focal_reward: str | int | Sequence[str | int] | None = FocalSettings.reward
    focal_threshold: float = FocalSettings.threshold
    focal_tail_share: float = FocalSettings.tail_share

    # The trainer's own, for the type checker.
    args: Any
    accelerator: Any
    callback_handler: Any
    model: Any
    num_generations: int
    reward_func_names: list[str]
    state: Any
    _calculate_rewards: Callable[..., Tensor]
    _log_completion_extra: Callable[..., None]
    _metrics: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rest = cls.__mro__[cls.__mro__.index(FocalAdvantages) + 1 :]
        missing = [name for name in _METHODS if not any(name in vars(base) for base in rest)]
        if missing:
            raise TypeError(
                f"{cls.__name__}: no class after FocalAdvantages has {' and '.join(missing)}, on "
                "which the focal weight relies; write class X(FocalAdvantages, GRPOTrainer), with "
                f"a TRL that fgrpo supports ({SUPPORTED_TRL})"
            )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        FocalSettings.of(self.args, self).columns(self.reward_func_names)
        self._focal_batch: FocalBatch | None = None
        self._focal_rates: dict[str, list[NDArray[np.float64]]] = {"train": [], "eval": []}
        self._focal_health = Health(_NAMES, getattr(self.args, "max_completion_length", None))

    def _generate_and_score_completions(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        # Not overridden but wrapped: the rewards are those that count in the end, whatever a
        # subclass, or a method set on this trainer alone, makes of them.
        calculate = self._calculate_rewards
        of_its_own = "_calculate_rewards" in vars(self)

        def calculate_and_weigh(*args: Any, **kwargs: Any) -> Tensor:
            return self._focal_weigh(calculate(*args, **kwargs))

        self._focal_batch = None
        self._calculate_rewards = calculate_and_weigh
        try:
            output: dict[str, Any] = super()._generate_and_score_completions(  # type: ignore[misc]
                *args, **kwargs
            )
        finally:
            if of_its_own:
                self._calculate_rewards = calculate
            else:
                del self._calculate_rewards
        batch, advantages = self._focal_batch, output.get("advantages")
        if batch is None or advantages is None:
            what = "call _calculate_rewards" if batch is None else "return advantages"
            raise RuntimeError(f"_generate_and_score_completions did not {what}: {_UNSUPPORTED}")
        local, processes = len(advantages), self.accelerator.num_processes
        if local * processes != len(batch.weights):
            raise RuntimeError(
                f"{len(batch.weights)} rewards for {local} advantages on each of {processes} "
                f"processes: {_UNSUPPORTED}"
            )
        weights = self._focal_local(batch.weights, local).to(advantages.dtype)
        weighted = advantages * weights.view(-1, *[1] * (advantages.ndim - 1))
        output["advantages"] = weighted
        self._focal_log(batch, advantages, weighted)
        return output

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as the trainer does, and the success rates since the last time as a histogram."""
        mode = self._focal_mode()
        super().log(logs, *args, **kwargs)  # type: ignore[misc]
        if (rates := self._focal_rates[mode]) and self.accelerator.is_main_process:
            log_histogram(
                f"{mode}/focal/success_rate",
                np.concatenate(rates),
                self.state.global_step,
                self.args.report_to,
                self.callback_handler.callbacks,
            )
        rates.clear()

    def _focal_weigh(self, rewards: Tensor) -> Tensor:
        """Take note of the weights that belong to the gathered rewards, and return these."""
        size = self._focal_group_size()
        settings = FocalSettings.of(self.args, self)  # every time: a callback may change γ
        columns = settings.columns(self.reward_func_names)
        if self._focal_mode() == "eval" and rewards.ndim == 2 and len(rewards) % size:
            raise UsageError(
                f"an evaluation batch of {len(rewards)} completions holds no whole groups of "
                f"{size}: change per_device_eval_batch_size or num_generations_eval"
            )
        if rewards.ndim != 2 or len(rewards) % size or rewards.shape[1] <= max(columns):
            raise RuntimeError(
                f"_calculate_rewards returned rewards of shape {tuple(rewards.shape)}, not (whole "
                f"groups of {size}, {len(self.reward_func_names)} functions): {_UNSUPPORTED}"
            )
        batch = FocalBatch.of(rewards[:, columns], size, settings)
        self._focal_batch = batch
        if getattr(self, "log_completions", False) and hasattr(self, "_log_completion_extra"):
            local = len(rewards) // self.accelerator.num_processes
            weights = self._focal_local(batch.weights, local)
            self._log_completion_extra("focal_weight", weights.tolist())
        return rewards

    def _focal_log(self, batch: FocalBatch, advantages: Tensor, weighted: Tensor) -> None:
        mode = self._focal_mode()
        logged = self._metrics[mode]
        metrics = batch.metrics()
        sums = weighted.new_tensor([0.0, 0.0])
        sums[0], sums[1] = weighted.abs().sum(), advantages.abs().sum()
        after, before = self.accelerator.reduce(sums, reduction="sum").tolist()
        if before > 0:
            metrics["focal/update_scale"] = after / before
        for name, value in metrics.items():
            logged[name].append(value)
        self._focal_rates[mode].append(batch.success_rates)
        if mode == "train" and self.accelerator.is_main_process:
            truncated = logged.get("completions/clipped_ratio")
            self._focal_health.add(batch, truncated[-1] if truncated else None)

    def _focal_local(self, values: Tensor, count: int) -> Tensor:
        """Return this process's part of the values of all."""
        start = self.accelerator.process_index * count
        return values[start : start + count]

    def _focal_group_size(self) -> int:
        if self._focal_mode() == "train":
            return self.num_generations
        return getattr(self, "num_generations_eval", self.num_generations)

    def _focal_mode(self) -> str:
        return "train" if self.model.training else "eval"


_UNSUPPORTED = (
    "this version of TRL (or this trainer) no longer does what the focal weight relies on; use "
    f"TRL {SUPPORTED_TRL}, or multiply the advantages by fgrpo.focal_weight in the trainer"
)
