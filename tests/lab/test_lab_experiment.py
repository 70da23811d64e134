"""Run folders: whose they are, who may work in them, and what a full disk does to them."""

import json
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from lab_runs import RECIPE, SMALLEST, command, contents, results

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


@pytest.mark.slow
@pytest.mark.xdist_group("resume")
def test_a_full_disk_is_one_line_and_loses_nothing(
    uninterrupted: dict[str, str], tmp_path: Path
) -> None:
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
    assert contents(tmp_path / "runs") == uninterrupted


@pytest.mark.slow
@pytest.mark.xdist_group("resume")
def test_a_corrupt_checkpoint_is_one_line(tmp_path: Path) -> None:
    line = command(tmp_path, "--set", "train.steps=100000", "--workers", "1")
    seed = tmp_path / "runs" / "tiny" / "arms" / "grpo" / "seed-0"
    state = seed / "state.safetensors"
    with subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        while not state.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    state.write_bytes(state.read_bytes()[:-100])
    records = {path: path.read_bytes() for path in seed.rglob("*.jsonl")}
    assert records
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert str(state) in message
    assert "delete this file" in message
    assert {path: path.read_bytes() for path in seed.rglob("*.jsonl")} == records


@pytest.mark.parametrize(
    ("device", "workers", "at_once"), [("cpu", None, 7), ("cuda", None, 1), ("cuda", 3, 3)]
)
def test_jobs_at_a_time(device, workers, at_once, tmp_path, monkeypatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(experiment, "cores", lambda: 7)
    monkeypatch.setattr(
        experiment, "run_jobs", lambda jobs, workers, show: given.append((len(jobs), workers))
    )
    run_experiment(TINY, tmp_path / "run", command="test", device=device, workers=workers)
    assert given == [(1, at_once), (5, at_once)]


@pytest.mark.slow
@pytest.mark.xdist_group("resume")
@pytest.mark.parametrize(("workers", "cores"), [(2, 6), (3, 6)])
def test_results_depend_neither_on_workers_nor_on_threads(
    workers, cores, alone, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("fgrpo.lab.jobs.cores", lambda: cores)
    recipe = Recipe.model_validate(SMALLEST)
    run_experiment(recipe, tmp_path / "runs" / "tiny", command="test", workers=workers)
    assert results(tmp_path / "runs") == alone
