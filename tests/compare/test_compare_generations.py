"""Comparisons of generations: draws against exact moments and distributions."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from compare_counts import counts, rng, simulated
from scipy import stats

from fgrpo.compare import Comparison, compare_generations, compare_problems
from fgrpo.compare.arms import align
from fgrpo.compare.generations import subsample_differences
from fgrpo.compare.result import summarise
from fgrpo.passk import pass_at_k


def literal_draws(right, m, k):
    """Every subsample of m of the outcomes, with the share of its k-subsets that hold a 1."""
    for chosen in itertools.combinations(right, m):
        subsets = list(itertools.combinations(chosen, k))
        yield Fraction(sum(any(subset) for subset in subsets), len(subsets))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_draws_follow_the_distribution_of_literal_subsampling(k):
    """All 20·15·20·15 joint subsamples of two tiny models, enumerated; each frequency within 5 SE.

    The draws are the code's; the probabilities come from taking subsamples one by one.
    """
    m, draws = 3, 200_000
    a, b = counts([6, 6], [2, 5]), counts([6, 6], [4, 1])
    arms = []
    for model in (a, b):
        problems = [
            Counter(literal_draws([1] * c + [0] * (n - c), m, k))
            for n, c in zip(model.n.tolist(), model.c.tolist(), strict=True)
        ]
        arm = Counter()
        for values in itertools.product(*(problem.items() for problem in problems)):
            arm[sum(v for v, _ in values) / 2] += math.prod(times for _, times in values)
        arms.append(arm)
    exact = Counter()
    for (x, p), (y, q) in itertools.product(arms[0].items(), arms[1].items()):
        exact[y - x] += p * q
    total = math.comb(6, m) ** 4
    assert exact.total() == total
    drawn = subsample_differences(*align(a, b), np.array([k]), m, draws, rng(1))[0]
    found = Counter(np.round(drawn, 9).tolist())
    seen = 0
    for value, times in exact.items():
        p = times / total
        frequency = found[round(float(value), 9)]
        assert abs(frequency - draws * p) < 5 * math.sqrt(draws * p * (1 - p)) + 1e-9, value
        seen += frequency
    assert seen == draws


@pytest.mark.slow
@pytest.mark.parametrize("m", [16, 50])
def test_draws_have_the_exact_hypergeometric_moments(m):
    """Mean within 5 SE; the standard deviation within 5·sd/√(2D), its SE for a near-normal sum."""
    draws, ks = 40_000, (1, 4, 16)
    a, b = simulated(1), simulated(2)
    drawn = subsample_differences(*align(a, b), np.array(ks), m, draws, rng(3))
    results = compare_generations(a, b, k=ks, m=m, draws=draws, rng=rng(3))
    direct_a, direct_b = (
        rng(seed).hypergeometric(model.c, model.n - model.c, m, size=(draws, 40))
        for seed, model in ((8, a), (9, b))
    )
    for k, row, result in zip(ks, drawn, results, strict=True):
        table = pass_at_k(m, np.arange(m + 1), k)
        mean = variance = 0.0
        for sign, model in ((-1, a), (1, b)):
            for n, c in zip(model.n, model.c, strict=True):
                pmf = stats.hypergeom(n, c, m).pmf(np.arange(m + 1))
                mean += sign * (pmf @ table)
                variance += pmf @ table**2 - (pmf @ table) ** 2
        mean, sd = mean / 40, math.sqrt(variance) / 40
        assert result.estimate == pytest.approx(mean, abs=1e-12)
        assert abs(row.mean() - mean) < 5 * sd / math.sqrt(draws)
        assert abs(result.standard_error - sd) < 5 * sd / math.sqrt(2 * draws)
        # Ends are 2.5% and 97.5% quantiles of draws made one variate at a time; 5 SE of both.
        direct = pass_at_k(m, direct_b, k).mean(axis=1) - pass_at_k(m, direct_a, k).mean(axis=1)
        slack = 5 * math.sqrt(2 * 0.025 * 0.975 / draws)
        low, high = result.interval
        below, above = direct - low, high - direct
        for outside in (below, above):
            assert (outside < -1e-9).mean() - slack < 0.025 < (outside < 1e-9).mean() + slack


def test_result_says_what_was_compared():
    a = counts([300, 400], [10, 100])
    b = counts([500, 300], [400, 250], names=["p001", "p000"])
    first, second = compare_generations(a, b, k=(1, 8), m=100, draws=2000, rng=rng())
    assert isinstance(first, Comparison)
    assert (first.k, second.k, first.m, first.draws, first.problems) == (1, 8, 100, 2000, 2)
    assert first.samples == (300, 300)
    assert first.a == pytest.approx((10 / 300 + 100 / 400) / 2)
    assert first.b == pytest.approx((400 / 500 + 250 / 300) / 2)
    assert first.estimate == pytest.approx(first.b - first.a)
    assert first.p_value == pytest.approx(2 / 2001)
    assert first.noise.startswith("generations")
    assert first.verdict.startswith("pass@1 is higher for B by 67.5 points (95% interval +6")
    assert first.caveat == ""
    reverse = compare_generations(b, a, k=1, m=100, draws=2000, rng=rng())[0]
    assert reverse.verdict.startswith("pass@1 is lower for B by 67.5 points (95% interval −7")


def test_order_of_problems_does_not_matter():
    a, b = simulated(1), simulated(2)
    order = rng(5).permutation(40)
    shuffled = counts(b.n[order], b.c[order], [b.problems[i] for i in order])
    for compare in (
        lambda x, y: compare_generations(x, y, k=2, m=32, draws=1000, rng=rng()),
        lambda x, y: compare_problems(x, y, k=2, draws=1000, rng=rng()),
    ):
        assert compare(a, b) == compare(a, shuffled) != compare(b, a)


def test_no_difference_without_spread_has_p_one_and_a_difference_carries_a_caveat():
    none, full = counts(300, [0, 300]), counts(300, [300, 0])
    for b in (none, full):  # the same mean from other problems
        same = compare_generations(none, b, k=(1, 256), draws=1000, rng=rng())
        assert [(r.p_value, r.interval, r.standard_error) for r in same] == [(1, (0, 0), 0)] * 2
        assert same[1].verdict == "no significant difference in pass@256 (p = 1)"
    certain = compare_generations(none, counts(300, [300, 300]), k=1, draws=1000, rng=rng())[0]
    assert certain.interval == (0.5, 0.5)
    assert certain.p_value == pytest.approx(2 / 1001)
    assert "does not mean that there is no noise" in certain.caveat
    assert certain.verdict.endswith(certain.caveat)
    everywhere = compare_problems(counts(8, [1] * 30), counts(8, [5] * 30), k=1, rng=rng())[0]
    assert everywhere.caveat == certain.caveat


def test_m_above_half_of_n_carries_a_caveat():
    a, b = simulated(1), simulated(2)
    at_half, above = (
        compare_generations(a, b, k=1, m=m, draws=1000, rng=rng())[0] for m in (32, 33)
    )
    assert at_half.caveat == ""
    assert "more than half of n" in above.caveat


def test_p_below_five_percent_exactly_if_the_interval_excludes_zero():
    """Swept over shifts around the boundary, with ties at zero and without."""
    generator = rng(4)
    outcomes = set()
    for draws in (40, 41, 79, 80, 999, 1000, 1001):
        values = generator.normal(size=draws)
        for shift in np.linspace(1.5, 2.5, 101):
            for rows in (values + shift, np.round(values + shift), -values - shift):
                _, (low, high), p_value = summarise(rows)
                assert 0 < p_value <= 1
                assert (p_value < 0.05) == (low > 0 or high < 0)
                outcomes.add(p_value < 0.05)
    assert outcomes == {True, False}


def test_interval_is_the_central_95_percent_and_p_counts_the_draws():
    values = rng(0).permutation(np.arange(-300.0, 700.0))
    error, interval, p_value = summarise(values)
    assert interval == (-300.0 + 24, 699.0 - 24)
    assert p_value == 2 * (1 + 301) / 1001  # −300 … 0 are at most 0
    assert error == pytest.approx(math.sqrt((1000**2 - 1) / 12), rel=1e-3)


def test_rounding_of_a_tie_is_not_a_difference():
    error, interval, p_value = summarise(np.full(1000, 0.1 + 0.2 - 0.3))
    assert (error, interval, p_value) == (0, (0, 0), 1)
