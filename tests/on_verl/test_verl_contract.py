"""What the integration relies on in verl, checked on the installed release.

A failure here after an upgrade of verl says which of its functions no longer does what
`fgrpo.integrations.verl` expects.
"""

import inspect
from importlib.metadata import version
from unittest.mock import MagicMock

import pytest
import torch
import transfer_queue
import verl
from verl.trainer.ppo import core_algos, ray_trainer
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1 import PPOTrainer, register_trainer, trainer_base, utils
from verl_batches import WIDTH, algorithm, batch
from verl_config import composed
from verl_queue import Queue

from fgrpo.integrations.verl import SUPPORTED_VERL

GRPO = ["token_level_rewards", "response_mask", "index", "epsilon", "norm_adv_by_std_in_grpo"]
SESSIONS = ["data", "batch_keys", "adv_estimator", "norm_adv_by_std_in_grpo", "config"]


def test_the_installed_verl_is_supported():
    assert verl.__version__ == version("verl")
    assert version("verl") in SUPPORTED_VERL, (
        f"verl {version('verl')} is not among {SUPPORTED_VERL}: if the other tests of this folder "
        "pass with it, add it"
    )


@pytest.mark.parametrize(
    ("place", "name", "positional", "named"),
    [
        (core_algos, "register_adv_est", ["f_grpo"], []),
        (core_algos, "compute_grpo_outcome_advantage", [], GRPO),
        (ray_trainer, "compute_advantage", ["data"], ["adv_estimator", "config"]),
        (utils, "compute_advantage_for_multi_trajectories", [], SESSIONS),
        (PPOTrainer, "__init__", ["self", "config"], []),
        (PPOTrainer, "_compute_advantage", ["self", "batch"], ["metrics"]),
        (trainer_base, "register_trainer", ["focal_sync"], []),
        (transfer_queue, "kv_batch_get", [], ["keys", "partition_id", "select_fields"]),
    ],
)
def test_the_functions_take_what_they_are_given(place, name, positional, named):
    found = getattr(place, name, None)
    assert found is not None, f"{place.__name__} has no {name}"
    signature = inspect.signature(found)
    try:
        signature.bind(*positional, **dict.fromkeys(named))
    except TypeError as error:
        pytest.fail(f"{name}{signature} does not take {positional} and {named}: {error}")


@pytest.fixture
def probe(monkeypatch):
    """Register an estimator of the test's own, and return what it is called with."""
    calls = []

    def estimator(**given):
        calls.append(given)
        ones = torch.ones_like(given["token_level_rewards"])
        return ones, ones

    registry = dict(core_algos.ADV_ESTIMATOR_REGISTRY)
    monkeypatch.setattr(core_algos, "ADV_ESTIMATOR_REGISTRY", registry)
    assert core_algos.register_adv_est("probe")(estimator) is estimator
    return calls


def test_an_estimator_gets_rewards_mask_uids_and_configuration(probe):
    data, config = batch([1.0, 0.0], ["a", "b"], [2, 5]), algorithm()
    ray_trainer.compute_advantage(data, adv_estimator="probe", config=config)
    (given,) = probe
    for name in ("token_level_rewards", "response_mask"):
        assert torch.equal(given[name], data.batch[name]), f"{name} is not the batch's"
    assert given["index"].tolist() == ["a", "b"], "index is not the rows' uids"
    assert given["config"] is config, "config is not algorithm's"
    assert torch.equal(data.batch["advantages"], torch.ones(2, WIDTH))


def test_an_estimator_of_ones_own_gets_every_row_of_an_agent_loop(probe):
    data = batch([1.0] * 3, ["a"] * 3)
    keys = ["a_0_0", "a_0_1", "a_1_0"]
    utils.compute_advantage_for_multi_trajectories(data, keys, "probe", config=algorithm())
    assert len(probe) == 1
    assert len(probe[0]["token_level_rewards"]) == 3, (
        "verl picks the last outputs for other estimators too: fgrpo need not any more"
    )


