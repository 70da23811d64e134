import itertools
import statistics
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from fgrpo.errors import UsageError
from fgrpo.plan.fit_test import _cells
from fgrpo.plan.pilot import direct_activity, fit_pilot
from fgrpo.records import Counts
from fgrpo.theory import activity_probability, tail_miss_probability

pytestmark = pytest.mark.slow

SIZES = (8, 32)


def counted(n: object, c: object) -> Counts:
    samples, right = np.broadcast_arrays(np.atleast_1d(n), np.atleast_1d(c))  # type: ignore[call-overload]
    return Counts(tuple(f"p{i}" for i in range(len(samples))), samples, right)


def drawn(n: np.ndarray, mu: np.ndarray, rng: np.random.Generator) -> Counts:
    return counted(n, rng.binomial(n, mu))


def true_means(a: float, b: float) -> np.ndarray:
    """Mean activity, then mean miss of a tail of a tenth, for each size, under Beta(a, b)."""
    rows = []
    for size in SIZES:
        wrong = mp.beta(a, b + size) / mp.beta(a, b)
        right = mp.beta(a + size, b) / mp.beta(a, b)
        untouched = mp.hyp2f1(-size, a, a + b, mp.mpf("0.1"))  # E (1 − μ/10)^N
        rows.append((1 - wrong - right, untouched - wrong - mp.mpf("0.9") ** size * right))
    return np.array(rows, dtype=float).T.ravel()


def functions(mu: np.ndarray) -> np.ndarray:
    size = np.array(SIZES)[:, None]
    return np.vstack([activity_probability(mu, size), tail_miss_probability(mu, 0.1 * mu, size)])


@pytest.mark.parametrize(("a", "b"), [(2.0, 5.0), (0.4, 0.6)])
@pytest.mark.parametrize("design", ["60 prompts of 32", "150 prompts of 4 to 12"])
def test_bands_hold_the_truth_as_often_as_they_say(a: float, b: float, design: str) -> None:
    rng = np.random.default_rng(20)
    truth, repetitions = true_means(a, b), 200
    held, p_values = np.zeros(4), []
    for _ in range(repetitions):
        n = np.full(60, 32) if design.startswith("60") else rng.integers(4, 13, 150)
        pilot = fit_pilot(drawn(n, rng.beta(a, b, len(n)), rng), rng, draws=300)
        band = pilot.rates.band(functions(pilot.rates.nodes))
        held += (band.low <= truth) & (truth <= band.high)
        p_values.append(pilot.fit_p_value)
    coverage = held / repetitions
    assert (coverage >= 0.85).all(), coverage
    assert (coverage <= 0.95).all(), coverage
    # What is a Beta is seldom called none, and not because the test always says yes.
    assert np.mean(np.array(p_values) < 0.05) <= 0.07
    assert np.mean(np.array(p_values) < 0.5) > 0.3


@pytest.mark.parametrize("unequal", [False, True])
def test_two_kinds_of_prompts_are_found_not_to_be_a_beta(unequal: bool) -> None:
    rng = np.random.default_rng(4)
    mu = np.repeat([0.1, 0.7], 150)
    for _ in range(25):
        n = rng.integers(40, 80, 300) if unequal else np.full(300, 64)
        pilot = fit_pilot(drawn(n, mu, rng), rng, draws=200)
        assert pilot.fit_p_value < 0.05
        assert not pilot.plausible


def test_too_many_solved_outright_are_found_not_to_be_a_beta() -> None:
    rng = np.random.default_rng(5)
    mu = np.concatenate([rng.beta(2, 5, 270), np.ones(30)])
    assert not fit_pilot(drawn(np.full(300, 32), mu, rng), rng, draws=200).plausible
    mu = np.concatenate([rng.beta(5, 2, 270), np.zeros(30)])
    assert not fit_pilot(drawn(np.full(300, 32), mu, rng), rng, draws=200).plausible


