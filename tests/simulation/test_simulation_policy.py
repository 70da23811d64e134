"""The policy's numbers by hand, what it refuses, and runs from extreme policies."""

import sys
from itertools import product

import numpy as np
import pytest

from fgrpo.errors import UsageError
from fgrpo.simulation import Policy, UpdateSettings, measure_tail_miss, simulate
from fgrpo.simulation.engine import start
from fgrpo.simulation.kernel import advance
from fgrpo.simulation.side import ALL, MOVES, TOP_RESTING, Z, mass, refresh


def test_actions_of_one_logit_and_correctness_are_one_class() -> None:
    policy = Policy.from_logits(
        [0.0, 2.0, 0.0, 2.0, 0.0, 1.0], np.array([True, True, False, True, False, False])
    )
    classes = zip(policy.logits, policy.correct, policy.sizes, strict=True)
    assert sorted(classes) == [(0, False, 2), (0, True, 1), (1, False, 1), (2, True, 2)]
    assert policy.correct.dtype == bool
    assert policy.sizes.dtype == np.int64


def test_probabilities_and_success_rate_by_hand() -> None:
    # Weights 3, 1, 1 and 5 of ten: two classes of correct actions, one of two wrong ones.
    policy = Policy.from_logits(np.log([3, 1, 1, 5]), np.array([True, False, False, True]))
    by_logit = dict(zip(policy.logits, policy.probabilities, strict=True))
    assert by_logit == pytest.approx({np.log(3): 0.3, 0.0: 0.1, np.log(5): 0.5}, abs=1e-15)
    assert policy.success_rate == pytest.approx(0.8, abs=1e-15)
    assert policy.probabilities @ policy.sizes == pytest.approx(1, abs=1e-15)


def test_the_papers_policy() -> None:
    policy = Policy.anchored()
    assert policy.logits.tolist() == [5, 3, 0]
    assert policy.correct.tolist() == [True, True, False]
    assert policy.sizes.tolist() == [1, 9999, 118_000]
    # "Q_pos about 0.63, the anchor about 4.7e-4, each other correct action about 6.3e-5"
    assert round(policy.success_rate, 2) == 0.63
    assert policy.probabilities[0] == pytest.approx(4.7e-4, abs=5e-6)
    assert policy.probabilities[1] == pytest.approx(6.3e-5, abs=5e-7)


def test_an_anchored_policy_is_that_of_its_logits() -> None:
    policy = Policy.anchored(12, 4, anchor=-1.0, others=0.5, wrong=2.0)
    other = Policy.from_logits([-1.0, *[0.5] * 3, *[2.0] * 8], np.arange(12) < 4)
    assert policy.success_rate == pytest.approx(other.success_rate, rel=1e-15)
    assert sorted(policy.sizes) == sorted(other.sizes)


def test_logits_count_by_their_differences_whatever_their_size() -> None:
    correct = np.array([True, False, False])
    near, far = (Policy.from_logits(np.array([2.0, 1.0, 0.0]) + s, correct) for s in (0, 1e6))
    assert far.success_rate == near.success_rate
    policy = Policy.from_logits([0.0, -2000.0], np.array([False, True]))
    assert policy.success_rate == 0
    assert policy.probabilities.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("logits", "correct", "tail"),
    [
        ([5.0, 3.0, 0.0], [True, True, False], [3.0]),
        ([5.0, 3.0, 1.0, 9.0], [True, True, True, False], [1.0, 3.0]),
        ([3.0, 0.0], [True, False], [3.0]),  # no other correct action
        ([3.0, 3.0, 0.0, 0.0], [True, True, False, True], [0.0]),
    ],
)
def test_the_tail_is_the_correct_classes_below_the_most_probable(
    logits: list[float], correct: list[bool], tail: list[float]
) -> None:
    policy = Policy.from_logits(logits, np.array(correct))
    assert policy.logits[policy.tail].tolist() == tail
    assert policy.correct[policy.tail].all()


