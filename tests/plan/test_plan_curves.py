from fractions import Fraction
from itertools import product
from math import comb, sqrt

import numpy as np
import pytest

from fgrpo.plan.curves import group_curves, safe_group_size
from fgrpo.plan.flow import mass_flow
from fgrpo.plan.rates import SuccessRates
from fgrpo.theory import (
    activity_probability,
    expected_sampled_mass,
    peak_group_size,
    tail_miss_probability,
)

SIZES = [2, 3, 4, 5]


def outcomes(mu: Fraction, rho: Fraction, n: int) -> dict[str, Fraction]:
    """Enumerate groups of n draws: each in the tail (t), correct otherwise (c) or wrong (w)."""
    mass = {"t": rho * mu, "c": mu - rho * mu, "w": 1 - mu}
    found = dict.fromkeys(("active", "right", "wrong", "missed"), Fraction())
    for group in product("tcw", repeat=n):
        chance = Fraction(1)
        for one in group:
            chance *= mass[one]
        wrong = group.count("w")
        found["active"] += chance * (0 < wrong < n)
        found["right"] += chance * (wrong == 0)
        found["wrong"] += chance * (wrong == n)
        found["missed"] += chance * (0 < wrong < n and "t" not in group)
    return found


def mixed(*pairs: tuple[float, float]) -> SuccessRates:
    nodes, weights = np.array(pairs).T
    return SuccessRates(nodes, weights[None])


# --- averages


def test_small_groups_by_enumeration() -> None:
    # A quarter of the prompts at 1/3, the rest at 4/5.
    parts = ((Fraction(1, 3), Fraction(1, 4)), (Fraction(4, 5), Fraction(3, 4)))
    shares = (Fraction(1, 5), Fraction(1, 2))
    curves = group_curves(
        mixed(*((float(mu), float(w)) for mu, w in parts)),
        rare_shares=[float(rho) for rho in shares],
        group_sizes=SIZES,
    )

    def mean(what: str, rho: Fraction, n: int) -> float:
        return float(sum(w * outcomes(mu, rho, n)[what] for mu, w in parts))

    for name, what in (("active", "active"), ("all_right", "right"), ("all_wrong", "wrong")):
        for part in getattr(curves, name):
            wanted = [mean(what, shares[0], n) for n in SIZES]
            np.testing.assert_allclose(part, wanted, rtol=1e-13)
    np.testing.assert_allclose(
        curves.tail_miss.mean, [[mean("missed", rho, n) for n in SIZES] for rho in shares], 1e-13
    )
    for t, rho in enumerate(shares):
        wanted = [float(sum(w * (1 - rho * mu) ** n for mu, w in parts)) for n in SIZES]
        np.testing.assert_allclose(curves.unsampled.mean[t], wanted, rtol=1e-13)


def test_drain_is_a_ratio_of_averages_by_hand() -> None:
    # Pairs: one of two correct, w = ½·(½)^γ whatever μ, so that γ cancels. ρ = 1/2.
    # μ = 1/2: gained (1/4)(1/2)(1/2)w, drained (1/4)(1/2)(1/2)(1/2)w: 1/16 w and 1/32 w.
    # μ = 4/5: gained (2/5)(1/5)(8/25)w, drained (2/5)(4/5)(1/2)(8/25)w: 16/625 w and 32/625 w.
    curves = group_curves(
        mixed((0.5, 0.5), (0.8, 0.5)), rare_shares=0.5, group_sizes=2, gammas=[0, 1]
    )
    gained = float(Fraction(1, 16) + Fraction(16, 625)) / 4
    assert curves.gained.mean.shape == curves.drain.mean.shape == (2, 1, 1)
    np.testing.assert_allclose(curves.gained.mean[:, 0, 0], [gained, gained / 2], rtol=1e-13)
    ratio = (Fraction(1, 32) + Fraction(32, 625)) / (Fraction(1, 16) + Fraction(16, 625))
    np.testing.assert_allclose(curves.drain.mean[:, 0, 0], [float(ratio)] * 2, rtol=1e-13)


