"""The trainers ``focal_…``: verl's own code around the estimator, on rollouts it stored itself."""

import random

import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1 import (
    PPOTrainerColocateAsync,
    PPOTrainerSeparateAsync,
    PPOTrainerSync,
    get_trainer_cls,
)
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer, ReplayBufferAsync
from verl_config import composed

from fgrpo.errors import RunError, UsageError
from fgrpo.integrations.verl.step import Step, current_step
from fgrpo.integrations.verl.trainer import FocalMetrics
from fgrpo.integrations.verl.version import check_version

OVERRIDES = ("actor_rollout_ref.rollout.n=4", "data.train_batch_size=4")
FOCAL = ("algorithm.adv_estimator=f_grpo", "trainer.v1.trainer_mode=focal_sync")
MODES = {
    "sync": PPOTrainerSync,
    "colocate_async": PPOTrainerColocateAsync,
    "separate_async": PPOTrainerSeparateAsync,
}
METRICS = {
    "focal/weight_mean",
    "focal/groups_solved_all",
    "focal/groups_solved_none",
    "focal/groups_mixed",
    "focal/success_rate_mean",
    "focal/tail_miss_risk",
    "focal/update_scale",
}
pytestmark = pytest.mark.filterwarnings("ignore:Disabled critic")


def trainer(*overrides):
    """Return the trainer that verl makes of a configuration; it has no model and no workers."""
    config = composed(*OVERRIDES, *overrides)
    return get_trainer_cls(config.trainer.v1.trainer_mode)(config)


def advantages(made, queue, keys=None):
    """Return the metrics, and what the trainer stores as advantages, by key."""
    metrics = {"there": 1.0}
    keys = keys or list(queue.rows)
    out = made._compute_advantage(queue.meta(keys), metrics=metrics)
    assert out.keys == keys
    return metrics, {key: queue.rows[key]["advantages"].tolist() for key in keys}


def fill(queue, seed, multiple=1):
    """Store random rollouts, fill the batch up as verl does, and return its keys in any order."""
    draw = random.Random(seed)
    for prompt in range(4):
        for session in range(4):
            lengths = [draw.randint(1, 6) for _ in range(draw.randint(1, 3))]
            reward = draw.choice([0.0, 0.3, 1.0])
            queue.store(f"uid-{prompt}", session, lengths, reward, {"acc": reward > 0.5})
    keys = upsample_batch_to_divisible_size(queue.meta(queue.rows), multiple, 0).keys
    draw.shuffle(keys)
    for name in ("old_log_probs", "ref_log_prob"):
        lengths = {key: len(queue.rows[key]["responses"]) for key in keys}
        queue.put(name, {key: -torch.rand(length) for key, length in lengths.items()})
    return keys


@pytest.mark.parametrize("mode", MODES)
def test_the_trainers_are_verls_own_with_the_metrics(mode):
    found = get_trainer_cls(f"focal_{mode}")
    assert issubclass(found, MODES[mode])
    assert found.__mro__.index(FocalMetrics) < found.__mro__.index(MODES[mode])
    assert get_trainer_cls(mode) is MODES[mode]


@pytest.mark.parametrize(
    ("mode", "buffer"), [("sync", ReplayBuffer), ("colocate_async", ReplayBufferAsync)]
)
def test_a_trainer_is_set_up_as_the_one_it_is_made_of(mode, buffer):
    made = trainer(f"trainer.v1.trainer_mode=focal_{mode}", "algorithm.adv_estimator=f_grpo")
    assert made.trainer_mode == mode
    assert type(made.replay_buffer) is buffer
    assert made.replay_buffer.trainer_mode == mode
    assert made.config.trainer.v1.trainer_mode == mode


class Base:
    """Stands for a trainer of verl's."""

    def __init__(self, config):
        self.mode = config.trainer.v1.trainer_mode


class Made(FocalMetrics, Base):
    pass


def settings(mode, **algorithm):
    config = {"algorithm": algorithm, "trainer": {"v1": {"trainer_mode": mode}}}
    made = OmegaConf.create(config)
    OmegaConf.set_struct(made, True)
    return made


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_has_its_own_name_before_verl_reads_it(mode):
    config = settings(f"focal_{mode}")
    assert Made(config).mode == mode
    assert config.trainer.v1.trainer_mode == mode


def test_what_is_wrong_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr(Base, "__init__", lambda *_: pytest.fail("called"))
    with pytest.raises(UsageError, match="focal_gama is no setting"):
        Made(settings("focal_sync", focal_gama=1))
    monkeypatch.setattr("fgrpo.integrations.verl.version.version", lambda _: "0.8.0")
    check_version.cache_clear()
    with pytest.raises(UsageError, match=r"verl 0\.8\.0 is installed"):
        Made(settings("focal_sync"))