def test_p_value_agrees_with_replicates_simulated_prompt_by_prompt() -> None:
    rng = np.random.default_rng(11)
    n = np.repeat([2, 3], [250, 200])
    counts = drawn(n, rng.beta(1, 1, 450), rng)
    # Each possible c/n expects more than 450/12 prompts, so each is a cell.
    cells = [0, Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), 1]
    pilot = fit_pilot(counts, rng, draws=2000)
    a, b = pilot.a[:, None], pilot.b[:, None]
    expected = np.zeros((2000, 5))
    for size, times in ((2, 250), (3, 200)):
        for right in range(size + 1):
            chance = stats.betabinom.pmf(right, size, pilot.a, pilot.b)
            expected[:, cells.index(Fraction(right, size))] += times * chance

    def distance(c: np.ndarray) -> np.ndarray:
        tally = np.stack([np.isclose(c / n, float(cell)).sum(axis=-1) for cell in cells], axis=-1)
        return ((tally - expected) ** 2 / expected).sum(axis=-1)

    again = rng.binomial(n, rng.beta(a, b, (2000, 450)))
    truth = np.mean(distance(again) >= distance(counts.c))
    assert 0.1 < truth < 0.9  # else many a mistake would go unseen
    assert pilot.fit_p_value == pytest.approx(truth, abs=0.06)  # four standard errors


