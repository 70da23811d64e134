"""The macro average: against exact variances, a loop over benchmarks, SciPy, and simulation."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from fgrpo.compare import compare_problems, compare_problems_and_seeds
from fgrpo.compare.macro import benchmark_of, compare_macro, compare_macro_and_seeds
from fgrpo.records import Counts

SIZES = {"small": 20, "middle": 60, "large": 150}


def counts(sizes, draw, n=16):
    names = [f"{name}/{i:03d}" for name, size in sizes.items() for i in range(size)]
    return Counts(tuple(names), np.full(len(names), n), np.concatenate(draw))


def simulated(seed, sizes=SIZES, n=16, shift=0.0):
    rng = np.random.default_rng(seed)
    return counts(
        sizes,
        [
            rng.binomial(n, np.clip(rng.beta(0.8, 0.8 + i, size) + shift, 0, 1))
            for i, size in enumerate(sizes.values())
        ],
        n,
    )


def parts(a, b, k):
    """Each benchmark's differences in pass@k, by the definition."""
    found = {}
    for problem, n, c, other in zip(a.problems, a.n, a.c, b.c, strict=True):
        values = [1 - math.comb(n - x, k) / math.comb(n, k) for x in (int(c), int(other))]
        found.setdefault(problem.split("/")[0], []).append(values[1] - values[0])
    return [np.array(differences) for differences in found.values()]


def test_the_benchmark_is_the_text_before_the_first_slash():
    names = {"math500/algebra/3": "math500", "p17": "", "/x": "", "a/": "a"}
    assert {name: benchmark_of(name) for name in names} == names


@pytest.mark.parametrize("k", [1, 16])
def test_estimate_and_standard_error_are_those_of_a_stratified_mean(k):
    """Exact variance of the bootstrap (1/B²)Σ var/P; 5 SE of a standard deviation from D draws."""
    draws = 20_000
    a, b = simulated(1), simulated(2, shift=0.1)
    found = compare_macro(a, b, k=k, draws=draws, rng=np.random.default_rng(0))[0]
    strata = parts(a, b, k)
    assert [len(one) for one in strata] == list(SIZES.values())
    assert found.estimate == pytest.approx(sum(one.mean() for one in strata) / 3, abs=1e-12)
    error = math.sqrt(sum(one.var() / len(one) for one in strata)) / 3
    assert abs(found.standard_error - error) < 5 * error / math.sqrt(2 * draws)
    low, high = found.interval
    assert (low + high) / 2 == pytest.approx(found.estimate, abs=0.2 * error)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.05)
    # Neither the mean over all problems nor its standard error.
    pooled = np.concatenate(strata)
    assert abs(pooled.mean() - found.estimate) > 1e-3
    assert abs(pooled.std() / math.sqrt(len(pooled)) - error) > 0.03 * error
    assert found.problems == 230
    assert found.b - found.a == pytest.approx(found.estimate)


def test_with_one_benchmark_it_is_the_comparison_over_problems_draw_by_draw():
    a, b = (simulated(seed, {"only": 40}) for seed in (1, 2))
    options = {"k": (1, 4), "draws": 2000}
    macro = compare_macro(a, b, rng=np.random.default_rng(3), **options)
    plain = compare_problems(a, b, rng=np.random.default_rng(3), **options)
    for one, other in zip(macro, plain, strict=True):
        for name in ("a", "b", "estimate", "standard_error", "interval", "p_value", "verdict"):
            assert getattr(one, name) == getattr(other, name), name


def test_the_order_of_problems_and_the_names_of_benchmarks_do_not_matter():
    a, b = simulated(1), simulated(2)
    order = np.random.default_rng(0).permutation(len(b.problems))
    shuffled = Counts(tuple(b.problems[i] for i in order), b.n[order], b.c[order])
    same = [compare_macro(a, x, k=2, rng=np.random.default_rng(0)) for x in (b, shuffled)]
    assert same[0] == same[1]
    by_name = compare_macro(a, b, k=2, benchmark=lambda name: name[0], rng=np.random.default_rng(0))
    assert by_name == same[0]


