"""The run folder of a sweep: complete, resumable, the same for any number of workers."""

import csv
import shutil
import threading

import numpy as np
import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.recipes import shipped
from fgrpo.recipes.load import load
from fgrpo.simulation.policy_file import read_policy
from fgrpo.simulation.result import load_sweep
from fgrpo.simulation.settings import SimulationRecipe
from fgrpo.simulation.sweep import run_sweep, runs_of, trajectory_file
from fgrpo.simulation.trajectory import COLUMNS


def recipe(**changes):
    small = {
        "name": "small",
        "policy": {"actions": 300, "correct": 40},
        "group_sizes": [4, 64],
        "gammas": [0, 1],
        "seeds": [0, 5],
        "steps": 30,
    }
    return SimulationRecipe.model_validate(small | changes)


@pytest.mark.parametrize("name", shipped("simulate"))
def test_every_shipped_recipe_is_valid(name):
    found = load(SimulationRecipe, name, folder="simulate")
    assert found.name == name
    assert found.description


def sweep(folder, changes=None, **options):
    run_sweep(recipe(**(changes or {})), folder, command="fgrpo simulate", **options)
    return folder


def contents(folder):
    kept = (*folder.glob("trajectories/*"), folder / "tail-miss.csv", folder / "policy.csv")
    return {path.name: path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("sweep") / "run")


def test_a_row_for_every_step_of_every_run(finished):
    runs = runs_of(recipe())
    assert len(runs) == 8
    for run in runs:
        with trajectory_file(finished, run).open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == list(range(31))
        assert set(rows[0]) == {"step", *COLUMNS}
        assert rows[-1]["tail_miss"] == "" != rows[-2]["tail_miss"]


def test_read_back_as_it_was_simulated(finished):
    result = load_sweep(finished)
    rows = result.rows(64, 1.0)
    assert rows.shape == (2, 31, 6)
    policy = result.policy
    np.testing.assert_allclose(rows[:, 0, 0], policy.success_rate, rtol=1e-9)
    np.testing.assert_allclose(rows[:, 0, 1], 1, rtol=1e-9)
    p = np.repeat(policy.probabilities, policy.sizes)
    np.testing.assert_allclose(rows[:, 0, 2], -(p * np.log(p)).sum(), rtol=1e-9)


def test_any_number_of_workers_gives_the_same_bytes(finished, tmp_path):
    assert contents(sweep(tmp_path / "three", workers=3)) == contents(finished)


def test_goes_on_where_it_was(finished, tmp_path):
    class EnoughError(Exception):
        pass

    def show(steps, text):
        if steps > 100:
            raise EnoughError

    folder = tmp_path / "run"
    with pytest.raises(EnoughError):
        sweep(folder, workers=2, show=show)
    first = {path.name: path.stat().st_mtime_ns for path in folder.glob("trajectories/*")}
    assert 0 < len(first) < 8
    seen = []
    sweep(folder, show=lambda steps, text: seen.append(steps))
    again = {path.name: path.stat().st_mtime_ns for path in folder.glob("trajectories/*")}
    assert {name: again[name] for name in first} == first
    assert seen[0] > 30 * len(first)
    assert seen[-1] == 240
    assert contents(folder) == contents(finished)


def test_a_failure_in_one_run_ends_the_others(tmp_path):
    folder = tmp_path / "run"
    (folder / "trajectories").mkdir(parents=True)
    blocked = trajectory_file(folder, runs_of(recipe())[0])
    blocked.with_name(blocked.name + ".tmp").mkdir()
    before = threading.active_count()
    with pytest.raises(RunError, match=r"n-64_gamma-0_seed-0\.csv: could not be written"):
        sweep(folder, {"steps": 2000}, workers=2)
    assert threading.active_count() == before


def test_a_run_that_overflows_leaves_nothing(tmp_path):
    with pytest.raises(RunError, match="overflowed within 20 steps"):
        sweep(tmp_path, {"update": {"learning_rate": 1e308}})
    assert not list((tmp_path / "trajectories").iterdir())
    with pytest.raises(RunError, match="overflowed"):  # the same again, whatever lies there
        sweep(tmp_path, {"update": {"learning_rate": 1e308}})


