"""The three losses of what is masked, extreme or in another precision."""

from __future__ import annotations

import math

import pytest
import torch

import fgrpo.objective
from objective_cases import (
    BOUNDS,
    LOSSES,
    every_aggregate,
    every_loss,
    example,
    loop,
    loss_and_gradient,
    tensor,
)

NAN, INF = math.nan, math.inf


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
