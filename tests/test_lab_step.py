"""benchmarks/lab_step.py from end to end, at the size of a toy."""

import json
import re
import statistics
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("trl")

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "benchmarks"))

import lab_step  # noqa: E402
from lab_engines.options import base_folder, open_base, parse  # noqa: E402
from lab_engines.ours import Lab  # noqa: E402
from lab_engines.theirs import TrlTurns, tokenizer, words  # noqa: E402

from fgrpo.lab.weights import save_model  # noqa: E402
from fgrpo.maze import VOCAB_SIZE, encode_prompts, encode_solutions, solve  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("trl"),
    # Of TRL and transformers about names of their own that will change.
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

REPEATS, PROMPTS, GROUP = 2, 4, 4
TOY = ["--size", "5", "--prompts", str(PROMPTS), "--group-size", str(GROUP), "--threads", "1"]
TOY += ["--repeats", str(REPEATS), "--hidden-size", "32", "--intermediate-size", "64"]
TOY += ["--num-hidden-layers", "2", "--sft-steps", "150"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder with the toy's base model."""
    folder = tmp_path_factory.mktemp("lab-step")
    base_folder(parse([*TOY, "--folder", str(folder)], ""))
    return folder


@pytest.fixture
def toy(cache):
    """Options and base model."""
    options = parse([*TOY, "--folder", str(cache)], "")
    folder = base_folder(options)
    return options, folder, open_base(folder, options)


def run(cache, *more):
    return lab_step.main([*TOY, "--folder", str(cache), *more])


def row(said, name):
    """Numbers of a row of the table: median, least, most of each engine."""
    (line,) = (line for line in said.splitlines() if line.startswith(name))
    return [float(x.replace(",", "")) for x in re.findall(r"[\d,]+\.?\d*", line[len(name) :])]


def test_table_and_file_agree(cache, tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert run(cache, "--warm-up", "2", "--json", str(file)) == 0
    said = capsys.readouterr().out
    assert "base model: step" not in said, "the trained base model is kept"
    figures = json.loads(file.read_text())
    assert figures["logprob_difference"] < 1e-5
    assert figures["settings"]["model"]["num_hidden_layers"] == 2
    assert figures["provenance"]["packages"]["trl"]
    both = [figures["fgrpo"], figures["trl"]]
    for turns in both:
        assert len(turns) == REPEATS
        for turn in turns:
            assert turn["rollouts"] == PROMPTS * GROUP
            # A response has 1 to 8 tokens, and this model ends some before the cap.
            assert PROMPTS * GROUP <= turn["tokens"] < PROMPTS * GROUP * 8
            assert 0 < turn["sampling"] < turn["seconds"]
            assert turn["peak_bytes"] is None
            assert 0 < turn["cpu"] < 4 * turn["seconds"] + 1, "seconds of this process"
        seconds = [turn["seconds"] for turn in turns]
        sampling = [turn["sampling"] for turn in turns]
        told = (row(said, "seconds per step"), row(said, "  of them sampling"))
        part = slice(0, 3) if turns is both[0] else slice(3, 6)
        for values, numbers in zip((seconds, sampling), told, strict=True):
            expected = [statistics.median(values), min(values), max(values)]
            assert numbers[part] == pytest.approx(expected, abs=6e-4)
        rates = [turn["tokens"] / turn["seconds"] for turn in turns]
        expected = [statistics.median(rates), min(rates), max(rates)]
        assert row(said, "tokens/s")[part] == pytest.approx(expected, abs=0.6)
    for name, what, told in (
        ("ratio", "seconds", "TRL/fgrpo, seconds"),
        ("cpu_ratio", "cpu", "TRL/fgrpo, processor seconds"),
    ):
        paired = [their[what] / our[what] for our, their in zip(*both, strict=True)]
        expected = [statistics.median(paired), min(paired), max(paired)]
        assert list(figures[name].values()) == pytest.approx(expected)
        assert row(said, told) == pytest.approx(expected, abs=6e-3)


def test_both_engines_take_the_same_steps_in_turn(toy):
    options, folder, model = toy
    lab = Lab(options, model)
    mazes = [lab.mazes(step) for step in range(3)]
    trl = TrlTurns(options, folder, mazes)
    asked, order = [], []
    reward = trl._trainer.reward_funcs[0]
    first = {name: tensor.clone() for name, tensor in trl._trainer.model.state_dict().items()}

    def kept(prompts, completion_ids, **more):
        # Every step's sampling has the weights of the first, whatever the one before has learnt.
        now = trl._trainer.model.state_dict()
        assert all(torch.equal(now[name], tensor) for name, tensor in first.items())
        asked.append(prompts)
        order.append("trl")
        found = reward(completion_ids=completion_ids, **more)
        return [0.0, 1.0] * (len(found) // 2)  # whatever they say: a gradient

    trl._trainer.reward_funcs[0] = kept

    def step(number):
        order.append(number)
        lab.step(number)

    trl.run(step)
    assert order == [0, "trl", 1, "trl", 2, "trl"]
    for walls, prompts in zip(mazes, asked, strict=True):
        ids = encode_prompts(walls).repeat(GROUP, 0)
        assert sorted(prompts) == sorted(" ".join(f"<{i}>" for i in row) for row in ids)
    moved = trl._trainer.model.state_dict()
    assert not all(torch.equal(moved[name], tensor) for name, tensor in first.items())


def test_a_step_of_the_lab_begins_with_the_first_weights(toy):
    options, _, model = toy
    lab = Lab(options, model)
    first = lab.rollouts(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    turn = lab.step(1)
    assert turn.tokens == int(first.lengths.sum())
    assert turn.rollouts == first.lengths.numel()


def test_turns_of_trl_tell_what_was_sampled(toy):
    options, folder, model = toy
    lab = Lab(options, model)
    walls = lab.mazes(0)
    trl = TrlTurns(options, folder, [walls])
    right = encode_solutions(*solve(walls)).tolist()
    right = [row[: row.index(2) + 1] for row in right]  # up to <eos>
    wrong = [15, 2]
    # All right, two of four, none, none.
    chosen = [[right[0]] * 4, [right[1], wrong] * 2, [wrong] * 4, [wrong] * 4]
    flat = [ids for group in chosen for ids in group]
    rewards = trl._reward(flat, [maze for maze in range(4) for _ in range(4)])
    assert rewards == [1.0] * 4 + [1.0, 0.0] * 2 + [0.0] * 8
    trl.on_step_begin(None, trl._trainer.state, None)
    trl.on_step_end(None, None, None)
    (turn,) = trl.turns
    assert turn.tokens == 4 * len(right[0]) + 2 * len(right[1]) + 10 * 2
    assert (turn.reward, turn.mixed, turn.rollouts) == (6 / 16, 1 / 4, 16)


def test_the_coin_is_the_same_reward_for_both(cache):
    options = parse([*TOY, "--reward", "coin"], "")
    folder = base_folder(parse([*TOY, "--folder", str(cache)], ""))
    model = open_base(folder, options)
    lab = Lab(options, model)
    trl = TrlTurns(options, folder, [lab.mazes(0)])
    # 11 + 3·15 + 9·2 = 74; 12 + 63 = 75; 2; 15 · (1 + 3 + … + 3⁶) = 16395 = 251 mod 1009.
    responses = [[11, 15, 2], [12, 15, 2], [2], [15] * 7]
    assert trl._reward(responses, [0, 1, 2, 3]) == [1, 0, 1, 0]
    rollouts = lab.rollouts(1)
    even = [
        sum(token * 3**place for place, token in enumerate(ids)) % 1009 % 2 == 0
        for ids in rollouts.tokens.flatten(0, 1).tolist()
    ]
    turn = lab.step(1)
    assert turn.reward == pytest.approx(sum(even) / len(even))
    groups = [even[i : i + GROUP] for i in range(0, len(even), GROUP)]
    assert turn.mixed == sum(0 < sum(group) < GROUP for group in groups) / PROMPTS


def test_trl_is_given_the_labs_settings(toy):
    options, folder, model = toy
    given = TrlTurns(options, folder, [Lab(options, model).mazes(0)])._trainer.args
    arm = options.recipe.arms[0]
    assert given.generation_batch_size == PROMPTS * GROUP
    assert given.steps_per_generation == given.gradient_accumulation_steps
    assert (given.epsilon, given.epsilon_high) == arm.clip_bounds
    for name in ("learning_rate", "weight_decay", "max_grad_norm", "temperature"):
        assert getattr(given, name) == getattr(arm, name)
    assert (given.adam_beta1, given.adam_beta2) == (0.9, 0.999)
    assert not given.gradient_checkpointing
    assert not given.bf16


def test_gamma_gives_trl_the_focal_weight_too(cache):
    options = parse([*TOY, "--folder", str(cache), "--gamma", "0.5"], "")
    folder = base_folder(options)
    trl = TrlTurns(options, folder, [Lab(options, open_base(folder, options)).mazes(0)])
    assert trl._trainer.args.focal_gamma == 0.5
    assert options.recipe.arms[0].gamma == 0.5


def test_other_weights_are_told_apart(cache, tmp_path, capsys, monkeypatch):
    """The check of log-probabilities sees a model that computes something else."""
    original = Lab.__init__

    def other(self, options, model):
        with torch.no_grad():
            model.layers[0].mlp.down_proj.weight.mul_(1.01)
        original(self, options, model)

    monkeypatch.setattr(Lab, "__init__", other)
    assert run(cache, "--json", str(tmp_path / "no.json")) == 1
    assert "do not compute the same function" in capsys.readouterr().err
    assert not (tmp_path / "no.json").exists()


def test_bf16_is_measured_too(cache, capsys):
    assert run(cache, "--precision", "bf16", "--repeats", "1", "--sft-steps", "2") == 0
    said = capsys.readouterr().out
    assert "bf16" in said
    assert 1e-4 < float(re.search(r"differ by (\S+) at most", said)[1]) < 0.5, "in bfloat16 indeed"
    options = parse([*TOY, "--precision", "bf16"], "")
    folder = base_folder(parse([*TOY, "--folder", str(cache)], ""))
    trl = TrlTurns(options, folder, [Lab(options, open_base(folder, options)).mazes(0)])
    assert trl._trainer.accelerator.mixed_precision == "bf16"


def test_tokens_survive_the_words():
    ids = [*range(VOCAB_SIZE), 1, 11, 1, 2, 0]
    text = " ".join(words(np.array(ids)))
    assert tokenizer()(text=[text])["input_ids"] == [ids]
    assert tokenizer().decode(ids) == text


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--size", "8"], "maze size 8"),
        (["--repeats", "0"], "--repeats is 0"),
        (["--warm-up", "0"], "--warm-up is 0"),
        (["--threads", "-1"], "--threads is -1"),
        (["--trl-batch", "5"], "--trl-batch 5 does not divide the 16 rollouts"),
        (["--group-size", "1"], "a group of 1"),
        (["--gamma", "-1"], "gamma -1.0"),
        (["--num-attention-heads", "5"], "hidden_size 32 must be a multiple"),
        (["--hidden-size", "0"], "model hidden_size 0"),
    ],
)
def test_wrong_options_are_one_line(cache, capsys, more, told):
    assert run(cache, *more) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_is_told(cache, capsys):
    assert run(cache, "--device", "cuda") == 2
    assert "finds no GPU" in capsys.readouterr().err


def test_models_that_do_not_fit_are_refused(toy, cache, tmp_path, capsys):
    assert run(cache, "--model", str(tmp_path / "none")) == 1
    assert "none" in capsys.readouterr().err
    options, _, model = toy
    save_model(tmp_path / "short", model, max_positions=options.length - 1, bos=1, eos=2)
    assert run(cache, "--model", str(tmp_path / "short")) == 2
    assert f"takes {options.length}" in capsys.readouterr().err
    model.vocab_size = 16
    model.model.embed_tokens.weight.data = model.model.embed_tokens.weight.data[:16]
    save_model(tmp_path / "other", model, max_positions=options.length, bos=1, eos=2)
    assert run(cache, "--model", str(tmp_path / "other")) == 2
    assert "vocabulary has 16 tokens" in capsys.readouterr().err
