"""The shipped recipes of verl say what the paper did, in settings that verl has."""

import importlib
import re
import shlex
import subprocess
import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from unittest.mock import MagicMock

import hydra
import pytest
import ray
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.experimental.reward_loop.reward_loop import migrate_legacy_reward_impl
from verl.trainer import main_ppo
from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.trainer.ppo.v1 import PPOTrainerSync, get_trainer_cls
from verl.utils import tensordict_utils
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.utils.torch_functional import get_constant_schedule_with_warmup
from verl.workers.engine_workers import TrainingWorker

from fgrpo.evaluate.prompts import prompts_for
from fgrpo.integrations.verl.settings import FocalSettings
from fgrpo.recipes import shipped
from fgrpo.theory import update_scale
from paper_models import MODELS

PACKAGE = "fgrpo.recipes.verl"
PAPER = [
    (f"{model}-{prefix}{method}", name, length, method, gamma if prefix else 0.0)
    for model, (name, length, gammas) in MODELS.items()
    for method, gamma in gammas.items()
    for prefix in ("f-", "")
]
# Appendix L, table 5.
EVERYWHERE = {
    "data.train_batch_size": 256,
    "data.max_prompt_length": 1024,
    "actor_rollout_ref.rollout.n": 8,
    "actor_rollout_ref.rollout.temperature": 1.0,
    "actor_rollout_ref.rollout.top_p": 1.0,
    "actor_rollout_ref.rollout.top_k": -1,
    "actor_rollout_ref.rollout.repetition_penalty": None,  # verl's default: none
    "actor_rollout_ref.rollout.name": "sglang",
    "actor_rollout_ref.actor.strategy": "fsdp2",
    "actor_rollout_ref.ref.strategy": "fsdp2",
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.ppo_epochs": 1,
    "actor_rollout_ref.actor.loss_agg_mode": "token-mean",
    "actor_rollout_ref.actor.use_kl_loss": False,
    "actor_rollout_ref.actor.entropy_coeff": 0.0,
    "actor_rollout_ref.actor.optim.optimizer": "AdamW",
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_scheduler_type": "constant",
    "actor_rollout_ref.actor.optim.lr_warmup_steps": 15,
    "actor_rollout_ref.actor.optim.betas": [0.9, 0.999],
    "actor_rollout_ref.actor.optim.weight_decay": 0.01,
    "actor_rollout_ref.actor.optim.clip_grad": 1.0,
    "algorithm.adv_estimator": "f_grpo",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "algorithm.use_kl_in_reward": False,
    "algorithm.filter_groups.enable": False,
    # The ratio is against the trainer's own log-probabilities, as in the formulas.
    "algorithm.rollout_correction.rollout_is": None,
    "algorithm.rollout_correction.bypass_mode": False,
    "trainer.total_epochs": 10,
    "trainer.total_training_steps": None,
}
# Section 3 and appendices B, L.2: the ratios a token's gradient is kept for.
BOUNDS = {"grpo": (0.8, 1.2), "dapo": (0.8, 1.28), "cispo": (0.0, 6.0)}
# Section 5.5, each on Qwen2.5-7B: what differs from unweighted GRPO, beside the name.
ACTOR = "actor_rollout_ref.actor"
CONTROLS = {
    "qwen2.5-7b-low-learning-rate": {f"{ACTOR}.optim.lr": 6.8e-7},
    "qwen2.5-7b-entropy-bonus": {f"{ACTOR}.entropy_coeff": 0.001},
    "qwen2.5-7b-kl-penalty": {f"{ACTOR}.use_kl_loss": True},
    "qwen2.5-7b-differential-smoothing": {
        "algorithm.adv_estimator": "differential_smoothing",
        "algorithm.smoothing_gamma_p": 0.001,
        "algorithm.smoothing_gamma_n": 0.001,
        "algorithm.smoothing_log_prob": "sum",
    },
}
ALL = [row[0] for row in PAPER] + list(CONTROLS)
# Settings that verl's own configuration does not hold, and where they are read.
OURS = {
    "algorithm.focal_gamma",
    "folder",
    "ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES",
    "reward.custom_reward_function.reward_kwargs.verifier",
}

recipes = pytest.mark.parametrize(
    ("recipe", "name", "length", "method", "gamma"), PAPER, ids=[row[0] for row in PAPER]
)
every = pytest.mark.parametrize("recipe", ALL)


@cache
def composed(module, recipe):
    with initialize_config_module(module, version_base=None):
        return compose(recipe)


def read(recipe, **changes):
    """Return a recipe as Hydra composes it, and what its command line may change changed."""
    config = deepcopy(composed(PACKAGE, recipe))
    for name, value in changes.items():
        OmegaConf.update(config, name, value)
    return config


