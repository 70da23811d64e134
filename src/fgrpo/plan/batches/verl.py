"""The arithmetic of prompts, groups, GPUs and updates of verl's trainer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm
from typing import TYPE_CHECKING, ClassVar

from fgrpo.errors import UsageError
from fgrpo.plan.batches.batch import Batch, BatchFacts, require_positive
from fgrpo.plan.batches.nearest import divisors_beside, multiples_beside, period

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

_TRAIN = "data.train_batch_size"
_N = "actor_rollout_ref.rollout.n"
_MINI = "actor_rollout_ref.actor.ppo_mini_batch_size"
_MICRO = "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"
_LOG_PROB = "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu"
_DYNAMIC = "actor_rollout_ref.actor.use_dynamic_bsz"


@dataclass(frozen=True)
class VerlBatch(Batch):
    """How verl cuts a training into batches.

    The rules are those of verl 0.9.1's default trainer (``trainer.v1.trainer_mode=sync``) on FSDP
    without sequence parallelism: each GPU has a share of its own of every batch. Some are checked
    when it starts, the others by a worker after the first rollouts have been sampled. A group of
    one is a problem here and not for verl, which then takes the reward itself for the advantage.

    Parameters
    ----------
    train_batch
        ``data.train_batch_size``: prompts of one step.
    group_size
        N, ``actor_rollout_ref.rollout.n``: rollouts of each prompt.
    mini_batch
        ``actor_rollout_ref.actor.ppo_mini_batch_size``: prompts of one update.
    gpus_per_node
        ``trainer.n_gpus_per_node``.
    nodes
        ``trainer.nnodes``.
    micro_batch
        ``actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu``: rollouts that a GPU trains on at
        a time.
    log_prob_micro_batch
        ``actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu``: rollouts whose
        log-probabilities a GPU takes at a time.
    dynamic
        ``actor_rollout_ref.actor.use_dynamic_bsz``: sizes by tokens instead, so that verl needs
        neither of these two and does not look at them.
    epochs
        ``actor_rollout_ref.actor.ppo_epochs``: times each mini batch is used.

    Raises
    ------
    UsageError
        If one of them is not a whole number of at least 1.
    """

    train_batch: int
    group_size: int
    mini_batch: int
    gpus_per_node: int = 8
    nodes: int = 1
    micro_batch: int | None = None
    log_prob_micro_batch: int | None = None
    dynamic: bool = False
    epochs: int = 1

    # Between suggestions that are otherwise as near, the order decides.
    options: ClassVar[Mapping[str, str]] = {
        "train_batch": _TRAIN,
        "group_size": _N,
        "mini_batch": _MINI,
        "micro_batch": _MICRO,
        "log_prob_micro_batch": _LOG_PROB,
        "dynamic": _DYNAMIC,
    }

    def __post_init__(self) -> None:
        require_positive(_TRAIN, self.train_batch)
        require_positive(_N, self.group_size)
        require_positive(_MINI, self.mini_batch)
        require_positive("trainer.n_gpus_per_node", self.gpus_per_node)
        require_positive("trainer.nnodes", self.nodes)
        if self.micro_batch is not None:
            require_positive(_MICRO, self.micro_batch)
        if self.log_prob_micro_batch is not None:
            require_positive(_LOG_PROB, self.log_prob_micro_batch)
        if not isinstance(self.dynamic, bool):
            raise UsageError(f"{_DYNAMIC}={self.dynamic}: take true or false")
        require_positive("actor_rollout_ref.actor.ppo_epochs", self.epochs)

    @property
    def world_size(self) -> int:
        """GPUs of all nodes."""
        return self.gpus_per_node * self.nodes

    @property
    def rollouts(self) -> int:
        """Rollouts of one step, without padding."""
        return self.train_batch * self.group_size

    @property
    def rollouts_per_update(self) -> int:
        """Rollouts of one update, on all GPUs."""
        return self.mini_batch * self.group_size

    @property
    def mini_batches(self) -> int:
        """Mini batches of one step, the last of them filled up."""
        return -(-self.train_batch // self.mini_batch)

    @property
    def padding(self) -> int:
        """Empty rollouts that fill the mini batches of one step."""
        # PPOTrainer._balance_batch (verl/trainer/ppo/v1/trainer_base.py): to a multiple of the
        # GPUs and of the rollouts of an update, which the GPUs divide in valid settings.
        return self.mini_batches * self.rollouts_per_update - self.rollouts

    def problems(self) -> tuple[str, ...]:
        """Say why verl would refuse these settings, or stop at the first step."""
        found = []
        gpus = self.world_size
        if self.group_size < 2:
            found.append(
                f"{_N}={self.group_size}: a group needs at least 2 rollouts, or it has nothing to "
                "compare them with"
            )
        if not self.dynamic:
            # validate_config (verl/utils/config.py) and ActorConfig.validate
            # (verl/workers/config/actor.py), when verl starts.
            if self.rollouts % gpus:
                found.append(
                    f"the {self.rollouts} rollouts of a step ({_TRAIN}={self.train_batch} × "
                    f"{_N}={self.group_size}) do not divide among {self._gpus()}"
                )
            if self.train_batch < self.mini_batch:
                found.append(f"{_MINI}={self.mini_batch} is more than {_TRAIN}={self.train_batch}")
        per_gpu, rest = divmod(self.rollouts_per_update, gpus)
        if rest:
            # TrainingWorker.train_mini_batch (verl/workers/engine_workers.py), at the first update.
            found.append(
                f"the {self.rollouts_per_update} rollouts of an update ({_MINI}={self.mini_batch} "
                f"× {_N}={self.group_size}) do not divide among {self._gpus()}"
            )
        if not self.dynamic:
            found += self._micro_problems(None if rest else per_gpu)
        return tuple(found)

    def _micro_problems(self, per_gpu: int | None) -> Iterator[str]:
        """Say what is wrong with the micro batches; ``per_gpu`` rollouts of an update, if whole."""
        # ActorConfig.__post_init__, validate_config and ActorRolloutRefWorker.init_model
        # (verl/workers/engine_workers.py) want them set; prepare_micro_batches
        # (verl/workers/engine/utils.py) wants whole ones, of an update and of the padded step.
        for option, size, rollouts, of in (
            (_MICRO, self.micro_batch, per_gpu, "an update"),
            (
                _LOG_PROB,
                self.log_prob_micro_batch,
                None if per_gpu is None else per_gpu * self.mini_batches,
                "a step",
            ),
        ):
            if size is None:
                yield f"{option} is not set, and {_DYNAMIC} is false"
            elif rollouts is not None and rollouts % size:
                yield f"{option}={size} does not divide the {rollouts} rollouts of {of} on a GPU"

    def notes(self) -> tuple[str, ...]:
        """Say whether verl adds empty rollouts."""
        if not self.padding:
            return ()
        return (
            f"{_TRAIN}={self.train_batch} is no multiple of {_MINI}={self.mini_batch}: verl adds "
            f"{self.padding} empty rollouts to the {self.rollouts} of a step",
        )

    def facts(self) -> BatchFacts:
        """Return what comes of the settings, which must be valid."""
        return BatchFacts(
            group_size=self.group_size,
            prompts_per_step=self.train_batch,
            rollouts_per_step=self.rollouts,
            prompts_per_update=self.mini_batch,
            rollouts_per_update=self.rollouts_per_update,
            updates_per_step=self.mini_batches * self.epochs,
            padding=self.padding,
        )

    def neighbours(self) -> Iterator[VerlBatch]:
        """Yield settings near these, which pad only where these do, too."""
        start = replace(self, group_size=max(self.group_size, 2))
        # A batch of less than an update is rather a mistake than meant to be filled up.
        may_pad = self.padding > 0 and self.train_batch > self.mini_batch
        for near in start._unfitted():
            # As it is, and with micro batches that fit: they change nothing but speed.
            for other in (near, near._with_smaller_micro_batches()):
                if may_pad or not other.padding:
                    yield other

    def _unfitted(self) -> Iterator[Self]:
        yield self
        if None in (self.micro_batch, self.log_prob_micro_batch):
            yield replace(self, dynamic=True)
        for micro, log_prob in {
            (1, 1),
            *([] if self.dynamic else [(self.micro_batch or 1, self.log_prob_micro_batch or 1)]),
        }:
            yield from self._other_sizes(self.world_size * micro, self.world_size * log_prob)

    def _other_sizes(self, update: int, step: int) -> Iterator[Self]:
        """Yield other sizes with which these two divide the rollouts of an update and of a step."""
        padded = self.mini_batches * self.mini_batch
        sizes = lcm(period(self.mini_batch, update), period(padded, step))
        if not self.dynamic:
            sizes = lcm(sizes, period(self.train_batch, self.world_size))
        for size in multiples_beside(self.group_size, sizes, least=2):
            yield replace(self, group_size=size)

        minis, trains = period(self.group_size, update), period(self.group_size, step)
        for mini in divisors_beside(self.mini_batch, self.train_batch, minis):
            yield replace(self, mini_batch=mini)
        for train in multiples_beside(self.train_batch, lcm(self.mini_batch, trains)):
            yield replace(self, train_batch=train)
        for mini in multiples_beside(self.mini_batch, minis):
            both = multiples_beside(self.train_batch, lcm(mini, trains))
            train = min(both, key=lambda size: abs(size - self.train_batch))
            yield replace(self, mini_batch=mini, train_batch=train)

    def _with_smaller_micro_batches(self) -> Self:
        """Return the settings with the largest micro batches, at most as asked, that fit."""
        per_gpu, rest = divmod(self.rollouts_per_update, self.world_size)
        if rest or self.dynamic:
            return self
        return replace(
            self,
            micro_batch=_divisor(per_gpu, self.micro_batch),
            log_prob_micro_batch=_divisor(per_gpu * self.mini_batches, self.log_prob_micro_batch),
        )

    def _gpus(self) -> str:
        if self.nodes == 1:
            return f"{self.world_size} GPUs"
        return f"{self.world_size} GPUs ({self.nodes} nodes × {self.gpus_per_node})"


def _divisor(number: int, most: int | None) -> int:
    """Return the largest divisor of ``number`` up to ``most``, or 1 if that is not set."""
    return next(d for d in range(min(most or 1, number), 0, -1) if number % d == 0)
