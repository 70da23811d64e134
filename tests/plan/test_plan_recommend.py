import re
from collections import Counter
from math import comb, sqrt

import numpy as np
import pytest

from fgrpo.plan.curves import group_curves
from fgrpo.plan.rates import SuccessRates
from fgrpo.plan.recommend import Recommendation, recommend

Pairs = list[tuple[float, float]]  # success rate, share of the prompts


def rates(*distributions: Pairs) -> SuccessRates:
    """Put distributions, each of which has its own rates, on common nodes."""
    nodes = sorted({mu for pairs in distributions for mu, _ in pairs})
    weights = np.zeros((len(distributions), len(nodes)))
    for row, pairs in zip(weights, distributions, strict=True):
        for mu, weight in pairs:
            row[nodes.index(mu)] += weight
    return SuccessRates(np.array(nodes), weights)


# --- the rules again, from sums in plain Python


def active(pairs: Pairs, n: int) -> float:
    return sum(w * (1 - mu**n - (1 - mu) ** n) for mu, w in pairs)


def missed(pairs: Pairs, rho: float, n: int) -> float:
    return sum(w * ((1 - rho * mu) ** n - (mu - rho * mu) ** n - (1 - mu) ** n) for mu, w in pairs)


def drain(pairs: Pairs, rho: float, n: int, gamma: float) -> float:
    """Sum over the number of correct rollouts what is gained and what is drained."""
    gained = drained = 0.0
    for mu, w in pairs:
        for k in range(1, n):
            chance = comb(n, k) * mu**k * (1 - mu) ** (n - k)
            m = k / n
            # Mass the correct rollouts push up, for each unit of learning rate: τ·(k/N)·g·Â.
            pushed = rho * mu * m * (1 - m) ** gamma * (1 - m) / sqrt(m * (1 - m))
            gained += w * chance * pushed * (1 - mu)
            drained += w * chance * pushed * mu * (1 - rho) ** k
    return drained / gained


def derived(
    pairs: Pairs, rho: float, sizes: list[int], target: float
) -> tuple[str, int, float, int]:
    """Return which rule decides, the group size, γ and the reference."""
    looked_at = [2**i for i in range(2, 21)]
    safe = [n for n in sizes if all(missed(pairs, rho, m) < target for m in looked_at if m >= n)]
    reference = safe[0] if safe else sizes[-1]
    before = drain(pairs, rho, reference, 0)
    for n in sizes:
        if n < reference and active(pairs, n) >= 0.5:
            for gamma in (0.5, 1.0):
                if drain(pairs, rho, n, gamma) <= before <= 0.9 * drain(pairs, rho, n, 0):
                    return ("only" if safe else "even"), n, gamma, reference
    if safe:
        return "safe", reference, 0.0, reference
    dead = missed(pairs, rho, reference) < target
    for gamma in (0.5, 1.0):
        if drain(pairs, rho, reference, gamma) <= 0.98 * before:
            return ("dead" if dead else "weight"), reference, gamma, reference
    return ("dead, no help" if dead else "no help"), reference, 0.0, reference


OPENINGS = {
    "only": "It takes groups of {reference} for a tail miss",
    "even": "Even groups of {reference}, the largest {limit}, are active",
    "safe": "With groups of {n}, .*: below the target of {target:g}%. The weight is not needed",
    "dead": "With groups of {n}, .* only because few are active, {but}. The weight with γ",
    "dead, no help": "With groups of {n}, .* only because few are active, {but}. The weight would",
    "weight": "With groups of {n}, .*: {verdict}. The weight with γ",
    "no help": "With groups of {n}, .*: {verdict}. The weight would hardly",
}


def leaving(prompts: str, rollouts: str) -> tuple[str, str]:
    left = rf"{prompts} \(--min-prompts\) of {rollouts} rollouts"
    return f"that leave {left}", f"no larger group leaves {left}"


# budget -> what keeps groups small, after "groups" and in a sentence: at least 64 prompts a step,
# or as many as groups of 8 leave; nothing where groups of 128 are within it
LIMITS = {
    None: ("considered without a budget", "no larger group is considered without a budget"),
    8192: ("considered", "no larger group is considered"),
    2048: leaving("64 prompts", "2,048"),
    1100: leaving("64 prompts", "1,100"),
    80: leaving("10 prompts", "80"),
    7: leaving("1 prompt", "7"),
}


