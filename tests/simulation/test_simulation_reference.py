"""The engine against a plain dense one that is fed the very groups the engine drew.

The dense one keeps every action, takes every exponential afresh and never rests. Tolerance: the
engine's logits differ by rounding, a few units of the last place a step, and by ten halves of one
each time an action rests; 600 steps make that about 1e-13 of a logit and so of a probability.
The dense one's term −p·Σ_j c_j r_j is rounding noise, 1e-18, where the engine has none; Adam's
division by 1e-8 lifts it to 1e-10 of the learning rate a step, hence atol.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fgrpo import focal_advantages
from fgrpo.simulation import Policy, UpdateSettings, simulate
from fgrpo.simulation.drawing import draw
from fgrpo.simulation.engine import State, start
from fgrpo.simulation.kernel import _describe_group, describe
from fgrpo.simulation.side import ALL, COUNT, DECAY1, DECAY2, HITS, MOVES, WERE, M, S, Z
from fgrpo.simulation.update import update

pytestmark = pytest.mark.slow

IDENTITY = 5  # a row of our own: whatever swaps two actions swaps it too
POLICY = Policy(
    logits=np.array([2.0, 5.0, 0.0, 1.0, 3.0, -1.0]),
    correct=np.array([True, True, False, False, True, False]),
    sizes=np.array([19, 1, 200, 1, 40, 30]),
)


def softmax(z: np.ndarray) -> np.ndarray:
    weights = np.exp(z - z.max())
    return weights / weights.sum()


@dataclass
class Dense:
    """Every action of `POLICY` with its own logit and averages, in plain NumPy."""

    settings: UpdateSettings
    gamma: float
    group_size: int
    kind: np.ndarray = field(default_factory=lambda: np.repeat(np.arange(6), POLICY.sizes))
    t: int = 0

    def __post_init__(self) -> None:
        self.z = POLICY.logits[self.kind]
        self.right = POLICY.correct[self.kind]
        self.first = softmax(self.z)
        self.m, self.v = np.zeros(len(self.z)), np.zeros(len(self.z))

    def describe(self, counts: np.ndarray) -> list[float]:
        p = softmax(self.z)
        lost = np.maximum(0, self.first - p)[self.right].sum() / self.first[self.right].sum()
        successes = counts[self.right].sum()
        tail = self.right & (self.kind != 1)
        mixed = 0 < successes < self.group_size
        return [
            p[self.right].sum(),
            1 - lost,
            -(p * np.log(p, out=np.zeros_like(p), where=p > 0)).sum(),
            p[self.right & (counts == 0)].sum(),
            (counts[tail] == 0).mean() if mixed else 0.0,
            successes / self.group_size,
        ]

    def update(self, counts: np.ndarray) -> None:
        settings, p = self.settings, softmax(self.z)
        rollouts = np.repeat(np.arange(len(p)), counts)
        rewards = np.where(self.right[rollouts], settings.reward_correct, settings.reward_wrong)
        advantages = focal_advantages(
            rewards,
            self.group_size,
            gamma=self.gamma,
            scale=settings.scale,
            threshold=(settings.reward_correct + settings.reward_wrong) / 2,
        )
        pushed = np.zeros(len(p))
        np.add.at(pushed, rollouts, advantages)
        if settings.surrogate == "probability":  # gradient of Σ_j r_j p_j / N
            pushed *= p
        gradient = (pushed - p * pushed.sum()) / self.group_size
        self.t += 1
        if settings.optimizer == "sgd":
            self.z += settings.learning_rate * gradient
            return
        self.m = 0.9 * self.m + 0.1 * gradient
        self.v = 0.999 * self.v + 0.001 * gradient**2
        corrected = np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8
        self.z += settings.learning_rate * self.m / (1 - 0.9**self.t) / corrected


def numbered(state: State) -> State:
    """Give every place of either side a number, to follow actions through the engine's swaps."""
    sides = []
    for side in (state.right, state.wrong):
        numbers = np.arange(side.actions.shape[1], dtype=float)
        sides.append(side._replace(actions=np.vstack([side.actions, numbers])))
    return State(*sides, state.step, state.clock)


class Names:
    """Which dense action each touched action of the engine is."""

    def __init__(self, state: State, dense: Dense) -> None:
        order = np.argsort(~POLICY.correct, kind="stable")
        self.classes = (order[:3], order[3:])  # the engine's classes of either side
        self.free = [np.flatnonzero(dense.kind == k).tolist() for k in range(6)]
        self.known: tuple[dict, dict] = ({}, {})

    def of(self, which: int, side, places: np.ndarray) -> np.ndarray:
        known, found = self.known[which], []
        for i in places:
            number = int(side.actions[IDENTITY, i])
            if number not in known:
                known[number] = self.free[self.classes[which][side.kind[i]]].pop()
            found.append(known[number])
        return np.array(found, int)


