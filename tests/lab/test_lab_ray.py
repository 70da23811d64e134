"""Jobs on a Ray cluster of two machines, which are two Ray nodes on this one."""

import itertools
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab_runs import SMALLEST, results

from fgrpo.errors import RunError, UsageError
from fgrpo.lab import ray_jobs
from fgrpo.lab.jobs import Job, Progress
from fgrpo.lab.ray_jobs import Node, connected, gpu_share, room, run_jobs_on_ray, threads_each

# Starts processes: not beside the other such tests.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resume")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start two Ray nodes of one core each, one of which claims a GPU; return their address."""
    ray = pytest.importorskip("ray")
    os.environ.update(ray_jobs._QUIET)
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 10**8}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    nodes.add_node(**node, num_gpus=1)
    # The workers do not know this file.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield nodes.address
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    nodes.shutdown()


@pytest.fixture
def here(cluster: str, tmp_path: Path) -> Iterator[Path]:
    """Connect to the cluster; return a file that all its machines see."""
    shared = tmp_path / "recipe.yaml"
    shared.write_text("name: shared")
    with connected(cluster):
        yield shared


def run(jobs: list[Job], shared: Path, workers: int | None = None) -> list[Progress]:
    seen: list[Progress] = []
    run_jobs_on_ray(jobs, workers, seen.append, shared=shared)
    return seen


def jobs_of(work: Any, *arguments: tuple[Any, ...]) -> list[Job]:
    return [Job(f"job {i}", 3, work, each) for i, each in enumerate(arguments)]


def note(path: str, progress: Any) -> None:
    """Write where and when this ran, and with how many threads."""
    import json
    import threading
    import time
    from pathlib import Path

    import ray

    from fgrpo.lab.shards import run_shards

    def name(_: int) -> int:
        time.sleep(0.1)
        return threading.get_ident()

    began = time.time()
    for step in range(1, 4):
        progress(step, f"step {step}")
    time.sleep(1.0)
    threads = len(set(run_shards(name, range(6))))
    node = ray.get_runtime_context().get_node_id()
    Path(path).write_text(json.dumps([node, began, time.time(), threads]))


def refuse(progress: Any) -> None:
    from fgrpo.errors import UsageError

    raise UsageError("field x: must be odd")


def overflow(progress: Any) -> None:
    raise OverflowError("too much")


def die(path: str, progress: Any) -> None:
    import os
    import signal
    from pathlib import Path

    with Path(path).open("a") as file:
        file.write("again")
    os.kill(os.getpid(), signal.SIGKILL)


def tick(path: str, progress: Any) -> None:
    """Write for ever."""
    import time
    from pathlib import Path

    while True:
        with Path(path).open("a") as file:
            file.write(".")
        time.sleep(0.05)


