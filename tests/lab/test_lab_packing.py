from __future__ import annotations

import pytest
import torch

from fgrpo.lab.packing import distinct_responses, pack, response_logprobs, split

EOS = 1


def plain_responses(batch):
    """(group, tokens) → (times said, advantage, old log-probabilities), of active groups."""
    rollouts, advantages = batch
    found = {}
    for g in range(len(rollouts.prompts)):
        if not any(advantages[g].tolist()):
            continue
        for n in range(rollouts.tokens.shape[1]):
            length = int(rollouts.lengths[g, n])
            key = (g, *rollouts.tokens[g, n, :length].tolist())
            times = found[key][0] + 1 if key in found else 1
            found[key] = (
                times,
                float(advantages[g, n]),
                rollouts.logprobs[g, n, :length].tolist(),
            )
    return found


def test_distinct_responses_are_collected_and_counted(make_model, make_batch):
    batch = make_batch(make_model())
    responses = distinct_responses(*batch)
    expected = plain_responses(batch)
    assert len(responses.tokens) == len(expected) == 10
    assert responses.group.tolist() == sorted(responses.group.tolist())
    assert 1 not in responses.group  # inactive
    for u, group in enumerate(responses.group.tolist()):
        length = int(responses.lengths[u])
        times, advantage, old = expected[(group, *responses.tokens[u, :length].tolist())]
        assert int(responses.weight[u]) == times
        assert float(responses.advantage[u]) == advantage
        assert responses.old_logprobs[u, :length].tolist() == old
        assert responses.mask[u].tolist() == [times] * length + [0] * (5 - length)


def test_a_batch_without_advantages_has_no_responses(make_model, make_batch):
    rollouts, advantages = make_batch(make_model())
    assert len(distinct_responses(rollouts, torch.zeros_like(advantages)).tokens) == 0


@pytest.mark.parametrize("most", [1, 29, 30, 50, 68, 69, 1000])
def test_split_keeps_groups_whole_and_within_the_limit(most, make_model, make_batch):
    rollouts, advantages = make_batch(make_model())
    responses = distinct_responses(rollouts, advantages)
    parts = split(responses, 6, most)
    places = [part.group.unique().tolist() for part in parts]
    assert sorted(g for groups in places for g in groups) == [0, 2, 3]
    for part, groups in zip(parts, places, strict=True):
        assert part.group.tolist() == sorted(part.group.tolist())
        for g in groups:
            ours, theirs = part.group == g, responses.group == g
            for a, b in zip(part, responses, strict=True):
                assert torch.equal(a[ours], b[theirs])
        padded = pack(rollouts.prompts, part).tokens.numel()
        assert padded <= most or len(groups) == 1
    # 6 + 8, 6 + 9 and 6 + 17 tokens: all three fit in 3·23, the two shorter ones in 2·15.
    assert len(parts) == {1: 3, 29: 3, 30: 2, 50: 2, 68: 2, 69: 1, 1000: 1}[most]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("shape", [{}, {"layers": 3, "heads": 2, "kv_heads": 1}, {"layers": 1}])
def test_packed_logprobs_are_those_of_separate_passes(
    shape, temperature, make_model, make_batch, separate
):
    model = make_model(**shape, seed=2)
    rollouts, advantages = make_batch(model)
    responses = distinct_responses(rollouts, advantages)
    packed = response_logprobs(model, rollouts.prompts, responses, temperature)
    for u, group in enumerate(responses.group.tolist()):
        length = int(responses.lengths[u])
        alone = separate(model, rollouts.prompts[group], responses.tokens[u, :length], temperature)
        torch.testing.assert_close(packed[u, :length], alone, atol=1e-4, rtol=0)


def test_packed_gradients_are_those_of_separate_passes_in_double(make_model, make_batch, separate):
    model = make_model(seed=2, layers=3).double()
    rollouts, advantages = make_batch(model)
    responses = distinct_responses(rollouts, advantages)
    weights = torch.randn(responses.tokens.shape, dtype=torch.float64)

    model.zero_grad()
    packed = pack(rollouts.prompts, responses)
    log_p = model(packed.tokens, packed.positions, packed.mask).flatten(0, 1).log_softmax(-1)
    steps = torch.arange(weights.shape[1])
    used = weights * (steps < responses.lengths[:, None])
    (log_p[packed.source, responses.tokens] * used).sum().backward()
    shared = [parameter.grad.clone() for parameter in model.parameters()]

    model.zero_grad()
    for u, group in enumerate(responses.group.tolist()):
        length = int(responses.lengths[u])
        alone = separate(model, rollouts.prompts[group], responses.tokens[u, :length], 1.0)
        (alone * weights[u, :length]).sum().backward()
    largest = max(float(parameter.grad.abs().max()) for parameter in model.parameters())
    assert largest > 0.1
    for gradient, parameter in zip(shared, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, atol=1e-10 * largest, rtol=0)


def test_each_prompt_is_laid_out_once(make_model, make_batch):
    rollouts, advantages = make_batch(make_model())
    responses = distinct_responses(rollouts, advantages)
    packed = pack(rollouts.prompts, responses)
    assert packed.tokens.shape == (3, 6 + 17)
    for row, group in enumerate([0, 2, 3]):
        said = [
            token
            for u in torch.nonzero(responses.group == group).flatten()
            for token in responses.tokens[u, : int(responses.lengths[u])].tolist()
        ]
        expected = [*rollouts.prompts[group].tolist(), *said]
        assert packed.tokens[row, : len(expected)].tolist() == expected
        places = [
            place
            for u in torch.nonzero(responses.group == group).flatten()
            for place in range(6, 6 + int(responses.lengths[u]))
        ]
        assert packed.positions[row, : len(expected)].tolist() == [*range(6), *places]
    # A padded place sees something, or its attention would be NaN.
    assert packed.mask.any(-1).all()
