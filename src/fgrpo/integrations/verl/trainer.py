"""verl's trainers, with the focal metrics in verl's logger: ``trainer.v1.trainer_mode=focal_…``."""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1 import (
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    register_trainer,
)

from fgrpo.integrations.verl.settings import check_settings
from fgrpo.integrations.verl.step import Step
from fgrpo.integrations.verl.version import check_version

_PREFIX = "focal_"


class FocalMetrics:
    """Mixin: tells the estimator which rows are one rollout, and logs what it measured.

    Settings and verl's version are checked before anything is loaded.
    """

    def __init__(self, config: Any) -> None:
        check_version()
        check_settings(config)
        # verl chooses replay buffer and settings by the mode's own name.
        mode = config.trainer.v1.trainer_mode
        config.trainer.v1.trainer_mode = mode.removeprefix(_PREFIX)
        super().__init__(config)  # type: ignore[call-arg]

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        with Step(batch.keys, batch.partition_id).running() as step:
            batch = super()._compute_advantage(batch, metrics=metrics)  # type: ignore[misc]
        metrics.update(step.metrics)
        return batch


@register_trainer(f"{_PREFIX}sync")
class FocalTrainerSync(FocalMetrics, PPOTrainerSync):  # type: ignore[misc]
    """verl's ``sync`` trainer with the focal metrics."""


@register_trainer(f"{_PREFIX}colocate_async")
class FocalTrainerColocateAsync(FocalMetrics, PPOTrainerColocateAsync):  # type: ignore[misc]
    """verl's ``colocate_async`` trainer with the focal metrics."""


@register_trainer(f"{_PREFIX}separate_async")
class FocalTrainerSeparateAsync(FocalMetrics, PPOTrainerSeparateAsync):  # type: ignore[misc]
    """verl's ``separate_async`` trainer with the focal metrics."""
