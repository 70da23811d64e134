"""The independent pieces of an experiment on a Ray cluster, each as a task of its own."""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from fgrpo.cores import cores
from fgrpo.errors import RunError, UsageError, to_install
from fgrpo.lab.jobs import Job, Progress, work_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_NEEDED = ("fgrpo", "torch", "safetensors")
_PATIENCE = 20.0  # seconds until it is told that no job has begun
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray's next default; without it Ray warns
}


class Node(NamedTuple):
    """A machine of the cluster, with what Ray may use of it."""

    id: str
    host: str
    cpus: int
    gpus: float


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to Ray until the block ends; where this process is connected already, stay so.

    Parameters
    ----------
    address
        ``HOST:PORT`` or ``ray://HOST:PORT`` of a cluster, ``"auto"`` for one that runs on this
        machine, ``"local"`` for a new one of this machine's cores; ``""`` for the first there is of
        these: what RAY_ADDRESS names, one that runs here, a new one.

    Raises
    ------
    UsageError
        If Ray is not installed or the address is none.
    RunError
        If no cluster answers there, or one that this version of Ray cannot use.
    """
    if find_spec("ray") is None:
        raise UsageError(f"--ray needs Ray: {to_install('ray')}")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    if address in ("", "auto"):
        address = os.environ.get("RAY_ADDRESS", address)
    try:
        _connect(address)
    except UsageError:
        raise
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        told = " ".join(str(error).split())
        raise RunError(
            f"--ray {address}: cannot be used ({told}); start Ray there, set "
            "RAY_AUTH_MODE=token if it asks for Ray's token, or give --ray local"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    """Connect to a cluster, or start one."""
    import ray

    def connect(where: str, **more: Any) -> None:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, **more)

    # The parts talk by small messages and the run folder: the object store may be Ray's smallest.
    local = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": 10**8}
    if address == "local":
        connect(address, **local)
    elif address in ("", "auto"):
        try:
            connect("auto")
        except ConnectionError:
            if address:
                raise
            connect("local", **local)
    else:
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if not (host and colon and port.isdecimal()):
            raise UsageError(
                f"--ray {address!r}: must be HOST:PORT, ray://HOST:PORT, auto or local"
            )
        # Ray itself tries for five minutes, and then ends the process.
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        connect(address)


def run_jobs_on_ray(
    jobs: Sequence[Job],
    workers: int | None,
    show: Callable[[Progress], None],
    *,
    shared: Path,
    gpu: bool = False,
) -> None:
    """Run all jobs on the cluster this process is `connected` to, passing on what they report.

    Parameters
    ----------
    jobs
        Each becomes a task.
    workers
        How many at a time; default as many as the cluster has room for. The cores are divided
        among them.
    show
        Receives what they report.
    shared
        An absolute path. Every machine has to see this file: the jobs' files lie beside it.
    gpu
        Whether a job needs a GPU. More ``workers`` than GPUs share them.

    Raises
    ------
    RunError
        If the cluster has no room for a job, or a machine of it lacks the file, fgrpo or PyTorch.
    Exception
        The first failure, after the other running jobs were ended.
    """
    import ray
    from ray.exceptions import RayError

    nodes = [_node(each) for each in ray.nodes() if each["Alive"]]
    share = gpu_share(nodes, workers) if gpu else 0.0
    nodes = [node for node in nodes if room([node], 1, share)]
    if not nodes:
        raise RunError(f"the Ray cluster has no {'GPU' if gpu else 'core'}; add a machine to it")
    threads = threads_each(nodes, min(workers or len(jobs), len(jobs)), share)
    waiting, running = list(jobs), list[Any]()
    try:
        _check(nodes, shared)
        mailbox = ray.remote(_Mailbox).options(**_on(nodes[0])).remote()
        # No second try: what a job that takes the memory did once it would do again.
        task = ray.remote(_task).options(num_cpus=threads, num_gpus=share, max_retries=0)
        began, quiet = time.monotonic(), True
        while waiting or running:
            while waiting and (workers is None or len(running) < workers):
                running.append(task.remote(waiting.pop(0), threads, gpu, mailbox))
            finished, running = ray.wait(running, num_returns=len(running), timeout=0.1)
            for report in ray.get(mailbox.take.remote()):
                quiet = False
                if report is not None:
                    show(report)
            if quiet and time.monotonic() - began > _PATIENCE:
                quiet = False
                show(Progress(jobs[0].name, 0, "waits for room on the Ray cluster"))
            ray.get(finished)
    except RayError as error:
        cause = getattr(error, "cause", error)  # what the task itself raised, if it did
        if not isinstance(cause, RayError):
            raise cause from error
        told = (str(cause) or type(cause).__name__).splitlines()[0]
        raise RunError(f"Ray lost a job ({told}); run the same command to go on") from error
    finally:
        for future in running:
            with suppress(RayError):
                ray.cancel(future, force=True)


class _Mailbox:
    """Keeps what jobs report until it is fetched."""

    def __init__(self) -> None:
        self._reports: list[Progress | None] = []

    def put(self, report: Progress | None) -> None:
        self._reports.append(report)

    def take(self) -> list[Progress | None]:
        taken, self._reports = self._reports, []
        return taken


def _task(job: Job, threads: int, gpu: bool, mailbox: Any) -> None:
    """Do a job in a worker of Ray's."""
    import ray

    mailbox.put.remote(None)  # it has begun
    if gpu:
        import torch

        if not torch.cuda.is_available():
            raise RunError(f"{socket.gethostname()}: PyTorch finds no CUDA device there")
    reports: list[Any] = []

    def progress(done: int, text: str = "") -> None:
        reports[:] = [mailbox.put.remote(Progress(job.name, done, text))]

    work_on(job, threads, progress)
    ray.get(reports)  # the last has arrived, and with it those before


