"""Numbers and verdicts of the report, against hand counts and exact fractions."""

import csv
import io
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import yaml

from fgrpo.compare import (
    Comparison,
    compare_problems,
    compare_problems_and_seeds,
    compare_seeds,
)
from fgrpo.compare.levels import DRAWS
from fgrpo.lab.folders import arm_folder, base_folder, records_path
from fgrpo.lab.settings import ArmSettings, Recipe
from fgrpo.presentation.numbers import percent
from fgrpo.records import Counts, Record, RecordStore
from fgrpo.report.data import arm_labels, load_run
from fgrpo.report.figures import rate_shares
from fgrpo.report.mazes import choose
from fgrpo.report.settings_table import setting_rows, training_rows
from fgrpo.report.statistics import Contrast, compute
from fgrpo.report.style import palette
from fgrpo.report.tables import csv_tables, summary
from fgrpo.report.training_figures import moving_average, smoothing_window
from fgrpo.report.verdict import judge, verdicts

HOSTILE = '<script>alert("x")</script> & <img src=x onerror=alert(1)> {{ 7 * 7 }}'
ARMS = [{"name": "grpo", "gamma": 0.0}, {"name": "focal", "gamma": 0.5}]
# Right answers of 8 samples to each of 8 mazes.
COUNTS = {
    "base": [0, 1, 2, 4, 8, 3, 0, 5],
    ("grpo", 0): [0, 0, 0, 0, 8, 8, 1, 6],
    ("grpo", 1): [0, 2, 0, 0, 8, 7, 0, 8],
    ("focal", 0): [1, 3, 3, 2, 8, 7, 0, 6],
    ("focal", 1): [0, 1, 0, 1, 7, 7, 2, 7],
}


def _write_records(path, counts, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordStore.open(path) as store:
        for i in reversed(range(len(counts))):  # the order in a file must not matter
            store.extend(Record(f"maze-{i:04d}", j, j < counts[i]) for j in range(samples))


def make_run(
    folder, counts=COUNTS, *, arms=ARMS, seeds=(0, 1), samples=8, steps=3, every=2, description=""
):
    """Write a finished run folder; evaluations before the last repeat the base's counts."""
    recipe = Recipe.model_validate(
        {
            "name": "synthetic",
            "description": description,
            "train": {"steps": steps},
            "arms": arms,
            "seeds": list(seeds),
            "evaluation": {"problems": len(counts["base"]), "samples": samples, "every": every},
        }
    )
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8"
    )
    start = {"command": "fgrpo run synthetic", "commit": None, "packages": {"numpy": "2"}}
    (folder / "environment.json").write_text(json.dumps([start]), encoding="utf-8")
    _write_records(records_path(base_folder(folder), 0), counts["base"], samples)
    for arm in recipe.arms:
        for seed in recipe.seeds:
            place = arm_folder(folder, arm.name, seed)
            *before, last = recipe.evaluation_steps(arm)
            for step in before:
                _write_records(records_path(place, step), counts["base"], samples)
            _write_records(records_path(place, last), counts[arm.name, seed], samples)
            (place / "metrics.jsonl").write_text(
                "".join(json.dumps(_metrics(step)) + "\n" for step in range(steps)),
                encoding="utf-8",
            )


