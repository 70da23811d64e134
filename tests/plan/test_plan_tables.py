"""The numbers of a plan as tables and JSON: hand-computed, and those of the plan."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fgrpo.plan import Asked, LabelledPilot, Plan, Solutions, plan_for_pilot, plan_for_rates
from fgrpo.plan.tables import csv_tables, curves_rows, pilot_rows, summary, turning_rows
from fgrpo.records import Counts

N = np.array([4, 8, 6, 4, 12, 8, 4, 4])
C = np.array([0, 8, 3, 2, 1, 5, 1, 4])


def pilot_plan(solutions: bool = True, **asked: object) -> Plan:
    counts = Counts(tuple(f"p{i}" for i in range(len(N))), N, C)
    labelled = LabelledPilot(
        tuple(
            Solutions(f"p{i}", int(n), np.array([2] * (c // 2) + [1] * (c % 2), np.int64))
            for i, (n, c) in enumerate(zip(N, C, strict=True))
            if i != 5
        ),
        texts=int(N.sum()),
        unlabelled=2,
        left_out=("p5",),
    )
    wanted = Asked(group_sizes=(2, 4, 8), **asked)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    return plan_for_pilot(counts, rng, labelled=labelled if solutions else None, asked=wanted)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_row_by_hand() -> None:
    # μ = 1/2, ρ = 1/5, so τ = 1/10. Groups of 2: mixed with 1/2; without the rare part
    # 0.9² = 0.81, of which 1/4 all wrong and 0.4² = 0.16 all right. Only k = 1 trains: gained
    # τ·½·w, drained τ·½·(1 − ρ)·w.
    asked = Asked(
        rare_shares=(0.2,), group_sizes=(2, 8), gammas=(0.0, 1.0), budget=7, min_prompts=1
    )
    first, second = curves_rows(plan_for_rates([0.5], asked).parts[0])
    assert first == {
        "part": "success rate 0.5",
        "group_size": 2,
        "prompts": 3,
        "left_over": 1,
        "active": pytest.approx(0.5),
        "all_right": pytest.approx(0.25),
        "all_wrong": pytest.approx(0.25),
        "dead": pytest.approx(0.5),
        "tail_miss_0.2": pytest.approx(0.4),
        "unsampled_0.2": pytest.approx(0.81),
        "drain_0.2_gamma_0": pytest.approx(0.8),
        "drain_0.2_gamma_1": pytest.approx(0.8),
        "active_groups": pytest.approx(1.5),
        "dead_rollouts": pytest.approx(3.0),
    }
    assert (second["prompts"], second["left_over"]) == (0, 7)
    assert math.isnan(second["active_groups"])


def test_the_pilots_intervals_lie_beside_their_means() -> None:
    plan = pilot_plan(rare_shares=(0.1, 0.3), budget=100, min_prompts=1)
    part = plan.parts[0]
    rows = curves_rows(part, plan.pilot)
    bands = {
        "active": part.curves.active,
        "all_wrong": part.curves.all_wrong,
        "active_groups": part.table.active_groups,  # type: ignore[union-attr]
    }
    for j, share in enumerate(("0.1", "0.3")):
        for name in ("tail_miss", "unsampled"):
            bands[f"{name}_{share}"] = [side[j] for side in getattr(part.curves, name)]
        for g, gamma in enumerate(("0", "0.5", "1")):
            values = [side[g, j] for side in part.curves.drain]
            bands[f"drain_{share}_gamma_{gamma}"] = values
    for name, (mean, low, high) in bands.items():
        assert [row[name] for row in rows] == mean.tolist()
        assert [row[f"{name}_low"] for row in rows] == low.tolist()
        assert [row[f"{name}_high"] for row in rows] == high.tolist()
    for row in rows:
        assert row["dead_low"] == 1 - row["active_high"] < 1 - row["active_low"] == row["dead_high"]


def test_what_needs_no_model_ends_with_the_pilots_samples() -> None:
    plan = pilot_plan()
    findings = plan.pilot
    assert findings is not None
    assert findings.unsampled is not None
    rows = curves_rows(plan.parts[0], findings)
    # By hand, pairs of different samples: c(n−c)/C(n, 2).
    by_hand = np.mean([c * (n - c) / math.comb(n, 2) for n, c in zip(N, C, strict=True)])
    assert rows[0]["active_direct"] == pytest.approx(by_hand)
    assert [math.isnan(row["active_direct"]) for row in rows] == [False, False, True]
    assert rows[0]["unsampled_direct"] == findings.unsampled.mean[0]  # type: ignore[index]
    assert rows[0]["unsampled_direct_low"] == findings.unsampled.low[0]  # type: ignore[index]
    assert rows[0]["unsampled_direct_high"] == findings.unsampled.high[0]  # type: ignore[index]
    assert [math.isnan(row["unsampled_direct"]) for row in rows] == [False, True, True]
    without = pilot_plan(solutions=False)
    assert "unsampled_direct" not in curves_rows(without.parts[0], without.pilot)[0]


def test_csv_holds_every_digit_and_leaves_empty_what_is_unknown() -> None:
    plan = pilot_plan()
    rows = curves_rows(plan.parts[0], plan.pilot)
    for wanted, row in zip(rows, read(csv_tables(plan)["curves.csv"]), strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            if isinstance(value, float):
                assert row[name] == ("" if math.isnan(value) else repr(value))
            else:
                assert row[name] == str(value)
    assert read(csv_tables(plan)["curves.csv"])[2]["active_direct"] == ""


def test_every_part_is_in_the_tables() -> None:
    plan = plan_for_rates([0.1, 0.5], Asked(rare_shares=(0.05, 0.2), group_sizes=(2, 4)))
    tables = csv_tables(plan)
    assert set(tables) == {"curves.csv", "turning_points.csv"}
    labels = [row["part"] for row in read(tables["curves.csv"])]
    mixed = "all success rates, evenly mixed"
    assert labels == ["success rate 0.1"] * 2 + ["success rate 0.5"] * 2 + [mixed] * 2
    drain = read(tables["curves.csv"])[5]["drain_0.05_gamma_0.5"]
    assert drain == repr(float(plan.mixture.curves.drain.mean[1, 0, 1]))
    turning = read(tables["turning_points.csv"])
    assert [row["rare_share"] for row in turning] == ["0.05", "0.2"] * 2
    for row, wanted in zip(turning, turning_rows(plan), strict=True):
        mu, tau = 0.1 if row["part"].endswith("0.1") else 0.5, 0.0
        tau = mu * float(row["rare_share"])
        missed = {n: (1 - tau) ** n - (1 - mu) ** n - (mu - tau) ** n for n in range(1, 3000)}
        worst = max(missed, key=missed.__getitem__)
        safe = next(n for n in range(worst, 3000) if missed[n] < 0.05)
        assert (row["worst"], row["safe"]) == (str(worst), str(safe))
        assert (wanted["worst"], wanted["safe"], wanted["target"]) == (worst, safe, 0.05)
        assert (row["mostly_dead"], wanted["mostly_dead"]) == ("False", False)


def test_what_is_above_a_million_is_empty() -> None:
    plan = plan_for_rates([1e-7], Asked(rare_shares=(0.1,), group_sizes=(2,)))
    (row,) = read(csv_tables(plan)["turning_points.csv"])
    assert (row["worst"], row["safe"]) == ("", "")
    (rare,) = summary(plan)["parts"][0]["rare"]
    assert (rare["worst"], rare["safe"], rare["mostly_dead"]) == (None, None, False)


def test_shares_that_look_alike_have_columns_of_their_own() -> None:
    plan = plan_for_rates([0.5], Asked(rare_shares=(0.1, 0.100001), group_sizes=(4,)))
    (row,) = curves_rows(plan.parts[0])
    assert row["tail_miss_0.1"] > row["tail_miss_0.100001"]


def test_prompts_of_the_pilot() -> None:
    plan = pilot_plan()
    assert plan.pilot is not None
    rows = pilot_rows(plan.pilot)
    assert [(row["problem"], row["n"], row["c"]) for row in rows] == [
        (f"p{i}", n, c) for i, (n, c) in enumerate(zip(N, C, strict=True))
    ]
    assert (rows[2]["solutions"], rows[2]["singletons"]) == (2, 1)
    assert (rows[0]["solutions"], rows[0]["singletons"]) == (0, 0)
    assert math.isnan(rows[5]["solutions"])  # left out
    assert [row["success_rate"] for row in rows] == plan.pilot.fit.prompt_means().tolist()
    assert read(csv_tables(plan)["pilot.csv"])[5]["singletons"] == ""
    without = pilot_plan(solutions=False).pilot
    assert without is not None
    assert set(pilot_rows(without)[0]) == {"problem", "n", "c", "success_rate"}


def test_summary_is_json_and_holds_the_plan() -> None:
    plan = pilot_plan(budget=20, min_prompts=1)
    found = plan.pilot
    assert found is not None
    assert found.rare is not None
    content = summary(plan)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    (part,) = content["parts"]
    curves = plan.parts[0].curves
    assert part["group_sizes"] == [2, 4, 8]
    assert part["active"]["low"] == curves.active.low.tolist()
    assert part["all_right"]["mean"] == curves.all_right.mean.tolist()
    rare, *_ = part["rare"]
    assert (rare["worst"], rare["safe"]) == (curves.worst[0], curves.safe[0])
    assert [one["share"] for one in part["rare"]] == content["asked"]["rare_shares"]
    assert content["asked"]["rare_shares"] == [0.05, 0.1, 0.2]
    assert content["mixture"] == part
    assert rare["tail_miss"]["high"] == curves.tail_miss.high[0].tolist()
    assert rare["drain"][1] == {
        "gamma": 0.5,
        **{end: getattr(curves.drain, end)[1, 0].tolist() for end in ("mean", "low", "high")},
    }
    assert part["budget"]["prompts"] == [10, 5, 2]
    assert part["budget"]["left_over"] == [0, 0, 4]
    pilot = content["pilot"]
    assert (pilot["prompts"], pilot["samples"], pilot["fewest"], pilot["most"]) == (8, 50, 4, 12)
    assert (pilot["never"], pilot["always"]) == (1 / 8, 2 / 8)
    assert pilot["fit_p_value"] == found.fit.fit_p_value
    assert pilot["mean"]["low"] == float(found.fit.mean.low)
    assert pilot["good_turing"]["share"]["mean"] == found.rare.share.mean
    assert pilot["good_turing"]["without_correct"] == 1
    assert pilot["solutions"]["left_out"] == ["p5"]
    assert pilot["unsampled"]["mean"][1:] == [None, None]
    assert content["recommendation"]["reason"] == plan.recommendation.reason
    assert content["recommendation"]["group_size"] == plan.recommendation.group_size


def test_summary_without_pilot_and_without_advice() -> None:
    several = plan_for_rates([0.2, 0.6], Asked(group_sizes=(2, 8)))
    mixed = summary(several)["mixture"]
    assert mixed["label"] == several.mixture.label
    drain = several.mixture.curves.drain.mean[0, 2].tolist()
    assert mixed["rare"][2]["drain"][0]["mean"] == drain
    plan = plan_for_rates([0.2])
    plan = replace(plan, recommendation=replace(plan.recommendation, group_size=None, gamma=None))
    content = summary(plan)
    assert content["pilot"] is None
    assert content["parts"][0]["budget"] is None
    assert content["recommendation"]["group_size"] is None
    assert content["warnings"] == list(plan.warnings) != []
