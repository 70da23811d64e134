import time
from fractions import Fraction
from itertools import combinations
from math import comb

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgrpo.passk import pass_at_k


def rational(n: int, c: int, k: int) -> Fraction:
    return 1 - Fraction(comb(n - c, k), comb(n, k))


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_pass_at_k_counts_the_subsets_with_a_correct_sample(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations(range(n), k))
            share = sum(min(subset) < c for subset in subsets) / len(subsets)
            assert pass_at_k(n, c, k) == pytest.approx(share, rel=1e-15)


@given(st.data())
def test_pass_at_k_agrees_with_rational_arithmetic(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3000))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    got, expected = Fraction(float(pass_at_k(n, c, k))), rational(n, c, k)
    assert abs(got - expected) <= expected * Fraction(1, 10**14)


@pytest.mark.parametrize(
    ("c", "k"),
    [
        (1, 1),
        (1, 999_999),
        (3, 7),
        (38, 1268),
        (1000, 1000),
        (6440, 85),
        (6000, 6500),
        (2, 500_000),
    ],
)
def test_a_million_samples(c: int, k: int) -> None:
    n = 10**6
    with mp.workdps(60):
        log_wrong = mp.loggamma(n - c + 1) - mp.loggamma(n - c - k + 1)
        log_all = mp.loggamma(n + 1) - mp.loggamma(n - k + 1)
        expected = 1 - mp.exp(log_wrong - log_all)
        assert abs(pass_at_k(n, c, k) / expected - 1) < 1e-14


def test_edges() -> None:
    assert pass_at_k(10, 0, [1, 10]).tolist() == [0, 0]
    assert pass_at_k(10, 10, [1, 10]).tolist() == [1, 1]
    assert pass_at_k(10, 4, [7, 10]).tolist() == [1, 1]  # only 6 wrong samples
    assert pass_at_k(10, 4, 6) == pytest.approx(1 - 1 / 210, rel=1e-15)
    assert pass_at_k(10**6, 10**6, 10**6) == 1
    assert pass_at_k(10**6, 500_000, 400_000) == 1
    assert pass_at_k(10, 3.0, 1) == pytest.approx(0.3, rel=1e-15)


def test_k_adds_an_axis_behind_those_of_the_problems() -> None:
    n = np.array([8, 16])
    c = np.array([[0, 1], [2, 3], [8, 16]])
    table = pass_at_k(n, c, [1, 2, 8])
    assert table.shape == (3, 2, 3)
    assert table[1, 1, 2] == pass_at_k(16, 3, 8)
    assert pass_at_k(n, c, 2).shape == (3, 2)
    assert pass_at_k(8, 3, [1, 2]).shape == (2,)
    assert isinstance(pass_at_k(8, 3, 2), float)
    assert pass_at_k([], [], [1, 2]).shape == (0, 2)
    np.testing.assert_allclose(table[..., 0], c / n, rtol=1e-15)


def test_sums_longer_than_one_chunk_are_pieced_together() -> None:
    n, k = 10**6, np.arange(5000, 5400)
    together = pass_at_k(n, [30, 6000], k)  # some 2.5 million terms
    assert together[1].tolist() == [pass_at_k(n, 6000, int(one)) for one in k]
    assert together[0].tolist() == [pass_at_k(n, 30, int(one)) for one in k]


def test_a_benchmark_sized_table_is_quick() -> None:
    c = np.random.default_rng(0).integers(0, 1025, 500)
    begin = time.perf_counter()
    pass_at_k(1024, c, 2 ** np.arange(11))
    assert time.perf_counter() - begin < 0.5  # milliseconds on an idle core


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        ([8, 8], [3, 9], 1, r"c\[1\] = 9 exceeds the 8 samples of its problem; recount"),
        (8, -1, 1, r"c = -1 is too small; it must be at least 0"),
        ([8, -2], 0, 1, r"n\[1\] = -2 is too small"),
        (8, 3, 0, r"k = 0 is too small; it must be at least 1"),
        ([16, 8], 3, [1, 12], r"k\[1\] = 12 exceeds n\[1\] = 8; draw more samples"),
        (8, 3, 9, r"k = 9 exceeds n = 8"),
        (8, 2.5, 1, r"c = 2.5 is not an integer; pass whole numbers"),
        (8, [1, np.nan], 1, r"c\[1\] = nan is not an integer"),
        (8, 3, [[1], [2]], r"k has shape \(2, 1\); pass a scalar or one axis"),
        ([8, 8], [1, 2, 3], 1, r"n \(2,\), c \(3,\); make them agree"),
    ],
)
def test_errors_name_value_place_and_remedy(n: object, c: object, k: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)


@pytest.mark.parametrize("c", [True, "3", None])
def test_counts_that_are_no_numbers_are_refused(c: object) -> None:
    with pytest.raises(TypeError, match=r"c has dtype .*; pass integers"):
        pass_at_k(8, c, 1)
