"""Which group size and which γ, with the reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fgrpo._validate import fractions, integers, refuse
from fgrpo.plan.budget import fewest_prompts
from fgrpo.plan.curves import FEW_ACTIVE, GAMMAS, LARGEST, TARGET, check_target, flows
from fgrpo.theory import activity_probability, tail_miss_probability

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fgrpo.plan.rates import SuccessRates

CANDIDATES = (4, 8, 16, 32, 64, 128)
LARGEST_WITHOUT_BUDGET = 64
WORTH = 0.9  # a larger group is worth matching if it lowers the drain to this share
LEAST_GAIN = 0.98  # a weight for its own sake must lower the drain to this share of it
AGREEMENT = 0.8  # at least this share of the plausible distributions must lead to the advice


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A group size and a γ, or none if the pilot cannot tell.

    Attributes
    ----------
    group_size, gamma
        What to use; None if too little is known.
    instead_of
        The larger group size without weight that this matches; None if it replaces none.
    reason
        Two sentences.
    agreement
        Share of the plausible distributions of success rates that lead to this advice.
    rare_share
        For which rare answers.
    """

    group_size: int | None
    gamma: float | None
    instead_of: int | None
    reason: str
    agreement: float
    rare_share: float


class _Choice(NamedTuple):
    size: int  # indices
    gamma: int
    reference: int
    safe: bool  # the reference's tail miss, and that of all larger groups, is below the target


def recommend(
    rates: SuccessRates,
    *,
    rare_share: float,
    budget: int | None = None,
    min_prompts: int | None = None,
    target: float = TARGET,
) -> Recommendation:
    """Choose a group size among 4, 8 … 128 and a γ among 0, 0.5 and 1.

    1. The reference is the smallest group from which on the tail miss is below the target, also
       for groups larger than allowed (a group that misses little because it is mostly dead does
       not count); if the budget allows no such group, the largest that it allows.
    2. A smaller group takes its place if at least half of its groups are active and if, with
       γ = 0.5 or 1, it drains no more correct mass from unseen answers for each unit gained
       (`fgrpo.plan.mass_flow`) than the reference does without weight; but only where the
       reference's size is worth something, its drain at least 10% below the smaller group's.
    3. Otherwise the reference: without weight if it is safe in the sense of rule 1, else with
       the smallest γ that lowers the drain by at least 2%.

    The choice is made under every plausible distribution of success rates; advice that fewer than
    four in five of them share is not given. The numbers of the reason are means over all of them,
    those of `fgrpo.plan.group_curves`, if these lead to the advice too. Otherwise they are means
    over those distributions that do, and the reason says so.

    Parameters
    ----------
    rates
        Success rates of the prompts.
    rare_share
        ``ρ``, the share of a prompt's correct mass that counts as rare, in (0, 1).
    budget
        Rollouts a step; None: groups up to 64 are allowed.
    min_prompts
        Prompts a step to leave; default 64, or what groups of 8 leave if that is fewer.
    target
        Tail miss to stay below.

    Returns
    -------
    Recommendation

    Raises
    ------
    ValueError, TypeError
        If the budget does not buy ``min_prompts`` groups of 4, or a number is out of range.
    """
    share = fractions("rare_share", rare_share)
    refuse("rare_share", share, (share == 0) | (share == 1), "must lie between 0 and 1")
    check_target(target)
    if budget is not None:
        budget = int(integers("budget", budget, 2))
    least = _least_prompts(budget, min_prompts)
    sizes = _allowed(budget, least)
    wider = 2 ** np.arange(int(sizes[-1]).bit_length(), LARGEST.bit_length())
    active = rates.average(activity_probability(rates.nodes, sizes[:, None]))
    missed = rates.average(
        tail_miss_probability(
            rates.nodes, rare_share * rates.nodes, np.concatenate([sizes, wider])[:, None]
        )
    )
    gained, drained = flows(rates, np.array([rare_share]), sizes, np.array(GAMMAS))
    drain = (drained / np.maximum(gained, 1e-300))[:, :, 0]
    choices = [_choose(active[d], missed[d], drain[d], target) for d in range(len(rates.weights))]
    votes = Counter((choice.size, choice.gamma) for choice in choices)
    advice, most = votes.most_common(1)[0]
    agreement = most / len(choices)
    if agreement < AGREEMENT:
        return _undecided(sizes, votes, agreement, rare_share)
    choice = Counter(c for c in choices if (c.size, c.gamma) == advice).most_common(1)[0][0]
    so = np.array([c == choice for c in choices])
    found = _Found(sizes, *(values.mean(axis=0) for values in (active, missed, drain)))
    # Those of the tables, unless they contradict what is to be said of them.
    of_all = bool(so.all()) or _choose(*found[1:], target) == choice
    if not of_all:
        found = _Found(sizes, *(values[so].mean(axis=0) for values in (active, missed, drain)))
    reason = _reason(
        choice, found, target=target, rare_share=rare_share, budget=budget, least=least
    )
    smaller = choice.size != choice.reference
    return Recommendation(
        group_size=int(sizes[choice.size]),
        gamma=GAMMAS[choice.gamma],
        instead_of=int(sizes[choice.reference]) if smaller else None,
        reason=reason if of_all else reason.removesuffix(".") + _NOT_OF_ALL,
        agreement=agreement,
        rare_share=rare_share,
    )


