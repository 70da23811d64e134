"""Comparisons: draws against exact moments and distributions, t-tests against SciPy's, errors."""

from __future__ import annotations

import itertools
import math
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fgrpo.compare import (
    Comparison,
    compare_generations,
    compare_problems,
    compare_problems_and_seeds,
    compare_seeds,
)
from fgrpo.compare.arms import align, check_k
from fgrpo.compare.generations import subsample_differences
from fgrpo.compare.result import summarise
from fgrpo.passk import pass_at_k
from fgrpo.presentation.numbers import points
from fgrpo.records import Counts


def counts(n, c, names=None):
    c = np.asarray(c)
    names = names or tuple(f"p{i:03d}" for i in range(len(c)))
    return Counts(tuple(names), np.broadcast_to(n, c.shape), c)


def rng(seed=0):
    return np.random.default_rng(seed)


def simulated(seed, problems=40, n=64):
    generator = rng(seed)
    return counts(n, generator.binomial(n, generator.beta(0.6, 0.6, problems)))


# Generations --------------------------------------------------------------------------------


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


# Problems -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 8])
def test_bootstrap_standard_error_is_that_of_the_mean(k):
    """Against sd(d)/√P; 5 SE of a standard deviation from D draws of a near-normal mean."""
    draws = 20_000
    a, b = simulated(1, problems=60), simulated(2, problems=60)
    d = pass_at_k(b.n, b.c, k) - pass_at_k(a.n, a.c, k)
    result = compare_problems(a, b, k=k, draws=draws, rng=rng())[0]
    expected = d.std() / math.sqrt(60)
    assert result.estimate == pytest.approx(d.mean(), abs=1e-14)
    assert abs(result.standard_error - expected) < 5 * expected / math.sqrt(2 * draws)
    independent = math.hypot(*(pass_at_k(x.n, x.c, k).std() for x in (a, b))) / math.sqrt(60)
    paired = compare_problems(a, counts(64, np.minimum(a.c + 1, 64)), k=1, draws=1000, rng=rng())
    assert paired[0].standard_error < 0.1 * independent
    assert result.noise.startswith("problems")


def test_runs_of_an_arm_are_averaged_per_problem():
    runs = [simulated(s, problems=30) for s in (1, 2)]
    base = simulated(3, problems=30)
    both = compare_problems(base, runs, k=1, draws=1000, rng=rng())[0]
    pooled = counts(128, runs[0].c + runs[1].c, runs[0].problems)
    once = compare_problems(base, pooled, k=1, draws=1000, rng=rng())[0]
    assert both.runs == (1, 2)
    assert once.runs == (1, 1)
    assert both.interval == pytest.approx(once.interval)
    assert both.estimate == pytest.approx(once.estimate)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 4])
def test_identical_models_are_told_apart_in_five_percent_of_comparisons(k):
    """800 pairs: 0.05 ± 4·√(0.05·0.95/800), plus 0.007 for the percentile interval at P = 80."""
    pairs, problems, n = 800, 80, 32
    generator = rng(7)
    found = 0
    for _ in range(pairs):
        rates = generator.beta(0.6, 0.6, problems)
        a, b = (counts(n, generator.binomial(n, rates)) for _ in range(2))
        found += compare_problems(a, b, k=k, draws=1000, rng=generator)[0].p_value < 0.05
    bound = 4 * math.sqrt(0.05 * 0.95 / pairs)
    assert 0.05 - bound < found / pairs < 0.057 + bound


def test_few_problems_are_flagged_and_too_few_not_judged():
    few = compare_problems(counts(9, [1] * 6), counts(9, [4] * 6), k=1, draws=1000, rng=rng())[0]
    assert few.p_value < 0.05
    for size in (1, 5):
        result = compare_problems(
            counts(9, [1] * size), counts(9, [4] * size), k=1, draws=1000, rng=rng()
        )[0]
        assert math.isnan(result.p_value)
        assert np.isnan(result.interval).all()
        assert result.estimate == pytest.approx(1 / 3)
        assert f"cannot be judged: it takes at least 6 problems, not {size}" in result.verdict
    a, b = simulated(1, problems=19), simulated(2, problems=19)
    assert "19 problems are few" in compare_problems(a, b, k=1, rng=rng())[0].caveat
    a, b = simulated(1, problems=20), simulated(2, problems=20)
    assert compare_problems(a, b, k=1, rng=rng())[0].caveat == ""


