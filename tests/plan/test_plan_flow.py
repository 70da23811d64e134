from fractions import Fraction
from itertools import product
from math import sqrt

import numpy as np
import pytest

from fgrpo import focal_advantages
from fgrpo.plan.flow import mass_flow

ETA = 1e-4
WRONG = 10**6  # wrong answers, each far less likely than a correct one


def played(
    mu: float, answers: int, n: int, gamma: float, groups: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Update a real policy once for each group: exact changes of all and of unseen correct mass."""
    rng = np.random.default_rng(seed)
    right = rng.random((groups, n)) < mu
    answer = np.where(
        right,
        rng.integers(answers, size=right.shape),
        answers + rng.integers(WRONG, size=right.shape),
    )
    advantage = focal_advantages(
        right.ravel().astype(float), n, gamma=gamma, scale="population_std", epsilon=0.0
    )
    keys = np.arange(groups)[:, None] * (answers + WRONG) + answer
    distinct, first, count = np.unique(keys.ravel(), return_index=True, return_counts=True)
    group, which = np.divmod(distinct, answers + WRONG)
    correct = which < answers
    p = np.where(correct, mu / answers, (1 - mu) / WRONG)
    # Softmax: masses are multiplied by exp(Δz) and divided by their new sum.
    grown = p * np.expm1(ETA / n * count * advantage[first])
    new_sum = 1 + np.bincount(group, grown, minlength=groups)
    pos = np.bincount(group, np.where(correct, grown, 0), minlength=groups)
    seen = np.bincount(group, np.where(correct, p, 0), minlength=groups)
    total_change = (pos - mu * (new_sum - 1)) / new_sum
    unseen_change = (mu - seen) * (1 / new_sum - 1)
    return total_change, unseen_change


@pytest.mark.parametrize(
    ("mu", "answers", "n", "gamma"),
    [
        (0.4, 10, 8, 0.5),
        (0.4, 10, 8, 0.0),
        (0.7, 4, 4, 1.0),
        (0.1, 20, 16, 0.0),
        (0.9, 5, 16, 1.0),
        (0.9, 40, 32, 2.0),
        (0.5, 2, 2, 0.5),
    ],
)
def test_a_real_policy_moves_as_told(mu: float, answers: int, n: int, gamma: float) -> None:
    groups = 30_000
    changes = played(mu, answers, n, gamma, groups, seed=n)
    flow = mass_flow(mu, 1 / answers, n, gamma)
    for change, told in zip(changes, (flow.gained, -flow.drained), strict=True):
        error = change.std(ddof=1) / sqrt(groups)
        assert error < 0.02 * abs(change.mean())  # else the comparison would say little
        # Second order in η: at most η·|Â|·count/N, and |Â| is below √N.
        assert abs(change.mean() - ETA * told) < 4 * error + ETA * ETA * sqrt(n)


def enumerated(mu: Fraction, answers: int, n: int, gamma: float) -> tuple[float, float]:
    """Sum eq. 19 over every group of n, wrong answers being of no mass each."""
    tau = mu / answers
    gained = drained = 0.0
    for group in product(range(answers + 1), repeat=n):  # the last one stands for a wrong answer
        k = sum(one < answers for one in group)
        chance = tau**k * (1 - mu) ** (n - k)
        rewards = [Fraction(one < answers) for one in group]
        mean = sum(rewards, Fraction()) / n
        variance = sum(((reward - mean) ** 2 for reward in rewards), Fraction()) / n
        if not variance:
            continue
        g = float(1 - mean) ** gamma
        step = [float(reward - mean) / sqrt(variance) * g / n for reward in rewards]
        moved = sum(float(tau) * z for one, z in zip(group, step, strict=True) if one < answers)
        unseen = mu - tau * len({one for one in group if one < answers})
        gained += float(chance) * (moved - float(mu) * moved)
        drained += float(chance) * float(unseen) * moved
    return gained, drained


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize(("mu", "answers"), [(Fraction(1, 3), 3), (Fraction(4, 5), 2)])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_every_group_summed(mu: Fraction, answers: int, n: int, gamma: float) -> None:
    told = mass_flow(float(mu), 1 / answers, n, gamma)
    np.testing.assert_allclose(told, enumerated(mu, answers, n, gamma), rtol=1e-12)


def test_pairs_by_hand() -> None:
    # k = 1 with probability 2·½·½, weight (1/2)^γ/2; τ = 1/10. Gained ½·½·(1/10)·½; unseen 4/5·½.
    flow = mass_flow(0.5, 0.2, 2, [0.0, 1.0, 2.0])
    np.testing.assert_allclose(flow.gained, [1 / 80, 1 / 160, 1 / 320], rtol=1e-14)
    np.testing.assert_allclose(flow.drained, [1 / 100, 1 / 200, 1 / 400], rtol=1e-14)


def test_limits() -> None:
    dead = mass_flow([0.0, 1.0], [0.1, 1.0], 8, [0.0, 0.5])
    assert not dead.gained.any()
    assert not dead.drained.any()
    # One answer is all of the correct mass: an active group has seen it.
    assert mass_flow(0.3, 1.0, 8).drained == 0
    assert mass_flow(0.3, 1.0, 8).gained > 0
    # So many answers that none is seen twice: all correct mass is unseen, and drained/gained
    # is μ/(1−μ).
    flow = mass_flow(0.75, 1e-9, 16, 0.5)
    assert flow.drained / flow.gained == pytest.approx(3, rel=1e-6)
    # A large group covers all answers; its activity is sure and μ̂ is μ: w = (1−μ)^γ·√(μ(1−μ)).
    flow = mass_flow(0.5, 0.2, 4096, 1.0)
    assert flow.gained == pytest.approx(0.1 * 0.5 * 0.5 * 0.5, rel=1e-3)
    assert flow.drained < 1e-80


def test_axes() -> None:
    mu, rho, gamma = [0.2, 0.5, 0.9, 0.4], [0.1, 0.3, 0.6], [0.0, 1.0]
    full = mass_flow(mu, rho, 6, gamma)
    for field in full:
        assert field.shape == (2, 3, 4)
    for g, t, m in product(range(2), range(3), range(4)):
        one = mass_flow(mu[m], rho[t], 6, gamma[g])
        assert np.shape(one.gained) == np.shape(one.drained) == ()
        np.testing.assert_allclose(one, (full.gained[g, t, m], full.drained[g, t, m]), rtol=1e-14)
    for field in mass_flow(mu, 0.1, 6, gamma):
        assert field.shape == (2, 4)
    for field in mass_flow(0.2, rho, 6):
        assert field.shape == (3,)
    np.testing.assert_allclose(mass_flow(mu, rho, 6).drained, full.drained[0], rtol=1e-14)


@pytest.mark.parametrize(
    ("mu", "rho", "n", "gamma", "said"),
    [
        (1.5, 0.1, 8, 0.0, r"success_rates = 1.5 is not a probability; it must be in \[0, 1\]"),
        ([0.1, np.nan], 0.1, 8, 0.0, r"success_rates\[1\] = nan is not finite; drop or repair"),
        (0.5, -0.1, 8, 0.0, r"rare_shares = -0.1 is not a probability"),
        (0.5, [0.1, 0.0], 8, 0.0, r"rare_shares\[1\] = 0.0 is empty; pass a share above 0"),
        (0.5, 0.1, 1, 0.0, r"group_size = 1 is too small; it must be at least 2"),
        (0.5, 0.1, 8.5, 0.0, r"group_size = 8.5 is not an integer; pass whole numbers"),
        (0.5, 0.1, 4097, 0.0, r"group_size = 4097 is too large to sum over; at most 4096"),
        (0.5, 0.1, 8, [0.5, -1.0], r"gammas\[1\] = -1.0 is negative; pass at least 0"),
    ],
)
def test_errors(mu: object, rho: object, n: object, gamma: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mass_flow(mu, rho, n, gamma)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="success_rates has dtype bool"):
        mass_flow(True, 0.1, 8)
