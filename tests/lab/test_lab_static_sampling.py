"""Static sampling: exact log-probabilities and frequencies, and the same rollouts as `sample`."""

from __future__ import annotations

import copy
import gc
import itertools
import weakref

import pytest
import torch
from scipy.stats import chisquare
from static_rollouts import EOS, PAD, count_moves, random_prompts, random_uniforms, seeded

from fgrpo.lab import static_sampling
from fgrpo.lab.graphs import Graphs
from fgrpo.lab.sampling import Options, Rollouts, sample
from fgrpo.lab.static_sampling import sample_static, sample_with


@pytest.fixture(
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ),
    ]
)
def device(request):
    return torch.device(request.param)


@torch.no_grad()
def teacher(model, rollouts, temperature, precision="fp32"):
    """Log-probabilities and entropies (G, N, T) by whole passes of the training forward."""
    groups, size, most = rollouts.tokens.shape
    prompt = rollouts.prompts[:, None].expand(-1, size, -1)
    length = prompt.shape[-1]
    sequences = torch.cat([prompt, rollouts.tokens], -1).flatten(0, 1)
    cast = precision == "bf16"
    with torch.autocast(sequences.device.type, torch.bfloat16, enabled=cast):
        logits = model(sequences)[:, length - 1 : -1].double() / temperature
    log_p = logits.log_softmax(-1).view(groups, size, most, -1)
    entropies = -(log_p.exp() * log_p).sum(-1)
    logprobs = log_p.gather(-1, rollouts.tokens[..., None])[..., 0]
    return logprobs * rollouts.mask, entropies * rollouts.mask


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize(
    "shape", [{}, {"layers": 3, "heads": 2, "kv_heads": 2}, {"heads": 4, "kv_heads": 1}]
)
def test_logprobs_are_those_of_the_training_pass(
    shape, size, temperature, device, make_model, monkeypatch
):
    moves = count_moves(monkeypatch)
    # At larger weights the training pass itself is further than that from double precision.
    model = make_model(**shape, seed=1, spread=0.25).to(device)
    prompts = random_prompts(24, 5, device)
    uniforms = random_uniforms(14, 24 * size, device, seed=2)
    rollouts = sample_with(model, prompts, uniforms, Options(14, EOS, PAD, temperature), segment=2)
    logprobs, entropies = teacher(model, rollouts, temperature)
    assert (rollouts.logprobs - logprobs).abs().max() < 1e-5
    assert (rollouts.entropies - entropies).abs().max() < 1e-5
    assert len(rollouts.lengths.unique()) > 2
    assert moves


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_bf16_logprobs_are_near_those_of_the_training_pass(temperature, device, make_model):
    model = make_model(hidden=64, intermediate=96, seed=1, spread=0.1).to(device)
    prompts = random_prompts(8, 20, device)
    rollouts = sample_static(
        model,
        prompts,
        16,
        max_tokens=24,
        eos=EOS,
        pad=PAD,
        generator=seeded(3),
        temperature=temperature,
        precision="bf16",
    )
    assert rollouts.logprobs.dtype == torch.float32
    gaps = {}
    for precision in ("bf16", "fp32"):
        logprobs, entropies = teacher(model, rollouts, temperature, precision)
        gaps[precision] = float((rollouts.logprobs - logprobs).abs().max())
        assert (rollouts.entropies - entropies).abs().max() < 0.05
    print(f"largest differences of log-probabilities, sampling in bf16: {gaps}")
    assert max(gaps.values()) < 0.05
    assert gaps["fp32"] > 1e-4  # it was not single precision after all


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_frequencies_are_the_exact_probabilities(temperature, device, make_model, monkeypatch):
    # Vocabulary {pad, end, 2, 3}, at most three tokens: all responses enumerated. The seed is
    # fixed; p > 1e-4 for a right sampler but one seed in 10,000.
    moves = count_moves(monkeypatch)
    monkeypatch.setattr(static_sampling, "SEGMENT", 1)
    monkeypatch.setattr(static_sampling, "MOST_ROWS", 20_000)  # a chunk of one group
    model = make_model(vocab=4, seed=4, spread=0.22).to(device)
    prompts, size = random_prompts(2, 3, device, vocab=4, seed=1), 20_000
    uniforms = random_uniforms(3, 2 * size, device, seed=11)
    rollouts = sample_with(model, prompts, uniforms, Options(3, EOS, PAD, temperature), segment=1)
    assert moves
    for g in range(2):
        check_frequencies(model, prompts[g], rollouts.tokens[g], temperature)


def test_frequencies_of_many_small_groups(device, make_model):
    model = make_model(vocab=4, seed=5, spread=0.22).to(device)
    prompt = random_prompts(1, 3, device, vocab=4, seed=2)
    rollouts = sample_static(
        model,
        prompt.expand(4_000, -1),
        3,
        max_tokens=3,
        eos=EOS,
        pad=PAD,
        generator=seeded(5),
    )
    check_frequencies(model, prompt[0], rollouts.tokens.flatten(0, 1), 1.0)


