import mpmath as mp
import numpy as np
import pytest
from scipy import integrate, stats

from fgrpo.plan.rates import Band, SuccessRates
from fgrpo.theory import tail_miss_probability

SHAPES = [0.05, 0.07, 0.3, 1.0, 2.5, 10.0, 31.0, 320.0, 1000.0]


def pairs() -> tuple[np.ndarray, np.ndarray]:
    a, b = map(np.ravel, np.meshgrid(SHAPES, SHAPES))
    return a, b


def none_correct(a: float, b: float, group_size: int) -> float:
    """E (1−μ)^N under Beta(a, b)."""
    with mp.workdps(60):
        a, b = mp.mpf(a), mp.mpf(b)
        return float(mp.exp(mp.loggamma(b + group_size) - mp.loggamma(a + b + group_size)
                            + mp.loggamma(a + b) - mp.loggamma(b)))  # fmt: skip


@pytest.mark.parametrize("together", [True, False])
def test_moments_of_betas_are_right_whether_they_share_nodes_or_not(together: bool) -> None:
    a, b = pairs()
    groups = [slice(None)] if together else [slice(i, i + 1) for i in range(len(a))]
    for part in groups:
        x, y = a[part], b[part]
        rates = SuccessRates.from_betas(x, y)
        mu, mean = rates.nodes, x / (x + y)
        np.testing.assert_allclose(rates.weights.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(rates.average(mu), mean, rtol=1e-6)
        np.testing.assert_allclose(rates.average(1 - mu), 1 - mean, rtol=1e-6)
        second = mean * (x + 1) / (x + y + 1)
        np.testing.assert_allclose(rates.average(mu**2), second, rtol=1e-6)


def test_groups_without_a_correct_rollout_are_right_up_to_a_hundred_thousand() -> None:
    a, b = pairs()
    rates = SuccessRates.from_betas(a, b)
    seen = 0
    for size in (1, 8, 64, 1000, 100_000):
        exact = np.array([none_correct(x, y, size) for x, y in zip(a, b, strict=True)])
        got = rates.average(np.exp(size * np.log1p(-rates.nodes)))
        common = exact > 1e-9
        seen += int(common.sum())
        np.testing.assert_allclose(got[common], exact[common], rtol=1e-6)
        np.testing.assert_allclose(got[~common], exact[~common], atol=1e-12)
    assert seen > 200


@pytest.mark.parametrize(("a", "b"), [(0.4, 0.6), (2.0, 5.0), (50.0, 3.0)])
def test_mean_tail_miss_agrees_with_adaptive_quadrature(a: float, b: float) -> None:
    def missed(mu: float) -> float:
        return float(tail_miss_probability(mu, 0.1 * mu, 16))

    # The substitution μ = sin²θ takes the poles at the ends away.
    exact, _ = integrate.quad(
        lambda theta: (
            missed(np.sin(theta) ** 2)
            * stats.beta.pdf(np.sin(theta) ** 2, a, b)
            * np.sin(2 * theta)
        ),
        1e-12,
        np.pi / 2 - 1e-12,
        epsabs=1e-12,
        limit=500,
    )
    rates = SuccessRates.from_betas(a, b)
    got = rates.average(tail_miss_probability(rates.nodes, 0.1 * rates.nodes, 16))
    assert got.shape == (1,)
    assert got[0] == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_prompts_all_alike_are_resolved(spread: float) -> None:
    rng = np.random.default_rng(3)
    s = np.geomspace(1, 1e6, 200)
    mean = 1 / (1 + np.exp(-(rng.normal(0.5, 1, 200) * spread)))
    rates = SuccessRates.from_betas(s * mean, s * (1 - mean))
    np.testing.assert_allclose(rates.average(rates.nodes), mean, rtol=1e-6)
    spreads = [row @ (rates.nodes - m) ** 2 for row, m in zip(rates.weights, mean, strict=True)]
    np.testing.assert_allclose(spreads, mean * (1 - mean) / (s + 1), rtol=1e-5)


def test_more_narrow_betas_than_nodes_can_resolve_are_widened_about_the_same_mean() -> None:
    mean = 1 / (1 + np.exp(-np.linspace(-8, 8, 100)))
    rates = SuccessRates.from_betas(1e6 * mean, 1e6 * (1 - mean))
    assert rates.nodes.size <= 3001
    np.testing.assert_allclose(rates.average(rates.nodes), mean, rtol=1e-6)
    spread = [row @ (rates.nodes - m) ** 2 for row, m in zip(rates.weights, mean, strict=True)]
    logit = np.sqrt(spread) / (mean * (1 - mean))  # standard deviation of the logit, nearly
    narrow = 1e-3 / np.sqrt(mean * (1 - mean))  # before it was widened
    assert (logit > 0.99 * narrow).all()
    assert (logit < np.hypot(narrow, 0.03)).all()


def test_prompts_all_or_nothing_get_rates_that_are_neither_0_nor_1() -> None:
    a, b = 1e-4, 3e-4
    rates = SuccessRates.from_betas(a, b)
    assert rates.nodes.min() > 0
    assert rates.nodes.max() < 1
    assert (np.diff(rates.nodes) >= 0).all()
    assert (rates.weights >= 0).all()
    np.testing.assert_allclose(rates.average(rates.nodes), [0.25], rtol=1e-6)
    between = a * b / ((a + b) * (a + b + 1))
    np.testing.assert_allclose(rates.average(rates.nodes * (1 - rates.nodes)), [between], rtol=1e-6)


def test_averages_keep_the_axes_of_the_values() -> None:
    rates = SuccessRates(np.array([0.0, 0.5, 1.0]), np.array([[1, 0, 0], [0.25, 0.5, 0.25]]))
    values = np.arange(24.0).reshape(2, 4, 3)
    got = rates.average(values)
    assert got.shape == (2, 2, 4)
    np.testing.assert_array_equal(got[0], values[..., 0])
    np.testing.assert_array_equal(got[1], values[..., 1])  # symmetric weights on equal steps
    mean, low, high = rates.band(values, level=0.5)
    np.testing.assert_allclose(mean, values[..., 0] + 0.5)
    # Two draws: quantiles are taken on the line between them.
    np.testing.assert_allclose(low, values[..., 0] + 0.25)
    np.testing.assert_allclose(high, values[..., 0] + 0.75)


def test_a_known_rate_has_no_band() -> None:
    rates = SuccessRates.exactly(0.3)
    mean, low, high = rates.band(rates.nodes**2)
    assert mean == low == high == pytest.approx(0.09)
    assert mean.shape == ()


def test_what_is_stored_cannot_be_changed_from_outside() -> None:
    weights = np.ones((1, 1))
    rates = SuccessRates(np.array([0.3]), weights)
    weights[0, 0] = 7
    assert rates.weights[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        rates.nodes[0] = 0.5


@pytest.mark.parametrize(
    ("nodes", "weights", "message"),
    [
        ([0.5, 1.5], [[0.5, 0.5]], r"nodes\[1\] = 1.5 is not a probability"),
        ([0.5, 0.6], [[0.5, 0.6]], r"sum of weights\[0\] = 1.1 is not 1"),
        ([0.5, 0.6], [[1.5, -0.5]], r"weights\[0, 0\] = 1.5 is not a probability"),
        ([0.5, 0.6], [0.5, 0.5], r"expected \(M,\) and \(D, M\)"),
        ([0.5], [[0.5, 0.5]], r"expected \(M,\) and \(D, M\)"),
        ([0.5, 0.6], np.empty((0, 2)), "at least one distribution"),
    ],
)
def test_distributions_that_are_none_are_refused(
    nodes: list[float], weights: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SuccessRates(np.array(nodes), np.array(weights))


def test_other_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"rate = 1.2 is not a probability"):
        SuccessRates.exactly(1.2)
    with pytest.raises(ValueError, match="pass one number"):
        SuccessRates.exactly([0.2, 0.3])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"b\[1\] = 0.0 must be positive"):
        SuccessRates.from_betas(1.0, [2.0, 0.0])
    with pytest.raises(ValueError, match="shapes do not broadcast"):
        SuccessRates.from_betas([1.0, 2.0], [1.0, 2.0, 3.0])
    rates = SuccessRates.exactly(0.5)
    with pytest.raises(ValueError, match="the last axis must be the 1 nodes"):
        rates.average([1.0, 2.0])
    with pytest.raises(ValueError, match="not finite"):
        rates.average([np.nan])
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"level = .* is out of range"):
            rates.band([1.0], level)


def test_parts_complements_and_multiples_of_a_band() -> None:
    rows = Band(*(np.array([[v, v + 0.5], [v, v]]) for v in (0.25, 0.125, 0.5)))
    assert [side.tolist() for side in rows.at(0)] == [[0.25, 0.75], [0.125, 0.625], [0.5, 1.0]]
    assert rows.at((0, 1)) == (0.75, 0.625, 1.0)
    assert rows.at((0, 1)).complement() == (0.25, 0.0, 0.375)  # what is high has little left
    assert [side.tolist() for side in rows.at(1).times(np.array([8.0, 0.0]))] == [
        [2, 0],
        [1, 0],
        [4, 0],
    ]