@pytest.mark.parametrize(
    ("expected", "tops"),
    [
        ([6, 50, 50, 50, 6], [0, 0.25, 0.5, 0.75, 1]),  # the ends stay apart from 5 on
        ([4, 50, 50, 50, 4], [0.25, 0.5, 1]),
        ([6, 8, 8, 140, 140], [0, 0.75, 1]),  # those between hold a twelfth, here 25
        ([10, 15, 15, 15, 65], [0, 0.25, 0.5, 0.75, 1]),
        ([100, 1, 1, 1, 100], [0, 1]),
        ([1, 1, 1, 1, 1], [1]),
        ([0, 0, 0, 1, 0], [1]),
    ],
)
def test_cells_hold_enough_expected_prompts(expected: list[float], tops: list[float]) -> None:
    ratio = np.array([0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_array_equal(_cells(ratio, np.array(expected, dtype=float)), tops)
    # Split over two numbers of samples, in any order.
    halves = np.tile(np.array(expected, dtype=float) / 2, 2)[::-1]
    np.testing.assert_array_equal(_cells(np.tile(ratio, 2)[::-1], halves), tops)


@pytest.mark.parametrize(
    ("n", "c"),
    [
        ([4, 4, 7], [0, 2, 7]),
        ([3, 9, 30, 30, 200], [1, 0, 4, 30, 20]),
        ([1, 1, 1, 1], [0, 0, 0, 1]),
        ([6000, 6000, 20], [1500, 12, 4]),  # summed in another way
    ],
)
def test_posterior_agrees_with_brute_force(n: list[int], c: list[int]) -> None:
    m = (np.arange(400) + 0.5) / 400
    log_s = np.linspace(np.log(1e-3), np.log(1e6), 400)
    mm, ss = np.meshgrid(m, np.exp(log_s), indexing="ij")
    logs = stats.norm.logpdf(np.log(ss), np.log(2), 2.5)  # uniform in the mean
    for samples, right in zip(n, c, strict=True):
        logs = logs + stats.betabinom.logpmf(right, samples, mm * ss, (1 - mm) * ss)
    mass = np.exp(logs - logs.max())
    mass /= mass.sum()
    pilot = fit_pilot(counted(n, c), np.random.default_rng(0), draws=20_000, level=0.8)
    cumulative = np.cumsum(mass.sum(axis=1))
    assert pilot.mean.mean == pytest.approx((mass.sum(axis=1) * m).sum(), abs=0.006)
    assert pilot.mean.low == pytest.approx(np.interp(0.1, cumulative, m), abs=0.01)
    assert pilot.mean.high == pytest.approx(np.interp(0.9, cumulative, m), abs=0.01)
    cumulative = np.cumsum(mass.sum(axis=0))
    got = np.log(np.array(pilot.concentration))
    assert got[0] == pytest.approx((mass.sum(axis=0) * log_s).sum(), abs=0.08)
    assert got[1] == pytest.approx(np.interp(0.1, cumulative, log_s), abs=0.12)
    assert got[2] == pytest.approx(np.interp(0.9, cumulative, log_s), abs=0.12)


DEGENERATE = {
    "none correct": counted(np.full(50, 32), 0),
    "all correct": counted(np.full(50, 32), 32),
    "one prompt": counted(32, 5),
    "one sample": counted(1, 0),
    "one sample each": counted(np.ones(100, dtype=int), (np.arange(100) % 3 == 0).astype(int)),
    "two opposite prompts": counted([8, 8], [0, 8]),
    "two equal prompts": counted([8, 8], [4, 4]),
    "all or nothing": counted(np.full(40, 64), np.arange(40) % 2 * 64),
    "all the same": counted(np.full(100_000, 64), 32),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_pilots_neither_warn_nor_claim_certainty(name: str) -> None:
    counts = DEGENERATE[name]
    with np.errstate(all="raise", under="ignore"):
        pilot = fit_pilot(counts, np.random.default_rng(1), draws=400)
    assert pilot.rates.nodes.min() > 0
    assert pilot.rates.nodes.max() < 1
    assert 0 < pilot.mean.low < pilot.mean.mean < pilot.mean.high < 1
    assert pilot.concentration.low < pilot.concentration.high
    s = pilot.a + pilot.b  # the prior's range
    assert s.min() >= 1e-3 * (1 - 1e-12)
    assert s.max() <= 1e6 * (1 + 1e-12)
    assert 0 <= pilot.fit_p_value <= 1
    means = pilot.prompt_means()
    assert (means > 0).all()
    assert (means < 1).all()
    mean, low, high = pilot.rates.band(activity_probability(pilot.rates.nodes, 32))
    assert 0 < low <= mean <= high <= 1


def test_bands_are_wide_where_the_pilot_says_little() -> None:
    widths = {}
    for name in ("one prompt", "one sample", "one sample each", "two opposite prompts"):
        pilot = fit_pilot(DEGENERATE[name], np.random.default_rng(1), draws=400)
        _, low, high = pilot.rates.band(activity_probability(pilot.rates.nodes, 32))
        widths[name] = high - low
        assert pilot.concentration.high > 50 * pilot.concentration.low
    assert min(widths.values()) > 0.6, widths
    # Nothing correct in 1600 samples: the mean is small, but its end is no less than 1/1600.
    none = fit_pilot(DEGENERATE["none correct"], np.random.default_rng(1))
    assert 1 / 1600 < none.mean.high < 0.1


def test_a_hundred_thousand_prompts_give_the_truth() -> None:
    rng = np.random.default_rng(6)
    counts = drawn(np.full(100_000, 64), rng.beta(0.4, 0.6, 100_000), rng)
    pilot = fit_pilot(counts, rng)
    means = pilot.prompt_means()
    np.testing.assert_allclose(pilot.mean.mean, 0.4, atol=0.006)
    np.testing.assert_allclose(pilot.concentration.mean, 1, atol=0.02)
    assert pilot.mean.high - pilot.mean.low < 0.01
    assert means.shape == (100_000,)
    np.testing.assert_allclose(means.mean(), pilot.mean.mean, atol=1e-3)


def test_prompt_means_are_shrunk_towards_the_mean_in_the_order_of_the_prompts() -> None:
    counts = counted([8, 64, 8, 64, 8], [0, 0, 8, 20, 3])
    pilot = fit_pilot(counts, np.random.default_rng(2), draws=150)
    expected = [
        statistics.fmean((c + a) / (n + a + b) for a, b in zip(pilot.a, pilot.b, strict=True))
        for n, c in zip(counts.n, counts.c, strict=True)
    ]
    np.testing.assert_allclose(pilot.prompt_means(), expected, rtol=1e-12)
    assert 0 < expected[1] < expected[0] < 1  # fewer samples, more shrinkage


def test_summary_is_of_the_counts() -> None:
    counts = counted([8, 64, 8, 32], [0, 3, 8, 0])
    pilot = fit_pilot(counts, np.random.default_rng(2), draws=100, level=0.5)
    assert (pilot.prompts, pilot.samples, pilot.fewest, pilot.most) == (4, 112, 8, 64)
    assert (pilot.never, pilot.always) == (0.5, 0.25)
    mean = pilot.a / (pilot.a + pilot.b)
    assert np.mean((mean > pilot.mean.low) & (mean < pilot.mean.high)) == pytest.approx(0.5)
    s = pilot.a + pilot.b
    assert pilot.concentration.mean == pytest.approx(stats.gmean(s))
    inside = (s > pilot.concentration.low) & (s < pilot.concentration.high)
    assert inside.mean() == pytest.approx(0.5)
    np.testing.assert_allclose(pilot.rates.average(pilot.rates.nodes), mean, rtol=1e-6)


def test_the_generator_decides_the_draws() -> None:
    counts = counted([8, 8, 8], [0, 3, 5])
    one, same, other = (fit_pilot(counts, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.a, same.a)
    assert one.fit_p_value == same.fit_p_value
    assert (one.a != other.a).all()
    # Draws are in no order: halves of them say the same.
    for what in (np.log(one.a + one.b), np.log(one.a / one.b)):
        halves = what.reshape(2, -1).mean(axis=1)
        assert abs(halves[0] - halves[1]) < 0.25 * what.std()


def test_direct_activity_counts_the_groups_among_the_samples() -> None:
    counts = counted([5, 6, 7, 7, 5, 6, 6], [0, 2, 3, 7, 4, 2, 2])
    for size in (1, 2, 3, 5):
        shares = []
        for n, c in zip(counts.n.tolist(), counts.c.tolist(), strict=True):
            groups = list(itertools.combinations([1] * c + [0] * (n - c), size))
            shares.append(Fraction(sum(0 < sum(group) < size for group in groups), len(groups)))
        got = direct_activity(counts, size)
        assert got.mean == pytest.approx(float(statistics.mean(shares)), abs=1e-14)
        error = statistics.stdev(map(float, shares)) / 7**0.5
        assert got.standard_error == pytest.approx(error, abs=1e-14)
    several = direct_activity(counts, [3, 5])
    assert several.mean.shape == several.standard_error.shape == (2,)
    assert several.mean[1] == direct_activity(counts, 5).mean


def test_direct_activity_is_right_where_the_beta_is_not() -> None:
    rng = np.random.default_rng(8)
    mu = np.array([0.1, 0.7])
    truth = activity_probability(mu, 32).mean()
    counts = drawn(np.full(300, 64), np.repeat(mu, 150), rng)
    direct = direct_activity(counts, 32)
    assert abs(direct.mean - truth) < 3 * direct.standard_error
    pilot = fit_pilot(counts, rng)
    assert pilot.rates.band(activity_probability(pilot.rates.nodes, 32)).high < truth


def test_direct_activity_of_one_prompt_has_no_standard_error() -> None:
    got = direct_activity(counted(4, 2), 2)
    assert got.mean == pytest.approx(2 / 3)
    assert np.isnan(got.standard_error)


def test_bad_arguments_are_named() -> None:
    empty = Counts((), np.array([], dtype=int), np.array([], dtype=int))
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="0 prompts; pass records"):
        fit_pilot(empty, rng)
    with pytest.raises(UsageError, match="0 prompts; pass records"):
        direct_activity(empty, 2)
    counts = counted([8, 4], [1, 1])
    with pytest.raises(ValueError, match="draws = 99 is too small; it must be at least 100"):
        fit_pilot(counts, rng, draws=99)
    with pytest.raises(ValueError, match=r"draws = \[100\] is not one number"):
        fit_pilot(counts, rng, draws=[100])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"level = 1.0 is out of range; pass a share"):
        fit_pilot(counts, rng, level=1.0)
    with pytest.raises(UsageError, match="group size 5 exceeds the 4 samples of problem 'p1'"):
        direct_activity(counts, [2, 5])
    with pytest.raises(ValueError, match="group_size = 0 is too small"):
        direct_activity(counts, 0)