def gpu_share(nodes: Sequence[Node], workers: int | None) -> float:
    """Return how much of a GPU a job gets: all of it, unless there are more workers than GPUs."""
    gpus = int(sum(node.gpus for node in nodes))
    sharing = -(-(workers or 1) // max(1, gpus))
    return 10**4 // sharing / 10**4  # Ray counts no finer


def room(nodes: Sequence[Node], threads: int, share: float) -> int:
    """Count the jobs of so many threads and such a share of a GPU that find room at once."""
    return sum(
        min(node.cpus // threads, int(node.gpus / share) if share else node.cpus) for node in nodes
    )


def threads_each(nodes: Sequence[Node], jobs: int, share: float) -> int:
    """Return the most threads with which all jobs find room; 1 if some have to wait anyhow."""
    most = max(node.cpus for node in nodes)
    return next((n for n in range(most, 1, -1) if room(nodes, n, share) >= jobs), 1)


def _node(described: dict[str, Any]) -> Node:
    has = described["Resources"]
    host = described["NodeManagerHostname"]
    return Node(described["NodeID"], host, int(has.get("CPU", 0)), has.get("GPU", 0.0))


def _on(node: Node) -> dict[str, Any]:
    """Return the options of what runs on one machine, and takes none of the jobs' room there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {
        "num_cpus": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
    }


def _check(nodes: Sequence[Node], shared: Path) -> None:
    """Refuse machines that cannot do a job, or would do it with another fgrpo or PyTorch."""
    import ray

    look = _inspector()
    here = look(str(shared), _NEEDED)
    answers = [ray.remote(look).options(**_on(node)).remote(str(shared), _NEEDED) for node in nodes]
    for node, (versions, content) in zip(nodes, ray.get(answers, timeout=120), strict=True):
        where = f"{node.host} ({node.id[:8]}) of the Ray cluster"
        for name in _NEEDED:
            if versions[name] is None:
                raise RunError(f"{where} lacks {name}: {to_install('lab', 'ray')} there")
            if versions[name] != here[0][name]:
                raise RunError(
                    f"{where} has {name} {versions[name]}, this machine {here[0][name]}: "
                    "install the same version, or results would differ"
                )
        if content is None or content != here[1]:
            raise RunError(
                f"{where} does not see {shared}: choose with --out a folder on a disk that all "
                "its machines share"
            )


def _inspector() -> Callable[[str, Sequence[str]], tuple[dict[str, str | None], bytes | None]]:
    """Return what looks at a machine; sent whole, as a local function, fgrpo may be missing."""

    def look(path: str, packages: Sequence[str]) -> tuple[dict[str, str | None], bytes | None]:
        from importlib import metadata, util
        from pathlib import Path

        versions: dict[str, str | None] = {}
        for name in packages:
            try:
                versions[name] = metadata.version(name).partition("+")[0]
            except metadata.PackageNotFoundError:
                versions[name] = "not installed" if util.find_spec(name) else None
        try:
            return versions, Path(path).read_bytes()
        except OSError:
            return versions, None

    return look
