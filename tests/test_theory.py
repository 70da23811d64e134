import subprocess
import sys
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from scipy import integrate

from fgrpo.theory import activity_probability, tail_miss_probability, update_scale

SUCCESS_RATES = [1e-300, 1e-14, 1e-6, 0.1, 0.5, 0.7, 1 - 1e-6, 1 - 1e-12, float(np.nextafter(1, 0))]
TAIL_SHARES = [1e-15, 1e-9, 1e-3, 0.3, 0.5, 0.999, 1 - 1e-9]
GROUP_SIZES = [1, 2, 3, 4, 5, 7, 10, 100, 10**4, 10**6, 10**9]


def exact(mu: float, tau: float, n: int) -> mp.mpf:
    m, t = mp.mpf(mu), mp.mpf(tau)
    return (1 - t) ** n - (m - t) ** n - (1 - m) ** n


def masses() -> list[tuple[float, float]]:
    pairs = [(mu, mu * share) for mu in SUCCESS_RATES for share in TAIL_SHARES]
    pairs += [(mu, 1e-15) for mu in SUCCESS_RATES if mu > 1e-15]
    pairs += [(mu, float(np.nextafter(mu, 0))) for mu in SUCCESS_RATES]
    # where the terms are nearly equal: correct-outside-the-tail as likely as wrong
    pairs += [(0.6, 0.2), (0.5, 1e-15), (0.500000001, 1e-9)]
    return pairs


@pytest.mark.parametrize("n", GROUP_SIZES)
def test_tail_miss_has_small_relative_error_over_an_adversarial_grid(n: int) -> None:
    mu, tau = map(np.array, zip(*masses(), strict=True))
    got = tail_miss_probability(mu, tau, n)
    normal = 0
    with mp.workdps(700):  # 1e-300 squared must survive next to 1
        for m, t, value in zip(mu, tau, got, strict=True):
            expected = exact(m, t, n)
            if n == 1:
                assert value == 0
            elif expected > 2.3e-308:
                normal += 1
                assert abs(value / expected - 1) < 1e-12, (m, t, n)
            else:
                assert 0 <= value < 2.4e-308
    assert n == 1 or normal >= 20


@pytest.mark.parametrize("n", [2, 3, 8, 10**6, 10**9])
def test_activity_has_small_relative_error(n: int) -> None:
    with mp.workdps(700):
        for mu in SUCCESS_RATES:
            expected = exact(mu, 0.0, n)
            assert abs(activity_probability(mu, n) / expected - 1) < 1e-12, (mu, n)


def test_tail_miss_agrees_with_rational_arithmetic_at_the_spec_point() -> None:
    mu, tau = Fraction(0.3), Fraction(1e-12)
    for n in (2, 17, 400):
        expected = (1 - tau) ** n - (mu - tau) ** n - (1 - mu) ** n
        got = Fraction(float(tail_miss_probability(0.3, 1e-12, n)))
        assert abs(got / expected - 1) < Fraction(1, 10**14)


def test_two_rollouts_are_a_product() -> None:
    # one correct outside the tail and one wrong, in either order
    got = tail_miss_probability(0.5, 0.125, 2)
    assert got == 2 * 0.375 * 0.5


@pytest.mark.parametrize(
    ("mu", "tau", "n"), [(0.5, 0.01, 8), (0.1, 0.05, 4), (0.9, 0.2, 16), (0.63, 0.002, 64)]
)
def test_lemma_against_monte_carlo(mu: float, tau: float, n: int) -> None:
    draws = 200_000
    counts = np.random.default_rng(7).multinomial(n, [tau, mu - tau, 1 - mu], size=draws)
    correct = counts[:, 0] + counts[:, 1]
    active = (correct > 0) & (correct < n)
    for share, probability in (
        (np.mean(active & (counts[:, 0] == 0)), tail_miss_probability(mu, tau, n)),
        (np.mean(active), activity_probability(mu, n)),
    ):
        standard_error = np.sqrt(probability * (1 - probability) / draws)
        assert abs(share - probability) < 5 * standard_error


def test_edges_of_the_lemma() -> None:
    n = np.array([1, 2, 9, 10**9])
    assert np.array_equal(tail_miss_probability(0.4, 0.0, n), activity_probability(0.4, n))
    assert np.array_equal(tail_miss_probability(0.4, 0.4, n), np.zeros(4))  # all correct in tail
    assert np.array_equal(tail_miss_probability(1.0, 0.3, n), np.zeros(4))  # never a wrong rollout
    assert np.array_equal(tail_miss_probability(1.0, 1.0, n), np.zeros(4))
    assert np.array_equal(activity_probability([0.0, 1.0], 8), np.zeros(2))