def test_a_name_is_registered_for_one_function():
    with pytest.raises(ValueError, match="already been registered"):
        core_algos.register_adv_est("f_grpo")(lambda **_: None)
    with pytest.raises(ValueError, match="already registered"):
        register_trainer("sync")(type("Other", (PPOTrainer,), {}))


def test_grpo_is_the_formula_the_weight_multiplies():
    rewards = torch.tensor([[3.0], [1.0], [2.0], [5.0]])
    found, returns = core_algos.compute_grpo_outcome_advantage(
        token_level_rewards=rewards,
        response_mask=torch.ones(4, 1),
        index=[0, 0, 0, 1],
        epsilon=0.0,
        norm_adv_by_std_in_grpo=True,
    )
    assert found[:, 0].tolist() == [1.0, -1.0, 0.0, 5.0], (
        "mean and sample deviation of the group, or the raw reward of a single rollout, changed"
    )
    assert torch.equal(found, returns)
    assert rewards[:, 0].tolist() == [3.0, 1.0, 2.0, 5.0], "grpo writes into the rewards"


def test_a_step_computes_advantages_once_with_its_metrics():
    trainer = MagicMock()
    sampled, metrics = MagicMock(), {}
    trainer.replay_buffer.sample.return_value = (sampled, {})
    trainer.config.trainer.critic_warmup = trainer.global_steps = 0
    PPOTrainer._step_once(trainer, metrics, {}, 4)
    (call,) = trainer._compute_advantage.call_args_list
    assert list(call.kwargs) == ["metrics"], f"_compute_advantage is called with {call}"
    assert len(call.args) == 1, f"_compute_advantage is called with {call}"
    assert call.kwargs["metrics"] is metrics
    order = [name for name, _, _ in trainer.method_calls]
    assert order.index("_compute_old_log_prob") < order.index("_compute_advantage"), (
        "the log-probabilities are not there when the advantages are computed"
    )


def test_the_settings_of_a_run_have_the_names_fgrpo_reads():
    run = composed()
    assert run.algorithm.norm_adv_by_std_in_grpo is True
    assert isinstance(run.actor_rollout_ref.rollout.n, int)
    assert isinstance(run.data.max_response_length, int)
    assert run.trainer.v1.trainer_mode in trainer_base.TRAINER_REGISTRY
    assert {"sync", "colocate_async", "separate_async"} <= set(run.trainer.v1), (
        "the trainers' settings are not under their own names"
    )
    assert run.algorithm._get_parent() is run


def test_a_rollouts_rows_are_stored_as_fgrpo_reads_them(monkeypatch):
    queue = Queue(monkeypatch)
    queue.store("u_1", 7, [2, 3], 0.5, {"acc": True})
    assert list(queue.rows) == ["u_1_7_0", "u_1_7_1"], "keys are not {uid}_{session}_{output}"
    for row in queue.rows.values():
        assert row["uid"] == "u_1"
        assert row["extra_fields"]["reward_extra_info"] == {"acc": True}
        assert row["rm_scores"].sum() == 0.5, "an output has not its rollout's reward"
        assert row["rm_scores"][-1] == 0.5, "the reward is not on the last token"
        assert row["response_mask"].all()


def test_padding_has_a_uid_of_its_own_and_no_token(monkeypatch):
    queue = Queue(monkeypatch)
    queue.store("u", 0, [2], 0.5, {"acc": True})
    keys = upsample_batch_to_divisible_size(queue.meta(queue.rows), 4, 0).keys
    assert keys[:1] == ["u_0_0"]
    rows = [queue.rows[key] for key in keys[1:]]
    assert len({row["uid"] for row in rows}) == 1
    assert {key.rsplit("_", 2)[0] for key in keys[1:]} == {rows[0]["uid"]} != {"u"}
    assert not any(row["response_mask"].any() or row["rm_scores"].any() for row in rows)
    assert all(row["extra_fields"]["reward_extra_info"] == {"acc": True} for row in rows)
