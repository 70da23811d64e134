"""benchmarks/llm_gpu.py from end to end, at the size of a toy."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from fgrpo.evaluate.samplers.base import Request, Usage
from fgrpo.records import read_records

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import llm_gpu  # noqa: E402
from llm.budget import Budget, OutOfTimeError  # noqa: E402
from llm.checkpoints import last_checkpoint, longest_step  # noqa: E402
from llm.evaluation import WithinBudget  # noqa: E402
from llm.items import choose_held_out, exact_reward, prompt  # noqa: E402
from llm.model import line_ends  # noqa: E402
from llm.report import ks  # noqa: E402
from llm.settings import parse  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("trl"),
    # Of TRL and transformers about names of their own that will change.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

ARMS = ["gamma-0-seed-1", "gamma-1-seed-1"]
STEPS = 6
TOTAL = 64  # 8 held-out questions, 8 samples each


def arguments(folder, *more):
    return ["--toy", "--seeds", "1", "--device", "cpu", "--out", str(folder), *more]


def drawn(folder, name):
    """What a sample is, without its log-probability, whose last digit is rounding."""
    records = read_records(folder / "evaluations" / name / "records.jsonl")
    return sorted((one.problem, one.sample, one.correct, one.tokens) for one in records)


def weights(model):
    return (model / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("llm") / "whole"
    assert llm_gpu.main(arguments(folder)) == 0
    return folder


@pytest.fixture
def begun(whole, tmp_path):
    """Settings, and a folder with questions and base model but no results."""
    folder = tmp_path / "begun"
    for name in ("items", "model"):
        shutil.copytree(whole / name, folder / name)
    _, settings, pace = parse(arguments(folder))
    return folder, settings, pace


class Limited(Budget):
    """Allows so many things, whatever they take."""

    def __init__(self, times):
        self.times = times

    def allows(self, seconds):
        self.times -= 1
        return self.times >= 0


def program(folder, *more, **how):
    command = [sys.executable, str(ROOT / "benchmarks" / "llm_gpu.py"), *arguments(folder, *more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_killed_run_goes_on_and_equals_an_undisturbed_one(whole, tmp_path):
    folder = tmp_path / "killed"
    running = program(folder, "--save-every", "1")
    arm = folder / "training" / ARMS[1]
    end = time.monotonic() + 120
    while last_checkpoint(arm) is None:
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    reached = last_checkpoint(arm)
    assert reached is not None
    assert not (arm / "model").exists()
    # What a kill in the middle of writing would leave.
    torn = shutil.copytree(reached, arm / f"checkpoint-{STEPS - 1}", dirs_exist_ok=True)
    (torn / "whole").unlink()
    (torn / "model.safetensors").write_bytes(b"half")

    going_on = program(folder, "--save-every", "1")
    said, _ = going_on.communicate(timeout=120)
    assert going_on.returncode == 0, said
    steps = [line.split()[1] for line in said.splitlines() if line.startswith("  step ")]
    first = 1 + int(reached.name.partition("-")[2]) if reached != torn else 1
    assert steps == [str(step) for step in range(first, STEPS)]
    for name in ("base", *ARMS):
        assert drawn(folder, name) == drawn(whole, name)
        assert len(drawn(folder, name)) == TOTAL
    for name in ARMS:
        assert weights(folder / "training" / name / "model") == weights(
            whole / "training" / name / "model"
        )
    assert not list(folder.glob("training/*/checkpoint-*"))
    assert "no significant difference" in said


def test_training_stops_for_the_budget_and_goes_on(begun, whole, capsys):
    from llm.train import train

    folder, settings, pace = begun
    target = folder / "training" / ARMS[1]
    with pytest.raises(OutOfTimeError, match="step 0 of 6"):
        train(folder, target, settings, pace, Limited(0), (1.0, 1))
    with pytest.raises(OutOfTimeError, match="step 3 of 6"):
        train(folder, target, settings, replace(pace, save_every=100), Limited(3), (1.0, 1))
    assert last_checkpoint(target) == target / "checkpoint-3"
    capsys.readouterr()
    train(folder, target, settings, pace, Budget(None, 0.0), (1.0, 1))
    saved = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  step")]
    assert saved == ["  step 5 of 6"], "from step 3 on, every 2"
    assert weights(target / "model") == weights(whole / "training" / ARMS[1] / "model")
    steps = [line["step"] for line in json.loads((target / "log.json").read_text())]
    assert steps[:STEPS] == list(range(1, STEPS + 1))


def test_evaluation_stops_for_the_budget_and_goes_on(begun, whole):
    from llm.evaluation import evaluate_model

    folder, settings, pace = begun
    target = folder / "evaluations" / "base"

    def go(budget):
        evaluate_model(folder, target, folder / "model", settings, pace, budget, {})

    with pytest.raises(OutOfTimeError, match="0 of 64 samples"):
        go(Limited(0))
    with pytest.raises(OutOfTimeError, match="32 of 64 samples"):
        go(Limited(3))  # one to begin, then two batches of 16
    go(Budget(None, 0.0))
    assert drawn(folder, "base") == drawn(whole, "base")
    go(Limited(0))  # nothing is left to do


def test_the_summary_agrees_with_records_and_log(whole):
    summary = json.loads((whole / "summary.json").read_text())
    for name, label in (("base", "base"), (ARMS[0], "GRPO"), (ARMS[1], "F-GRPO 1")):
        found = drawn(whole, name)
        right = sum(correct for _, _, correct, _ in found)
        solved = len({problem for problem, _, correct, _ in found if correct})
        assert summary["pass_at_k"][label]["1"] == pytest.approx(right / TOTAL)
        assert summary["pass_at_k"][label]["8"] == pytest.approx(solved / 8)
        assert 0 < right < TOTAL, "a toy with no signal tests nothing"
    plain, focal = (summary["training"][name] for name in ARMS)
    assert plain["focal/weight_mean"] == [1.0, 1.0]
    assert focal["focal/weight_mean"][0] == pytest.approx(1 - focal["reward"][0])
    for name in ARMS:
        log = json.loads((whole / "training" / name / "log.json").read_text())
        rewards = [log[0]["reward"], log[STEPS - 1]["reward"]]
        assert summary["training"][name]["reward"] == rewards
        assert rewards[0] != rewards[1], "a toy that learns nothing tests nothing"
    assert plain["steps"] == focal["steps"] == STEPS
    assert plain["reward"][0] == focal["reward"][0], "the first step is the same for both"
    assert weights(whole / "training" / ARMS[0] / "model") != weights(
        whole / "training" / ARMS[1] / "model"
    )
    assert [one["arm"] for one in summary["verdicts"]["base"]] == ["GRPO", "F-GRPO 1"]
    assert [one["arm"] for one in summary["verdicts"]["grpo"]] == ["F-GRPO 1"]
    (call,) = summary["calls"]
    assert call["packages"]["trl"]
    assert set(call["seconds"]) >= {"prepare", "evaluate base", f"train {ARMS[0]}"}


def test_held_out_questions_are_none_of_training(whole):
    (held_out,) = (whole / "items").glob("gcd.jsonl")
    asked = [json.loads(line)["problem"] for line in held_out.read_text().splitlines()]
    trained = (whole / "items" / "train-seed-1.jsonl").read_text().splitlines()
    assert len(trained) == STEPS * 4
    assert not {json.loads(line)["prompt"] for line in trained} & set(asked)
    assert len(set(asked)) == 8


def test_seen_and_repeated_questions_are_dropped():
    made = [("a", "1"), ("b", "2"), ("a", "1"), ("c", "3"), ("d", "4")]
    assert choose_held_out(made, {"b"}, 2) == ([("a", "1"), ("c", "3")], 2)
    assert choose_held_out(made, {"b"}, 3) == ([("a", "1"), ("c", "3"), ("d", "4")], 2)
    with pytest.raises(RuntimeError, match="only 3 of 5"):
        choose_held_out(made, {"b"}, 4)


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (" 12", 1),
        (" 12\n", 1),
        (" 12 \nQuestion: 5", 1),
        ("\n12", 0),
        (" 12.", 0),
        (" 112", 0),
        (" 1 2", 0),
        (" 012", 0),
        (" 5 or 12", 0),
        (" -12", 0),
        ("", 0),
    ],
)
def test_the_first_line_must_be_the_answer(text, reward):
    assert exact_reward([text, "7"], ["12", "7"], prompts=[]) == [reward, 1]


def test_prompts_show_solved_questions_first():
    shots = [("1 + 1 =", "2"), ("2 + 2 =", "4")]
    assert prompt(shots, "3 + 3 =") == (
        "Question: 1 + 1 =\nAnswer: 2\nQuestion: 2 + 2 =\nAnswer: 4\nQuestion: 3 + 3 =\nAnswer:"
    )


def test_line_ends_are_white_space_with_an_end_of_line():
    class Words:
        texts = ("\n", "\n\n", " \n", "a\n", " ", "b", "")

        def __len__(self):
            return len(self.texts)

        def batch_decode(self, rows):
            return [self.texts[token] for (token,) in rows]

    assert line_ends(Words()) == {0, 1, 2}


def test_ks_end_with_the_number_of_samples():
    assert ks(256) == [1, 4, 16, 64, 256]
    assert ks(10) == [1, 4, 10]
    assert ks(1) == [1]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--steps", "7"], "steps was 6, now 7"),
        (["--seeds", "2"], r"seeds was \[1\], now \[2\]"),
        (["--group", "1"], "--group must be at least 2"),
        (["--micro-batch", "5"], "does not divide the 32 rollouts"),
        (["--gammas", "0", "0"], "--gammas names one twice"),
    ],
)
def test_other_settings_are_refused(whole, more, told, capsys):
    before = (whole / "settings.json").read_bytes()
    assert llm_gpu.main(arguments(whole, *more)) == 2
    assert re.search(told, capsys.readouterr().err)
    assert (whole / "settings.json").read_bytes() == before


def test_a_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("mine")
    assert llm_gpu.main(arguments(tmp_path)) == 2
    assert "holds other files" in capsys.readouterr().err


def test_questions_can_be_written_alone(whole, tmp_path, capsys):
    folder = tmp_path / "questions"
    assert llm_gpu.main(arguments(folder, "--only-questions")) == 0
    assert "the rest follows" in capsys.readouterr().out
    assert not (folder / "model").exists()
    for path in (whole / "items").iterdir():
        assert (folder / "items" / path.name).read_bytes() == path.read_bytes()


def test_without_time_it_says_so_and_ends_well(tmp_path, capsys):
    assert llm_gpu.main(arguments(tmp_path / "new", "--budget", "0.001")) == 0
    assert "not finished: run again (questions: not begun)" in capsys.readouterr().out


def test_checkpoints_are_kept_at_intervals_and_only_the_last(tmp_path):
    from llm.train import Keeper

    keeper = Keeper(Budget(None, 0.0), save_every=3, begun=1, step=0.0)
    where, saved = SimpleNamespace(output_dir=str(tmp_path)), []
    for step in range(2, 10):
        state = SimpleNamespace(global_step=step, max_steps=9)
        control = SimpleNamespace(should_save=False, should_training_stop=False)
        keeper.on_step_begin(where, state, control)
        keeper.on_step_end(where, state, control)
        assert not control.should_training_stop
        if control.should_save:
            (tmp_path / f"checkpoint-{step}").mkdir()
            keeper.on_save(where, state, control)
            saved.append(step)
    assert saved == [4, 7]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-7"]
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-7"


def test_a_batch_that_would_come_too_late_is_not_asked_for():
    class Sampler:
        usage, asked = Usage(), 0
        describe = close = None

        def sample(self, requests):
            for request in requests:
                self.asked += 1
                yield request, []

    inner = Sampler()
    requests = [Request(f"q{i}", (), 0, 1, 0) for i in range(10)]
    answered = [one.problem for one, _ in WithinBudget(inner, Limited(2), 3).sample(requests)]
    assert answered == [f"q{i}" for i in range(6)]
    assert inner.asked == 6


def test_the_longest_step_is_that_of_all_arms(tmp_path):
    assert longest_step(tmp_path) == 0.0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.json").write_text(json.dumps([{"step_time": 2.0}, {"train_loss": 7}]))
    for step, seconds in ((1, 5.0), (2, 9.0)):
        checkpoint = tmp_path / "b" / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        state = {"log_history": [{"step_time": seconds}]}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "b" / "checkpoint-1" / "whole").touch()
    assert longest_step(tmp_path) == 5.0


def test_a_budget_holds_some_time_back():
    assert Budget(None, 0.0).allows(1e9)
    now = time.monotonic()
    assert Budget(100.0, now).allows(85.0)
    assert not Budget(100.0, now).allows(95.0)
    assert not Budget(600.0, now - 590.0).allows(0.0)
