"""Real short trainings: what the focal trainer does to the weights of a model.

`counted` makes TRL's own trainer train with weights counted in plain Python. With all that is
random seeded, a run on one thread is a fixed sequence of floating-point operations: runs that
should agree do so to rounding.
"""

import pytest
import torch
from trl import GRPOTrainer
from trl_runs import RENAMED, Seen, agree, counted, focal, same, settings, thirds, train

from fgrpo.integrations.trl import FocalGRPOTrainer
from tiny_llm import save_tiny, tiny_model

pytestmark = [pytest.mark.slow, RENAMED]

OFF_POLICY = {
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "steps_per_generation": 4,
    "max_steps": 4,
}


def compare(folder, *, attributes=None, chosen=None, kwargs=None, **changes):
    """Train by the focal trainer, by counted weights, and without any.

    ``chosen`` are the focal trainer's own settings, ``attributes`` what they mean to the counting.
    """
    args, kwargs = settings(folder, **changes), kwargs or {}
    agree(
        train(FocalGRPOTrainer, focal(folder, **(chosen or {}), **changes), **kwargs),
        train(counted(**(attributes or {})), args, **kwargs),
        train(GRPOTrainer, args, **kwargs),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss_type": "grpo"},
        {"num_iterations": 2, "max_steps": 4},
        OFF_POLICY,
        {"optim": "adamw_torch", "learning_rate": 1e-3, "max_grad_norm": 1.0},
        {"scale_rewards": "none", "mask_truncated_completions": True},
    ],
    ids=lambda changes: "-".join(changes) or "default",
)
def test_gamma_0_trains_bit_for_bit_as_grpo_trainer(tmp_path, changes):
    plain = train(GRPOTrainer, settings(tmp_path, **changes))
    assert same(train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0, **changes)), plain)
    fresh = dict(tiny_model().named_parameters())
    assert not all(torch.equal(value, fresh[name]) for name, value in plain.weights.items())


LOSSES = [
    {"loss_type": loss}
    for loss in ("grpo", "dapo", "cispo", "dr_grpo", "bnpo", "sapo", "luspo", "vespo")
]


@pytest.mark.parametrize(
    "changes",
    [
        *({**loss, "num_iterations": 2} for loss in LOSSES),
        *({"scale_rewards": scale} for scale in ("group", "batch", "none")),
        {"multi_objective_aggregation": "normalize_then_sum"},
        {"gradient_accumulation_steps": 4, "per_device_train_batch_size": 4},
        {"importance_sampling_level": "sequence", **OFF_POLICY},
        {"loss_type": "cispo", "epsilon_high": 6.0, **OFF_POLICY},
        # Only a few answers of a random model end in time.
        {"mask_truncated_completions": True, "max_completion_length": 60, "max_steps": 2},
        {"num_generations": 8, "per_device_train_batch_size": 8},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_the_focal_weights_are_those_counted(tmp_path, changes):
    compare(tmp_path, **changes)


@pytest.mark.parametrize("gamma", [1.0, 2.0, 0.3])
def test_any_gamma_is_the_one_counted(tmp_path, gamma):
    compare(tmp_path, chosen={"focal_gamma": gamma}, attributes={"gamma": gamma})


@pytest.mark.parametrize(("family", "beta"), [("llama", 0.0), ("qwen2", 0.1)])
def test_a_saved_model_and_a_reference_model(tmp_path, family, beta):
    kwargs = {"model": save_tiny(tmp_path / "model", family)}
    compare(tmp_path, kwargs=kwargs, beta=beta, num_iterations=2)
    plain = train(GRPOTrainer, settings(tmp_path, beta=beta), **kwargs)
    assert same(train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0, beta=beta), **kwargs), plain)


def signs(completion_ids, **_):
    return [1.0 if sum(ids) % 3 == 0 else -1.0 for ids in completion_ids]


def test_rewards_of_minus_one_and_one_with_a_threshold_of_0(tmp_path):
    compare(
        tmp_path,
        kwargs={"rewards": signs},
        chosen={"focal_threshold": 0.0},
        attributes={"threshold": 0.0},
    )


def spread(completion_ids, **_):
    """Reward far from 0 and 1: no measure of being correct."""
    return [float(ids[0] % 7) for ids in completion_ids]


@pytest.mark.parametrize("chosen", ["thirds", "1"])
@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_the_chosen_reward_decides_and_all_rewards_train(tmp_path, chosen, aggregation):
    compare(
        tmp_path,
        kwargs={"rewards": [spread, thirds]},
        chosen={"focal_reward": chosen},
        attributes={"column": 1},
        reward_weights=[0.5, 1.0],
        multi_objective_aggregation=aggregation,
    )


def test_several_rewards_without_a_choice_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match=r"0 \(spread\), 1 \(thirds\)"):
        train(FocalGRPOTrainer, focal(tmp_path), rewards=[spread, thirds])


def gaps(prompts, completion_ids, **_):
    """Rewards of which some are None or NaN, and all for every fourth prompt."""
    odd = {0: None, 1: float("nan")}
    return [
        None if int(prompt.partition("+")[0]) % 4 == 0 else odd.get(ids[0] % 5, ids[0] % 5 == 3)
        for prompt, ids in zip(prompts, completion_ids, strict=True)
    ]


@pytest.mark.parametrize("rewards", [[gaps], [gaps, spread]], ids=["alone", "beside another"])
def test_completions_without_a_score(tmp_path, rewards):
    changes = {"max_steps": 6}
    run = train(Seen, focal(tmp_path, focal_reward="gaps", **changes), rewards=rewards)
    unscored = [[row[0] != row[0] for row in batch.rewards] for batch in run.trainer.batches]
    groups = [sum(flags[i : i + 4]) for flags in unscored for i in range(0, 16, 4)]
    assert {0, 4} < set(groups), "the rewards should have whole, partial and empty groups"
    counted_run = train(counted(), settings(tmp_path, **changes), rewards=rewards)
    agree(run, counted_run, train(GRPOTrainer, settings(tmp_path, **changes), rewards=rewards))


def test_a_run_without_any_score_changes_nothing_and_logs_only_that(tmp_path):
    def unknown(completion_ids, **_):
        return [None] * len(completion_ids)

    run = train(FocalGRPOTrainer, focal(tmp_path), rewards=unknown)
    fresh = dict(tiny_model().named_parameters())
    assert all(torch.equal(value, fresh[name]) for name, value in run.weights.items())
    logged = {name for row in run.logs for name in row if "focal" in name}
    assert logged == {"focal/groups_unscored"}
