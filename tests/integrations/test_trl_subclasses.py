"""What users do on top: override the rewards, change γ on the way, judge by several functions."""

import math

import pytest
from transformers import TrainerCallback
from trl import GRPOTrainer, RLOOConfig, RLOOTrainer
from trl_runs import (
    RENAMED,
    Seen,
    agree,
    counted,
    focal,
    same,
    settings,
    thirds,
    train,
)

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalAdvantages, FocalGRPOTrainer

pytestmark = [pytest.mark.slow, RENAMED]


def turned(trainer_class):
    """Return the trainer with the rewards turned round after they were computed."""

    class Turned(trainer_class):
        def _calculate_rewards(self, *args, **kwargs):
            return 1 - super()._calculate_rewards(*args, **kwargs)

    return Turned


def test_the_rewards_that_count_are_those_of_the_subclass(tmp_path):
    focal_run = train(turned(FocalGRPOTrainer), focal(tmp_path))
    counted_run = train(counted(turned(GRPOTrainer)), settings(tmp_path))
    agree(focal_run, counted_run, train(turned(GRPOTrainer), settings(tmp_path)))


def test_rewards_of_a_subclass_alone(tmp_path):
    def alone(trainer_class):
        class Alone(trainer_class):
            def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
                rewards = self.accelerator.gather(
                    self.model.get_input_embeddings().weight.new_tensor(thirds(completion_ids_list))
                )
                return rewards[:, None]

        return Alone

    focal_run = train(alone(FocalGRPOTrainer), focal(tmp_path))
    agree(
        focal_run,
        train(counted(alone(GRPOTrainer)), settings(tmp_path)),
        train(alone(GRPOTrainer), settings(tmp_path)),
    )


def test_a_method_set_on_the_trainer_stays_there(tmp_path):
    calls = []

    class Patched(FocalGRPOTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            method = self._calculate_rewards

            def turned_round(*args, **kwargs):
                calls.append(1)
                return 1 - method(*args, **kwargs)

            self._calculate_rewards = turned_round

    run = train(Patched, focal(tmp_path))
    assert len(calls) == 3
    assert same(run, train(turned(FocalGRPOTrainer), focal(tmp_path)))


class Schedule(TrainerCallback):
    """γ is 0 for the first step, then 2."""

    def on_step_end(self, args, state, control, **kwargs):
        args.focal_gamma = 2.0


def test_a_callback_may_change_gamma(tmp_path):
    run = train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0.0), callbacks=[Schedule()])
    weights = [row["focal/weight_mean"] for row in run.logs if "focal/weight_mean" in row]
    rates = [row["focal/success_rate_mean"] for row in run.logs if "focal/weight_mean" in row]
    assert weights[0] == 1.0
    assert all(0 < rate < 1 for rate in rates)
    assert all(weight < 1 for weight in weights[1:])


def test_gamma_0_goes_on_after_an_infinite_reward_as_trl_does(tmp_path):
    def wild(completion_ids, **_):
        return [-math.inf, *thirds(completion_ids)[1:]]

    plain = train(GRPOTrainer, settings(tmp_path), rewards=wild)
    assert same(train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0.0), rewards=wild), plain)


def for_prompts(rest):
    """Return a reward function that judges prompts whose number leaves this rest by 2."""

    def judge(prompts, completion_ids, **_):
        numbers = [int(prompt.partition("+")[0]) for prompt in prompts]
        judged = zip(numbers, thirds(completion_ids), strict=True)
        return [reward if number % 2 == rest else None for number, reward in judged]

    judge.__name__ = ("even", "odd")[rest]
    return judge


@pytest.mark.parametrize("chosen", ["even,odd", [1, 0]])
def test_each_prompt_is_judged_by_the_function_for_it(tmp_path, chosen):
    args = focal(tmp_path, focal_reward=chosen, focal_gamma=1.0)
    parts = train(Seen, args, rewards=[for_prompts(0), for_prompts(1)])
    whole = train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=1.0))
    assert same(parts, whole)
    first = parts.trainer.batches[0].rewards
    assert {row[0] != row[0] for row in first} == {True, False}  # both kinds of prompts


def test_each_prompt_needs_its_function(tmp_path):
    with pytest.raises(UsageError, match=r"0 \(even\), 1 \(odd\)"):
        train(FocalGRPOTrainer, focal(tmp_path), rewards=[for_prompts(0), for_prompts(1)])


def test_another_trainer_with_the_two_methods(tmp_path):
    class FocalRLOO(FocalAdvantages, RLOOTrainer):
        focal_gamma = 1.0

    def args():
        return settings(tmp_path, RLOOConfig, beta=0.0)

    focal_run = train(FocalRLOO, args())
    counted_run = train(counted(RLOOTrainer, gamma=1.0), args())
    agree(focal_run, counted_run, train(RLOOTrainer, args()))
