"""Generated benchmarks: the same problems everywhere, and their own answers verify."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from importlib.metadata import version

import numpy as np
import pytest

from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmark import GeneratedBenchmark
from fgrpo.evaluate.benchmarks import BENCHMARKS
from fgrpo.evaluate.loading import load
from fgrpo.maze import generate, solve
from fgrpo.verify import maze, reasoning_gym

pytestmark = pytest.mark.slow

GENERATED = (
    *(name for name, one in BENCHMARKS.items() if isinstance(one, GeneratedBenchmark)),
    "reasoning-gym:gcd",
)
DIGESTS = {
    "reasoning-gym-in": "84fa0270a925",
    "reasoning-gym-out": "1be24bb84f1b",
    "mazes": "0bdaec2e006f",
    "reasoning-gym:gcd": "2f6cb3d2f099",
}
WORDS = ("UP", "DOWN", "LEFT", "RIGHT")


@pytest.mark.parametrize("name", GENERATED)
def test_problems_are_those_of_earlier_versions(name):
    if "gym" in name and version("reasoning-gym") != "0.1.25":
        pytest.skip("another version of reasoning-gym may make other problems")
    assert load(name).digest[:12] == DIGESTS[name]


def test_another_process_with_another_hash_seed_makes_the_same_problems():
    code = (
        "from fgrpo.evaluate.loading import load\n"
        f"for name in {GENERATED}:\n"
        "    print(load(name).digest)\n"
    )
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert done.stdout.split() == [load(name).digest for name in GENERATED]


@pytest.mark.parametrize("name", GENERATED)
def test_problems_are_as_many_as_said_and_all_different(name):
    loaded = load(name)
    assert len(loaded.problems) == loaded.benchmark.size
    assert len({problem.prompt for problem in loaded.problems}) == len(loaded.problems)
    assert all(problem.benchmark == name for problem in loaded.problems)
    assert all(problem.verifier == loaded.benchmark.verifier for problem in loaded.problems)
    assert loaded.warnings == ()
    assert loaded.skipped == {}


@pytest.mark.parametrize("name", ["reasoning-gym-in", "reasoning-gym-out"])
def test_a_suite_has_ten_tasks_of_twenty_problems_with_safe_scorers(name):
    problems = load(name).problems
    tasks = Counter(problem.reference["task"] for problem in problems)
    assert len(tasks) == 10
    assert set(tasks.values()) == {20}
    assert set(tasks) <= reasoning_gym.SAFE_TASKS
    for problem in problems:
        task, _, number = problem.id.removeprefix(f"{name}/").rpartition("-")
        assert task == problem.reference["task"]
        assert re.fullmatch(r"00[01]\d", number)


def test_the_suites_have_no_task_in_common():
    tasks = [
        {problem.reference["task"] for problem in load(name).problems}
        for name in ("reasoning-gym-in", "reasoning-gym-out")
    ]
    assert not tasks[0] & tasks[1]


@pytest.mark.parametrize("name", ["reasoning-gym-in", "reasoning-gym-out"])
def test_the_answer_of_each_problem_verifies_in_a_box_and_another_problems_does_not(name):
    problems = load(name).problems
    for here, there in zip(problems, [*problems[1:], problems[0]], strict=True):
        assert here.prompt.endswith("inside \\boxed{}.")
        right, other = (one.reference["entry"]["answer"] for one in (here, there))
        assert reasoning_gym.verify(f"I think so. \\boxed{{{right}}}", here.reference) is True
        if right != other:
            assert reasoning_gym.verify(f"\\boxed{{{other}}}", here.reference) is False


def test_k_guesses_of_the_commonest_answer_solve_few_problems_of_a_suite():
    for name in ("reasoning-gym-in", "reasoning-gym-out"):
        answers: dict[str, Counter[str]] = {}
        for problem in load(name).problems:
            task = problem.reference["task"]
            answers.setdefault(task, Counter())[problem.reference["entry"]["answer"]] += 1
        commonest = {task: counts.most_common(1)[0][1] for task, counts in answers.items()}
        assert max(commonest.values()) <= 10, commonest
        assert sum(commonest.values()) <= 40, commonest


def test_the_own_solution_of_each_maze_verifies():
    problems = load("mazes").problems
    walls = generate(100, 9, np.random.default_rng(20_260_206))
    moves, lengths = solve(walls)
    for problem, way, length in zip(problems, moves, lengths, strict=True):
        words = [WORDS[code] for code in way[:length]]
        text = f"So: \\boxed{{{' '.join(words)}}}"
        assert maze.verify(text, problem.reference) is True
        assert maze.verify(f"\\boxed{{{' '.join(words[:-1])}}}", problem.reference) is False
        assert length >= 12


def test_the_grid_of_a_maze_is_the_one_that_is_judged():
    for problem in load("mazes").problems:
        grid = problem.prompt.split("\n\n")[1].split("\n")
        assert [len(row) for row in grid] == [9] * 9
        assert grid[1][1] == "S"
        assert grid[7][7] == "G"
        plain = [row.replace("S", ".").replace("G", ".") for row in grid]
        assert plain == problem.reference["walls"]
        assert set("".join(plain)) == {"#", "."}
        assert "\\boxed{" in problem.prompt


def test_a_single_task_takes_settings():
    usual = load("reasoning-gym:gcd")
    assert len(usual.problems) == 100
    assert usual.problems[3].id == "reasoning-gym:gcd/0003"
    other = load("reasoning-gym:gcd:seed=1000:size=7")
    assert len(other.problems) == 7
    assert other.problems[0].id == "reasoning-gym:gcd:seed=1000:size=7/0000"
    asked = {problem.prompt for problem in usual.problems}
    assert not any(problem.prompt in asked for problem in other.problems)
    easy = load("reasoning-gym:chain_sum:max_terms=2:max_digits=1:min_digits=1:size=20")
    answers = [int(problem.reference["entry"]["answer"]) for problem in easy.problems]
    assert max(map(abs, answers)) <= 18


def test_more_problems_of_a_task_begin_with_the_same_ones():
    few, many = load("reasoning-gym:gcd:size=5"), load("reasoning-gym:gcd:size=50")
    assert [one.prompt for one in few.problems] == [one.prompt for one in many.problems[:5]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reasoning-gym:nope", "reasoning-gym has no such task; it has ab, acre"),
        ("reasoning-gym:", "reasoning-gym has no such task"),
        ("reasoning-gym:countdown", "unsafe scorer: countdown evaluates the answer as code"),
        ("reasoning-gym:coin_flip", "unsound scorer: coin_flip"),
        ("reasoning-gym:gcd:size=0", "size is 0"),
        ("reasoning-gym:gcd:size=1e3", "size is 1000.0"),
        ("reasoning-gym:gcd:size=true", "size is True"),
        ("reasoning-gym:gcd:seed=1.5", "seed 1.5"),
        ("reasoning-gym:gcd:size", "'size' is not setting=value"),
        ("reasoning-gym:gcd:=3", "'=3' is not setting=value"),
        ('reasoning-gym:gcd:size="3"', "is not setting=value"),
        ("reasoning-gym:gcd:colour=3", "unknown setting 'colour'; it has max_numbers"),
        ("reasoning-gym:gcd:min_numbers=0", "refuses its settings"),
    ],
)
def test_a_task_or_setting_that_cannot_be_had_is_refused(name, message):
    with pytest.raises(UsageError) as caught:
        load(name)
    assert message in str(caught.value)


def test_the_version_that_made_the_problems_is_the_revision():
    for name in ("reasoning-gym-in", "reasoning-gym:gcd"):
        assert load(name).revision == f"reasoning-gym {version('reasoning-gym')}"
        assert load(name, revision=load(name).revision).problems
        with pytest.raises(UsageError, match=r"begun with reasoning-gym 0\.0\.1, but"):
            load(name, revision="reasoning-gym 0.0.1")
    assert load("mazes").revision == "mazes 1"


def test_generated_problems_take_a_limit_but_no_file(tmp_path):
    assert [p.id for p in load("mazes", limit=2).problems] == ["mazes/000", "mazes/001"]
    assert load("mazes", limit=2).digest == load("mazes").digest
    with pytest.raises(UsageError, match="leave out --data"):
        load("mazes", data=tmp_path)


def test_without_reasoning_gym_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(UsageError, match=r"pip install '\.\[evaluate\]'"):
        load("reasoning-gym:gcd")
