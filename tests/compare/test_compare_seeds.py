"""Comparisons over training seeds, alone and with problems: t-tests against SciPy's, Clark's F."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from compare_counts import counts, rng, simulated
from scipy import stats

from fgrpo.compare import compare_problems_and_seeds, compare_seeds
from fgrpo.passk import pass_at_k

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


def test_importing_the_comparisons_does_not_load_scipy():
    code = "import sys, fgrpo.compare, fgrpo.records; sys.exit('scipy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


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
