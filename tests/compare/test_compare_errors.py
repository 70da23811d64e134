"""What cannot be compared, and the remedy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from compare_counts import counts, rng

from fgrpo.compare import (
    compare_generations,
    compare_problems,
    compare_problems_and_seeds,
    compare_seeds,
)
from fgrpo.compare.arms import align, check_k

SMALL = counts(8, [1, 2, 3])
BOTH = pytest.mark.parametrize(
    "compare",
    [
        lambda a, b, **options: compare_generations(a, b, rng=rng(), **{"m": 4, **options}),
        lambda a, b, **options: compare_problems(a, b, rng=rng(), **options),
        lambda a, b, **options: compare_seeds([a, a], b, **options),
        lambda a, b, **options: compare_problems_and_seeds([a, a], b, **options),
    ],
    ids=["generations", "problems", "seeds", "joint"],
)


@BOTH
def test_different_problems_are_listed(compare):
    other = counts(8, [1] * 13, ["p000", *(f"q{i:02d}" for i in range(12))])
    with pytest.raises(ValueError, match="hold different problems") as caught:
        compare(SMALL, other, k=1)
    message = str(caught.value)
    assert re.search(r"2 only in A(\[0\])? ", message)
    assert "('p001', 'p002')" in message
    assert "12 only in B ('q00', 'q01', " in message
    assert "'q09', …)" in message
    assert "q10" not in message


@BOTH
@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (
            (1, 9),
            ValueError,
            r"pass@9 needs at least 9 .* A(\[0\])? has 8 of 'p000'.* ask for k ≤ 8",
        ),
        (0, ValueError, "k must hold integers of at least 1, got 0"),
        ((), ValueError, "k must hold integers"),
        (1.5, TypeError, "k must be an integer or several, got 1.5"),
        ((1, 2.0), TypeError, "k must be an integer or several"),
    ],
)
def test_bad_k_is_refused(compare, k, error, message):
    with pytest.raises(error, match=message):
        compare(SMALL, SMALL, k=k)


@BOTH
def test_empty_and_foreign_inputs_are_refused(compare):
    with pytest.raises(ValueError, match="B holds no problems"):
        compare(SMALL, counts(1, np.zeros(0, int)), k=1)
    with pytest.raises(
        TypeError, match=r"B must be Counts, got a (str|list); see fgrpo.records.read_counts"
    ):
        compare(SMALL, ["records.jsonl"], k=1)


def test_bad_m_and_draws_are_refused_with_the_remedy():
    short = counts([8, 6, 8], [1, 2, 3])
    with pytest.raises(ValueError, match=r"m = 256 .* B has of 'p001'; pass m=3 \(half"):
        compare_generations(SMALL, short, k=1, rng=rng())
    with pytest.raises(ValueError, match=r"m = 8 takes all samples .* pass m=4"):
        compare_generations(SMALL, SMALL, k=1, m=8, rng=rng())
    with pytest.raises(ValueError, match=r"k = 5 is more than m = 4"):
        compare_generations(SMALL, SMALL, k=(1, 5), m=4, rng=rng())
    for compare in (compare_generations, compare_problems):
        options = {"m": 4} if compare is compare_generations else {}
        with pytest.raises(ValueError, match="draws must be at least 1000"):
            compare(SMALL, SMALL, k=1, draws=999, rng=rng(), **options)


def test_seeds_need_two_runs_somewhere():
    with pytest.raises(ValueError, match=r"one run each.* compare_problems or compare_generations"):
        compare_seeds(SMALL, [SMALL], k=1)
    with pytest.raises(ValueError, match="B holds no runs"):
        compare_seeds([SMALL, SMALL], [], k=1)
    with pytest.raises(ValueError, match=r"A\[0\] and A\[1\] hold different problems"):
        compare_seeds([SMALL, counts(8, [1])], SMALL, k=1)


def test_problems_and_seeds_need_two_runs_somewhere():
    with pytest.raises(ValueError, match=r"one run each.* use compare_problems$"):
        compare_problems_and_seeds(SMALL, [SMALL], k=1)


def test_runs_go_by_the_names_they_are_given():
    named = {"names": (["base"], ["seed-1", "seed-2"])}
    with pytest.raises(ValueError, match="base and seed-2 hold different problems"):
        align(SMALL, [SMALL, counts(8, [1])], **named)
    with pytest.raises(ValueError, match="seed-1 holds no problems"):
        align(SMALL, [counts(1, np.zeros(0, int)), SMALL], **named)
    arms = align(SMALL, [SMALL, counts([8, 6, 8], [1, 2, 3])], **named)
    with pytest.raises(ValueError, match="seed-2 has 6 of 'p001'"):
        check_k(7, *arms)