@torch.no_grad()
def check_frequencies(model, prompt, tokens, temperature):
    """Chi-square of responses (rollouts, T) against products of the training forward's."""
    exact = {}
    for response in itertools.product(range(4), repeat=tokens.shape[1]):
        sequence = torch.cat([prompt, torch.tensor(response, device=prompt.device)])
        p = (model(sequence[None])[0].double() / temperature).softmax(-1)
        probability, key = 1.0, []
        for t, token in enumerate(response):
            if EOS in key:
                key.append(PAD)
            else:
                key.append(token)
                probability *= float(p[len(prompt) - 1 + t, token])
        ended = response.index(EOS) + 1 if EOS in response else len(response)
        if any(response[ended:]):  # each ended response once
            continue
        exact[tuple(key)] = probability
    assert sum(exact.values()) == pytest.approx(1.0, abs=1e-6)
    seen = dict.fromkeys(exact, 0)
    for response in tokens.tolist():
        seen[tuple(response)] += 1
    cells = {}  # responses expected less than ten times share one: chi-square needs that
    for key, p in exact.items():
        cell = key if len(tokens) * p >= 10 else "rare"
        observed, expected = cells.get(cell, (0, 0.0))
        cells[cell] = (observed + seen[key], expected + len(tokens) * p)
    assert len(cells) >= 10
    observed, expected = zip(*cells.values(), strict=True)
    assert chisquare(observed, expected, sum_check=False).pvalue > 1e-4


def shared_rows(model, prompts, size, **options):
    """`sample` on the CPU, where it is another sampler altogether."""
    return sample(copy.deepcopy(model).cpu(), prompts.cpu(), size, generator=seeded(), **options)


def check_same(ours, theirs):
    ours, theirs = (Rollouts(*(part.cpu() for part in parts)) for parts in (ours, theirs))
    assert torch.equal(ours.tokens, theirs.tokens)
    assert torch.equal(ours.lengths, theirs.lengths)
    assert torch.equal(ours.truncated, theirs.truncated)
    torch.testing.assert_close(ours.logprobs, theirs.logprobs, atol=1e-4, rtol=0)
    torch.testing.assert_close(ours.entropies, theirs.entropies, atol=1e-4, rtol=0)
    assert torch.equal(ours.prompts, theirs.prompts)


@pytest.mark.parametrize("prompt_length", [1, 2, 9])
def test_temperature_zero_is_that_of_sample(prompt_length, device, make_model):
    model = make_model(seed=2).to(device)
    prompts = random_prompts(7, prompt_length, device, seed=3)
    options = {"max_tokens": 6, "eos": EOS, "pad": PAD, "temperature": 0}
    ours = sample_static(model, prompts, 3, generator=seeded(), **options)
    check_same(ours, shared_rows(model, prompts, 3, **options))
    assert not ours.logprobs.any()
    assert not ours.entropies.any()
    assert ours.truncated.any()


@pytest.mark.parametrize(
    ("groups", "size", "segment"), [(5, 8, 1), (5, 8, 3), (1, 30, 2), (9, 1, 2)]
)
def test_rollouts_with_the_same_random_numbers_are_those_of_sample(
    groups, size, segment, device, make_model, set_uniforms, monkeypatch
):
    moves = count_moves(monkeypatch)
    monkeypatch.setattr(static_sampling, "MOST_ROWS", 24)  # chunks of three groups and two
    monkeypatch.setattr(static_sampling, "PREFILL_TOKENS", 8)  # a prompt after the other
    model = make_model(seed=1).to(device)
    prompts = random_prompts(groups, 6, device)
    uniforms = random_uniforms(40, groups * size, device, seed=3)
    ours = sample_with(model, prompts, uniforms, Options(40, EOS, PAD, 1.0), segment=segment)
    assert len(moves) >= 2
    assert any(new.width < old.width for old, new in moves) or size == 1
    set_uniforms(uniforms)
    theirs = shared_rows(model, prompts, size, max_tokens=40, eos=EOS, pad=PAD)
    check_same(ours, theirs)


def test_gathering_rows_changes_nothing(device, make_model, monkeypatch):
    moves = count_moves(monkeypatch)
    model = make_model(seed=1).to(device)
    prompts = random_prompts(4, 5, device)
    uniforms = random_uniforms(30, 4 * 16, device, seed=4)
    options = Options(30, EOS, PAD, 1.0)
    gathered = sample_with(model, prompts, uniforms, options, segment=1)
    gathers = len(moves)
    plain = sample_with(model, prompts, uniforms, options, segment=30)
    assert gathers >= 3
    assert len(moves) == gathers
    check_same(gathered, plain)


