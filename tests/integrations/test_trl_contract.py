"""What the focal weight relies on in TRL, checked on the installed release and on the oldest.

A failure here after an upgrade of TRL says which of its methods no longer does what
`fgrpo.integrations.trl.mixin` expects.
"""

import inspect
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trl
from packaging.version import Version
from trl import GRPOTrainer
from trl_runs import (
    RENAMED,
    Recorded,
    Seen,
    agree,
    counted,
    focal,
    fractions,
    questions,
    same,
    settings,
    train,
)

import fgrpo
from fgrpo.integrations.trl import FocalAdvantages, FocalGRPOTrainer
from fgrpo.integrations.trl.mixin import SUPPORTED_TRL
from tiny_llm import save_tiny

pytestmark = [pytest.mark.slow, RENAMED]
OLDEST = "0.29.0"


class Plain(Recorded, GRPOTrainer):
    """TRL's own trainer, its generation batches kept."""


def test_the_installed_trl_is_supported():
    first, last = map(Version, SUPPORTED_TRL.split(" to "))
    installed = Version(trl.__version__)
    assert first <= installed, f"TRL {installed} is older than what is supported"
    assert installed.release[:2] <= last.release, (
        f"TRL {installed} is newer than {last}: if the other tests of this file pass with it, "
        "raise SUPPORTED_TRL"
    )


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("_generate_and_score_completions", ["inputs"]),
        ("_calculate_rewards", ["inputs", "prompts", "completions", "completion_ids_list"]),
        ("log", ["logs", "start_time"]),
    ],
)
def test_the_methods_are_there(method, arguments):
    found = getattr(GRPOTrainer, method, None)
    assert found is not None, f"GRPOTrainer has no {method}"
    signature = inspect.signature(found)
    try:
        signature.bind(None, *arguments)
    except TypeError as error:
        pytest.fail(f"GRPOTrainer.{method}{signature} does not take {arguments}: {error}")


def test_the_trainer_has_what_the_weight_reads(tmp_path):
    trainer = train(Plain, settings(tmp_path, max_steps=1, num_generations_eval=2)).trainer
    assert trainer.num_generations == 4
    assert trainer.num_generations_eval == 2
    assert trainer.reward_func_names == ["thirds"]
    assert trainer.model.training
    assert trainer.accelerator.num_processes == 1
    assert trainer.accelerator.process_index == 0
    assert set(trainer._metrics) == {"train", "eval"}


def test_rewards_are_calculated_once_for_a_generation_batch_group_by_group(tmp_path):
    calls = []

    class Watched(GRPOTrainer):
        def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
            rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            calls[-1].append((prompts, rewards))
            return rewards

        def _generate_and_score_completions(self, inputs):
            calls.append([])
            output = super()._generate_and_score_completions(inputs)
            assert [row["prompt"] for row in inputs] == calls[-1][0][0]
            return output

    def position(prompts, **_):
        return [float(prompt.partition("+")[0]) for prompt in prompts]

    def rank(prompts, **_):
        return list(map(float, range(len(prompts))))

    train(
        Watched,
        settings(tmp_path, steps_per_generation=4, per_device_train_batch_size=4, max_steps=8),
        rewards=[position, rank],
    )
    assert [len(batch) for batch in calls] == [1, 1], (
        "_calculate_rewards is not called once for each generation batch"
    )
    for ((prompts, rewards),) in calls:
        assert rewards.shape == (16, 2), "rewards are not (rollouts, functions)"
        assert rewards[:, 1].tolist() == list(range(16)), "rewards are not in the order of prompts"
        groups = rewards[:, 0].view(4, 4)
        assert (groups == groups[:, :1]).all(), "a group's rollouts are not side by side"
        assert len(set(groups[:, 0].tolist())) == 4
        assert prompts == [f"{int(number)}+1=" for number in rewards[:, 0]]


def spread(completion_ids, **_):
    return [float(sum(ids) % 7) for ids in completion_ids]


@pytest.mark.parametrize(("scale", "ours"), [("group", "std"), ("none", "none")])
def test_the_advantages_are_those_of_fgrpo(tmp_path, scale, ours):
    run = train(Plain, settings(tmp_path, scale_rewards=scale), rewards=spread)
    assert len(run.trainer.batches) == 3
    for batch in run.trainer.batches:
        rewards = torch.tensor(batch.rewards)[:, 0]
        expected = fgrpo.group_advantages(rewards, 4, scale=ours, epsilon=1e-4)
        assert batch.advantages.shape == (16,), "advantages are not those of this process's batch"
        torch.testing.assert_close(
            batch.advantages, expected, msg=lambda text: f"TRL's advantages changed: {text}"
        )


def test_metrics_reach_the_log_as_means_over_its_steps(tmp_path):
    run = train(
        Seen,
        focal(
            tmp_path,
            max_steps=4,
            logging_steps=2,
            eval_strategy="steps",
            eval_steps=4,
            per_device_eval_batch_size=8,
        ),
        eval_dataset=questions(4),
    )
    means = {"train": [], "eval": []}
    for batch in run.trainer.batches:
        rates = fractions([row[0] for row in batch.rewards], 4)
        means[batch.mode].append(float(statistics.mean(rates)))
    steps = [means["train"][:2], means["train"][2:]]
    for prefix, batches in (("", steps), ("eval_", [means["eval"]])):
        name = f"{prefix}focal/success_rate_mean"
        logged = [row[name] for row in run.logs if name in row]
        assert logged == pytest.approx(list(map(statistics.fmean, batches))), (
            "what is put into _metrics is not what is logged"
        )


