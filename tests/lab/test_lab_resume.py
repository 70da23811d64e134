"""Real kills: a run killed at any moment and started again ends as if it had never stopped."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from lab_runs import command, contents

# Starts processes: not beside the other such tests.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resume")]


def test_everything_asked_for_is_there(uninterrupted: dict[str, str]) -> None:
    arms = [f"tiny/arms/{arm}/seed-{seed}" for arm in ("grpo", "f-dapo") for seed in (0, 1)]
    expected = {f"{arm}/records/step-{step:06d}.jsonl" for arm in arms for step in (5, 10, 12)}
    expected |= {f"{arm}/model/model.safetensors" for arm in arms}
    expected.add("tiny/base/records/step-000000.jsonl")
    found = set(uninterrupted)
    base_models = {name for name in found if name.startswith("base-models/")}
    assert found - base_models == expected
    assert len(base_models) == 1


@pytest.mark.parametrize("attempt", range(2))
def test_killed_at_random_moments(
    attempt: int, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    rng = random.Random(attempt)
    kills = 0  # later tries wait longer, so that a slow machine gets through too
    log = tmp_path / "stderr.txt"
    for tries in range(40):
        with log.open("w") as stderr:
            process = subprocess.Popen(
                command(tmp_path, "--workers", str(1 + attempt)),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            process.wait(timeout=rng.uniform(2.0, 5.0 + tries))
        except subprocess.TimeoutExpired:
            # The parent alone on even kills: its workers must end by themselves.
            kill = os.kill if kills % 2 == 0 else os.killpg
            kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0, log.read_text()
        break
    assert kills >= 2, "the run ended before it could be killed: the test shows nothing"
    assert contents(tmp_path / "runs") == uninterrupted


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path, "--set", "train.steps=100000", "--workers", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    metrics = tmp_path / "runs" / "tiny" / "arms" / "grpo" / "seed-0" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size):
        assert time.monotonic() < deadline, "the first arm never started"
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "a worker still runs 20 s after its parent's death"
        time.sleep(0.1)


def test_arms_one_after_another_are_the_whole_run(
    uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    reports = []
    for pattern in ("f-*", "grpo"):
        subprocess.run(command(tmp_path, "--arms", pattern), check=True, capture_output=True)
        summary = json.loads((tmp_path / "runs" / "tiny" / "summary.json").read_text())
        reports.append([arm["name"] for arm in summary["arms"]])
        grpo = tmp_path / "runs" / "tiny" / "arms" / "grpo"
        assert grpo.exists() == (pattern == "grpo")
        assert summary["arms_left_out"] == [
            arm for arm in ("grpo", "f-dapo") if arm not in reports[-1]
        ]
        page = (tmp_path / "runs" / "tiny" / "report.html").read_text()
        assert f"1 of the recipe's 2 arms\n({summary['arms_left_out'][0]})" in page
    assert reports == [["f-dapo"], ["grpo"]]
    assert contents(tmp_path / "runs") == uninterrupted


def test_a_last_evaluation_that_was_lost_is_made_again(
    uninterrupted_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(uninterrupted_folder / "runs", tmp_path / "runs")
    again = command(tmp_path, "--workers", "1")
    seed = tmp_path / "runs" / "tiny" / "arms" / "grpo" / "seed-1"
    last = seed / "records" / "step-000012.jsonl"
    whole = last.read_bytes()
    for damaged in (None, whole[: len(whole) // 2]):
        last.unlink()
        if damaged is not None:
            last.write_bytes(damaged)
        subprocess.run(again, check=True, capture_output=True)
        assert last.read_bytes() == whole
    (seed / "records" / "step-000005.jsonl").unlink()
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "step-000005.jsonl: missing" in done.stderr
    assert "delete its folder" in done.stderr
