"""Success rates, focal weights and group advantages against hand-made and exact values."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrpo.advantage import focal_advantages, focal_weight, group_advantages, success_rate

NAN, INF = math.nan, math.inf
SCALES = ("std", "population_std", "none")


def exact(rewards, ids, *, gamma, threshold=0.5, scale="std", epsilon=1e-6):
    """Success rate, focal weight and advantage of each rollout, one at a time in fractions."""
    rows = []
    for reward, own in zip(rewards, ids, strict=True):
        scored = [
            Fraction(r) for r, i in zip(rewards, ids, strict=True) if i == own and not math.isnan(r)
        ]
        solved = [r for r in scored if r >= Fraction(threshold)]
        rate = Fraction(len(solved), len(scored)) if scored else Fraction(0)
        if math.isnan(reward) or len(set(scored)) < 2:
            advantage = 0.0
        else:
            centred = Fraction(reward) - statistics.mean(scored)
            spread = {
                "std": lambda scored=scored: statistics.variance(scored),
                "population_std": lambda scored=scored: statistics.pvariance(scored),
            }
            if scale == "none":
                advantage = float(centred)
            else:
                advantage = float(centred) / (math.sqrt(spread[scale]()) + epsilon)
        weight = float(1 - rate) ** gamma
        rows.append((float(rate), weight, advantage))
    return [np.array(column) for column in zip(*rows, strict=True)]


reward = st.sampled_from([0.0, 1.0, -1.0, 0.1, 0.3, 0.5, 0.7, 2.5, NAN])
batches = st.lists(st.tuples(reward, st.integers(0, 4)), min_size=1, max_size=24)
quick = settings(max_examples=60, deadline=None)


# Hand-computed values


def test_success_rate_counts_rewards_at_the_threshold():
    np.testing.assert_array_equal(
        success_rate([1, 0, 0.5, 0.49, 1, 1, 1, 1], 4), [0.5] * 4 + [1.0] * 4
    )
    np.testing.assert_array_equal(
        success_rate([-1.0, 1.0, 3.0, 1.0], 2, threshold=2), [0, 0, 1 / 2, 1 / 2]
    )


def test_group_advantages_of_one_success_in_four():
    rewards = [1.0, 0.0, 0.0, 0.0]  # mean 1/4, sample variance 1/4, population variance 3/16
    np.testing.assert_allclose(group_advantages(rewards, 4, epsilon=0), [1.5, -0.5, -0.5, -0.5])
    np.testing.assert_allclose(
        group_advantages(rewards, 4, epsilon=0.5), [0.75, -0.25, -0.25, -0.25]
    )
    np.testing.assert_allclose(
        group_advantages(rewards, 4, scale="population_std", epsilon=0),
        np.array([3, -1, -1, -1]) / math.sqrt(3),
    )
    np.testing.assert_allclose(
        group_advantages(rewards, 4, scale="none", epsilon=9), [0.75, -0.25, -0.25, -0.25]
    )
    np.testing.assert_allclose(group_advantages(rewards, 4)[0], 0.75 / (0.5 + 1e-6), rtol=1e-14)


def test_focal_advantages_of_one_success_in_four():
    rewards = [1.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(
        focal_advantages(rewards, 4, gamma=1, epsilon=0), [1.125, -0.375, -0.375, -0.375]
    )
    np.testing.assert_allclose(
        focal_advantages(rewards, 4, gamma=0.5, scale="none"),
        np.sqrt(0.75) * np.array([0.75, -0.25, -0.25, -0.25]),
    )


@pytest.mark.parametrize(
    ("rate", "gamma", "weight"),
    [(0, 2, 1), (0.75, 0.5, 0.5), (0.75, 2, 0.0625), (1, 0.5, 0), (1, 0, 1), (0.3, 0, 1)],
)
def test_focal_weight(rate, gamma, weight):
    assert focal_weight(rate, gamma) == weight
    np.testing.assert_array_equal(focal_weight([[rate], [rate]], gamma), [[weight], [weight]])
    assert focal_weight(torch.tensor(rate, dtype=torch.float64), gamma).item() == weight


# Degenerate groups


@pytest.mark.parametrize("backend", [np.array, torch.tensor])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("epsilon", [0.0, 1e-6])
@pytest.mark.parametrize(
    ("rewards", "size"),
    [
        ([0.7], 1),
        ([1.0, 0.0, 3.0], 1),
        ([1.0] * 4, 4),
        ([0.0] * 4, 2),
        ([0.1] * 6, 3),
        ([NAN] * 3, 3),
    ],
)
def test_a_group_without_contrast_has_advantages_of_exactly_zero(
    backend, rewards, size, scale, epsilon
):
    result = group_advantages(backend(rewards), size, scale=scale, epsilon=epsilon)
    np.testing.assert_array_equal(np.asarray(result), np.zeros(len(rewards)))


def test_equal_rewards_leave_a_residue_in_the_textbook_formula():
    # What the exact zero above protects from: without it three 0.1 do not average to 0.1.
    rewards = np.array([0.1] * 3)
    assert rewards[0] != sum(rewards) / 3
    np.testing.assert_array_equal(group_advantages(rewards, ["a"] * 3, epsilon=0), [0, 0, 0])


@pytest.mark.parametrize("groups", [4, [7, 7, 7, 7]])
@pytest.mark.parametrize("backend", [np.array, torch.tensor])
def test_nan_is_left_out_of_every_count(backend, groups):
    rewards = backend([1.0, NAN, 0.0, 1.0])
    np.testing.assert_allclose(np.asarray(success_rate(rewards, groups)), [2 / 3] * 4, rtol=1e-6)
    # The other three: mean 2/3, sample variance 1/3.
    expected = np.array([1, 0, -2, 1]) / math.sqrt(3)
    np.testing.assert_allclose(
        np.asarray(group_advantages(rewards, groups, epsilon=0)), expected, rtol=1e-6
    )
    focal = np.asarray(focal_advantages(rewards, groups, gamma=1, epsilon=0))
    np.testing.assert_allclose(focal, expected / 3, rtol=1e-6)
    assert focal[1] == 0


def test_a_group_with_one_scorable_reward_is_inactive():
    np.testing.assert_array_equal(group_advantages([NAN, 1.0, 0.0, 1.0], [0, 0, 1, 1])[:2], [0, 0])
    np.testing.assert_array_equal(success_rate([NAN, 1.0, NAN, NAN], 2), [1, 1, 0, 0])
    np.testing.assert_array_equal(success_rate([None, 1.0], 2), [1, 1])


# Against exact arithmetic, and each form of a call against the others


@quick
@given(
    batches,
    st.sampled_from([0, 0.5, 1, 2.0]),
    st.sampled_from(SCALES),
    st.sampled_from([0.0, 0.5, 0.7]),
)
def test_matches_exact_arithmetic_on_unequal_groups(batch, gamma, scale, threshold):
    rewards, ids = zip(*batch, strict=True)
    rate, weight, advantage = exact(rewards, ids, gamma=gamma, scale=scale, threshold=threshold)
    tight = {"rtol": 1e-12, "atol": 1e-14}
    computed = success_rate(rewards, ids, threshold=threshold)
    np.testing.assert_allclose(computed, rate, **tight)
    np.testing.assert_allclose(focal_weight(computed, gamma), weight, **tight)
    np.testing.assert_allclose(group_advantages(rewards, ids, scale=scale), advantage, **tight)
    np.testing.assert_allclose(
        focal_advantages(rewards, ids, gamma=gamma, scale=scale, threshold=threshold),
        weight * advantage,
        **tight,
    )


@quick
@given(batches, st.sampled_from([0.5, 1.0]), st.sampled_from(SCALES))
def test_torch_agrees_with_numpy(batch, gamma, scale):
    rewards, ids = (np.array(column) for column in zip(*batch, strict=True))
    for dtype, rtol in [(np.float64, 1e-12), (np.float32, 2e-5)]:
        array = rewards.astype(dtype)
        tensor = torch.from_numpy(array)
        for groups in (ids, torch.from_numpy(ids), len(rewards)):
            for call in (
                success_rate,
                lambda r, g: group_advantages(r, g, scale=scale),
                lambda r, g: focal_advantages(r, g, gamma=gamma, scale=scale),
            ):
                left, right = call(array, groups), call(tensor, groups)
                assert isinstance(left, np.ndarray)
                assert left.dtype == right.numpy().dtype == dtype
                np.testing.assert_allclose(right.numpy(), left, rtol=rtol, atol=rtol / 10)


@quick
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_shuffled_ids_agree_with_contiguous_groups(size, count, data):
    rewards = np.array(data.draw(st.lists(reward, min_size=size * count, max_size=size * count)))
    order = np.array(data.draw(st.permutations(range(size * count))))
    ids = np.repeat(np.arange(count), size)
    whole = focal_advantages(rewards, size, gamma=0.5)
    for shuffled in (rewards[order], torch.tensor(rewards[order])):
        result = focal_advantages(shuffled, ids[order], gamma=0.5)
        np.testing.assert_allclose(np.asarray(result), whole[order], rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(
        success_rate(rewards[order], ids[order]), success_rate(rewards, size)[order]
    )


IDS = {
    "strings": ["b", "a", "b", "a", "", "b"],
    "tuples": [("x", 1), ("x", 2), ("x", 1), ("x", 2), (), ("x", 1)],
    "mixed": ["1", 1, "1", 1, None, "1"],
    "floats": [0.5, -INF, 0.5, -INF, INF, 0.5],
    "negative": [-5, 10**12, -5, 10**12, 0, -5],
    "huge": [10**30, 0, 10**30, 0, 1, 10**30],
    "decimals": [Decimal(1), Decimal(2), Decimal(1), Decimal(2), Decimal(3), Decimal(1)],
    "string array": np.array(["b", "a", "b", "a", "c", "b"]),
    "object array": np.array(["1", 1, "1", 1, None, "1"], dtype=object),
    "dates": np.array(["2020", "2021", "2020", "2021", "2022", "2020"], dtype="M8[Y]"),
    "unsigned": np.array([1, 0, 1, 0, 2, 1], dtype=np.uint8),
    "records": np.array([(1, 2), (1, 3), (1, 2), (1, 3), (0, 0), (1, 2)], dtype="i4,i4"),
    "int tensor": torch.tensor([7, 1, 7, 1, 3, 7]),
    "int16 tensor": torch.tensor([7, 1, 7, 1, 3, 7], dtype=torch.int16),
    "bfloat16 tensor": torch.tensor([7, 1, 7, 1, 3, 7], dtype=torch.bfloat16),
    "grad tensor": torch.tensor([7.0, 1, 7, 1, 3, 7], requires_grad=True),
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
@pytest.mark.parametrize("backend", [np.array, torch.tensor])
def test_any_kind_of_id_groups_alike(backend, ids):
    rates = success_rate(backend([1.0, 1.0, 0.0, 1.0, 0.0, 1.0]), ids)
    np.testing.assert_allclose(np.asarray(rates), [2 / 3, 1, 2 / 3, 1, 0, 2 / 3], rtol=1e-6)


def test_two_truth_values_are_ids():
    for ids in (
        [True, False, True],
        np.array([True, False, True]),
        torch.tensor([True, False, True]),
    ):
        np.testing.assert_array_equal(success_rate([1, 0, 0], ids), [0.5, 0, 0.5])


@pytest.mark.parametrize("size", [2, np.int64(2)])
def test_group_size_may_be_a_numpy_integer(size):
    np.testing.assert_array_equal(success_rate([1, 0, 1, 1], size), [0.5, 0.5, 1, 1])


@quick
@given(
    st.lists(st.integers(-8, 8), min_size=2, max_size=8),
    st.sampled_from([0.25, 3.0, 1e150, 1e-150]),
    st.sampled_from([0, 64]),
)
def test_advantages_ignore_the_scale_and_origin_of_rewards(levels, factor, shift):
    rewards = np.array(levels, dtype=float)
    moved = group_advantages((rewards + shift) * factor, len(rewards), epsilon=0)
    np.testing.assert_allclose(
        moved, group_advantages(rewards, len(rewards), epsilon=0), rtol=1e-12, atol=1e-12
    )
    assert abs(moved.sum()) < 1e-12
    assert (moved**2).sum() == pytest.approx(len(levels) - 1 if len(set(levels)) > 1 else 0)


def test_single_precision_squares_do_not_overflow_or_vanish():
    for size in (1e30, 1e-30):
        result = group_advantages(torch.tensor([size, 0.0, 0.0, 0.0]), 4, epsilon=0)
        np.testing.assert_allclose(result.numpy(), [1.5, -0.5, -0.5, -0.5], rtol=1e-6)


@quick
@given(batches)
def test_gamma_zero_is_the_unweighted_method(batch):
    rewards, ids = zip(*batch, strict=True)
    np.testing.assert_array_equal(
        focal_advantages(rewards, ids, gamma=0), group_advantages(rewards, ids)
    )


def test_focal_advantages_weight_by_success_at_the_threshold_not_by_contrast():
    rewards = [0.6, 0.9]  # both right at 0.5, one at 0.7
    np.testing.assert_array_equal(focal_advantages(rewards, 2, gamma=1), [0, 0])
    np.testing.assert_allclose(
        focal_advantages(rewards, 2, gamma=1, threshold=0.7), group_advantages(rewards, 2) / 2
    )