def test_another_recipe_or_another_policy_is_refused(finished, tmp_path):
    with pytest.raises(UsageError, match="steps is 30 there, 31 here"):
        sweep(finished, {"steps": 31})
    policy = tmp_path / "policy.csv"
    policy.write_text("logit,correct\n1,1\n0,0\n")
    folder = sweep(tmp_path / "run", {"policy": {"logits": policy}})
    policy.write_text("logit,correct\n1,1\n0.5,0\n")
    with pytest.raises(UsageError, match="begun with another policy"):
        sweep(folder, {"policy": {"logits": policy}})
    sweep(folder, {"policy": {"logits": policy}}, fresh=True)
    assert read_policy(folder / "policy.csv").logits.tolist() == [1.0, 0.5]


def test_fresh_deletes_runs_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(UsageError, match="is not a run folder"):
        sweep(tmp_path, fresh=True)
    assert (tmp_path / "letters.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("logit,right\n1,1\n", ":1: the columns must be logit, correct"),
        ("logit,correct\n1,1\nx,0\n", ":3: logit 'x' is not a finite number"),
        ("logit,correct\nnan,1\n", ":2: logit 'nan' is not a finite number"),
        ("logit,correct\n1,2\n", ":2: correct '2' must be 0 or 1"),
        (
            "logit,correct,count\n1,1,0\n",
            ":2: count '0' must be a whole number from 1 to 100,",
        ),
        ("logit,correct,count\n1,1,100000001\n", ":2: count '100000001' must be a whole number"),
        (f"logit,correct,count\n1,1,{'9' * 5000}\n", ":2: count '999"),
        ("logit,correct,count\n1,1,100000000\n0,0,1\n", "has 100,000,001 actions; 100,000,000"),
        ("logit,correct\n1\n", ":2: has another number of values"),
        ("logit,correct\n1,1,1\n", ":2: has another number of values"),
        ("logit,correct\n1,1\n2,1\n", "no wrong action"),
        ("logit,correct\n", "no correct action"),
        ("", ":1: the columns must be logit, correct and, if wanted, count; found none"),
    ],
)
def test_a_wrong_policy_file_is_named_with_its_line(tmp_path, text, told):
    path = tmp_path / "policy.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_policy(path)
    assert str(caught.value).startswith(f"{path}")
    assert told in str(caught.value)


def test_a_policy_file_of_single_actions_equals_one_of_counts(tmp_path):
    single, counted = tmp_path / "single.csv", tmp_path / "counted.csv"
    single.write_text("logit,correct\n" + "0.5,0\n" * 3 + "2,true\n" + "0.5,0\n")
    counted.write_text("count,logit,correct\n4,0.5,0\n1,2,1\n")
    for path in (single, counted):
        policy = read_policy(path)
        table = zip(policy.logits, policy.correct, policy.sizes, strict=True)
        assert sorted(table) == [(0.5, False, 4), (2.0, True, 1)]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"policy": {"actions": 10, "correct": 10}}, "must be below actions"),
        ({"policy": {"actions": 3 * 10**9}}, "less than or equal to 100000000"),
        ({"update": {"reward_wrong": 1}}, "must be above reward_wrong"),
        ({"group_sizes": [4, 4]}, "given twice: 4"),
        ({"group_sizes": [1]}, "greater than or equal to 2"),
        ({"gammas": [-1]}, "greater than or equal to 0"),
        ({"seeds": []}, "at least 1 item"),
        ({"surplus": 1}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_recipe_is_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        recipe(**changes)


def test_two_exponents_that_look_alike_are_two_runs(tmp_path):
    folder = sweep(tmp_path / "run", {"gammas": [0.1, 0.1000000001], "group_sizes": [4]})
    assert len(list(folder.glob("trajectories/*"))) == 4


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tail-miss.csv", "", "holds 0 rows instead of 2 of 4 numbers"),
        ("tail-miss.csv", "header\n4,1,1,1\n64,1,,1\n", "something that is not a number"),
        ("policy.csv", "logit,correct\n1,2\n", "correct '2' must be 0 or 1; without it the same"),
        ("trajectories/n-4_gamma-1_seed-0.csv", "header\n0,1,x\n", "damaged .*'x'"),
        ("trajectories/n-4_gamma-1_seed-0.csv", "header\n0,1\n1\n", "damaged"),
    ],
)
def test_a_damaged_file_is_named(finished, tmp_path, file, text, told):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / file).write_text(text)
    with pytest.raises(RunError, match=told) as caught:
        load_sweep(folder)
    assert str(folder / file) in str(caught.value)
