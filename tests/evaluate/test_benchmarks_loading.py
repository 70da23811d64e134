"""Loading benchmarks: local files of each format, the hub, errors, digests."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.benchmarks import BENCHMARKS
from fgrpo.evaluate.loading import digest_of, load
from fgrpo.evaluate.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AIME = [{"id": 60 + n, "problem": f"What is {n}?", "answer": str(n)} for n in range(30)]


def as_json_lines(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    return path


def as_json(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def as_csv(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".csv")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_parquet(rows: list[dict[str, Any]], path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path.with_suffix(".parquet")
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def as_saved_dataset(rows: list[dict[str, Any]], path: Path) -> Path:
    import datasets

    datasets.Dataset.from_list(rows).save_to_disk(path, num_proc=None)
    return path


def as_saved_splits(rows: list[dict[str, Any]], path: Path) -> Path:
    import datasets

    other = datasets.Dataset.from_list([{"id": 0, "problem": "no", "answer": "no"}])
    table = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"other": other, "train": table}).save_to_disk(path)
    return path


WRITERS: list[Callable[[list[dict[str, Any]], Path], Path]] = [
    as_json_lines,
    as_json,
    as_csv,
    as_parquet,
    as_saved_dataset,
    as_saved_splits,
]


@pytest.fixture(autouse=True)
def _quiet_datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("write", WRITERS)
def test_a_local_file_of_each_format_gives_the_same_problems(write, tmp_path):
    loaded = load("aime24", data=write(AIME, tmp_path / "table"))
    assert [problem.id for problem in loaded.problems] == [f"aime24/{60 + n}" for n in range(30)]
    assert loaded.problems[7] == Problem("aime24/67", "What is 7?", "maths", "7")
    assert loaded.warnings == ()
    assert loaded.skipped == {}
    assert loaded.revision is None
    assert loaded.benchmark is BENCHMARKS["aime24"]
    assert loaded.digest == load("aime24", data=as_json_lines(AIME, tmp_path / "again")).digest


def test_a_json_file_may_hold_lines(tmp_path):
    path = tmp_path / "lines.json"
    as_json_lines(AIME, tmp_path / "lines").rename(path)
    assert len(load("aime24", data=path).problems) == 30


def test_a_cell_of_csv_may_hold_any_kind_of_line_break(tmp_path):
    rows = [{"problem": 'a\nb\r\nc\u2028d\x0be, "f"', "answer": "1"}]
    path = as_csv(rows, tmp_path / "table")
    assert load("aime24", data=path).problems[0].prompt == rows[0]["problem"]
    path.write_text("problem,answer\na\u2028b,1\n", encoding="utf-8")
    assert load("aime24", data=path).problems[0].prompt == "a\u2028b"


def test_lists_and_nested_values_survive_json_and_parquet(tmp_path):
    row = {
        "key": 1,
        "prompt": "Write.",
        "instruction_id_list": ["a", "b"],
        "kwargs": [{"n": 3, "x": None}, {"n": None, "x": "y"}],
    }
    problems = [
        load("ifeval", data=write([row], tmp_path / "table")).problems
        for write in (as_json_lines, as_parquet, as_saved_dataset)
    ]
    assert problems[0][0].reference["kwargs"] == [{"n": 3}, {"x": "y"}]
    assert problems[0] == problems[1] == problems[2]


def test_a_part_of_a_benchmark_is_loaded_with_a_warning(tmp_path):
    loaded = load("aime24", data=as_json_lines(AIME[:4], tmp_path / "part"))
    assert len(loaded.problems) == 4
    (warning,) = loaded.warnings
    assert "4 problems, where the benchmark has 30" in warning


def test_a_limit_takes_the_first_problems_and_leaves_the_digest(tmp_path):
    path = as_json_lines(AIME, tmp_path / "table")
    whole, part = load("aime24", data=path), load("aime24", data=path, limit=3)
    assert part.problems == whole.problems[:3]
    assert part.digest == whole.digest
    assert part.warnings == ()
    assert load("aime24", data=path, limit=100).problems == whole.problems
    with pytest.raises(UsageError, match="limit is 0"):
        load("aime24", data=path, limit=0)


def test_the_digest_is_that_of_canonical_json_whatever_the_order():
    problems = [
        Problem("b/2", "é?", "exact", {"y": 1, "x": [2]}),
        Problem("b/1", "?", "maths", "1"),
    ]
    text = '["b/1","?","maths","1"]\n["b/2","\\u00e9?","exact",{"x":[2],"y":1}]\n'
    assert digest_of(problems) == hashlib.sha256(text.encode()).hexdigest()
    assert digest_of(problems[::-1]) == digest_of(problems)


@pytest.mark.parametrize(
    "changed",
    [
        Problem("b/2", "?", "maths", "1"),
        Problem("b/1", "??", "maths", "1"),
        Problem("b/1", "?", "exact", "1"),
        Problem("b/1", "?", "maths", "2"),
    ],
)
def test_any_change_of_a_problem_changes_the_digest(changed):
    assert digest_of([changed]) != digest_of([Problem("b/1", "?", "maths", "1")])


@pytest.mark.parametrize("reference", [{1, 2}, float("nan"), b"x", [object()]])
def test_a_reference_that_is_not_fit_for_json_is_refused(reference):
    with pytest.raises(UsageError, match="b/1: its reference is not fit for JSON"):
        digest_of([Problem("b/1", "?", "exact", reference)])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"problem": "?"},
            "expected the columns problem, answer, found problem; answer is missing",
        ),
        ({}, "found none; problem is missing"),
        ({"problem": None, "answer": "1"}, "expected problem to be str, found nothing"),
        ({"problem": "?", "answer": None}, "expected answer to be str or int or float"),
        ({"problem": "?", "answer": True}, "found bool True"),
        ({"problem": "?", "answer": ["1"]}, "found list ['1']"),
        ({"problem": 5, "answer": "1"}, "expected problem to be str, found int 5"),
        ({"problem": "\ud800", "answer": "1"}, "half of one"),
        ({"problem": "?", "answer": "1", "id": "\ud800"}, "half of one"),
    ],
)
def test_a_row_that_is_not_as_documented_is_named(row, message, tmp_path):
    path = as_json_lines([*AIME[:2], row], tmp_path / "table")
    with pytest.raises(UsageError) as caught:
        load("aime24", data=path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)


def test_rows_of_other_formats_are_counted_from_one(tmp_path):
    rows = [*AIME[:2], {"problem": "?", "answer": None}]
    for write in (as_json, as_parquet):
        path = write(rows, tmp_path / "table")
        with pytest.raises(UsageError, match=r"table\.\w+: row 3: expected answer"):
            load("aime24", data=path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"problem": "?"', "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"problem": "?", "answer": "1"}\n[1]', "a.jsonl:2: expected an object"),
        ("a.json", "[1", "a.json: not JSON"),
        ("a.json", "[1]", "a.json: row 1: expected an object of columns and values, found int"),
        ("a.csv", "problem,answer\na,b,c", "a.csv: row 1 has more cells than the header"),
        ("a.csv", 'problem,answer\n"a"b,c', "a.csv: not CSV after line 1"),
        ("a.csv", "problem,answer\na", "a.csv: row 1: expected answer to be"),
        ("a.parquet", "no", "a.parquet: not Parquet"),
        ("a.txt", "?", "a.txt: unknown format '.txt'"),
        ("a", "?", "a: unknown format"),
        ("a.jsonl", "", "no problems found"),
        ("a.csv", "problem,answer\n", "no problems found"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        load("aime24", data=tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_another_encoding_and_a_strange_folder_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        load("aime24", data=tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes('{"problem": "é"}'.encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8 at byte 13"):
        load("aime24", data=tmp_path / "latin.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="not a folder that datasets saved"):
        load("aime24", data=tmp_path / "empty")


def test_a_saved_folder_without_the_split_names_those_it_has(tmp_path):
    path = as_saved_splits(AIME, tmp_path / "table")
    with pytest.raises(UsageError, match="has the splits other, train, not 'test'"):
        load("aime25", data=path)


def test_ids_that_occur_twice_are_refused(tmp_path):
    path = as_json_lines([AIME[0], AIME[1], AIME[0]], tmp_path / "table")
    with pytest.raises(UsageError, match="aime24/60: 1 ids occur more than once"):
        load("aime24", data=path)


def test_rows_that_are_left_out_are_counted_and_said(tmp_path):
    rows = [
        {"data_source": f"val/{task}", "extra_info": {"game_data_str": json.dumps(game)}}
        for task, game in [
            ("sudoku", {}),
            ("object_counting", {"question": "How many?", "answer": "3"}),
            ("sudoku", {}),
            ("campsite", {}),
        ]
    ]
    loaded = load("synlogic", data=as_json_lines(rows, tmp_path / "table"))
    assert [problem.id for problem in loaded.problems] == ["synlogic/2"]
    assert loaded.problems[0].verifier == "maths"
    assert sum(loaded.skipped.values()) == 3
    (warning,) = loaded.warnings
    assert warning.startswith("synlogic: 3 of 4 rows are left out: campsite")
    assert "sudoku needs a verifier of SynLogic's own (2)" in warning
    only = as_json_lines([rows[0]], tmp_path / "only")
    with pytest.raises(UsageError, match=r"no problems found \(1 rows are left out\)"):
        load("synlogic", data=only)


def test_a_synlogic_row_without_its_game_is_named(tmp_path):
    for game in ("", "not JSON", "{}", '{"question": "?"}'):
        row = {"data_source": "val/object_counting", "extra_info": {"game_data_str": game}}
        path = as_json_lines([row], tmp_path / "table")
        with pytest.raises(UsageError, match=r"table.jsonl:1: expected extra_info.game_data_str"):
            load("synlogic", data=path)


@pytest.mark.parametrize(
    ("benchmark", "row", "message"),
    [
        (
            "ifeval",
            {"key": 1, "prompt": "?", "instruction_id_list": ["a", "b"], "kwargs": [{}]},
            "found 1 for 2",
        ),
        (
            "ifeval",
            {"key": 1, "prompt": "?", "instruction_id_list": [], "kwargs": []},
            "found 0 for 0",
        ),
        (
            "olympiadbench",
            {"question": "?", "final_answer": [], "is_multiple_answer": False},
            "expected final_answer to be a list of strings, found []",
        ),
        (
            "olympiadbench",
            {"question": "?", "final_answer": [None], "is_multiple_answer": False},
            "found [None]",
        ),
    ],
)
def test_content_that_is_not_as_documented_is_named(benchmark, row, message, tmp_path):
    path = as_json_lines([row], tmp_path / "table")
    with pytest.raises(UsageError) as caught:
        load(benchmark, data=path)
    assert str(caught.value).startswith(f"{path}:1: ")
    assert message in str(caught.value)


class Hub:
    """Stands in for the hub: answers with rows, and remembers what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> None:
        import datasets
        import huggingface_hub

        self.loaded: list[tuple[Any, ...]] = []
        self.asked: list[str] = []
        self.rows = rows
        self.table = datasets.Dataset
        monkeypatch.setattr(datasets, "load_dataset", self.load_dataset)
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: self)

    def dataset_info(self, repo: str) -> Any:
        self.asked.append(repo)
        return type("Info", (), {"sha": "c0ffee"})

    def load_dataset(self, repo: str, config: str | None, *, split: str, revision: str) -> Any:
        self.loaded.append((repo, config, split, revision))
        return self.table.from_list(self.rows)


