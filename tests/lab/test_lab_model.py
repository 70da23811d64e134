from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from fgrpo.lab.model import Rows
from fgrpo.lab.weights import load_model, save_model

SIZES = [
    {"hidden": 16, "layers": 2, "heads": 4, "kv_heads": 2},
    {"hidden": 16, "layers": 1, "heads": 2, "kv_heads": 2},
    {"hidden": 24, "layers": 3, "heads": 6, "kv_heads": 1, "vocab": 11},
    {"hidden": 32, "layers": 2, "heads": 4, "kv_heads": 4, "intermediate": 16},
]
IDS = ["grouped", "one-layer", "one-kv-head", "full-heads"]


def random_tokens(rows, length, vocab, seed=0):
    return torch.randint(0, vocab, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", SIZES, ids=IDS)
def test_a_saved_folder_opens_as_qwen2_with_the_same_logits(size, make_model, tmp_path):
    model = make_model(**size, seed=3, spread=0.3)
    save_model(tmp_path / "m", model, max_positions=64, bos=2, eos=1)
    theirs, info = Qwen2ForCausalLM.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert set(info["missing_keys"]) <= {"lm_head.weight"}
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    assert (theirs.config.bos_token_id, theirs.config.eos_token_id) == (2, 1)
    assert theirs.config.max_position_embeddings == 64
    assert theirs.dtype == torch.float32
    tokens = random_tokens(3, 60, model.vocab_size)
    with torch.no_grad():
        ours, reference = model(tokens), theirs.eval()(tokens).logits
    assert ours.std() > 0.5  # logits that differ enough for an error to show
    torch.testing.assert_close(ours, reference, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", SIZES[:3], ids=IDS[:3])
def test_a_folder_saved_by_transformers_opens_here(size, make_model, tmp_path):
    shape = make_model(**size)
    config = Qwen2Config(
        **shape.config.model_dump(),
        vocab_size=shape.vocab_size,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=2,
        eos_token_id=1,
    )
    torch.manual_seed(5)
    theirs = Qwen2ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    theirs.save_pretrained(tmp_path)
    tokens = random_tokens(2, 40, shape.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(
            load_model(tmp_path)(tokens), theirs(tokens).logits, atol=1e-4, rtol=0
        )


@pytest.mark.parametrize("first", [1, 5, 8])
def test_logits_from_gives_the_end_of_the_full_pass_and_its_gradient(first, make_model):
    model = make_model(layers=3).double()
    tokens = random_tokens(2, 9, model.vocab_size)
    weights = torch.randn(2, 9 - first, model.vocab_size, dtype=torch.float64)

    def run(full):
        model.zero_grad()
        logits = model(tokens)[:, first:] if full else model(tokens, logits_from=first)
        (logits * weights).sum().backward()
        return logits.detach(), [p.grad.clone() for p in model.parameters()]

    logits, gradients = run(full=False)
    expected_logits, expected_gradients = run(full=True)
    torch.testing.assert_close(logits, expected_logits, atol=1e-10, rtol=0)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)


@torch.no_grad()
def test_prefill_and_decode_follow_the_full_pass(make_model):
    model = make_model(layers=3)
    prompts = random_tokens(4, 7, model.vocab_size)
    logits, cache = model.prefill(prompts)
    torch.testing.assert_close(logits, model(prompts)[:, -1], atol=1e-4, rtol=0)

    group = torch.tensor([0, 0, 0, 2, 3, 3])  # of unequal size, one of them empty
    said = random_tokens(len(group), 4, model.vocab_size, seed=1)
    full = model(torch.cat([prompts[group], said], 1))
    own = None
    for t in range(4):
        logits, own = model.decode(said[:, t], 7 + t, cache, own, Rows.of(group, 4))
        torch.testing.assert_close(logits, full[:, 7 + t], atol=1e-4, rtol=0)
    assert own[0].keys.shape[2] == 4


def test_initial_weights(make_model):
    model = make_model(hidden=32, vocab=32, intermediate=64)
    model.initialise(torch.Generator().manual_seed(0))
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.initialise(torch.Generator().manual_seed(0))
    assert all(torch.equal(first[name], tensor) for name, tensor in model.state_dict().items())
    for name, tensor in first.items():
        if name.endswith("bias"):
            assert torch.equal(tensor, torch.zeros_like(tensor)), name
        elif tensor.ndim == 1:
            assert torch.equal(tensor, torch.ones_like(tensor)), name
        else:
            assert float(tensor.std()) == pytest.approx(0.02, rel=0.15), name
            assert abs(float(tensor.mean())) < 0.003, name
