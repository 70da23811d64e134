"""``fgrpo plan --trainer``: batches checked alone and beside a plan."""

import pytest
from plan_command import HALF, TRL, VERL, flowing, pilot

from fgrpo.plan import Recommendation, planning


def test_a_batch_is_checked_without_a_plan(planned, written):
    out = planned(*TRL, "--processes", 8, "--accumulation", 2, "--group-size", 16)
    assert flowing(out) == (
        "This batch is valid for TRL with 8 processes: 4 prompts × 16 = 64 rollouts a step, "
        "1 update a step, each of 64 rollouts (4 prompts)."
    )
    assert written.plan is None


def test_every_setting_of_trl_counts(planned):
    options = ("--accumulation", 8, "--steps-per-generation", 6, "--iterations", 2)
    out = flowing(planned(*TRL, *options, "--group-size", 8))
    # 4 × 1 process × 6 = 24 rollouts; 6 · 2 batches for updates of 8: 1.5; 32 rollouts each.
    assert "TRL with 1 process: 3 prompts × 8 = 24 rollouts a step, 1.5 updates a step" in out
    assert "each of 32 rollouts (4 prompts)." in out
    options = ("--accumulation", 8, "--steps-per-generation", 2)
    assert "an update every 4 steps" in flowing(planned(*TRL, *options, "--group-size", 8))


def test_every_setting_of_verl_counts(planned):
    options = ("--micro-batch", 8, "--gpus", 4, "--nodes", 2, "--epochs", 3, "--group-size", 4)
    out = flowing(planned(*VERL, *options))
    assert "verl on 8 GPUs: 128 prompts × 4 = 512 rollouts a step, 12 updates a step" in out
    assert "Note: log_prob_micro_batch_size_per_gpu=8 too" in out
    out = flowing(planned(*VERL, *options, "--log-prob-micro-batch", 4))
    assert "Note" not in out


def test_verl_adds_empty_rollouts(planned):
    options = ("--prompts", 100, "--mini-batch", 32, "--dynamic", "--group-size", 8)
    out = flowing(planned("--trainer", "verl", *options))
    assert "verl adds 224 empty rollouts to the 800 of a step" in out  # 4·32·8 − 800
    assert "log_prob" not in out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            (*TRL, "--processes", 5, "--group-size", 16),
            ["num_generations=16 does not divide the 20", "num_generations=20 instead of 16"],
        ),
        ((*TRL, "--group-size", 1), ["num_generations=1: a group needs", "num_generations=2"]),
        ((*VERL, "--group-size", 8), ["per_gpu is not set", "use_dynamic_bsz=true"]),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 7),
            ["size_per_gpu=7 does not divide the 32", "size_per_gpu=7 does not divide the 128"],
        ),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 8, "--log-prob-micro-batch", 7),
            ["log_prob_micro_batch_size_per_gpu=7 does not divide the 128 rollouts"],
        ),
        (
            (*VERL, "--group-size", 3, "--micro-batch", 1, "--gpus", 5),
            ["384 rollouts of a step", "do not divide among 5 GPUs"],
        ),
        (
            (*VERL, "--group-size", 8, "--micro-batch", 1, "--gpus", 4, "--nodes", 3),
            ["valid for verl on 12 GPUs", "do not divide among 12 GPUs (3 nodes × 4)"],
        ),
    ],
)
def test_an_invalid_batch_is_explained_and_exits_with_2(command_line, options, told):
    code, out, err = command_line("plan", *options)
    assert (code, err) == (2, "")
    assert "This batch is not valid for " in out
    text = flowing(out)
    assert all(part in text for part in [*told, "Nearest valid settings:"])


def test_an_invalid_batch_follows_a_whole_plan(command_line, written):
    code, out, _ = command_line("plan", *HALF, *TRL, "--processes", 5, "--group-size", 16)
    assert code == 2
    text = flowing(out)
    assert 0 < text.index("→ Recommended") < text.index("not valid") < text.index("Page: ")
    assert written.batch.valid is False


def test_the_recommended_size_is_checked(planned, written):
    out = flowing(planned(*HALF, "--budget", 512, *TRL, "--processes", 128))
    size = written.plan.recommendation.group_size
    assert f"{512 // size} prompts × {size} = 512 rollouts a step" in out
    assert "Note" not in out
    assert written.batch.facts.group_size == size


def test_another_size_or_budget_is_noted(planned, written):
    out = flowing(planned(*HALF, "--budget", 500, *TRL, "--processes", 128, "--group-size", 2))
    size = written.plan.recommendation.group_size
    assert f"Note: The batch has groups of 2; recommended are {size}." in out
    assert "Note: The batch has 512 rollouts a step; the plan is for a budget of 500." in out
    assert len(written.batch.notes) == 2


def test_without_advice_the_group_size_is_asked_for(command_line, written, tmp_path, monkeypatch):
    path = pilot(tmp_path / "p.jsonl", {"a": 1, "b": 3}, 4)
    none = Recommendation(None, None, None, "Too small to tell.", 0.4, 0.05)
    monkeypatch.setattr(planning, "recommend", lambda *a, **k: none)
    code, out, err = command_line("plan", "--pilot", path, *TRL)
    assert (code, out) == (2, "")
    assert (
        err
        == "fgrpo: --trainer needs --group-size here: this pilot is too small to recommend one\n"
    )
    assert written.plan is None
    code, out, _ = command_line("plan", "--pilot", path, *TRL, "--group-size", 4)
    assert code == 0
    assert "1 prompt × 4 = 4 rollouts" in out