def test_the_hub_is_asked_for_the_pinned_revision(monkeypatch):
    hub = Hub(monkeypatch, AIME)
    loaded = load("aime24")
    pinned = "2fe88a2f1091d5048c0f36abc874fb997b3dd99a"
    assert hub.loaded == [("HuggingFaceH4/aime_2024", None, "train", pinned)]
    assert hub.asked == []
    assert loaded.revision == pinned
    assert len(loaded.problems) == 30


def test_the_hub_is_asked_for_a_benchmarks_own_config_and_split(monkeypatch):
    row = {"id": 1, "question": "?", "final_answer": ["1"], "is_multiple_answer": False}
    hub = Hub(monkeypatch, [{**row, "id": n} for n in range(674)])
    load("olympiadbench", revision="abc")
    assert hub.loaded == [("Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train", "abc")]


def test_without_a_pin_the_current_commit_is_asked_for_once_and_returned(monkeypatch):
    hub = Hub(monkeypatch, [{"question": f"{n}?", "answer": "1"} for n in range(272)])
    loaded = load("minerva")
    assert hub.asked == ["math-ai/minervamath"]
    assert hub.loaded == [("math-ai/minervamath", None, "test", "c0ffee")]
    assert loaded.revision == "c0ffee"
    again = load("minerva", revision=loaded.revision)
    assert hub.asked == ["math-ai/minervamath"]
    assert again.digest == loaded.digest


