"""What tells success, and settings that are no settings."""

import math
from types import SimpleNamespace

import pytest
import torch
from verl.trainer.ppo.ray_trainer import apply_kl_penalty
from verl_batches import advantages, algorithm, batch
from verl_config import composed

from fgrpo.errors import UsageError
from fgrpo.integrations.verl.settings import FocalSettings, run_setting

DR = {"norm_adv_by_std_in_grpo": False, "focal_gamma": 1}


def rate(data, **settings):
    """Return the success rate of a batch of one group, from its weight at γ = 1."""
    focal = advantages(data, algorithm(**DR, **settings))
    plain = advantages(data, algorithm(**DR), "grpo")
    weights = (focal / plain)[plain.abs() > 1e-4]
    assert torch.allclose(weights, weights[0])
    return round(1 - float(weights[0]), 5)


def rate_of(rewards, **settings):
    return rate(batch(rewards, ["a"] * len(rewards)), **settings)


@pytest.mark.parametrize(
    ("threshold", "found"), [(0.25, 0.75), (0.3, 0.5), (0.75, 0.5), (0.8, 0.25), (1.5, 0), (-1, 1)]
)
def test_the_threshold(threshold, found):
    assert rate_of([0.0, 0.25, 0.75, 1.0], focal_threshold=threshold) == found


def test_the_threshold_is_in_single_precision_as_the_rewards_are():
    assert rate_of([0.7, 0.2], focal_threshold=0.7) == 0.5
    assert rate_of([0.1, 0.2], focal_threshold=0.1) == 1


@pytest.mark.parametrize("success", ["sum", "max_token_reward"])
def test_rewards_of_minus_1_and_1(success):
    assert rate_of([-1.0, -1.0, -1.0, 1.0], focal_success=success) == 0.25


def test_a_sum_of_0_is_right_where_the_threshold_says_so():
    assert rate_of([-1.0, 0.0, 0.5, 1.0], focal_threshold=0) == 0.75


def in_reward_kl(rewards, lengths, per_token, coefficient):
    """Return a batch after verl's KL penalty in the reward."""
    data = batch(rewards, ["a"] * len(rewards), lengths)
    tensors = data.batch
    tensors["token_level_scores"] = tensors["token_level_rewards"]
    tensors["ref_log_prob"] = torch.full(tensors["response_mask"].shape, -1.0)
    tensors["old_log_probs"] = tensors["ref_log_prob"] + per_token
    control = SimpleNamespace(value=coefficient, update=lambda **_: None)
    data, _ = apply_kl_penalty(data, control)
    return data


def test_a_kl_penalty_in_the_reward_shifts_the_sum_and_not_the_last_token():
    # 0.1 × 2 from every token: 0.2 × 5 = 1 from the sum, 0.2 from the reward itself.
    data = in_reward_kl([1.0, 1.0, 0.0, 0.0], [5, 1, 5, 1], 2.0, 0.1)
    sums = data.batch["token_level_rewards"].sum(-1).tolist()
    assert sums == pytest.approx([0.0, 0.8, -1.0, -0.2], abs=1e-6)
    assert rate(data) == 0.25
    assert rate(data, focal_success="sum") == 0.25
    assert rate(data, focal_success="max_token_reward") == 0.5


def test_a_kl_of_the_other_sign_does_not_make_wrong_answers_right():
    data = in_reward_kl([1.0, 0.0, 0.0, 0.0], [2, 6, 6, 6], -2.0, 0.1)
    assert data.batch["token_level_rewards"].sum(-1).tolist() == pytest.approx([1.4, 1.2, 1.2, 1.2])
    assert rate(data, focal_success="max_token_reward") == 0.25
    assert rate(data) == 1


def test_an_overlong_penalty_shifts_both():
    # As verl's DAPO reward manager does, 0.75 is taken from the reward of a right answer.
    data = batch([0.25, 1.0, 0.0, -0.75], ["a"] * 4)
    for success in ("sum", "max_token_reward"):
        assert rate(data, focal_success=success) == 0.25