@pytest.mark.parametrize(
    ("estimator", "given", "what"),
    [
        ("grpo", {"focal_gamma": 0.5}, r"focal_gamma=0\.5 .*adv_estimator=grpo.*f_grpo"),
        ("differential_smoothing", {"smoothing_gamma_p": 1}, r"smoothing_gamma_n=None"),
        (
            "differential_smoothing",
            {"smoothing_gamma_p": 1, "smoothing_gamma_n": 1, "smoothing_logprob": "sum"},
            "smoothing_logprob is no setting",
        ),
    ],
)
def test_settings_must_be_those_of_the_estimator(estimator, given, what):
    with pytest.raises(UsageError, match=what):
        Made(settings("focal_sync", adv_estimator=estimator, **given))


@pytest.mark.parametrize("place", ["", "trainer."])
@pytest.mark.parametrize("name", ["focal_gamma", "Focal_Gamma"])
def test_a_gamma_out_of_place_is_refused(place, name):
    config = settings("focal_sync", adv_estimator="f_grpo")
    OmegaConf.update(config, f"{place}{name}", 2.0, force_add=True)
    with pytest.raises(UsageError, match=rf"{place}{name} does nothing there.*\+algorithm"):
        Made(config)


@pytest.mark.parametrize(
    ("estimator", "given"),
    [
        ("grpo", {}),
        ("grpo", {"focal_gamma": 0}),
        ("f_grpo", {"focal_gamma": 0.5}),
        ("differential_smoothing", {"smoothing_gamma_p": 0, "smoothing_gamma_n": 1}),
    ],
)
def test_settings_that_mean_what_they_say_pass(estimator, given):
    assert Made(settings("focal_sync", adv_estimator=estimator, **given)).mode == "sync"


@pytest.mark.parametrize("kl", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_gamma_0_stores_what_verls_grpo_stores(queue, seed, kl):
    keys = fill(queue, seed, multiple=64)
    in_reward = f"algorithm.use_kl_in_reward={kl}"
    metrics, plain = advantages(trainer("algorithm.adv_estimator=grpo", in_reward), queue, keys)
    assert any(map(any, plain.values()))
    focal = trainer(*FOCAL, in_reward, "+algorithm.focal_gamma=0")
    ours, found = advantages(focal, queue, keys)
    assert found == plain
    assert set(ours) - set(metrics) == METRICS
    assert ours["focal/weight_mean"] == ours["focal/update_scale"] == 1
    assert {name: ours[name] for name in metrics} == metrics


def test_verls_padding_is_not_judged(queue):
    keys = fill(queue, 7, multiple=50)
    real = [key for key in keys if not key.startswith("pad")]
    assert len(keys) == 50 > len(real) + 4
    focal = trainer(*FOCAL)
    metrics, plain = advantages(focal, queue, real)
    more, found = advantages(focal, queue, keys)
    assert {key: found[key] for key in real} == {key: plain[key] for key in real}
    assert {tuple(found[key]) for key in set(keys) - set(real)} == {(0,)}
    assert more == pytest.approx(metrics, rel=1e-6)


def test_the_step_is_the_batchs_own(queue, monkeypatch):
    keys = fill(queue, 1)
    seen = []

    def compute(self, batch, metrics):
        step = current_step()
        seen.append((list(step.keys), step.partition, dict(metrics)))
        step.metrics["focal/weight_mean"] = 0.25
        metrics["verl"] = 2.0
        return "the batch"

    monkeypatch.setattr(PPOTrainerSync, "_compute_advantage", compute)
    metrics = {"there": 1.0}
    made = trainer(*FOCAL)
    assert made._compute_advantage(queue.meta(keys), metrics=metrics) == "the batch"
    assert seen == [(keys, "train", {"there": 1.0})]
    assert metrics == {"there": 1.0, "verl": 2.0, "focal/weight_mean": 0.25}
    assert current_step() is None


def test_a_named_value_tells_what_is_right(queue):
    # The score says the contrary: a penalty for length on all that is right.
    for session, (score, right) in enumerate([(0.2, True), (1.0, False), (1.0, False), (1.0, 0)]):
        queue.store("a", session, [2, 3] if session == 1 else [3], score, {"acc": right})
    overrides = ("algorithm.norm_adv_by_std_in_grpo=False", "+algorithm.focal_gamma=1")
    metrics, found = advantages(trainer(*FOCAL, *overrides, "+algorithm.focal_success=acc"), queue)
    assert metrics["focal/success_rate_mean"] == pytest.approx(1 / 4)
    # 3/4 of 0.2 - 0.8 and of 1 - 0.8.
    assert found["a_0_0"] == pytest.approx([-0.45] * 3)
    assert found["a_1_0"] == pytest.approx([0.15] * 2)
    _, found = advantages(trainer(*FOCAL, *overrides), queue)
    assert found["a_0_0"] == pytest.approx([-0.15] * 3)


@pytest.mark.parametrize("seed", range(3))
def test_a_named_value_that_is_the_score_weighs_as_the_score_does(queue, seed):
    keys = fill(queue, seed)
    by_score, plain = advantages(trainer(*FOCAL), queue, keys)
    by_name, found = advantages(trainer(*FOCAL, "+algorithm.focal_success=acc"), queue, keys)
    assert (by_name, found) == (by_score, plain)


@pytest.mark.parametrize("threshold", [0.7, 0.75])
def test_a_named_value_is_compared_with_the_threshold(queue, threshold):
    for session, share in enumerate([0.7, 0.6, 0.9, 0.0]):
        queue.store("a", session, [3], share, {"share": share})
    focal = trainer(
        *FOCAL, "+algorithm.focal_success=share", f"+algorithm.focal_threshold={threshold}"
    )
    metrics, _ = advantages(focal, queue)
    assert metrics["focal/success_rate_mean"] == {0.7: 0.5, 0.75: 0.25}[threshold]


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ({}, "did not return it for rollout a_1_0, but nothing beside"),
        ({"score": 1, "pred": 2}, "did not return it for rollout a_1_0, but pred, score"),
        ({"acc": None}, "returned None for rollout a_1_0.*return a number"),
        ({"acc": "yes"}, "returned 'yes' for rollout a_1_0.*return a number"),
        ({"acc": float("nan")}, "returned nan for rollout a_1_0.*return a number"),
    ],
)
def test_a_named_value_that_is_not_there_names_the_rollout(queue, extra, what):
    queue.store("a", 0, [3], 1.0, {"acc": True})
    queue.store("a", 1, [3], 1.0, extra)
    with pytest.raises(RunError, match=f"focal_success=acc: the reward function {what}"):
        advantages(trainer(*FOCAL, "+algorithm.focal_success=acc"), queue)
    assert current_step() is None