def test_gamma_0_is_trl_and_other_weights_are_those_counted(tmp_path):
    plain = train(GRPOTrainer, settings(tmp_path))
    assert same(train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0)), plain)
    weighted = train(FocalGRPOTrainer, focal(tmp_path, focal_gamma=0.5))
    agree(weighted, train(counted(), settings(tmp_path)), plain)


class NoTrainer:
    """Has neither of the methods."""


class OnlyRewards:
    def _calculate_rewards(self):
        pytest.fail("called")


@pytest.mark.parametrize(
    ("base", "missing"),
    [
        (NoTrainer, "_calculate_rewards and _generate_and_score_completions"),
        (OnlyRewards, "has _generate_and_score_completions,"),
    ],
)
def test_a_class_without_the_methods_cannot_be_defined(base, missing):
    with pytest.raises(TypeError, match=f"(?s)Mine: .*{missing}.*{SUPPORTED_TRL}"):
        type("Mine", (FocalAdvantages, base), {})


def test_the_mixin_after_the_trainer_cannot_be_defined():
    with pytest.raises(TypeError, match=r"class X\(FocalAdvantages, GRPOTrainer\)"):
        type("Mine", (GRPOTrainer, FocalAdvantages), {})


class Flat(GRPOTrainer):
    def _calculate_rewards(self, *args):
        return super()._calculate_rewards(*args)[:, 0]


class Ragged(GRPOTrainer):
    def _calculate_rewards(self, *args):
        return super()._calculate_rewards(*args)[:-1]


class NoColumn(GRPOTrainer):
    def _calculate_rewards(self, *args):
        return super()._calculate_rewards(*args)[:, :0]


class Elsewhere(GRPOTrainer):
    def _generate_and_score_completions(self, inputs):
        return {"advantages": torch.zeros(len(inputs))}


class Renamed(GRPOTrainer):
    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        return {"gains" if name == "advantages" else name: output[name] for name in output}


class Halved(GRPOTrainer):
    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        return {**output, "advantages": output["advantages"][::2]}


@pytest.mark.parametrize(
    ("base", "what"),
    [
        (Flat, r"shape \(16,\), not \(whole groups of 4, 1 functions\)"),
        (Ragged, r"shape \(15, 1\)"),
        (NoColumn, r"shape \(16, 0\)"),
        (Elsewhere, "did not call _calculate_rewards"),
        (Renamed, "did not return advantages"),
        (Halved, "16 rewards for 8 advantages on each of 1 processes"),
    ],
)
def test_a_trainer_that_works_otherwise_is_refused(tmp_path, base, what):
    mine = type("Mine", (FocalAdvantages, base), {})
    with pytest.raises(RuntimeError, match=f"{what}.*use TRL {SUPPORTED_TRL}"):
        train(mine, settings(tmp_path))


def test_a_batch_is_never_weighed_by_the_one_before(tmp_path):
    class Forgetful(GRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            if self.state.global_step:
                return {"advantages": torch.zeros(len(inputs))}
            return super()._generate_and_score_completions(inputs)

    mine = type("Mine", (FocalAdvantages, Forgetful), {})
    with pytest.raises(RuntimeError, match="did not call _calculate_rewards"):
        train(mine, settings(tmp_path))


def test_the_oldest_supported_release_holds_the_contract_and_trains(request, tmp_path):
    assert OLDEST.startswith(SUPPORTED_TRL.split(" to ")[0])
    folder = Path(request.config.cache.mkdir(f"trl-{OLDEST}"))
    if not (folder / f"trl-{OLDEST}.dist-info").is_dir():
        install = ["install", "--quiet", "--retries", "1", "--no-deps", "--target", str(folder)]
        pip = run_python({}, "-m", "pip", *install, f"trl=={OLDEST}")
        if pip.returncode:
            pytest.skip(f"pip cannot install trl=={OLDEST}: {pip.stderr.strip()[-300:]}")
    found = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    old = {"PYTHONPATH": found, "PYTEST_ADDOPTS": ""}
    assert run_python(old, "-c", "import trl; print(trl.__version__)").stdout.strip() == OLDEST
    # The child leaves this very test out, or it would have a child of its own.
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    child = run_python(old, "-m", "pytest", "-q", *plugins, "-k", "not oldest", __file__)
    assert child.returncode == 0, child.stdout[-3000:]
    assert "1 deselected" in child.stdout
    assert "skipped" not in child.stdout
    words = ["--model_name_or_path", save_tiny(tmp_path / "model"), "--max_steps", "1"]
    words += ["--dataset_name", "reasoning-gym:gcd:size=8:seed=1", "--max_completion_length", "4"]
    words += ["--use_cpu", "true", "--bf16", "false", "--output_dir", str(tmp_path / "out")]
    trained = run_python(old, "-m", "fgrpo", "train", *words)
    assert trained.returncode == 0, trained.stderr[-3000:]
    assert (tmp_path / "out" / "model.safetensors").exists()


def run_python(environment, *words):
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