@pytest.mark.slow
def test_identical_models_are_told_apart_in_five_percent_of_comparisons():
    """600 pairs: 0.05 ± 4·√(0.05·0.95/600), plus 0.012 for benchmarks as small as 20."""
    pairs, n, generator, found = 600, 16, np.random.default_rng(7), 0
    for _ in range(pairs):
        rates = [generator.beta(0.6, 0.6 + i, size) for i, size in enumerate(SIZES.values())]
        a, b = (counts(SIZES, [generator.binomial(n, r) for r in rates]) for _ in range(2))
        found += compare_macro(a, b, k=2, draws=1000, rng=generator)[0].p_value < 0.05
    bound = 4 * math.sqrt(0.05 * 0.95 / pairs)
    assert 0.05 - bound < found / pairs < 0.062 + bound


def test_small_benchmarks_are_flagged_and_too_small_ones_not_judged():
    for size, told in ((19, "19 problems in aime are few"), (20, "")):
        a, b = (simulated(seed, {"math": 40, "aime": size}) for seed in (1, 2))
        found = compare_macro(a, b, k=1, rng=np.random.default_rng(0))[0]
        assert found.caveat.startswith(told)
        assert bool(found.caveat) == bool(told)
        assert not math.isnan(found.p_value)
    for method in (compare_macro, None):
        a, b = (simulated(seed, {"math": 40, "aime": 5}) for seed in (1, 2))
        if method:
            found = compare_macro(a, b, k=1, rng=np.random.default_rng(0))[0]
        else:
            found = compare_macro_and_seeds([a, a], [b], k=1)[0]
        assert np.isnan([found.p_value, found.standard_error, *found.interval]).all()
        assert found.verdict.endswith(
            "cannot be judged: it takes at least 6 problems, not 5 in aime"
        )


def test_seeds_and_problems_together_add_their_variances():
    """Against the formulas written out with SciPy's t: the widest of joint and both parts."""
    runs = ([simulated(s) for s in range(3)], [simulated(s, shift=0.08) for s in range(5, 9)])
    for side, other in (runs, runs[::-1]):
        found = compare_macro_and_seeds(side, other, k=1)[0]
        per = [
            np.array([[one.c[i] / one.n[i] for i in range(230)] for one in arm])
            for arm in (side, other)
        ]
        edges = np.cumsum([0, *SIZES.values()])
        d = per[1].mean(0) - per[0].mean(0)
        v = [d[i:j].var(ddof=1) / (j - i) / 9 for i, j in pairwise(edges)]
        f = sum(v) ** 2 / sum(x**2 / (p - 1) for x, p in zip(v, SIZES.values(), strict=True))
        macro = [np.mean([arm[:, i:j].mean(1) for i, j in pairwise(edges)], axis=0) for arm in per]
        welch = stats.ttest_ind(macro[1], macro[0], equal_var=False)
        seeds = sum(m.var(ddof=1) / len(m) for m in macro)
        total = sum(v) + seeds
        freedom = total**2 / (sum(v) ** 2 / f + seeds**2 / welch.df)
        estimate = macro[1].mean() - macro[0].mean()
        assert found.estimate == pytest.approx(estimate)
        assert found.standard_error == pytest.approx(math.sqrt(total))
        alternatives = ((total, freedom), (sum(v), f), (seeds, welch.df))
        half = max(stats.t.ppf(0.975, df) * math.sqrt(x) for x, df in alternatives)
        p = max(2 * stats.t.sf(abs(estimate) / math.sqrt(x), df) for x, df in alternatives)
        assert found.interval == pytest.approx((estimate - half, estimate + half))
        assert found.p_value == pytest.approx(p)
        assert found.runs == (len(side), len(other))


def test_seeds_and_problems_of_one_benchmark_agree_with_the_plain_comparison():
    a, b = ([simulated(s, {"only": 30}) for s in seeds] for seeds in ((0, 1), (2, 3, 4)))
    for one, other in zip(
        compare_macro_and_seeds(a, b, k=(1, 3)),
        compare_problems_and_seeds(a, b, k=(1, 3)),
        strict=True,
    ):
        assert one.interval == pytest.approx(other.interval, rel=1e-12)
        assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
        assert (one.noise, one.caveat) == (other.noise, other.caveat)
    with pytest.raises(ValueError, match="one run each"):
        compare_macro_and_seeds(a[0], b[0], k=1)


def test_bad_input_is_refused():
    a = simulated(1)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="pass@17 needs at least 17 samples"):
        compare_macro(a, a, k=17, rng=rng)
    with pytest.raises(ValueError, match="draws must be at least 1000"):
        compare_macro(a, a, k=1, draws=10, rng=rng)
    with pytest.raises(ValueError, match="different problems"):
        compare_macro(a, simulated(1, {"small": 20}), k=1, rng=rng)
