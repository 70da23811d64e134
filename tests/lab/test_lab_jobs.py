"""Jobs in worker processes: results, reports, failures."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.lab import jobs as jobs_module
from fgrpo.lab.jobs import Job, Progress, run_jobs

# Starts processes: not beside the other such tests.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resume")]


LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def write_threads(path, progress):
    """Count the threads that pieces of work are shared among, and what libraries are told."""
    import threading
    import time

    import torch

    from fgrpo.lab.shards import run_shards

    def name(_):
        time.sleep(0.1)  # so that no thread gets two pieces while another has none
        return threading.get_ident()

    shards = len(set(run_shards(name, range(32))))
    told = {os.environ.get(library) for library in LIBRARIES}
    Path(path).write_text(f"{shards} {torch.get_num_threads()} {told}")
    progress(1, "half")
    progress(2)


def refuse(progress):
    raise UsageError("field x: must be odd")


def die(progress):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("cores", "workers", "count", "threads"),
    [(4, 2, 2, 2), (4, 8, 1, 4), (3, 2, 2, 1), (1, 2, 2, 1)],
)
def test_the_cores_are_divided_among_the_jobs_at_once(
    cores, workers, count, threads, tmp_path, monkeypatch
):
    monkeypatch.setattr(jobs_module, "cores", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    seen: list[Progress] = []
    names = ["one", "two"][:count]
    jobs = [Job(name, 2, write_threads, (str(tmp_path / name),)) for name in names]
    run_jobs(jobs, workers, seen.append)
    for name in names:
        # PyTorch itself and other libraries start no threads beside them.
        assert (tmp_path / name).read_text() == f"{threads} 1 {{'1'}}"
        assert [p for p in seen if p.job == name] == [
            Progress(name, 1, "half"),
            Progress(name, 2, ""),
        ]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a system without affinities")
def test_cores_are_those_this_process_may_use():
    one = next(iter(os.sched_getaffinity(0)))
    done = subprocess.run(
        [sys.executable, "-c", "from fgrpo.lab.jobs import cores; print(cores())"],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {one}),
    )
    assert done.stdout.strip() == "1"


def test_a_job_s_error_is_passed_on(tmp_path):
    with pytest.raises(UsageError, match="must be odd"):
        run_jobs([Job("bad", 1, refuse, ())], 1, lambda progress: None)


def test_a_killed_worker_is_one_clear_error():
    with pytest.raises(RunError, match=r"worker process died.*same command"):
        run_jobs([Job("dies", 1, die, ())], 1, lambda progress: None)
