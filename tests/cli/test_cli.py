"""The command line as its user meets it: what is printed, and the exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest

from fgrpo import __version__
from fgrpo.cli.run_options import print_recipes
from fgrpo.records import Record, RecordStore


def fgrpo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fgrpo", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def records(path: Path, correct: dict[str, int], n: int) -> Path:
    with RecordStore.open(path) as store:
        for problem, c in correct.items():
            store.extend(Record(problem=problem, sample=i, correct=i < c) for i in range(n))
    return path


def test_version() -> None:
    assert fgrpo("--version").stdout.strip() == __version__


def test_list_names_each_recipe_with_a_description() -> None:
    done = fgrpo("run", "--list")
    assert done.returncode == 0
    assert any(line.startswith("maze-small  ") for line in done.stdout.splitlines())


def test_descriptions_are_wrapped_to_the_terminal(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "61")
    print_recipes({"one": f"{'word ' * 8}re-used and more", "two": "short"})
    assert capsys.readouterr().out.splitlines() == [
        f"one{' ' * 14}word word word word word word word word",
        f"{' ' * 17}re-used and more",
        f"two{' ' * 14}short",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "no-such-recipe"], ["no-such-recipe", "maze-small"]),
        (["run", "--set", "train.group_size=1"], ["train.group_size", "2 or more"]),
        (["run", "--set", "maze.size=8"], ["maze.size", "odd", "9"]),
        (["run", "--set", "arms.0.gama=1"], ["arms.0.gama", "gamma"]),
        (["run", "--device", "tpu"], ["tpu", "cpu or cuda"]),
        (["run", "--out", "/dev/null/runs"], ["/dev/null", "--out"]),
        (["compare", "a.jsonl", "b.jsonl"], ["a.jsonl"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], told: list[str]) -> None:
    done = fgrpo(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(part in done.stderr for part in told), done.stderr


def test_debug_shows_the_traceback() -> None:
    done = fgrpo("run", "no-such-recipe", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_compare_prints_hand_computed_values(tmp_path: Path) -> None:
    base = {f"p{i}": 2 for i in range(8)} | {f"p{i}": 0 for i in range(8, 16)}
    trained = {f"p{i}": 4 for i in range(8)} | {f"p{i}": 0 for i in range(8, 16)}
    a = records(tmp_path / "a.jsonl", base, 4)
    b = records(tmp_path / "b.jsonl", trained, 4)
    done = fgrpo("compare", a, b)
    assert done.returncode == 0, done.stderr
    # pass@1: 2/4 on half of the problems = 25%; 4/4 on half = 50%. pass@4: 50% both.
    rows = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    cells = [row[:4] for row in rows if row and row[0].startswith("pass@")]
    assert ["pass@1", "25.0", "50.0", "+25.0"] in cells
    assert ["pass@4", "50.0", "50.0", "0.0"] in cells
    assert "no significant difference in pass@4" in done.stdout


def test_compare_of_several_seeds_puts_the_joint_comparison_first(tmp_path: Path) -> None:
    a = records(tmp_path / "a.jsonl", {f"p{i}": i % 3 for i in range(8)}, 4)
    first, second = (
        records(tmp_path / f"b[{j}].jsonl", {f"p{i}": (i + j) % 5 for i in range(8)}, 4)
        for j in range(2)
    )
    done = fgrpo("compare", a, first, "--also-b", second, "--k", 1)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert f"B: b[0], {first} and 1 more (8 problems, n = 4)" in text.replace("- ", "-")
    order = [
        "problems and training seeds together",
        "→ ",
        "Each holds the other noise fixed",
        "covered: problems (which",
        "covered: training seeds of B",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.count("→") == 1  # only the joint comparison gives a verdict


def test_compare_says_what_cannot_be_judged(tmp_path: Path) -> None:
    a = records(tmp_path / "a.jsonl", {"p0": 1, "p1": 2}, 4)
    b = records(tmp_path / "b.jsonl", {"p0": 2, "p1": 4}, 4)
    done = fgrpo("compare", a, b)
    assert done.returncode == 0, done.stderr
    assert "cannot be judged: it takes at least 6 problems, not 2" in " ".join(done.stdout.split())
    assert "nan" not in done.stdout
    assert "compare_generations" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.jsonl", "empty.jsonl"], "empty.jsonl holds no problems"),
        (["empty.jsonl", "a.jsonl"], "empty.jsonl holds no problems"),
        (["a.jsonl", "a.jsonl", "--also-b", "short.jsonl", "--k", "4"], "short.jsonl has 3 of"),
        (["a.jsonl", "short.jsonl", "--m", "4", "--k", "1"], "short.jsonl has of 'p0'"),
        (["a.jsonl", "a.jsonl", "--also-a", "other.jsonl"], "other.jsonl hold different problems"),
    ],
)
def test_compare_names_the_file_and_prints_nothing_else(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    for name, correct, n in (
        ("a", {"p0": 1}, 4),
        ("short", {"p0": 1}, 3),
        ("other", {"q0": 1}, 4),
        ("empty", {}, 4),
    ):
        records(tmp_path / f"{name}.jsonl", correct, n)
    done = fgrpo(
        "compare",
        *(tmp_path / arg if arg.endswith(".jsonl") else arg for arg in arguments),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr


def test_compare_names_problems_that_are_not_shared(tmp_path: Path) -> None:
    a = records(tmp_path / "a.jsonl", {"p0": 1, "only-in-a": 1}, 4)
    b = records(tmp_path / "b.jsonl", {"p0": 1, "only-in-b": 1}, 4)
    done = fgrpo("compare", a, b)
    assert done.returncode == 2
    assert "only-in-a" in done.stderr
    assert "only-in-b" in done.stderr