def test_equal_classes_that_are_all_the_correct_ones_are_all_tail() -> None:
    assert Policy.anchored(10, 3, anchor=3.0).tail.tolist() == [True, True, False]
    assert Policy.anchored(10, 1).tail.tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0.0, 1.0], np.array([True, True])), ValueError, "no wrong action"),
        (([0.0, 1.0], np.array([False, False])), ValueError, "no correct action"),
        (([0.0, 1.0], np.array([True])), ValueError, r"logits \(2,\) and correct \(1,\)"),
        (([[0.0, 1.0]], np.array([[True, False]])), ValueError, "one entry an action"),
        (([], np.array([], bool)), ValueError, "no correct action"),
        (([0.0, np.nan], np.array([True, False])), ValueError, "logits"),
        (([0.0, np.inf], np.array([True, False])), ValueError, "logits"),
        (([0.0, 1.0], np.array([1, 0])), TypeError, "correct"),
        ((["a", "b"], np.array([True, False])), TypeError, "logits"),
    ],
)
def test_what_cannot_be_a_policy_is_refused(
    arguments: tuple, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Policy.from_logits(*arguments)


@pytest.mark.parametrize(("actions", "correct"), [(10, 0), (10, 10), (10, -1), (1, 1)])
def test_an_anchored_policy_has_right_and_wrong_actions(actions: int, correct: int) -> None:
    with pytest.raises(ValueError, match=f"correct = {correct} must be at least 1"):
        Policy.anchored(actions, correct)
    with pytest.raises(ValueError, match="logits"):
        Policy.anchored(10, 3, anchor=float("nan"))


@pytest.mark.parametrize("sizes", [[2, 10**8 - 1], [1 << 62, 1 << 62, 1 << 62]])
def test_more_actions_than_memory_has_room_for_are_refused(sizes: list[int]) -> None:
    correct = np.arange(len(sizes)) == 0
    with pytest.raises(ValueError, match=r"has [\d,]+ actions; 100,000,000 is the most"):
        Policy(np.arange(float(len(sizes))), correct, np.array(sizes))
    with pytest.raises(ValueError, match="has 3,000,000,000 actions"):
        Policy.anchored(3 * 10**9)
    assert Policy.anchored(10**8, 2).sizes.sum() == 10**8


def test_classes_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes \(1,\) must have one shape"):
        Policy(np.zeros(2), np.array([True, False]), np.ones(1, np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group_size": 1}, "group_size = 1"),
        ({"group_size": 0}, "group_size = 0"),
        ({"gamma": -0.5}, "gamma = -0.5"),
        ({"gamma": float("nan")}, "gamma = nan"),
        ({"gamma": float("inf")}, "gamma = inf"),
        ({"steps": 0}, "steps = 0"),
    ],
)
def test_a_run_refuses_numbers_out_of_range(change: dict, message: str) -> None:
    arguments = {"group_size": 2, "gamma": 0.0, "steps": 1, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=message):
        simulate(Policy.anchored(10, 3), UpdateSettings(), **arguments | change)


def test_without_numba_the_error_says_what_to_install(monkeypatch) -> None:
    for name in ("compiling", "side", "update", "drawing", "kernel"):
        monkeypatch.delitem(sys.modules, f"fgrpo.simulation.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(UsageError, match=r"pip install '\.\[simulate\]'"):
        measure_tail_miss(Policy.anchored(10, 3), 4, 1, np.random.default_rng(0))


EXTREMES = {
    "two actions": Policy.from_logits([0.0, 0.0], np.array([True, False])),
    "one action has it all": Policy.from_logits(np.r_[40.0, np.zeros(999)], np.arange(1000) < 10),
    "a wrong one has it all": Policy.from_logits(np.r_[40.0, np.zeros(999)], np.arange(1000) > 9),
    "spread 700": Policy.from_logits(np.linspace(-350, 350, 1000), np.arange(1000) % 3 == 0),
    "spread 2000": Policy.from_logits(np.linspace(-1000, 1000, 999), np.arange(999) % 3 == 0),
    "correct ones alike": Policy.anchored(1000, 100, anchor=3.0),
    "logits of a million": Policy.from_logits(
        np.r_[1e6 + 5, np.full(50, 1e6 + 3), np.full(500, 1e6)], np.arange(551) < 51
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("surrogate", ["ratio", "probability"])
def test_mass_is_kept_from_extreme_policies_at_extreme_rates(
    name: str, optimizer: str, surrogate: str
) -> None:
    policy = EXTREMES[name]
    most = np.log(policy.sizes.sum())
    for rate, scale, gamma in product((0.01, 5.0, 100.0), ("none", "std"), (0.0, 50.0)):
        settings = UpdateSettings(
            learning_rate=rate, optimizer=optimizer, surrogate=surrogate, scale=scale
        )
        for group_size in (2, 64, 2000):
            rng = np.random.default_rng(1)
            arguments = {"group_size": group_size, "gamma": gamma, "steps": 150, "rng": rng}
            rows = simulate(policy, settings, **arguments)
            assert rows.q_pos[0] == pytest.approx(policy.success_rate, abs=1e-12)
            assert np.isnan(rows.rows[-1, 3:]).all()
            assert np.isfinite(rows.rows[:-1]).all()
            assert np.isfinite(rows.rows[-1, :3]).all()
            for share in (rows.q_pos, rows.m_ret, *rows.rows[:-1, 3:].T):
                assert share.min() >= -1e-12
                assert share.max() <= 1 + 1e-12
            assert (rows.unsampled_correct[:-1] <= rows.q_pos[:-1]).all()
            assert rows.entropy.min() >= 0
            # Logits of a million have but ten digits behind the point.
            assert rows.entropy.max() <= most + 1e-15 * np.abs(policy.logits).max() + 1e-8


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_no_action_rests_that_would_take_many_tries_to_find(optimizer: str) -> None:
    """A resting action is found by rejection: one far above the others makes that endless."""
    policy = Policy.anchored(30_000, 3000, anchor=16.0)
    settings = UpdateSettings(optimizer=optimizer, scale="std")
    state = start(policy, settings, group_size=4000, gamma=0.0)
    sides = (state.right, state.wrong)
    rows, rng = np.empty((1024, 6)), np.random.default_rng(0)
    advance(*sides, state.step, state.clock, rng, 0, 1024, rows)
    for side in sides:
        resting = side.size[ALL] - side.size[MOVES]
        assert resting > 100
        tries = 4000 * resting * side.total[TOP_RESTING] / sum(map(mass, sides))
        assert tries < side.size[ALL]  # in a step, which passes over the moving ones anyway


@pytest.mark.parametrize("logit", [np.inf, np.nan])
def test_nothing_is_drawn_from_logits_that_overflowed(logit: float) -> None:
    """To find a resting action among weights that are no numbers would take for ever."""
    state = start(Policy.anchored(50, 5), UpdateSettings(), group_size=8, gamma=0.0)
    sides, rng = (state.right, state.wrong), np.random.default_rng(0)
    state.right.actions[Z, 0] = logit
    refresh(*sides, state.clock)
    rows, before = np.full((5, 6), 7.0), rng.bit_generator.state
    advance(*sides, state.step, state.clock, rng, 0, 5, rows)
    assert (rows == 7.0).all()
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": True}, "steps has dtype bool"),
        ({"steps": 0}, "steps = 0 is too small"),
        ({"group_size": 2.5}, "group_size = 2.5 is not an integer"),
        ({"group_size": 2**40}, "group_size = 1099511627776 is too large"),
        ({"policy": Policy.from_logits([0.0, 800.0], np.array([True, False]))}, "a mass of 0"),
    ],
)
def test_a_wrong_argument_is_named(changes: dict, told: str) -> None:
    usual = {"policy": Policy.anchored(10, 3), "group_size": 4, "gamma": 0.0, "steps": 2}
    arguments = {**usual, "update": UpdateSettings(), "rng": np.random.default_rng(0), **changes}
    with pytest.raises((ValueError, TypeError), match=told):
        simulate(**arguments)
