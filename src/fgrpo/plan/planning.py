"""A whole plan: curves, what the pilot says, what a budget buys, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import fractions
from fgrpo.plan.budget import budget_table
from fgrpo.plan.curves import (
    FEW_ACTIVE,
    GAMMAS,
    GROUP_SIZES,
    RARE_SHARES,
    TARGET,
    group_curves,
)
from fgrpo.plan.pilot import direct_activity, fit_pilot
from fgrpo.plan.rates import SuccessRates
from fgrpo.plan.recommend import recommend
from fgrpo.plan.solutions import good_turing, unsampled_correct_share
from fgrpo.theory import activity_probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fgrpo.plan.budget import BudgetTable
    from fgrpo.plan.curves import GroupCurves
    from fgrpo.plan.labels import LabelledPilot
    from fgrpo.plan.pilot import MeanError, Pilot
    from fgrpo.plan.rates import Band
    from fgrpo.plan.recommend import Recommendation
    from fgrpo.plan.solutions import RareMass
    from fgrpo.records import Counts

_ONE_RATE = (
    "With one success rate for all prompts the weight cannot show its use: among prompts that are "
    "equally hard γ raises the drain somewhat; it pays only between prompts that differ. Pass "
    "several rates, or a pilot."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan is asked for.

    Attributes
    ----------
    rare_shares
        Shares of a prompt's correct mass that count as rare, in (0, 1): each that of one answer,
        or of one part of the answers. They are chosen, also with a pilot, whose Good–Turing
        estimate is the share of all unseen solutions together.
    group_sizes
        Rows of the tables, at least 2; sorted, each once.
    gammas
        Focal exponents whose drain is shown.
    target
        Tail miss to stay below.
    budget
        Rollouts a step, prompts × N; None if it is open.
    min_prompts
        Prompts a step that the recommendation leaves; None: see `fgrpo.plan.recommend`.
    level
        Of the intervals.
    """

    rare_shares: tuple[float, ...] = RARE_SHARES
    group_sizes: tuple[int, ...] = GROUP_SIZES
    gammas: tuple[float, ...] = GAMMAS
    target: float = TARGET
    budget: int | None = None
    min_prompts: int | None = None
    level: float = 0.9

    def __post_init__(self) -> None:
        object.__setattr__(self, "group_sizes", tuple(sorted(set(self.group_sizes))))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The curves of one success rate, of several evenly mixed, or of a pilot's prompts."""

    label: str
    rates: SuccessRates
    curves: GroupCurves
    table: BudgetTable | None


