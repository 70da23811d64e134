from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgrpo.theory import expected_sampled_mass, mass_change

LOGITS = np.array([1.3, 0.2, -0.4, 0.9, 0.0, -1.1, 0.5])
CORRECT = np.array([True, True, True, False, False, False, True])
SAMPLED = np.array([True, False, False, True, False, True, False])
GROUP = 4


def softmax(z):
    e = np.exp(z - z.real.max())
    return e / e.sum()


def gradient(z, rewards):
    """Complex-step gradient of ``(1/N) Σ R_i p_i`` over the distinct sampled actions."""
    steps = 1e-30j * np.eye(len(z))
    return np.array([(rewards * softmax(z + h)).sum().imag for h in steps]) / 1e-30 / GROUP


def rewards(r_c: float, r_w: float):
    return np.where(SAMPLED, np.where(CORRECT, r_c, r_w), 0.0)


def change(z, eta: float, r_c: float = 1.0, r_w: float = -1.0):
    return mass_change(
        softmax(z),
        CORRECT,
        SAMPLED,
        reward_correct=r_c,
        reward_wrong=r_w,
        learning_rate=eta,
        group_size=GROUP,
    )


@pytest.mark.parametrize(("r_c", "r_w"), [(1.0, -1.0), (1.0, 0.0), (2.5, 0.5)])
def test_error_against_the_exact_softmax_change_is_of_second_order(r_c: float, r_w: float) -> None:
    p, direction = softmax(LOGITS), gradient(LOGITS, rewards(r_c, r_w))
    errors = []
    for eta in (0.02, 0.01, 0.005):
        moved = softmax(LOGITS + eta * direction) - p
        predicted = change(LOGITS, eta, r_c, r_w)
        total, unsampled = moved[CORRECT].sum(), moved[CORRECT & ~SAMPLED].sum()
        assert predicted.total == pytest.approx(total, rel=0.01)
        assert predicted.unsampled == pytest.approx(unsampled, rel=0.01)
        errors.append([total - predicted.total, unsampled - predicted.unsampled])
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    assert np.abs(ratios - 4).max() < 0.05


def test_each_term_is_the_part_of_the_first_order_change_it_is_named_for() -> None:
    eta, p = 0.3, softmax(LOGITS)
    # eq. 19: ΔQ_S = Σ_S p·Δz − Q_S·Σ p·Δz, split by which actions contribute
    flow = p * eta * gradient(LOGITS, rewards(1.0, -1.0))
    kept = np.where(CORRECT, 1.0, 0.0) - p[CORRECT].sum()
    unsampled_correct = CORRECT & ~SAMPLED
    got = change(LOGITS, eta)
    approx = {"rel": 1e-12, "abs": 0}
    assert got.total_sampled_correct == pytest.approx(
        (kept * flow)[CORRECT & SAMPLED].sum(), **approx
    )
    assert got.total_sampled_wrong == pytest.approx(
        (kept * flow)[~CORRECT & SAMPLED].sum(), **approx
    )
    assert got.total_unsampled == pytest.approx((kept * flow)[~SAMPLED].sum(), **approx)
    assert got.unsampled_direct_drift == pytest.approx(flow[unsampled_correct].sum(), **approx)
    assert got.unsampled_normalisation_coupling == pytest.approx(
        -p[unsampled_correct].sum() * flow.sum(), **approx
    )


def test_unsampled_correct_mass_can_fall_while_the_total_rises() -> None:
    got = change(LOGITS, 0.1)
    assert got.total > 0 > got.unsampled


def test_mass_change_by_hand() -> None:
    # p = (1/2, 1/4, 1/4): the first correct and sampled, the second correct and missed
    got = mass_change(
        [0.5, 0.25, 0.25],
        [True, True, False],
        [True, False, True],
        learning_rate=16.0,
        group_size=2,
    )
    # S_R = 1/4, Q_pos = 3/4, A2 = 1/4, B2 = U2 = U_pos2 = 1/16, η/N = 8
    assert got.total_sampled_correct == 8 * 0.75 * 0.25 * 0.25
    assert got.total_sampled_wrong == 8 * 1.25 * 0.75 / 16
    assert got.total_unsampled == -8 * 0.25 * 0.25 / 16
    assert got.unsampled_direct_drift == -8 * 0.25 / 16
    assert got.unsampled_normalisation_coupling == -8 * 0.25 * (0.75 / 4 - 1.25 / 16 - 0.25 / 16)


def test_mass_change_batches() -> None:
    z = np.stack([LOGITS, LOGITS[::-1]])
    p = np.stack([softmax(row) for row in z])
    both = mass_change(p, CORRECT, SAMPLED, learning_rate=[0.1, 0.2], group_size=4)
    for row, eta in enumerate((0.1, 0.2)):
        assert [field[row] for field in both] == pytest.approx(list(change(z[row], eta)), rel=1e-13)
        assert both.total[row] == pytest.approx(change(z[row], eta).total, rel=1e-13)


def by_enumeration(weights: list[int], correct: list[bool], n: int, k: int):
    """E[P_pos | k] and E[P_neg | k] over every sequence of n draws, in rationals."""
    p = [Fraction(w, sum(weights)) for w in weights]
    chance = mass = lost = Fraction(0)
    for draws in product(range(len(p)), repeat=n):
        if sum(correct[i] for i in draws) != k:
            continue
        weight = Fraction(1)
        for i in draws:
            weight *= p[i]
        chance += weight
        mass += weight * sum(p[i] for i in set(draws) if correct[i])
        lost += weight * sum(p[i] for i in set(draws) if not correct[i])
    return float(mass / chance), float(lost / chance)


