from __future__ import annotations

import itertools

import pytest
import torch
from scipy.stats import chisquare

from fgrpo.lab.sampling import sample

PAD, EOS = 0, 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_prompts(groups, length, vocab=8, seed=0):
    return torch.randint(0, vocab, (groups, length), generator=seeded(seed))


def random_uniforms(tokens, rollouts, seed=0):
    return torch.rand(tokens, rollouts, generator=seeded(seed), dtype=torch.float64)


@torch.no_grad()
def naive(model, prompt, uniforms, temperature):
    """One rollout by full passes over everything so far; (tokens, log-probabilities, entropies)."""
    said, logprobs, entropies = [], [], []
    for uniform in uniforms.tolist():
        sequence = torch.cat([prompt, torch.tensor(said, dtype=torch.long)])
        p = (model(sequence[None])[0, -1].double() / temperature).softmax(-1)
        total, token = 0.0, 0
        for token, share in enumerate(p.tolist()):  # noqa: B007
            total += share
            if uniform < total:
                break
        said.append(token)
        logprobs.append(float(p[token].log()))
        entropies.append(float(-(p * p.log()).sum()))
        if token == EOS:
            break
    return said, logprobs, entropies


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.7])
@pytest.mark.parametrize(
    "shape", [{}, {"layers": 3, "heads": 2, "kv_heads": 2}, {"heads": 4, "kv_heads": 1}]
)
def test_rollouts_are_those_of_a_naive_loop(shape, temperature, make_model, set_uniforms):
    model = make_model(**shape, seed=1)
    groups, size, most = 3, 12, 7
    prompts = random_prompts(groups, 5)
    uniforms = random_uniforms(most, groups * size, seed=2)
    set_uniforms(uniforms)
    rollouts = sample(
        model,
        prompts,
        size,
        max_tokens=most,
        eos=EOS,
        pad=PAD,
        generator=seeded(),
        temperature=temperature,
    )
    seen_lengths = set()
    for g, n in itertools.product(range(groups), range(size)):
        said, logprobs, entropies = naive(model, prompts[g], uniforms[:, g * size + n], temperature)
        length = len(said)
        seen_lengths.add(length)
        assert int(rollouts.lengths[g, n]) == length
        assert bool(rollouts.truncated[g, n]) == (length == most and said[-1] != EOS)
        assert rollouts.tokens[g, n].tolist() == said + [PAD] * (most - length)
        filled = [0.0] * (most - length)
        assert rollouts.logprobs[g, n].tolist() == pytest.approx(logprobs + filled, abs=1e-4)
        assert rollouts.entropies[g, n].tolist() == pytest.approx(entropies + filled, abs=1e-4)
        assert rollouts.mask[g, n].tolist() == [t < length for t in range(most)]
    assert len(seen_lengths) > 2  # some ended early, and not all at once
    # The rows of a group were shared, and parted: else the above says little.
    assert len(torch.unique(rollouts.tokens[0], dim=0)) in range(2, size + 1)
    assert torch.equal(rollouts.prompts, prompts)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_frequencies_are_the_exact_probabilities(temperature, make_model):
    # Vocabulary {pad, end, 2, 3}, at most two tokens, prompt of three: all responses enumerated.
    # With this fixed seed the test is deterministic; p > 1e-4 for a right sampler but 1 seed in
    # 10,000, while errors of a few percent in any probability push p far below.
    model = make_model(vocab=4, seed=4, spread=0.22)
    prompts, size = random_prompts(2, 3, vocab=4, seed=1), 20_000
    with torch.no_grad():
        rollouts = sample(
            model,
            prompts,
            size,
            max_tokens=2,
            eos=EOS,
            pad=PAD,
            generator=seeded(11),
            temperature=temperature,
        )
        for g in range(2):
            exact = {}
            first = (model(prompts[g][None])[0, -1].double() / temperature).softmax(-1)
            for a in range(4):
                sequence = torch.cat([prompts[g], torch.tensor([a])])
                second = (model(sequence[None])[0, -1].double() / temperature).softmax(-1)
                for b in range(4):
                    key = (EOS, PAD) if a == EOS else (a, b)
                    exact[key] = exact.get(key, 0.0) + float(first[a] * second[b])
            seen = dict.fromkeys(exact, 0)
            for response in rollouts.tokens[g].tolist():
                seen[tuple(response)] += 1
            cells = {}  # responses expected less than ten times share one: chi-square needs that
            for key, p in exact.items():
                cell = key if size * p >= 10 else "rare"
                observed, expected = cells.get(cell, (0, 0.0))
                cells[cell] = (observed + seen[key], expected + size * p)
            assert len(cells) >= 8
            observed, expected = zip(*cells.values(), strict=True)
            assert chisquare(observed, expected).pvalue > 1e-4


def test_groups_draw_independently_of_each_other(make_model):
    # Equal prompts: equal rollouts would mean that a random number was used twice.
    model = make_model(seed=1)
    prompts = random_prompts(1, 5).expand(2, -1)
    rollouts = sample(model, prompts, 64, max_tokens=4, eos=EOS, pad=PAD, generator=seeded())
    same = (rollouts.tokens[0] == rollouts.tokens[1]).all(-1).float().mean()
    again = (rollouts.tokens[0, :32] == rollouts.tokens[0, 32:]).all(-1).float().mean()
    assert same < 0.5
    assert again < 0.5


