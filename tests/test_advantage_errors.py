"""What the functions of group advantages refuse, and the remedy they name."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from fgrpo.advantage import focal_advantages, focal_weight, group_advantages, success_rate

NAN, INF = math.nan, math.inf
REWARDS = [1.0, 0.0, 1.0, 0.0]
ERRORS = [
    (lambda: success_rate([], 1), ValueError, r"rewards has shape \(0,\)"),
    (lambda: success_rate(torch.empty(0), 1), ValueError, r"rewards has shape \(0,\)"),
    (lambda: success_rate([[1.0, 0.0]], 2), ValueError, r"shape \(1, 2\).*reshape"),
    (lambda: success_rate(torch.ones(2, 3), 2), ValueError, r"shape \(2, 3\).*reshape"),
    (lambda: success_rate(1.0, 1), ValueError, r"shape \(\)"),
    (lambda: success_rate([[1.0], [1.0, 0.0]], 1), ValueError, r"rewards is ragged"),
    (lambda: success_rate(["1", "0"], 2), TypeError, r"rewards has dtype <U1"),
    (lambda: success_rate([1.0, object], 2), TypeError, r"rewards\[1\] is <class 'object'>"),
    (lambda: success_rate([1j, 0], 2), TypeError, r"rewards has dtype complex128"),
    (lambda: success_rate(torch.tensor([1j]), 1), TypeError, r"dtype torch.complex64"),
    (
        lambda: success_rate(np.ma.masked_array([1.0, 2.0], [0, 1]), 2),
        TypeError,
        r"masked array.*filled",
    ),
    (lambda: success_rate([0.0, INF], 2), ValueError, r"rewards\[1\] is inf.*NaN"),
    (lambda: success_rate([0, 10**400, None], 3), ValueError, r"rewards\[1\] is inf"),
    (lambda: group_advantages([0.0, 0.0, -INF], 3), ValueError, r"rewards\[2\] is -inf"),
    (lambda: group_advantages([1e308, -1e308], 2), ValueError, r"rewards\[0\] is 1e\+308"),
    (
        lambda: focal_advantages(torch.tensor([0.0, INF]), 2, gamma=1),
        ValueError,
        r"rewards\[1\] is inf",
    ),
    (lambda: success_rate(REWARDS, 3), ValueError, r"groups=3 .*4 rewards.*index 3"),
    (lambda: success_rate(REWARDS, 8), ValueError, r"groups=8 .*4 rewards.*index 0"),
    (lambda: success_rate(torch.ones(4), 3), ValueError, r"groups=3 .*4 rewards.*index 3"),
    (lambda: success_rate(REWARDS, 0), ValueError, r"groups=0.*at least 1"),
    (lambda: success_rate(REWARDS, -2), ValueError, r"groups=-2.*at least 1"),
    (lambda: success_rate(REWARDS, 2.0), TypeError, r"groups is 2\.0.*int"),
    (lambda: success_rate(REWARDS, True), TypeError, r"groups is True.*int"),
    (lambda: success_rate(REWARDS, "aabb"), TypeError, r"groups is 'aabb'.*list"),
    (lambda: success_rate(REWARDS, None), TypeError, r"groups is None"),
    (lambda: success_rate(REWARDS, iter([1, 1, 2, 2])), TypeError, r"groups is .*iterator"),
    (lambda: success_rate(REWARDS, {1, 2, 3, 4}), TypeError, r"groups is \{1, 2, 3, 4\}"),
    (lambda: success_rate(REWARDS, [1, 1, 2]), ValueError, r"3 ids for 4 rewards"),
    (lambda: success_rate(torch.ones(2), torch.arange(3)), ValueError, r"3 ids for 2 rewards"),
    (lambda: success_rate(REWARDS, np.ones((2, 2))), ValueError, r"groups has shape \(2, 2\)"),
    (lambda: success_rate(REWARDS, torch.tensor(2)), ValueError, r"groups has shape \(\)"),
    (lambda: success_rate(REWARDS, [1, NAN, 2, 2]), ValueError, r"groups\[1\] is nan"),
    (lambda: success_rate(REWARDS, [1, 1, (2, NAN), 2]), ValueError, r"groups\[2\] is \(2, nan\)"),
    (lambda: success_rate(REWARDS, np.array([1, 1, NAN, 2])), ValueError, r"groups\[2\] is .*nan"),
    (
        lambda: success_rate(torch.ones(2), torch.tensor([1, NAN])),
        ValueError,
        r"groups\[1\] is .*nan",
    ),
    (
        lambda: success_rate([1, 0], np.array(["2020", "NaT"], dtype="M8[D]")),
        ValueError,
        r"groups\[1\] is .*NaT",
    ),
    (
        lambda: success_rate(REWARDS, [[1], [1], [2], [2]]),
        TypeError,
        r"groups\[0\] is \[1\].*tuple",
    ),
    (
        lambda: success_rate([1, 0], [torch.tensor(1), torch.tensor(1)]),
        TypeError,
        r"groups\[0\] is tensor\(1\)",
    ),
    (
        lambda: success_rate([1, 0], np.ma.masked_array([1, 1], [0, 1])),
        TypeError,
        r"groups is a masked array",
    ),
    (lambda: success_rate(REWARDS, 2, threshold=NAN), ValueError, r"threshold=nan.*finite"),
    (lambda: focal_advantages(REWARDS, 2, gamma=1, threshold=INF), ValueError, r"threshold=inf"),
    (lambda: success_rate(REWARDS, 2, threshold="1"), TypeError, r"threshold is '1'"),
    (lambda: focal_weight([0.5], -0.1), ValueError, r"gamma=-0\.1.*at least 0"),
    (lambda: focal_weight([0.5], INF), ValueError, r"gamma=inf.*finite"),
    (lambda: focal_advantages(REWARDS, 2, gamma=NAN), ValueError, r"gamma=nan.*finite"),
    (lambda: focal_advantages(REWARDS, 2, gamma=None), TypeError, r"gamma is None"),
    (lambda: focal_advantages(REWARDS, 2, gamma=True), TypeError, r"gamma is True"),
    (lambda: group_advantages(REWARDS, 2, epsilon=-1e-9), ValueError, r"epsilon=-1e-09.*least 0"),
    (lambda: focal_advantages(REWARDS, 2, gamma=1, epsilon=NAN), ValueError, r"epsilon=nan"),
    (lambda: group_advantages(REWARDS, 2, scale="sd"), ValueError, r"scale='sd'.*'none'"),
    (lambda: focal_advantages(REWARDS, 2, gamma=1, scale=None), ValueError, r"scale=None"),
    (lambda: focal_weight([0.5, 1.5], 1), ValueError, r"success_rate\[1\] is 1\.5.*\[0, 1\]"),
    (lambda: focal_weight([[0.5, 1], [0, -1]], 0), ValueError, r"success_rate\[1, 1\] is -1\.0"),
    (lambda: focal_weight(NAN, 0), ValueError, r"success_rate is nan"),
    (lambda: focal_weight(torch.tensor([0.0, NAN]), 0), ValueError, r"success_rate\[1\] is nan"),
    (lambda: focal_weight("0.5", 1), TypeError, r"success_rate has dtype"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=itertools.count())
def test_errors_name_value_place_and_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()