def test_broadcasting_and_number_types() -> None:
    mu = np.array([0.2, 0.5])[:, np.newaxis]
    table = tail_miss_probability(mu, 0.1, [2, 4, 8])
    assert table.shape == (2, 3)
    assert table[1, 2] == tail_miss_probability(0.5, 0.1, 8)
    assert isinstance(tail_miss_probability(0.5, 0.1, 8), float)
    assert activity_probability(1e-9, 1e9) == activity_probability(1e-9, 10**9)
    assert activity_probability(1e-30, 10**25) == pytest.approx(1e-5, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activity_probability([0.1, 1.5], 8), r"success_rate\[1\] = 1.5 .* \[0, 1\]"),
        (lambda: activity_probability(-0.5, 8), r"success_rate = -0.5 .* \[0, 1\]"),
        (lambda: activity_probability([[0.5, np.nan]], 8), r"success_rate\[0, 1\] = nan .*repair"),
        (lambda: activity_probability(0.5, [8, 0]), r"group_size\[1\] = 0 .* at least 1"),
        (lambda: activity_probability(0.5, 2.5), r"group_size = 2.5 .* whole numbers"),
        (lambda: activity_probability(0.5, 10**400), r"group_size = inf .* whole numbers"),
        (
            lambda: activity_probability([0.5, 0.5], [1, 2, 3]),
            r"success_rate \(2,\).*\(3,\).*agree",
        ),
        (lambda: tail_miss_probability(0.5, [0.1, 2.0], 8), r"tail_mass\[1\] = 2.0 .* \[0, 1\]"),
        (
            lambda: tail_miss_probability([0.5, 0.2], [0.1, 0.3], 8),
            r"tail_mass\[1\] = 0.3 exceeds the success rate 0.2; .* part of",
        ),
        (lambda: update_scale([0.5, -1.0]), r"gamma\[1\] = -1.0 is outside \[0, 1e\+06\]; bring"),
        (lambda: update_scale(np.inf), r"gamma = inf is not finite"),
        (lambda: update_scale(2e6), r"gamma = 2000000.0 is outside"),
    ],
)
def test_errors_name_value_place_and_remedy(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("rate", [True, "0.5", 0.5j, None])
def test_a_rate_that_is_no_real_number_is_refused(rate: object) -> None:
    with pytest.raises(TypeError, match=r"success_rate has dtype .*; pass real numbers"):
        activity_probability(rate, 8)
    with pytest.raises(TypeError, match=r"group_size has dtype .*; pass integers"):
        activity_probability(0.5, rate)


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0, 7.5, 60.0])
def test_update_scale_is_the_ratio_of_average_advantages(gamma: float) -> None:
    # substituting mu = sin²(x) makes the integrand smooth at both ends
    def average(g: float) -> float:
        def integrand(x: float) -> float:
            mu = np.sin(x) ** 2
            return (1 - mu) ** g * np.sqrt(mu * (1 - mu)) * 2 * np.sin(x) * np.cos(x)

        return integrate.quad(integrand, 0, np.pi / 2, epsabs=0, epsrel=1e-12)[0]

    assert update_scale(gamma) == pytest.approx(average(gamma) / average(0.0), rel=1e-11)


def test_update_scale_values_of_the_paper() -> None:
    assert np.round(update_scale([0.5, 1, 2]), 5).tolist() == [0.67906, 0.5, 0.3125]
    assert update_scale(0) == 1


@pytest.mark.parametrize(
    ("gamma", "bound"), [(1e-9, 1e-15), (3.3, 1e-12), (100.0, 1e-12), (1e4, 1e-8), (1e6, 1e-8)]
)
def test_update_scale_keeps_its_accuracy(gamma: float, bound: float) -> None:
    with mp.workdps(50):
        expected = mp.beta(1.5, mp.mpf(gamma) + 1.5) / mp.beta(1.5, 1.5)
        assert abs(update_scale(gamma) / expected - 1) < bound


def test_importing_the_theory_is_light() -> None:
    code = (
        "import sys, fgrpo.theory, fgrpo.passk;"
        "print([m for m in sys.modules if m.split('.')[0] in ('scipy', 'torch', 'mpmath')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
