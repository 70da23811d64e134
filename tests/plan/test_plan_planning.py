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
    assert (asked.rare_shares, asked.budget, asked.min_prompts) == (None, None, None)
    assert (asked.gammas, asked.target, asked.level) == ((0.0, 0.5, 1.0), 0.05, 0.9)
    plan = plan_for_rates([0.2, 0.7])
    assert plan.asked == replace(asked, rare_shares=(0.05, 0.1, 0.2))
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
    # None of which the defaults would have given.
    others = ({"budget": 1024}, {"min_prompts": None}, {"target": 0.05}, {"rare_share": 0.4})
    usual = {"rare_share": 0.2, "budget": 2048, "min_prompts": 16, "target": 0.1}
    for other in others:
        assert recommend(mixture, **{**usual, **other}) != wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("guesses", [[0.3], [0.3, 0.3]])
def test_one_rate_says_nothing_of_gamma(guesses: list[float]) -> None:
    plan = plan_for_rates(guesses, SMALL)
    assert len(plan.parts) == len(guesses)
    assert plan.recommendation.gamma == 0
    (warning,) = plan.warnings
    assert warning.startswith("With one success rate for all prompts the advice says nothing of γ")
    assert "Pass several rates, or a pilot." in warning


@pytest.mark.parametrize(
    ("guesses", "asked", "said"),
    [
        ([], {}, r"success_rates = \[\]: pass one or more above 0 and below 1"),
        ([0.5, 0.0], {}, r"success_rates = \[0.5, 0.0\]: pass one or more above 0 and below 1"),
        ([1.0], {}, r"success_rates = \[1.0\]: pass one or more above 0 and below 1"),
        ([0.5, 1.2], {}, r"success_rates\[1\] = 1.2 is not a probability"),
        ([0.5], {"rare_shares": ()}, "no rare share given; pass at least one, such as 0.1"),
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


def test_good_turing_sets_the_rare_share() -> None:
    # Singletons: 1 of 4 and 3 of 6 correct samples, prompts counting the same; c < 2 none.
    pilot = labelled([3, 1], [3, 1, 1, 1], [1], [])
    plan = planned(pilot)
    assert plan.asked.rare_shares == (3 / 8,)
    assert plan.recommendation.rare_share == 3 / 8
    assert plan.parts[0].curves.rare_shares.tolist() == [3 / 8]
    assert plan.pilot is not None
    assert plan.pilot.labelled is pilot
    assert plan.pilot.rare is not None
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
    # What was asked for goes first, and nothing is said.
    plan = planned(pilot, asked=replace(SMALL, rare_shares=(0.2, 0.3)))
    assert plan.asked.rare_shares == (0.2, 0.3)
    assert plan.recommendation.rare_share == 0.2
    assert plan.warnings == ()


@pytest.mark.parametrize(
    ("pilot", "said"),
    [
        (labelled([1], []), "No prompt has two correct samples, so nothing is known of rare"),
        (labelled([4, 2], [2]), "Hardly a correct solution came up only once, so the unseen"),
        (labelled([1] * 9, [1] * 12), "100% of the correct samples are the only ones of their"),
        (labelled([1] * 10, [1] * 9 + [2] * 1), "91% of the correct samples are the only ones"),
    ],
)
def test_shares_that_tell_nothing(pilot: LabelledPilot, said: str) -> None:
    plan = planned(pilot)
    assert plan.asked.rare_shares == (0.05, 0.1, 0.2)
    (warning,) = plan.warnings
    assert warning.startswith(said)
    assert warning.endswith("; the rare shares are guesses.")
    (warning,) = planned(pilot, asked=replace(SMALL, rare_shares=(0.1,))).warnings
    assert warning.startswith(said)
    assert "guesses" not in warning
    assert warning.endswith(".")


def test_ends_of_what_tells() -> None:
    # 9 of 10 once each and one twice: 8/10 at most; the ends themselves are used.
    ninety = labelled([1] * 9 + [11], [1] * 9 + [11], n=20)
    assert planned(ninety).asked.rare_shares == (9 / 20,)
    assert planned(labelled([1] * 18 + [2], n=20)).asked.rare_shares == (0.9,)
    assert planned(labelled([999, 1], n=1000)).asked.rare_shares == (0.001,)
    assert planned(labelled([1000, 1], n=1001)).asked.rare_shares == (0.05, 0.1, 0.2)


def test_prompts_left_out() -> None:
    plan = planned(labelled([3, 1], [3, 1], out=("p7", "p8", "p9")))
    assert plan.asked.rare_shares == (0.25,)
    (warning,) = plan.warnings
    assert warning.startswith("3 of 10 prompts have a correct sample whose solution is unknown")
    # No solution at all: as if there were no texts.
    plan = planned(LabelledPilot((), 5, 5, ("p0",)))
    assert plan.pilot is not None
    assert (plan.pilot.rare, plan.pilot.unsampled) == (None, None)
    assert plan.asked.rare_shares == (0.05, 0.1, 0.2)


def test_a_pilot_that_is_no_beta() -> None:
    two = counts(rng(3).binomial(64, np.repeat([0.1, 0.7], 150)).tolist(), n=64)
    plan = planned(of=two)
    assert plan.pilot is not None
    assert not plan.pilot.fit.plausible
    (warning,) = plan.warnings
    assert warning.startswith("A Beta distribution of success rates does not describe this pilot")
    assert f"p = {plan.pilot.fit.fit_p_value:.3f}" in warning
    # It comes first of several.
    assert planned(labelled([1], []), of=two).warnings[0] == warning


def test_samples_fewer_than_any_group_asked_for() -> None:
    plan = planned(of=counts([1, 2, 3], n=3))
    assert plan.pilot is not None
    assert plan.pilot.direct.mean.shape == (0,)


def test_errors_of_pilots() -> None:
    with pytest.raises(UsageError, match="the pilot's counts hold 0 prompts; pass records"):
        planned(of=counts([]))
    with pytest.raises(UsageError, match=r"no rare share given; pass at least one, such as 0.1"):
        planned(asked=replace(SMALL, rare_shares=()))
    with pytest.raises(ValueError, match=r"level = 2.0 is out of range"):
        planned(asked=replace(SMALL, level=2.0))
    with pytest.raises(ValueError, match="budget = 2 does not buy 1 prompts in groups of 4"):
        planned(asked=replace(SMALL, budget=2))


def test_group_sizes_are_sorted_and_each_there_once() -> None:
    assert Asked(group_sizes=(8, 2, 8)).group_sizes == (2, 8)
