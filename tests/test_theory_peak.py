import time

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgrpo.theory import peak_group_size, tail_miss_probability


def brute_force(mu: int, tau: int, scale: int) -> int:
    """Least maximiser over N for masses mu/scale and tau/scale, in integers."""
    a, b, s = mu - tau, scale - mu, scale - tau
    n, value = 1, 0
    while True:
        following = s ** (n + 1) - a ** (n + 1) - b ** (n + 1)
        if following <= value * scale:
            return n
        n, value = n + 1, following


@pytest.mark.parametrize("scale", [4, 8, 16, 32, 64])
def test_peak_agrees_with_brute_force_on_every_small_case(scale: int) -> None:
    cases = [(mu, tau) for mu in range(2, scale) for tau in range(1, mu)]
    mu, tau = np.array(cases).T / scale
    assert peak_group_size(mu, tau).tolist() == [brute_force(*case, scale) for case in cases]


def test_peak_is_the_global_maximum_not_the_first() -> None:
    n = np.arange(1, 20_000)
    for mu, tau in [(0.3, 0.001), (0.01, 0.004), (0.97, 1e-6), (0.62, 0.61)]:
        assert peak_group_size(mu, tau) == n[np.argmax(tail_miss_probability(mu, tau, n))]


@pytest.mark.parametrize(("mu", "tau"), [(14 / 32, 5 / 32), (23 / 32, 5 / 32), (46 / 64, 10 / 64)])
def test_of_equal_maxima_the_smaller_group_is_returned(mu: float, tau: float) -> None:
    # dyadic, so these are exact; the maximum is shared by N = 3 and N = 4
    assert tail_miss_probability(mu, tau, 3) == pytest.approx(
        tail_miss_probability(mu, tau, 4), rel=1e-15
    )
    assert peak_group_size(mu, tau) == 3


def assert_peak(mu: float, tau: float, peak: int) -> None:
    """Check in high precision that the probability rises up to ``peak`` and not after."""
    least = min(mp.mpf(mu) - mp.mpf(tau), 1 - mp.mpf(mu), mp.mpf(tau))
    with mp.workdps(80 + 2 * len(str(peak)) + int(-3 * mp.log10(least))):
        m, t = mp.mpf(mu), mp.mpf(tau)

        def rise(n: int) -> mp.mpf:
            # f(N+1) − f(N) over (1−τ)^N, from the lemma's three terms
            s = 1 - t
            return (s - 1) - (m - t - 1) * ((m - t) / s) ** n - (-m) * ((1 - m) / s) ** n

        assert rise(peak) <= 0
        assert peak == 1 or rise(peak - 1) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        (0.5, 1e-15),
        (0.5, 1e-300),
        (1e-9, 1e-15),
        (1e-14, 1e-15),
        (1 - 1e-12, 1e-15),
        (float(np.nextafter(1, 0)), 5e-324),
        (float(np.nextafter(1, 0)), 0.9),
        (0.5, float(np.nextafter(0.5, 0))),
        (0.25, float(np.nextafter(0.25, 0))),
        (7.727085821227524e-55, 7.483203173823872e-150),
        (1e-300, 1e-301),
        (5e-320, 5e-324),
    ],
)
def test_peak_beats_its_neighbours_at_the_extremes(mu: float, tau: float) -> None:
    begin = time.perf_counter()
    peak = peak_group_size(mu, tau)
    assert time.perf_counter() - begin < 5
    assert_peak(mu, tau, peak)


@given(st.floats(-15, 0), st.floats(-15, 0), st.booleans())
def test_peak_beats_its_neighbours(log_mu: float, log_share: float, flip: bool) -> None:
    mu = 1 - 10**log_mu if flip else 10**log_mu
    tau = mu * 10**log_share
    if 0 < tau < mu < 1:
        assert_peak(mu, tau, peak_group_size(mu, tau))


def test_rarer_tails_peak_later_and_higher() -> None:
    share = np.array([0.5, 0.1, 1e-3, 1e-6, 1e-12])
    peak = peak_group_size(0.4, 0.4 * share)
    assert (np.diff(peak) > 0).all()
    assert (np.diff(tail_miss_probability(0.4, 0.4 * share, peak)) > 0).all()


def test_shapes_and_types() -> None:
    table = peak_group_size([[0.5], [0.25]], [0.1, 0.01, 0.001])
    assert table.shape == (2, 3)
    assert table.dtype == np.int64
    assert table[1, 2] == peak_group_size(0.25, 0.001)
    assert type(peak_group_size(0.5, 0.1)) is int
    assert peak_group_size(np.zeros(0), 0.1).shape == (0,)


def test_a_probability_that_is_zero_throughout_peaks_at_one() -> None:
    assert peak_group_size([0.3, 1.0, 1.0], [0.3, 0.2, 1.0]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("mu", "tau", "message"),
    [
        (0.5, [0.1, 0.0], r"tail_mass\[1\] = 0.0 has no peak; pass a positive mass"),
        (0.0, 0.0, r"tail_mass = 0.0 has no peak"),
        (0.2, 0.3, r"tail_mass = 0.3 exceeds the success rate 0.2"),
        ([0.5, 1.2], 0.1, r"success_rate\[1\] = 1.2 .* \[0, 1\]"),
        ([0.5, 1e-300], 1e-310, r"success_rate\[1\] = 1e-300 .* 302 digits.*pass it as a scalar"),
        ([0.5, 0.5], [0.1] * 3, r"success_rate \(2,\), tail_mass \(3,\)"),
    ],
)
def test_errors_name_value_place_and_remedy(mu: object, tau: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        peak_group_size(mu, tau)