def stands_still(path: Path) -> bool:
    """Wait until a file grows no more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        size = path.stat().st_size
        time.sleep(1.5)
        if path.stat().st_size == size:
            return True
    return False


def command(folder: Path, *more: str, recipe: dict[str, Any] = SMALLEST) -> list[str]:
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    line = [sys.executable, "-m", "fgrpo", "run"]
    return [*line, *more, "tiny.yaml", "--out", "runs/tiny"]


@pytest.mark.parametrize("words", [["--ray"], ["--ray", "local", "--workers", "1"]])
def test_the_command_s_results_are_those_of_one_process(words, cluster, alone, tmp_path) -> None:
    done = subprocess.run(
        command(tmp_path, *words),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        # A new cluster of Ray's may write into the home folder.
        env={**os.environ, "RAY_ADDRESS": cluster, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "runs") == alone
    # Ray says nothing, and the jobs tell of themselves.
    lines = done.stderr.splitlines()
    assert all(line.startswith(("base ", "3 jobs", "grpo ", "f-dapo ")) for line in lines), lines
    assert any(line.startswith("f-dapo seed 0: 4/4") for line in lines)


def test_all_reports_arrive_and_both_machines_work(here, tmp_path) -> None:
    paths = [tmp_path / str(i) for i in range(4)]
    seen = run(jobs_of(note, *[(str(path),) for path in paths]), here)
    for i in range(4):
        assert [report for report in seen if report.job == f"job {i}"] == [
            Progress(f"job {i}", step, f"step {step}") for step in (1, 2, 3)
        ]
    assert len({json.loads(path.read_text())[0] for path in paths}) == 2


def test_no_more_at_a_time_than_asked_for(here, tmp_path) -> None:
    paths = [tmp_path / str(i) for i in range(3)]
    run(jobs_of(note, *[(str(path),) for path in paths]), here, workers=1)
    times = sorted(json.loads(path.read_text())[1:3] for path in paths)
    assert all(end <= began for (_, end), (began, _) in itertools.pairwise(times))


def test_jobs_share_the_threads_of_their_machines(cluster, here, tmp_path, monkeypatch) -> None:
    # What the cluster has is asked of Ray; here it is told to have more.
    import ray

    nodes = ray.nodes()
    for node in nodes:
        node["Resources"]["CPU"] = 6.0
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    given: list[int] = []
    task = ray_jobs._task
    options: list[dict[str, Any]] = []

    def remote(function: Any) -> Any:
        made = real(function)
        if function is not task:
            return made
        wanted = type(made).options

        class Task:
            def options(self, **more: Any) -> Any:
                options.append(more)
                return wanted(made, **{**more, "num_cpus": 1})

        return Task()

    real = ray.remote
    monkeypatch.setattr(ray, "remote", remote)
    paths = [tmp_path / str(i) for i in range(4)]
    run(jobs_of(note, *[(str(path),) for path in paths]), here)
    given = [json.loads(path.read_text())[3] for path in paths]
    assert given == [3, 3, 3, 3]
    assert [(each["num_cpus"], each["num_gpus"]) for each in options] == [(3, 0.0)]


def test_a_job_s_error_keeps_its_type_and_message(here) -> None:
    with pytest.raises(UsageError) as told:
        run(jobs_of(refuse, ()), here)
    assert type(told.value) is UsageError
    assert str(told.value) == "field x: must be odd"
    with pytest.raises(OverflowError, match=r"^too much$") as other:
        run(jobs_of(overflow, ()), here)
    assert type(other.value) is OverflowError


def test_a_killed_worker_is_one_clear_error(here, tmp_path) -> None:
    with pytest.raises(RunError, match=r"^Ray lost a job .*died.*same command") as told:
        run(jobs_of(die, (str(tmp_path / "tries"),)), here)
    assert "\n" not in str(told.value)
    assert (tmp_path / "tries").read_text() == "again"


def test_the_first_failure_ends_the_others(here, tmp_path) -> None:
    path = tmp_path / "ticks"

    def wait_and_refuse(progress: Any) -> None:
        from pathlib import Path

        while not Path(path).exists():
            time.sleep(0.05)
        raise OverflowError("too much")

    jobs = [Job("ticks", 1, tick, (str(path),)), Job("bad", 1, wait_and_refuse, ())]
    with pytest.raises(OverflowError, match="too much"):
        run(jobs, here)
    assert stands_still(path)


def test_a_cluster_without_room_is_told(here, monkeypatch, tmp_path) -> None:
    import ray

    monkeypatch.setattr(ray_jobs, "_PATIENCE", 0.5)
    busy = tmp_path / "busy"

    @ray.remote(num_cpus=1)
    def occupy() -> None:
        with busy.open("a") as file:
            file.write(".")
        time.sleep(60)

    held = [occupy.remote() for _ in range(2)]
    while not (busy.exists() and busy.stat().st_size == 2):
        time.sleep(0.1)
    seen: list[Progress] = []

    def show(report: Progress) -> None:
        seen.append(report)
        for each in held:
            ray.cancel(each, force=True)

    jobs = jobs_of(note, (str(tmp_path / "done"),))
    run_jobs_on_ray(jobs, None, show, shared=here)
    assert "waits for room" in seen[0].text
    assert seen[1:] == [Progress("job 0", step, f"step {step}") for step in (1, 2, 3)]


@pytest.mark.parametrize("path", ["/proc/self/cmdline", "/proc/{pid}/task/{pid}/../../no"])
def test_a_folder_the_machines_do_not_share_is_refused(path, here) -> None:
    path = path.format(pid=os.getpid())
    with pytest.raises(RunError, match=r"of the Ray cluster does not see /proc.*--out"):
        run(jobs_of(refuse, ()), Path(path))


def test_a_machine_without_a_package_is_refused(here, monkeypatch) -> None:
    monkeypatch.setattr(ray_jobs, "_NEEDED", ("fgrpo", "no_such_package"))
    with pytest.raises(RunError, match=r"lacks no_such_package.*'\.\[lab,ray\]' in"):
        run(jobs_of(refuse, ()), here)


def test_a_machine_with_another_version_is_refused(here, monkeypatch) -> None:
    look = ray_jobs._inspector()
    inspectors = iter([lambda path, names: ({**look(path, names)[0], "torch": "2.0"}, b"")])

    def inspector() -> Any:
        """Look here as from another version's machine; elsewhere as always."""
        here_only = next(inspectors)
        driver = os.getpid()

        def both(path: str, names: Any) -> Any:
            import os

            return here_only(path, names) if os.getpid() == driver else look(path, names)

        return both

    monkeypatch.setattr(ray_jobs, "_inspector", inspector)
    with pytest.raises(RunError, match=r"has torch 2\.\d+\.\d+, this machine 2\.0: install"):
        run(jobs_of(refuse, ()), here)


