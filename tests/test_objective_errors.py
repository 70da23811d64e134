"""What the losses refuse, and the remedy they name."""

from __future__ import annotations

import math

import pytest
import torch

from fgrpo.objective import cispo_loss, dapo_loss, grpo_loss
from objective_cases import LOSSES, every_aggregate, every_loss

NAN, INF = math.nan, math.inf
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
