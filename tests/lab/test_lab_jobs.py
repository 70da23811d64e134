"""Jobs in worker processes: results, reports, failures."""

import os
import signal
from pathlib import Path

import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.lab.jobs import Job, Progress, run_jobs

pytestmark = pytest.mark.xdist_group("resume")  # starts processes: not beside the other such tests


def write_threads(path, progress):
    import torch

    Path(path).write_text(str(torch.get_num_threads()))
    progress(1, "half")
    progress(2)


def refuse(progress):
    raise UsageError("field x: must be odd")


def die(progress):
    os.kill(os.getpid(), signal.SIGKILL)


def test_jobs_run_with_their_threads_and_report(tmp_path):
    seen: list[Progress] = []
    jobs = [
        Job("one", 2, write_threads, (str(tmp_path / "one"),)),
        Job("two", 2, write_threads, (str(tmp_path / "two"),), threads=2),
    ]
    run_jobs(jobs, 2, seen.append)
    assert (tmp_path / "one").read_text() == "1"
    assert (tmp_path / "two").read_text() == "2"
    for name in ("one", "two"):
        assert [p for p in seen if p.job == name] == [
            Progress(name, 1, "half"),
            Progress(name, 2, ""),
        ]


def test_a_job_s_error_is_passed_on(tmp_path):
    with pytest.raises(UsageError, match="must be odd"):
        run_jobs([Job("bad", 1, refuse, ())], 1, lambda progress: None)


def test_a_killed_worker_is_one_clear_error():
    with pytest.raises(RunError, match=r"worker process died.*same command"):
        run_jobs([Job("dies", 1, die, ())], 1, lambda progress: None)