def _metrics(step):
    return {
        "step": step,
        "groups_solved_all": 0.25,
        "groups_solved_none": 0.5,
        "groups_mixed": 0.25,
        "entropy": 1 / (1 + step),
        "grad_norm": 2.0 / (1 + step),
        "truncated": 0.25 * step,
        "seconds_sampling": 60.0,
        "seconds_training": 30.0,
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_run(folder)
    data = load_run(folder)
    return data, compute(data)


def exact(counts, k, samples=8):
    """Mean pass@k as a fraction, by counting subsets."""
    total = math.comb(samples, k)
    values = [1 - Fraction(math.comb(samples - c, k), total) for c in counts]
    return sum(values) / len(values)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_pass_at_k_in_tables_and_summary_is_that_of_exact_fractions(run):
    data, numbers = run
    table = rows(csv_tables(data, numbers)["pass_at_k.csv"])
    entries = json.loads(summary(data, numbers, []))["pass_at_k"]
    assert [entry["arm"] for entry in entries] == ["base", "grpo", "focal"]
    for name, runs in (("base", ["base"]), ("grpo", [("grpo", 0), ("grpo", 1)])):
        entry = next(one for one in entries if one["arm"] == name)
        for place, k in enumerate((1, 2, 4, 8)):
            expected = float(sum(exact(COUNTS[key], k) for key in runs) / len(runs))
            (row,) = [r for r in table if (r["arm"], r["seed"], r["k"]) == (name, "", str(k))]
            assert float(row["pass_at_k"]) == pytest.approx(expected, abs=1e-12)
            assert entry["mean"][place] == pytest.approx(expected, abs=1e-12)
            assert float(row["low"]) <= expected <= float(row["high"])
    (row,) = [r for r in table if (r["arm"], r["seed"], r["k"]) == ("focal", "1", "4")]
    assert float(row["pass_at_k"]) == pytest.approx(float(exact(COUNTS["focal", 1], 4)))


def test_the_interval_of_a_curve_is_that_of_the_mean_over_problems():
    """Half the problems at 0, half at 1: the mean of P draws has standard deviation 1/(2√P)."""
    from fgrpo.report.statistics import _curve

    size = 400
    names = tuple(f"p{i}" for i in range(size))
    counts = Counts(names, np.full(size, 2), np.where(np.arange(size) < size // 2, 0, 2))
    curve = _curve("a", "A", (0, 1), [counts, counts], (1, 2))
    assert curve.low == pytest.approx([0.5 - 1.96 / 40] * 2, abs=0.004)
    assert curve.high == pytest.approx([0.5 + 1.96 / 40] * 2, abs=0.004)


def test_differences_are_those_of_exact_fractions(run):
    data, numbers = run
    means = {
        (name, k): (exact(COUNTS[name, 0], k) + exact(COUNTS[name, 1], k)) / 2
        for name in ("grpo", "focal")
        for k in (1, 8)
    }
    means |= {("base", k): exact(COUNTS["base"], k) for k in (1, 8)}
    found = rows(csv_tables(data, numbers)["comparisons.csv"])
    pairs = [("base", "grpo"), ("base", "focal"), ("grpo", "focal")]
    noises = ("problems_and_seeds", "problems", "seeds")
    expected = [(a, b, str(k), noise) for a, b in pairs for k in (1, 8) for noise in noises]
    assert [(row["a"], row["b"], row["k"], row["noise"]) for row in found] == expected
    for row in found:
        difference = means[row["b"], int(row["k"])] - means[row["a"], int(row["k"])]
        assert float(row["difference"]) == pytest.approx(float(difference), abs=1e-12)
        assert bool(row["judgement"]) == (row["noise"] == "problems_and_seeds")


def test_each_noise_is_that_of_its_comparison(run):
    data, numbers = run
    grpo, focal = (arm.finals for arm in data.arms)
    rng = np.random.default_rng(0)
    expected = {
        "problems_and_seeds": compare_problems_and_seeds(grpo, focal, k=(1, 8)),
        "problems": compare_problems(grpo, focal, k=(1, 8), draws=DRAWS, rng=rng),
        "seeds": compare_seeds(grpo, focal, k=(1, 8)),
    }
    table = rows(csv_tables(data, numbers)["comparisons.csv"])
    entries = json.loads(summary(data, numbers, []))["comparisons"]
    for noise, comparisons in expected.items():
        for one in comparisons:
            key = ("grpo", "focal", str(one.k), noise)
            (row,) = [r for r in table if (r["a"], r["b"], r["k"], r["noise"]) == key]
            assert (float(row["low"]), float(row["high"])) == one.interval
            assert float(row["p"]) == one.p_value
            assert float(row["standard_error"]) == one.standard_error
            (entry,) = [e for e in entries if (e["a"], e["b"], str(e["k"])) == key[:3]]
            assert entry[f"over_{noise}"]["interval"] == list(one.interval)
            assert entry[f"over_{noise}"]["noise"] == one.noise
    errors = {one[0].standard_error for one in expected.values()}
    assert len(errors) == 3  # so none can stand in for another


def test_lost_and_gained_are_those_counted_by_hand(run):
    data, numbers = run
    found = [
        (one.name, one.seed, one.lost, one.gained, one.solved, one.base_solved)
        for one in numbers.lost_gained
    ]
    assert found == [
        ("grpo", 0, 3, 1, 4, 6),
        ("grpo", 1, 2, 0, 4, 6),
        ("focal", 0, 0, 1, 7, 6),
        ("focal", 1, 1, 1, 6, 6),
    ]
    table = rows(csv_tables(data, numbers)["lost_gained.csv"])
    assert [(r["lost"], r["gained"]) for r in table] == [
        ("3", "1"),
        ("2", "0"),
        ("0", "1"),
        ("1", "1"),
    ]


def test_the_other_tables_hold_the_counts(run):
    data, numbers = run
    tables = csv_tables(data, numbers)
    problems = rows(tables["problems.csv"])
    assert len(problems) == 8 * 5
    (row,) = [
        r for r in problems if (r["problem"], r["arm"], r["seed"]) == ("maze-0005", "grpo", "1")
    ]
    assert (row["n"], row["c"]) == ("8", "7")
    training = rows(tables["during_training.csv"])
    assert [row["step"] for row in training] == ["0", *["2", "3"] * 4]
    assert float(training[0]["pass_at_1"]) == pytest.approx(23 / 64)
    assert float(training[1]["pass_at_8"]) == pytest.approx(6 / 8)
    assert float(training[2]["pass_at_8"]) == pytest.approx(4 / 8)


def comparison(p, estimate=0.1):
    interval = (math.nan, math.nan) if math.isnan(p) else (estimate - 0.05, estimate + 0.05)
    return Comparison(
        k=8, a=0.5, b=0.5 + estimate, estimate=estimate, standard_error=0.02, interval=interval,
        p_value=p, noise="", problems=8, samples=(8, 8), caveat="no way" if math.isnan(p) else "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.049, "higher"),
        (0.05, "no significant difference"),
        (math.nan, "cannot be judged"),
    ],
)
def test_the_verdict_is_that_of_both_noises_whatever_each_alone_says(p, expected):
    for estimate, direction in ((0.1, "higher"), (-0.1, "lower")):
        for alone in (0.001, 0.9, math.nan):
            parts = comparison(alone, estimate), comparison(alone, estimate)
            contrast = Contrast("a", "b", "A", "B", *parts, comparison(p, estimate))
            assert judge(contrast) == expected.replace("higher", direction)
        one_seed = Contrast("a", "b", "A", "B", comparison(p, estimate), None, None)
        assert judge(one_seed) == expected.replace("higher", direction)


def lines_of(folder, counts, **options):
    make_run(folder, counts, **options)
    data = load_run(folder)
    return [verdict.line for verdict in verdicts(data, compute(data))]


def test_sentences_when_mazes_agree_and_seeds_do_or_do_not(tmp_path):
    """The first arm gains on every maze in both seeds; the second in one and loses in the other."""
    counts = {
        "base": [1] * 20,
        ("grpo", 0): [5, 6] * 10,
        ("grpo", 1): [6] * 20,
        ("focal", 0): [8] * 20,
        ("focal", 1): [5, 5] * 10,
    }
    make_run(tmp_path, counts)
    data = load_run(tmp_path)
    grpo, focal = verdicts(data, compute(data))
    assert grpo.line.startswith(
        "GRPO: pass@1 71.9%, pass@8 100.0%. Against the base model (12.5%, 100.0%): "
        "pass@1 higher by 59.4 points (95% interval +"
    )
    assert grpo.line.count(" over mazes and training seeds)") == grpo.line.count("95% interval")
    assert "pass@8 no significant difference (0.0 points, " in grpo.line
    assert "Against GRPO: pass@1 no significant difference (+9.4 points, 95% inter" in focal.line
    assert "Against the base" not in focal.line
    assert "One training seed" not in grpo.line
    assert grpo.sentence == (
        "GRPO against the base model: pass@1 higher by 59.4 points, "
        "pass@8 no significant difference."
    )
    assert focal.sentence == (
        "F-GRPO γ = 0.5 against GRPO: no significant difference in pass@1 or pass@8."
    )
    assert focal.details[0].startswith("pass@1: 81.2% against 71.9%, +9.4 points (95% interval −")


def test_sentences_with_one_seed_and_a_loss(tmp_path):
    counts = {"base": [2] * 20, ("grpo", 4): [0, 1] * 10, ("focal", 4): [2] * 20}
    grpo, focal = lines_of(tmp_path, counts, seeds=[4], every=0)
    assert "pass@1 lower by 18.8 points (95% interval −" in grpo
    assert "pass@8 lower by 50.0 points" in grpo
    assert "pass@8 higher by 50.0 points" in focal
    assert " over mazes)" in grpo
    assert "and training seeds" not in grpo + focal
    assert grpo.endswith("One training seed only: the noise of training is unknown.")


def test_what_limits_an_interval_is_noted(tmp_path):
    counts = {"base": [2] * 7, ("grpo", 0): [2, 3] * 3 + [8], ("grpo", 1): [3, 5] * 3 + [4]}
    (one_seed,) = lines_of(tmp_path / "one", counts, arms=ARMS[:1], seeds=[0])
    assert "Note on pass@1 over mazes: 7 problems are few: the interval is too narrow." in one_seed
    assert "Note on pass@8 over mazes: nothing varied here" in one_seed
    (two_seeds,) = lines_of(tmp_path / "two", counts, arms=ARMS[:1])
    assert "Note on pass@8 over mazes and training seeds: nothing varied here" in two_seeds
    assert two_seeds.count("Note on") == 1


def test_arms_are_named_by_method_and_gamma_unless_two_would_be_equal():
    arms = [
        ArmSettings(name="a"),
        ArmSettings(name="b", gamma=0.5),
        ArmSettings(name="c", method="dapo", gamma=1),
        ArmSettings(name="d", method="cispo"),
        ArmSettings(name="e", method="cispo", learning_rate=1e-5),
    ]
    assert arm_labels(arms) == ["GRPO", "F-GRPO γ = 0.5", "F-DAPO γ = 1", "d", "e"]


def test_mazes_to_draw(run):
    """The first arm loses mazes 2 and 3 in both seeds, the other none in both."""
    data, _ = run
    assert choose(data) == [3, 2]


def test_which_arm_lost_a_maze_plays_no_part_in_drawing_it(tmp_path):
    """Mazes 0 and 3 are lost by the focal arm, 1 by the other, 2 by both, 4 in one seed of two."""
    lost = {("grpo", 0): "124", ("grpo", 1): "12", ("focal", 0): "023", ("focal", 1): "023"}
    counts = {"base": [3, 5, 2, 4, 8, 7, 0, 0]}
    counts |= {run: [0 if str(i) in gone else 6 for i in range(8)] for run, gone in lost.items()}
    make_run(tmp_path, counts)
    assert choose(load_run(tmp_path)) == [1, 3, 0, 2]
    swapped = counts | {("grpo", s): counts["focal", s] for s in (0, 1)}
    swapped |= {("focal", s): counts["grpo", s] for s in (0, 1)}
    make_run(tmp_path / "swapped", swapped)
    assert choose(load_run(tmp_path / "swapped")) == [1, 3, 0, 2]


def test_an_arm_is_compared_with_the_one_it_differs_from_by_its_weight_alone(tmp_path):
    arms = [
        {"name": "grpo"},
        {"name": "f-dapo", "method": "dapo", "gamma": 1.0},
        {"name": "dapo", "method": "dapo"},
        {"name": "f-cispo", "method": "cispo", "gamma": 1.0},
    ]
    counts = {"base": [1] * 8} | {(arm["name"], 0): [2, 3] * 4 for arm in arms}
    make_run(tmp_path, counts, arms=arms, seeds=[0])
    data = load_run(tmp_path)
    numbers = compute(data)
    pairs = list(dict.fromkeys((one.a, one.b) for one in numbers.contrasts))
    assert pairs == [*(("base", arm["name"]) for arm in arms), ("dapo", "f-dapo")]
    against = [verdict.sentence.partition(":")[0] for verdict in verdicts(data, numbers)]
    assert against == [
        "GRPO against the base model",
        "F-DAPO γ = 1 against DAPO",
        "DAPO against the base model",
        "F-CISPO γ = 1 against the base model",
    ]
    entries = json.loads(summary(data, numbers, []))["arms"]
    assert [entry["reference"] for entry in entries] == [None, "dapo", None, None]
    styles = palette(data)
    assert len({style.colour for style in styles.values()}) == len(styles)
    assert styles["grpo"].line == styles["dapo"].line == "solid"


def test_settings_name_the_schedule_and_how_often_limits_were_met(run):
    """Of gradient norms 2, 1 and 2/3 one is above the limit 1; 0, 1/4 and 1/2 are cut off."""
    data, _ = run
    settings = dict(setting_rows(data))
    assert "0 warm-up steps, then the rate constant; weight decay 0.01" in settings["Optimiser"]
    base = settings["Base model's training"]
    assert "0 warm-up steps, then the rate constant; weight decay 0.01, gradient norm at" in base
    assert training_rows(data)[1] == (
        "F-GRPO γ = 0.5",
        "gradient norm above its limit of 1 in 33.3% of the steps; 25.0% of the responses cut off "
        "at their limit, unfinished",
    )


def test_a_falling_rate_is_named_for_the_arm_that_has_it(tmp_path):
    arms = [ARMS[0], {**ARMS[1], "schedule": "linear", "warmup_steps": 5}]
    make_run(tmp_path, arms=arms)
    shown = dict(setting_rows(load_run(tmp_path)))["Optimiser"].split("; AdamW")
    assert "constant" in shown[0]
    assert "5 warm-up steps, then the rate falling linearly to 0" in shown[1]


def test_success_rates_fall_into_their_bins():
    """With 10 samples: 0 | 1 | 2, 3 | 4 5 | 6 7 | 8 9 | 10 right; a step holds its lower end."""
    hits = np.array([0, 1, 2, 3, 4, 6, 7, 8, 9, 10])
    counts = Counts(tuple(map(str, hits)), np.full(10, 10), hits)
    assert rate_shares([counts, counts]) == pytest.approx([0.1, 0.1, 0.2, 0.1, 0.2, 0.2, 0.1])


@pytest.mark.parametrize("length", [1, 2, 5, 12])
@pytest.mark.parametrize("window", [1, 3, 7])
def test_the_moving_average_is_that_of_the_steps_there_are(length, window):
    values = np.random.default_rng(0).normal(size=length)
    half = window // 2
    expected = [values[max(0, i - half) : i + half + 1].mean() for i in range(length)]
    assert moving_average(values, window) == pytest.approx(expected)
    assert smoothing_window(length) == 1


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, "0.0%"), (1e-5, "<0.1%"), (0.8125, "81.2%"), (0.99999, ">99.9%"), (1.0, "100.0%")],
)
def test_percentages_never_round_to_none_or_all(share, expected):
    assert percent(share) == expected
