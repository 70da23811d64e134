from __future__ import annotations

import pytest
import torch

from fgrpo.lab.packing import Responses, distinct_responses, pack, response_logprobs, split

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


def sizes(part, prompt_length):
    """Tokens of a micro-batch: each group's prompt and its responses without their last tokens."""
    return len(set(part.responses.group.tolist())) * prompt_length + part.inputs


# The prompt has 6 tokens; inputs of group 0: 2, 4, 0, of group 2: 2, 4, of group 3: 2, 2, 1, 3, 4.
@pytest.mark.parametrize(
    ("most", "groups"),
    [
        (17, [[2], [0], [3], [3]]),  # group 3 has 6 + 12
        (18, [[2], [0], [3]]),
        (41, [[2], [0], [3]]),  # 42 in all: several, so as many as four if there were a fourth
        (42, [[0, 2, 3]]),
    ],
)
def test_split_cuts_between_responses_and_only_groups_too_large(
    most, groups, make_model, make_batch
):
    rollouts, advantages = make_batch(make_model())
    responses = distinct_responses(rollouts, advantages)
    parts = split(responses, 6, most)
    assert sorted(sorted(set(part.responses.group.tolist())) for part in parts) == sorted(groups)
    key = [(int(g), *t) for g, t in zip(responses.group, responses.tokens.tolist(), strict=True)]
    found = [
        (int(g), *t)
        for part in parts
        for g, t in zip(part.responses.group, part.responses.tokens.tolist(), strict=True)
    ]
    assert sorted(found) == sorted(key)
    for part in parts:
        assert sizes(part, 6) <= most or len(part.responses.group) == 1
        inputs = (part.responses.lengths - 1).tolist()
        by_group = dict.fromkeys(part.responses.group.tolist(), 0)
        for g, size in zip(part.responses.group.tolist(), inputs, strict=True):
            by_group[g] += size
        assert part.responses.group.tolist() == sorted(part.responses.group.tolist())
        assert part.groups == len(by_group)
        assert part.inputs == sum(inputs)
        assert part.group_width == max(1, *by_group.values())
        assert part.response_width == max(1, *inputs, 1)


def test_split_shares_evenly():
    lengths = torch.arange(40) % 7 + 3
    responses = Responses(
        tokens=torch.zeros(40, 10, dtype=torch.long),
        lengths=lengths,
        group=torch.arange(40) // 2,
        weight=torch.ones(40, dtype=torch.long),
        advantage=torch.ones(40),
        old_logprobs=torch.zeros(40, 10),
    )
    total = int((lengths - 1).sum()) + 20 * 6
    for most, count in [(total // 2 + 1, 4), (total // 3, 4), (total // 6, 8), (total, 1)]:
        loads = [sizes(part, 6) for part in split(responses, 6, most)]
        assert len(loads) == count
        assert max(loads) <= most
        assert max(loads) - min(loads) <= 2 * 21  # the largest piece has 6 + 8 + 7 tokens
    assert split(responses.__class__(*(part[:0] for part in responses)), 6, 100) == []


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("shape", [{}, {"layers": 3, "heads": 2, "kv_heads": 1}, {"layers": 1}])
def test_packed_logprobs_are_those_of_separate_passes(
    shape, temperature, make_model, make_batch, separate
):
    model = make_model(**shape, seed=2)
    rollouts, advantages = make_batch(model)
    responses = distinct_responses(rollouts, advantages)
    (batch,) = split(responses, 6, 1000)
    packed = response_logprobs(model, rollouts.prompts, batch, temperature)
    assert torch.equal(batch.responses.tokens, responses.tokens)
    for u, group in enumerate(responses.group.tolist()):
        length = int(responses.lengths[u])
        alone = separate(model, rollouts.prompts[group], responses.tokens[u, :length], temperature)
        torch.testing.assert_close(packed[u, :length], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("most", [1, 14, 1000], ids=["alone", "groups cut", "together"])
@pytest.mark.parametrize("layers", [1, 3])
def test_packed_gradients_are_those_of_separate_passes_in_double(
    layers, most, make_model, make_batch, separate
):
    model = make_model(seed=2, layers=layers).double()
    rollouts, advantages = make_batch(model)
    responses = distinct_responses(rollouts, advantages)
    weights = torch.randn(responses.tokens.shape, dtype=torch.float64)

    steps = torch.arange(weights.shape[1])
    used = weights * (steps < responses.lengths[:, None])
    model.zero_grad()
    for batch in split(responses, 6, most):
        packed = response_logprobs(model, rollouts.prompts, batch, 1.0)
        rows = [
            index
            for g, t in zip(batch.responses.group, batch.responses.tokens, strict=True)
            for index in range(len(responses.group))
            if responses.group[index] == g and torch.equal(responses.tokens[index], t)
        ]
        (packed * used[rows]).sum().backward()
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
    (batch,) = split(responses, 6, 1000)
    packed = pack(rollouts.prompts, batch)
    assert packed.prompts.tolist() == rollouts.prompts[[0, 2, 3]].tolist()
    tokens, steps, own, together = [], [], [], []
    for row, group in enumerate([0, 2, 3]):
        width = 0
        for u in torch.nonzero(responses.group == group).flatten().tolist():
            inputs = int(responses.lengths[u]) - 1
            tokens += responses.tokens[u, :inputs].tolist()
            steps += range(inputs)
            own += [u * 4 + step for step in range(inputs)]
            together += [row * 12 + width + step for step in range(inputs)]
            width += inputs
    assert packed.tokens.tolist() == tokens
    assert packed.steps.tolist() == steps
    assert packed.layout.response_slot.tolist() == own
    assert packed.layout.group_slot.tolist() == together
    assert packed.layout[1:3] == (3, 12)
    assert packed.layout[4:] == (10, 4)


def test_responses_of_one_token_need_no_own_attention(make_model, separate):
    model = make_model(seed=3)
    prompts = torch.randint(2, 8, (2, 6), generator=torch.Generator().manual_seed(0))
    responses = Responses(
        tokens=torch.tensor([[1, 0], [3, 0], [4, 0]]),
        lengths=torch.ones(3, dtype=torch.long),
        group=torch.tensor([0, 0, 1]),
        weight=torch.ones(3, dtype=torch.long),
        advantage=torch.ones(3),
        old_logprobs=torch.zeros(3, 2),
    )
    (batch,) = split(responses, 6, 100)
    found = response_logprobs(model, prompts, batch, 1.0)[:, 0]
    for u, (group, token) in enumerate([(0, 1), (0, 3), (1, 4)]):
        alone = separate(model, prompts[group], torch.tensor([token]), 1.0)
        torch.testing.assert_close(found[u : u + 1], alone, atol=1e-5, rtol=0)
    found.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