def test_a_rollout_without_any_values_is_named_too(queue):
    queue.store("a", 0, [3], 1.0)
    queue.put("extra_fields", {"a_0_0": {}})
    with pytest.raises(RunError, match="for rollout a_0_0, but nothing beside the score"):
        Step(["a_0_0"], "train").reward_values("acc")


def test_verls_padding_has_the_values_of_a_rollout(queue):
    queue.store("a", 0, [3], 1.0, {"acc": True})
    queue.store("a", 1, [3], 0.0, {"acc": False})
    keys = upsample_batch_to_divisible_size(queue.meta(queue.rows), 8, 0).keys
    metrics, _ = advantages(trainer(*FOCAL, "+algorithm.focal_success=acc"), queue, keys)
    assert metrics["focal/success_rate_mean"] == 0.5


def test_log_probabilities_are_padded_as_the_batch_is(queue):
    for session, length in enumerate([2, 5, 3]):
        queue.store("a", session, [length], 1.0)
    values = {f"a_{i}_0": torch.arange(-float(n), 0) for i, n in enumerate((2, 5, 3))}
    queue.put("old_log_probs", values)
    keys = ["a_2_0", "a_0_0", "a_1_0"]
    found = Step(keys, "train").old_log_probs()
    assert found.tolist() == [
        [-3, -2, -1, 0, 0],
        [-2, -1, 0, 0, 0],
        [-5, -4, -3, -2, -1],
    ]


def test_values_come_in_the_order_of_the_keys(queue):
    for session in range(4):
        queue.store("a", session, [2], 1.0, {"acc": session})
    keys = [f"a_{session}_0" for session in (2, 0, 3, 1)]
    assert Step(keys, "train").reward_values("acc") == [2, 0, 3, 1]


def test_no_metrics_without_the_focal_estimator(queue):
    keys = fill(queue, 2)
    focal = trainer("trainer.v1.trainer_mode=focal_sync", "algorithm.adv_estimator=grpo")
    metrics, found = advantages(focal, queue, keys)
    assert metrics == {"there": 1.0}
    assert found == advantages(trainer("algorithm.adv_estimator=grpo"), queue, keys)[1]
