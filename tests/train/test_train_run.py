"""The whole of `fgrpo train`, as its user meets it."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from train_program import ENVIRONMENT, own_lines, start_server

from tiny_llm import save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("train_run")]

COMMON = [
    *("--use_cpu", "true", "--bf16", "false", "--report_to", "none", "--num_generations", "4"),
    *("--per_device_train_batch_size", "8", "--max_completion_length", "4", "--logging_steps", "1"),
]
GROUPS = ("focal/groups_solved_all", "focal/groups_solved_none", "focal/groups_mixed")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model with a chat template and one without."""
    folder = tmp_path_factory.mktemp("models")
    return {name: save_tiny(folder / name, chat=name == "chat") for name in ("chat", "plain")}


@pytest.fixture(scope="module")
def programs():
    with start_server() as server:
        yield server


@pytest.fixture
def folder(tmp_path):
    rows = [{"problem": f"{i}+1=", "answer": i + 1} for i in range(12)]
    for name, some in {"rows": rows[:8], "held_out": rows[8:], "few": rows[:3]}.items():
        text = "".join(json.dumps(row) + "\n" for row in some)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return tmp_path


@pytest.fixture
def line(models):
    """The words of a run on the rows of `folder`, with changes."""

    def words(*more, model="chat", data="rows.jsonl", steps=2):
        given = ["--model_name_or_path", models[model], "--dataset_name", data, *COMMON]
        return ["train", *given, "--max_steps", str(steps), "--output_dir", "out", *more]

    return words


@pytest.fixture
def train(programs, folder, line):
    """Run to the end."""
    return lambda *more, **settings: programs.run(*line(*more, **settings), folder=folder)


def starts(folder):
    return json.loads((folder / "out" / "train.json").read_text(encoding="utf-8"))


def is_whole(checkpoint):
    """Whether its last file was written in full before the kill."""
    try:
        return bool(state(checkpoint))
    except (OSError, ValueError):
        return False


def state(checkpoint):
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def evaluate(programs, folder, *model):
    words = ["--benchmark", "held_out.jsonl", "--samples", "2", "--max-tokens", "4"]
    return programs.run(
        *("evaluate", "--model", *model, *words, "--device", "cpu", "--out", "evaluation"),
        folder=folder,
    )