def check(pairs: Pairs, rho: float, budget: int | None, sizes: list[int], target: float) -> str:
    kind, n, gamma, reference = derived(pairs, rho, sizes, target)
    got = recommend(rates(pairs), rare_share=rho, budget=budget, target=target)
    case = (pairs, rho, budget, target, kind, got)
    assert (got.group_size, got.gamma) == (n, gamma), case
    assert got.instead_of == (reference if n != reference else None), case
    assert (got.agreement, got.rare_share) == (1, rho)
    seen = n == sizes[0] or drain(pairs, rho, n, 0) <= 0.9 * drain(pairs, rho, sizes[0], 0)
    limit, no_larger = LIMITS[budget]
    verdict = (
        f"above the target of {100 * target:g}%, but {no_larger}"
        if seen
        else f"no groups {limit} are large enough to see those"
    )
    pattern = OPENINGS[kind].format(
        reference=reference,
        n=n,
        target=100 * target,
        verdict=verdict,
        limit=limit,
        but=f"but {no_larger}",
    )
    assert re.match(pattern, got.reason), case
    named = [f"{100 * rho:.3g}% of the correct mass", f"{missed(pairs, rho, n):.0%}"]
    named.append(f"{drain(pairs, rho, n, gamma):.3g}")
    if kind in ("only", "even", "weight", "dead"):
        named += [f"γ = {gamma:g}", f"{drain(pairs, rho, reference, 0):.3g}"]
    if kind == "even":
        named.append(f"{missed(pairs, rho, reference):.0%} of the time")
    if kind in ("only", "even"):
        named.append(f"with groups of {n}")
        if budget is not None:
            named.append(f"leave {budget // n} prompts a step, not {budget // reference}.")
        assert ("prompts" in got.reason) == (budget is not None)
    else:
        named.append(f"{active(pairs, n):.0%} are active")
    for number in named:
        assert number in got.reason, (number, case)
    two_sentences(got)
    return kind


def two_sentences(advice: Recommendation) -> None:
    assert len(re.findall(r"\.(?= [A-Z]|$)", advice.reason)) == 2
    assert not re.search(r"nan|\[|\(\(|  ", advice.reason)


USUAL = [4, 8, 16, 32, 64, 128]


def test_the_rules_derived_again() -> None:
    rng = np.random.default_rng(5)
    kinds: Counter[str] = Counter()
    for _ in range(300):
        count = int(rng.integers(1, 4))
        mu = np.clip(rng.beta(0.5, 0.5, count), 1e-4, 1 - 1e-4)
        pairs = list(zip(mu.tolist(), rng.dirichlet(np.ones(count)).tolist(), strict=True))
        rho = float(np.exp(rng.uniform(np.log(0.01), np.log(0.6))))
        target = float(rng.choice([0.05, 0.25, 0.5]))
        budget, most = [(None, 64), (8192, 128), (2048, 32), (1100, 16), (80, 8), (7, 4)][
            int(rng.integers(6))
        ]
        kinds[check(pairs, rho, budget, [n for n in USUAL if n <= most], target)] += 1
    # Every rule has decided something.
    assert set(kinds) == set(OPENINGS), kinds


# --- each rule by a case made for it

MIXED: Pairs = [(0.1, 0.5), (0.6, 0.5)]


def test_a_large_group_is_safe() -> None:
    got = recommend(rates([(0.5, 1.0)]), rare_share=0.3)
    # τ = 0.15: 0.85^16 = 0.074, 0.85^32 = 0.0055.
    assert (got.group_size, got.gamma, got.instead_of) == (32, 0.0, None)
    # 0.074 is below 0.1.
    assert recommend(rates([(0.5, 1.0)]), rare_share=0.3, target=0.1).group_size == 16


