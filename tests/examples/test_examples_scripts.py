"""The example scripts run, do what they say, and print what examples/README.md shows."""

import json
import random
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def own():
    return runpy.run_path(str(EXAMPLES / "own_trainer.py"))


def rows(text):
    """The two tables of own_trainer.py: (title, way of training) → steps, percent found."""
    found, title = {}, None
    for line in text.splitlines():
        if line.startswith("Prompts"):
            title = line.split()[1]
        elif match := re.match(r"(.{27})(.{9}) *([\d.]+)%", line):
            found[title, match[1].strip()] = (float(match[2].strip() or 0), float(match[3]))
    return found


@pytest.fixture(scope="module")
def seen():
    """Both tables as they are printed now, and as README.md has them."""
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("builtins.print", lambda *lines, sep="\n": said.append(sep.join(lines)))
        runpy.run_path(str(EXAMPLES / "own_trainer.py"), run_name="__main__")
    return rows("\n".join(said)), rows((EXAMPLES / "README.md").read_text())


def test_readme_shows_what_own_trainer_prints(seen):
    now, shown = seen
    assert len(now) == 10
    assert now.keys() == shown.keys()
    for key, (steps, found) in now.items():  # another version of PyTorch may draw other answers
        assert shown[key] == pytest.approx((steps, found), rel=0.03), key


def test_the_weight_keeps_rare_answers_only_where_prompts_differ(seen):
    found = {key: percent for key, (_, percent) in seen[0].items()}
    spread = {name: percent for (title, name), percent in found.items() if title == "of"}
    equal = {name: percent for (title, name), percent in found.items() if title == "all"}
    plain = spread["GRPO"]
    assert plain + 4 < spread["F-GRPO, γ = 0.5"] < spread["F-GRPO, γ = 1"]
    assert abs(spread["GRPO, lower learning rate"] - plain) < 1.5
    assert spread["F-GRPO, γ = 1"] < spread["before training"] - 20
    assert abs(equal["F-GRPO, γ = 1"] - equal["GRPO"]) < 1.5


@pytest.mark.parametrize("gamma", [0, 1])
def test_a_step_is_the_policy_gradient_with_the_weight(own, gamma):
    """The score function by hand: Δz_j = rate/N · Σ_i g·A_i·(1[a_i = j] − p_j)."""
    before = own["start"](torch.linspace(0.05, 0.95, own["PROMPTS"]))
    assert torch.allclose(before.sum(dim=1), torch.ones(own["PROMPTS"]))
    own["train"].__globals__["ENOUGH"] = float(before[:, :5].sum(dim=1).mean()) + 1e-6
    after, steps = own["train"](before, gamma, 0.3, seed=0)
    assert steps == 1
    rng = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(before, 8, replacement=True, generator=rng).numpy()
    moved = (after.log() - before.log()).numpy()
    active = 0
    for p, answers, change in zip(before.numpy(), drawn, moved, strict=True):
        right = answers < 5
        active += 0 < right.sum() < 8
        spread = right.std(ddof=1)
        advantages = (right - right.mean()) / spread if spread else np.zeros(8)
        advantages = advantages * (1 - right.mean()) ** gamma
        step = np.zeros(15)
        for answer, advantage in zip(answers, advantages, strict=True):
            step += 0.3 / 8 * advantage * ((np.arange(15) == answer) - p)
        np.testing.assert_allclose(change - change[0], step - step[0], atol=1e-5)
    assert active > 30


def test_trl_quickstart_asks_what_its_answers_answer():
    pytest.importorskip("trl")
    script = runpy.run_path(str(EXAMPLES / "trl_quickstart.py"))
    rows = list(script["sums"](200, random.Random(3)))
    assert len({row["prompt"][0]["content"] for row in rows}) > 190
    for row in rows:
        asked = re.match(
            r"What is (\d+) \+ (\d+) - (\d+)\?.*\\boxed\{\}", row["prompt"][0]["content"]
        )
        plus, more, minus = map(int, asked.groups())
        assert int(row["answer"]) + minus == plus + more


def test_trl_quickstart_trains_with_the_weight_it_is_given(tmp_path, monkeypatch, capsys):
    """Every second completion is made right: the rest, verifier and trainer, is the script's."""
    pytest.importorskip("trl")
    from tiny_llm import save_tiny

    model = save_tiny(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    script = runpy.run_path(str(EXAMPLES / "trl_quickstart.py"))
    reward = script["trl_reward"]

    def half_right(verifier, column):
        real = reward(verifier, column=column)

        def judged(prompts, completions, **columns):
            texts = [
                f"\\boxed{{{answer}}}" if i % 2 else "\\boxed{0.5}"
                for i, answer in enumerate(columns[column])
            ]
            return real(prompts, texts, **columns)

        return judged

    monkeypatch.setitem(script["main"].__globals__, "trl_reward", half_right)
    small = "--use_cpu --max_steps 2 --gradient_accumulation_steps 1 --max_completion_length 4"
    options = f"{small} --focal_gamma 1 --report_to none --learning_rate 0.1 --disable_tqdm true"
    monkeypatch.setattr(sys, "argv", ["trl_quickstart.py", "--model", model, *options.split()])
    with pytest.warns(FutureWarning, match="gradient_checkpointing"):  # TRL's, of transformers
        script["main"]()
    out = capsys.readouterr().out
    each = "reward 0.50, groups_solved_all 0.00, groups_solved_none 0.00, groups_mixed 1.00"
    for step in (1, 2):
        assert f"step {step}: {each}, weight_mean 0.50" in out
    saved = tmp_path / "runs" / "trl-quickstart"
    assert "γ = 1.0; the trained model is in runs/trl-quickstart" in out
    assert json.loads((saved / "config.json").read_text())["model_type"] == "qwen2"
    from safetensors.torch import load_file

    trained, first = (
        load_file(folder / "model.safetensors") for folder in (saved, tmp_path / "model")
    )
    assert any(not torch.equal(trained[name].float(), first[name].float()) for name in first)
