"""Groups come from the multinomial, whichever way they are drawn.

Seeds are fixed, so a test gives the same answer every time; ALARM is the probability that a
correct change of how random numbers are used would make one chi-square test fail.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from fgrpo.simulation import Policy, UpdateSettings, drawing, simulate
from fgrpo.simulation.engine import State, start
from fgrpo.simulation.kernel import advance
from fgrpo.simulation.side import (
    ALL,
    COUNT,
    HITS,
    MOVES,
    MOVING,
    RESTING,
    UNTOUCHED,
    WERE,
    Side,
    W,
    Z,
    add_up,
)

pytestmark = pytest.mark.slow

ALARM = 1e-4
IDENTITY = 5  # a row of our own: whatever swaps two actions swaps it too


def state_of(policy: Policy, group_size: int, rest: tuple[int, ...] = (0, 0)) -> State:
    """Make a state whose actions carry a number, and lay the last of each side to rest."""
    state = start(policy, UpdateSettings(), group_size=group_size, gamma=0.0)
    sides = []
    for side, resting in zip((state.right, state.wrong), rest, strict=True):
        numbers = np.arange(side.actions.shape[1], dtype=float)
        side = side._replace(actions=np.vstack([side.actions, numbers]))
        side.size[MOVES] -= resting
        add_up(side)
        sides.append(side)
    return State(*sides, state.step, state.clock)


def distinct(logits: list[float], correct: list[bool]) -> Policy:
    """Make a policy whose actions all have a class, hence a state, of their own."""
    return Policy(np.array(logits), np.array(correct), np.ones(len(logits), np.int64))


def draws(state: State, repeats: int, seed: int, draw=drawing.draw) -> Iterator[State]:
    """Draw again and again from one state; check each time what must hold for any group."""
    rng = np.random.default_rng(seed)
    sides = (state.right, state.wrong)
    before = [[part.copy() for part in side] for side in sides]
    everything = [side.untouched.sum() + side.size[ALL] for side in sides]
    total = sum(side.total[[MOVING, RESTING, UNTOUCHED]].sum() for side in sides)
    for _ in range(repeats):
        draw(*sides, state.step.group_size, rng)
        assert sum(side.actions[COUNT].sum() for side in sides) == state.step.group_size
        for side, actions in zip(sides, everything, strict=True):
            hits = side.hits[: side.size[HITS]]
            assert sorted(hits) == np.flatnonzero(side.actions[COUNT]).tolist()
            assert (hits < side.size[MOVES]).all()
            assert side.untouched.sum() + side.size[ALL] == actions
            assert (side.untouched >= 0).all()
            assert (side.drawn == 0).all()
        after = sum(side.total[[MOVING, RESTING, UNTOUCHED]].sum() for side in sides)
        assert after == pytest.approx(total, rel=1e-13)
        yield state
        for side, parts in zip(sides, before, strict=True):
            for part, kept in zip(side, parts, strict=True):
                part[...] = kept


def counts_by_class(side: Side) -> list[tuple[int, ...]]:
    """Return for each class how often its drawn actions were drawn, in descending order."""
    hits = side.hits[: side.size[HITS]]
    found = [[] for _ in side.untouched]
    for i in hits:
        found[side.kind[i]].append(int(side.actions[COUNT, i]))
    return [tuple(sorted(counts, reverse=True)) for counts in found]


def outcome(state: State) -> tuple:
    return tuple(counts_by_class(state.right) + counts_by_class(state.wrong))


def outcome_probabilities(policy: Policy, group_size: int) -> dict[tuple, float]:
    """Enumerate every count vector of the multinomial; forget which action of a class is which."""
    order = np.argsort(~policy.correct, kind="stable")  # the engine's: correct classes first
    sizes = policy.sizes[order]
    p = np.repeat(policy.probabilities[order], sizes)
    ends = np.cumsum(sizes)
    bars = combinations_with_replacement(range(group_size + 1), len(p) - 1)
    vectors = np.array([np.diff([0, *bar, group_size]) for bar in bars])
    probabilities = stats.multinomial.pmf(vectors, group_size, p / p.sum())
    assert probabilities.sum() == pytest.approx(1, abs=1e-9)
    found: Counter = Counter()
    for vector, probability in zip(vectors.tolist(), probabilities, strict=True):
        key = []
        for end, size in zip(ends, sizes, strict=True):
            drawn = [count for count in vector[end - size : end] if count]
            key.append(tuple(sorted(drawn, reverse=True)))
        found[tuple(key)] += probability
    return found


def chi_square(observed: Counter, probabilities: dict[tuple, float]) -> float:
    """Return the p-value of the counts; outcomes expected fewer than 5 times are one."""
    assert set(observed) <= set(probabilities)
    repeats = observed.total()
    often = [key for key, p in probabilities.items() if p * repeats >= 5]
    seen = np.array([observed[key] for key in often], float)
    expected = np.array([probabilities[key] * repeats for key in often])
    if repeats - expected.sum() >= 5:
        seen = np.append(seen, repeats - seen.sum())
        expected = np.append(expected, repeats - expected.sum())
    else:
        assert repeats - seen.sum() < 25  # about none were expected
        expected *= seen.sum() / expected.sum()
    assert len(expected) > 2
    return float(stats.chisquare(seen, expected).pvalue)


FOUR = distinct([0.5, 1.0, 0.0, -1.0], [True, True, False, False])
THREE = distinct([2.0, 1.0, 0.0], [True, False, False])
SHARED = Policy(np.array([1.0, 0.0, 0.4]), np.array([True, True, False]), np.array([1, 3, 2]))
PAIR = Policy(np.array([1.0, 0.0]), np.array([False, True]), np.array([1, 2]))

# policy, group size, resting actions of either side
WAYS = {
    "single moving": (FOUR, 5, (0, 0)),
    "single resting": (FOUR, 5, (2, 2)),
    "single moving and resting": (FOUR, 5, (1, 1)),
    "single one resting among wrong": (THREE, 6, (0, 1)),
    "single untouched and singleton": (SHARED, 5, (0, 0)),
    "single untouched and resting singleton": (SHARED, 5, (1, 0)),
    "single untouched, no singleton": (PAIR, 4, (0, 0)),
    "Poisson of means 40, 15 and 5": (THREE, 100, (0, 0)),
    "Poisson resting": (THREE, 100, (1, 2)),
    "Poisson moving and resting": (THREE, 100, (0, 1)),
    "Poisson untouched": (PAIR, 100, (0, 0)),
    "Poisson untouched and resting": (PAIR, 100, (0, 1)),
}


def test_the_ways_take_both_ways_to_a_poisson_count() -> None:
    mean = (100 - 4 * 10) * THREE.probabilities
    assert mean.min() < mean[1] < drawing.INVERTED < mean.max()


@pytest.mark.parametrize("way", WAYS)
def test_every_group_is_as_probable_as_in_the_multinomial(way: str) -> None:
    policy, group_size, rest = WAYS[way]
    state = state_of(policy, group_size, rest)
    observed = Counter(outcome(after) for after in draws(state, 6000, seed=1))
    assert chi_square(observed, outcome_probabilities(policy, group_size)) > ALARM


@pytest.mark.parametrize("way", ["Poisson moving and resting", "Poisson untouched and resting"])
def test_a_poisson_total_above_the_group_size_is_drawn_again(way: str, monkeypatch) -> None:
    """With rate N half of all totals are too large; only their number, not the counts, matters."""
    policy, group_size, rest = WAYS[way]
    state = state_of(policy, group_size, rest)
    tries = 0
    counts = drawing._poisson_counts

    def counted(*args):
        nonlocal tries
        tries += 1
        return counts(*args)

    next(draws(state_of(policy, group_size, rest), 1, seed=0))  # compiled before math is replaced
    monkeypatch.setattr(drawing, "math", SimpleNamespace(sqrt=lambda n: 0.0))
    monkeypatch.setattr(drawing, "_poisson_counts", counted)
    again = draws(state, 3000, seed=2, draw=drawing.draw.py_func)
    observed = Counter(outcome(after) for after in again)
    assert tries > 3 * 3000  # 2 where none is too large
    assert chi_square(observed, outcome_probabilities(policy, group_size)) > ALARM


def lump_probabilities(p: list[float], group_size: int) -> dict[tuple, float]:
    bars = combinations_with_replacement(range(group_size + 1), len(p) - 1)
    vectors = [tuple(np.diff([0, *bar, group_size]).tolist()) for bar in bars]
    return dict(zip(vectors, stats.multinomial.pmf(vectors, group_size, p), strict=True))


@pytest.mark.parametrize("rest", [(0, 0), (150, 100)])
def test_sparse_poisson_counts_over_three_parts_of_a_policy(rest: tuple[int, int]) -> None:
    """Parts of a multinomial are a multinomial, whose outcomes can be enumerated."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 0.4, 600)
    policy = distinct(logits.tolist(), [True] * 300 + [False] * 300)
    state = state_of(policy, 72, rest)
    p = np.exp(logits) / np.exp(logits).sum()
    assert 72 * p.max() < drawing.SPARSE * 2  # the Poisson rate is 38
    parts = [p[:150].sum(), p[150:300].sum(), p[300:].sum()]

    def lumps(after: State) -> tuple[int, ...]:
        first = after.right.actions[COUNT, after.right.actions[IDENTITY] < 150].sum()  # they move
        right = after.right.actions[COUNT].sum()
        return int(first), int(right - first), int(72 - right)

    observed = Counter(map(lumps, draws(state, 6000, seed=4)))
    assert chi_square(observed, lump_probabilities(parts, 72)) > ALARM