def test_from_the_command_line_to_a_model_that_can_be_evaluated(folder, line, programs):
    """As a user starts it: nothing of the test's server."""
    words = line("--verifier", "train_verifiers:even", "--save_steps", "2")
    done = subprocess.run(
        [sys.executable, "-m", "fgrpo", *words, "--focal_gamma", "1"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert own_lines(done.stderr) == []
    for part in (
        "grpo: loss_type dapo, ratio in [0.8, 1.2]",
        "(1 - success rate of the group)^1;",
        "train_verifiers:even; correct from 0.5 on",
        "2 prompts × 4 completions = 8",
        "8 prompts of rows.jsonl",
        "chat template, system prompt: Reason step by step",
        "chat, all weights",
        "2 updates; at most 4 new tokens",
        "fgrpo evaluate --model out --benchmark NAME --out FOLDER",
    ):
        assert part in done.stdout
    (start,) = starts(folder)
    assert start["command"].startswith("fgrpo train --model_name_or_path")
    assert start["settings"]["verifier"] == "train_verifiers:even"
    assert start["settings"]["model_name_or_path"] == words[2]
    assert start["updates"] == 2
    assert start["data"] == "8 prompts of rows.jsonl"
    assert start["prompts"]["chat"] is True
    assert start["settings"]["focal_gamma"] == 1.0
    assert start["settings"]["dataset_name"] == "rows.jsonl"
    assert start["packages"]["trl"]
    assert start["device"] == "cpu"
    history = state(folder / "out" / "checkpoint-2")["log_history"]
    assert len(history) == 2
    for step in history:
        assert sum(step[name] for name in GROUPS) == pytest.approx(1)
        # A share of the groups of four completions; a weight of at most 1.
        assert step["focal/success_rate_mean"] == pytest.approx(step["rewards/even_reward/mean"])
        assert 0 <= step["focal/weight_mean"] <= 1
    evaluated = evaluate(programs, folder, "out")
    assert evaluated.code == 0, evaluated.err
    assert "held_out" in evaluated.out


def test_a_lora_folder_can_be_evaluated_and_goes_on(folder, train, programs, models):
    lora = ["--use_peft", "true", "--lora_target_modules", "all-linear", "--save_steps", "1"]
    first = train(*lora)
    assert first.code == 0, first.err
    assert (folder / "out" / "adapter_model.safetensors").exists()
    assert not (folder / "out" / "model.safetensors").exists()
    said = first.out.strip().splitlines()[-1]
    model = said.partition("--model ")[2].partition(" --benchmark")[0].split()
    assert model == [models["chat"], "--adapter", "out"]
    evaluated = evaluate(programs, folder, *model)
    assert evaluated.code == 0, evaluated.err
    more = train(*lora, "--resume_from_checkpoint", "true", steps=3)
    assert more.code == 0, more.err
    assert state(folder / "out" / "checkpoint-3")["global_step"] == 3
    assert [start["settings"]["verifier"] for start in starts(folder)] == ["maths"] * 2


def test_reasoning_gym_with_an_evaluation_on_other_problems(train, folder):
    name = "reasoning-gym:gcd:size=8:seed=1"
    done = train(
        *("--eval_dataset_name", "reasoning-gym:gcd:size=2:seed=900", "--eval_strategy", "steps"),
        *("--eval_steps", "1", "--per_device_eval_batch_size", "4", "--save_steps", "2"),
        data=name,
    )
    assert done.code == 0, done.err
    (start,) = starts(folder)
    assert start["settings"]["verifier"] == "reasoning-gym"
    assert start["data"].startswith(f"8 prompts of {name} (reasoning-gym 0.")
    history = state(folder / "out" / "checkpoint-2")["log_history"]
    evaluations = [step for step in history if "eval_focal/weight_mean" in step]
    assert len(evaluations) == 2
    for step in evaluations:  # of the two prompts, not the eight
        assert round(step["eval_runtime"] * step["eval_samples_per_second"]) == 2
    assert sum("eval_rewards/reasoning_gym_reward/mean" in step for step in history) == 2


def test_killed_and_resumed(programs, folder, line, train):
    common = ["--verifier", "exact", "--save_steps", "1", "--lr_scheduler_type", "constant"]
    out = folder / "out"
    # Resuming what has not begun is starting. A model without a template is asked in plain text.
    first = programs.start(
        *line(*common, "--resume_from_checkpoint", "true", steps=10_000, model="plain"),
        folder=folder,
    )
    first.until(out / "checkpoint-2" / "trainer_state.json")
    first.signal(signal.SIGKILL)
    assert first.wait().code == -signal.SIGKILL
    assert "plain text, system prompt" in first.out
    assert starts(folder)[0]["prompts"]["chat"] is False
    assert "no checkpoint in out yet: starting from the beginning" in first.out

    refused = train(*common, model="plain")
    assert refused.code == 2
    assert len(own_lines(refused.err)) == 1
    assert "out has checkpoints, the last checkpoint-" in own_lines(refused.err)[0]

    last = max(int(path.name[11:]) for path in out.glob("checkpoint-*") if is_whole(path))
    before = state(out / f"checkpoint-{last}")["log_history"]
    # Checkpoints that the kill cut off are passed over, and written anew.
    cut, torn = (out / f"checkpoint-{last + more}" for more in (1, 2))
    for unfinished in (cut, torn):
        shutil.copytree(out / f"checkpoint-{last}", unfinished, dirs_exist_ok=True)
        (unfinished / "optimizer.pt").write_bytes(b"")
    (cut / "trainer_state.json").unlink()
    (torn / "trainer_state.json").write_text('{"epoch": 1.')
    resumed = train(*common, "--resume_from_checkpoint", "true", steps=last + 2, model="plain")
    assert resumed.code == 0, resumed.err
    assert "no checkpoint" not in resumed.out
    end = state(out / f"checkpoint-{last + 2}")
    assert end["global_step"] == last + 2
    assert end["log_history"][:last] == before[:last]
    assert [step["step"] for step in end["log_history"]] == list(range(1, last + 3))
    assert (cut / "trainer_state.json").exists()
    assert [start["updates"] for start in starts(folder)] == [10_000, last + 2]


def test_interrupted_by_the_keyboard(programs, folder, line):
    running = programs.start(*line("--verifier", "exact", steps=10_000), folder=folder)
    running.until(folder / "out" / "train.json")
    running.signal(signal.SIGINT)
    assert running.wait().code == 130
    assert "Stopped. The same command with --resume_from_checkpoint true" in running.err


def test_two_processes_speak_once(folder, line):
    words = line("--verifier", "exact", "--save_steps", "1", steps=1)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "fgrpo", *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for part in ("method      grpo", "length      1 updates", "Saved in out"):
        assert done.stdout.count(part) == 1
    assert "4 prompts × 4 completions = 16 (8 per device × 2 processes × 1 step" in done.stdout
    (start,) = starts(folder)
    assert start["updates"] == 1


EVALUATE = ["--eval_strategy", "steps", "--eval_steps", "1", "--per_device_eval_batch_size", "4"]
REFUSED = {
    "data that are not there": (["--dataset_name", "none.jsonl"], ["none.jsonl: no such file"]),
    "empty data": (["--dataset_name", "empty.jsonl"], ["nothing to train on: 0 prompts"]),
    "too few data": (
        ["--dataset_name", "few.jsonl", "--gradient_accumulation_steps", "2"],
        ["3 prompts do not fill one generation of 4"],
    ),
    "an unknown field": (["--focal_gama", "1"], ["did you mean --focal_gamma"]),
    "a group of one": (["--num_generations", "1"], ["num_generations=1"]),
    "a verifier that is not there": (
        ["--verifier", "train_verifiers:nothing"],
        ["cannot be imported", "nothing"],
    ),
    "all prompts too long": (["--max_prompt_tokens", "3"], ["8 longer than 3 tokens"]),
    "the paper's bounds in TRL's place": (
        ["--loss_type", "cispo"],
        ["caps every ratio at 0.2", "6.0"],
    ),
    "evaluation on the training file": (EVALUATE, ["no split to evaluate on"]),
    "the training file by another name": (
        [*EVALUATE, "--eval_dataset_name", "./rows.jsonl"],
        ["no split to evaluate on"],
    ),
    "an evaluation by another verifier": (
        [*EVALUATE, "--eval_dataset_name", "reasoning-gym:gcd:size=4"],
        ["is checked by reasoning-gym", "by maths"],
    ),
    "no checkpoint": (["--resume_from_checkpoint", "."], ["no folder of a checkpoint"]),
}


@pytest.mark.parametrize(("words", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_told_in_one_line(train, folder, words, told):
    (folder / "empty.jsonl").touch()
    done = train(*words)
    assert done.code == 2
    assert len(own_lines(done.err)) == 1
    assert own_lines(done.err)[0].startswith("fgrpo: ")
    assert [part for part in told if part not in own_lines(done.err)[0]] == []
    assert "Loading weights" not in done.err  # told before a model is loaded
    assert not (folder / "out").exists()


def test_a_template_that_is_not_there_is_refused(train):
    done = train("--use_chat_template", "true", model="plain")
    assert done.code == 2
    assert "no chat template" in own_lines(done.err)[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model_name_or_path", "./none"], "./none: no such folder"),
        (["--model_name_or_path", "."], ".: a folder without a tokenizer"),
        (["--output_dir", "rows.jsonl"], "rows.jsonl: could not be written"),
        (["--dataset_name", "owner/none"], "owner/none: could not be loaded"),
    ],
)
def test_what_fails_is_told_in_one_line(train, words, told):
    done = train(*words)
    assert done.code == 1
    assert len(own_lines(done.err)) == 1
    assert own_lines(done.err)[0].startswith(f"fgrpo: {told}")


def test_help_and_list(programs, folder):
    shown = programs.run("train", "--help_all", folder=folder)
    assert shown.code == 0
    for field in ("--focal_gamma", "--learning_rate", "--lora_target_modules", "--dataset_name"):
        assert field in shown.out
    listed = programs.run("train", "--list", folder=folder)
    assert listed.code == 0
    assert "recipes/trl/quickstart.yaml" in listed.out.splitlines()
    assert all(Path(name).suffix == ".yaml" for name in listed.out.split())


def test_a_finished_training_is_not_trained_further(train, folder):
    done = train("--save_steps", "2")
    weights = (folder / "out" / "model.safetensors").read_bytes()
    (folder / "out" / "model.safetensors").unlink()  # as if killed before it was saved
    again = train("--save_steps", "2", "--resume_from_checkpoint", "true")
    assert (done.code, again.code) == (0, 0), again.err
    assert "has all 2 updates" in again.out
    assert (folder / "out" / "model.safetensors").read_bytes() == weights
    assert not list((folder / "out").glob("optimizer*"))
    assert not (folder / "out" / "checkpoint-3").exists()


def test_a_training_does_not_go_on_as_another(train, folder):
    assert train("--save_steps", "1").code == 0
    more = ["--resume_from_checkpoint", "true", "--focal_gamma", "0", "--method", "cispo"]
    done = train(*more, steps=3)
    assert done.code == 2
    for part in ("focal_gamma 0.5, now 0.0", "method grpo, now cispo", "out was begun with"):
        assert part in own_lines(done.err)[0]
    (folder / "out" / "train.json").write_text("[{")
    assert train("--resume_from_checkpoint", "True", steps=3).code == 0
    assert (folder / "out" / "train.damaged.json").read_text() == "[{"


def test_a_model_without_a_template_is_evaluated_as_it_was_trained(train, folder, programs):
    done = train("--save_strategy", "no", "--hub_token", "hf_secret", model="plain")
    assert done.code == 0, done.err
    assert "fgrpo evaluate --model out --no-chat --benchmark" in done.out
    assert evaluate(programs, folder, "out", "--no-chat").code == 0
    assert "hf_secret" not in (folder / "out" / "train.json").read_text()
    assert starts(folder)[0]["prompts"]["chat"] is False
