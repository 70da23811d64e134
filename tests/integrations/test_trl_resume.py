"""A run killed without notice and resumed ends as one that nobody disturbed."""

import json
import math

import pytest
from safetensors.torch import load_file
from trl_job import Job

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("trl_job")]

STEPS, SAVED, KILLED = 6, 4, 6  # killed before it can save again; the fifth step is lost
CONFIG = {
    "per_device_train_batch_size": 8,
    "num_generations": 8,
    "max_steps": STEPS,
    "save_strategy": "steps",
    "save_steps": 2,
    "optim": "adamw_torch",  # has a state to restore
    "learning_rate": 0.01,
}


def settings(**config):
    return {"config": {**CONFIG, **config}}


def killed_and_resumed(server, folder, runs, processes=1):
    """Train to the end in ``whole``; in ``resumed``, be killed in the last run, and go on."""
    stopping = {name: {**run, "stop_before": KILLED} for name, run in runs.items()}
    resuming = {name: {**run, "resume": True} for name, run in runs.items()}
    whole = Job(server, folder / "whole", runs, processes)
    Job(server, folder / "resumed", stopping, processes).kill_when_stopped()
    whole.finish()
    for name in runs:
        saved = (folder / "resumed" / name).glob("checkpoint-*")
        assert {path.name for path in saved} == {"checkpoint-2", "checkpoint-4"}
        assert not (folder / "resumed" / name / "rank0.json").exists()
    Job(server, folder / "resumed", resuming, processes).finish()
    return folder


def weights(folder, name):
    return load_file(folder / name / "model.safetensors")


def left(folder, name, rank=0):
    return json.loads((folder / name / f"rank{rank}.json").read_text())


def logs(folder, name):
    """What was logged at each step, but for how long it took."""
    return [
        {key: value for key, value in step.items() if key != "step_time"}
        for step in left(folder, name)["logs"]
        if "train_runtime" not in step  # the summary, of the steps since the start of the program
    ]


def assert_same_model(one, other):
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


@pytest.fixture(scope="module")
def alone(trl_jobs, tmp_path_factory):
    """Runs on one process.

    TRL's own trainer does not restore two things, so that it does not end in the same place
    either: the order of the prompts after the first epoch, and the metrics since the last log.
    """
    second_epoch = {"prompts": 3, **settings(focal_gamma=0.0, logging_steps=3)}
    return killed_and_resumed(
        trl_jobs,
        tmp_path_factory.mktemp("alone"),
        {
            "second-epoch": second_epoch,
            "second-epoch-plain": {"plain": True, **second_epoch},
            "focal": settings(gradient_accumulation_steps=2, per_device_train_batch_size=4),
        },
    )


@pytest.fixture(scope="module")
def two(trl_jobs, tmp_path_factory):
    """A run on two processes, of which each draws its own part of a group."""
    runs = {"focal": settings(per_device_train_batch_size=4, loss_type="cispo", epsilon_high=6.0)}
    return killed_and_resumed(trl_jobs, tmp_path_factory.mktemp("two"), runs, processes=2)


@pytest.mark.parametrize("processes", ["alone", "two"])
class TestResumed:
    @pytest.fixture
    def folders(self, processes, request):
        folder = request.getfixturevalue(processes)
        return folder / "whole", folder / "resumed"

    def test_went_on_from_the_checkpoint(self, folders):
        whole, resumed = (left(folder, "focal")["advantages"] for folder in folders)
        assert len(resumed) == STEPS - SAVED
        assert resumed == whole[SAVED:]
        assert any(value for batch in resumed for value in batch)

    def test_model_is_the_same_bit_for_bit(self, folders):
        whole, resumed = (weights(folder, "focal") for folder in folders)
        assert_same_model(whole, resumed)
        saved = load_file(folders[1] / "focal" / f"checkpoint-{SAVED}" / "model.safetensors")
        assert any(not saved[name].equal(resumed[name]) for name in saved)

    def test_logs_have_every_step_once_and_the_same(self, folders):
        whole, resumed = (logs(folder, "focal") for folder in folders)
        assert [step["step"] for step in resumed] == [1, 2, 3, 4, 5, 6]
        assert all(math.isfinite(step["focal/weight_mean"]) for step in resumed)
        assert resumed == whole


class TestWhatTrlDoesNotRestore:
    """Without focal weight ours resumes bit for bit as TRL's own trainer does, exact or not."""

    def test_model_is_that_of_trl(self, alone):
        for folder in (alone / "whole", alone / "resumed"):
            ours, theirs = (weights(folder, f"second-epoch{which}") for which in ("", "-plain"))
            assert_same_model(ours, theirs)

    def test_logs_are_those_of_trl(self, alone):
        for folder in (alone / "whole", alone / "resumed"):
            ours, theirs = (logs(folder, f"second-epoch{which}") for which in ("", "-plain"))
            assert [step["step"] for step in ours] == [3, 6]
            for found, expected in zip(ours, theirs, strict=True):
                without = {key: found[key] for key in found if not key.startswith("focal/")}
                assert without == expected

    def test_focal_metrics_are_of_the_batches_that_the_reward_is_of(self, alone):
        # of rewards 0 and 1, one group a batch
        for folder in (alone / "whole", alone / "resumed"):
            for step in logs(folder, "second-epoch"):
                assert step["focal/success_rate_mean"] == pytest.approx(step["reward"], rel=1e-6)