def test_a_cluster_without_a_gpu_is_refused(here, monkeypatch) -> None:
    of = ray_jobs._node
    monkeypatch.setattr(ray_jobs, "_node", lambda node: of(node)._replace(gpus=0.0))
    with pytest.raises(RunError, match="the Ray cluster has no GPU"):
        run_jobs_on_ray(jobs_of(refuse, ()), None, print, shared=here, gpu=True)


def test_a_machine_whose_pytorch_finds_no_gpu_is_told(here) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(RunError, match=rf"^{socket.gethostname()}: PyTorch finds no CUDA device"):
        run_jobs_on_ray(jobs_of(refuse, ()), None, print, shared=here, gpu=True)


def test_a_stopped_or_killed_command_leaves_nothing_at_work(cluster, tmp_path) -> None:
    recipe = {**SMALLEST, "train": {**SMALLEST["train"], "steps": 100_000}}
    for kill in (signal.SIGINT, signal.SIGKILL):
        words = command(tmp_path, "--ray", cluster, recipe=recipe)
        process = subprocess.Popen(
            words,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # Ignored where the tests run in the background of a script.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        metrics = tmp_path / "runs" / "tiny" / "arms" / "grpo" / "seed-0" / "metrics.jsonl"
        before = metrics.stat().st_size if metrics.exists() else 0
        deadline = time.monotonic() + 120
        try:
            while not (metrics.exists() and metrics.stat().st_size > before + 1000):
                assert time.monotonic() < deadline, "the first arm never started"
                time.sleep(0.1)
            os.killpg(process.pid, kill)  # as Ctrl-C does: all of the terminal's processes
            _, errors = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        assert stands_still(metrics)
        if kill == signal.SIGINT:
            assert process.returncode == 130
            assert errors.decode().splitlines()[-1].startswith("Stopped. The same command")
    # Nobody holds the arm, and its files are whole.
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(len(steps)))


def test_an_address_that_is_none_is_bad_usage() -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=r"--ray 'head': must be HOST:PORT"), connected("head"):
        pass


def test_an_address_where_nobody_answers_is_told_at_once(monkeypatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1", "", "auto"):
        with (
            pytest.raises(RunError, match=r"--ray (ray://)?127\.0\.0\.1:1: cannot be used"),
            connected(address),
        ):
            pass


def test_a_connection_made_before_is_kept(cluster) -> None:
    import ray

    ray.init(address=cluster, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with connected("127.0.0.1:1"):
            pass
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def node(cpus: int, gpus: float = 0.0) -> Node:
    return Node("0", "host", cpus, gpus)


@pytest.mark.parametrize(
    ("cpus", "jobs", "threads"),
    [
        ([4], 1, 4),
        ([4], 3, 1),
        ([8], 3, 2),
        ([4, 4], 3, 2),
        ([6, 2], 2, 3),  # 4 each would leave the second machine idle, and one job waiting
        ([6, 2], 1, 6),
        ([2, 2], 9, 1),  # no room for all at once
    ],
)
def test_threads_are_as_many_as_let_all_jobs_run_at_once(cpus, jobs, threads) -> None:
    nodes = [node(count) for count in cpus]
    assert threads_each(nodes, jobs, 0.0) == threads


@pytest.mark.parametrize(
    ("nodes", "workers", "share", "at_once"),
    [
        ([node(8, 1)], None, 1.0, 1),
        ([node(8, 2), node(8, 2)], None, 1.0, 4),
        ([node(8, 2), node(8, 2)], 3, 1.0, 4),
        ([node(8, 1)], 3, 0.3333, 3),
        ([node(8, 2), node(8, 1)], 6, 0.5, 6),
        ([node(2, 8)], None, 1.0, 2),  # a job has a core too
        ([node(8, 0)], None, 1.0, 0),
    ],
)
def test_gpus_are_shared_by_no_more_jobs_than_asked_for(nodes, workers, share, at_once) -> None:
    assert gpu_share(nodes, workers) == share
    assert room(nodes, 1, share) == at_once
