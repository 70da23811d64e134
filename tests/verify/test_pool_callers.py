"""The pool in odd surroundings, among threads and event loops, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import alive, children, keepers, wait_for, workers

from fgrpo.errors import RunError
from fgrpo.verify import Outcome, Verdict, VerifierPool
from fgrpo.verify.registry import VERIFIERS, Verifier, find

pytestmark = pytest.mark.slow

SAME, SLOW = "pool_verifiers:same", "pool_verifiers:slow"
CORRECT, WRONG = Verdict(Outcome.CORRECT), Verdict(Outcome.WRONG)


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).parent,
    )


# --- odd surroundings ---------------------------------------------------------------------------


SURROUNDINGS = """
import os, signal, sys
from fgrpo.verify import VerifierPool
{}
with VerifierPool(1, seconds=5) as pool:
    found = pool.verify("pool_verifiers:misbehave", ["fine", "abort"], [None, None])
    os.write(other, " ".join(v.reason or v.outcome for v in found).encode())
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "os.closerange(0, 1)",
        "os.closerange(0, 3)",
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "folder = __import__('tempfile').mkdtemp(); os.chdir(folder); os.rmdir(folder)",
        "sys.path[:0] = [b'bytes', None, __import__('pathlib').Path('x')]",
        "os.environ.clear()",
        "sys.stdin = sys.stdout = sys.stderr = None",
    ],
)
def test_callers_in_odd_surroundings(before: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    opened = f"other = os.open({str(said)!r}, os.O_CREAT | os.O_WRONLY)\nos.dup2(other, 40)\n"
    python(SURROUNDINGS.format(f"sys.path.append(os.getcwd())\n{opened}other = 40\n{before}"))
    assert said.read_text() == "correct crash: Aborted"


def test_a_pool_works_with_the_threads_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    original, started = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if len(started) == most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        original(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    most = 0
    with VerifierPool(3) as pool:
        with pytest.raises(RunError, match="cannot work: can't start new thread"):
            pool.submit(SAME, "a", "a")
        most = 1
        assert pool.verify(SAME, ["a"] * 9, ["a"] * 9) == [CORRECT] * 9
    assert len(started) == 1


def test_modules_of_the_working_directory_are_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def check(text, reference):\n    return True\n")
    code = (
        "from fgrpo.verify import VerifierPool\n"
        "with VerifierPool(1) as pool:\n"
        "    print(pool.submit('mine:check', '', None).result().outcome)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "correct"


def test_table_of_verifiers() -> None:
    assert find("maths").function == "fgrpo.verify.maths:verify"
    assert find("my.own:check") == Verifier("my.own:check")
    assert [name for name, entry in VERIFIERS.items() if entry.unsafe] == ["reasoning-gym-unsafe"]


def test_import_is_light() -> None:
    heavy = ("torch", "transformers", "math_verify", "sympy", "datasets", "reasoning_gym", "scipy")
    code = (
        "import sys\n"
        "from fgrpo.verify import VerifierPool\n"
        "pool = VerifierPool(1)\n"
        "pool.submit('pool_verifiers:same', 'a', 'a').result()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"


# --- threads and event loops --------------------------------------------------------------------


def test_many_threads_at_once(pool: VerifierPool) -> None:
    results: dict[int, list[Verdict]] = {}

    def ask(number: int) -> None:
        texts = [f"{number} {i}" for i in range(50)]
        references = [text if i % 2 else "" for i, text in enumerate(texts)]
        results[number] = pool.verify(SAME, texts, references)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [WRONG, CORRECT] * 25 for number in range(16)}


def test_asyncio_is_not_held_up(pool: VerifierPool) -> None:
    async def both() -> tuple[list[Verdict], list[Verdict], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        clock = asyncio.create_task(tick())
        first, second = await asyncio.gather(
            pool.verify_async(SLOW, ["", ""], [0.2, 0.2]),
            pool.verify_async(SAME, ["a"], ["b"]),
        )
        clock.cancel()
        return first, second, ticks

    first, second, ticks = asyncio.run(both())
    assert (first, second) == ([CORRECT, CORRECT], [WRONG])
    assert ticks >= 5


def test_what_waits_can_be_cancelled() -> None:
    async def give_up(pool: VerifierPool) -> None:
        await asyncio.wait_for(pool.verify_async(SLOW, [""] * 500, [0.05] * 500), 0.3)

    with VerifierPool(1, batch=4) as pool:
        with pytest.raises(TimeoutError):
            asyncio.run(give_up(pool))
        began = time.monotonic()
        assert pool.submit(SAME, "a", "a").result() == CORRECT
        assert time.monotonic() - began < 5  # 500 would have taken 25 s
        assert pool.statistics.answers < 100


def test_interrupted_verification_does_not_go_on() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with VerifierPool(1, batch=4) as pool:
        assert pool.submit(SAME, "a", "a").result() == CORRECT
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                pool.verify(SLOW, [""] * 500, [0.05] * 500)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert pool.submit(SAME, "a", "a").result() == CORRECT
        assert pool.statistics.answers < 100


# --- the end ------------------------------------------------------------------------------------


def test_closing_ends_what_waits_and_what_runs() -> None:
    pool = VerifierPool(1, batch=2)
    futures = [pool.submit(SLOW, "", 60) for _ in range(5)]
    wait_for(lambda: futures[0].running() and workers(pool))
    pids = keepers(pool) + workers(pool)
    pool.close()
    for future in futures:
        with pytest.raises(RunError, match="closed before this answer was verified"):
            future.result(timeout=5)
    wait_for(lambda: not alive(pids))
    pool.close()
    with pytest.raises(RunError, match="pool is closed"):
        pool.submit(SAME, "", "")


def test_closing_an_unused_pool_starts_nothing() -> None:
    before = children(os.getpid())
    VerifierPool(3).close()
    assert children(os.getpid()) == before


def test_closing_from_a_callback_does_not_hang() -> None:
    pool = VerifierPool(1)
    closed = threading.Event()

    def close(_: object) -> None:
        pool.close()
        closed.set()

    pool.submit(SLOW, "", 0.05).add_done_callback(close)
    assert closed.wait(10)


def test_a_program_that_forgets_to_close_ends_and_leaves_nothing() -> None:
    code = (
        "from fgrpo.verify import VerifierPool\n"
        "from processes import keepers, workers\n"
        "pool = VerifierPool(2)\n"
        "pool.verify('pool_verifiers:same', ['a'] * 9, ['a'] * 9)\n"
        "waiting = pool.submit('pool_verifiers:slow', '', 60)\n"
        "waiting.add_done_callback(lambda _: print(type(waiting.exception()).__name__))\n"
        "print(*keepers(pool), *workers(pool))"
    )
    shown, ended = python(code).stdout.splitlines()
    assert ended == "RunError"
    pids = [int(pid) for pid in shown.split()]
    assert len(pids) >= 2
    wait_for(lambda: not alive(pids))


def test_a_fork_of_the_owner_is_told_and_does_no_harm(pool: VerifierPool) -> None:
    assert pool.submit(SAME, "a", "a").result() == CORRECT
    code = (
        "import os\n"
        "from fgrpo.verify import VerifierPool\n"
        "pool = VerifierPool(1)\n"
        "print(pool.submit('pool_verifiers:same', 'a', 'a').result().outcome, flush=True)\n"
        "import warnings; warnings.simplefilter('ignore')\n"
        "if not os.fork():\n"
        "    try:\n"
        "        pool.submit('pool_verifiers:same', 'a', 'a')\n"
        "    except RuntimeError as error:\n"
        "        print(error, flush=True)\n"
        "    pool.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(pool.submit('pool_verifiers:same', 'a', 'b').result().outcome)"
    )
    said = python(code).stdout.splitlines()
    assert said == [
        "correct",
        "this verifier pool belongs to the parent process; make one here",
        "wrong",
    ]