def test_dead_groups_are_not_safe() -> None:
    # Prompts solved once in 500: groups of 4 or 8 miss little, being dead; those of 256 miss 26%.
    hard: Pairs = [(0.002, 1.0)]
    assert missed(hard, 0.1, 8) < 0.05 < missed(hard, 0.1, 256)
    got = recommend(rates(hard), rare_share=0.1, budget=512)
    assert (got.group_size, got.gamma) == (8, 0.0)
    assert "2% are active" in got.reason
    assert "below the target of 5% only because few are active" in got.reason


def test_the_weight_needs_prompts_that_differ() -> None:
    for mu in (0.01, 0.3, 0.9, 0.99):
        assert recommend(rates([(mu, 1.0)]), rare_share=0.05, budget=512).gamma == 0
    assert recommend(rates(MIXED), rare_share=0.05, budget=512).gamma == 0.5


def test_a_mostly_dead_group_replaces_none() -> None:
    half: Pairs = [(0.3, 0.6), (0.9, 0.4)]
    got = recommend(rates(half), rare_share=0.08, budget=512)
    assert got.instead_of == 8
    assert active(half, 4) >= 0.5
    # The same prompts and as many again that are never solved: the same drain, half as active.
    diluted = [(mu, w / 2) for mu, w in half] + [(0.0, 0.5)]
    assert active(diluted, 4) < 0.5
    got = recommend(rates(diluted), rare_share=0.08, budget=512)
    assert (got.group_size, got.instead_of) == (8, None)


def test_a_larger_group_that_changes_nothing_is_not_worth_matching() -> None:
    # Answers so rare that no group sees them: the drain of every size is the same.
    rare: Pairs = [(0.3, 0.6), (0.9, 0.4)]
    assert drain(rare, 0.001, 8, 0.5) < drain(rare, 0.001, 64, 0)
    got = recommend(rates(rare), rare_share=0.001)
    assert (got.group_size, got.instead_of) == (64, None)
    assert "no groups considered without a budget are large enough to see those" in got.reason


@pytest.mark.parametrize(
    ("budget", "min_prompts", "largest"),
    [
        (None, None, 64),
        (8192, None, 128),
        (8191, None, 64),
        (2048, None, 32),
        (2048, 65, 16),
        (2048, 16, 128),
        (1023, None, 8),
        (512, None, 8),
        (256, None, 8),
        (64, None, 8),
        (64, 1, 64),
        (64, 16, 4),
        (8, None, 8),
        (7, None, 4),
        (4, None, 4),
    ],
)
def test_the_budget_allows(budget: int | None, min_prompts: int | None, largest: int) -> None:
    # At one rate, and a share this rare, only the largest group will do.
    got = recommend(rates([(0.5, 1.0)]), rare_share=0.001, budget=budget, min_prompts=min_prompts)
    assert (got.group_size, got.instead_of) == (largest, None)


# --- several plausible distributions

SMALL: Pairs = [(0.5, 1.0)]  # leads to 16 for ρ = 0.4: 0.8^16 = 0.028
LARGE: Pairs = [(0.2, 1.0)]  # to 64: 0.92^32 = 0.069
MIDDLE: Pairs = [(0.3, 1.0)]  # to 32: 0.88^32 = 0.017


def test_the_majority_is_followed() -> None:
    for distributions, size in (
        ([SMALL, SMALL, LARGE, SMALL, SMALL], 16),
        ([LARGE, SMALL, LARGE, LARGE, LARGE], 64),
        ([MIDDLE, MIDDLE, MIDDLE, MIDDLE, LARGE], 32),
    ):
        got = recommend(rates(*distributions), rare_share=0.4)
        assert (got.group_size, got.gamma) == (size, 0)
        assert got.agreement == 0.8


def test_less_than_four_in_five_cannot_tell() -> None:
    got = recommend(rates(SMALL, SMALL, SMALL, LARGE), rare_share=0.4)
    assert (got.group_size, got.agreement) == (None, 0.75)


def test_half_is_no_majority() -> None:
    for distributions in ([SMALL, LARGE], [LARGE, SMALL]):
        got = recommend(rates(*distributions), rare_share=0.4)
        assert (got.group_size, got.gamma, got.instead_of) == (None, None, None)
        assert (got.agreement, got.rare_share) == (0.5, 0.4)
        assert "N = 16 with γ = 0 (50%)" in got.reason
        assert "N = 64 with γ = 0 (50%)" in got.reason
        assert got.reason.startswith("The pilot is too small to tell")
        two_sentences(got)