def test_one_rate_is_the_theory() -> None:
    sizes, shares, gammas = [2, 8, 64, 1024], [0.02, 0.3], [0.0, 0.5, 2.0]
    curves = group_curves(
        SuccessRates.exactly(0.3), rare_shares=shares, group_sizes=sizes, gammas=gammas
    )
    np.testing.assert_allclose(curves.active.mean, activity_probability(0.3, sizes), rtol=1e-13)
    for t, rho in enumerate(shares):
        missed = tail_miss_probability(0.3, rho * 0.3, sizes)
        np.testing.assert_allclose(curves.tail_miss.mean[t], missed, rtol=1e-12)
        assert curves.worst[t] == 1 + int(
            np.argmax(tail_miss_probability(0.3, rho * 0.3, np.arange(1, 2000)))
        )
        assert curves.safe[t] == safe_group_size(0.3, rho * 0.3)
    for s, size in enumerate(sizes):
        flow = mass_flow(0.3, shares, size, gammas)
        np.testing.assert_allclose(curves.gained.mean[..., s], flow.gained, rtol=1e-12)
        np.testing.assert_allclose(curves.drain.mean[..., s], flow.drained / flow.gained, 1e-12)


@pytest.mark.parametrize(("mu", "answers"), [(0.3, 4), (0.9, 10)])
def test_unsampled_is_that_of_a_real_policy(mu: float, answers: int) -> None:
    policy = np.array([*[mu / answers] * answers, 1 - mu])
    correct = np.arange(answers + 1) < answers
    curves = group_curves(SuccessRates.exactly(mu), rare_shares=1 / answers, group_sizes=[2, 7, 30])
    for s, n in enumerate(curves.group_sizes.tolist()):
        k = np.arange(n + 1)
        seen = expected_sampled_mass(policy, correct, n, k).correct
        chance = [comb(n, i) * mu**i * (1 - mu) ** (n - i) for i in k.tolist()]
        assert curves.unsampled.mean[0, s] == pytest.approx(1 - np.dot(chance, seen) / mu, rel=1e-9)


def test_bands_are_those_of_the_distributions() -> None:
    nodes, weights = np.array([0.2, 0.6]), np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    curves = group_curves(SuccessRates(nodes, weights), rare_shares=0.1, group_sizes=4, level=0.5)
    alone = [
        group_curves(SuccessRates(nodes, row[None]), rare_shares=0.1, group_sizes=4)
        for row in weights
    ]
    for name in ("active", "all_right", "all_wrong", "tail_miss", "unsampled", "gained", "drain"):
        values = sorted(getattr(one, name).mean.ravel()[0] for one in alone)
        got = getattr(curves, name)
        low, high = (values[0] + values[1]) / 2, (values[1] + values[2]) / 2  # quartiles of three
        np.testing.assert_allclose(
            [part.ravel()[0] for part in got], [sum(values) / 3, low, high], rtol=1e-12
        )


def test_solved_and_hopeless_prompts() -> None:
    curves = group_curves(mixed((0.0, 0.25), (1.0, 0.75)), rare_shares=0.1, group_sizes=[2, 8])
    assert curves.active.mean.tolist() == [0, 0]
    assert curves.all_right.mean.tolist() == [0.75, 0.75]
    assert curves.all_wrong.mean.tolist() == [0.25, 0.25]
    assert curves.gained.mean.tolist() == [[[0, 0]]] * 3
    assert np.isnan(curves.drain.mean).all()  # of nothing gained
    assert (curves.worst, curves.safe) == ((1,), (1,))
    for rate in (0.0, 1.0):
        one = group_curves(SuccessRates.exactly(rate), rare_shares=0.1, group_sizes=4)
        assert (one.worst, one.safe) == ((1,), (1,))
        assert one.all_wrong.mean.tolist() == [1 - rate]
        assert one.unsampled.mean[0, 0] == pytest.approx(0.9**4 if rate else 1)