def test_a_named_value_needs_a_focal_trainer():
    with pytest.raises(UsageError) as refusal:
        rate_of([0.0, 1.0], focal_success="acc")
    assert "focal_success=acc" in str(refusal.value)
    assert "trainer.v1.trainer_mode=focal_sync" in str(refusal.value)
    assert "sum or max_token_reward" in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"focal_gama": 0.5}, "algorithm.focal_gama is no setting.*focal_gamma, focal_success"),
        ({"focal": 0.5}, "algorithm.focal is no setting"),
        ({"focal_gamma": -0.5}, "focal_gamma=-0.5: .*at least 0"),
        ({"focal_gamma": math.inf}, "focal_gamma=inf: "),
        ({"focal_gamma": math.nan}, "focal_gamma=nan: "),
        ({"focal_gamma": None}, "focal_gamma=None: give a number"),
        ({"focal_gamma": True}, "focal_gamma=True: give a number"),
        ({"focal_gamma": "0.5"}, "focal_gamma='0.5': give a number"),
        ({"focal_threshold": math.inf}, "focal_threshold=inf: .*finite"),
        ({"focal_threshold": "high"}, "focal_threshold='high': "),
        ({"focal_tail_share": 0}, "focal_tail_share=0: .*between 0 and 1"),
        ({"focal_tail_share": 1.0}, "focal_tail_share=1.0: "),
        ({"focal_success": ""}, "focal_success='': give sum, max_token_reward or the name"),
        ({"focal_success": None}, "focal_success=None: give sum"),
        ({"focal_success": 1}, "focal_success=1: give sum"),
        (
            {"focal_success": "max_token_reward", "focal_threshold": 0},
            "focal_threshold=0 with focal_success=max_token_reward: .*above 0",
        ),
        (
            {"focal_success": "max_token_reward", "focal_threshold": -1},
            "focal_threshold=-1 with focal_success=max_token_reward",
        ),
    ],
)
def test_what_is_refused(settings, what):
    with pytest.raises(UsageError, match=what):
        advantages(batch([1.0, 0.0], ["a", "a"]), algorithm(**settings))


def test_thresholds_that_only_the_largest_token_reward_cannot_have():
    assert FocalSettings(threshold=0, success="sum").threshold == 0
    assert FocalSettings(threshold=-1, success="acc").threshold == -1
    assert FocalSettings(threshold=1e-3, success="max_token_reward").threshold == 1e-3


def test_defaults_and_values_of_every_setting():
    assert FocalSettings.of(None) == FocalSettings.of({}) == FocalSettings()
    assert FocalSettings() == FocalSettings(0.5, 0.5, 0.1, "sum")
    given = algorithm(
        gamma=0.99, focal_gamma=2, focal_threshold=0.25, focal_tail_share=0.3, focal_success="acc"
    )
    assert FocalSettings.of(given) == FocalSettings(2, 0.25, 0.3, "acc")


@pytest.mark.parametrize(
    ("success", "named"), [("sum", False), ("max_token_reward", False), ("acc", True)]
)
def test_what_is_a_name(success, named):
    assert FocalSettings(success=success).by_name is named


def test_settings_of_a_whole_run_as_verl_composes_it():
    run = composed(
        "algorithm.adv_estimator=f_grpo",
        "+algorithm.focal_gamma=0.25",
        "+algorithm.focal_success=max_token_reward",
        "actor_rollout_ref.rollout.n=16",
        "data.max_response_length=77",
    )
    assert FocalSettings.of(run.algorithm) == FocalSettings(0.25, success="max_token_reward")
    assert run_setting(run.algorithm, "actor_rollout_ref.rollout.n") == 16
    assert run_setting(run.algorithm, "data.max_response_length") == 77
    assert run_setting(run.algorithm, "data.nothing") is None


def test_settings_of_a_run_that_is_not_there():
    assert run_setting(None, "data.max_response_length") is None
    assert run_setting({"data": {"max_response_length": 3}}, "data.max_response_length") is None
    assert run_setting(algorithm(), "data.max_response_length") is None
    alone = algorithm({"data.max_response_length": 3}).copy()
    alone._set_parent(None)
    assert run_setting(alone, "data.max_response_length") is None