@pytest.mark.parametrize(
    ("weights", "correct"),
    [
        ([3, 1, 2, 4], [True, True, False, False]),
        ([1, 5, 2, 2], [True, False, False, False]),
        ([7, 1, 1, 1], [False, True, True, True]),
    ],
)
def test_expected_sampled_mass_agrees_with_enumeration(weights, correct) -> None:
    n = 5
    got = expected_sampled_mass(np.array(weights) / sum(weights), correct, n, np.arange(n + 1))
    for k in range(n + 1):
        right, wrong = by_enumeration(weights, correct, n, k)
        assert got.correct[k] == pytest.approx(right, rel=1e-13)
        assert got.wrong[k] == pytest.approx(wrong, rel=1e-13)


def test_expected_sampled_mass_of_very_rare_actions() -> None:
    # of V equal actions the first draw covers 1/V, the second as much unless it repeats
    p = np.full(200_000, 1 / 200_000)
    correct = np.arange(p.size) < p.size // 2
    got = expected_sampled_mass(p, correct, 8, [1, 2])
    assert got.correct[0] == pytest.approx(1 / p.size, rel=1e-12)
    assert got.correct[1] == pytest.approx(2 / p.size - 1 / p.size / (p.size // 2), rel=1e-12)


@given(
    st.lists(st.floats(1e-12, 1.0), min_size=2, max_size=12),
    st.integers(1, 11),
    st.integers(1, 300),
)
def test_sampled_correct_mass_grows_and_wrong_mass_falls_with_k(
    weights: list[float], split: int, n: int
) -> None:
    p = np.array(weights) / np.sum(weights)
    correct = np.arange(p.size) < min(split, p.size - 1)
    got = expected_sampled_mass(p, correct, n, np.arange(n + 1))
    slack = 1e-14  # rounding of sums of at most 12 terms, none above 1
    assert (np.diff(got.correct) >= -slack).all()
    assert (np.diff(got.wrong) <= slack).all()
    assert (np.diff(got.correct - got.wrong) >= -2 * slack).all()
    assert got.correct[0] == got.wrong[-1] == 0
    assert got.correct[-1] <= p[correct].sum() + slack


def test_expected_sampled_mass_shapes() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    mask = np.array([True, True, False])
    got = expected_sampled_mass(p, mask, [[4], [8]], [0, 1, 4])
    assert got.correct.shape == got.wrong.shape == (2, 2, 3)
    alone = expected_sampled_mass(p[1], mask, 8, 4)
    assert isinstance(alone.correct, float)
    assert got.correct[1, 1, 2] == alone.correct
    assert got.wrong[1, 1, 2] == alone.wrong


def test_a_lone_action_is_covered_by_the_first_draw() -> None:
    got = expected_sampled_mass([0.25, 0.75], [True, False], 3, [0, 1, 3])
    assert got.correct.tolist() == [0, 0.25, 0.25]
    assert got.wrong.tolist() == [0.75, 0.75, 0]


HALF = [0.5, 0.5]
ONE = [True, False]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: expected_sampled_mass([0.5, 0.6], ONE, 4, 1),
            r"sum of probabilities = 1.1 .*norm",
        ),
        (lambda: expected_sampled_mass([HALF, [0.5, 0.4]], ONE, 4, 1), r"probabilities\[1\] = 0.9"),
        (lambda: expected_sampled_mass([1.5, -0.5], ONE, 4, 1), r"probabilities\[0\] = 1.5"),
        (lambda: expected_sampled_mass(1.0, True, 4, 1), r"probabilities has shape \(\).*list"),
        (lambda: expected_sampled_mass(HALF, ONE, 4, [1, 5]), r"k\[1\] = 5 exceeds .* size 4"),
        (lambda: expected_sampled_mass(HALF, ONE, 4, -1), r"k = -1 .* at least 0"),
        (
            lambda: expected_sampled_mass([HALF, [0.0, 1.0]], ONE, 4, [0, 2]),
            r"probabilities\[1\] has no correct mass, yet k\[1\] asks for 2 correct .*leave out",
        ),
        (
            lambda: expected_sampled_mass([1.0, 0.0], ONE, 4, [4, 3]),
            r"probabilities has no wrong mass, yet k\[1\] asks for 1 wrong",
        ),
        (
            lambda: mass_change(HALF, ONE, [False, False], learning_rate=0.1, group_size=4),
            r"count of sampled = 0 .*mark it",
        ),
        (
            lambda: mass_change(HALF, ONE, [True, True], learning_rate=0.1, group_size=[2, 1]),
            r"group_size\[1\] = 1 cannot draw 2 distinct actions; raise",
        ),
        (
            lambda: mass_change(HALF, ONE, ONE, learning_rate=-0.1, group_size=4),
            r"learning_rate = -0.1 is negative",
        ),
        (
            lambda: mass_change(
                HALF, ONE, ONE, learning_rate=0.1, group_size=4, reward_correct=-1.0
            ),
            r"reward_correct = -1.0 is not above reward_wrong = -1.0; swap",
        ),
        (
            lambda: mass_change(HALF, [True] * 3, ONE, learning_rate=0.1, group_size=4),
            r"probabilities \(2,\), correct \(3,\), sampled \(2,\)",
        ),
    ],
)
def test_errors_name_value_place_and_remedy(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_masks_must_be_boolean() -> None:
    with pytest.raises(TypeError, match="correct has dtype int64; pass a boolean mask"):
        expected_sampled_mass(HALF, [1, 0], 4, 1)
    with pytest.raises(TypeError, match="sampled has dtype float64; pass a boolean mask"):
        mass_change(HALF, ONE, [1.0, 0.0], learning_rate=0.1, group_size=4)
