"""The report of synthetic run folders: files, page, errors, and that it needs no PyTorch."""

import csv
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from test_report_statistics import HOSTILE, make_run

from fgrpo.errors import RunError
from fgrpo.report import write_report
from fgrpo.report.data import load_run

pytestmark = pytest.mark.slow

FIGURES = {
    "pass_at_k",
    "pass_at_1_training",
    "pass_at_n_training",
    "lost_gained",
    "success_rates",
    "groups_solved_all",
    "groups_mixed",
    "groups_solved_none",
    "entropy",
}
TABLES = {"pass_at_k", "during_training", "comparisons", "lost_gained", "problems"}


class Links(HTMLParser):
    """Collects what a page loads or links to, its element names and its text."""

    def __init__(self, page):
        super().__init__()
        self.targets, self.tags, self.alts, self.text = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in {"src", "href", "srcset", "data", "action"}:
                self.targets.append(value)
            if name == "alt":
                self.alts.append(value)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Two equal folders, each with its report; the second made twice over."""
    folders = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name) / "run"
        make_run(folder, description=HOSTILE)
        folders.append(folder)
    lines = write_report(folders[0])
    (folders[1] / "figures").mkdir()
    (folders[1] / "figures/lost_maze_9.png").write_bytes(b"of an earlier report")
    assert write_report(folders[1]) == lines
    return folders, lines


def written(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parts[-2] in {"figures", "tables", folder.name}
    }


def test_the_report_has_all_its_files_and_equal_folders_give_equal_bytes(built):
    (one, two), _ = built
    first, second = written(one), written(two)
    expected = {f"figures/{name}.{kind}" for name in FIGURES for kind in ("svg", "png")}
    expected |= {f"tables/{name}.csv" for name in TABLES} | {"report.html", "summary.json"}
    assert expected <= set(first)
    assert set(first) == set(second)  # so the earlier report's picture is gone
    assert not [name for name in first if first[name] != second[name]]
    assert not [name for name in first if name.endswith(".tmp")]


def test_the_page_loads_nothing_from_outside(built):
    (folder, _), _ = built
    page = (folder / "report.html").read_text(encoding="utf-8")
    links = Links(page)
    assert len(links.targets) >= len(FIGURES)
    assert not [target for target in links.targets if not target.startswith("data:image/svg+xml;")]
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert not {"script", "link", "iframe", "object"} & set(links.tags)
    assert len(links.alts) == len(links.targets)
    assert all(links.alts)
    assert len(page) < 3_000_000


def test_a_hostile_description_is_shown_and_not_obeyed(built):
    (folder, _), _ = built
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert HOSTILE in Links(page).text


def test_the_page_says_each_verdict_and_the_terminal_one_line_per_arm(built):
    (folder, _), lines = built
    assert [line.partition(":")[0] for line in lines] == ["GRPO", "F-GRPO γ = 0.5"]
    assert not [line for line in lines if "\n" in line]
    text = " ".join(Links((folder / "report.html").read_text(encoding="utf-8")).text.split())
    for line in lines:
        scores, _, rest = line.partition(". Against ")
        for score in scores.partition(": ")[2].split(", "):
            assert score.replace(" ", ": ") + " against " in text
        found = rest.partition(": ")[2].partition(". Note")[0].removesuffix(".")
        for phrase in found.split("; "):
            interval = phrase[phrase.index("95%") :] if "95%" in phrase else "no interval)"
            assert interval in text
    assert "GRPO against the base model: no significant difference in pass@1 or pass@8." in text
    assert "F-GRPO γ = 0.5 against GRPO: no significant difference in pass@1 or pass@8." in text
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert [entry["sentence"] for entry in summary["verdicts"]] == lines


def test_the_order_of_the_page(built):
    (folder, _), _ = built
    text = Links((folder / "report.html").read_text(encoding="utf-8")).text
    headings = [
        "Figures",
        "Lost by at least one arm, solved most often by the base",
        "Numbers",
        "How it was made",
    ]
    places = [text.index(f"\n{heading}\n") for heading in headings]
    assert all(a < b for a, b in pairwise(places))


def test_lost_mazes_are_drawn_with_their_counts(built):
    (folder, _), _ = built
    text = Links((folder / "report.html").read_text(encoding="utf-8")).text
    assert "2 held-out mazes that at least one arm no longer solved in most of its seeds" in text
    first = text.index("Base: 4\nGRPO: 0, 0\nF-GRPO γ = 0.5: 2, 1")
    assert first < text.index("Base: 2\nGRPO: 0, 0\nF-GRPO γ = 0.5: 3, 0")
    assert (folder / "figures/lost_maze_2.svg").exists()
    assert not (folder / "figures/lost_maze_3.svg").exists()


def test_it_is_built_without_pytorch(tmp_path):
    make_run(tmp_path / "run")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from fgrpo.report import write_report\n"
        "print(len(write_report(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "2", done.stderr
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "PyTorch, which is not installed" in page
    assert page.count("<img") == len(FIGURES)


def test_one_seed_no_reference_few_problems_and_only_the_end(tmp_path):
    """All the small cases at once, with a number of samples that is no power of two."""
    folder = tmp_path / "run"
    counts = {"base": [0, 3, 6, 1], ("a", 5): [1, 0, 6, 2]}
    make_run(
        folder, counts, arms=[{"name": "a", "gamma": 2.0}], seeds=[5], samples=6, steps=1, every=0
    )
    (line,) = write_report(folder)
    assert line.startswith("F-GRPO γ = 2: pass@1 37.5%, pass@6 75.0%. Against the base model")
    assert line.count("cannot be judged") == 2
    assert "it takes at least 6 problems, not 4" in line
    assert "One training seed only" in line
    assert "nan" not in line.lower()
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = " ".join(Links(page).text.split())
    assert "There is one training seed, so the noise of training is unknown" in text
    assert "over mazes and training seeds" not in text
    assert "Compared with the base model only" in text
    assert "otherwise: F-GRPO γ = 2." in text
    assert "evaluated only at the start and the end" in text
    assert "nan" not in text.lower().split()
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["arms"][0]["reference"] is None
    assert summary["comparisons"][0]["over_seeds"] is None
    assert summary["comparisons"][0]["over_problems_and_seeds"] is None
    assert summary["comparisons"][0]["over_problems"]["p_value"] is None
    with (folder / "tables/pass_at_k.csv").open(encoding="utf-8") as file:
        assert [row["k"] for row in csv.DictReader(file) if row["arm"] == "base"] == list("1246")


def test_eight_arms(tmp_path):
    arms = [{"name": f"arm-{i}", "gamma": float(i)} for i in range(8)]
    counts = {"base": [1] * 8} | {(f"arm-{i}", 0): [i % 3] * 8 for i in range(8)}
    make_run(tmp_path, counts, arms=arms, seeds=[0], samples=2, steps=1, every=0)
    lines = write_report(tmp_path)
    assert [line.partition(":")[0] for line in lines] == [
        "GRPO",
        *(f"F-GRPO γ = {i}" for i in range(1, 8)),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "recipe.yaml",
        "environment.json",
        "base/records/step-000000.jsonl",
        "arms/grpo/seed-1/metrics.jsonl",
        "arms/focal/seed-0/records/step-000002.jsonl",
        "arms/focal/seed-0/records/step-000003.jsonl",
    ],
)
def test_a_missing_file_is_named_with_the_remedy(tmp_path, name):
    make_run(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(RunError, match="run fgrpo run again to finish it") as caught:
        write_report(tmp_path)
    assert str(tmp_path / name) in str(caught.value)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("arms/grpo/seed-0/metrics.jsonl", "holds 2 of 3 steps"),
        ("arms/focal/seed-1/records/step-000003.jsonl", "it holds 63 of 64 samples"),
    ],
)
def test_an_incomplete_file_is_named(tmp_path, name, why):
    make_run(tmp_path)
    path = tmp_path / name
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(RunError, match=why) as caught:
        load_run(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recipe.yaml", "name: [unclosed"),
        ("recipe.yaml", yaml.safe_dump({"name": "x", "arms": [], "colour": "red"})),
        ("environment.json", '{"command": '),
        ("environment.json", '"a text"'),
        ("arms/grpo/seed-0/metrics.jsonl", "{}\n{}\n{}\n"),
        ("base/records/step-000000.jsonl", "not records\n"),
    ],
)
def test_a_malformed_file_is_named(tmp_path, name, content):
    make_run(tmp_path)
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RunError) as caught:
        load_run(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_records_of_other_problems_are_refused(tmp_path):
    make_run(tmp_path)
    path = tmp_path / "arms/grpo/seed-0/records/step-000003.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("maze-0000", "maze-0099"), encoding="utf-8")
    with pytest.raises(RunError, match="not those of the base model"):
        load_run(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    make_run(tmp_path)
    (tmp_path / "tables").write_text("in the way", encoding="utf-8")
    with pytest.raises(RunError, match=r"tables.*could not be written"):
        write_report(tmp_path)


def test_the_path_of_every_record_file_is_where_training_wrote_it(tmp_path):
    pytest.importorskip("torch")
    from fgrpo.lab import experiment, folders, train

    assert train.records_path is folders.records_path
    assert experiment.arm_folder is folders.arm_folder
    assert Path("r/arms/a/seed-3/records/step-000040.jsonl") == folders.records_path(
        folders.arm_folder(Path("r"), "a", 3), 40
    )
