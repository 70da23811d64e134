"""The report of a finished sweep: its files, its numbers and sentences, what it refuses."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from statistics import fmean

import numpy as np
import pytest
from test_simulation_figures import put_together, recipe

from fgrpo.errors import RunError
from fgrpo.presentation.figures import DrawnFigure
from fgrpo.simulation import Policy, measure_tail_miss
from fgrpo.simulation.pictures import pictures
from fgrpo.simulation.result import load_sweep
from fgrpo.simulation.rows import final_rows, largest_deviation, least_kept, tail_miss_rows
from fgrpo.simulation.sentences import final_lines, sentences
from fgrpo.simulation.sweep import run_sweep
from fgrpo.simulation.write import write_sweep

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert('x')</script> & {{ 7 * 7 }}"
FIGURES = {
    *("figure_2", "correct_mass", "retained_mass"),
    *("final_retained_mass", "final_correct_mass", "final_entropy"),
    *("tail_miss", "tail_miss_deviation"),
    *("steps_correct_mass", "steps_retained_mass", "steps_unsampled", "steps_tail_miss"),
}
REPORT = {"report.html", "summary.json", "tables/final.csv", "tables/tail_miss.csv"}
REPORT |= {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}


class Page(HTMLParser):
    """Collects what a page loads, its element names, alternative texts and its text."""

    def __init__(self, folder):
        super().__init__()
        self.targets, self.tags, self.alts, self.text = [], [], [], ""
        self.source = (folder / "report.html").read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(self.text.replace("\u00a0", " ").split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in {"src", "href", "srcset", "data", "action"}:
                self.targets.append(value)
            if name == "alt":
                self.alts.append(value)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished sweep without a report; tests copy it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    run_sweep(recipe(name="small", description=HOSTILE), folder, command="fgrpo simulate <b>")
    return folder


@pytest.fixture(scope="session")
def reported(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported") / "run"
    shutil.copytree(finished, folder)
    write_sweep(folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def undrawn(monkeypatch):
    """Leave pictures empty: tests of words and files need not wait for them."""
    monkeypatch.setattr("fgrpo.simulation.pictures.draw", lambda paint, **options: None)
    monkeypatch.setattr("fgrpo.simulation.pictures.figure_2", lambda sweep: None)
    monkeypatch.setattr(
        "fgrpo.simulation.pictures.save", lambda _, *words: DrawnFigure(*words, b"<svg/>", b"png")
    )


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def cells(folder, group_size, gamma, column):
    """Read a column of every seed's trajectory, without the package's reader."""
    columns = []
    for seed in (0, 5):
        name = f"trajectories/n-{group_size}_gamma-{gamma}_seed-{seed}.csv"
        with (folder / name).open() as file:
            columns.append([row[column] for row in csv.DictReader(file)])
    return columns


def table(folder, name):
    with (folder / "tables" / name).open() as file:
        return list(csv.DictReader(file))


# Files


def test_all_files_and_the_same_bytes_again(reported, finished, tmp_path):
    made = files_of(reported)
    assert set(made) == set(files_of(finished)) | REPORT
    assert all(made.values()) or [name for name, text in made.items() if not text] == ["lock"]
    other = shutil.copytree(finished, tmp_path / "elsewhere")
    sweep = write_sweep(other)
    assert sweep.recipe == recipe(name="small", description=HOSTILE)
    again = files_of(other)
    assert [name for name in made if made[name] != again[name]] == []


def test_an_unwritable_folder_is_named(copy, undrawn):
    (copy / "figures").write_text("in the way")
    with pytest.raises(RunError, match=r"run/figures: could not be written"):
        write_sweep(copy)
    assert not (copy / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("trajectories/n-16_gamma-1_seed-5.csv", lambda text: None),
        ("trajectories/n-16_gamma-1_seed-5.csv", lambda text: text[: len(text) // 2]),
        ("trajectories/n-16_gamma-1_seed-5.csv", lambda text: text[: text.rindex("\n40,") + 1]),
        ("trajectories/n-4_gamma-0_seed-0.csv", lambda text: text.replace("\n7,0.", "\n7,x.")),
        ("trajectories/n-4_gamma-0_seed-0.csv", lambda text: text.replace("\n40,0.", "\n40,x.")),
        ("trajectories/n-4_gamma-0_seed-0.csv", lambda text: text.rsplit(",", 4)[0] + ",x,,,\n"),
        ("tail-miss.csv", lambda text: None),
        ("tail-miss.csv", lambda text: text[: text.rindex("\n64") + 1]),
        ("recipe.yaml", lambda text: None),
        ("environment.json", lambda text: text[:20]),
    ],
)
def test_what_is_missing_or_cut_is_named_and_nothing_written(copy, name, damage):
    text = damage((copy / name).read_text())
    if text is None:
        (copy / name).unlink()
    else:
        assert text != (copy / name).read_text()
        (copy / name).write_text(text)
    with pytest.raises(RunError) as caught:
        write_sweep(copy)
    assert str(copy / name) in str(caught.value)
    assert "run the same command" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not REPORT & set(files_of(copy))


def test_importing_it_loads_no_matplotlib():
    code = "import sys, fgrpo.simulation.write; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Numbers


def test_final_numbers_are_those_of_the_trajectories(reported):
    rows = table(reported, "final.csv")
    order = [(int(row["group_size"]), float(row["gamma"])) for row in rows]
    assert order == [(size, gamma) for size in (4, 16, 64) for gamma in (0.0, 1.0)]
    for row in rows:
        of = (reported, row["group_size"], row["gamma"].removesuffix(".0"))
        assert row["seeds"] == "2"
        for column in ("q_pos", "m_ret", "entropy"):
            check(row, column, [float(seed[-1]) for seed in cells(*of, column)])
        for column in ("unsampled_correct", "tail_miss"):
            seeds = cells(*of, column)
            assert [seed[-1] for seed in seeds] == ["", ""]
            check(row, column, [fmean(map(float, seed[:-1])) for seed in seeds])


def check(row, column, seeds):
    found = [float(row[f"{column}_{kind}"]) for kind in ("mean", "min", "max")]
    assert found == pytest.approx([sum(seeds) / 2, min(seeds), max(seeds)], rel=1e-12)


def test_tail_miss_numbers(reported):
    rows = table(reported, "tail_miss.csv")
    with (reported / "tail-miss.csv").open() as file:
        measured = list(csv.DictReader(file))
    assert len(rows) == len(measured) == 3
    policy = Policy.anchored(300, 40)
    for row, found in zip(rows, measured, strict=True):
        for name in ("group_size", "groups", "predicted", "measured"):
            assert float(row[name]) == float(found[name])
        gap = float(row["measured"]) - float(row["predicted"])
        assert float(row["deviation"]) == pytest.approx(gap / float(row["standard_error"]))
        assert abs(float(row["deviation"])) < 5
        # The groups' own estimate is near theory here, where many of them are not mixed or the
        # tail is small.
        size, groups = int(row["group_size"]), int(row["groups"])
        missed = measure_tail_miss(policy, size, groups, np.random.default_rng(size))
        estimate = missed.std(ddof=1) / np.sqrt(groups)
        assert float(row["standard_error"]) == pytest.approx(estimate, rel=0.1)


@pytest.mark.parametrize(("deviations", "place"), [((0.5, -3.0, 2.0), 1), ((-0.1, 0.0, 0.2), 2)])
def test_the_largest_deviation_may_be_to_either_side(deviations, place):
    rows = tail_miss_rows(put_together())
    rows = [replace(row, deviation=one) for row, one in zip(rows, deviations, strict=True)]
    assert largest_deviation(rows) is rows[place]


def test_the_summary_has_the_same_numbers(reported):
    found = json.loads((reported / "summary.json").read_text(encoding="utf-8"))
    assert found["recipe"]["name"] == "small"
    assert found["policy"]["actions"] == 300
    assert (found["policy"]["correct"], found["policy"]["tail"]) == (40, 39)
    weights = np.exp([5.0] + [3.0] * 39 + [0.0] * 260)
    assert found["policy"]["q_pos"] == pytest.approx(weights[:40].sum() / weights.sum())
    rows = table(reported, "final.csv")
    for row, entry in zip(rows, found["final"], strict=True):
        assert float(row["m_ret_mean"]) == entry["m_ret"]["mean"]
        assert float(row["tail_miss_max"]) == entry["tail_miss"]["high"]
        assert float(row["entropy_min"]) == entry["entropy"]["low"]
    for gamma, least in zip((0.0, 1.0), found["least_kept"], strict=True):
        of_gamma = [row for row in rows if float(row["gamma"]) == gamma]
        lowest = min(of_gamma, key=lambda row: float(row["m_ret_mean"]))
        assert least["gamma"] == gamma
        assert least["group_size"] == int(lowest["group_size"])
    missed = table(reported, "tail_miss.csv")
    farthest = max(missed, key=lambda row: abs(float(row["deviation"])))
    assert found["largest_deviation"]["group_size"] == int(farthest["group_size"])
    assert found["largest_deviation"]["standard_errors"] == float(farthest["deviation"])
    assert found["environment"][0]["command"] == "fgrpo simulate <b>"


# Sentences, of runs whose ends are set by hand

ENDS = {  # (N, γ): M_ret of the seeds, Q_pos of the seeds
    (4, 0.0): ([0.9, 0.92], [0.7, 0.7]),
    (16, 0.0): ([0.03, 0.05], [0.99, 0.98]),
    (20_000, 0.0): ([0.5, 0.5], [0.97, 0.97]),
    (4, 1.0): ([0.9, 0.9], [0.65, 0.65]),
    (16, 1.0): ([0.25, 0.35], [0.9, 0.92]),
    (20_000, 1.0): ([0.99, 0.99], [0.96, 0.96]),
}


def with_ends(ends, **changes):
    def fill(run):
        rows = np.ones((3, 6))
        kept, right = ends[run.group_size, run.gamma]
        place = (0, 5).index(run.seed)
        rows[-1, 0], rows[-1, 1] = right[place], kept[place]
        return rows

    sizes = sorted({size for size, _ in ends})
    gammas = sorted({gamma for _, gamma in ends})
    return put_together(fill, group_sizes=sizes, gammas=gammas, steps=2, **changes)


def test_sentences_say_where_least_is_kept_and_what_gamma_changes():
    said = sentences(with_ends(ENDS))
    assert said[0.0] == [
        "With γ = 0, the least is kept at N = 16: 4.0% (3.0–5.0%) of the initial correct mass.",
        "The correct actions hold 98.5% (98.0–99.0%) of all mass at N = 16 in the end; before the "
        "first step they held 50.0%.",
    ]
    assert said[1.0] == [
        "With γ = 1, the least is kept at N = 16: 30.0% (25.0–35.0%) of the initial correct mass.",
        "The correct actions hold 91.0% (90.0–92.0%) of all mass at N = 16 in the end; before the "
        "first step they held 50.0%.",
        "Against γ = 0 the gain is largest at N = 20,000: 99.0% of the initial correct mass kept "
        "instead of 50.0%, with 96.0% of all mass on correct actions instead of 97.0%.",
        "γ = 1 keeps less than γ = 0 at 1 of 3 group sizes, most so at N = 4: 90.0% instead of "
        "91.0% (90.0–92.0%).",
    ]


def test_sentences_of_one_group_size():
    ends = {(4, 0.5): ([0.9, 0.9], [0.7, 0.7]), (4, 2.0): ([0.7, 0.7], [0.8, 0.8])}
    said = sentences(with_ends(ends))
    assert said[0.5][0] == "With γ = 0.5, 90.0% of the initial correct mass is kept at N = 4."
    assert said[2.0][2:] == ["γ = 2 keeps less than γ = 0.5 at N = 4: 70.0% instead of 90.0%."]
    ends[4, 2.0] = ([0.95, 0.95], [0.6, 0.6])
    assert sentences(with_ends(ends))[2.0][2:] == [
        "Against γ = 0.5 there is a gain at N = 4: 95.0% of the initial correct mass kept instead "
        "of 90.0%, with 60.0% of all mass on correct actions instead of 70.0%."
    ]


def test_no_difference_is_told_that_the_digits_do_not_show():
    ends = {(4, 0.0): ([0.9, 0.9], [0.7, 0.7]), (4, 1.0): ([0.9001, 0.9001], [0.7, 0.7])}
    assert len(sentences(with_ends(ends))[1.0]) == 2


def test_of_equal_group_sizes_the_smallest_keeps_least():
    ends = {(n, 0.0): ([0.5, 0.5], [0.7, 0.7]) for n in (8, 4, 16)}
    assert least_kept(final_rows(with_ends(ends)), 0.0).group_size == 4


def test_what_the_terminal_shows():
    lines = final_lines(with_ends(ENDS))
    assert lines[0] == "After 2 steps, means over 2 seeds"
    assert [line.split() for line in lines[2:6]] == [
        ["N", "γ", "=", "0", "γ", "=", "1", "γ", "=", "0", "γ", "=", "1"],
        ["4", "91.0%", "90.0%", "70.0%", "65.0%"],
        ["16", "4.0%", "30.0%", "98.5%", "91.0%"],
        ["20,000", "50.0%", "99.0%", "97.0%", "96.0%"],
    ]
    assert len({len(line) for line in lines[1:6]}) == 1
    said = sentences(with_ends(ENDS))
    assert lines[6:] == ["", *said[0.0], "", *said[1.0]]
    assert len(final_lines(with_ends({(4, 0.0): ([1, 1], [1, 1])}))[1]) < 80


# The page


def test_the_page_loads_nothing_from_outside_and_describes_every_picture(reported):
    page = Page(reported)
    assert len(page.targets) == len(page.alts) == len(FIGURES) - 1
    assert all(target.startswith("data:image/svg+xml;base64,") for target in page.targets)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert "http" not in page.source
    final = {
        (row["group_size"], float(row["gamma"])): f"{100 * float(row['m_ret_mean']):.1f}%"
        for row in table(reported, "final.csv")
    }
    (kept,) = (alt for alt in page.alts if alt.startswith("Retained correct mass over 40 steps"))
    ends = "; ".join(f"N = {size} {final[size, 0.0]}" for size in ("4", "16", "64"))
    assert kept.endswith(f"with γ = 0; in the end: {ends}.")
    (lead,) = (alt for alt in page.alts if alt.startswith("Retained correct mass after the last"))
    for gamma in (0.0, 1.0):
        shares = sorted(float(final[size, gamma].rstrip("%")) for size in ("4", "16", "64"))
        assert f"γ = {gamma:g} from {shares[0]:.1f}% at N = " in lead
        assert f" to {shares[-1]:.1f}% at N = " in lead


def test_alternative_texts_name_the_extremes_wherever_they_lie(undrawn):
    made = pictures(with_ends(ENDS))
    drawn, wide = {figure.name: figure.alt for figure in made.main}, made.wide.alt
    assert drawn["final_retained_mass"] == (
        "Retained correct mass after the last step: γ = 0 from 4.0% at N = 16 to 91.0% at N = 4; "
        "γ = 1 from 30.0% at N = 16 to 99.0% at N = 20,000."
    )
    assert drawn["final_entropy"].startswith("Entropy after the last step: γ = 0 from 1.00 nats")
    assert wide.startswith("Total correct mass over 2 steps with γ = 0; in the end: N = 4 70.0%; ")
    assert " Retained correct mass over 2 steps with γ = 0; in the end: N = 4 91.0%; " in wide
    assert wide.endswith(drawn["final_retained_mass"])


def test_what_the_user_wrote_is_shown_and_not_obeyed(reported):
    page = Page(reported)
    assert HOSTILE in page.text
    assert HOSTILE not in page.source
    assert "fgrpo simulate <b>" in page.text


def test_the_page_says_what_it_is_and_what_it_is_not(reported):
    text = Page(reported).text
    for phrase in (
        "one prompt, and for a policy a softmax over 300 actions with a logit each; no network",
        "40 actions are correct",
        "3 group sizes × 2 γ × 2 seeds = 12 runs of 40 steps",
        "Numbers are means over 2 seeds",
        "The paper does not name its optimiser; here it is Adam with β 0.9 and 0.999",
        "learning rate 0.05",
        "correct 1, wrong −1",
    ):
        assert phrase in text
    for lines in sentences(load_sweep(reported)).values():
        for line in lines:
            assert line in text


def test_the_tables_of_the_page(reported):
    text = Page(reported).text
    rows = {(row["group_size"], row["gamma"]): row for row in table(reported, "final.csv")}
    for measure in ("m_ret", "q_pos"):
        for size in ("4", "16", "64"):
            words = [size]
            for gamma in ("0.0", "1.0"):
                mean, low, high = (
                    f"{100 * float(rows[size, gamma][f'{measure}_{kind}']):.1f}"
                    for kind in ("mean", "min", "max")
                )
                words.append(f"{mean}%{low}%" if low == high else f"{mean}%{low}–{high}%")
            assert f" {''.join(words)} " in text
    missed = tail_miss_rows(load_sweep(reported))
    farthest = max(abs(row.deviation) for row in missed)
    assert f"The largest of 3 deviations is {farthest:.1f} standard errors, at N = " in text
    for row in missed:
        assert f" {row.group_size}{row.groups} " in text
        assert f" {100 * row.predicted:.4f}{100 * row.measured:.4f} " in text


def test_the_page_names_the_largest_deviation(copy, undrawn):
    lines = (copy / "tail-miss.csv").read_text().splitlines()
    of_16 = lines[2].split(",")
    assert of_16[0] == "16"
    of_16[3] = f"{float(of_16[2]) - 0.2:.10g}"
    (copy / "tail-miss.csv").write_text("\n".join([*lines[:2], ",".join(of_16), lines[3]]) + "\n")
    write_sweep(copy)
    deviation = float(table(copy, "tail_miss.csv")[1]["deviation"])
    assert deviation < -20
    page = Page(copy)
    said = f"largest of 3 deviations is {-deviation:.1f} standard errors, at N = 16."
    assert said in page.text
    assert f"−{-deviation:.1f}" in page.text
    assert [alt for alt in page.alts if f"N = 16 with −{-deviation:.1f} standard errors" in alt]


def test_the_page_shows_step_by_step_where_least_is_kept(reported):
    page = Page(reported)
    size = least_kept(final_rows(load_sweep(reported)), 0.0).group_size
    assert f"Step by step at N = {size}" in page.text
    assert sum(f"over the steps at N = {size};" in alt for alt in page.alts) == 4


def test_the_smallest_sweep_has_a_report_without_plurals(tmp_path, undrawn):
    small = recipe(group_sizes=[16], gammas=[0.5], seeds=[3], steps=1)
    run_sweep(small, tmp_path / "run", command="x")
    write_sweep(tmp_path / "run")
    text = Page(tmp_path / "run").text
    assert "1 group size × 1 γ × 1 seed = 1 run of 1 step." in text
    assert "There is one seed, so nothing here tells how much another would differ." in text
    assert "The deviation is " in text
    assert "means over" not in text
    assert "smallest and the largest" not in text