def flat(config):
    """Return each setting of a configuration by its dotted name, its value resolved."""
    found = {}

    def walk(node, name):
        if isinstance(node, dict) and node:
            for key, value in node.items():
                walk(value, f"{name}.{key}" if name else str(key))
        else:
            found[name] = node

    # Some of verl's own defaults are for the user to fill, and were never meant to be read.
    walk(OmegaConf.to_container(config, resolve=True, throw_on_missing=False), "")
    return found


def difference(one, other):
    """Return name → both values of the settings that differ."""
    one, other = flat(one), flat(other)
    return {
        name: (one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name) or (name in one) != (name in other)
    }


def actor_of(config):
    return omega_conf_to_dataclass(config.actor_rollout_ref.actor)


def test_there_is_a_recipe_for_each_run_of_the_paper():
    assert len(ALL) == 22
    assert set(shipped("verl")) == set(ALL)


@recipes
def test_every_value_is_the_paper_s(recipe, name, length, method, gamma):
    config = read(recipe)
    seen = {field: OmegaConf.select(config, field) for field in EVERYWHERE}
    assert seen == EVERYWHERE
    assert config.actor_rollout_ref.model.path == name
    assert config.data.max_response_length == length
    assert config.actor_rollout_ref.rollout.response_length == length
    assert config.actor_rollout_ref.rollout.prompt_length == 1024
    assert FocalSettings.of(config.algorithm) == FocalSettings(gamma=gamma)
    assert config.trainer.experiment_name == recipe
    # What verl would be told of a template's thinking switch: nothing, as fgrpo evaluate.
    assert prompts_for(name).thinking is None
    assert config.data.apply_chat_template_kwargs == {}


@recipes
def test_the_loss_keeps_the_gradient_within_the_paper_s_bounds(recipe, name, length, method, gamma):
    actor = actor_of(read(recipe))
    loss_of = get_policy_loss_fn(actor.policy_loss.loss_mode)
    low, high = BOUNDS[method]

    def slope(ratio, advantage):
        """Return the derivative of the objective by a token's log-probability."""
        old = torch.tensor([[-1.0]], dtype=torch.float64)
        new = (old + torch.tensor(ratio, dtype=torch.float64).log()).requires_grad_()
        loss, _ = loss_of(
            old_log_prob=old,
            log_prob=new,
            advantages=torch.full_like(old, advantage),
            response_mask=torch.ones_like(old),
            loss_agg_mode=actor.loss_agg_mode,
            config=actor,
        )
        return -float(torch.autograd.grad(loss, new)[0])

    inside = (low + high) / 2
    for advantage in (1.0, -1.0):
        assert slope(inside, advantage) == pytest.approx(advantage * inside)
        if method == "cispo":  # bounded, and never cut off
            assert slope(high + 1, advantage) == pytest.approx(advantage * high)
            assert slope(1e-3, advantage) == pytest.approx(advantage * 1e-3)
    if method != "cispo":
        assert slope(high - 1e-6, 1.0) == pytest.approx(high, rel=1e-5)
        assert slope(high + 1e-6, 1.0) == 0
        assert slope(low + 1e-6, -1.0) == pytest.approx(-low, rel=1e-5)
        assert slope(low - 1e-6, -1.0) == 0
        # verl's bound that is not in the paper's formula, and how to be rid of it.
        assert slope(2.9, -1.0) == pytest.approx(-2.9)
        assert slope(3.1, -1.0) == 0
        actor = actor_of(read(recipe, **{f"{ACTOR}.clip_ratio_c": 1e9}))
        assert slope(3.1, -1.0) == pytest.approx(-3.1)
        assert slope(1e12, -1.0) == pytest.approx(-0.0)  # verl's limit of any ratio, e^20


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", BOUNDS)
def test_baselines_differ_in_gamma_and_name_only(model, method):
    focal, plain = read(f"{model}-f-{method}"), read(f"{model}-{method}")
    assert without_names(difference(focal, plain)) == {
        "algorithm.focal_gamma": (MODELS[model][2][method], 0.0)
    }


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_differ_from_grpo_in_what_their_names_say(control):
    found = without_names(difference(read(control), read("qwen2.5-7b-grpo")))
    assert {name: value for name, (value, _) in found.items()} == CONTROLS[control]
    assert read(control).trainer.experiment_name == control


