"""The report of arms that differ in group size, against numbers counted by hand."""

import csv
import dataclasses
import io
import json
import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from test_report_page import FIGURES, TABLES, Links
from test_report_statistics import _write_records, make_run

from fgrpo.lab.folders import arm_folder, records_path
from fgrpo.lab.settings import ArmSettings
from fgrpo.report import sweep_figures as figures_module
from fgrpo.report import write_report
from fgrpo.report.data import arm_labels, load_run
from fgrpo.report.figures import _when, result_figures
from fgrpo.report.panels import draw_arms
from fgrpo.report.settings_table import setting_rows
from fgrpo.report.statistics import compute
from fgrpo.report.style import palette
from fgrpo.report.sweep import find_sweep
from fgrpo.report.sweep_figures import sweep_figures
from fgrpo.report.sweep_numbers import compute_sweep
from fgrpo.report.sweep_tables import deepest_table, markdown_tables, size_table, sweep_files
from fgrpo.report.tables import csv_tables, summary

pytestmark = pytest.mark.slow

# Sizes out of order, and no arm of γ = 1 at N = 2.
ARMS = [
    {"name": "plain-8", "group_size": 8},
    {"name": "focal-8", "group_size": 8, "gamma": 1.0},
    {"name": "plain-4", "group_size": 4},
    {"name": "focal-4", "group_size": 4, "gamma": 1.0},
    {"name": "plain-2", "group_size": 2},
]
# Right answers of 4 samples to each of 8 mazes, after training and, below, half way.
END = {
    "base": [1, 1, 1, 1, 1, 1, 1, 0],
    ("plain-8", 0): [4, 4, 4, 4, 2, 0, 0, 0],
    ("plain-8", 1): [4, 4, 4, 4, 0, 2, 0, 0],
    ("focal-8", 0): [4, 4, 4, 4, 2, 2, 2, 2],
    ("focal-8", 1): [4, 4, 4, 4, 2, 2, 2, 2],
    ("plain-4", 0): [4, 4, 4, 4, 0, 0, 0, 0],
    ("plain-4", 1): [4, 4, 4, 4, 4, 0, 0, 0],
    ("focal-4", 0): [2, 2, 2, 2, 2, 2, 2, 2],
    ("focal-4", 1): [3, 3, 3, 3, 3, 3, 3, 3],
    ("plain-2", 0): [1, 2, 3, 4, 0, 0, 0, 0],
    ("plain-2", 1): [1, 2, 3, 4, 0, 0, 0, 0],
}
HALF_WAY = {
    ("plain-8", 0): [4, 4, 0, 0, 0, 0, 0, 0],
    ("plain-8", 1): [4, 4, 4, 4, 4, 4, 0, 0],
    ("focal-8", 0): [1, 1, 1, 1, 1, 1, 1, 1],
    ("focal-8", 1): [1, 1, 1, 1, 1, 1, 1, 1],
    ("plain-4", 0): [1, 1, 1, 0, 0, 0, 0, 0],
    ("plain-4", 1): [1, 1, 1, 1, 0, 0, 0, 0],
    ("focal-4", 0): [1, 1, 1, 1, 1, 1, 1, 0],
    ("focal-4", 1): [1, 1, 1, 1, 1, 1, 1, 1],
    ("plain-2", 0): [4, 4, 4, 4, 0, 0, 0, 0],
    ("plain-2", 1): [4, 4, 4, 4, 4, 0, 0, 0],
}
SHARED = {"samples": 4, "steps": 4, "every": 2}