def _least_prompts(budget: int | None, min_prompts: int | None) -> int:
    """Return how many prompts a step must be left of a budget; 0 without one."""
    if min_prompts is None:
        return 0 if budget is None else fewest_prompts(budget)
    if budget is None:
        raise ValueError(f"min_prompts = {min_prompts} needs a budget to divide; pass one")
    return int(integers("min_prompts", min_prompts, 1))


def _allowed(budget: int | None, least: int) -> NDArray[np.int64]:
    """Return the group sizes that leave enough prompts of a budget."""
    if budget is None:
        return np.array([n for n in CANDIDATES if n <= LARGEST_WITHOUT_BUDGET])
    sizes = np.array([n for n in CANDIDATES if budget // n >= least])
    if not sizes.size:
        raise ValueError(
            f"budget = {budget} does not buy {least} prompts in groups of {CANDIDATES[0]}; "
            "raise it, or lower min_prompts"
        )
    return sizes


def _choose(
    active: NDArray[np.float64],
    missed: NDArray[np.float64],
    drain: NDArray[np.float64],
    target: float,
) -> _Choice:
    """Apply the rules to one distribution: arrays over sizes, `drain` over γ and sizes.

    `missed` goes on beyond the sizes allowed: small groups that are merely dead, so that larger
    ones miss more, are not safe.
    """
    last = len(active) - 1
    safe_from = int(np.flatnonzero(np.append(True, missed >= target))[-1])
    reference, safe = min(safe_from, last), safe_from <= last
    for size in range(reference):
        worth = drain[0, reference] <= WORTH * drain[0, size]
        if worth and active[size] >= FEW_ACTIVE:
            for gamma in range(1, len(GAMMAS)):
                if drain[gamma, size] <= drain[0, reference]:
                    return _Choice(size, gamma, reference, safe)
    enough = LEAST_GAIN * drain[0, reference]
    helps = [g for g in range(1, len(GAMMAS)) if drain[g, reference] <= enough]
    return _Choice(reference, helps[0] if helps and not safe else 0, reference, safe)


def _undecided(
    sizes: NDArray[np.int64], votes: Counter[tuple[int, int]], agreement: float, rare_share: float
) -> Recommendation:
    named = [
        f"N = {sizes[size]} with γ = {GAMMAS[gamma]:g} ({count / votes.total():.0%})"
        for (size, gamma), count in votes.most_common(3)
    ]
    reason = (
        "The pilot is too small to tell: distributions of success rates that fit it lead to "
        f"{', '.join(named[:-1])} or {named[-1]}. Sample more prompts, or each more often."
    )
    return Recommendation(None, None, None, reason, agreement, rare_share)


class _Found(NamedTuple):
    """What a choice was made from: means over distributions."""

    sizes: NDArray[np.int64]
    active: NDArray[np.float64]
    missed: NDArray[np.float64]
    drain: NDArray[np.float64]


class _Limit(NamedTuple):
    """What keeps groups from being larger: after "groups", and after "no larger group"."""

    which: str
    verb: str


_PER_UNIT = "of unseen correct mass for each unit gained"
_NOT_OF_ALL = (
    "; shares and drains are means over the distributions of success rates that lead to this "
    "advice, not over all."
)


def _reason(
    choice: _Choice,
    found: _Found,
    *,
    target: float,
    rare_share: float,
    budget: int | None,
    least: int,
) -> str:
    """Say in two sentences why."""
    rare = f"the answers that have {100 * rare_share:.3g}% of the correct mass"
    if found.sizes[-1] == CANDIDATES[-1]:
        limit = _Limit("considered", "is considered")
    elif budget is None:
        limit = _Limit("considered without a budget", "is considered without a budget")
    else:
        prompts = f"{least} prompt{'s' * (least != 1)} (--min-prompts) of {budget:,} rollouts"
        limit = _Limit(f"that leave {prompts}", f"leaves {prompts}")
    if choice.size != choice.reference:
        return _why_smaller(choice, found, rare, limit, target, budget)
    return _why_reference(choice, found, rare, limit, target)


def _why_smaller(
    choice: _Choice, found: _Found, rare: str, limit: _Limit, target: float, budget: int | None
) -> str:
    """Say why a smaller group with the weight takes the reference's place."""
    sizes, _, missed, drain = found
    size, reference = sizes[choice.size], sizes[choice.reference]
    first = (
        f"It takes groups of {reference} for a tail miss, of {rare}, below {100 * target:.3g}%"
        if choice.safe
        else f"Even groups of {reference}, the largest {limit.which}, are active and miss {rare} "
        f"{missed[choice.reference]:.0%} of the time"
    )
    bought = (
        ""
        if budget is None
        else f", and leave {budget // size} prompts a step, not {budget // reference}"
    )
    return (
        f"{first}; with groups of {size} it is {missed[choice.size]:.0%}. With "
        f"γ = {GAMMAS[choice.gamma]:g} groups of {size} drain "
        f"{_amount(drain[choice.gamma, choice.size])} {_PER_UNIT}, no more than groups of "
        f"{reference} without the weight ({_amount(drain[0, choice.reference])}){bought}."
    )


def _why_reference(choice: _Choice, found: _Found, rare: str, limit: _Limit, target: float) -> str:
    """Say why the reference is taken itself, and why with or without the weight."""
    sizes, active, missed, drain = found
    size, wanted = choice.size, f"the target of {100 * target:.3g}%"
    here, before = _amount(drain[choice.gamma, size]), drain[0, size]
    first = (
        f"With groups of {sizes[size]}, {active[size]:.0%} are active, and "
        f"{missed[size]:.0%} are active and miss {rare}"
    )
    if choice.safe:
        return (
            f"{first}: below {wanted}. The weight is not needed at this size, and no smaller group "
            f"of which half are active drains as little {_PER_UNIT} ({here}), with γ up to "
            f"{GAMMAS[-1]:g}."
        )
    first += (
        f": below {wanted} only because few are active, but no larger group {limit.verb}."
        if missed[size] < target
        else f": no groups {limit.which} are large enough to see those."
        if size and before > WORTH * drain[0, 0]
        else f": above {wanted}, but no larger group {limit.verb}."
    )
    if choice.gamma:
        return (
            f"{first} The weight with γ = {GAMMAS[choice.gamma]:g} lowers what is drained "
            f"{_PER_UNIT} from {_amount(before)} to {here}."
        )
    return (
        f"{first} The weight would hardly lower what is drained {_PER_UNIT} ({here}) "
        "for these success rates."
    )


def _amount(drained: float) -> str:
    """Write a drain with three digits, zeros too: the tables have two decimals."""
    return f"{drained:#.3g}".rstrip(".")
