from collections import Counter
from fractions import Fraction
from itertools import combinations, product
from math import comb, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fgrpo.errors import UsageError
from fgrpo.plan.labels import Solutions
from fgrpo.plan.solutions import good_turing, unsampled_correct_share

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def seen(n: int, *multiplicities: int) -> Solutions:
    return Solutions("p", n, np.array(multiplicities, np.int64))


def share(solutions: list[Solutions], sizes: object) -> Floats:
    return np.asarray(unsampled_correct_share(solutions, sizes, rng(), draws=100).mean)  # type: ignore[arg-type]


def zipf(correct: int, wrong: int, mu: float, exponent: float = 1.0) -> Floats:
    """Probabilities of the correct solutions, then of the wrong ones, each falling as a power."""
    parts = [np.arange(1, size + 1.0) ** -exponent for size in (correct, wrong)]
    return np.concatenate([mu * parts[0] / parts[0].sum(), (1 - mu) * parts[1] / parts[1].sum()])


def pilot(
    p: Floats, correct: int, n: int, size: int, source: np.random.Generator
) -> list[Solutions]:
    """Draw ``size`` prompts of one policy, whose first ``correct`` entries are right."""
    table = source.multinomial(n, p, size=size)[:, :correct]
    return [seen(n, *row[row > 0]) for row in table]


# --- hand-computed


def test_hand_computed() -> None:
    # Of 5 samples 3 are right: A A B. Leaving one A out, 2 of the other 4 (A B w w) miss A in
    # C(3,2)/C(4,2) = 1/2; leaving B out, 2 of A A w w always miss B. So (2·1/2 + 1)/5 over 3/5.
    one = [seen(5, 2, 1)]
    np.testing.assert_allclose(share(one, [1, 2, 3, 4]), [5 / 6, 2 / 3, 1 / 2, 1 / 3], rtol=1e-14)
    rare = good_turing(one, rng())
    assert (rare.share.mean, rare.mass.mean) == (1 / 3, 1 / 5)
    assert (rare.used, rare.without_correct, rare.with_one_correct) == (1, 0, 0)
    assert rare.prompts == 1


def test_prompts_are_pooled_as_stated() -> None:
    prompts = [seen(5, 2, 1), seen(4, 4), seen(8), seen(10, 1), seen(6, 1, 1)]
    rare = good_turing(prompts, rng())
    # 1/3, 0 and 1, each of three prompts the same.
    assert rare.share.mean == pytest.approx(4 / 9, rel=1e-14)
    assert rare.mass.mean == pytest.approx((1 / 5 + 1 / 10 + 1 / 3) / 5, rel=1e-14)
    assert (rare.used, rare.without_correct, rare.with_one_correct) == (3, 1, 1)
    assert rare.prompts == 5
    # N = 2: missed 2/3·3/5, of four equal ones 0, none, 1·1/10 and 1·2/6; over Σ c/n.
    expected = (2 / 5 + 0 + 0 + 1 / 10 + 1 / 3) / (3 / 5 + 1 + 0 + 1 / 10 + 1 / 3)
    assert share(prompts, 2) == pytest.approx(expected, rel=1e-14)


@given(st.lists(st.integers(1, 3), max_size=4), st.integers(0, 3), st.data())
@settings(max_examples=60, deadline=None)
def test_leaving_each_sample_out_in_turn(held: list[int], wrong: int, data: st.DataObject) -> None:
    n = sum(held) + wrong
    if n < 2:
        return
    size = data.draw(st.integers(1, n - 1))
    drawn = [s for s, m in enumerate(held) for _ in range(m)] + [None] * wrong
    missed = Fraction(0)
    for i, mine in enumerate(drawn):
        if mine is not None:
            groups = list(combinations(drawn[:i] + drawn[i + 1 :], size))
            missed += Fraction(sum(mine not in group for group in groups), len(groups))
    got = share([seen(n, *held)], size)
    if not held:
        assert isnan(got)
    else:
        assert got == pytest.approx(float(missed / sum(held)), rel=1e-13, abs=1e-15)


# --- exact expectations