def test_three_ways() -> None:
    got = recommend(rates(SMALL, SMALL, LARGE, MIDDLE), rare_share=0.4)
    assert got.group_size is None
    assert got.agreement == 0.5
    assert "N = 16 with γ = 0 (50%), N = " in got.reason
    assert got.reason.count("(25%)") == 2
    assert got.reason.count(" or ") == 2  # between the last two, and in what to do
    two_sentences(got)


def test_the_reason_is_that_of_those_who_vote() -> None:
    # Four of five have groups of 16 safe at 2.8%; the last misses 40%, so that the mean is 10%.
    got = recommend(rates(SMALL, SMALL, SMALL, SMALL, [(0.1, 1.0)]), rare_share=0.4)
    assert got.group_size == 16
    assert "100% are active, and 3% are active and miss" in got.reason
    assert "below the target of 5%" in got.reason
    assert "means over the distributions of success rates that lead to this advice" in got.reason
    two_sentences(got)
    assert f"({drain(SMALL, 0.4, 16, 0):.3g})" in got.reason


def test_the_reason_has_the_numbers_of_the_tables() -> None:
    # The last distribution has groups of 32, the others of 16; of the mean it is 16 as well.
    for last, size in ((MIDDLE, 32), (SMALL, 16)):
        assert recommend(rates(last), rare_share=0.4).group_size == size
    mixed = rates(SMALL, SMALL, SMALL, SMALL, MIDDLE)
    got = recommend(mixed, rare_share=0.4)
    assert (got.group_size, got.agreement) == (16, 0.8)
    curves = group_curves(mixed, rare_shares=0.4, group_sizes=16, gammas=0)
    assert f"{curves.tail_miss.mean[0, 0]:.0%} are active and miss" in got.reason
    assert f"({curves.drain.mean[0, 0, 0]:.3g})" in got.reason
    assert "means over" not in got.reason


def test_the_same_advice_for_other_reasons_counts_together() -> None:
    # Groups of 8 are safe under one, the largest allowed under another, half each: all agree.
    one, other = [(0.9, 1.0)], [(0.3, 1.0)]
    got = recommend(rates(one, other, other), rare_share=0.4, budget=512)
    assert recommend(rates(one), rare_share=0.4, budget=512).reason.count("below") == 1
    assert (got.group_size, got.gamma, got.agreement) == (8, 0, 1)
    assert "above the target" in got.reason
    mean = (missed(one, 0.4, 8) + 2 * missed(other, 0.4, 8)) / 3
    assert f"{mean:.0%} are active and miss" in got.reason


# --- errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rare_share": 0.0}, "rare_share = 0.0 must lie between 0 and 1"),
        ({"rare_share": 1.0}, "rare_share = 1.0 must lie between 0 and 1"),
        ({"rare_share": 1.5}, "rare_share = 1.5 is not a probability"),
        ({"target": 0.0}, "target = 0.0 is no probability to stay below; pass say 0.05"),
        ({"target": 2}, "target = 2 is no probability to stay below; pass say 0.05"),
        ({"budget": 1}, "budget = 1 is too small; it must be at least 2"),
        ({"budget": 64.5}, "budget = 64.5 is not an integer"),
        ({"budget": 3}, "budget = 3 does not buy 1 prompts in groups of 4; raise it, or lower min"),
        ({"budget": 64, "min_prompts": 17}, "budget = 64 does not buy 17 prompts in groups of 4"),
        ({"budget": 64, "min_prompts": 0}, "min_prompts = 0 is too small; it must be at least 1"),
        ({"budget": 64, "min_prompts": 1.5}, "min_prompts = 1.5 is not an integer"),
        ({"min_prompts": 8}, "min_prompts = 8 needs a budget to divide; pass one"),
    ],
)
def test_errors(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recommend(rates(MIXED), **{"rare_share": 0.1, **arguments})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="budget has dtype <U4; pass integers"):
        recommend(rates(MIXED), rare_share=0.1, budget="2048")  # type: ignore[arg-type]
