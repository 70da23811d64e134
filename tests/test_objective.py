"""The three losses against a token-by-token loop, finite differences and identities."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import fgrpo.objective
from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss

NAN, INF = math.nan, math.inf
LOSSES = {"grpo": grpo_loss, "dapo": dapo_loss, "cispo": cispo_loss}
BOUNDS = {"grpo": (0.8, 1.2), "dapo": (0.8, 1.28), "cispo": (0.0, 6.0)}
AGGREGATES = ("token_mean", "sequence_mean")
every_loss = pytest.mark.parametrize("name", LOSSES)
every_aggregate = pytest.mark.parametrize("aggregate", AGGREGATES)

# Both signs of the advantage at ratios inside, between and outside all the bounds tried.
RATIOS = [0.05, 0.6, 0.79, 0.81, 1.0, 1.19, 1.25, 1.3, 5.9, 6.1]


def tensor(values, **kwargs):
    return torch.tensor(values, dtype=torch.float64, **kwargs)


def example():
    """Return log-probabilities, old ones, per-token advantages and a 0/1 mask, all (4, 6)."""
    generator = torch.Generator().manual_seed(3)
    ratio = tensor([*RATIOS, *RATIOS, 0.9, 1.1, 1.0, 1.0]).reshape(4, 6)
    sign = tensor([1.0] * 10 + [-1.0] * 10 + [1.0, -1.0, 0.0, 0.0]).reshape(4, 6)
    order = torch.randperm(24, generator=generator)
    ratio, sign = (x.reshape(-1)[order].reshape(4, 6) for x in (ratio, sign))
    log_probs = -3 * torch.rand(4, 6, generator=generator, dtype=torch.float64) - 0.1
    size = 0.5 + torch.rand(4, 6, generator=generator, dtype=torch.float64)
    mask = torch.ones(4, 6, dtype=torch.float64)
    mask[0, 4:] = 0
    mask[2, :1] = 0
    return log_probs, log_probs - ratio.log(), sign * size, mask


def loop(name, batch, bounds, aggregate="token_mean", normalizer=None, frozen=None):
    """Compute loss and clip fractions token by token; `frozen` log-probs set CISPO's ratio."""
    log_probs, old, advantages, mask = (x.tolist() for x in batch)
    frozen = log_probs if frozen is None else frozen.tolist()
    low, high = bounds
    sequences, clipped, n_tokens = [], [0.0, 0.0], 0.0
    for b, row in enumerate(mask):
        total = 0.0
        for t, weight in enumerate(row):
            if weight == 0:
                continue
            advantage = advantages[b][t]
            if name == "cispo":
                ratio = math.exp(frozen[b][t] - old[b][t])
                total += weight * min(max(ratio, low), high) * advantage * log_probs[b][t]
                below, above = ratio < low, ratio > high
            else:
                ratio = math.exp(log_probs[b][t] - old[b][t])
                plain, kept = ratio * advantage, min(max(ratio, low), high) * advantage
                total += weight * min(plain, kept)
                below, above = kept < plain and ratio < low, kept < plain and ratio > high
            clipped[0] += weight * below
            clipped[1] += weight * above
            n_tokens += weight
        sequences.append((total, sum(row), max(row)))
    if aggregate == "token_mean":
        loss = -sum(total for total, _, _ in sequences) / (normalizer or n_tokens)
    else:
        counted = [(total / length, w) for total, length, w in sequences if length]
        loss = -sum(mean * w for mean, w in counted) / (normalizer or sum(w for _, w in counted))
    return loss, clipped[0] / n_tokens, clipped[1] / n_tokens


def loss_and_gradient(function, log_probs, *rest, **options):
    log_probs = log_probs.detach().clone().requires_grad_()
    result = function(log_probs, *rest, **options)
    result.loss.backward()
    return result, log_probs.grad


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


# What is masked, extreme or in another precision


@every_loss
@every_aggregate
@pytest.mark.parametrize("junk", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("mask_dtype", [torch.float64, torch.bool, torch.int64])
def test_masked_positions_may_hold_anything(name, aggregate, junk, mask_dtype):
    log_probs, old, advantages, mask = example()
    mask[1] = 0
    clean, clean_gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, advantages, mask, aggregate=aggregate
    )
    dirty = [torch.where(mask == 0, junk, x) for x in (log_probs, old, advantages)]
    for tensors in (dirty, [dirty[0], old, advantages], [log_probs, dirty[1], advantages]):
        result, gradient = loss_and_gradient(
            LOSSES[name], *tensors, mask.to(mask_dtype), aggregate=aggregate
        )
        assert result == clean
        assert torch.equal(gradient, clean_gradient)
    assert (gradient[mask == 0] == 0).all()
    per_sequence = tensor([1.0, junk, -1.0, 2.0])  # row 1 has no token
    assert LOSSES[name](log_probs, old, per_sequence, mask).loss.isfinite()


