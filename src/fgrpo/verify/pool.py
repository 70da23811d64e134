"""Verify answers in processes that a hostile answer can hang or crash without harm.

Each slot of a pool is a thread here, a keeper that has imported the verifiers, and a worker forked
from it (`fgrpo.verify.keeper`, `fgrpo.verify.worker`). Whatever a model wrote is looked at in the
worker only, behind the layers of `fgrpo.verify.isolation`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections import Counter, deque
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any, Self

from fgrpo.cores import cores
from fgrpo.errors import RunError, UsageError
from fgrpo.verify.registry import find
from fgrpo.verify.slot import Settings, Slot
from fgrpo.verify.statistics import Statistics
from fgrpo.verify.task import Task, make_task
from fgrpo.verify.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

_LEAST_MEMORY = 1 << 26
_BATCH_BYTES = 1 << 20  # of text in one batch, more only if a single answer is longer
_NOTHING = "fgrpo.verify.worker:nothing"
_CLOSED = "the verifier pool was closed before this answer was verified"


class VerifierPool:
    r"""Worker processes that verify answers, within limits.

    Usable from any thread and from asyncio at once; safe beside CUDA, as nothing is forked from
    the caller. Nothing starts before the first answer; everything ends with `close`, with the
    ``with`` block, or with the program.

    Parameters
    ----------
    workers
        How many answers to verify at once; None takes the cores this process may use.
    seconds
        Longest time one answer may take, counted from when a worker begins it; then the worker
        is killed and the answer unverifiable: ``time-out``.
    memory
        Bytes of address space a worker may take beyond what the verifiers need themselves
        (default 2 GiB; not enforced on macOS). Beyond it an answer is unverifiable: ``memory``.
    batch
        Most answers sent to a worker at once.
    allow_unsafe
        Whether to run verifiers that evaluate the model's text, each answer in a process of its
        own and only where every layer of isolation is there. Code in an answer then runs in the
        process that gives the verdict: it can harm nothing outside, but it can lie about that
        one verdict.
    grace
        Seconds after which a worker that the kernel should have ended is ended from here.

    Raises
    ------
    UsageError
        If a setting is out of range.

    Examples
    --------
    >>> with VerifierPool() as pool:
    ...     verdicts = pool.verify("maths", [r"It is \boxed{42}."], ["42"])
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        seconds: float = 10.0,
        memory: int = 2 * 2**30,
        batch: int = 32,
        allow_unsafe: bool = False,
        grace: float = 5.0,
    ) -> None:
        if workers is None:
            workers = cores()
        if workers < 1 or batch < 1:
            raise UsageError(f"workers and batch must be at least 1, got {workers} and {batch}")
        if not (0 < seconds < 1e6 and 0 < grace < 1e6):
            raise UsageError(f"seconds and grace must be positive, got {seconds} and {grace}")
        if memory < _LEAST_MEMORY:
            raise UsageError(f"memory must be at least {_LEAST_MEMORY} bytes, got {memory}")
        self._batch = batch
        self._allow_unsafe = allow_unsafe
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._queue: deque[Task] = deque()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._seconds = 0.0
        self._closed = False
        settings = Settings(seconds, memory, grace)
        self._slots = [Slot(settings, self) for _ in range(workers)]
        self._wake = [threading.Condition(self._lock) for _ in range(workers)]
        self._idle: list[int] = []  # slots waiting for work, the one to be woken first at the end
        self._threads: list[threading.Thread] = []

    # --- for users ------------------------------------------------------------------------------

    def submit(self, verifier: str, text: str, reference: Any) -> Future[Verdict]:
        """Have one answer verified.

        Parameters
        ----------
        verifier
            A name of `fgrpo.verify.registry.VERIFIERS`, or ``package.module:function`` for your
            own: called with the text and the reference, it returns a bool or raises
            `UnverifiableError`. Its module is imported once, and forked: it must not start
            threads. If it has a function ``warm``, that is called once, to fill caches.
        text
            What the model wrote.
        reference
            What the verifier compares with; of JSON's types.

        Returns
        -------
        Future
            Its result is a `Verdict`; `UsageError` if the verifier cannot be imported or is
            refused, `RunError` if the pool closes first or a process cannot be started.

        Raises
        ------
        UsageError
            If there is no such verifier, it is unsafe and not allowed, or the text or reference
            is of the wrong type.
        RunError
            If the pool is closed, or was made in another process.
        """
        task = self._task(verifier, text, reference)
        self._enqueue([task])
        return task.future

    def verify(
        self, verifier: str, texts: Iterable[str], references: Iterable[Any]
    ) -> list[Verdict]:
        """Have many answers verified and wait for them; parameters and errors as of `submit`.

        Returns
        -------
        list of Verdict
            In the order of the texts, whatever the number of workers.
        """
        tasks = self._tasks(verifier, texts, references)
        self._enqueue(tasks)
        try:
            return [task.future.result() for task in tasks]
        except BaseException:
            for task in tasks:
                task.future.cancel()
            raise

    async def verify_async(
        self, verifier: str, texts: Iterable[str], references: Iterable[Any]
    ) -> list[Verdict]:
        """Do as `verify` does without holding up the event loop."""
        import asyncio

        tasks = self._tasks(verifier, texts, references)
        self._enqueue(tasks)
        return await asyncio.gather(*(asyncio.wrap_future(task.future) for task in tasks))

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        with self._lock:
            return Statistics(
                **{outcome.value: self._counts[outcome.value] for outcome in Outcome},
                reasons=dict(sorted(self._reasons.items())),
                workers_lost=self._counts["workers"],
                keepers_lost=self._counts["keepers"],
                seconds=self._seconds,
            )

    def layers(self) -> dict[str, str]:
        """Say which layers of isolation the workers have: ``"active"``, or why not."""
        self.submit(_NOTHING, "", None).result()
        return next(dict(slot.layers) for slot in self._slots if slot.layers)

    def close(self) -> None:
        """End all processes; answers still waiting end with a `RunError`. Closing twice is fine."""
        if os.getpid() != self._process:
            return  # a fork of the owner: the processes are not its own
        with self._lock:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
            for wake in self._wake:
                wake.notify()
        for slot in self._slots:
            slot.kill()
        for task in waiting:
            self.failed(task, RunError(_CLOSED))
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the queue ------------------------------------------------------------------------------

    def _tasks(self, verifier: str, texts: Iterable[str], references: Iterable[Any]) -> list[Task]:
        for name, given in (("texts", texts), ("references", references)):
            if isinstance(given, str):
                raise UsageError(f"{name} must be a sequence, got one string")
        texts, references = list(texts), list(references)
        if len(texts) != len(references):
            raise UsageError(f"{len(texts)} texts but {len(references)} references")
        return [
            self._task(verifier, text, reference)
            for text, reference in zip(texts, references, strict=True)
        ]

    def _task(self, verifier: str, text: str, reference: Any) -> Task:
        if find(verifier).unsafe and not self._allow_unsafe:
            raise UsageError(
                f"verifier {verifier!r} evaluates what the model wrote; "
                "if you accept that, make the pool with allow_unsafe=True"
            )
        return make_task(verifier, text, reference)

    def _enqueue(self, tasks: Iterable[Task], *, first: bool = False) -> None:
        if os.getpid() != self._process:
            raise RunError("this verifier pool belongs to the parent process; make one here")
        with self._lock:
            if self._closed:
                raise RunError("the verifier pool is closed")
            self._start_threads()
            if first:
                self._queue.extendleft(reversed(list(tasks)))
            else:
                self._queue.extend(tasks)
            for _ in range(min(len(self._queue), len(self._idle))):
                self._wake[self._idle.pop()].notify()

    def _start_threads(self) -> None:
        if self._threads:
            return
        for number in reversed(range(len(self._slots))):
            thread = threading.Thread(
                target=self._serve, args=(number,), name=f"verifier-{number}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:
                if not self._threads:
                    raise RunError(f"the verifier pool cannot work: {error}") from error
                break  # those there are do all the work
            self._threads.append(thread)
        atexit.register(self.close)

    def _serve(self, number: int) -> None:
        """Keep one slot at work: the body of its thread."""
        slot = self._slots[number]
        try:
            while batch := self._take(number):
                try:
                    again = slot.run(batch)
                except Exception as error:
                    slot.drop()
                    for task in batch:
                        self.failed(task, RunError(f"the verifier pool failed: {error!r}"))
                else:
                    self._send_again(again)
        finally:
            slot.drop()

    def _send_again(self, tasks: list[Task]) -> None:
        if not tasks:
            return
        try:
            self._enqueue(tasks, first=True)
        except RunError:
            for task in tasks:
                self.failed(task, RunError(_CLOSED))

    def _take(self, number: int) -> list[Task]:
        """Wait for tasks; none when the pool is closed.

        The fewer are waiting the fewer are taken, so that all workers end at about the same time.
        """
        with self._lock:
            while not self._closed:
                batch: list[Task] = []
                most = min(self._batch, 1 + len(self._queue) // (2 * len(self._slots)))
                size = 0
                while self._queue and len(batch) < most:
                    task = self._queue[0]
                    alone = task.suspicion > 0 or task.verifier.unsafe
                    size += len(task.body)
                    if batch and (alone or size > _BATCH_BYTES):
                        break
                    self._queue.popleft()
                    if task.started or task.future.set_running_or_notify_cancel():
                        task.started = True
                        batch.append(task)
                    if alone and batch:
                        break
                if batch:
                    return batch
                self._idle.append(number)
                self._wake[number].wait()
                if number in self._idle:
                    self._idle.remove(number)
            return []

    # --- what slots tell ------------------------------------------------------------------------

    def judged(self, task: Task, verdict: Verdict, seconds: float) -> None:
        """Pass on a verdict, and count it."""
        with self._lock:
            if task.name != _NOTHING:
                self._counts[verdict.outcome.value] += 1
                self._seconds += seconds
            if verdict.reason:
                self._reasons[verdict.kind] += 1
        task.future.set_result(verdict)

    def failed(self, task: Task, error: Exception) -> None:
        """Pass on why a task got no verdict."""
        with contextlib.suppress(InvalidStateError):  # it was cancelled
            task.future.set_exception(error)

    def lost(self, *, keeper: bool) -> None:
        """Count a worker or keeper that had to be replaced."""
        with self._lock:
            self._counts["keepers" if keeper else "workers"] += 1
