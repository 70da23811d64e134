"""Verdicts on batches against verl's own: its checks at the start, its trainer, its workers."""

from dataclasses import astuple
from functools import cache
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo import padding_utils
from verl.trainer.ppo.v1 import PPOTrainerSync
from verl.utils import tensordict_utils
from verl.utils.config import validate_config
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.engine_workers import TrainingWorker
from verl_config import composed

from fgrpo.plan.batches import VerlBatch, check


@cache
def shared():
    """One configuration for all batches: copying it would take longer than verl's checks."""
    return composed("algorithm.adv_estimator=grpo")


def config_of(batch):
    """What a run with these settings is started with; every one of them is set anew."""
    config = shared()
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    config.data.train_batch_size = batch.train_batch
    rollout.n = batch.group_size
    actor.ppo_mini_batch_size = batch.mini_batch
    config.trainer.n_gpus_per_node = batch.gpus_per_node
    config.trainer.nnodes = batch.nodes
    actor.ppo_micro_batch_size_per_gpu = batch.micro_batch
    rollout.log_prob_micro_batch_size_per_gpu = batch.log_prob_micro_batch
    actor.use_dynamic_bsz = batch.dynamic
    actor.ppo_epochs = batch.epochs
    return config


@pytest.fixture(autouse=True)
def _a_queue_that_forgets(monkeypatch):
    """Padding is made from a row of the transfer queue, and put there."""
    rows = SimpleNamespace(
        kv_batch_get=lambda **_: [{"responses": torch.zeros(1)}], kv_batch_put=lambda **_: None
    )
    monkeypatch.setattr(padding_utils, "tq", rows)


def padded(config, rollouts, gpus):
    """Return the rollouts of a step as verl's trainer hands them to its workers."""
    batch = KVBatchMeta(
        keys=[str(i) for i in range(rollouts)],
        tags=[{"seq_len": 128} for _ in range(rollouts)],
        partition_id="train",
    )
    trainer = SimpleNamespace(
        config=config,
        use_critic=False,
        global_steps=1,
        tokenizer=SimpleNamespace(eos_token_id=0),
        actor_rollout_wg=SimpleNamespace(_dispatch_info={"actor": list(range(gpus))}),
    )
    trainer._get_required_batch_multiple = lambda dp_size: (
        PPOTrainerSync._get_required_batch_multiple(trainer, dp_size)
    )
    return len(PPOTrainerSync._balance_batch(trainer, batch, metrics={}))


class Worker:
    """A worker of verl on one of so many GPUs, whose engine only cuts micro batches."""

    profiler = SimpleNamespace(step=lambda: None)

    def __init__(self, config, gpus):
        self.actor = config.actor_rollout_ref.actor
        self.updates = []  # rollouts of each
        self.engine = SimpleNamespace(
            get_data_parallel_size=lambda: gpus,
            get_data_parallel_rank=lambda: 0,
            is_mp_src_rank_with_outputs=lambda: False,
            train_mode=lambda **_: torch.no_grad(),
        )

    def train_batch(self, data):
        self.updates.append(len(data))
        self.cut(data, self.actor.ppo_micro_batch_size_per_gpu)

    def cut(self, data, size):
        if self.actor.use_dynamic_bsz:  # by tokens, so with any number of rollouts
            return
        tensordict_utils.assign_non_tensor(
            data, use_dynamic_bsz=False, micro_batch_size_per_gpu=size
        )
        micro, _ = prepare_micro_batches(data)
        assert {len(each) for each in micro} == {size}


def of_rollouts(number):
    return TensorDict({"responses": torch.zeros(number, 1)}, batch_size=number)


def run(batch):
    """Return rollouts with padding and rollouts of each update; raise where verl does."""
    config, gpus = config_of(batch), batch.gpus_per_node * batch.nodes
    validate_config(config, use_reference_policy=False, use_critic=False)
    rollouts = padded(config, batch.train_batch * batch.group_size, gpus)
    local = rollouts // gpus
    assert local * gpus == rollouts
    worker = Worker(config, gpus)
    worker.cut(
        of_rollouts(local), config.actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu
    )
    data, actor = of_rollouts(local), config.actor_rollout_ref.actor
    # As PPOTrainer._update_actor says it.
    tensordict_utils.assign_non_tensor(
        data, mini_batch_size=actor.ppo_mini_batch_size * batch.group_size, epochs=actor.ppo_epochs
    )
    TrainingWorker.train_mini_batch.__wrapped__(worker, data)
    return rollouts, [size * gpus for size in worker.updates]


def agree(batch):
    """Check the verdict and the facts of a batch against verl's; return the verdict."""
    result = check(batch)
    try:
        cut = run(batch)
    except (AssertionError, ValueError, InstantiationException):  # hydra wraps those of a dataclass
        cut = None
    assert result.valid == (cut is not None), (batch, result.problems)
    if cut is None:
        return False
    (rollouts, updates), facts = cut, result.facts
    assert rollouts == facts.rollouts_per_step + facts.padding, batch
    assert updates == [facts.rollouts_per_update] * facts.updates_per_step, batch
    return True


@pytest.mark.filterwarnings("ignore:Disabled critic")
@pytest.mark.parametrize("dynamic", [False, True])
def test_the_verdict_is_that_of_verl(dynamic):
    verdicts = []
    micros = [(None, None)] if dynamic else [(1, 1), (2, 4), (3, 2), (1, None), (None, 1)]
    for train, n, mini, gpus, (micro, log_prob) in product(
        (3, 4, 8), (2, 3), (2, 3, 4), (1, 2, 3, 5), micros
    ):
        batch = VerlBatch(train, n, mini, gpus, 1, micro, log_prob, dynamic)
        verdicts.append(agree(batch))
    assert 30 < sum(verdicts) < len(verdicts) - 10


@pytest.mark.filterwarnings("ignore:Disabled critic")
@pytest.mark.parametrize(
    "batch",
    [
        VerlBatch(256, 8, 64, 6, dynamic=True),
        VerlBatch(24, 8, 8, 8, 3, micro_batch=4, log_prob_micro_batch=16),
        VerlBatch(32, 4, 24, 8, 2, micro_batch=5, log_prob_micro_batch=7, epochs=2),
        VerlBatch(16, 7, 40, 5, micro_batch=4),
        VerlBatch(33, 3, 7, 4, micro_batch=2, log_prob_micro_batch=2),
    ],
    ids=str,
)
def test_verl_accepts_what_is_suggested(batch):
    assert not agree(batch)
    suggestions = check(batch).suggestions
    assert suggestions
    assert all(agree(each.batch) for each in suggestions)


@pytest.mark.filterwarnings("ignore:Disabled critic")
def test_a_group_of_one_is_a_problem_only_here():
    batch = VerlBatch(8, 1, 8, 1, dynamic=True)
    assert run(batch) == (8, [8])
    assert not check(batch).valid


def test_defaults_are_verls():
    config = composed("algorithm.adv_estimator=grpo")
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    batch = VerlBatch(1024, 8, 256)
    assert astuple(batch)[3:] == (
        config.trainer.n_gpus_per_node,
        config.trainer.nnodes,
        actor.ppo_micro_batch_size_per_gpu,
        rollout.log_prob_micro_batch_size_per_gpu,
        actor.use_dynamic_bsz,
        actor.ppo_epochs,
    )
    assert config.trainer.v1.trainer_mode == "sync"


def test_the_names_are_verls():
    config = composed("algorithm.adv_estimator=grpo")
    missing = object()
    for option in VerlBatch.options.values():
        assert OmegaConf.select(config, option, default=missing) is not missing, option
