"""Holm's correction, crossings, lost and gained, shares: hand-computed and independent truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from fgrpo.compare import Comparison
from fgrpo.diagnose.changed import changed_problems
from fgrpo.diagnose.curves import crossing_words, find_crossing, mean_at_every_k
from fgrpo.diagnose.flaws import warnings
from fgrpo.diagnose.holm import holm
from fgrpo.diagnose.names import shortened
from fgrpo.diagnose.result import Contrast
from fgrpo.diagnose.signflip import sign_flip_p
from fgrpo.passk import pass_at_k
from fgrpo.records import Counts, Quality


def counts(n, c):
    c = np.asarray(c)
    return Counts(tuple(f"p{i:02d}" for i in range(len(c))), np.broadcast_to(n, c.shape), c)


# Holm ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "adjusted"),
    [
        (
            [0.01, 0.04, 0.03, 0.005],
            [0.03, 0.06, 0.06, 0.02],
        ),  # 4·.005, 3·.01, 2·.03, max(.06, .04)
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.3], [0.3]),
        ([0.01, 0.011, 0.9], [0.03, 0.03, 0.9]),  # 2·0.011 is less than what came before
        ([], []),
    ],
)
def test_holm_by_hand(raw, adjusted):
    assert holm(raw) == pytest.approx(adjusted)


def test_what_cannot_be_tested_does_not_count_as_a_test():
    found = holm([math.nan, 0.01, math.nan, 0.04])
    assert np.isnan([found[0], found[2]]).all()
    assert [found[1], found[3]] == pytest.approx([0.02, 0.04])
    assert all(math.isnan(p) for p in holm([math.nan, math.nan]))


@pytest.mark.parametrize(
    ("p", "draws", "adjusted", "family", "text"),
    [
        (2 / 10_001, 10_000, 124 / 10_001, 62, "≤ 0.013"),  # rounded up: no draw contradicted
        (2 / 10_001, 10_000, 12 / 10_001, 6, "≤ 0.0012"),
        (2 / 10_001, 10_000, 4 / 10_001, 2, "< 0.001"),
        (2 / 10_001, 10_000, 124 / 10_001, 6, "= 0.012"),  # more draws would change nothing
        (4 / 10_001, 10_000, 124 / 10_001, 62, "= 0.012"),
        (0.0002, 0, 0.0124, 6, "= 0.012"),
        (0.03, 0, 1.0, 6, "= 1"),
        (math.nan, 10_000, math.nan, 6, "–"),
    ],
)
def test_the_adjusted_p_in_words(p, draws, adjusted, family, text):
    one = Comparison(1, 0, 0, 0.1, 0.1, (0, 0.2), p, "", 9, (8, 8), draws=draws)
    assert Contrast(one, adjusted, family).adjusted_text == text


def test_the_sign_flip_p_is_that_of_all_signs():
    """Ten differences have 1024 sets of signs, counted one by one; the draws come near."""
    rng = np.random.default_rng(1)
    differences = rng.normal(0.4, 1, (10, 3)) / 10
    differences[:, 1] = np.round(differences[:, 1], 1)  # ties
    differences[:, 2] = 0
    signs = np.array(list(itertools.product([1, -1], repeat=10)))
    sums = np.abs(signs @ differences)
    expected = (sums >= np.abs(differences.sum(axis=0)) - 1e-12).mean(axis=0)
    found = sign_flip_p(differences, draws=40_000, rng=np.random.default_rng(0))
    error = np.sqrt(expected * (1 - expected) / 40_000)
    assert (np.abs(found - expected) <= 4 * error + 1e-4).all()
    assert found[2] == 1


@pytest.mark.parametrize("problems", [6, 8, 40, 3000])
def test_the_sign_flip_p_of_a_few_problems_is_no_smaller_than_they_allow(problems):
    """With j differences, all of one sign, p is 2^(1−j): both sides of a coin thrown j times."""
    differences = np.zeros((problems, 1))
    differences[:6] = 0.1
    found = sign_flip_p(differences, draws=10_000, rng=np.random.default_rng(0))
    assert found[0] == pytest.approx(2**-5, abs=0.006)
    every = sign_flip_p(np.full((problems, 1), 0.1), draws=999, rng=np.random.default_rng(0))
    assert (every[0] == 0.001) == (problems >= 40)  # 1/(draws + 1) at the least


# Names --------------------------------------------------------------------------------------


def test_long_names_are_cut_and_still_told_apart():
    assert shortened(["base", "x" * 60], 26) == ["base", "x" * 13 + "…" + "x" * 12]
    runs = [f"Qwen2.5-7B-GRPO-gamma{g}-seed1-step200-final" for g in ("0.0", "0.5")]
    first, second, short = shortened([*runs, "base"], 26)
    assert "gamma0.0-" in first
    assert "gamma0.5-" in second
    assert short == "base"
    assert max(map(len, (first, second))) <= 26
    three = ["x" * 50 + "a" + "y" * 50, "x" * 50 + "b" + "y" * 50, "x" * 60 + "y" * 41]
    assert len(set(shortened(three, 12))) == 3
    late = ["x" * 30 + a + "y" * 90 + b + "z" * 30 for a, b in ("00", "01", "10")]
    assert len(set(shortened(late, 12))) == 3  # the first difference does not tell all apart
    assert all(len(name) <= 12 for name in shortened(late, 12))


# Crossings ----------------------------------------------------------------------------------


def test_the_mean_at_every_k_is_that_of_pass_at_k():
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(2):
        n = rng.integers(40, 50, 30)
        runs.append(counts(n, rng.integers(0, n + 1)))
    found = mean_at_every_k(runs, 40)
    expected = np.mean(
        [pass_at_k(run.n, run.c, np.arange(1, 41)).mean(axis=0) for run in runs], axis=0
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert mean_at_every_k([counts(3, [0, 3])], 3).tolist() == [0.5, 0.5, 0.5]


def test_the_crossing_lies_between_powers_of_two_where_enumeration_puts_it():
    """3 of 40 everywhere against 40 of 40 on a third of the problems."""
    first = counts(40, [40, 0, 0])
    other = counts(40, [3, 3, 3])
    difference = mean_at_every_k([other], 40) - mean_at_every_k([first], 40)
    exact = [k for k in range(1, 41) if 1 - math.comb(37, k) / math.comb(40, k) > 1 / 3]
    crossing = find_crossing(difference, {1: -1, 40: 1})
    assert exact[0] not in {1, 2, 4, 8, 16, 32}
    assert crossing.k == exact[0]
    assert (crossing.start, crossing.changes) == (-1, ((exact[0] - 1, exact[0]),))
    assert crossing_words(crossing) == (
        f"behind up to k = {exact[0] - 1}, ahead from k = {exact[0]} "
        "(ahead beyond noise at k = 40, behind beyond noise at k = 1)"
    )


def test_level_stretches_and_rounding_are_no_change_of_sign():
    crossing = find_crossing(np.array([0.0, 0.2, 1e-14, -1e-14, 0.1, 0.0]), {1: 0, 2: 1, 6: 0})
    assert (crossing.k, crossing.changes, crossing.start, crossing.last) == (None, (), 1, 6)
    assert crossing_words(crossing) == (
        "no crossing: never behind up to k = 6 (ahead beyond noise at k = 2)"
    )
    through = find_crossing(np.array([0.2, 0.0, 0.0, -0.1]), {})
    assert through.changes == ((1, 4),)
    level = find_crossing(np.zeros(4), {1: 0})
    assert (level.start, level.k) == (0, None)
    assert crossing_words(level) == "no crossing: level at every k up to 4"


def test_a_crossing_within_noise_is_no_claim():
    difference = np.array([0.1, 0.1, -0.1, -0.1])
    for significant, told in (
        ({1: 0, 2: 0, 4: 0}, "the difference is within noise at every k tested; so no claim"),
        ({1: 1, 2: 1, 4: 0}, "ahead beyond noise at k = 1, 2, within noise where behind; so no"),
        ({1: 0, 4: -1}, "behind beyond noise at k = 4, within noise where ahead; so no claim"),
    ):
        crossing = find_crossing(difference, significant)
        assert not crossing.beyond_noise
        assert crossing_words(crossing).startswith("ahead up to k = 2, behind from k = 3 (" + told)
    unknown = find_crossing(difference, {})
    assert crossing_words(unknown) == (
        "ahead up to k = 2, behind from k = 3 (noise cannot be judged; so no claim that the curves "
        "cross)"
    )
    sure = find_crossing(difference, {1: 1, 2: 0, 4: -1})
    assert sure.beyond_noise
    assert "no claim" not in crossing_words(sure)


def test_many_changes_of_sign_are_counted():
    crossing = find_crossing(np.array([1, -1, 1, -1, 1, -1.0]), {})
    assert len(crossing.changes) == 5
    assert crossing_words(crossing).startswith(
        "ahead up to k = 1, behind from k = 2, ahead from k = 3, behind from k = 4, and 2 more "
        "changes of sign ("
    )


# Lost and gained ----------------------------------------------------------------------------


def test_lost_and_gained_with_fishers_p_surest_first():
    first, other = counts(8, [1, 0, 5, 0, 3, 8]), counts(12, [0, 2, 0, 0, 4, 0])
    found = changed_problems([first], [other])
    assert [one.problem for one in found.lost] == ["p05", "p02", "p00"]
    assert [one.problem for one in found.gained] == ["p01"]
    assert (found.first_solved, found.solved) == (4, 2)
    for one in (*found.lost, *found.gained):
        table = [[one.first_c, one.first_n - one.first_c], [one.c, one.n - one.c]]
        side = "greater" if one.first_c else "less"
        expected = stats.fisher_exact(table, alternative=side).pvalue
        assert one.p == pytest.approx(expected, rel=1e-9)
        assert (one.first_n, one.n) == (8, 12)
    assert found.lost[2].p == pytest.approx(8 / 20)  # the one right answer falls to either side


def test_the_expected_numbers_are_those_of_every_way_to_deal_out_the_right_answers():
    """All C(n_A + n_B, c) placements of each problem's right answers, counted one by one."""
    n_a, n_b, totals = 3, 4, [0, 1, 2, 4, 7]
    lost = gained = 0.0
    for c in totals[1:]:
        ways = list(itertools.combinations(range(n_a + n_b), c))
        lost += sum(max(way) < n_a for way in ways) / len(ways)
        gained += sum(min(way) >= n_a for way in ways) / len(ways)
    first = counts(n_a, [min(c, n_a) for c in totals])
    other = counts(n_b, [c - min(c, n_a) for c in totals])
    found = changed_problems([first], [other])
    assert found.expected_lost == pytest.approx(lost)
    assert found.expected_gained == pytest.approx(gained)
    assert lost != pytest.approx(gained)


