"""The files of a plan: the page, its pictures, what is left of an earlier plan."""

import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.plan import (
    Asked,
    LabelledPilot,
    Plan,
    Solutions,
    TrlBatch,
    check,
    pictures,
    plan_for_pilot,
    plan_for_rates,
)
from fgrpo.plan.figures import drain_figure, tail_miss_figure
from fgrpo.plan.tables import csv_tables, summary
from fgrpo.plan.write import write_plan
from fgrpo.presentation.figures import DrawnFigure
from fgrpo.presentation.numbers import percent
from fgrpo.records import Counts

pytestmark = pytest.mark.slow

MADE = {"fgrpo": "1.2.3", "packages": {"numpy": "9.8"}, "commit": None, "command": "fgrpo plan"}
HOSTILE = "<script>alert('x')</script>&amp;\"onerror=\"\ud800"
SMALL = Asked(rare_shares=(0.1,), group_sizes=(2, 8), gammas=(0.0, 1.0))


class Page(HTMLParser):
    """What a page holds: its elements, its text, the tables' rows by their region's name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._region = ""
        self._cell = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if found.get("role") == "region":
            self._region = found["aria-label"] or ""
            self.tables[self._region] = []
        elif tag == "tr":
            self.tables[self._region].append([])
        elif tag in ("td", "th"):
            self.tables[self._region][-1].append("")
            self._cell = True
        elif tag == "small":
            self.tables[self._region][-1][-1] += "|"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.text += " ".join(data.split()) + " "
        if self._cell:
            self.tables[self._region][-1][-1] += data.strip()

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.elements if name == tag]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages have their pictures' words without the pictures, which take their time."""

    def blank(figure: None, name: str, title: str, caption: str, alt: str) -> DrawnFigure:
        return DrawnFigure(name, title, caption, alt, b"<svg/>", b"\x89PNG")

    monkeypatch.setattr(pictures, "save", blank)
    for name in vars(pictures):
        if name.endswith("_figure"):
            monkeypatch.setattr(pictures, name, lambda *_, **__: None)


