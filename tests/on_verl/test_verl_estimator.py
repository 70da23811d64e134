"""The estimator ``f_grpo`` through verl's own ``compute_advantage``, in a trainer of verl's."""

import logging
import math
import random

import numpy as np
import pytest
import torch
from verl.trainer.ppo.core_algos import get_adv_estimator_fn
from verl_batches import WIDTH, advantages, algorithm, batch, per_row, random_batch, rates

from fgrpo.errors import RunError, UsageError

SUCCESSES = {"none": 0, "two": 2, "six": 6, "all": 8}
SEEDS = range(12)
both_scalings = pytest.mark.parametrize("scaled", [True, False])


def example():
    """Return the prompt of each row and its reward, four groups of eight in any order."""
    rows = [(name, float(i < right)) for name, right in SUCCESSES.items() for i in range(8)]
    random.Random(5).shuffle(rows)
    return zip(*rows, strict=True)


def test_groups_computed_by_hand():
    uids, rewards = example()
    data = batch(rewards, uids, [1 + i % WIDTH for i in range(32)])
    found = per_row(advantages(data, algorithm(focal_gamma=0.5)), data)
    # Of eight rewards two are 1: the mean is 1/4, and the sample's variance
    # (2 (3/4)² + 6 (1/4)²) / 7 = 3/14, as with six of them. The weights are √(3/4) and √(1/4).
    root = math.sqrt(14)
    expected = {
        ("two", 1.0): 3 / 8 * root,
        ("two", 0.0): -1 / 8 * root,
        ("six", 1.0): 1 / 8 * math.sqrt(14 / 3),
        ("six", 0.0): -3 / 8 * math.sqrt(14 / 3),
    }
    wanted = [expected.get(row, 0.0) for row in zip(uids, rewards, strict=True)]
    # verl adds 1e-6 to the deviation.
    assert found == pytest.approx(wanted, rel=5e-6)


def test_the_weights_are_those_of_the_paper():
    uids, rewards = example()
    data = batch(rewards, uids)
    plain = per_row(advantages(data, algorithm(), "grpo"), data)
    found = per_row(advantages(data, algorithm(focal_gamma=0.5)), data)
    weights = {uid: f / p for uid, f, p in zip(uids, found, plain, strict=True) if p}
    assert weights == pytest.approx({"two": 0.8660254, "six": 0.5})
    assert {uid for uid, f in zip(uids, found, strict=True) if f} == {"two", "six"}


def test_advantages_without_a_deviation_are_the_very_fractions():
    uids, rewards = example()
    data = batch(rewards, uids)
    config = algorithm(focal_gamma=1, norm_adv_by_std_in_grpo=False)
    expected = {"two": (-3 / 16, 9 / 16), "six": (-3 / 16, 1 / 16)}
    wanted = [expected.get(uid, (0, 0))[int(r)] for uid, r in zip(uids, rewards, strict=True)]
    assert per_row(advantages(data, config), data) == wanted


@both_scalings
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", SEEDS)
def test_gamma_0_is_grpo_bit_for_bit(seed, dtype, scaled):
    data = random_batch(seed, dtype=dtype)
    config = algorithm(focal_gamma=0, norm_adv_by_std_in_grpo=scaled)
    plain = advantages(data, config, "grpo")
    assert plain.abs().max() > 0.1
    found = advantages(data, config)
    assert found.dtype == plain.dtype
    assert torch.equal(found, plain)


