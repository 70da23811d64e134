"""The three losses against a token-by-token loop, finite differences and identities."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss
from objective_cases import (
    AGGREGATES,
    BOUNDS,
    LOSSES,
    RATIOS,
    every_aggregate,
    every_loss,
    example,
    loop,
    loss_and_gradient,
    tensor,
)

# Against the loop


@every_loss
@every_aggregate
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("own_bounds", [False, True])
def test_matches_the_token_loop(name, aggregate, weighted, own_bounds):
    log_probs, old, advantages, mask = example()
    if weighted:
        mask = mask * tensor([1.0, 2.5, 0.5, 3.0])[:, None] * tensor([1, 1, 0, 2, 1, 0.25])
    bounds, options = BOUNDS[name], {}
    if own_bounds:
        bounds = (0.7, 1.3) if name == "grpo" else (0.5, 1.27)
        options = {"clip": 0.3} if name == "grpo" else {"clip_low": 0.5, "clip_high": 0.27}
    batch = (log_probs, old, advantages, mask)
    result = LOSSES[name](*batch, aggregate=aggregate, **options)
    loss, low, high = loop(name, batch, bounds, aggregate)
    assert result.loss.item() == pytest.approx(loss, rel=1e-12)
    assert result.clip_fraction_low.item() == pytest.approx(low, rel=1e-12)
    assert result.clip_fraction_high.item() == pytest.approx(high, rel=1e-12)
    assert high > 0
    assert low > 0 or bounds[0] == 0


@every_loss
@every_aggregate
def test_gradient_matches_finite_differences_of_the_loop(name, aggregate):
    log_probs, old, advantages, mask = example()
    mask = mask * tensor([1.0, 2.0, 0.5, 1.0])[:, None]
    _, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, advantages, mask, aggregate=aggregate
    )
    step = 1e-6
    for b in range(4):
        for t in range(6):
            sides = []
            for move in (step, -step):
                moved = log_probs.clone()
                moved[b, t] += move
                batch = (moved, old, advantages, mask)
                frozen = log_probs if name == "cispo" else None
                sides.append(loop(name, batch, BOUNDS[name], aggregate, frozen=frozen)[0])
            slope = (sides[0] - sides[1]) / (2 * step)
            assert gradient[b, t].item() == pytest.approx(slope, abs=2e-9)


@every_loss
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("ratio", RATIOS)
def test_one_token_by_hand(name, sign, ratio):
    log_probs, advantage = tensor([[-2.0]]), 1.5 * sign
    old = log_probs - math.log(ratio)
    result, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, tensor([advantage]), torch.ones(1, 1)
    )
    low, high = BOUNDS[name]
    kept = min(max(ratio, low), high)
    if name == "cispo":
        loss, slope = 2 * kept * advantage, -kept * advantage
        clipped = (ratio < low, ratio > high)
    else:
        clipped = (sign < 0 and ratio < low, sign > 0 and ratio > high)
        loss = -(kept if any(clipped) else ratio) * advantage
        slope = 0 if any(clipped) else -ratio * advantage
    assert result.loss.item() == pytest.approx(loss, rel=1e-12)
    assert gradient.item() == pytest.approx(slope, rel=1e-12)
    assert (result.clip_fraction_low.item(), result.clip_fraction_high.item()) == clipped
    assert not result.clip_fraction_low.requires_grad
    assert not result.clip_fraction_high.requires_grad


def test_defaults_are_the_papers():
    defaults = {
        name: {
            key: parameter.default
            for key, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        for name, function in LOSSES.items()
    }
    common = {"aggregate": "token_mean", "normalizer": None}
    assert defaults == {
        "grpo": {"clip": 0.2, "dual_clip": None, **common},
        "dapo": {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None, **common},
        "cispo": {"clip_low": 1.0, "clip_high": 5.0, **common},
    }


# Identities


@every_aggregate
def test_dapo_with_equal_bounds_is_grpo(aggregate):
    batch = example()
    equal, gradient = loss_and_gradient(
        dapo_loss, *batch, clip_low=0.3, clip_high=0.3, aggregate=aggregate
    )
    expected, same = loss_and_gradient(grpo_loss, *batch, clip=0.3, aggregate=aggregate)
    assert equal == expected
    assert torch.equal(gradient, same)


@pytest.mark.parametrize("function", [grpo_loss, dapo_loss])
@pytest.mark.parametrize(
    ("advantage", "ratio", "loss", "gradient", "clipped"),
    [
        (-2, 5.0, 6.0, 0.0, 1),
        (-2, 2.5, 5.0, 5.0, 0),
        (0, 5.0, 0.0, 0.0, 0),
        (2, 1.1, -2.2, -2.2, 0),
    ],
)
def test_the_dual_clip_bounds_negative_advantages_alone(
    function, advantage, ratio, loss, gradient, clipped
):
    log_probs = tensor([[-1.5]])
    batch = (log_probs, log_probs - math.log(ratio), tensor([[float(advantage)]]), tensor([[1.0]]))
    result, found = loss_and_gradient(function, *batch, dual_clip=3.0)
    assert result.loss.item() == pytest.approx(loss, rel=1e-12)
    assert found.item() == pytest.approx(gradient, rel=1e-12)
    assert (result.clip_fraction_low, result.clip_fraction_high) == (0, clipped)


def test_without_a_dual_clip_negative_advantages_have_no_bound():
    log_probs = tensor([[-1.5]])
    batch = (log_probs, log_probs - math.log(1e6), tensor([[-2.0]]), tensor([[1.0]]))
    result, found = loss_and_gradient(grpo_loss, *batch)
    assert result.loss.item() == found.item() == pytest.approx(2e6)


def test_on_policy_all_three_give_the_policy_gradient():
    log_probs, _, advantages, mask = example()
    for function in LOSSES.values():
        result, gradient = loss_and_gradient(function, log_probs, log_probs, advantages, mask)
        torch.testing.assert_close(gradient, -advantages * mask / mask.sum())
        assert result.clip_fraction_low == result.clip_fraction_high == 0
        if function is not cispo_loss:
            expected = -(advantages * mask).sum() / mask.sum()
            assert result.loss.item() == pytest.approx(expected.item(), rel=1e-12)


def test_inside_every_bound_grpo_and_cispo_have_one_gradient():
    log_probs, _, advantages, mask = example()
    old = log_probs + 0.15 * torch.sin(torch.arange(24, dtype=torch.float64)).reshape(4, 6)
    _, grpo = loss_and_gradient(grpo_loss, log_probs, old, advantages, mask)
    _, cispo = loss_and_gradient(cispo_loss, log_probs, old, advantages, mask)
    torch.testing.assert_close(grpo, cispo, rtol=1e-12, atol=0)


@every_loss
def test_the_means_agree_on_equal_lengths_and_differ_otherwise(name):
    log_probs, old, advantages, mask = example()
    full = torch.ones_like(mask)
    token, sequence = (
        LOSSES[name](log_probs, old, advantages, full, aggregate=a).loss for a in AGGREGATES
    )
    torch.testing.assert_close(token, sequence, rtol=1e-12, atol=0)
    token, sequence = (
        LOSSES[name](log_probs, old, advantages, mask, aggregate=a).loss for a in AGGREGATES
    )
    assert abs(token - sequence) > 1e-3


@every_loss
@every_aggregate
def test_one_advantage_per_sequence_is_that_of_its_tokens(name, aggregate):
    log_probs, old, _, mask = example()
    per_sequence = tensor([1.0, -2.0, 0.0, 0.5])
    per_token = per_sequence[:, None].expand(4, 6)
    first, second = (
        LOSSES[name](log_probs, old, a, mask, aggregate=aggregate)
        for a in (per_sequence, per_token)
    )
    assert first == second
    expected = loop(name, (log_probs, old, per_token, mask), BOUNDS[name], aggregate)
    assert first.loss.item() == pytest.approx(expected[0], rel=1e-12)


@every_loss
@every_aggregate
@pytest.mark.parametrize("as_tensor", [False, True])
def test_micro_batches_add_up(name, aggregate, as_tensor):
    log_probs, old, advantages, mask = example()
    mask[3] = 0  # a sequence without tokens, and a micro-batch of it alone
    mask = mask * tensor([1.0, 2.0, 1.0, 1.0])[:, None]
    whole, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, advantages, mask, aggregate=aggregate
    )
    size = mask.sum() if aggregate == "token_mean" else mask.amax(dim=1).sum()
    size = size if as_tensor else size.item()
    losses, gradients = [], []
    for rows in ([0], [1, 2], [3]):
        parts = (x[rows] for x in (log_probs, old, advantages, mask))
        part, part_gradient = loss_and_gradient(
            LOSSES[name], *parts, aggregate=aggregate, normalizer=size
        )
        losses.append(part.loss.item())
        gradients.append(part_gradient)
    assert sum(losses) == pytest.approx(whole.loss.item(), rel=1e-12)
    torch.testing.assert_close(torch.cat(gradients), gradient, rtol=1e-12, atol=1e-15)
    assert losses[2] == 0
    assert part.clip_fraction_low == part.clip_fraction_high == 0


@every_loss
@every_aggregate
def test_a_weight_on_a_row_counts_it_as_often(name, aggregate):
    log_probs, old, advantages, mask = example()
    times = torch.tensor([1, 3, 2, 0])
    weighted, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, advantages, mask * times[:, None], aggregate=aggregate
    )
    copies = [x.repeat_interleave(times, dim=0) for x in (log_probs, old, advantages, mask)]
    copied, copy_gradient = loss_and_gradient(LOSSES[name], *copies, aggregate=aggregate)
    torch.testing.assert_close(tuple(weighted), tuple(copied), rtol=1e-12, atol=0)
    row = torch.arange(4).repeat_interleave(times)
    summed = torch.zeros(4, 6, dtype=torch.float64).index_add(0, row, copy_gradient)
    torch.testing.assert_close(gradient, summed, rtol=1e-12, atol=1e-15)


@every_loss
def test_a_weight_on_a_token_counts_it_as_often(name):
    log_probs, old, advantages, mask = example()
    doubled = mask.clone()
    doubled[:, 2] *= 2
    weighted = LOSSES[name](log_probs, old, advantages, doubled)
    copies = [torch.cat([x, x[:, 2:3]], dim=1) for x in (log_probs, old, advantages, mask)]
    torch.testing.assert_close(tuple(weighted), tuple(LOSSES[name](*copies)), rtol=1e-12, atol=0)