# Training seeds -----------------------------------------------------------------------------


def mean_pass(runs, k):
    return [float(pass_at_k(run.n, run.c, k).mean()) for run in runs]


@pytest.mark.parametrize("k", [1, 8])
def test_two_arms_of_runs_give_welchs_t(k):
    a, b = [simulated(s) for s in range(3)], [simulated(s) for s in range(10, 15)]
    result = compare_seeds(a, b, k=k)[0]
    expected = stats.ttest_ind(mean_pass(b, k), mean_pass(a, k), equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert result.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert result.estimate / result.standard_error == pytest.approx(expected.statistic)
    assert (result.runs, result.noise) == ((3, 5), "training seeds")


def test_one_fixed_run_gives_a_one_sample_t_on_either_side():
    base, runs = simulated(0), [simulated(s) for s in range(1, 5)]
    expected = stats.ttest_1samp(mean_pass(runs, 1), mean_pass([base], 1)[0])
    centre = mean_pass([base], 1)[0]
    low, high = (end - centre for end in expected.confidence_interval(0.95))
    forward, backward = compare_seeds(base, runs, k=1)[0], compare_seeds(runs, [base], k=1)[0]
    assert forward.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert forward.interval == pytest.approx((low, high), rel=1e-9)
    assert backward.p_value == pytest.approx(forward.p_value)
    assert backward.interval == pytest.approx((-high, -low))
    assert forward.noise == "training seeds of B (A is one run, taken as fixed)"
    assert backward.noise == "training seeds of A (B is one run, taken as fixed)"


def test_runs_without_spread_are_equal_or_cannot_be_judged():
    low, high = counts(7, [1, 2, 4]), counts(7, [3, 4, 4])
    permuted = counts(7, [4, 2, 1])  # the same mean, summed in another order
    same = compare_seeds([low, permuted], [permuted, low], k=1)[0]
    assert (same.p_value, same.standard_error) == (1, 0)
    other = compare_seeds([low, permuted], [high, high], k=1)[0]
    assert math.isnan(other.p_value)
    assert "cannot be judged: nothing varied here" in other.verdict
    varying = compare_seeds([low, low], [high, low, high], k=1)[0]
    expected = stats.ttest_1samp(mean_pass([high, low, high], 1), mean_pass([low], 1)[0])
    assert varying.p_value == pytest.approx(expected.pvalue)


# Problems and training seeds together -------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("runs", [(3, 4), (1, 4), (3, 1)])
def test_joint_comparison_is_clarks_min_f(k, runs):
    """F1 over problems and F2 over seeds from SciPy's t-tests; min F' = F1·F2/(F1 + F2).

    The interval is the widest and p the largest of the three tests.
    """
    n, size = 12, 9
    arms = [rng(side).integers(n + 1, size=(r, size)) for side, r in enumerate(runs)]
    per_run = [
        [[1 - math.comb(n - c, k) / math.comb(n, k) for c in run] for run in arm.tolist()]
        for arm in arms
    ]
    a, b = (np.array(values) for values in per_run)
    over_problems = stats.ttest_1samp(b.mean(0) - a.mean(0), 0)
    if 1 in runs:
        varying, fixed = (b, a) if runs[0] == 1 else (a, b)
        over_seeds = stats.ttest_1samp(varying.mean(1), fixed.mean())
    else:
        over_seeds = stats.ttest_ind(b.mean(1), a.mean(1), equal_var=False)
    f1, f2 = over_problems.statistic**2, over_seeds.statistic**2
    min_f = f1 * f2 / (f1 + f2)
    freedom = (f1 + f2) ** 2 / (f1**2 / over_seeds.df + f2**2 / over_problems.df)
    difference = b.mean() - a.mean()
    tests = [(min_f, freedom), (f1, over_problems.df), (f2, over_seeds.df)]
    half = max(stats.t.ppf(0.975, df) * abs(difference) / math.sqrt(f) for f, df in tests)
    p_value = max(stats.f.sf(f, 1, df) for f, df in tests)

    sides = [[counts(n, run) for run in arm] for arm in arms]
    result = compare_problems_and_seeds(*sides, k=k)[0]
    assert result.estimate == pytest.approx(difference)
    assert result.p_value == pytest.approx(p_value, rel=1e-9)
    assert result.interval == pytest.approx((difference - half, difference + half), rel=1e-9)
    assert result.standard_error == pytest.approx(abs(difference) / math.sqrt(min_f))
    assert (result.runs, result.problems, result.caveat) == (runs, size, "")
    reverse = compare_problems_and_seeds(*sides[::-1], k=k)[0]
    assert reverse.interval == pytest.approx((-result.interval[1], -result.interval[0]))


def test_joint_comparison_says_what_is_fixed():
    runs = [simulated(s) for s in range(3)]
    whole, fixed_a, fixed_b = (
        compare_problems_and_seeds(a, b, k=1)[0].noise
        for a, b in ((runs, runs[::-1]), (runs[0], runs), (runs, runs[0]))
    )
    together = "problems and training seeds together (other problems, other seeds of "
    assert whole == together + "both)"
    assert fixed_a == together + "B; A is one run, taken as fixed)"
    assert fixed_b == together + "A; B is one run, taken as fixed)"


EXPERIMENTS = 1000


def null_experiments(sd_a, sd_b, runs_a, runs_b=4):
    """Return p of the joint test and of seeds alone, shape (2, experiments), where A equals B.

    Rates are 1/2 plus effects of the problem, problem × arm, seed and problem × seed, all
    symmetric about 0: both arms have mean 1/2 over problems and seeds.
    """
    problems, n = 60, 32
    generator = rng(11)
    found = []
    for _ in range(EXPERIMENTS):
        shared = generator.normal(0, 0.1, problems)
        arms = []
        for runs, sd in ((runs_a, sd_a), (runs_b, sd_b)):
            of_problem = shared + generator.normal(0, 0.12, problems)
            of_seed = generator.normal(0, sd, (runs, 1))
            of_both = generator.normal(0, 0.05, (runs, problems))
            rates = np.clip(0.5 + of_problem + of_seed + of_both, 0, 1)
            arms.append([counts(n, c) for c in generator.binomial(n, rates)])
        found.append(
            [f(*arms, k=1)[0].p_value for f in (compare_problems_and_seeds, compare_seeds)]
        )
    return np.array(found).T


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sd_a", "sd_b", "runs_a"),
    [(0.03, 0.03, 4), (0.01, 0.05, 4), (0.0, 0.03, 1)],
    ids=["equal", "unequal", "fixed-base"],
)
def test_joint_comparison_finds_nothing_in_at_least_95_percent(sd_a, sd_b, runs_a):
    """At most nominal plus 4 binomial SE; at least 0.5%, that is not absurdly conservative."""
    joint, seeds_alone = (null_experiments(sd_a, sd_b, runs_a) < 0.05).mean(axis=1)
    se = math.sqrt(0.05 * 0.95 / EXPERIMENTS)
    assert 0.005 < joint < 0.05 + 4 * se
    # What the function is for: a test over seeds alone takes the luck of the problems for real.
    assert seeds_alone > 0.05 + 4 * se