def follow(settings: UpdateSettings, gamma: float, group_size: int, steps: int) -> dict:
    """Run both side by side and compare all that there is; return what happened on the way."""
    state = numbered(start(POLICY, settings, group_size=group_size, gamma=gamma))
    dense, rng = Dense(settings, gamma, group_size), np.random.default_rng(group_size)
    names, sides = Names(state, dense), (state.right, state.wrong)
    parts = (*sides, state.step, state.clock)
    rows = np.full((steps + 1, 6), np.nan)
    seen = {"rested": 0, "woken": 0, "largest": 0.0, "shared": 0}
    noise = 1e-9 * max(settings.learning_rate, 0.1)
    for t in range(steps):
        awake = [side.size[MOVES] for side in sides]
        asleep = [side.size[ALL] - side.size[MOVES] for side in sides]
        draw(*sides, group_size, rng)
        describe(*parts, rows[t])
        _describe_group(*sides, state.step, rows[t])
        counts = np.zeros(len(dense.z), int)
        for which, side in enumerate(sides):
            assert side.size[WERE] == awake[which]
            seen["woken"] += asleep[which] - (side.size[ALL] - side.size[MOVES])
            hits = side.hits[: side.size[HITS]]
            counts[names.of(which, side, hits)] = side.actions[COUNT, hits]
        assert counts.sum() == group_size
        assert_allclose(rows[t], dense.describe(counts), rtol=1e-9, atol=noise, err_msg=f"{t}")
        before = dense.z.copy()
        dense.update(counts)
        update(*parts, t)
        seen["largest"] = max(seen["largest"], np.abs(dense.z - before).max())
        seen["shared"] = max(seen["shared"], counts.max())
        seen["rested"] += sum(
            max(0, side.size[ALL] - side.size[MOVES] - was)
            for side, was in zip(sides, asleep, strict=True)
        )
        if t % 50 == 49 or t < 3 or t == steps - 1:
            compare_states(state, dense, names, noise)
    describe(*parts, rows[steps])
    assert_allclose(rows[steps, :3], dense.describe(counts)[:3], rtol=1e-9, atol=noise)
    # `simulate` does the same. If nothing but this fails, its compiled code on disk is older than
    # the files it was made from: delete src/fgrpo/simulation/__pycache__.
    rng = np.random.default_rng(group_size)
    run = simulate(POLICY, settings, group_size=group_size, gamma=gamma, steps=steps, rng=rng)
    np.testing.assert_array_equal(run.rows, rows)
    return seen


def compare_states(state: State, dense: Dense, names: Names, noise: float) -> None:
    """Compare logits and both averages of touched and of untouched actions."""
    decay1, decay2 = state.clock[[DECAY1, DECAY2]]
    adam = dense.settings.optimizer == "adam"
    for which, side in enumerate((state.right, state.wrong)):
        touched = names.of(which, side, range(side.size[ALL]))
        for states, places, chosen in [
            (side.actions, slice(0, side.size[ALL]), touched),
            *(
                (side.classes, np.full(side.untouched[k], k), names.free[kind])
                for k, kind in enumerate(names.classes[which])
                if POLICY.sizes[kind] > 1
            ),
        ]:
            z, m, s = states[Z, places], states[M, places], states[S, places]
            assert_allclose(z, dense.z[chosen], rtol=1e-9, atol=noise)
            if adam:
                assert_allclose(m * decay1, dense.m[chosen], rtol=1e-7, atol=1e-16)
                assert_allclose(
                    s * np.sqrt(decay2), np.sqrt(dense.v[chosen]), rtol=1e-9, atol=1e-16
                )


CASES = [
    # gamma, rewards, learning rate, group size cycle through every optimiser, surrogate, scale
    (*case, *rest)
    for case, rest in zip(
        product(("adam", "sgd"), ("ratio", "probability"), ("none", "std", "population_std")),
        [
            (0.0, (1.0, -1.0), 0.01, 8),
            (0.5, (1.0, 0.0), 0.5, 4),
            (1.0, (1.0, -1.0), 5.0, 16),
            (1.0, (1.0, -1.0), 0.01, 128),
            (0.0, (1.0, 0.0), 0.5, 16),
            (0.5, (1.0, -1.0), 5.0, 8),
            (0.5, (1.0, -1.0), 5.0, 4),
            (1.0, (1.0, 0.0), 0.5, 128),
            (0.0, (2.0, 0.5), 0.01, 2),
            (0.0, (1.0, 0.0), 5.0, 8),
            (1.0, (2.0, 0.5), 0.5, 16),
            (0.5, (1.0, -1.0), 5.0, 128),
        ],
        strict=True,
    )
]


@pytest.mark.parametrize(
    ("optimizer", "surrogate", "scale", "gamma", "rewards", "rate", "group_size"), CASES
)
def test_a_dense_simulation_of_the_same_groups_gives_the_same_run(
    optimizer: str,
    surrogate: str,
    scale: str,
    gamma: float,
    rewards: tuple[float, float],
    rate: float,
    group_size: int,
) -> None:
    settings = UpdateSettings(
        reward_correct=rewards[0],
        reward_wrong=rewards[1],
        learning_rate=rate,
        optimizer=optimizer,
        scale=scale,
        surrogate=surrogate,
    )
    seen = follow(settings, gamma, group_size, 600)
    assert seen["shared"] > 1  # some action came twice in a group
    if surrogate == "probability":
        assert seen["rested"] == seen["woken"] == 0
    elif optimizer == "sgd":
        assert seen["rested"] > 20
        assert seen["woken"] > 5
    if optimizer == "adam" and rate > 0.1:
        assert seen["largest"] > 0.1


def test_actions_rest_under_adam_and_wake_with_their_averages() -> None:
    settings = UpdateSettings(learning_rate=0.01)
    seen = follow(settings, 1.0, 2, 2500)
    assert seen["rested"] > 100
    assert seen["woken"] > 50
