from dataclasses import replace

import numpy as np
import pytest

from fgrpo.errors import UsageError
from fgrpo.plan.labels import LabelledPilot, Solutions
from fgrpo.plan.pilot import direct_activity
from fgrpo.plan.planning import Asked, Plan, plan_for_pilot, plan_for_rates
from fgrpo.plan.rates import SuccessRates
from fgrpo.plan.recommend import recommend
from fgrpo.records import Counts

SMALL = Asked(group_sizes=(4, 16, 64), gammas=(0.0, 1.0))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def counts(c: list[int], n: int = 16) -> Counts:
    return Counts(tuple(f"p{i}" for i in range(len(c))), np.full(len(c), n), np.array(c))


def labelled(*multiplicities: list[int], n: int = 16, out: tuple[str, ...] = ()) -> LabelledPilot:
    solutions = tuple(
        Solutions(f"p{i}", n, np.array(m, np.int64)) for i, m in enumerate(multiplicities)
    )
    return LabelledPilot(solutions, n * len(solutions), len(out), out)


SPREAD = counts([0, 2, 3, 5, 8, 9, 12, 16, 4, 7])


# --- guesses


def test_as_asked_by_default() -> None:
    asked = Asked()
    assert asked.group_sizes == (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    assert (asked.rare_shares, asked.budget) == ((0.05, 0.1, 0.2), None)
    assert asked.min_prompts is None
    assert (asked.gammas, asked.target, asked.level) == ((0.0, 0.5, 1.0), 0.05, 0.9)
    plan = plan_for_rates([0.2, 0.7])
    assert plan.asked == asked
    assert plan.pilot is None
    assert plan.warnings == ()
    assert [part.table for part in plan.parts] == [None, None]


def test_a_part_for_each_guess_and_advice_for_all() -> None:
    asked = replace(SMALL, rare_shares=(0.4, 0.2), budget=2048, min_prompts=16, target=0.1)
    plan = plan_for_rates([0.25, 0.75, 0.001], asked)
    assert [part.label for part in plan.parts] == [
        "success rate 0.25",
        "success rate 0.75",
        "success rate 0.001",
    ]
    for part, mu in zip(plan.parts, (0.25, 0.75, 0.001), strict=True):
        assert part.rates.nodes.tolist() == [mu]
        wanted = [1 - mu**n - (1 - mu) ** n for n in (4, 16, 64)]
        np.testing.assert_allclose(part.curves.active.mean, wanted)
        assert part.curves.rare_shares.tolist() == [0.4, 0.2]
        assert part.curves.gammas.tolist() == [0, 1]
        assert part.curves.target == 0.1
        assert part.table is not None
        assert part.table.prompts.tolist() == [512, 128, 32]
        np.testing.assert_allclose(
            part.table.active_groups.mean, np.multiply(wanted, [512, 128, 32])
        )
    # An even mixture, the rarest share asked for, and what else was asked.
    mixture = SuccessRates(np.array([0.25, 0.75, 0.001]), np.full((1, 3), 1 / 3))
    wanted = recommend(mixture, rare_share=0.2, budget=2048, min_prompts=16, target=0.1)
    assert plan.recommendation == wanted
    assert plan.mixture.label == "all success rates, evenly mixed"
    assert plan.mixture.rates.nodes.tolist() == [0.25, 0.75, 0.001]
    for name in ("active", "tail_miss", "unsampled"):
        of_parts = [getattr(part.curves, name).mean for part in plan.parts]
        np.testing.assert_allclose(
            getattr(plan.mixture.curves, name).mean, np.mean(of_parts, axis=0)
        )
    # Ratios of sums, not means of ratios.
    curves = [part.curves for part in plan.parts]
    gained = np.sum([one.gained.mean for one in curves], axis=0)
    drained = np.sum([one.gained.mean * one.drain.mean for one in curves], axis=0)
    np.testing.assert_allclose(plan.mixture.curves.drain.mean, drained / gained)
    # None of which the defaults would have given.
    others = ({"budget": 1024}, {"min_prompts": None}, {"target": 0.05}, {"rare_share": 0.4})
    usual = {"rare_share": 0.2, "budget": 2048, "min_prompts": 16, "target": 0.1}
    for other in others:
        assert recommend(mixture, **{**usual, **other}) != wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("guesses", [[0.3], [0.3, 0.3]])
def test_one_rate_cannot_show_what_gamma_is_for(guesses: list[float]) -> None:
    plan = plan_for_rates(guesses, SMALL)
    assert len(plan.parts) == len(guesses)
    assert plan.recommendation.gamma == 0
    (warning,) = plan.warnings
    assert warning.startswith("With one success rate for all prompts the weight cannot show its")
    assert "γ raises the drain somewhat; it pays only between prompts that differ" in warning
    drain = plan.mixture.curves.drain.mean  # as it says
    assert (drain[1] > drain[0]).all()
    assert (drain[1] < 1.1 * drain[0]).all()
    assert "Pass several rates, or a pilot." in warning


@pytest.mark.parametrize(
    ("guesses", "asked", "said"),
    [
        ([], {}, r"success_rates = \[\]: pass one or more above 0 and below 1"),
        ([0.5, 0.0], {}, r"success_rates = \[0.5, 0.0\]: pass one or more above 0 and below 1"),
        ([1.0], {}, r"success_rates = \[1.0\]: pass one or more above 0 and below 1"),
        ([0.5, 1.2], {}, r"success_rates\[1\] = 1.2 is not a probability"),
        ([0.5], {"rare_shares": ()}, r"rare_shares has shape \(0,\); pass one or several numbers"),
        ([0.5], {"rare_shares": (0.0,)}, r"rare_shares\[0\] = 0.0 must lie between 0 and 1"),
        ([0.5], {"group_sizes": ()}, r"group_sizes has shape \(0,\); pass one or several numbers"),
        ([0.5], {"gammas": (-1.0,)}, r"gammas\[0\] = -1.0 is negative; pass at least 0"),
        ([0.5], {"target": 5.0}, "target = 5.0 is no probability to stay below"),
        ([0.5], {"level": 90.0}, "level = 90.0 is out of range"),
        ([0.5], {"budget": 3}, "budget = 3 does not buy 1 prompts in groups of 4"),
        ([0.5], {"budget": 64, "min_prompts": 0}, "min_prompts = 0 is too small"),
    ],
)
def test_errors_of_guesses(guesses: list[float], asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan_for_rates(guesses, replace(SMALL, **asked))  # type: ignore[arg-type]


# --- pilots


def planned(pilot: LabelledPilot | None = None, of: Counts = SPREAD, asked: Asked = SMALL) -> Plan:
    return plan_for_pilot(of, rng(), labelled=pilot, asked=asked)


def test_a_pilot_without_texts() -> None:
    plan = planned(asked=replace(SMALL, budget=640))
    (part,) = plan.parts
    assert part.label == "the pilot's 10 prompts"
    assert part.table is not None
    assert part.table.prompts.tolist() == [160, 40, 10]
    assert plan.asked.rare_shares == (0.05, 0.1, 0.2)
    assert plan.recommendation.rare_share == 0.05
    assert plan.pilot is not None
    assert part.rates is plan.pilot.fit.rates
    assert plan.mixture is part
    # Only for groups that a prompt's 16 samples can fill.
    np.testing.assert_allclose(plan.pilot.direct.mean, direct_activity(SPREAD, [4, 16]).mean)
    assert (plan.pilot.labelled, plan.pilot.rare, plan.pilot.unsampled) == (None, None, None)
    assert plan.warnings == ()
    wanted = recommend(part.rates, rare_share=0.05, budget=640)
    assert plan.recommendation == wanted
    # A level is that of every interval.
    wide = planned(asked=replace(SMALL, level=0.99))
    assert wide.pilot is not None
    assert wide.pilot.fit.level == 0.99
    assert (wide.parts[0].curves.active.low < part.curves.active.low).all()


def test_solutions_are_told_beside_the_curves() -> None:
    # Singletons: 1 of 4 and 3 of 6 correct samples, prompts counting the same; c < 2 none.
    pilot = labelled([3, 1], [3, 1, 1, 1], [1], [])
    plan = planned(pilot)
    assert plan.pilot is not None
    assert plan.pilot.labelled is pilot
    assert plan.pilot.rare is not None
    assert plan.pilot.rare.share.mean == pytest.approx(3 / 8)
    assert plan.pilot.rare.used == 2
    assert plan.pilot.unsampled is not None
    assert np.isfinite(plan.pilot.unsampled.mean).tolist() == [True, False, False]
    assert plan.warnings == ()
    # The intervals of its estimates have the level asked for; they need 6 prompts.
    many = labelled([3, 1], [4], [2, 2], [1, 1, 1], [5, 1], [2, 1], [1, 3, 3], [2, 1, 1])
    widths = []
    for level in (0.5, 0.9, 0.99):
        found = planned(many, asked=replace(SMALL, level=level)).pilot
        assert found is not None
        assert found.rare is not None
        assert found.unsampled is not None
        ends = found.rare.share, found.unsampled
        widths.append([np.ravel(one.high)[0] - np.ravel(one.low)[0] for one in ends])
    assert (np.diff(widths, axis=0) > 0).all()


@pytest.mark.parametrize("answers", [20, 100])
@pytest.mark.parametrize("n", [16, 64, 256])
def test_texts_change_neither_curves_nor_advice(answers: int, n: int) -> None:
    # Every correct answer has 1/20 or 1/100 of the correct mass, whatever the pilot's size. The
    # mass of all unseen answers together, which Good–Turing gives, is no answer's share.
    source = rng(answers + n)
    c = source.binomial(n, source.beta(2, 2, 150))
    held = [np.bincount(source.integers(answers, size=k)) for k in c]
    pilot = labelled(*([m for m in one.tolist() if m] for one in held), n=n)
    plan, without = (planned(texts, of=counts(c.tolist(), n=n)) for texts in (pilot, None))
    assert plan.asked == without.asked
    assert plan.recommendation == without.recommendation
    assert plan.recommendation.rare_share == 0.05
    a, b = plan.mixture.curves, without.mixture.curves
    for name in ("rare_shares", "active", "tail_miss", "unsampled", "drain"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.worst, a.safe) == (b.worst, b.safe)
    # c − 1 samples leave an answer unseen with probability (1 − 1/K)^(c−1).
    assert plan.pilot is not None
    assert plan.pilot.rare is not None
    some = c[c >= 2]
    wanted = (1 - 1 / answers) ** (some - 1.0)
    single = [(one == 1).sum() / k for one, k in zip(held, c, strict=True) if k >= 2]
    error = np.std(np.array(single) - wanted) / np.sqrt(len(some))
    assert abs(float(plan.pilot.rare.share.mean) - wanted.mean()) < 4 * error + 1e-9
    assert plan.warnings == without.warnings


def test_shares_are_those_asked_for() -> None:
    plan = planned(labelled([3, 1], [3, 1]), asked=replace(SMALL, rare_shares=(0.3, 0.2)))
    assert plan.asked.rare_shares == (0.3, 0.2)
    assert plan.parts[0].curves.rare_shares.tolist() == [0.3, 0.2]
    assert plan.recommendation.rare_share == 0.2


def test_prompts_left_out() -> None:
    plan = planned(labelled([3, 1], [3, 1], out=("p7", "p8", "p9")))
    (warning,) = plan.warnings
    assert warning.startswith("3 of 10 prompts have a correct sample whose solution is unknown")
    # No solution at all: as if there were no texts.
    plan = planned(LabelledPilot((), 5, 5, ("p0",)))
    assert plan.pilot is not None
    assert (plan.pilot.rare, plan.pilot.unsampled) == (None, None)
    assert plan.asked.rare_shares == (0.05, 0.1, 0.2)
    assert plan.warnings[0].startswith("1 of 10 prompts")


def test_a_pilot_that_is_no_beta() -> None:
    two = counts(rng(3).binomial(64, np.repeat([0.1, 0.7], 150)).tolist(), n=64)
    plan = planned(of=two)
    assert plan.pilot is not None
    assert not plan.pilot.fit.plausible
    (warning,) = plan.warnings
    assert warning.startswith("A Beta distribution of success rates does not describe this pilot")
    assert f"p = {plan.pilot.fit.fit_p_value:.3f}" in warning
    # It comes first of several.
    first, second = planned(labelled([1], [], out=("p2",)), of=two).warnings
    assert (first, second[:8]) == (warning, "1 of 300")


def test_samples_fewer_than_any_group_asked_for() -> None:
    plan = planned(of=counts([1, 2, 3], n=3))
    assert plan.pilot is not None
    assert plan.pilot.direct.mean.shape == (0,)


def test_errors_of_pilots() -> None:
    with pytest.raises(UsageError, match="the pilot's counts hold 0 prompts; pass records"):
        planned(of=counts([]))
    with pytest.raises(ValueError, match=r"rare_shares has shape \(0,\); pass one or several"):
        planned(asked=replace(SMALL, rare_shares=()))
    with pytest.raises(ValueError, match=r"level = 2.0 is out of range"):
        planned(asked=replace(SMALL, level=2.0))
    with pytest.raises(ValueError, match="budget = 2 does not buy 1 prompts in groups of 4"):
        planned(asked=replace(SMALL, budget=2))


def test_group_sizes_are_sorted_and_each_there_once() -> None:
    assert Asked(group_sizes=(8, 2, 8)).group_sizes == (2, 8)