@every_loss
@pytest.mark.parametrize("position", range(3))
def test_nan_in_a_token_that_counts_is_not_hidden(name, position):
    tensors = list(example())
    for advantage in (1.0, 0.0):
        tensors[2] = torch.full((4, 6), advantage, dtype=torch.float64)
        spoilt = [x.clone() for x in tensors]
        spoilt[position][0, 0] = NAN
        assert LOSSES[name](*spoilt).loss.isnan()


@every_loss
@pytest.mark.parametrize(
    ("advantage", "shift"), [(1.0, 200), (0.0, 200), (1.0, -200), (-1.0, -200)]
)
def test_extreme_ratios_leave_a_finite_loss_and_gradient(name, advantage, shift):
    # exp(200) is infinite in single precision.
    log_probs = torch.tensor([[-1.0, -1.0]])
    old = torch.tensor([[-1.0 - shift, -1.0]])
    result, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, torch.tensor([[advantage, 1.0]]), torch.ones(1, 2)
    )
    assert result.loss.isfinite()
    if name != "cispo" or advantage == 0 or shift < 0:
        assert gradient[0, 0] == 0
    else:
        assert gradient[0, 0] == -3.0  # the cap of 6, over two tokens
    assert gradient[0, 1] == -0.5


@every_loss
def test_a_token_the_policy_rules_out_adds_nothing(name):
    log_probs = torch.tensor([[-INF, -1.0]])
    old = torch.tensor([[-1.0, -1.0]])
    result, gradient = loss_and_gradient(
        LOSSES[name], log_probs, old, torch.tensor([1.0]), torch.ones(1, 2)
    )
    assert result.loss.item() == pytest.approx(0.5 if name == "cispo" else -0.5)
    assert gradient.tolist() == [[0.0, -0.5]]


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_computed_in_single(name, dtype):
    log_probs, old, advantages, mask = (x.to(dtype) for x in example())
    result, gradient = loss_and_gradient(LOSSES[name], log_probs, old, advantages, mask)
    assert {x.dtype for x in result} == {torch.float32}
    assert gradient.dtype == dtype
    batch = [x.double() for x in (log_probs, old, advantages, mask)]
    assert result.loss.item() == pytest.approx(loop(name, batch, BOUNDS[name])[0], rel=1e-5)


@every_loss
def test_only_the_new_log_probabilities_receive_a_gradient(name):
    tensors = [x.clone().requires_grad_() for x in example()]
    normalizer = tensor(5.0, requires_grad=True)
    LOSSES[name](*tensors, normalizer=normalizer).loss.backward()
    assert tensors[0].grad.abs().sum() > 0
    assert [x.grad for x in (*tensors[1:], normalizer)] == [None] * 4


@every_loss
@every_aggregate
@pytest.mark.parametrize("normalizer", [None, 7.0, torch.tensor(7.0, device="meta")])
def test_no_value_is_needed_from_the_device(name, aggregate, normalizer):
    # A meta tensor has no values: .item(), bool() and boolean indexing all raise on it.
    log_probs = torch.empty(3, 5, device="meta", requires_grad=True)
    other = torch.empty(3, 5, device="meta")
    result = LOSSES[name](
        log_probs, other, other[:, 0], other, aggregate=aggregate, normalizer=normalizer
    )
    result.loss.backward()
    assert [x.shape for x in result] == [()] * 3
    assert log_probs.grad.shape == (3, 5)


@every_loss
@every_aggregate
def test_on_an_accelerator_a_bad_mask_or_normalizer_makes_nan(name, aggregate, monkeypatch):
    monkeypatch.setattr(fgrpo.objective, "_may_look", lambda tensor: False)
    log_probs, old, advantages, mask = example()
    for bad in (-1.0, NAN, INF):
        spoilt = mask.clone()
        spoilt[1, 1] = bad
        for normalizer in (None, 4.0):
            result = LOSSES[name](
                log_probs, old, advantages, spoilt, aggregate=aggregate, normalizer=normalizer
            )
            assert result.loss.isnan()
    for normalizer in (0.0, -1.0, INF, NAN):
        result = LOSSES[name](log_probs, old, advantages, mask, normalizer=tensor(normalizer))
        assert result.loss.isnan()
    assert LOSSES[name](log_probs, old, advantages, 0 * mask, aggregate=aggregate).loss.isnan()


# Errors


ONES = torch.ones(2, 3)
ADVANTAGES = torch.ones(2)


def with_mask(value):
    mask = torch.ones(2, 3)
    mask[1, 2] = value
    return mask