def make_sweep(folder, **options):
    """Write a run of both tables above."""
    make_run(folder, END, **{"arms": ARMS, **SHARED, **options})
    for (name, seed), counts in HALF_WAY.items():
        path = records_path(arm_folder(folder, name, seed), 2)
        path.unlink()
        _write_records(path, counts, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "run"
    make_sweep(folder)
    data = load_run(folder)
    numbers = compute(data)
    return data, numbers, compute_sweep(data, numbers, find_sweep(data))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "run"
    make_sweep(folder)
    write_report(folder)
    return folder


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def point(found, name):
    return next(one for one in found.points if one.arm.name == name)


def load(folder, arms, **options):
    counts = {"base": [1] * 8} | {(arm["name"], 0): [i % 4 for i in range(8)] for arm in arms}
    make_run(folder, counts, arms=arms, seeds=[0], samples=4, steps=1, every=0, **options)
    return load_run(folder)


def test_points_are_ordered_by_size_and_hold_the_means_counted_by_hand(run):
    _, _, found = run
    assert found.ks == (1, 4)
    assert [(one.size, one.line.label, one.arm.name) for one in found.points] == [
        (2, "GRPO", "plain-2"),
        (4, "GRPO", "plain-4"),
        (4, "F-GRPO γ = 1", "focal-4"),
        (8, "GRPO", "plain-8"),
        (8, "F-GRPO γ = 1", "focal-8"),
    ]
    means = [[level.mean for level in one.levels] for one in found.points]
    assert np.array(means) == pytest.approx(
        np.array([[10 / 32, 1 / 2], [18 / 32, 9 / 16], [5 / 8, 1], [18 / 32, 5 / 8], [3 / 4, 1]])
    )
    assert [level.mean for level in found.base] == pytest.approx([7 / 32, 7 / 8])


def test_the_interval_of_a_level_is_a_t_test_where_only_mazes_vary(run):
    """Both seeds have the same mean, so all noise left is that of eight mazes."""
    _, _, found = run
    level = point(found, "plain-8").levels[0]
    own = np.array([4, 4, 4, 4, 1, 1, 0, 0]) / 4  # averaged over the two seeds
    assert (level.low, level.high) == pytest.approx(
        tuple(ttest_1samp(own, 0).confidence_interval())
    )
    assert 0 < level.low < level.high < 1


def test_the_interval_of_a_level_holds_the_noise_of_seeds_and_ends_within_0_and_1(run):
    """All mazes agree in each seed: t with one degree of freedom, 5/8 ± 12.7/8."""
    _, _, found = run
    level = point(found, "focal-4").levels[0]
    assert ttest_1samp([0.5, 0.75], 0).confidence_interval().low < 0
    assert (level.low, level.high) == (0, 1)
    over_mazes = next(curve for curve in run[1].curves if curve.name == "focal-4")
    assert (over_mazes.low[0], over_mazes.high[0]) == pytest.approx((5 / 8, 5 / 8))


def test_with_one_seed_the_intervals_are_those_over_mazes(tmp_path):
    arms = [ARMS[0], ARMS[2]]
    data = load(tmp_path, arms)
    numbers = compute(data)
    found = compute_sweep(data, numbers, find_sweep(data))
    for one in found.points:
        curve = numbers.curve(one.arm.name)
        assert [level.low for level in one.levels] == [curve.low[0], curve.low[-1]]
        assert [level.high for level in one.levels] == [curve.high[0], curve.high[-1]]
        assert 0 < one.levels[0].low < one.levels[0].mean < one.levels[0].high < 1
    assert found.deepest == ()  # evaluated only at the end
    assert deepest_table(found) is None
    assert set(sweep_files(found)) == {"group_sizes.csv", "group_sizes.md"}


def test_differences_are_those_of_the_comparisons_at_the_same_size(run):
    data, numbers, found = run
    table = rows(csv_tables(data, numbers)["comparisons.csv"])
    for name, other, expected in (
        ("focal-4", "plain-4", (2 / 32, 7 / 16)),
        ("focal-8", "plain-8", (6 / 32, 3 / 8)),
    ):
        for place, k in enumerate(("1", "4")):
            contrast = point(found, name).contrasts[place]
            wanted = (other, name, k, "problems_and_seeds")
            (row,) = [r for r in table if (r["a"], r["b"], r["k"], r["noise"]) == wanted]
            assert contrast.deciding.estimate == pytest.approx(expected[place])
            assert contrast.deciding.interval == (float(row["low"]), float(row["high"]))
    assert not any(one.contrasts for one in found.points if one.line.gamma == 0)
    change = point(found, "focal-8").contrasts[1].deciding
    own = [0, 0, 0, 0, 0.5, 0.5, 1, 1]  # gained in pass@4, averaged over seeds; seeds agree
    assert change.interval == pytest.approx(tuple(ttest_1samp(own, 0).confidence_interval()))


def test_deepest_points_are_those_counted_by_hand(run):
    """In eighths of pass@4, half way and at the end, for each seed."""
    _, _, found = run
    shown = {
        one.arm.name: (
            [round(8 * value) for value in one.lowest],
            list(one.steps),
            [round(8 * value) for value in one.final],
            16 * one.mean_lowest,
            one.mean_step,
        )
        for one in found.deepest
    }
    assert shown == {
        "plain-2": ([4, 4], [2, 4], [4, 4], 8, 4),  # the first of equal ones
        "plain-4": ([3, 4], [2, 2], [4, 5], 7, 2),
        "focal-4": ([7, 8], [2, 2], [8, 8], 15, 2),
        "plain-8": ([2, 5], [2, 4], [5, 5], 8, 2),  # each seed's own: 7
        "focal-8": ([8, 8], [2, 2], [8, 8], 16, 2),
    }


def test_tables_in_text(run):
    _, _, found = run
    sizes, deepest = markdown_tables(found).split("\n\n")
    lines = sizes.splitlines()
    head = "| N | trained with | pass@1, % | against γ = 0, points | pass@4, % |"
    assert lines[0].startswith(head)
    assert lines[1] == "| --- | --- | ---: | ---: | ---: | ---: |"
    assert len(lines) == 2 + 1 + 5
    assert lines[2].startswith("| – | base model | 21.9 (")
    assert lines[4].startswith("| 4 | GRPO | 56.2 (")
    assert " | – | " in lines[4]
    assert lines[5].startswith("| 4 | F-GRPO γ = 1 | 62.5 (0.0–100.0) | +6.2 (")
    assert " | +43.8 (" in lines[5]
    # 3/8 ± 0.3705, by t of seven degrees of freedom; nothing varies in pass@4 itself
    assert lines[7].endswith(" | 100.0 | **+37.5** (+0.4 to +74.6) |")
    assert deepest.splitlines()[2:5] == [
        "| GRPO (N = 2) | 50.0 | 2, 4 | 50.0 | 4 | 50.0 |",
        "| GRPO (N = 4) | 43.8 | 2, 2 | 43.8 | 2 | 56.2 |",
        "| F-GRPO γ = 1 (N = 4) | 93.8 | 2, 2 | 93.8 | 2 | 100.0 |",
    ]
    assert deepest.splitlines()[5] == "| GRPO (N = 8) | 43.8 | 2, 4 | 50.0 | 2 | 62.5 |"


def test_tables_as_csv_and_in_the_summary(run):
    data, numbers, found = run
    files = sweep_files(found)
    sizes = rows(files["group_sizes.csv"])
    assert [(row["arm"], row["group_size"], row["k"]) for row in sizes[:4]] == [
        ("base", "", "1"),
        ("base", "", "4"),
        ("plain-2", "2", "1"),
        ("plain-2", "2", "4"),
    ]
    assert float(sizes[1]["pass_at_k"]) == 7 / 8
    (row,) = [r for r in sizes if (r["arm"], r["k"]) == ("focal-8", "4")]
    assert (row["method"], row["gamma"], row["reference"]) == ("grpo", "1.0", "plain-8")
    assert float(row["difference"]) == pytest.approx(3 / 8)
    assert 0 < float(row["difference_low"]) < 3 / 8 < float(row["difference_high"])
    assert (float(row["p"]) < 0.05, row["judgement"]) == (True, "higher")
    assert {r["reference"] for r in sizes if r["gamma"] == "0.0"} == {""}
    deepest = [tuple(r.values()) for r in rows(files["deepest_points.csv"])]
    assert [row for row in deepest if row[0] == "plain-8"] == [
        ("plain-8", "8", "0.0", "seed", "0", "0.25", "2", "0.625"),
        ("plain-8", "8", "0.0", "seed", "1", "0.625", "4", "0.625"),
        ("plain-8", "8", "0.0", "mean of seeds", "", "0.4375", "", "0.625"),
        ("plain-8", "8", "0.0", "mean curve", "", "0.5", "2", "0.625"),
    ]
    entries = json.loads(summary(data, numbers, [], found))
    assert len(entries["group_sizes"]) == len(sizes)
    assert len(entries["deepest_points"]) == len(deepest)
    assert "group_sizes" not in json.loads(summary(data, numbers, []))


@pytest.mark.parametrize(
    "arms",
    [
        [{"name": "a"}, {"name": "b", "gamma": 1.0}],
        [{"name": "a"}, {"name": "b", "group_size": 4}, {"name": "c", "group_size": 4}],
        [{"name": "a"}, {"name": "b", "gamma": 1.0, "learning_rate": 1e-3}, ARMS[4]],
    ],
    ids=["one size", "two of a kind", "other settings at one size"],
)
def test_arms_that_make_no_sweep(tmp_path, arms):
    assert find_sweep(load(tmp_path, arms)) is None


def test_what_else_changes_with_the_group_size_is_said(tmp_path):
    """Half the prompts for twice the rollouts; two methods are two lines."""
    arms = [
        {"name": "a", "group_size": 4, "prompts_per_step": 64},
        {"name": "b", "group_size": 8},
        {"name": "c", "group_size": 8, "method": "dapo"},
    ]
    data = load(tmp_path, arms)
    sweep = find_sweep(data)
    assert sweep.other == ("prompts_per_step",)
    assert [(line.label, sorted(line.arms)) for line in sweep.lines] == [
        ("GRPO", [4, 8]),
        ("DAPO", [8]),
    ]
    found = compute_sweep(data, compute(data), sweep)
    figures = sweep_figures(found, palette(data, sweep))
    assert [figure.name for figure in figures] == ["group_sizes"]  # no weight, no difference
    assert figures[0].caption.endswith("What else changes with N: prompts_per_step.")


def test_labels_have_the_group_size_where_it_tells_arms_apart():
    arms = [ArmSettings(**arm) for arm in ARMS]
    assert arm_labels(arms)[:3] == ["GRPO (N = 8)", "F-GRPO γ = 1 (N = 8)", "GRPO (N = 4)"]
    assert arm_labels([arms[0], arms[3]]) == ["GRPO", "F-GRPO γ = 1"]
    twice = [*arms[:3], ArmSettings(name="again", group_size=8, learning_rate=1e-5)]
    assert arm_labels(twice) == ["plain-8", "F-GRPO γ = 1 (N = 8)", "GRPO (N = 4)", "again"]


def test_a_line_looks_the_same_at_every_size(run):
    data, _, found = run
    styles = palette(data, found.sweep)
    assert styles["plain-8"] == styles["plain-4"] == styles["plain-2"]
    assert styles["focal-8"] == styles["focal-4"]
    assert len({styles[name].colour for name in ("base", "plain-8", "focal-8")}) == 3
    assert [styles[name].label for name in ("plain-8", "focal-8")] == ["GRPO", "F-GRPO γ = 1"]


def test_settings_are_named_by_size_or_by_line(run):
    data, _, found = run
    settings = dict(setting_rows(data, found.sweep))
    assert settings["Group size N"] == "2; 4; 8"
    assert settings["Focal exponent γ"] == "0 (GRPO); 1 (F-GRPO γ = 1)"
    assert settings["Each step"].startswith("32 prompts × 2 rollouts at temperature 1, 1 update (N")
    assert settings["Each step"].count("(N = ") == 3
    assert settings["Training steps"] == "4"


@pytest.fixture
def kept(monkeypatch):
    """Return what would be saved: figures by name."""
    figures = {}

    def keep(figure, name, *_):
        figures[name] = figure

    monkeypatch.setattr(figures_module, "save", keep)
    monkeypatch.setattr("fgrpo.report.figures.save", keep)
    return figures


def bars(axes):
    """Map a place on the x axis, rounded, to the ends of its bar."""
    return {
        float(path.vertices[0, 0]): path.vertices[:, 1]
        for bar in axes.collections
        for path in bar.get_paths()
    }


def test_the_figures_against_size_show_each_point_with_its_interval(run, kept):
    data, _, found = run
    sweep_figures(found, palette(data, found.sweep))
    for place, axes in enumerate(kept["group_sizes"].axes):
        base, plain, focal = axes.get_lines()
        assert set(base.get_ydata()) == {100 * found.base[place].mean}
        ends = bars(axes)
        for line, names in (
            (plain, ("plain-2", "plain-4", "plain-8")),
            (focal, ("focal-4", "focal-8")),
        ):
            assert line.get_xdata() == pytest.approx([int(n[-1]) for n in names], rel=0.05)
            for x, y, name in zip(line.get_xdata(), line.get_ydata(), names, strict=True):
                level = point(found, name).levels[place]
                assert y == pytest.approx(100 * level.mean)
                if level.mean == 1:  # nothing varies, so nothing is known
                    assert x not in ends
                else:
                    assert ends[x] == pytest.approx([100 * level.low, 100 * level.high])
    for place, axes in enumerate(kept["group_size_differences"].axes):
        zero, focal = axes.get_lines()
        assert set(zero.get_ydata()) == {0}
        assert focal.get_ydata() == pytest.approx(([6.25, 18.75], [43.75, 37.5])[place])
        low, high = point(found, "focal-8").contrasts[place].deciding.interval
        assert bars(axes)[8.0] == pytest.approx([100 * low, 100 * high])


def test_lines_stand_apart_at_one_size(run, kept):
    data, _, found = run
    sweep_figures(found, palette(data, found.sweep))
    _, plain, focal = kept["group_sizes"].axes[0].get_lines()
    assert plain.get_xdata()[-1] < 8 < focal.get_xdata()[-1]


def test_during_training_there_is_a_panel_for_each_size(run, kept):
    data, numbers, found = run
    result_figures(data, numbers, palette(data, found.sweep), found.sweep)
    panels = kept["pass_at_n_training"].axes
    assert [axes.get_title() for axes in panels] == ["N = 2", "N = 4", "N = 8"]
    assert [len(axes.get_lines()) for axes in panels] == [2, 3, 3]  # the base, then the arms
    _, plain, focal = panels[2].get_lines()
    assert plain.get_xdata().tolist() == focal.get_xdata().tolist() == [0, 2, 4]
    assert plain.get_ydata() == pytest.approx([87.5, 50, 62.5])
    assert focal.get_ydata() == pytest.approx([87.5, 100, 100])
    band = panels[2].collections[0].get_paths()[0].vertices
    at_2 = band[np.isclose(band[:, 0], 2)][:, 1]
    assert (at_2.min(), at_2.max()) == pytest.approx((25, 75))  # the two seeds of the first arm
    low, high = panels[0].get_ylim()
    assert low < 25
    assert high > 100
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels}) == 1
    assert [axes.get_ylabel() for axes in panels] == ["mazes solved: pass@4 (%)", "", ""]
    assert {axes.get_xlabel() for axes in panels} == {"training step"}
    coverage = kept["pass_at_k"].axes
    assert [axes.get_xscale() for axes in coverage] == ["log"] * 3
    assert coverage[1].get_lines()[-1].get_ydata()[[0, -1]] == pytest.approx([62.5, 100])