def without_names(settings):
    """Leave out the run's name, and what follows from it; check that it was among them."""
    derived = {"trainer.default_local_dir", "trainer.validation_data_dir"}
    named = {name for name in settings if name.endswith(".experiment_name")} | derived
    assert "trainer.experiment_name" in named
    assert derived <= settings.keys()
    return {name: value for name, value in settings.items() if name not in named}


def test_the_controls_values():
    low = read("qwen2.5-7b-low-learning-rate").actor_rollout_ref.actor.optim.lr
    assert low == round(1e-6 * float(update_scale(0.5)), 8)  # to two digits, as the paper gives it
    kl = read("qwen2.5-7b-kl-penalty").actor_rollout_ref.actor
    assert (kl.kl_loss_coef, kl.kl_loss_type) == (0.001, "low_var_kl")


@every
def test_verl_knows_every_setting(recipe):
    verl_s = flat(composed("verl.trainer.config", "ppo_trainer"))
    config = flat(read(recipe))
    smoothing = {name for name in CONTROLS.get(recipe, ()) if ".smoothing_" in name}
    new = config.keys() - verl_s.keys()
    # verl leaves this one empty; ours has an entry.
    assert new == OURS | smoothing
    assert verl_s.keys() - config.keys() == set()


@every
@pytest.mark.parametrize(("nodes", "engine"), [(1, "sglang"), (2, "vllm")])
@pytest.mark.filterwarnings("ignore:Disabled critic")
def test_verl_accepts_it_on_8_and_16_gpus(recipe, nodes, engine):
    changes = {"trainer.nnodes": nodes, "actor_rollout_ref.rollout.name": engine}
    config = read(recipe, **changes)
    needs_reference = need_reference_policy(config)
    assert needs_reference == (recipe == "qwen2.5-7b-kl-penalty")
    assert not need_critic(config)
    validate_config(config, use_reference_policy=needs_reference, use_critic=False)
    gpus = config.trainer.n_gpus_per_node * config.trainer.nnodes
    assert gpus == 8 * nodes
    actor = actor_of(config)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert actor.engine.strategy == "fsdp2"
    assert rollout.n == actor.rollout_n == 8
    assert (rollout.val_kwargs.do_sample, rollout.val_kwargs.temperature) == (True, 1.0)
    # Each rank has as many rollouts of an update as any other: train_mini_batch insists.
    assert actor.ppo_mini_batch_size * rollout.n % gpus == 0
    assert rollout.tensor_model_parallel_size == 1


@every
def test_the_longest_rollout_fits(recipe):
    config = read(recipe)
    actor, rollout, reference = (
        config.actor_rollout_ref[part] for part in ("actor", "rollout", "ref")
    )
    assert actor.use_dynamic_bsz
    longest = config.data.max_prompt_length + config.data.max_response_length
    assert actor.ppo_max_token_len_per_gpu >= longest
    for other in (rollout, reference):
        assert other.log_prob_use_dynamic_bsz
        assert other.log_prob_max_token_len_per_gpu >= longest


def test_warm_up_is_counted_in_batches():
    """verl moves the learning rate after a batch's last update: 15 steps are 60 updates."""
    config = read("qwen2.5-7b-f-grpo")
    actor, rollouts = actor_of(config), config.data.train_batch_size * 8
    moves = []

    class Worker:
        class engine:  # noqa: N801
            get_data_parallel_size = staticmethod(lambda: 1)
            get_data_parallel_rank = staticmethod(lambda: 0)
            is_mp_src_rank_with_outputs = staticmethod(lambda: False)

            class train_mode:  # noqa: N801
                def __init__(self, **_):
                    pass

                __enter__ = __exit__ = lambda *_: None

        class profiler:  # noqa: N801
            step = staticmethod(lambda: None)

        def train_batch(self, data):
            moves.append(tensordict_utils.get(data, "update_lr_scheduler"))

    data = TensorDict({"responses": torch.zeros(rollouts, 1)}, batch_size=rollouts)
    tensordict_utils.assign_non_tensor(
        data, mini_batch_size=actor.ppo_mini_batch_size * 8, epochs=actor.ppo_epochs
    )
    TrainingWorker.train_mini_batch.__wrapped__(Worker(), data)
    assert moves == [False, False, False, True]

    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], actor.optim.lr)
    schedule = get_constant_schedule_with_warmup(optimizer, actor.optim.lr_warmup_steps)
    rates = []
    for _ in range(17):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1e-6 * min(1, batch / 15) for batch in range(17)])


