"""Groups that span two processes are weighed as they are in one."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file
from trl_job import Job

from tiny_llm import tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trl_job")]

STEPS = 6
# Batches on each of two processes. A step trains on all of the batch its rollouts came in, which
# TRL shuffles within each process. num_iterations=2: the second pass has ratios other than 1.
RUNS = {
    "dapo": {"per_device_train_batch_size": 4, "num_generations": 8, "focal_gamma": 0.5},
    "grpo": {
        "per_device_train_batch_size": 6,  # three groups, the middle one on both processes
        "num_generations": 4,
        "num_iterations": 2,
        "focal_gamma": 1.0,
    },
    "cispo": {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "num_generations": 8,
        "epsilon_high": 6.0,
        "focal_gamma": 2.0,
    },
}


@pytest.fixture(scope="module")
def jobs(trl_jobs, tmp_path_factory):
    """The folders of the same runs on one process and on two."""
    folders = {count: tmp_path_factory.mktemp(f"processes{count}") for count in (1, 2)}
    started = [Job(trl_jobs, folders[count], runs(count), count) for count in folders]
    for job in started:
        job.finish()
    return folders


def runs(processes):
    """The same batches for any number of processes."""
    found = {}
    for loss, config in RUNS.items():
        batch = config["per_device_train_batch_size"] * 2 // processes
        shared = {"loss_type": loss, "max_steps": STEPS, "log_completions": True}
        config = {**config, **shared, "per_device_train_batch_size": batch}
        found[loss] = {"drawn": True, "config": config}
    return found


def tables(folder, loss):
    """The completions of each generation batch, of all processes."""
    paths = sorted((folder / loss / "completions").iterdir())
    assert len(paths) == STEPS
    return [pd.read_parquet(path) for path in paths[:: RUNS[loss].get("num_iterations", 1)]]


def left(folder, loss, rank=0):
    return json.loads((folder / loss / f"rank{rank}.json").read_text())


def groups(table, loss):
    """(Group, rollout) rewards and weights."""
    size = RUNS[loss]["num_generations"]
    return [table[name].to_numpy().reshape(-1, size) for name in ("correct", "focal_weight")]


def rate(rewards):
    """Share of correct ones, of those that could be scored."""
    return np.mean(rewards[~np.isnan(rewards)])


@pytest.mark.parametrize("loss", RUNS)
class TestTwoProcesses:
    def test_rewards_and_weights_are_those_of_one_process(self, jobs, loss):
        one, two = (tables(jobs[count], loss) for count in (1, 2))
        for alone, shared in zip(one, two, strict=True):
            pd.testing.assert_frame_equal(alone, shared, check_exact=True)

    def test_weight_is_that_of_the_whole_group(self, jobs, loss):
        spanning = 0
        for table in tables(jobs[2], loss):
            rewards, weights = groups(table, loss)
            wrong = [1 - rate(group) for group in rewards]
            roots = weights ** (1 / RUNS[loss]["focal_gamma"])
            np.testing.assert_allclose(roots, np.transpose([wrong] * roots.shape[1]), rtol=1e-6)
            middle, odd = divmod(len(rewards), 2)
            if odd:
                here, there = np.split(rewards[middle], 2)
                spanning += rate(here) != rate(there)
        assert spanning > 0  # else the rewards of one process would give the same weight

    def test_every_process_trains_on_its_part_of_the_weighted_advantages(self, jobs, loss):
        batches = tables(jobs[2], loss)
        ranks = [left(jobs[2], loss, rank)["advantages"] for rank in (0, 1)]
        alone = left(jobs[1], loss)["advantages"]
        assert len(alone) == len(batches)
        for table, *parts, whole in zip(batches, *ranks, alone, strict=True):
            assert [*parts[0], *parts[1]] == whole
            expected = table["advantage"] * table["focal_weight"]
            np.testing.assert_allclose(whole, expected, rtol=1e-6)

    def test_model_is_that_of_one_process(self, jobs, loss):
        one, two = (load_file(jobs[count] / loss / "model.safetensors") for count in (1, 2))
        moved = 0.0
        for name, before in tiny_model().state_dict().items():
            if name not in one:  # the output layer is the embedding
                continue
            np.testing.assert_allclose(two[name], one[name], rtol=0, atol=1e-5)
            moved = max(moved, (one[name] - before).abs().max().item())
        assert moved > 0.01

    def test_logs_are_of_the_whole_batch(self, jobs, loss):
        logs = [
            left(jobs[1], loss)["logs"],
            *(left(jobs[2], loss, rank)["logs"] for rank in (0, 1)),
        ]
        for steps in zip(*logs, strict=True):
            alone, *shared = (
                {name: value for name, value in step.items() if name.startswith("focal/")}
                for step in steps
            )
            for found in shared:
                assert found == pytest.approx(alone, rel=1e-6, abs=1e-9)

    def test_logs_agree_with_the_completions(self, jobs, loss):
        logs = [step for step in left(jobs[2], loss)["logs"] if "focal/weight_mean" in step]
        for step, table in zip(logs, tables(jobs[2], loss), strict=True):
            rates = [rate(group) for group in groups(table, loss)[0]]
            before, weights = table["advantage"].abs(), table["focal_weight"]
            expected = {
                "success_rate_mean": np.mean(rates),
                "weight_mean": weights.mean(),
                "groups_solved_all": rates.count(1) / len(rates),
                "groups_solved_none": rates.count(0) / len(rates),
            }
            if before.any():
                expected["update_scale"] = (before * weights).sum() / before.sum()
            else:
                assert "focal/update_scale" not in step
            found = {name: step[f"focal/{name}"] for name in expected}
            assert found == pytest.approx(expected, rel=1e-6)