def test_flow_stops_at_4096() -> None:
    curves = group_curves(SuccessRates.exactly(0.2), rare_shares=0.1, group_sizes=[4096, 4097])
    for values in (curves.gained, curves.drain):
        for part in values:
            assert np.isnan(part).tolist() == [[[False, True]]] * 3
    assert np.isfinite(curves.tail_miss.mean).all()
    two = SuccessRates(np.array([0.2, 0.6]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    assert np.isnan(group_curves(two, rare_shares=0.1, group_sizes=5000).drain.high).all()


def test_axes_are_kept() -> None:
    curves = group_curves(SuccessRates.exactly(0.2), group_sizes=[16, 4], gammas=[1, 0], target=0.1)
    assert curves.group_sizes.tolist() == [16, 4]
    assert curves.rare_shares.tolist() == [0.05, 0.1, 0.2]
    assert curves.gammas.tolist() == [1, 0]
    assert curves.target == 0.1
    assert curves.drain.mean.shape == (2, 3, 2)
    assert len(curves.worst) == len(curves.safe) == 3
    usual = group_curves(SuccessRates.exactly(0.2))
    assert usual.group_sizes.tolist() == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    assert (usual.gammas.tolist(), usual.target) == ([0, 0.5, 1], 0.05)


# --- the worst and the first safe group size

MOST = 6000


def looked_up(nodes: np.ndarray, weights: np.ndarray, rho: float) -> tuple[np.ndarray, list[int]]:
    """Return the mean tail miss of groups of 1 … 6000, and the group sizes of its peaks."""
    n = np.arange(1, MOST + 1)[:, None]
    curve = ((1 - rho * nodes) ** n - ((1 - rho) * nodes) ** n - (1 - nodes) ** n) @ weights
    inner = curve[1:-1]
    return curve, (np.flatnonzero((inner > curve[:-2]) & (inner >= curve[2:])) + 2).tolist()


def test_turning_points_by_looking_at_every_group_size() -> None:
    rng = np.random.default_rng(1)
    compared, humps = 0, 0
    for _ in range(150):
        count = int(rng.integers(2, 4))
        nodes = np.exp(rng.uniform(np.log(0.01), np.log(0.999), count))
        weights, rho = rng.dirichlet(np.ones(count)), float(np.exp(rng.uniform(-3, -0.5)))
        curve, peaks = looked_up(nodes, weights, rho)
        humps += len(peaks) > 1
        # The usual target, and targets that a lesser peak just reaches, or just does not.
        targets = [0.05]
        targets += [curve[n - 1] * factor for n in peaks for factor in (0.9999, 1.0001, 0.99, 1.01)]
        for target in targets:
            above = np.flatnonzero(curve >= target) + 1
            worst = int(curve.argmax()) + 1
            safe = max(worst, int(above[-1]) + 1 if above.size else 1)
            if safe > MOST - 100 or not 0 < target < 1:
                continue
            compared += 1
            got = group_curves(
                SuccessRates(nodes, weights[None]),
                rare_shares=rho,
                group_sizes=2,
                gammas=0,
                target=target,
            )
            assert (got.worst, got.safe) == ((worst,), (safe,)), (nodes, weights, rho, target)
    assert compared > 300
    assert humps > 10


def test_two_peaks_by_name() -> None:
    # Prompts at 0.9 peak near N = 7, those at 0.01 at N = 255: by weight either is the worst.
    nodes = np.array([0.9, 0.01])
    for low, worst_is_late in ((0.2, False), (0.4, True)):
        curve, peaks = looked_up(nodes, np.array([1 - low, low]), 0.1)
        assert len(peaks) == 2
        got = group_curves(mixed((0.9, 1 - low), (0.01, low)), rare_shares=0.1, group_sizes=2)
        assert got.worst == (peaks[worst_is_late],)
        assert curve[got.safe[0] - 1] < 0.05 <= curve[got.safe[0] - 2]
        # A target between the peaks' heights: safe lies after the last peak that reaches it.
        between = float(curve[[n - 1 for n in peaks]].mean())
        got = group_curves(
            mixed((0.9, 1 - low), (0.01, low)), rare_shares=0.1, group_sizes=2, target=between
        )
        assert curve[got.safe[0] - 1] < between <= curve[got.safe[0] - 2]
        assert (got.safe[0] > peaks[1]) == worst_is_late


def test_a_far_peak_is_climbed_to_the_last_unit() -> None:
    # Prompts that are never solved change no turning point of the others' curve but its height.
    for mu in (1e-3, 4e-5):
        got = group_curves(
            mixed((0.0, 0.5), (mu, 0.5)), rare_shares=0.1, group_sizes=2, gammas=0, target=0.02
        )
        alone = peak_group_size(mu, 0.1 * mu), safe_group_size(mu, 0.1 * mu, 0.04)
        assert (got.worst[0], got.safe[0]) == alone


def test_turning_points_above_a_million_are_not_told() -> None:
    # Safe from log(0.05)/log(1 − τ), about 2.996/τ, on: 1,048,577 is one more than 2**20.
    for tau, safe in ((2.8571e-6, True), (2.8568e-6, False)):
        size = int(np.ceil(np.log(0.05) / np.log1p(-tau)))
        assert (size <= 2**20) == safe
        alone = group_curves(SuccessRates.exactly(0.001), rare_shares=tau / 0.001, group_sizes=2)
        assert alone.safe == ((size if safe else None),)
        assert alone.worst[0] == peak_group_size(0.001, tau)
        # As a mixture with prompts that never miss.
        half = group_curves(
            mixed((1.0, 0.5), (0.001, 0.5)), rare_shares=tau / 0.001, group_sizes=2, target=0.025
        )
        assert half.worst[0] == alone.worst[0]
        assert half.safe == alone.safe
    for rates in (SuccessRates.exactly(1e-9), mixed((0.0, 0.5), (1e-9, 0.5))):
        far = group_curves(rates, rare_shares=0.1, group_sizes=2)
        assert (far.worst, far.safe, far.mostly_dead) == ((None,), (None,), (False,))
    # Still to come above 2**20, whatever is safe below.
    late = group_curves(mixed((0.5, 0.5), (1e-6, 0.5)), rare_shares=0.1, group_sizes=2)
    assert late.safe == (None,)


def test_mostly_dead_means_at_every_size_of_the_table() -> None:
    def dead(rates: SuccessRates, largest: int = 1024, rho: float = 0.1) -> bool:
        (found,) = group_curves(rates, rare_shares=rho, group_sizes=[2, largest]).mostly_dead
        return found

    assert dead(SuccessRates.from_betas(0.01, 0.01))
    assert not dead(SuccessRates.from_betas(0.4, 0.6))
    # 49% or 51% of prompts are at 1/2 and active for sure, the others never.
    assert dead(mixed((0.5, 0.49), (0.0, 0.51)))
    assert not dead(mixed((0.5, 0.51), (1.0, 0.49)))
    # At 0.99 half of the groups are active from 69 on: 1 − 0.99^69 = 0.5002, 0.99^68 = 0.5049.
    assert dead(SuccessRates.exactly(0.99), 68)
    assert not dead(SuccessRates.exactly(0.99), 69)
    # Where groups up to the table's largest are dead, yet the safe ones are not.
    assert not dead(SuccessRates.exactly(0.01), 4)


def test_plausible_distributions_count_together() -> None:
    nodes = np.array([0.5, 0.02])
    both = SuccessRates(nodes, np.array([[1.0, 0.0], [0.2, 0.8]]))
    together = mixed((0.5, 0.6), (0.02, 0.4))
    a, b = (group_curves(r, rare_shares=0.1, group_sizes=2) for r in (both, together))
    assert (a.worst, a.safe) == (b.worst, b.safe)


@pytest.mark.parametrize("mu", [0.01, 0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("rho", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("target", [0.01, 0.05, 0.6])
def test_safe_group_size_by_looking(mu: float, rho: float, target: float) -> None:
    curve, _ = looked_up(np.array([mu]), np.ones(1), rho)
    worst = int(curve.argmax()) + 1
    wanted = next(n for n in range(worst, MOST * 10) if n > MOST or curve[n - 1] < target)
    if wanted > MOST:
        # Beyond the look: (1−τ)^N decides alone, all else being gone.
        wanted = int(np.ceil(np.log(target) / np.log1p(-rho * mu)))
    assert safe_group_size(mu, rho * mu, target) == wanted


def test_safe_group_size_where_nothing_is_missed() -> None:
    assert safe_group_size(1.0, 0.1) == 1
    assert safe_group_size(0.3, 0.3) == 1
    # (1−τ)^N < 0.05 alone decides for a tiny tail of a sure half: N > ln 20/τ.
    assert safe_group_size(0.5, 1e-9) == pytest.approx(2.995732273553991e9, rel=1e-6)
    assert sqrt(safe_group_size(0.5, 1e-9) / safe_group_size(0.5, 4e-9)) == pytest.approx(2)


# --- errors


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        ("group_sizes", [4, 1], r"group_sizes\[1\] = 1 is too small; it must be at least 2"),
        ("group_sizes", 4.5, r"group_sizes = 4.5 is not an integer; pass whole numbers"),
        ("group_sizes", [], r"group_sizes has shape \(0,\); pass one or several numbers"),
        ("group_sizes", [[4]], r"group_sizes has shape \(1, 1\); pass one or several numbers"),
        ("rare_shares", [0.1, 0.0], r"rare_shares\[1\] = 0.0 must lie between 0 and 1, both excl"),
        ("rare_shares", 1.0, r"rare_shares\[0\] = 1.0 must lie between 0 and 1, both excluded"),
        ("rare_shares", -1.0, r"rare_shares = -1.0 is not a probability"),
        ("rare_shares", [], r"rare_shares has shape \(0,\); pass one or several numbers"),
        ("gammas", -0.5, r"gammas\[0\] = -0.5 is negative; pass at least 0"),
        ("gammas", np.inf, r"gammas = inf is not finite; drop or repair it"),
        ("gammas", [], r"gammas has shape \(0,\); pass one or several numbers"),
        ("target", 0.0, r"target = 0.0 is no probability to stay below; pass say 0.05"),
        ("target", 1, r"target = 1 is no probability to stay below; pass say 0.05"),
        ("target", np.nan, r"target = nan is no probability to stay below; pass say 0.05"),
        ("level", 1.0, r"level = 1.0 is out of range; pass a share in \(0, 1\), such as 0.9"),
    ],
)
def test_errors(argument: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        group_curves(SuccessRates.exactly(0.5), **{argument: value})  # type: ignore[arg-type]


def test_more_errors() -> None:
    for argument in ("group_sizes", "rare_shares", "gammas"):
        with pytest.raises(TypeError, match=f"{argument} has dtype <U1"):
            group_curves(SuccessRates.exactly(0.5), **{argument: "a"})  # type: ignore[arg-type]
    # Beyond 4096 nothing is drained, but a bad γ is one all the same.
    with pytest.raises(ValueError, match=r"gammas\[0\] = -1.0 is negative"):
        group_curves(SuccessRates.exactly(0.5), group_sizes=5000, gammas=-1.0)
    for arguments, said in (
        ((0.5, 0.1, 1.0), "target = 1.0 is no probability"),
        ((0.5, 0.6), "tail_mass = 0.6 exceeds the success rate 0.5"),
        ((0.5, 0.0), "tail_mass = 0.0 has no peak; pass a positive mass"),
        ((-0.5, 0.1), "success_rate = -0.5 is not a probability"),
    ):
        with pytest.raises(ValueError, match=said):
            safe_group_size(*arguments)
