"""Comparisons over problems: the bootstrap, and what few problems allow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compare_counts import counts, rng, simulated

from fgrpo.compare import compare_problems
from fgrpo.passk import pass_at_k


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
