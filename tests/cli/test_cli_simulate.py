"""``fgrpo simulate`` as its user types it."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml

from fgrpo.cli.simulate import FIELDS

pytestmark = pytest.mark.slow

SMALL = ("--actions", 300, "--correct", 40, "--group-sizes", 4, 64, "--steps", 20)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("trajectories/*.csv")}


def test_a_sweep_from_the_command_line_alone(command_line, tmp_path):
    folder = tmp_path / "run"
    code, out, errors = command_line(
        "simulate", *SMALL, "--gammas", 0, 0.5, "--seeds", 3, 4, "--out", folder
    )
    assert code == 0, errors
    rows = [line.split() for line in out.splitlines() if re.match(r" +(4|64) ", line)]
    assert [row[0] for row in rows] == ["4", "64"]
    assert all(len(row) == 5 for row in rows)  # N, then M_ret and Q_pos for each γ
    assert f"Report: {folder / 'report.html'}" in out
    names = {f"n-{n}_gamma-{g}_seed-{s}.csv" for n in (4, 64) for g in ("0", "0.5") for s in (3, 4)}
    assert contents(folder).keys() == names
    for name in ("report.html", "summary.json", "tables/final.csv", "figures/figure_2.svg"):
        assert (folder / name).stat().st_size > 0


def test_every_option_reaches_the_recipe(command_line, tmp_path):
    values = {
        "--actions": 50,
        "--correct": 7,
        "--anchor-logit": 4.5,
        "--correct-logit": 2.5,
        "--wrong-logit": -1.0,
        "--reward-correct": 2.0,
        "--reward-wrong": 0.0,
        "--learning-rate": 0.02,
        "--optimizer": "sgd",
        "--scale": "population_std",
        "--surrogate": "probability",
        "--steps": 3,
    }
    assert len(values) + 4 == len(FIELDS)  # and the lists, and --logits
    words = [word for pair in values.items() for word in pair]
    folder = tmp_path / "run"
    lists = ("--group-sizes", 5, "--gammas", 2, "--seeds", 9)
    code, _, errors = command_line("simulate", *words, *lists, "--out", folder)
    assert code == 0, errors
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    found = {**recipe["policy"], **recipe["update"], "steps": recipe["steps"]}
    assert found.pop("logits") is None
    assert found == {flag[2:].replace("-", "_"): value for flag, value in values.items()}
    assert (recipe["group_sizes"], recipe["gammas"], recipe["seeds"]) == ([5], [2.0], [9])


def test_a_policy_from_a_file_of_any_name(command_line, tmp_path):
    policy = tmp_path / 'a"b\\n.csv'
    policy.write_text("logit,correct,count\n2,1,3\n0,0,9\n", encoding="utf-8-sig")
    words = ("--group-sizes", 5, "--steps", 2, "--out", tmp_path / "run", "--logits", policy)
    code, _, errors = command_line("simulate", *words)
    assert code == 0, errors
    kept = (tmp_path / "run" / "policy.csv").read_text()
    assert kept == "logit,correct,count\n2.0,1,3\n0.0,0,9\n"
    code, _, errors = command_line("simulate", *words, "--correct", 3)
    assert code == 2
    assert "--correct and --logits exclude each other" in errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--learning-rate", 0], "--learning-rate 0.0: update.learning_rate: .* greater than 0"),
        (
            ["--group-sizes", 8, 1],
            "--group-sizes 8 1: group_sizes.1: .* greater than or equal to 2",
        ),
        (["--gammas", "nan"], "--gammas nan: gammas.0: Input should be a finite number"),
        (["--optimizer", "lion"], "--optimizer lion: update.optimizer: .* 'adam' or 'sgd'"),
        (["--correct", 9, "--actions", 9], "correct 9 must be below actions 9"),
        (["--reward-wrong", 1], "reward_correct 1 must be above reward_wrong 1"),
        (["--set", "update.rate=1"], "--set 'update.rate=1': update.rate: no such field; fields"),
        (
            ["--reward-correct", 1e200],
            "--reward-correct 1e.200: .* less than or equal",
        ),
        (["--logits", "nowhere.csv"], "nowhere.csv: cannot be read: no such file in /"),
        (["--actions", 3_000_000_000], "--actions 3000000000: .*less than or equal to 100000000"),
        (["nonsense"], "no recipe 'nonsense': neither a file nor one of those shipped .*figure-2"),
        (["--device", "tpu"], "--device 'tpu': must be cpu or cuda"),
    ],
)
def test_wrong_usage_is_told_in_a_line(command_line, tmp_path, arguments, told):
    code, out, errors = command_line("simulate", *arguments, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert re.search(told, errors), errors
    assert not (tmp_path / "run").exists()


def test_an_overflow_is_told_in_a_line_and_leaves_no_run(command_line, tmp_path):
    folder = tmp_path / "run"
    code, _, errors = command_line(
        "simulate", *SMALL, "--learning-rate", "1e308", "--workers", 1, "--out", folder
    )
    assert code == 1
    assert "logits overflowed within" in errors
    assert "lower the learning rate, 1e+308, or the rewards" in errors
    assert contents(folder) == {}
    code, _, errors = command_line("simulate", *SMALL, "--fresh", "--out", folder)
    assert code == 0, errors


def test_the_shipped_recipe_is_the_papers(command_line):
    code, out, _ = command_line("simulate", "--list")
    assert code == 0
    (told,) = re.findall(r"^figure-2 .*(?:\n .*)*", out, re.MULTILINE)
    assert "136 runs of 1,000 steps" in told


def process(folder, *, steps):
    command = [sys.executable, "-m", "fgrpo", "simulate", "--out", str(folder)]
    command += map(str, (*SMALL[:-1], steps, "--seeds", *range(3)))
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


STEPS = 12_000  # so that there is a time at which some of the runs are done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a sweep that nobody stopped wrote."""
    folder = tmp_path_factory.mktemp("whole")
    done = process(folder, steps=STEPS)
    _, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    return contents(folder)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_it_goes_on_and_ends_the_same(tmp_path, whole, how):
    stopped = tmp_path / "stopped"
    first = process(stopped, steps=STEPS)
    deadline = time.monotonic() + 120
    while not contents(stopped) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(how)
    out, errors = first.communicate(timeout=60)
    if how == signal.SIGINT:
        assert first.returncode == 130
        assert "Stopped. The same command goes on from here." in errors
    assert "Report" not in out
    before = contents(stopped)
    assert 0 < len(before) < len(whole) == 12
    again = process(stopped, steps=STEPS)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    after = contents(stopped)
    assert {name: after[name] for name in before} == before
    assert after == whole
    assert not list(stopped.rglob("*.tmp"))