ARGUMENT_ERRORS = [
    ((ONES[0], ONES, ADVANTAGES, ONES), ValueError, r"log_probs has shape \(3,\).*\(sequences"),
    ((ONES[:0],) * 4, ValueError, r"log_probs has shape \(0, 3\)"),
    ((ONES[:, :0],) * 4, ValueError, r"log_probs has shape \(2, 0\)"),
    ((ONES, ONES.T, ADVANTAGES, ONES), ValueError, r"old_log_probs has shape \(3, 2\).*\(2, 3\)"),
    ((ONES, ONES, ADVANTAGES, ONES[:1]), ValueError, r"mask has shape \(1, 3\).*\(2, 3\)"),
    (
        (ONES, ONES, torch.ones(3), ONES),
        ValueError,
        r"advantages has shape \(3,\).*\(2,\) or \(2, 3\)",
    ),
    ((ONES, ONES, ONES[:, :1], ONES), ValueError, r"advantages has shape \(2, 1\)"),
    (([[0.0]], ONES, ADVANTAGES, ONES), TypeError, r"log_probs is of type list.*tensor"),
    ((ONES, ONES, 1.0, ONES), TypeError, r"advantages is of type float"),
    ((ONES, None, ADVANTAGES, ONES), TypeError, r"old_log_probs is of type NoneType"),
    ((ONES.long(), ONES, ADVANTAGES, ONES), TypeError, r"log_probs has dtype torch.int64"),
    ((ONES, ONES.bool(), ADVANTAGES, ONES), TypeError, r"old_log_probs has dtype torch.bool"),
    ((ONES, ONES, ADVANTAGES, ONES + 0j), TypeError, r"mask has dtype torch.complex64"),
    ((ONES, ONES, ADVANTAGES, with_mask(-0.5)), ValueError, r"mask\[1, 2\] is -0\.5.*0 for"),
    ((ONES, ONES, ADVANTAGES, with_mask(NAN)), ValueError, r"mask\[1, 2\] is nan"),
    ((ONES, ONES, ADVANTAGES, with_mask(INF)), ValueError, r"mask\[1, 2\] is inf"),
    ((ONES, ONES, ADVANTAGES, 0 * ONES), ValueError, r"mask of shape \(2, 3\) is 0.*normalizer"),
]
OPTION_ERRORS = [
    ({"aggregate": "mean"}, ValueError, r"aggregate='mean'.*'sequence_mean'"),
    ({"normalizer": 0}, ValueError, r"normalizer=0: .*positive"),
    ({"normalizer": -2.0}, ValueError, r"normalizer=-2\.0"),
    ({"normalizer": INF}, ValueError, r"normalizer=inf"),
    ({"normalizer": NAN}, ValueError, r"normalizer=nan"),
    ({"normalizer": "4"}, TypeError, r"normalizer is '4'"),
    ({"normalizer": True}, TypeError, r"normalizer is True"),
    ({"normalizer": torch.tensor(-1.0)}, ValueError, r"normalizer=-1\.0"),
    ({"normalizer": torch.ones(2)}, ValueError, r"normalizer has shape \(2,\)"),
]
BOUND_ERRORS = [
    (grpo_loss, {"clip": -0.1}, ValueError, r"clip=-0\.1.*\[0, 1\]"),
    (grpo_loss, {"clip": 1.1}, ValueError, r"clip=1\.1"),
    (grpo_loss, {"clip": NAN}, ValueError, r"clip=nan"),
    (grpo_loss, {"clip": "0.2"}, TypeError, r"clip is '0\.2'"),
    (dapo_loss, {"clip_low": 1.5}, ValueError, r"clip_low=1\.5.*\[0, 1\]"),
    (dapo_loss, {"clip_high": -0.28}, ValueError, r"clip_high=-0\.28.*at least 0"),
    (dapo_loss, {"clip_high": NAN}, ValueError, r"clip_high=nan"),
    (dapo_loss, {"clip_low": None}, TypeError, r"clip_low is None"),
    (dapo_loss, {"dual_clip": 1.0}, ValueError, r"dual_clip=1\.0.*above 1"),
    (grpo_loss, {"dual_clip": NAN}, ValueError, r"dual_clip=nan"),
    (grpo_loss, {"dual_clip": "3"}, TypeError, r"dual_clip is '3'"),
    (cispo_loss, {"clip_low": -1}, ValueError, r"clip_low=-1"),
    (cispo_loss, {"clip_high": INF}, ValueError, r"clip_high=inf.*finite"),
    (cispo_loss, {"clip_high": True}, TypeError, r"clip_high is True"),
]


@every_loss
@every_aggregate
@pytest.mark.parametrize(("arguments", "error", "message"), ARGUMENT_ERRORS)
def test_argument_errors_name_value_place_and_remedy(name, aggregate, arguments, error, message):
    with pytest.raises(error, match=message):
        LOSSES[name](*arguments, aggregate=aggregate)


@every_loss
@pytest.mark.parametrize(("options", "error", "message"), OPTION_ERRORS)
def test_option_errors_name_value_and_remedy(name, options, error, message):
    with pytest.raises(error, match=message):
        LOSSES[name](ONES, ONES, ADVANTAGES, ONES, **options)


@pytest.mark.parametrize(("function", "options", "error", "message"), BOUND_ERRORS)
def test_bound_errors_name_value_and_range(function, options, error, message):
    with pytest.raises(error, match=message):
        function(ONES, ONES, ADVANTAGES, ONES, **options)