def test_the_revision_an_evaluation_was_begun_with_goes_before_the_pin(monkeypatch):
    hub = Hub(monkeypatch, AIME)
    assert load("aime24", revision="0ther").revision == "0ther"
    assert hub.loaded[0][-1] == "0ther"


def test_another_number_of_problems_on_the_hub_is_an_error(monkeypatch):
    Hub(monkeypatch, AIME[:29])
    with pytest.raises(RunError, match="29 problems, where the benchmark has 30: the dataset has"):
        load("aime24")
    with pytest.raises(RunError, match="29 problems"):
        load("aime24", limit=5)


def test_a_row_of_the_hub_is_named_by_its_number(monkeypatch):
    Hub(monkeypatch, [*AIME[:29], {"id": 1, "problem": None, "answer": "1"}])
    with pytest.raises(UsageError, match="HuggingFaceH4/aime_2024: row 30: expected problem"):
        load("aime24")


def test_an_unreachable_hub_is_told_in_one_line_with_the_way_round_it(monkeypatch):
    hub = Hub(monkeypatch, AIME)

    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no route\nto anywhere")

    monkeypatch.setattr(hub, "dataset_info", fail)
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", fail)
    for name, url in [("minerva", "math-ai/minervamath"), ("gpqa-diamond", "Idavidrein/gpqa")]:
        with pytest.raises(RunError) as caught:
            load(name)
        message = str(caught.value)
        assert "\n" not in message
        assert "ConnectionError: no route" in message
        assert message.endswith(f"--data {name}=FILE")
        assert f"https://huggingface.co/datasets/{url}" in message
        assert ("accept its terms" in message) == (name == "gpqa-diamond")


@pytest.mark.slow
def test_offline_the_real_libraries_give_the_same_error(tmp_path):
    code = (
        "from fgrpo.errors import RunError\n"
        "from fgrpo.evaluate.loading import load\n"
        "for name in ('minerva', 'aime24'):\n"
        "    try:\n"
        "        load(name)\n"
        "    except RunError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("math-ai/minervamath: could not be loaded from the hub")
    assert lines[1].startswith("HuggingFaceH4/aime_2024: could not be loaded from the hub")
    assert all("--data" in line for line in lines)


def test_without_datasets_the_extra_to_install_is_named(monkeypatch, tmp_path):
    path = as_parquet(AIME, tmp_path / "table")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for data in (None, path, tmp_path):
        with pytest.raises(UsageError, match=r"pip install '\.\[evaluate\]'"):
            load("aime24", data=data)
    assert len(load("aime24", data=as_csv(AIME, tmp_path / "plain")).problems) == 30