@pytest.mark.parametrize(
    ("group_size", "logit"),
    [(80, 0.0), (2000, 0.0), (80, 6.0), (2000, 6.0), (12, 6.0)],
    ids=["sparse", "dense", "sparse and one action often", "dense and one action often", "single"],
)
def test_means_covariances_and_distinct_actions_of_a_mixed_state(
    group_size: int, logit: float
) -> None:
    """Moving, resting, untouched and shared actions at once: 400 actions, watched in 22 parts."""
    rng = np.random.default_rng(5)
    logits = np.r_[logit, rng.normal(0, 0.2, 99), rng.normal(0.1, 0.2, 100), 0.2, -0.4]
    correct = np.r_[np.zeros(100, bool), np.ones(100, bool), True, False]
    policy = Policy(logits, correct, np.r_[np.ones(200, np.int64), 120, 80])
    state = state_of(policy, group_size, (60, 40))
    p, repeats = policy.probabilities, 3000
    rate = group_size - 4 * group_size**0.5
    assert (rate * p[100:200].max() < drawing.SPARSE) == (group_size <= 80)
    weights = np.r_[p[100:200], p[:100]]  # in the engine's order
    part = np.r_[np.arange(100) // 10, 10 + np.arange(100) // 10]
    expected = np.r_[np.bincount(part, weights), 120 * p[200], 80 * p[201]]
    counts, kinds = np.zeros((repeats, 22)), np.zeros(repeats)
    for row, after in enumerate(draws(state, repeats, seed=6)):
        for shift, side in ((0, after.right), (10, after.wrong)):
            hits = side.hits[: side.size[HITS]]
            kinds[row] += len(hits)
            # The class of many is the last of either side; the others are their own number.
            own = shift + side.actions[IDENTITY, hits].astype(int) // 10
            place = np.where(side.kind[hits] == 100, 20 + shift // 10, own)
            np.add.at(counts[row], place, side.actions[COUNT, hits])
    covariance = group_size * (np.diag(expected) - np.outer(expected, expected))
    error = np.sqrt(np.diag(covariance) / repeats)
    assert (np.abs(counts.mean(0) - group_size * expected) < 5 * error).all()
    # Fourth moments of small counts are larger than a normal's: measure the error.
    centred = counts - group_size * expected
    products = centred[:, :, None] * centred[:, None, :]
    error = products.std(0) / np.sqrt(repeats)
    assert (np.abs(products.mean(0) - covariance) < 5.5 * error).all()
    whole = np.r_[weights, np.full(120, p[200]), np.full(80, p[201])]
    theirs = np.random.default_rng(7).multinomial(group_size, whole / whole.sum(), repeats)
    values, table = np.unique(np.r_[kinds, (theirs > 0).sum(1)], return_inverse=True)
    if len(values) > 2:
        bins = np.quantile(table, np.linspace(0, 1, 12)[1:-1])
        ours, other = np.searchsorted(bins, table[:repeats]), np.searchsorted(bins, table[repeats:])
        both = np.stack([np.bincount(ours, minlength=12), np.bincount(other, minlength=12)])
        assert stats.chi2_contingency(both[:, both.sum(0) > 0]).pvalue > ALARM
    mean = (1 - (1 - whole) ** group_size).sum()
    assert kinds.mean() == pytest.approx(mean, abs=5 * kinds.std() / np.sqrt(repeats))


@pytest.mark.parametrize("group_size", [8, 200])
def test_actions_that_came_to_rest_by_themselves_are_drawn_by_their_weight(
    group_size: int,
) -> None:
    policy = Policy(np.array([3.0, 0.0]), np.array([True, False]), np.array([3000, 30_000]))
    settings = UpdateSettings(optimizer="sgd", learning_rate=2.0)
    state = start(policy, settings, group_size=group_size, gamma=0.0)
    numbers = [np.arange(side.actions.shape[1], dtype=float) for side in (state.right, state.wrong)]
    sides = [
        side._replace(actions=np.vstack([side.actions, number]))
        for side, number in zip((state.right, state.wrong), numbers, strict=True)
    ]
    state = State(*sides, state.step, state.clock)
    advance(*sides, state.step, state.clock, np.random.default_rng(8), 0, 256, np.empty((256, 6)))
    right = state.right
    begin, end = right.size[[MOVES, ALL]]
    assert end - begin > 20
    weights = right.actions[W, begin:end].copy()
    assert np.ptp(weights) > 0.05 * weights.mean()
    place = right.actions[IDENTITY, begin:end].astype(int)
    moving, untouched = right.total[MOVING], right.total[UNTOUCHED]
    whole = sum(side.total[[MOVING, RESTING, UNTOUCHED]].sum() for side in sides)
    assert_allclose(moving + weights.sum() + untouched, right.total[:3].sum(), rtol=1e-12)
    counts, repeats = np.zeros(right.actions.shape[1]), 4000
    for after in draws(state, repeats, seed=9):
        hits = after.right.hits[: after.right.size[HITS]]
        number = after.right.actions[IDENTITY, hits].astype(int)
        counts[number] += after.right.actions[COUNT, hits]
    expected = repeats * group_size * weights / whole
    statistic = ((counts[place] - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, len(place)) > ALARM
    assert stats.chi2.cdf(statistic, len(place)) > ALARM


def logits_by_number(side: Side) -> dict[float, float]:
    return dict(zip(side.actions[IDENTITY], side.actions[Z], strict=True))


def test_an_action_woken_by_a_draw_keeps_its_state() -> None:
    state = state_of(THREE, 4, (1, 2))
    logits = logits_by_number(state.wrong)
    for after in draws(state, 200, seed=10):
        side = after.wrong
        assert side.size[WERE] == 0
        assert logits_by_number(side) == logits
        assert side.total[RESTING] == pytest.approx(
            side.actions[W, side.size[MOVES] : side.size[ALL]].sum(), abs=1e-15
        )


def test_a_group_is_the_same_for_equal_generators_and_differs_otherwise() -> None:
    policy = Policy.anchored(300, 60)
    runs = [
        simulate(
            policy,
            UpdateSettings(),
            group_size=128,
            gamma=0.0,
            steps=1,
            rng=np.random.default_rng(seed),
        ).rows[0]
        for seed in (1, 1, 2)
    ]
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()