@pytest.mark.slow
def test_joint_comparison_with_two_seeds_does_not_borrow_degrees_of_freedom():
    """At most nominal plus 4 binomial SE, where min F' alone would find 12% (docstring)."""
    joint, _ = (null_experiments(0.0, 0.1, 1, runs_b=2) < 0.05).mean(axis=1)
    assert 0.005 < joint < 0.05 + 4 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)


def test_joint_comparison_is_never_surer_than_that_of_seeds():
    base, steady = simulated(0), [simulated(1), simulated(1)]
    steady[1] = counts(64, np.minimum(steady[0].c + (np.arange(40) < 3), 64))
    joint, seeds = (f(base, steady, k=1)[0] for f in (compare_problems_and_seeds, compare_seeds))
    assert joint.p_value >= seeds.p_value
    assert joint.interval[0] <= seeds.interval[0] < seeds.interval[1] <= joint.interval[1]


def test_joint_comparison_without_spread():
    # Every seed shifts all problems alike: no spread over problems, so Welch's t with a caveat.
    a = [counts(20, np.arange(8) + shift) for shift in (0, 1)]
    b = [counts(20, np.arange(8) + shift) for shift in (4, 5, 7)]
    joint, seeds = compare_problems_and_seeds(a, b, k=1)[0], compare_seeds(a, b, k=1)[0]
    assert joint.p_value == pytest.approx(seeds.p_value)
    assert joint.interval == pytest.approx(seeds.interval)
    assert "nothing varied here" in joint.caveat
    low, high = counts(7, [1, 2, 4, 1, 1, 1]), counts(7, [4, 4, 1, 1, 1, 2])
    same = compare_problems_and_seeds([low, low], [low], k=1)[0]
    assert (same.p_value, same.interval) == (1, (0, 0))
    # Runs that agree exactly leave the noise of the problems, which is then a paired t-test.
    agreeing = compare_problems_and_seeds([low, low], [high, high], k=1)[0]
    expected = stats.ttest_1samp((high.c - low.c) / 7, 0.0)
    assert agreeing.p_value == pytest.approx(expected.pvalue)
    assert agreeing.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert "have equal means" in agreeing.caveat
    nothing = compare_problems_and_seeds([a[0], a[0]], [b[0], b[0]], k=1)[0]
    assert np.isnan([nothing.p_value, nothing.standard_error, *nothing.interval]).all()
    assert "cannot be judged: nothing varied here" in nothing.verdict