@both_scalings
@pytest.mark.parametrize("gamma", [0.5, 1, 2.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_other_gammas_multiply_by_weights_counted_apart(seed, gamma, scaled):
    data = random_batch(seed, rewards=[0.0, 0.25, 0.5, 1.0])
    config = algorithm(focal_gamma=gamma, norm_adv_by_std_in_grpo=scaled)
    rewards = data.batch["token_level_rewards"].sum(-1)
    counted = rates(rewards >= 0.5, data.non_tensor_batch["uid"])
    assert len(set(counted)) > 2
    weights = torch.tensor([float(1 - rate) ** gamma for rate in counted])
    expected = advantages(data, config, "grpo") * weights[:, None]
    torch.testing.assert_close(advantages(data, config), expected, rtol=1e-6, atol=0)


def test_the_default_gamma_is_a_half():
    data = random_batch(0, rewards=[0.0, 1.0])
    found = advantages(data, algorithm())
    assert torch.equal(found, advantages(data, algorithm(focal_gamma=0.5)))
    assert not torch.equal(found, advantages(data, algorithm(), "grpo"))


def test_a_config_that_is_no_omegaconf_will_do():
    data = random_batch(1)
    for scaled in (True, False):
        settings = {"focal_gamma": 0.5, "norm_adv_by_std_in_grpo": scaled}
        found = advantages(data, settings)
        assert torch.equal(found, advantages(data, algorithm(**settings)))


def test_advantages_are_scaled_unless_the_config_says_otherwise():
    data = random_batch(2)
    scaled = advantages(data, algorithm())
    given = (data.batch["token_level_rewards"], data.batch["response_mask"])
    for config in (None, {}, {"focal_gamma": 0.5}):
        found, _ = get_adv_estimator_fn("f_grpo")(*given, data.non_tensor_batch["uid"], config)
        assert torch.equal(found, scaled)


@pytest.mark.parametrize("kind", [int, float])
def test_tokens_the_model_did_not_write_have_no_advantage(kind):
    data = batch([1.0, 0.0, 0.0, 0.0], ["a"] * 4)
    mask = torch.tensor([[1, 0, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1], [1] * 6, [0, 0, 0, 0, 0, 1]])
    data.batch["response_mask"] = mask.to(torch.long if kind is int else torch.float32)
    config = algorithm(focal_gamma=1, norm_adv_by_std_in_grpo=False)
    found = advantages(data, config)
    # The rate is 1/4: the weight 3/4 of 3/4 and of -1/4.
    assert found.tolist() == [
        [w * a for w in row] for row, a in zip(mask.tolist(), [9 / 16] + 3 * [-3 / 16], strict=True)
    ]


def test_a_row_without_tokens_counts_in_its_group_as_with_grpo():
    data = batch([1.0, 1.0, 0.0, 0.0], ["a"] * 4, [3, 0, 2, 0])
    config = algorithm(focal_gamma=1, norm_adv_by_std_in_grpo=False)
    # Two of four are right: 1/2 of 1/2 and of -1/2.
    assert per_row(advantages(data, config), data) == [0.25, 0, -0.25, 0]
    config.focal_gamma = 0
    assert torch.equal(advantages(data, config), advantages(data, config, "grpo"))


@pytest.mark.parametrize("uids", [[7, 8, 7, 8, 70, 70], np.array(["x", "y", "x", "y", "z", "z"])])
def test_uids_of_any_kind(uids):
    data = batch([1.0, 1.0, 0.0, 1.0, 0.0, 0.0], uids)
    config = algorithm(focal_gamma=1, norm_adv_by_std_in_grpo=False)
    assert per_row(advantages(data, config), data) == [0.25, 0, -0.25, 0, 0, 0]


def test_a_single_rollout_teaches_nothing_and_is_told_once(caplog):
    data = batch([1.0, 0.25, 1.0, 0.0], ["alone", "too", "a", "a"])
    config = algorithm(focal_gamma=0, norm_adv_by_std_in_grpo=False)
    with caplog.at_level(logging.WARNING):
        found = [per_row(advantages(data, config), data) for _ in range(3)]
    assert found == [[0, 0, 0.5, -0.5]] * 3
    # verl's grpo takes the raw reward.
    assert per_row(advantages(data, config, "grpo"), data) == [1.0, 0.25, 0.5, -0.5]
    (record,) = [r for r in caplog.records if r.name.startswith("fgrpo")]
    assert record.getMessage().startswith("2 of 3 prompts have a single rollout")
    assert "actor_rollout_ref.rollout.n" in record.getMessage()


def test_without_uids_nothing_is_computed():
    data = batch([1.0, 0.0], ["a", "a"])
    data.non_tensor_batch.pop("uid")
    with pytest.raises(UsageError, match="has no uid"):
        advantages(data, algorithm())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_names_its_prompt(value):
    data = batch([1.0, 0.0, 0.0, value], ["a", "a", "b", "b"])
    with pytest.raises(RunError, match=f"prompt b has the reward {value}.*return a finite number"):
        advantages(data, algorithm())