@pytest.mark.parametrize("case", ["none ends", "all end at once", "one goes on"])
def test_ends(case, device, make_model):
    model = make_model(seed=3, spread=0.25).to(device)
    prompts = random_prompts(1, 5, device).expand(4, -1)
    uniforms = random_uniforms(6, 1, device).expand(-1, 4 * 5).clone()
    said = sample_with(model, prompts, uniforms, Options(6, 99, PAD, 1.0)).tokens[0, 0].tolist()
    assert len(set(said[:3])) == 3
    end = {"none ends": 99, "all end at once": said[2], "one goes on": said[2]}[case]
    if case == "one goes on":
        uniforms[2, 7] = (uniforms[2, 7] + 0.5) % 1
    rollouts = sample_with(model, prompts, uniforms, Options(6, end, PAD, 1.0), segment=1)
    expected = said if case == "none ends" else said[:3] + [PAD] * 3
    lengths = torch.full((20,), 6 if case == "none ends" else 3)
    for n, response in enumerate(rollouts.tokens.flatten(0, 1).tolist()):
        if n == 7 and case == "one goes on":
            assert response[:2] == said[:2]
            assert response[2] != end
            lengths[7] = response.index(end) + 1 if end in response else 6
        else:
            assert response == expected
    assert rollouts.lengths.flatten().tolist() == lengths.tolist()
    ended = (rollouts.tokens == end).any(-1)
    assert torch.equal(rollouts.truncated, ~ended)
    assert torch.equal(rollouts.logprobs < 0, rollouts.mask)


def test_nothing_is_decoded_once_all_have_ended(device, make_model, monkeypatch):
    steps = []
    run = Graphs.run
    monkeypatch.setattr(Graphs, "run", lambda self, *a: steps.append(a[-1]) or run(self, *a))
    model = make_model(seed=2).to(device)
    prompts = random_prompts(1, 5, device)
    end = int(model(prompts)[0, -1].argmax())
    options = {"eos": end, "pad": PAD, "generator": seeded(), "temperature": 0}
    rollouts = sample_static(model, prompts, 4, max_tokens=100, **options)
    assert steps == [static_sampling.SEGMENT]
    assert rollouts.tokens.tolist() == [[[end] + [PAD] * 99] * 4]


def test_the_same_generator_state_gives_the_same_bits(device, make_model):
    model = make_model(seed=1).to(device)
    prompts = random_prompts(3, 5, device)
    options = {"max_tokens": 5, "eos": EOS, "pad": PAD}
    generator = seeded(7)
    first, then = (sample_static(model, prompts, 8, generator=generator, **options) for _ in "12")
    again = sample_static(model, prompts, 8, generator=seeded(7), **options)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.tokens, then.tokens)  # the generator has gone on


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_change_of_the_weights_is_seen(precision, device, make_model):
    model, other = (make_model(seed=seed).to(device) for seed in (1, 2))
    prompts = random_prompts(3, 5, device)
    uniforms = random_uniforms(8, 3 * 4, device)
    options = Options(8, EOS, PAD, 1.0)
    before = sample_with(model, prompts, uniforms, options, precision)
    with torch.no_grad():
        for mine, new in zip(model.parameters(), other.parameters(), strict=True):
            mine.copy_(new)
    after, expected = (
        sample_with(m, prompts, uniforms, options, precision) for m in (model, other)
    )
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))
    assert not torch.equal(before.tokens, after.tokens)


def test_what_was_sampled_before_leaves_no_trace(device, make_model):
    # Larger, smaller, and with weights that are no numbers any more.
    model, fresh = make_model(seed=1).to(device), make_model(seed=1).to(device)
    options = Options(8, EOS, PAD, 1.0)
    prompts, uniforms = random_prompts(3, 5, device), random_uniforms(8, 3 * 4, device)
    expected = sample_with(fresh, prompts, uniforms, options, segment=2)
    sample_with(model, prompts[:1], uniforms[:, :4], options)
    large = random_prompts(9, 11, device), random_uniforms(20, 9 * 7, device)
    sample_with(model, *large, options._replace(max_tokens=20))
    weights = {name: p.clone() for name, p in model.state_dict().items()}
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(torch.nan)
    sample_with(model, *large, options._replace(max_tokens=20))
    model.load_state_dict(weights)
    ours = sample_with(model, prompts, uniforms, options, segment=2)
    assert all(torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


def test_buffers_go_with_their_model(device, make_model):
    model = make_model().to(device)
    sample_static(
        model, random_prompts(1, 3, device), 2, max_tokens=2, eos=EOS, pad=PAD, generator=seeded()
    )
    sampler = weakref.ref(*static_sampling._SAMPLERS[model].values())
    assert sampler() is not None
    del model
    gc.collect()
    assert sampler() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_replayed_graphs_do_what_calls_do(precision, make_model, monkeypatch):
    device = torch.device("cuda")
    replayed, called = (make_model(hidden=64, seed=1, spread=0.15).to(device) for _ in "12")
    prompts, options = random_prompts(5, 30, device), Options(40, EOS, PAD, 1.0)
    uniforms = random_uniforms(40, 5 * 8, device)
    ours, again = (
        sample_with(replayed, prompts, uniforms, options, precision, segment=4) for _ in "12"
    )
    monkeypatch.setattr(static_sampling, "Graphs", lambda capturing: Graphs(False))
    theirs = sample_with(called, prompts, uniforms, options, precision, segment=4)
    assert all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))
    if precision == "fp32":
        check_same(ours, theirs)
    else:  # a captured matrix product may be done by another kernel
        assert (ours.tokens == theirs.tokens).float().mean() > 0.9
