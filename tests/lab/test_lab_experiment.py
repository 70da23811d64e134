"""Run folders: whose they are, who may work in them, and what a full disk does to them."""

import json
import resource
import subprocess
from pathlib import Path

import pytest
import yaml
from test_lab_resume import RECIPE, command, contents

from fgrpo.errors import RunError, UsageError
from fgrpo.files import locked
from fgrpo.lab import experiment
from fgrpo.lab.experiment import run_experiment
from fgrpo.lab.settings import Recipe

TINY = Recipe.model_validate(RECIPE)


@pytest.fixture
def nothing_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "_stage", lambda *_: None)


@pytest.mark.usefixtures("nothing_to_train")
def test_a_change_of_results_is_refused_and_any_other_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_experiment(TINY, folder, command="first")
    harmless = TINY.model_copy(update={"description": "told better", "checkpoint_every": 9})
    run_experiment(harmless, folder, command="second")
    changed = Recipe.model_validate({**RECIPE, "train": {**TINY.train.model_dump(), "steps": 13}})
    with pytest.raises(UsageError, match=r"arms\.0\.steps is 12 there, 13 here"):
        run_experiment(changed, folder, command="third")
    # The refused start leaves no note.
    starts = json.loads((folder / "environment.json").read_text())
    assert [start["command"] for start in starts] == ["first", "second"]


def test_a_run_begun_on_another_device_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "environment.json").write_text('[{"device": "cuda"}]')
    with pytest.raises(UsageError, match=r"begun on cuda.*--device cuda"):
        run_experiment(TINY, tmp_path / "run", command="test")


def test_fresh_deletes_run_folders_only(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"not a run folder"):
        run_experiment(TINY, tmp_path, command="test", fresh=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.usefixtures("nothing_to_train")
def test_fresh_starts_over_even_with_another_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_experiment(TINY, folder, command="first")
    (folder / "arms" / "grpo").mkdir(parents=True)
    other = TINY.model_copy(update={"seeds": [5]})
    run_experiment(other, folder, command="second", fresh=True)
    assert not (folder / "arms").exists()
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["seeds"] == [5]
    assert [
        start["command"] for start in json.loads((folder / "environment.json").read_text())
    ] == ["second"]


def test_a_run_at_work_is_not_disturbed(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(RunError, match="another process"):
        run_experiment(TINY, tmp_path, command="test")


@pytest.mark.xdist_group("resume")
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    full = subprocess.run(
        command(tmp_path), capture_output=True, text=True, preexec_fn=limit, check=False
    )
    assert full.returncode == 1
    message = full.stderr.strip().splitlines()[-1]
    assert message.startswith("fgrpo: ")
    assert "could not be written" in message
    assert "Traceback" not in full.stderr

    subprocess.run(command(tmp_path), check=True, capture_output=True)
    whole = tmp_path / "whole"
    whole.mkdir()
    subprocess.run(command(whole), check=True, capture_output=True)
    assert contents(tmp_path / "runs") == contents(whole / "runs")


@pytest.mark.xdist_group("resume")
def test_a_corrupt_checkpoint_is_one_line(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path), check=True, capture_output=True)
    seed = tmp_path / "runs" / "tiny" / "arms" / "grpo" / "seed-0"
    state = seed / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    records = {path: path.read_bytes() for path in seed.rglob("*.jsonl")}
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert str(state) in message
    assert "delete this file" in message
    assert {path: path.read_bytes() for path in seed.rglob("*.jsonl")} == records
