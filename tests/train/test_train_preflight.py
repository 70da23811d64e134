"""What is said before a training, its table against simulated groups."""

from types import SimpleNamespace

import numpy as np
import pytest

from fgrpo.plan.batches.trl import TrlBatch
from fgrpo.train.methods import METHODS
from fgrpo.train.preflight import preflight

RATES = [0.05, 0.25, 0.5, 0.75, 0.95]
GROUPS = 200_000


def said(method="grpo", batches=None, reward="maths; correct from 0.5 on", lora=None, **settings):
    base = {
        "epsilon": 0.2,
        "delta": None,
        "beta": 0.0,
        "learning_rate": 1e-6,
        "focal_gamma": 0.5,
        "focal_tail_share": 0.1,
        "use_vllm": False,
        "save_strategy": "steps",
        "save_steps": 500,
    }
    training = SimpleNamespace(**{**base, **METHODS[method], **settings})
    model = SimpleNamespace(model_name_or_path="small", use_peft=lora is not None, lora_r=lora)
    return preflight(method, training, model, batches or TrlBatch(8, 8, 4, 2, 4), reward)


def field(text, name):
    """The value of one of the named lines."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return line.removeprefix(name).strip()


def table(text):
    """Cells by group size and rate, as (share with a signal, share that misses); marked sizes."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("group size"))
    cells, marked = {}, []
    for line in lines[start + 1 :]:
        size, _, rest = line.partition(" ")
        if rest.endswith("  < yours"):
            marked.append(int(size))
        parts = rest.replace("< yours", "").replace("/", " ").replace("%", "").split()
        for rate, active, missed in zip(RATES, parts[::2], parts[1::2], strict=True):
            cells[int(size), rate] = (int(active) / 100, int(missed) / 100)
    return cells, marked, lines[start].split()[2:]


@pytest.mark.parametrize(("share", "seed"), [(0.1, 1), (0.3, 2)])
def test_the_table_is_that_of_simulated_groups(share, seed):
    cells, marked, head = table(said(focal_tail_share=share))
    assert marked == [8]
    assert [float(rate.rstrip("%")) / 100 for rate in head] == RATES
    assert {size for size, _ in cells} == {4, 8, 16, 32}
    rng = np.random.default_rng(seed)
    for size, rate in [(4, 0.25), (8, 0.5), (8, 0.95), (16, 0.75), (32, 0.05)]:
        draws = rng.random((GROUPS, size))
        correct, rare = draws < rate, draws < share * rate
        count = correct.sum(axis=1)
        active = (count > 0) & (count < size)
        missed = active & ~rare.any(axis=1)
        # Half a percent of rounding, and four standard errors of at most 0.0011.
        assert cells[size, rate] == pytest.approx((active.mean(), missed.mean()), abs=0.0095)


def test_sizes_around_a_pair():
    cells, marked, _ = table(said(batches=TrlBatch(2, 4)))
    assert {size for size, _ in cells} == {2, 4, 8}
    assert marked == [2]


def test_the_rarest_answers_are_named_by_their_share():
    assert "(those with 30% of the correct mass)" in said(focal_tail_share=0.3)


@pytest.mark.parametrize(
    ("method", "bounds"),
    [
        ("grpo", "grpo: loss_type dapo, ratio in [0.8, 1.2], clipped (no gradient beyond)"),
        ("dapo", "dapo: loss_type dapo, ratio in [0.8, 1.28], clipped (no gradient beyond)"),
        ("cispo", "cispo: loss_type cispo, ratio in [0, 6], capped (gradient kept)"),
    ],
)
def test_method_and_bounds_are_said(method, bounds):
    assert field(said(method), "method") == bounds


def test_settings_that_override_the_method_are_said():
    text = said("dapo", loss_type="grpo", epsilon_high=0.5, delta=3.0, beta=0.001)
    assert field(text, "method").startswith("dapo: loss_type grpo, ratio in [0.8, 1.5], at most 3")
    assert "KL coefficient 0.001, learning rate 1e-06" in text


def test_the_model_and_the_checkpoints_are_said():
    assert field(said(), "model") == "small, all weights"
    assert field(said(lora=16), "model") == "small, LoRA of rank 16"
    assert field(said(save_steps=25), "update").endswith("; a checkpoint every 25")
    assert field(said(save_strategy="no"), "update").endswith("; no checkpoints")
    assert field(said(save_strategy="epoch"), "update").endswith("; a checkpoint every epoch")


def test_the_mean_of_the_weight_is_said():
    # 4/√π Γ(γ+3/2)/Γ(γ+3) at γ = 0.5, 1, 2: the paper's appendix N.
    for gamma, scale in [(0.5, "0.68"), (1.0, "0.50"), (2.0, "0.31")]:
        weight = field(said(focal_gamma=gamma), "weight")
        assert weight.startswith(f"(1 - success rate of the group)^{gamma:g};")
        assert f"mean update is {scale} of the unweighted" in weight
    assert field(said(focal_gamma=0.0), "weight") == "none (focal_gamma 0): plain TRL"


def test_what_counts_as_correct_is_said():
    assert field(said(reward="exact; correct from 1 on"), "reward") == "exact; correct from 1 on"


@pytest.mark.parametrize(
    ("batches", "generation", "update"),
    [
        (
            TrlBatch(8, 8, 16, 4, 16),
            "256 prompts × 8 completions = 2048 "
            "(8 per device × 16 processes × 16 steps per generation)",
            "512 completions; 4 for each generation",
        ),
        (
            TrlBatch(4, 8),
            "2 prompts × 4 completions = 8 (8 per device × 1 process × 1 step per generation)",
            "8 completions; 1 for each generation (on-policy)",
        ),
        (
            TrlBatch(4, 4, 1, 3, 1),
            "1 prompts × 4 completions = 4 (4 per device × 1 process × 1 step per generation)",
            "12 completions; one for every 3 generations",
        ),
        (
            TrlBatch(4, 4, 1, 2, 3),
            "3 prompts × 4 completions = 12 (4 per device × 1 process × 3 steps per generation)",
            "8 completions; 1.5 for each generation",
        ),
    ],
)
def test_batches_are_said(batches, generation, update):
    text = said(batches=batches)
    assert field(text, "generation") == generation
    assert field(text, "update") == f"{update}; a checkpoint every 500"


def test_vllm_s_correction_is_said_where_it_is_made():
    vllm = {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": "sequence_mask",
    }
    line = field(said(**vllm), "vLLM")
    assert "colocate" in line
    assert "sequence_mask" in line
    assert "corrected for" in line
    for change in ({"use_vllm": False}, {"vllm_importance_sampling_correction": False}):
        assert "vLLM" not in said(**vllm | change)
