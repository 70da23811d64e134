"""Dtypes, devices and gradients of success rates, focal weights and group advantages."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch

import fgrpo.advantage
from fgrpo.advantage import focal_advantages, focal_weight, group_advantages, success_rate

NAN, INF = math.nan, math.inf
SCALES = ("std", "population_std", "none")


@pytest.mark.parametrize(
    ("rewards", "dtype"),
    [
        ([1, 0], np.float64),
        ([True, False], np.float64),
        (np.array([1, 0], dtype=np.int8), np.float64),
        (np.array([True, False]), np.float64),
        (np.array([1, 0], dtype=np.float32), np.float32),
        (np.array([1, 0], dtype=np.float16), np.float16),
        (np.array([Fraction(1, 2), 0, None], dtype=object), np.float64),
    ],
)
def test_numpy_dtypes(rewards, dtype):
    n = len(rewards)
    for result in (success_rate(rewards, n), focal_advantages(rewards, n, gamma=1)):
        assert type(result) is np.ndarray
        assert result.dtype == dtype
        assert result[0] > 0


@pytest.mark.parametrize(
    ("given_dtype", "dtype"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.bfloat16),
        (torch.int64, torch.float32),
        (torch.bool, torch.float32),
    ],
)
@pytest.mark.parametrize("groups", [4, [0, 0, 0, 0]])
def test_torch_dtypes(given_dtype, dtype, groups):
    rewards = torch.tensor([1, 0, 0, 0]).to(given_dtype)
    assert success_rate(rewards, groups).tolist() == [0.25] * 4
    for result in (
        success_rate(rewards, groups),
        focal_weight(rewards, 0.5),
        group_advantages(rewards, groups),
        focal_advantages(rewards, groups, gamma=0.5),
    ):
        assert result.dtype == dtype
    advantages = focal_advantages(rewards, groups, gamma=1, epsilon=0)
    assert advantages.tolist() == [1.125, -0.375, -0.375, -0.375]


def test_half_precision_is_accumulated_in_single():
    # 3,000 ones and one zero: neither the count nor the sum fits a bfloat16's 8 bits.
    rewards = torch.ones(3001, dtype=torch.bfloat16)
    rewards[0] = 0
    result = group_advantages(rewards, 3001, scale="none")
    assert result[0].item() == pytest.approx(-3000 / 3001, rel=2**-8)
    assert result[1].item() == pytest.approx(1 / 3001, rel=2**-8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_threshold_is_read_in_the_precision_of_the_rewards(dtype):
    for level in (0.1, 0.7, 0.9):
        array = np.array([level, level - 0.01], dtype=dtype)
        assert success_rate(array, 2, threshold=level).tolist() == [0.5, 0.5]
        assert success_rate(torch.from_numpy(array), 2, threshold=level).tolist() == [0.5, 0.5]
        assert success_rate(array, 2, threshold=1e300).tolist() == [0, 0]
        assert success_rate(torch.from_numpy(array), 2, threshold=1e300).tolist() == [0, 0]


def test_no_gradient_and_no_change_of_the_input():
    rewards = torch.tensor([1.0, 0.0], requires_grad=True)
    for result in (
        success_rate(rewards, 2),
        focal_weight(rewards, 1),
        group_advantages(rewards, 2),
        focal_advantages(rewards, [5, 5], gamma=1),
    ):
        assert not result.requires_grad
    array = np.array([1.0, NAN, 0.0])
    group_advantages(array, 3)
    group_advantages(torch.from_numpy(array), 3)
    np.testing.assert_array_equal(array, [1.0, NAN, 0.0])


def all_calls(rewards, size):
    return [
        success_rate(rewards, size),
        focal_weight(rewards, 0.5),
        *(group_advantages(rewards, size, scale=scale) for scale in SCALES),
        *(focal_advantages(rewards, size, gamma=0.5, scale=scale) for scale in SCALES),
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_group_sizes_need_no_value_from_the_device(dtype):
    # A meta tensor has no values: .item(), bool() and boolean indexing all raise on it.
    rewards = torch.empty(12, dtype=dtype, device="meta")
    for result in all_calls(rewards, 4):
        assert (result.device.type, result.dtype, result.shape) == ("meta", dtype, (12,))
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(rewards.sum() > 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_group_sizes_do_not_wait_for_a_cuda_device():
    cpu = torch.tensor([1.0, 0.0, NAN, 1.0, 0.0, 1.0])
    rates = torch.tensor([0.0, 0.25, 1.0], device="cuda")
    rewards = cpu.cuda()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the debug mode announces that it is a prototype
        torch.cuda.set_sync_debug_mode("error")
        try:
            result = focal_advantages(rewards, 3, gamma=0.5)
            weight = focal_weight(rates, 0.5)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(result.cpu(), focal_advantages(cpu, 3, gamma=0.5))
    torch.testing.assert_close(weight.cpu(), focal_weight(rates.cpu(), 0.5))
    ids = focal_advantages(rewards, [0, 0, 0, 1, 1, 1], gamma=0.5)
    torch.testing.assert_close(ids, result)


@pytest.fixture
def unseen(monkeypatch):
    """Treat CPU tensors as an accelerator's, whose values are not looked at."""
    load = fgrpo.advantage._load
    monkeypatch.setattr(
        fgrpo.advantage, "_load", lambda values, name: (*load(values, name)[:2], False)
    )


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("bad", [INF, -INF, 3e38])
@pytest.mark.parametrize("groups", [3, [1, 1, 1, 0, 0, 0]])
def test_on_an_accelerator_an_infinite_reward_makes_its_group_nan(bad, groups):
    rewards = torch.tensor([1.0, bad, NAN, 1.0, 0.0, NAN])
    for bad_group in (rewards, torch.tensor([bad, bad, bad, 1.0, 0.0, NAN])):
        for result, good in [
            (success_rate(bad_group, groups), [0.5, 0.5, 0.5]),
            (group_advantages(bad_group, groups, epsilon=0), [0.5**0.5, -(0.5**0.5), 0]),
            (group_advantages(bad_group, groups, scale="none"), [0.5, -0.5, 0]),
            (focal_advantages(bad_group, groups, gamma=1, scale="none"), [0.25, -0.25, 0]),
        ]:
            assert result[:3].isnan().all()
            np.testing.assert_allclose(result[3:].numpy(), good, rtol=1e-6)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_on_an_accelerator_an_impossible_success_rate_makes_nan(gamma):
    weight = focal_weight(torch.tensor([-0.1, 1.1, NAN, INF, 0.0, 1.0]), gamma)
    assert weight[:4].isnan().all()
    assert weight[4:].tolist() == [1, 0.0**gamma]


def test_numpy_users_never_load_torch_or_scipy():
    code = (
        "import sys, fgrpo.advantage as a; a.focal_advantages([1, 0], ['x', 'x'], gamma=1);"
        "print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