def test_a_group_does_not_depend_on_the_others_in_the_batch(make_model, set_uniforms):
    model = make_model(seed=1)
    groups, size, most = 4, 6, 6
    prompts, uniforms = random_prompts(groups, 5), random_uniforms(most, groups * size)
    options = {"max_tokens": most, "eos": EOS, "pad": PAD, "generator": seeded()}
    set_uniforms(uniforms)
    together = sample(model, prompts, size, **options)
    for g in range(groups):
        set_uniforms(uniforms[:, g * size : (g + 1) * size])
        alone = sample(model, prompts[g : g + 1], size, **options)
        assert torch.equal(alone.tokens[0], together.tokens[g])
        assert torch.equal(alone.lengths[0], together.lengths[g])
        assert torch.equal(alone.truncated[0], together.truncated[g])
        for ours, theirs in (
            (alone.logprobs[0], together.logprobs[g]),
            (alone.entropies[0], together.entropies[g]),
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_each_prompt_is_processed_once_and_each_distinct_prefix_once(make_model, monkeypatch):
    model = make_model(seed=1)
    prefilled, decoded = [], []
    prefill, decode = model.prefill, model.decode
    monkeypatch.setattr(model, "prefill", lambda p: prefilled.append(tuple(p.shape)) or prefill(p))
    monkeypatch.setattr(model, "decode", lambda t, *a: decoded.append(len(t)) or decode(t, *a))
    groups, size, most = 3, 40, 5
    rollouts = sample(
        model,
        random_prompts(groups, 5),
        size,
        max_tokens=most,
        eos=EOS,
        pad=PAD,
        generator=seeded(),
    )
    assert prefilled == [(groups, 5)]
    expected = []
    for t in range(1, most):
        prefixes = {
            (g, *rollouts.tokens[g, n, :t].tolist())
            for g in range(groups)
            for n in range(size)
            if EOS not in rollouts.tokens[g, n, :t].tolist()
        }
        expected.append(len(prefixes))
    assert decoded == [rows for rows in expected if rows]
    assert decoded[0] < groups * size  # something was shared


def test_temperature_zero_takes_the_likeliest_token(make_model):
    model = make_model(seed=2)
    prompts = random_prompts(3, 5, seed=3)
    rollouts = sample(
        model, prompts, 3, max_tokens=6, eos=EOS, pad=PAD, generator=seeded(), temperature=0
    )
    for g in range(3):
        said = []
        while len(said) < 6 and EOS not in said:
            sequence = torch.cat([prompts[g], torch.tensor(said, dtype=torch.long)])
            said.append(int(model(sequence[None])[0, -1].argmax()))
        expected = said + [PAD] * (6 - len(said))
        assert rollouts.tokens[g].tolist() == [expected] * 3
        assert rollouts.lengths[g].tolist() == [len(said)] * 3
    assert not rollouts.logprobs.any()  # probability 1
    assert not rollouts.entropies.any()


def test_everything_ends_when_the_end_token_is_certain(make_model):
    model = make_model(seed=2)
    prompts = random_prompts(2, 5)
    # Some token comes first at temperature 0: let that one be the end.
    with torch.no_grad():
        end = int(model(prompts[:1])[0, -1].argmax())
    rollouts = sample(
        model, prompts[:1], 4, max_tokens=6, eos=end, pad=PAD, generator=seeded(), temperature=0
    )
    assert rollouts.lengths.tolist() == [[1] * 4]
    assert not rollouts.truncated.any()
    assert rollouts.tokens[0].tolist() == [[end] + [PAD] * 5] * 4


def test_an_end_at_the_last_place_is_no_truncation(make_model, set_uniforms):
    model = make_model(seed=1)
    rollouts = sample(
        model, random_prompts(4, 5), 50, max_tokens=1, eos=EOS, pad=PAD, generator=seeded()
    )
    ended = rollouts.tokens[..., 0] == EOS
    assert ended.any()
    assert not ended.all()
    assert torch.equal(rollouts.truncated, ~ended)
    assert (rollouts.lengths == 1).all()


def test_the_same_generator_state_gives_the_same_bits(make_model):
    model = make_model(seed=1)
    options = {"max_tokens": 5, "eos": EOS, "pad": PAD}
    first, second, other = (
        sample(model, random_prompts(3, 5), 8, generator=seeded(seed), **options)
        for seed in (7, 7, 8)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.tokens, other.tokens)


def test_bf16_samples_from_nearly_the_same_policy(make_model, separate):
    model = make_model(seed=1, hidden=32, spread=0.3)
    prompts = random_prompts(3, 12)
    rollouts = sample(
        model,
        prompts,
        16,
        max_tokens=5,
        eos=EOS,
        pad=PAD,
        generator=seeded(),
        precision="bf16",
    )
    assert rollouts.logprobs.dtype == torch.float32
    gaps = []
    for g, n in itertools.product(range(3), range(16)):
        length = int(rollouts.lengths[g, n])
        with torch.no_grad():
            exact = separate(model, prompts[g], rollouts.tokens[g, n, :length], 1.0)
        gaps += (rollouts.logprobs[g, n, :length] - exact).abs().tolist()
    assert max(gaps) < 0.25
    assert sum(gaps) / len(gaps) < 0.04
    assert max(gaps) > 1e-4  # it was not single precision after all
