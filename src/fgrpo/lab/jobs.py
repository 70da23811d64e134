"""The independent pieces of an experiment, run side by side, each in a process of its own.

The cores are divided among the jobs that run at once. How many threads a job has changes how long
it takes and no bit of its result (`fgrpo.lab.shards`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING, NamedTuple

from fgrpo.cores import cores
from fgrpo.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.queues import Queue


class Progress(NamedTuple):
    """What a job tells while it works."""

    job: str
    done: int
    text: str


class Job(NamedTuple):
    """A named piece of work, ``work(*arguments, progress)``, picklable."""

    name: str
    total: int
    work: Callable[..., None]  # importable by name
    arguments: tuple[object, ...]


_queue: Queue[Progress] | None = None


def run_jobs(jobs: Sequence[Job], workers: int, show: Callable[[Progress], None]) -> None:
    """Run all jobs, ``workers`` at a time, passing on what they report.

    Raises
    ------
    Exception
        The first failure, after the other running jobs were ended.
    """
    context = multiprocessing.get_context("spawn")
    queue: Queue[Progress] = context.Queue()
    at_once = min(workers, len(jobs))
    threads = max(1, cores() // at_once)
    pool = ProcessPoolExecutor(at_once, mp_context=context, initializer=_start, initargs=(queue,))
    try:
        with _libraries_with_one_thread():  # inherited by the processes that start here
            pending: set[Future[None]] = {pool.submit(_run, job, threads) for job in jobs}
        while pending:
            finished, pending = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
            while not queue.empty():
                show(queue.get())
            for future in finished:
                future.result()
        pool.shutdown()  # a worker that ends has sent what it put into the queue
        while not queue.empty():
            show(queue.get())
    except BrokenProcessPool:
        raise RunError(
            "a worker process died (out of memory, or killed); run the same command to go on"
        ) from None
    except BaseException:
        for process in list(pool._processes.values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def work_on(job: Job, threads: int, progress: Callable[..., None]) -> None:
    """Do a job in this process, with so many threads."""
    from fgrpo.lab.shards import use_threads  # here, so that the parent stays light

    use_threads(threads)
    job.work(*job.arguments, progress)


@contextmanager
def _libraries_with_one_thread() -> Iterator[None]:
    """Keep numerical libraries from starting threads of their own beside those of `work_on`."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(queue: Queue[Progress]) -> None:
    """Prepare a worker: no Ctrl-C of its own, and an end with its parent."""
    global _queue
    _queue = queue
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        # The parent may be killed without a chance to stop its workers.
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(job: Job, threads: int) -> None:
    def progress(done: int, text: str = "") -> None:
        if _queue is not None:
            _queue.put(Progress(job.name, done, text))

    work_on(job, threads, progress)