def test_expectations_are_exact_over_all_pilots() -> None:
    correct = [Fraction(2, 10), Fraction(1, 10), Fraction(1, 10)]
    wrong, n = Fraction(6, 10), 5
    probability: Counter[tuple[int, ...]] = Counter()  # of the counts of the correct solutions
    for drawn in product(range(4), repeat=n):
        weight = Fraction(1)
        for s in drawn:
            weight *= correct[s] if s < 3 else wrong
        probability[tuple(drawn.count(s) for s in range(3))] += weight  # type: ignore[assignment]
    assert sum(probability.values()) == 1
    sizes = np.arange(1, n)
    missed, unseen = np.zeros(n - 1), 0.0
    by_c: dict[int, list[Fraction]] = {c: [Fraction(0), Fraction(0)] for c in range(n + 1)}
    for held, weight in probability.items():
        c = sum(held)
        if not c:
            continue
        one = [seen(n, *(m for m in held if m))]
        missed += float(weight) * share(one, sizes) * c / n  # not a ratio: nothing is biased
        rare = good_turing(one, rng())
        unseen += float(weight) * float(rare.mass.mean)
        if c > 1:
            by_c[c][0] += weight
            by_c[c][1] += weight * Fraction(float(rare.share.mean))
    exact = [float(sum(p * (1 - p) ** int(size) for p in correct)) for size in sizes]
    np.testing.assert_allclose(missed, exact, rtol=1e-12)
    assert unseen == pytest.approx(exact[-1], rel=1e-12)  # what n − 1 samples leave unseen
    q = [p / sum(correct) for p in correct]
    for c in range(2, n + 1):
        mean = float(by_c[c][1] / by_c[c][0])
        after = [float(sum(p * (1 - p) ** left for p in q)) for left in (c - 1, c)]
        assert mean == pytest.approx(after[0], rel=1e-12)
        assert 0 < mean - after[1] <= 1 / c


