"""The simulation against the paper's formulas, and what every run promises."""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fgrpo.errors import RunError
from fgrpo.simulation import Policy, UpdateSettings, engine, measure_tail_miss, simulate
from fgrpo.simulation.drawing import draw
from fgrpo.simulation.engine import start
from fgrpo.simulation.side import COUNT, HITS, W, mass
from fgrpo.simulation.update import update
from fgrpo.theory import mass_change, tail_miss_probability

# Logits of single actions: each has a state of its own, in the order given, from the beginning.
LOGITS = np.array([1.3, 0.2, -0.4, 0.5, 0.9, 0.0, -1.1, 0.7, -0.2])
CORRECT = np.array([True, True, True, True, False, False, False, False, False])
GROUP = 4


def one_step(rate: float, gamma: float, surrogate: str, seed: int, rewards=(1.0, -1.0)):
    """Return the probabilities before and after one step of plain ascent, and the counts."""
    policy = Policy(LOGITS, CORRECT, np.ones(len(LOGITS), np.int64))
    settings = UpdateSettings(
        reward_correct=rewards[0],
        reward_wrong=rewards[1],
        learning_rate=rate,
        optimizer="sgd",
        surrogate=surrogate,
    )
    state = start(policy, settings, group_size=GROUP, gamma=gamma)
    sides = (state.right, state.wrong)
    draw(*sides, GROUP, np.random.default_rng(seed))
    counts = np.concatenate([side.actions[COUNT] for side in sides])
    update(*sides, state.step, state.clock, 0)
    assert all(side.size[HITS] == 0 for side in sides)
    after = np.concatenate([side.actions[W] for side in sides]) / sum(map(mass, sides))
    return policy.probabilities, after, counts


def a_mixed_group_without_repeats(seed: int) -> bool:
    counts = one_step(0.01, 0.0, "ratio", seed)[2]
    return counts.max() == 1 and 0 < counts[CORRECT].sum() < GROUP


SEEDS = [seed for seed in range(60) if a_mixed_group_without_repeats(seed)][:8]


def errors_of_second_order(errors: list[float]) -> bool:
    """Say whether halving the learning rate divides the error by about four, twice."""
    return all(3.7 < large / small < 4.3 for large, small in pairwise(errors))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("gamma", "rewards"), [(0.0, (1.0, -1.0)), (1.0, (1.0, 0.0))])
def test_one_step_on_probabilities_moves_mass_as_the_paper_says(
    seed: int, gamma: float, rewards: tuple[float, float]
) -> None:
    """Equations 10 and 17, whose rewards are here the group's advantages times the weight."""
    total, unsampled = [], []
    for rate in (0.4, 0.2, 0.1):
        p, after, counts = one_step(rate, gamma, "probability", seed, rewards)
        success = counts[CORRECT].sum() / GROUP
        gap, weight = rewards[0] - rewards[1], (1 - success) ** gamma
        predicted = mass_change(
            p,
            CORRECT,
            counts > 0,
            learning_rate=rate,
            group_size=GROUP,
            reward_correct=weight * gap * (1 - success),
            reward_wrong=-weight * gap * success,
        )
        rare = CORRECT & (counts == 0)
        total.append((after - p)[CORRECT].sum() - predicted.total)
        unsampled.append((after - p)[rare].sum() - predicted.unsampled)
        assert abs(total[-1]) < 0.1 * abs(predicted.total)
    assert errors_of_second_order(total)
    assert errors_of_second_order(unsampled)


@pytest.mark.parametrize("seed", range(12))
def test_one_step_on_ratios_moves_every_subset_by_the_identity(seed: int) -> None:
    """Equation 19, with the logit changes ``η c_i r_i/N`` written out; an action may repeat."""
    correct, rare = [], []
    for rate in (0.1, 0.05, 0.025):
        p, after, counts = one_step(rate, 0.5, "ratio", seed)
        success = counts[CORRECT].sum() / GROUP
        if success in (0, 1):
            np.testing.assert_allclose(after, p, rtol=1e-15)
            return
        advantage = np.where(CORRECT, 2 * (1 - success), -2 * success) * np.sqrt(1 - success)
        change = rate * counts * advantage / GROUP
        for errors, subset in ((correct, CORRECT), (rare, CORRECT & (counts == 0))):
            predicted = (p * change)[subset].sum() - p[subset].sum() * (p * change).sum()
            errors.append((after - p)[subset].sum() - predicted)
    assert errors_of_second_order(correct)
    assert errors_of_second_order(rare)