@pytest.mark.parametrize(("sizes", "rows_of"), [(5, [3, 2]), (7, [4, 3]), (9, [4, 4, 1])])
def test_many_sizes_stand_in_several_rows(tmp_path, sizes, rows_of):
    data = load(tmp_path, [{"name": f"n{n}", "group_size": n} for n in range(2, 2 + sizes)])
    shown = []
    figure = draw_arms(
        data.arms,
        find_sweep(data),
        lambda axes, arms: (
            shown.append([arm.name for arm in arms]),
            axes.plot([0, len(shown)], [0, len(shown)], label="a"),
        ),
        lambda axes: axes.set_ylim(axes.get_ylim()),
        ("x", "y"),
    )
    assert shown == [[f"n{n}"] for n in range(2, 2 + sizes)]
    starts = [axes.get_subplotspec().rowspan.start for axes in figure.axes]
    assert [starts.count(row) for row in range(len(rows_of))] == rows_of
    assert figure.axes[0].get_ylim()[1] >= sizes  # of the last panel, the highest
    named = [bool(axes.get_xlabel()) for axes in figure.axes]
    assert named == [place + rows_of[0] >= sizes for place in range(sizes)]
    assert [bool(axes.get_ylabel()) for axes in figure.axes] == [
        place % rows_of[0] == 0 for place in range(sizes)
    ]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([7], "only at the start and the end"),
        ([3, 6, 9], "every 3 steps"),
        ([3, 6, 8], "every 3 steps"),
        ([3, 7], "after steps 3 and 7"),
        ([1, 2, 5, 10], "after steps 1, 2, 5 and 10"),
    ],
)
def test_the_caption_says_when_arms_were_evaluated(run, steps, said):
    data, *_ = run
    arm = data.arms[0]
    one = dataclasses.replace(arm.runs[0], counts=dict.fromkeys(steps, data.base))
    arms = (dataclasses.replace(arm, runs=(one,)),)
    assert _when(dataclasses.replace(data, arms=arms)) == said