def test_joint_comparison_needs_six_problems():
    for size, judged in ((5, False), (6, True)):
        a = [simulated(s, problems=size) for s in range(3)]
        b = [simulated(s, problems=size) for s in range(3, 6)]
        result = compare_problems_and_seeds(a, b, k=1)[0]
        assert math.isnan(result.p_value) != judged
        assert judged or result.verdict.endswith("it takes at least 6 problems, not 5")


# Words --------------------------------------------------------------------------------------


def told(p, estimate=0.257, interval=(0.123, 0.391), draws=0):
    return Comparison(
        k=8, a=0, b=0, estimate=estimate, standard_error=0, interval=interval, p_value=p,
        noise="", problems=9, samples=(8, 8), draws=draws,
    )  # fmt: skip


def test_verdict_gives_points_with_one_decimal_and_signs():
    assert told(0.012).verdict == (
        "pass@8 is higher for B by 25.7 points (95% interval +12.3 to +39.1, p = 0.012)"
    )
    assert told(0.0002, -1.0, (-1.0, -0.0004)).verdict == (
        "pass@8 is lower for B by 100.0 points (95% interval −100.0 to −0.04, p < 0.001)"
    )
    assert told(0.05).verdict == "no significant difference in pass@8 (p = 0.05)"


@pytest.mark.parametrize(
    ("p", "draws", "text"),
    [
        (0.4, 0, "= 0.4"),
        (0.0504, 0, "= 0.05"),
        (0.05, 0, "= 0.05"),
        (0.04996, 0, "= 0.04996"),
        (0.0497, 0, "= 0.0497"),
        (0.0494, 0, "= 0.049"),
        (np.nextafter(0.05, 0), 0, "= 0.049999999999999996"),
        (0.00999, 0, "= 0.01"),
        (0.001, 0, "= 0.001"),
        (0.000999, 0, "< 0.001"),
        (0.0, 0, "< 0.001"),
        (2 / 1001, 1000, "≤ 0.002"),
        (2 / 1101, 1100, "≤ 0.0019"),
        (4 / 1001, 1000, "= 0.004"),
        (2 / 10_001, 10_000, "< 0.001"),
        (math.nan, 0, "–"),
    ],
)
def test_p_in_words(p, draws, text):
    assert told(p, draws=draws).p_text == text


def test_points_never_round_a_difference_to_zero():
    values = [0, 1e-13, 0.0499, -0.05, 0.004, -3e-9, 12.34]
    texts = ["0.0", "0.0", "+0.05", "−0.1", "+0.004", "−0.000000003", "+12.3"]
    assert [points(value) for value in values] == texts


# Errors -------------------------------------------------------------------------------------