def pilot_plan(
    c: Any = (0, 3, 8, 2, 5, 1, 0, 4, 6, 8), solutions: bool = True, **asked: Any
) -> Plan:
    n = np.full(len(c), 8)
    names = tuple(f"p{i}" for i in range(len(c)))
    labelled = LabelledPilot(
        tuple(
            Solutions(name, 8, np.array([2] * (k // 2) + [1] * (k % 2), np.int64))
            for name, k in zip(names, c, strict=True)
        ),
        *(8 * len(c), 0, ()),
    )
    return plan_for_pilot(
        Counts(names, n, np.array(c)),
        np.random.default_rng(0),
        labelled=labelled if solutions else None,
        asked=Asked(group_sizes=(2, 8), gammas=(0.0, 1.0), **asked),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def written(plan: Plan, folder: Path, **more: Any) -> Page:
    return Page(write_plan(plan, folder, made_by=MADE, **more))


def figures(*names: str) -> Iterator[str]:
    for name in names:
        yield from (f"figures/{name}.png", f"figures/{name}.svg")


def test_files_of_a_guess_and_their_contents(tmp_path: Path) -> None:
    plan = plan_for_rates([0.3], SMALL)
    checked = check(TrlBatch(8, 8))
    page = write_plan(plan, tmp_path / "new" / "folder", made_by=MADE, batch=checked)
    assert page == tmp_path / "new" / "folder" / "report.html"
    found = contents(page.parent)
    assert set(found) == {
        *("report.html", "plan.json", "tables/curves.csv", "tables/turning_points.csv"),
        *figures("tail_miss", "groups", "unsampled", "drain"),
    }
    for name, text in csv_tables(plan).items():
        assert found[f"tables/{name}"].decode() == text
    content = json.loads(found["plan.json"])
    assert content.pop("made_by") == MADE
    batch = content.pop("batch")
    assert (batch["valid"], batch["facts"]["rollouts_per_step"]) == (True, 8)
    assert content == summary(plan)
    for name, data in found.items():
        if name.endswith(".png"):
            assert data.startswith(b"\x89PNG")
        elif name.endswith(".svg"):
            assert b"<svg" in data


@pytest.mark.usefixtures("undrawn")
def test_files_of_several_guesses_and_of_a_pilot(tmp_path: Path) -> None:
    plan = plan_for_rates([0.1, 0.5], replace(SMALL, rare_shares=(0.1, 0.3)))
    page = written(plan, tmp_path / "guesses")
    parts = [f"{kind}_{i}" for kind in ("tail_miss", "groups", "unsampled") for i in (1, 2)]
    together = ("compare_rates_1", "compare_rates_2", "worst_size", "drain_mixture")
    drawn = {name for name in contents(tmp_path / "guesses") if name.startswith("figures/")}
    assert drawn == set(figures(*parts, *together))
    assert len(page.of("img")) == len(drawn) / 2
    written(pilot_plan(), tmp_path / "pilot")
    names = set(contents(tmp_path / "pilot"))
    assert {*figures("pilot", "drain"), "tables/pilot.csv"} < names


@pytest.mark.usefixtures("undrawn")
def test_of_many_success_rates_none_is_drawn_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, note = [0.1, 0.3, 0.5], "for each alone there are tables, and no pictures"
    for most in (3, 2):
        monkeypatch.setattr(pictures, "DRAWN_PARTS", most)
        page = written(plan_for_rates(rates, SMALL), tmp_path)
        assert (note in page.text) == (most == 2)
        assert len(page.of("section")) >= 3
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    compared = {f"compare_rates_{i + 1}" for i in range(len(SMALL.rare_shares))}
    assert drawn == {*compared, "worst_size", "drain_mixture"}


def test_same_plan_same_bytes(tmp_path: Path) -> None:
    write_plan(pilot_plan(), tmp_path / "a", made_by=MADE)
    plan = pilot_plan()
    tail_miss_figure(plan.parts[0], plan.pilot).canvas.draw()
    drain_figure(plan.parts[0]).canvas.draw()
    write_plan(plan, tmp_path / "b", made_by=MADE)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first == second
    write_plan(pilot_plan(c=(1,) * 10), tmp_path / "b", made_by=MADE)
    assert contents(tmp_path / "b")["report.html"] != first["report.html"]


@pytest.mark.usefixtures("undrawn")
def test_only_an_earlier_plans_own_files_are_removed(tmp_path: Path) -> None:
    written(plan_for_rates([0.1, 0.5], SMALL), tmp_path)
    written(pilot_plan(), tmp_path)
    mine = ["figures/mine.png", "figures/tail_miss_old.svg", "figures/drain.svg.bak", "notes.txt"]
    mine += ["tables/other.csv", "figures/pass_at_k.png"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    written(plan_for_rates([0.3], SMALL), tmp_path)
    fresh = tmp_path / "fresh"
    written(plan_for_rates([0.3], SMALL), fresh)
    left = {name for name in contents(tmp_path) if not name.startswith("fresh/")}
    assert left == {*contents(fresh), *mine}
    assert contents(fresh)["report.html"] == (tmp_path / "report.html").read_bytes()


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("in the way")
    with pytest.raises(RunError, match="tables"):
        written(plan_for_rates([0.3], SMALL), tmp_path)


def test_page_stands_alone_and_its_pictures_can_be_heard(tmp_path: Path) -> None:
    plan = plan_for_rates([0.1], SMALL)
    page = written(plan, tmp_path)
    for tag in ("script", "link", "iframe", "object"):
        assert not page.of(tag)
    images = page.of("img")
    assert len(images) == 4
    for image in images:
        assert (image["src"] or "").startswith("data:image/svg+xml;base64,")
    cells = [cell for rows in page.tables.values() for row in rows for cell in row]
    assert not [cell for cell in cells if "|" in cell]  # a guess has no intervals
    alts = [image["alt"] or "" for image in images]
    # μ = 0.1, ρ = 0.1: worst at 25, below 5% from 299 on; groups of 2 are mixed with 18%.
    assert "success rate 0.1; rare share 10%: highest at N = 25, below 5% from N = 299" in alts[0]
    assert "N = 2: all wrong 81.0%, active 18.0%, all right 1.0%" in alts[1]
    assert "from 98.0% at N = 2 to 92.3% at N = 8" in alts[2]  # 0.99², 0.99⁸
    # One success rate: drained μ·E[w(1−ρ)^k] per (1−μ)·E[w]; k = 1 alone for N = 2.
    assert "at N = 2: 0.10 for γ = 0, 0.10 for γ = 1" in alts[3]


def test_tables_of_the_page_hold_the_plans_numbers(tmp_path: Path) -> None:
    plan = pilot_plan(rare_shares=(0.1, 0.3), budget=50, min_prompts=1)
    page = written(plan, tmp_path)
    curves, table, found = plan.parts[0].curves, plan.parts[0].table, plan.pilot
    assert table is not None
    assert found is not None
    assert found.unsampled is not None
    label = plan.parts[0].label

    def share(band: Any, *place: int) -> str:
        mean, low, high = (percent(side[place]) for side in band)
        return f"{mean}|{low[:-1]}–{high[:-1]}"

    rows = page.tables[f"Groups, {label}"]
    arrow = " ←" if plan.recommendation.group_size == 8 else ""
    assert rows[2][0] == f"8{arrow}"
    assert rows[1][1] == share(curves.active, 0)
    error = 100 * found.direct.standard_error[0]
    assert rows[1][2] == f"{percent(found.direct.mean[0])}|± {error:.1f}"
    assert rows[2][3:5] == [share(curves.all_right, 1), share(curves.all_wrong, 1)]
    assert rows[2][5:7] == ["6", "2"]
    ends = [f"{side[1]:.1f}" for side in table.active_groups]
    assert rows[2][7] == f"{ends[0]}|{ends[1]}–{ends[2]}"

    rows = page.tables[f"Rare answers, {label}"]
    assert rows[2][1:5] == [
        *(share(curves.tail_miss, j, 0) for j in (0, 1)),
        *(share(curves.unsampled, j, 0) for j in (0, 1)),
    ]
    assert rows[2][5] == share([np.asarray(side) for side in found.unsampled], 0)
    assert rows[3][5] == "–"  # the pilot has 8 samples, and 9 are needed
    ends = [f"{side[1, 0, 1]:.3f}" for side in curves.drain]
    assert rows[3][7] == f"{ends[0]}|{ends[1]}–{ends[2]}"

    rows = page.tables["Worst and safe group sizes"]
    assert rows[1] == [label, "10%", f"{curves.worst[0]:,}", f"{curves.safe[0]:,}"]
    assert rows[2] == ["", "30%", f"{curves.worst[1]:,}", f"{curves.safe[1]:,}"]

    fit = dict(page.tables["The pilot"])
    assert fit["Prompts"] == "10"
    assert fit["Samples"] == "80 in all, 8 of each prompt"
    assert fit["Never solved"] == "20.0% of the prompts"
    low, high = (f"{100 * float(end):.1f}" for end in found.fit.mean[1:])
    assert fit["Mean success rate"].endswith(f"(90% interval {low}–{high}%)")
    assert fit["Fit"].startswith(f"p = {found.fit.fit_p_value:.3f}: such a pilot is not unusual")
    assert dict(page.tables["How it was made"]) == {
        "fgrpo": "1.2.3",
        "packages": "numpy 9.8",
        "commit": "–",
        "command": "fgrpo plan",
    }


@pytest.mark.usefixtures("undrawn")
def test_good_turing_is_told(tmp_path: Path) -> None:
    # Singletons over correct samples: 1/3, 0, 0, 1/5, 0, 0, 0 of the 7 prompts with two or more.
    text = written(pilot_plan(), tmp_path).text
    told = text[text.index("By Good and Turing") :]
    assert f"{100 * (1 / 3 + 1 / 5) / 7:.1f}%" in told[:60]
    assert "the 7 prompts with at least two correct samples; 2 had none, 1 just one" in told
    assert f"right or wrong: {100 * 3 / 80:.1f}%" in told
    assert "near 100% whatever the policy" in told
    left_out = pilot_plan()
    assert left_out.pilot is not None
    assert left_out.pilot.labelled is not None
    labelled = replace(left_out.pilot.labelled, left_out=("p1",), unlabelled=2)
    findings = replace(left_out.pilot, labelled=labelled)
    text = written(replace(left_out, pilot=findings), tmp_path).text
    assert "1 prompt is left out, as 2 correct samples have no label" in text
    assert "left out, as" not in told
    assert "The rare shares of this page are chosen, not estimated" in told
    assert "go nearly all differ" not in told


@pytest.mark.usefixtures("undrawn")
def test_texts_that_nearly_all_differ_say_little(tmp_path: Path) -> None:
    # One pair in 9 prompts of 8: 8 + 1 − (2/8)/9 … 97% are singletons.
    solutions = [np.array([2] + [1] * 6), *[np.ones(8, np.int64)] * 8]
    names = tuple(f"p{i}" for i in range(9))
    labelled = LabelledPilot(
        tuple(Solutions(name, 8, one) for name, one in zip(names, solutions, strict=True)),
        *(72, 0, ()),
    )
    plan = plan_for_pilot(
        Counts(names, np.full(9, 8), np.full(9, 8)),
        np.random.default_rng(0),
        labelled=labelled,
        asked=SMALL,
    )
    text = written(plan, tmp_path).text
    assert f"{100 * (8 + 6 / 8) / 9:.1f}%" in text
    assert "As texts go nearly all differ, so the estimate says little of the policy." in text
    assert "What it cannot tell:" not in text
    assert "chosen, not estimated" in text


@pytest.mark.usefixtures("undrawn")
def test_safe_sizes_that_rest_on_the_tail_or_mean_nothing_are_marked(tmp_path: Path) -> None:
    told = "A safe N beyond the pilot's 8 samples of a prompt rests on the tail"
    plan = pilot_plan()
    assert plan.parts[0].curves.safe[0] > 8  # type: ignore[operator]
    text = written(plan, tmp_path).text
    assert text.count(told) == 1
    curves = plan.parts[0].curves

    def shown(**changed: Any) -> Page:
        part = replace(plan.parts[0], curves=replace(curves, **changed))
        return written(replace(plan, parts=(part,), mixture=part), tmp_path)

    assert told not in shown(safe=(8, 8, 8)).text
    assert told in shown(safe=(8, None, 8)).text
    page = shown(mostly_dead=(True, True, True))
    assert told not in page.text
    assert "Mostly dead: at no N of the table are half of the groups active" in page.text
    assert [row[3] for row in page.tables["Worst and safe group sizes"][1:]] == ["mostly dead"] * 3
    assert "groups mostly dead" in (page.of("img")[0]["alt"] or "")
    assert "Mostly dead:" not in text
    assert told not in written(plan_for_rates([0.01], SMALL), tmp_path).text


@pytest.mark.usefixtures("undrawn")
def test_pilots_without_solutions_say_so(tmp_path: Path) -> None:
    text = written(pilot_plan(solutions=False), tmp_path).text
    assert "records come without texts" in text
    assert "Good and Turing" not in text
    text = written(pilot_plan(c=(0, 1, 0, 1, 0)), tmp_path).text
    assert "No prompt has two correct samples, so the pilot says nothing" in text


@pytest.mark.usefixtures("undrawn")
def test_advice_comes_first_and_warnings_follow(tmp_path: Path) -> None:
    plan = pilot_plan()
    advice = replace(plan.recommendation, group_size=8, gamma=0.5, reason="So.", agreement=0.8)
    shown = replace(plan, recommendation=advice, warnings=("Beware.",))
    page = written(shown, tmp_path)
    text = page.text
    advised = [row[0] for row in page.tables[f"Groups, {plan.parts[0].label}"]]
    assert advised == ["N", "2", "8 ←"]
    assert {"class": "advised"} in page.of("tr")
    places = [
        text.index(said)
        for said in ("Groups of 8 with γ = 0.5", "So.", "Beware.", "sizes to avoid")
    ]
    assert places == sorted(places)
    assert "80% of the distributions" in text
    plain = replace(shown, recommendation=replace(advice, gamma=0.0))
    assert "Groups of 8 without the focal weight (γ = 0)" in written(plain, tmp_path).text
    none = replace(advice, group_size=None, gamma=None, agreement=0.4)
    page = written(replace(shown, recommendation=none), tmp_path)
    assert "No group size can be recommended" in page.text
    assert "The commonest advice has 40%" in page.text
    assert {"class": "advised"} not in page.of("tr")
    text = written(plan_for_rates([0.1, 0.5], SMALL), tmp_path).text
    assert "Group size and γ for success rates 0.1 and 0.5" in text
    assert "of the distributions of success rates that fit" not in text


@pytest.mark.usefixtures("undrawn")
def test_a_batch_is_judged(tmp_path: Path) -> None:
    plan = plan_for_rates([0.3], SMALL)
    assert "The batch" not in written(plan, tmp_path).text
    page = written(plan, tmp_path, batch=check(TrlBatch(8, 16, accumulation=2)))
    assert "The trainer accepts these settings." in page.text
    facts = dict(page.tables["The batch"])
    assert (facts["Group size"], facts["Prompts a step"], facts["Rollouts a step"]) == (
        "8",
        "4",
        "32",
    )
    refused = check(TrlBatch(8, 6))
    text = written(plan, tmp_path, batch=refused).text
    assert "The trainer refuses these settings:" in text
    assert " ".join(refused.problems[0].split()) in text
    assert refused.suggestions[0].change in text


def test_hostile_labels_are_only_text(tmp_path: Path) -> None:
    plan = plan_for_rates([0.1, 0.5], SMALL)
    parts = tuple(replace(part, label=f"{HOSTILE} {i}") for i, part in enumerate(plan.parts))
    hostile = replace(plan, parts=parts, warnings=(HOSTILE,))
    made = {HOSTILE: HOSTILE}
    page = Page(write_plan(hostile, tmp_path, made_by=made))
    assert not page.of("script")
    assert not [found for _, found in page.elements if "onerror" in found]
    shown = HOSTILE.replace("\ud800", "?")
    assert page.text.count(shown) >= 4
    assert any(f"{shown} 0" in (image["alt"] or "") for image in page.of("img"))
    content = json.loads((tmp_path / "plan.json").read_text())
    assert content["parts"][0]["label"] == f"{HOSTILE} 0"
    assert content["made_by"] == made


@pytest.mark.usefixtures("undrawn")
def test_a_size_that_no_run_has_is_not_written_out(tmp_path: Path) -> None:
    plan = plan_for_rates([1e-7], SMALL)
    page = written(plan, tmp_path)
    assert plan.parts[0].curves.worst == (None,)
    assert page.tables["Worst and safe group sizes"][1][2:] == ["more than a million"] * 2


def test_a_runs_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: mine")
    with pytest.raises(UsageError, match="is the folder of a run, not of a plan"):
        write_plan(plan_for_rates([0.3], SMALL), tmp_path, made_by=MADE)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]