TAILS = {
    "anchored": Policy.anchored(400, 60),
    "one kind of correct": Policy.anchored(400, 60, anchor=3.0),
    "one correct": Policy.anchored(50, 1, anchor=2.0),
    "a tail of several kinds": Policy(
        np.array([4.0, 1.0, 2.0, 0.0, -1.0, 0.5]),
        np.array([True, True, True, True, False, False]),
        np.array([2, 1, 20, 40, 300, 1]),
    ),
}


@pytest.mark.parametrize("group_size", [2, 8, 64, 65, 512, 4096])
@pytest.mark.parametrize("name", TAILS)
def test_the_measured_tail_miss_is_that_of_lemma_3_1(name: str, group_size: int) -> None:
    policy = TAILS[name]
    # The anchor, or all correct actions where none stands out.
    top = policy.logits == policy.logits[policy.correct].max()
    tail = policy.correct & ~top if (policy.correct & ~top).any() else policy.correct
    share = policy.sizes[tail] / policy.sizes[tail].sum()
    mu = policy.sizes[policy.correct] @ policy.probabilities[policy.correct]
    expected = share @ tail_miss_probability(mu, policy.probabilities[tail], group_size)
    missed = measure_tail_miss(policy, group_size, 4000, np.random.default_rng(group_size))
    assert missed.shape == (4000,)
    assert ((missed >= 0) & (missed < 1 + 1e-15)).all()
    whole = missed * policy.sizes[tail].sum()
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
    error = np.sqrt(max(missed.var(), expected / 4000) / 4000)  # a rare miss may not occur
    assert abs(missed.mean() - expected) < 4.5 * error + 1e-12


def run(seed: int, group_size: int, **settings) -> np.ndarray:
    return simulate(
        Policy.anchored(800, 90),
        UpdateSettings(**settings),
        group_size=group_size,
        gamma=0.5,
        steps=150,
        rng=np.random.default_rng(seed),
    ).rows


SETTINGS = [
    {},
    {"optimizer": "sgd", "learning_rate": 5.0},
    {"surrogate": "probability", "scale": "std"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=["adam", "sgd", "probability"])
def test_a_run_is_its_seed_whatever_the_chunks_and_threads(settings: dict, monkeypatch) -> None:
    jobs = [(seed, group_size) for seed in (1, 2) for group_size in (4, 100, 1000)]
    alone = [run(*job, **settings) for job in jobs]
    for one, other in ((0, 3), (1, 4), (2, 5)):
        assert (alone[one] != alone[other]).any()
    for chunk in (1, 7, 1000):
        monkeypatch.setattr(engine, "CHUNK", chunk)
        for job, rows in zip(jobs, alone, strict=True):
            assert_array_equal(run(*job, **settings), rows)
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda job: run(*job, **settings), jobs * 3)
        for rows, expected in zip(together, alone * 3, strict=True):
            assert_array_equal(rows, expected)


def test_progress_counts_the_steps_and_can_end_a_run() -> None:
    done = []

    def progress(steps: int) -> None:
        done.append(steps)
        if steps == 40:
            raise KeyboardInterrupt

    arguments = {"group_size": 4, "gamma": 0.0, "rng": np.random.default_rng(0)}
    simulate(TAILS["anchored"], UpdateSettings(), steps=27, progress=done.append, **arguments)
    assert done == [20, 27]
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        simulate(TAILS["anchored"], UpdateSettings(), steps=90, progress=progress, **arguments)
    assert done == [20, 40]


OVERFLOWING = [
    {"learning_rate": 1e308},
    {"learning_rate": 1e308, "surrogate": "probability", "scale": "std"},
    {"learning_rate": 1e308, "reward_correct": 1e6, "optimizer": "sgd"},
]


@pytest.mark.parametrize("steps", [1, 2, 30])
@pytest.mark.parametrize("group_size", [16, 2000])
@pytest.mark.parametrize("settings", OVERFLOWING, ids=["rate", "std", "sgd"])
def test_an_overflow_is_said(settings: dict, group_size: int, steps: int) -> None:
    update = UpdateSettings(**settings)
    seen: list[int] = []
    within = "1 step;" if steps == 1 else f"{min(steps, 20)} steps;"
    told = f"overflowed within {within} lower the learning rate, {update.learning_rate:g}, or"
    with pytest.raises(RunError, match=re.escape(told)):
        simulate(
            Policy.anchored(400, 60),
            update,
            group_size=group_size,
            gamma=0.0,
            steps=steps,
            rng=np.random.default_rng(0),
            progress=seen.append,
        )
    assert seen in ([], [1])  # one step is made before the policy after it is looked at