def test_the_report_has_the_files_of_a_sweep_and_the_page_its_tables(written):
    names = {"group_sizes", "group_size_differences"} | FIGURES
    figures = {path.name for path in (written / "figures").iterdir()}
    assert {f"{name}.{kind}" for name in names for kind in ("svg", "png")} <= figures
    tables = {path.name for path in (written / "tables").iterdir()}
    files = {"group_sizes.csv", "group_sizes.md", "deepest_points.csv"}
    assert tables == {f"{name}.csv" for name in TABLES} | files
    page = (written / "report.html").read_text(encoding="utf-8")
    links = Links(page)
    assert len(links.targets) >= len(names)
    text = " ".join(links.text.split())
    assert " 4 F-GRPO γ = 1 62.50.0–100.0+6.2−80.2 to +92.7" in text
    assert "+37.5+0.4 to +74.6" in text
    assert "F-GRPO γ = 1 (N = 4) 93.82, 293.82100.0" in text
    assert "Deepest point of pass@4 during training" in text
    assert text.index("By group size") < text.index("Arm by arm") < text.index("Figures")
    assert "F-GRPO γ = 1 (N = 8) against GRPO (N = 8): " in text
    assert '<td class="marked">+37.5<small>' in page


def test_without_a_sweep_there_is_none_of_it(tmp_path):
    arms = [{"name": "a"}, {"name": "b", "gamma": 1.0}]
    load(tmp_path, arms)
    write_report(tmp_path)
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {f"{n}.csv" for n in TABLES}
    assert not list((tmp_path / "figures").glob("group_size*"))
    text = Links((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "By group size" not in text
    assert "Deepest point" not in text


def test_too_few_mazes_give_no_interval_and_no_bar(tmp_path, kept):
    arms = [ARMS[0], ARMS[1], ARMS[2]]
    counts = {"base": [1, 2, 3]} | {(a["name"], s): [s, 2, 4] for a in arms for s in (0, 1)}
    make_run(tmp_path, counts, arms=arms, **SHARED)
    data = load_run(tmp_path)
    found = compute_sweep(data, compute(data), find_sweep(data))
    assert all(math.isnan(level.low) for one in found.points for level in one.levels)
    assert size_table(found).rows[-1][2].interval == ""
    assert "nan" not in markdown_tables(found)
    sweep_figures(found, palette(data, found.sweep))
    assert np.isnan(np.array(list(bars(kept["group_sizes"].axes[0]).values()))).all()