@dataclass(frozen=True, slots=True, eq=False)
class PilotFindings:
    """What a pilot says beside the curves.

    Attributes
    ----------
    fit
        The distribution of success rates.
    direct
        Activity by `direct_activity`, without a model, for the first ``len(direct.mean)`` of the
        plan's group sizes: those within the pilot's fewest samples.
    labelled
        The distinct correct solutions; None if the records have no texts.
    rare
        Good–Turing's estimate of the unseen correct mass; None without solutions.
    unsampled
        Share of the correct mass that a group does not contain, without a model, for the plan's
        group sizes; NaN where the pilot has too few samples. None without solutions.
    """

    fit: Pilot
    direct: MeanError
    labelled: LabelledPilot | None
    rare: RareMass | None
    unsampled: Band | None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Everything that ``fgrpo plan`` shows.

    Attributes
    ----------
    asked
        What was asked.
    parts
        One for each success rate guessed, or one for the pilot.
    mixture
        What the advice is about: the even mixture of several success rates; else the one part.
    pilot
        None if success rates were guessed.
    recommendation
        What to do, for the smallest of the rare shares.
    warnings
        What limits the plan, one sentence or two each.
    """

    asked: Asked
    parts: tuple[Part, ...]
    mixture: Part
    pilot: PilotFindings | None
    recommendation: Recommendation
    warnings: tuple[str, ...]


def plan_for_rates(success_rates: Sequence[float], asked: Asked | None = None) -> Plan:
    """Plan for guessed success rates: a part for each, advice for an even mixture of them.

    Parameters
    ----------
    success_rates
        ``μ``, in (0, 1).
    asked
        What is wanted; default `Asked` as it is.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError
        A number out of range.
    """
    wanted = asked or Asked()
    guesses = np.atleast_1d(fractions("success_rates", list(success_rates)))
    if not guesses.size or guesses.min() == 0 or guesses.max() == 1:
        raise ValueError(
            f"success_rates = {guesses.tolist()}: pass one or more above 0 and below 1; at 0 and 1 "
            "no group is active"
        )
    parts = tuple(
        _part(f"success rate {rate:g}", SuccessRates.exactly(rate), wanted) for rate in guesses
    )
    mixture = parts[0]
    if len(parts) > 1:
        evenly = SuccessRates(guesses, np.full((1, len(guesses)), 1 / len(guesses)))
        mixture = _part("all success rates, evenly mixed", evenly, wanted)
    advice = _advice(mixture.rates, wanted)
    warnings = [] if len(np.unique(guesses)) > 1 else [_ONE_RATE]
    warnings += _mostly_dead(mixture.rates, advice)
    return Plan(wanted, parts, mixture, None, advice, tuple(warnings))


def plan_for_pilot(
    counts: Counts,
    rng: np.random.Generator,
    *,
    labelled: LabelledPilot | None = None,
    asked: Asked | None = None,
) -> Plan:
    """Plan for the prompts that a pilot was drawn from.

    Parameters
    ----------
    counts
        Samples and correct samples of each prompt of the pilot.
    rng
        Source of the posterior draws and of the bootstrap.
    labelled
        Its distinct correct solutions (`fgrpo.plan.solution_labels`), if records carry texts.
    asked
        What is wanted; default `Asked` as it is.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        If the pilot is empty.
    ValueError, TypeError
        A number out of range.
    """
    wanted = asked or Asked()
    fit = fit_pilot(counts, rng, level=wanted.level)
    warnings = []
    if not fit.plausible:
        warnings.append(
            f"A Beta distribution of success rates does not describe this pilot (posterior-"
            f"predictive p = {fit.fit_p_value:.3f}): trust the columns without a model, and "
            "averages over large groups least."
        )
    rare = unsampled = None
    if labelled is not None and labelled.left_out:
        warnings.append(
            f"{len(labelled.left_out)} of {fit.prompts} prompts have a correct sample whose "
            "solution is unknown; they are left out of the estimates of rare solutions."
        )
    if labelled is not None and labelled.solutions:
        rare = good_turing(labelled.solutions, rng, level=wanted.level)
        unsampled = unsampled_correct_share(
            labelled.solutions, list(wanted.group_sizes), rng, level=wanted.level
        )
    within = [size for size in wanted.group_sizes if size <= fit.fewest]
    findings = PilotFindings(
        fit=fit,
        direct=direct_activity(counts, np.array(within, dtype=np.int64)),
        labelled=labelled,
        rare=rare,
        unsampled=unsampled,
    )
    part = _part(f"the pilot's {fit.prompts:,} prompts", fit.rates, wanted)
    advice = _advice(fit.rates, wanted)
    warnings += _mostly_dead(fit.rates, advice)
    return Plan(wanted, (part,), part, findings, advice, tuple(warnings))


def _mostly_dead(rates: SuccessRates, advice: Recommendation) -> list[str]:
    """Warn if most groups of the size advised would teach nothing."""
    if advice.group_size is None:
        return []
    size = advice.group_size
    active = float(rates.band(activity_probability(rates.nodes, size)).mean)
    if active >= FEW_ACTIVE:
        return []
    return [
        f"Only {active:.0%} of groups of {size} would be active: most of these prompts are too "
        "hard or too easy to learn from, which no group size mends. Choose others."
    ]


def _part(label: str, rates: SuccessRates, asked: Asked) -> Part:
    curves = group_curves(
        rates,
        rare_shares=asked.rare_shares,
        group_sizes=asked.group_sizes,
        gammas=asked.gammas,
        target=asked.target,
        level=asked.level,
    )
    table = None if asked.budget is None else budget_table(curves, asked.budget)
    return Part(label, rates, curves, table)


def _advice(rates: SuccessRates, asked: Asked) -> Recommendation:
    return recommend(
        rates,
        rare_share=min(asked.rare_shares),
        budget=asked.budget,
        min_prompts=asked.min_prompts,
        target=asked.target,
    )