def test_runs_of_an_arm_are_taken_together():
    found = changed_problems([counts(4, [1, 2])], [counts(4, [0, 0]), counts(4, [0, 1])])
    (lost,) = found.lost
    assert (lost.problem, lost.c, lost.n, lost.first_n) == ("p00", 0, 8, 4)
    assert lost.p == pytest.approx(4 / 12)


# Shares -------------------------------------------------------------------------------------


def shares(samples=1000, truncated=0.0, timed_out=0.0, unverifiable=0.0):
    return Quality(samples, truncated, timed_out, unverifiable, math.nan)


def told(*found):
    return list(warnings(["base", "rl", "focal"], {"math": found}))


def test_high_shares_and_differences_between_arms_are_told():
    assert told(shares(), shares(), shares()) == []
    (line,) = told(shares(truncated=0.01), shares(truncated=0.97), shares(truncated=0.012))
    assert line.startswith("rl and base differ in the share of samples that were cut off")
    assert "97.0% against 1.0% on math. Their difference in pass@k may be" in line
    lines = told(shares(truncated=0.5), shares(truncated=0.5), shares(truncated=0.49))
    assert [line[: line.index(":")] for line in lines] == ["base", "rl", "focal"]
    assert "many samples were cut off" in lines[0]
    assert [line.rpartition(": ")[2] for line in lines] == [
        *["50.0% on math."] * 2,
        "49.0% on math.",
    ]
    lines = told(shares(), shares(timed_out=0.03), shares(unverifiable=0.06))
    assert len(lines) == 2
    assert lines[0].startswith("rl and base differ in the share of samples that ran into the")
    assert "time limit and count as wrong: 3.0% against 0.0% on math." in lines[0]
    assert lines[1].startswith("focal and base differ in the share of samples that could not be")
    assert ": 6.0% against 0.0% on math." in lines[1]


def test_one_warning_speaks_of_all_benchmarks_the_largest_share_first():
    found = {
        f"b{i}": [shares(), shares(truncated=0.1 + 0.1 * i), shares(truncated=0.1 * (i == 3))]
        for i in range(7)
    }
    first, second = warnings(["base", "rl", "focal"], found)
    assert "70.0% against 0.0% on b6, 60.0% against 0.0% on b5" in first
    assert "30.0% against 0.0% on b2 and on 2 more. Their" in first
    assert "10.0% against 0.0% on b3. Their" in second


def test_differences_that_chance_explains_or_that_are_small_are_not_told():
    assert told(shares(20), shares(20, truncated=0.05), shares(20)) == []  # one sample of 20
    assert told(shares(10**6), shares(10**6, truncated=0.019), shares(10**6)) == []
    assert len(told(shares(10**6), shares(10**6, truncated=0.021), shares(10**6))) == 1