SMALL = counts(8, [1, 2, 3])
BOTH = pytest.mark.parametrize(
    "compare",
    [
        lambda a, b, **options: compare_generations(a, b, rng=rng(), **{"m": 4, **options}),
        lambda a, b, **options: compare_problems(a, b, rng=rng(), **options),
        lambda a, b, **options: compare_seeds([a, a], b, **options),
        lambda a, b, **options: compare_problems_and_seeds([a, a], b, **options),
    ],
    ids=["generations", "problems", "seeds", "joint"],
)


@BOTH
def test_different_problems_are_listed(compare):
    other = counts(8, [1] * 13, ["p000", *(f"q{i:02d}" for i in range(12))])
    with pytest.raises(ValueError, match="hold different problems") as caught:
        compare(SMALL, other, k=1)
    message = str(caught.value)
    assert re.search(r"2 only in A(\[0\])? ", message)
    assert "('p001', 'p002')" in message
    assert "12 only in B ('q00', 'q01', " in message
    assert "'q09', …)" in message
    assert "q10" not in message


@BOTH
@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (
            (1, 9),
            ValueError,
            r"pass@9 needs at least 9 .* A(\[0\])? has 8 of 'p000'.* ask for k ≤ 8",
        ),
        (0, ValueError, "k must hold integers of at least 1, got 0"),
        ((), ValueError, "k must hold integers"),
        (1.5, TypeError, "k must be an integer or several, got 1.5"),
        ((1, 2.0), TypeError, "k must be an integer or several"),
    ],
)
def test_bad_k_is_refused(compare, k, error, message):
    with pytest.raises(error, match=message):
        compare(SMALL, SMALL, k=k)


@BOTH
def test_empty_and_foreign_inputs_are_refused(compare):
    with pytest.raises(ValueError, match="B holds no problems"):
        compare(SMALL, counts(1, np.zeros(0, int)), k=1)
    with pytest.raises(
        TypeError, match=r"B must be Counts, got a (str|list); see fgrpo.records.read_counts"
    ):
        compare(SMALL, ["records.jsonl"], k=1)


def test_bad_m_and_draws_are_refused_with_the_remedy():
    short = counts([8, 6, 8], [1, 2, 3])
    with pytest.raises(ValueError, match=r"m = 256 .* B has of 'p001'; pass m=3 \(half"):
        compare_generations(SMALL, short, k=1, rng=rng())
    with pytest.raises(ValueError, match=r"m = 8 takes all samples .* pass m=4"):
        compare_generations(SMALL, SMALL, k=1, m=8, rng=rng())
    with pytest.raises(ValueError, match=r"k = 5 is more than m = 4"):
        compare_generations(SMALL, SMALL, k=(1, 5), m=4, rng=rng())
    for compare in (compare_generations, compare_problems):
        options = {"m": 4} if compare is compare_generations else {}
        with pytest.raises(ValueError, match="draws must be at least 1000"):
            compare(SMALL, SMALL, k=1, draws=999, rng=rng(), **options)


def test_seeds_need_two_runs_somewhere():
    with pytest.raises(ValueError, match=r"one run each.* compare_problems or compare_generations"):
        compare_seeds(SMALL, [SMALL], k=1)
    with pytest.raises(ValueError, match="B holds no runs"):
        compare_seeds([SMALL, SMALL], [], k=1)
    with pytest.raises(ValueError, match=r"A\[0\] and A\[1\] hold different problems"):
        compare_seeds([SMALL, counts(8, [1])], SMALL, k=1)


def test_problems_and_seeds_need_two_runs_somewhere():
    with pytest.raises(ValueError, match=r"one run each.* use compare_problems$"):
        compare_problems_and_seeds(SMALL, [SMALL], k=1)


def test_runs_go_by_the_names_they_are_given():
    named = {"names": (["base"], ["seed-1", "seed-2"])}
    with pytest.raises(ValueError, match="base and seed-2 hold different problems"):
        align(SMALL, [SMALL, counts(8, [1])], **named)
    with pytest.raises(ValueError, match="seed-1 holds no problems"):
        align(SMALL, [counts(1, np.zeros(0, int)), SMALL], **named)
    arms = align(SMALL, [SMALL, counts([8, 6, 8], [1, 2, 3])], **named)
    with pytest.raises(ValueError, match="seed-2 has 6 of 'p001'"):
        check_k(7, *arms)


def test_importing_the_comparisons_does_not_load_scipy():
    code = "import sys, fgrpo.compare, fgrpo.records; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