@pytest.mark.parametrize(("mu", "n"), [(0.3, 32), (0.9, 16), (0.05, 64)])
def test_monte_carlo_on_a_zipf_policy(mu: float, n: int) -> None:
    p = zipf(50, 30, mu)
    sizes = np.array([1, 4, n // 2, n - 1])
    right = p[:50, None]
    exact = (right * (1 - right) ** sizes).sum(axis=0) / mu
    source = rng(1)
    batches = [pilot(p, 50, n, 400, source) for _ in range(25)]
    means = np.array([share(one, sizes) for one in batches])
    error = means.std(axis=0, ddof=1) / 5
    assert (np.abs(means.mean(axis=0) - exact) < 4 * error).all()
    assert (error < 0.01 * exact).all()  # the comparison says something
    masses = np.array([float(good_turing(one, rng(), draws=100).mass.mean) for one in batches])
    gap = abs(masses.mean() - exact[-1] * mu)
    assert gap < 4 * masses.std(ddof=1) / 5 < 0.04 * exact[-1] * mu


def test_good_turing_aims_at_one_sample_less() -> None:
    p = zipf(50, 30, 0.5)
    prompts = pilot(p, 50, 6, 100_000, rng(2))
    q = p[:50] / p[:50].sum()
    for hits in (2, 3, 5):
        some = [one for one in prompts if one.c == hits]
        found = float(good_turing(some, rng(), draws=100).share.mean)
        error = np.std([one.singletons / hits for one in some]) / np.sqrt(len(some))
        exact = [(q * (1 - q) ** left).sum() for left in (hits - 1, hits)]
        assert abs(found - exact[0]) < 4 * error
        assert found - exact[1] > 4 * error  # it is not what all c leave unseen


# --- intervals


def _population(size: int) -> tuple[list[Floats], list[int]]:
    source = rng(3)
    correct = source.integers(3, 60, size).tolist()
    rates = source.beta(0.8, 1.6, size)
    exponents = source.uniform(0.3, 2.0, size)
    each = zip(correct, rates, exponents, strict=True)
    return [zipf(k, 30, mu, exponent) for k, mu, exponent in each], correct


def test_intervals_cover_what_they_should() -> None:
    policies, correct = _population(400)
    n, sizes, asked = 24, np.array([4, 16, 23]), 60
    over = np.array(
        [
            (p[:k, None] * (1 - p[:k, None]) ** sizes).sum(axis=0)
            for p, k in zip(policies, correct, strict=True)
        ]
    )
    mu = np.array([p[:k].sum() for p, k in zip(policies, correct, strict=True)])
    truth = over.sum(axis=0) / mu.sum()
    hits = np.arange(2, n + 1)
    weight = np.array([comb(n, int(c)) for c in hits]) * mu[:, None] ** hits
    weight *= (1 - mu[:, None]) ** (n - hits)  # of c correct samples, c ≥ 2, for each prompt
    left = np.array(
        [
            ((p[:k, None] / m) * (1 - p[:k, None] / m) ** (hits - 1)).sum(axis=0)
            for p, k, m in zip(policies, correct, mu, strict=True)
        ]
    )
    rare_truth = (weight * left).sum() / weight.sum()
    source, runs = rng(4), 200
    covered = np.zeros(5)
    for _ in range(runs):
        prompts = []
        for i in source.integers(400, size=asked):
            prompts += pilot(policies[i], correct[i], n, 1, source)
        band = unsampled_correct_share(prompts, sizes, source, draws=400)
        covered[:3] += (band.low <= truth) & (truth <= band.high)
        rare = good_turing(prompts, source, draws=400)
        covered[3] += rare.share.low <= rare_truth <= rare.share.high
        covered[4] += rare.mass.low <= over[:, 2].mean() <= rare.mass.high
    assert (covered >= 0.85 * runs).all()
    assert (covered <= 0.95 * runs).all()


def test_intervals_are_quantiles_of_resampled_prompts() -> None:
    # Half the prompts 0, half 1: the mean of a resample of P is Binomial(P, 1/2)/P.
    prompts = [seen(4, 2), seen(4, 1, 1)] * 50
    rare = good_turing(prompts, rng(), draws=20_000)
    # P(Bin(100, ½) ≤ 41) = 0.044, ≤ 42 = 0.067; by symmetry 58 above.
    assert (rare.share.mean, rare.share.low, rare.share.high) == (0.5, 0.42, 0.58)
    half = good_turing(prompts, rng(), draws=20_000, level=0.5)
    assert (half.share.low, half.share.high) == (0.47, 0.53)  # P(≤ 46) = 0.242, ≤ 47 = 0.309
    band = unsampled_correct_share(prompts, 3, rng(), draws=20_000)
    assert (band.mean, band.low, band.high) == (0.5, 0.42, 0.58)
    # Those without a correct sample are resampled for the mass, and count for nothing else.
    more = [*prompts, *[seen(4)] * 100]
    assert unsampled_correct_share(more, 3, rng(), draws=20_000) == band
    assert good_turing(more, rng(), draws=20_000).share == rare.share
    mass = good_turing(more, rng(), draws=20_000).mass
    assert mass.mean == pytest.approx(1 / 8)
    # The number of (1, 1) in a resample is Binomial(200, ¼): mean 50, sd 6.12; ±1.645 sd.
    assert (mass.low, mass.high) == (pytest.approx(0.1, abs=2e-3), pytest.approx(0.15, abs=2e-3))


def test_the_generator_decides() -> None:
    prompts = [seen(6, 2, 1), seen(6, 1, 1, 1), seen(6, 3), seen(6, 4, 2)] * 5
    bands = [unsampled_correct_share(prompts, [2, 5], rng(s), draws=150) for s in (7, 7, 8)]
    np.testing.assert_array_equal(bands[0], bands[1])
    assert (bands[0].low != bands[2].low).any()


def test_few_prompts_have_no_interval() -> None:
    prompts = [seen(6, 2, 1), seen(6, 1, 1, 1), seen(6, 3), seen(6, 4, 2), seen(6, 1, 1)]
    for added in (seen(6), seen(6, 1)):
        rare = good_turing([*prompts, added], rng())
        assert isnan(rare.share.low)
        assert isnan(rare.share.high)
        assert rare.mass.low < rare.mass.mean < rare.mass.high
    band = unsampled_correct_share([*prompts, seen(6)], 3, rng())
    assert isnan(band.low)
    assert isnan(band.high)
    assert not isnan(unsampled_correct_share([*prompts, seen(6, 1)], 3, rng()).low)


# --- ends of the range


def test_at_most_all_other_samples_are_the_group() -> None:
    prompts = [seen(9, 3, 2, 1, 1), seen(9, 1), seen(9), seen(9, 5, 1, 1, 1)] * 3
    singles, correct = 2 + 1 + 0 + 3, 7 + 1 + 0 + 8
    assert share(prompts, 8) == pytest.approx(singles / correct, rel=1e-15)
    uneven = [seen(9, 3, 1), seen(4, 1, 1)]
    got = share(uneven, [3, 4, 8, 100])
    assert not isnan(got[0])
    assert np.isnan(got[1:]).all()  # 4 samples of one prompt say nothing of groups of 4
    assert share([seen(9, 3, 1)], [8]) == [0.25]


def test_shapes() -> None:
    prompts = [seen(9, 3, 1)] * 7
    for sizes, shape in ((3, ()), ([3], (1,)), ([1, 2, 20], (3,)), ([], (0,))):
        band = unsampled_correct_share(prompts, sizes, rng(), draws=100)
        assert [np.shape(side) for side in band] == [shape] * 3
    assert isinstance(unsampled_correct_share(prompts, 3, rng(), draws=100).mean, float)


def test_degenerate_pilots() -> None:
    same, distinct, none, one = seen(8, 8), seen(8, *[1] * 8), seen(8), seen(8, 1)
    sizes = [1, 7]
    for prompt, value in ((same, 0), (distinct, 1), (none, np.nan), (one, 1)):
        band = unsampled_correct_share([prompt] * 8, sizes, rng(), draws=100)
        np.testing.assert_allclose(band, np.full((3, 2), value), rtol=1e-14)
    for prompt, value in ((same, 0), (distinct, 1), (none, np.nan), (one, np.nan)):
        rare = good_turing([prompt] * 8, rng(), draws=100)
        np.testing.assert_allclose(rare.share, np.full(3, value), rtol=1e-14)
    rare = good_turing([none, one] * 4, rng(), draws=100)
    assert (rare.used, rare.without_correct, rare.with_one_correct) == (0, 4, 4)
    assert rare.mass.mean == 1 / 16
    single = [seen(1, 1), seen(1)]
    assert np.isnan(share(single, [1, 2])).all()
    assert good_turing(single, rng()).mass.mean == 1 / 2


def test_many_samples_and_a_rare_solution() -> None:
    n, size = 10**6, 10**5
    got = share([seen(n, 999_998, 1, 1)], size)
    assert got == pytest.approx(2 / n, rel=1e-9)
    # Left one of three out: the group of N misses both others.
    both = (1 - Fraction(size, n - 1)) * (1 - Fraction(size, n - 2))
    assert share([seen(n, 3)], size) == pytest.approx(float(both), rel=1e-12)


# --- refusals


def test_refusals() -> None:
    prompts = [seen(4, 2)]
    with pytest.raises(UsageError, match="solutions is empty; pass"):
        good_turing([], rng())
    with pytest.raises(UsageError, match="solutions is empty; pass"):
        unsampled_correct_share([], 2, rng())
    for sizes, message in (
        (0, "group_sizes = 0 is too small; it must be at least 1"),
        ([2, 2.5], r"group_sizes\[1\] = 2.5 is not an integer"),
        ([[2]], r"group_sizes has shape \(1, 1\); pass a scalar or one axis"),
    ):
        with pytest.raises(ValueError, match=message):
            unsampled_correct_share(prompts, sizes, rng())
    for level in (0, 1, 90, float("nan")):
        with pytest.raises(ValueError, match=rf"level = {level} is not in \(0, 1\); pass 0.9"):
            good_turing(prompts, rng(), level=level)
    with pytest.raises(ValueError, match=r"draws = 99 is too small; it must be at least 100$"):
        good_turing(prompts, rng(), draws=99)