@every
def test_trainer_estimator_and_reward_are_found(recipe):
    config = OmegaConf.create(OmegaConf.to_container(read(recipe)))
    env = config.ray_kwargs.ray_init.runtime_env.env_vars
    importlib.import_module(env.VERL_USE_EXTERNAL_MODULES)
    trainer = get_trainer_cls(config.trainer.v1.trainer_mode)
    assert issubclass(trainer, PPOTrainerSync)
    assert trainer.__module__ == "fgrpo.integrations.verl.trainer"  # not verl's, without metrics
    estimator = get_adv_estimator_fn(config.algorithm.adv_estimator)
    assert estimator.__module__.startswith("fgrpo.integrations.verl.")
    assert config.trainer.use_v1
    score = get_custom_reward_fn(migrate_legacy_reward_impl(config))
    for answer, right in ((r"So it is \boxed{\frac{1}{2}}.", 1.0), (r"\boxed{2}", 0.0)):
        judged = score(data_source="deepscaler", solution_str=answer, ground_truth="0.5")
        assert judged == {"score": right, "acc": right, "unverifiable": 0.0}


def test_ray_s_workers_are_told_of_the_trainer(monkeypatch):
    """What reaches ``ray.init``, verl's own environment beside ours."""
    told = {}
    monkeypatch.delenv("NCCL_DEBUG", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **given: told.update(given))
    monkeypatch.setattr(ray, "get", lambda _: None)
    main_ppo.run_ppo(read("qwen2.5-7b-f-grpo"), MagicMock())
    variables = told["runtime_env"]["env_vars"]
    assert variables["VERL_USE_EXTERNAL_MODULES"] == "fgrpo.integrations.verl.trainer"
    assert variables["NCCL_DEBUG"] == "WARN"


def test_one_folder_holds_data_and_runs():
    config = read("qwen2.5-7b-f-grpo", folder="/shared")
    assert config.data.train_files == "/shared/data/deepscaler/verl/train.parquet"
    assert config.data.val_files == "/shared/data/deepscaler/verl/validation.parquet"
    assert config.trainer.default_local_dir == "/shared/runs/verl/qwen2.5-7b-f-grpo-gamma-0.5"
    inside = f"{config.trainer.default_local_dir}/"
    assert config.trainer.validation_data_dir.startswith(inside)


def test_another_gamma_does_not_resume_what_is_there():
    changes = {"trainer.experiment_name": "other", "algorithm.focal_gamma": 2.0}
    moved = read("qwen2.5-7b-f-grpo", **changes)
    assert moved.trainer.default_local_dir == "./runs/verl/other-gamma-2.0"


@every
def test_the_head_s_commands_are_this_recipe_s(recipe):
    title, data, (single, double) = head(recipe)
    model, _, run = recipe.rpartition("-") if recipe not in CONTROLS else ("qwen2.5-7b", "", "grpo")
    hub = MODELS[model.removesuffix("-f")][0]
    assert f"{run.upper()}" in title
    assert title.startswith("F-") == model.endswith("-f")
    assert f"on {hub.rpartition('/')[2]} with" in title
    assert shlex.split(data)[:4] == ["fgrpo", "data", "deepscaler", "--tokenizer"]
    assert shlex.split(data)[4:] == [hub, "--out", "data/deepscaler"]
    for command in (single, double):
        assert command[:3] == ["python", "-m", "verl.trainer.main_ppo"]
        assert command[3:5] == ["--config-path", f"pkg://{PACKAGE}"]
        assert command[5:7] == ["--config-name", recipe]
    assert single[7:] == []
    assert double[7:] == ["trainer.nnodes=2", "folder=/shared"]


def head(recipe):
    """Return the title of a recipe, the command for its data, and the words of the others."""
    text = shipped("verl")[recipe].read_text(encoding="utf-8")
    comment = re.match(r"(#.*\n)+", text)[0].replace("\\\n#", "")
    lines = [line.removeprefix("#") for line in comment.splitlines()]
    data, *commands = [line.strip() for line in lines if line.startswith("   ")]
    return lines[0].strip(), data, [shlex.split(command) for command in commands]


@pytest.mark.parametrize("which", [0, 1])
def test_a_head_s_command_works_from_any_folder(which, tmp_path):
    recipe = ("qwen2.5-7b-f-cispo", "qwen2.5-7b-kl-penalty")[which]
    command = head(recipe)[2][which]
    answer = subprocess.run(
        [sys.executable, *command[1:], "--cfg", "job"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    found = OmegaConf.create(answer.stdout)
    changes = {"trainer.nnodes": 2, "folder": "/shared"} if which else {}
    assert flat(found) == flat(read(recipe, **changes))
    assert list(Path(tmp_path).iterdir()) == []  # asking for the configuration starts nothing


def test_hydra_is_the_one_that_was_tested():
    assert hydra.__version__.startswith("1.3."), "does --config-path still take pkg://?"
