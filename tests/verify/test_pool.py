"""The pool as its users see it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest
from processes import alive, children, keepers, wait_for, workers

from fgrpo.errors import RunError, UsageError
from fgrpo.verify import Outcome, Statistics, Verdict, VerifierPool
from fgrpo.verify.registry import VERIFIERS, Verifier, find
from fgrpo.verify.task import Task, make_task

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


# --- verdicts -----------------------------------------------------------------------------------


def test_right_and_wrong(pool: VerifierPool) -> None:
    assert pool.verify(SAME, ["a", "b"], ["a", "c"]) == [CORRECT, WRONG]
    assert pool.submit(SAME, "a", "a").result() == CORRECT


def test_no_answers(pool: VerifierPool) -> None:
    assert pool.verify(SAME, [], []) == []


def test_verdicts_come_in_order_for_any_number_of_workers() -> None:
    # Different times, so that answers are ready in another order than asked.
    texts = [str(i) for i in range(120)]
    references = [text if int(text) % 3 else "no" for text in texts]
    expected = [CORRECT if int(text) % 3 else WRONG for text in texts]
    for count in (1, 4):
        with VerifierPool(count, batch=5) as pool:
            delays = pool.submit(SLOW, "", 0.05)
            assert pool.verify(SAME, texts, references) == expected
            assert delays.result() == CORRECT


def test_texts_and_references_may_come_one_by_one(pool: VerifierPool) -> None:
    assert pool.verify(SAME, iter("ab"), (c for c in "aa")) == [CORRECT, WRONG]


def test_text_arrives_unchanged(pool: VerifierPool) -> None:
    texts = [
        "\0",
        "\ud800",
        "a\r\nb\u2028c",
        "\N{GRINNING FACE}",
        "",
        '"\\',
        "１２",
        "\u00e9",
        "e\u0301",
    ]
    assert pool.verify(SAME, texts, texts) == [CORRECT] * len(texts)
    assert pool.verify(SAME, texts, texts[1:] + texts[:1]) == [WRONG] * len(texts)


def test_huge_text(pool: VerifierPool) -> None:
    assert pool.submit("pool_verifiers:length", "é" * 5_000_000, 5_000_000).result() == CORRECT


def test_references_of_every_json_type(pool: VerifierPool) -> None:
    verdicts = pool.verify(SAME, ["a"] * 6, [None, True, 1.5, 10**300, {"a": ["a"]}, "a"])
    assert verdicts == [WRONG] * 5 + [CORRECT]


def test_several_verifiers_in_one_queue(pool: VerifierPool) -> None:
    asked = [pool.submit(SAME, "a", "a"), pool.submit("pool_verifiers:length", "ab", 2)] * 10
    assert [future.result() for future in asked] == [CORRECT] * 20


def test_verifiers_are_imported_and_warmed_once_by_the_keeper(pool: VerifierPool) -> None:
    pids = set()
    for _ in range(3):
        assert pool.submit("pool_verifiers:warmed_by_parent", "", None).result() == CORRECT
        pids.add(pool.submit("pool_verifiers:process", "", None).result().reason)
        pool.submit("pool_verifiers:misbehave", "exit", 1).result()
    assert len(pids) > 1


def test_time_in_the_queue_does_not_count() -> None:
    with VerifierPool(1, seconds=0.4) as pool:
        assert pool.verify(SLOW, [""] * 8, [0.1] * 8) == [CORRECT] * 8


# --- batches ------------------------------------------------------------------------------------


def taken(tasks: list[Task], workers: int = 1, batch: int = 4) -> list[list[Task]]:
    """Batches as a slot would take them, one after the other."""
    pool = VerifierPool(workers, batch=batch)
    pool._queue.extend(tasks)
    batches = []
    while pool._queue:
        batches.append(pool._take(0))
    return batches


def test_batches_shrink_towards_the_end() -> None:
    tasks = [make_task(SAME, str(i), "") for i in range(24)]
    assert [len(batch) for batch in taken(tasks, workers=2)] == [4, 4, 4, 4, 3, 2, 1, 1, 1]
    assert [len(batch) for batch in taken(tasks, workers=24)] == [1] * 24
    assert [*chain(*taken(tasks, workers=2))] == tasks


def test_suspected_and_unsafe_tasks_are_sent_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "unsafe", Verifier(SAME, unsafe=True))
    tasks = [make_task("unsafe" if i == 3 else SAME, "", "") for i in range(12)]
    tasks[0].suspicion = tasks[6].suspicion = 1
    batches = taken(tasks)
    assert [*chain(*batches)] == tasks
    assert [tasks[0]] in batches
    assert [tasks[3]] in batches
    assert [tasks[6]] in batches


def test_long_texts_are_sent_in_small_batches() -> None:
    tasks = [make_task(SAME, "x" * 400_000, "") for _ in range(9)]
    assert [len(batch) for batch in taken(tasks)] == [2, 2, 2, 2, 1]


def test_cancelled_tasks_are_left_out() -> None:
    tasks = [make_task(SAME, "", "") for _ in range(4)]
    assert tasks[0].future.cancel()
    assert tasks[2].future.cancel()
    assert [*chain(*taken(tasks))] == [tasks[1], tasks[3]]


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["math", "", "a.b", "a:b:c", "1:a", "a-b:c", 7, None])
def test_unknown_verifier(pool: VerifierPool, name: object) -> None:
    with pytest.raises(UsageError, match="there are maths, exact, multiple-choice"):
        pool.submit(name, "", "")  # type: ignore[arg-type]


def test_verifier_of_the_script_itself(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="a module of its own"):
        pool.submit("__main__:verify", "", "")


@pytest.mark.parametrize(
    ("reference", "said"),
    [({1, 2}, "set"), (b"a", "bytes"), (float("nan"), "[Oo]ut of range"), (10**5000, "digits")],
    ids=["set", "bytes", "nan", "long"],
)
def test_reference_that_is_not_json(pool: VerifierPool, reference: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"must be of JSON's types: .*{said}"):
        pool.submit(SAME, "", reference)


def test_reference_without_end(pool: VerifierPool) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="JSON"):
        pool.submit(SAME, "", endless)


def test_text_that_is_none(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="must be a string, got bytes"):
        pool.submit(SAME, b"a", "")  # type: ignore[arg-type]


def test_unequal_numbers_of_texts_and_references(pool: VerifierPool) -> None:
    with pytest.raises(UsageError, match="2 texts but 1 references"):
        pool.verify(SAME, ["a", "b"], ["a"])
    with pytest.raises(UsageError, match="texts must be a sequence, got one string"):
        pool.verify(SAME, "ab", ["a", "b"])
    with pytest.raises(UsageError, match="references must be a sequence, got one string"):
        pool.verify(SAME, ["a", "b"], "ab")


@pytest.mark.parametrize(
    "settings",
    [{"workers": 0}, {"batch": 0}, {"seconds": 0}, {"seconds": float("nan")}, {"memory": 1000}],
)
def test_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be"):
        VerifierPool(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:verify", "No module named 'no_such_module'"),
        ("pool_verifiers:no_such_function", "no_such_function"),
        ("pool_verifiers:HELD", "not a function"),
    ],
)
def test_verifier_that_cannot_be_imported(pool: VerifierPool, name: str, said: str) -> None:
    good = pool.submit(SAME, "a", "a")
    with pytest.raises(UsageError, match=f"'{name}' cannot be imported: .*{said}"):
        pool.submit(name, "", "").result()
    assert good.result() == CORRECT


def test_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_much.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERIFIERS, "maths", Verifier("needs_much:verify", "verify"))
    expected = r"'maths' needs not_installed_here: pip install '\.\[verify\]'"
    with VerifierPool(1) as pool, pytest.raises(UsageError, match=expected):
        pool.submit("maths", "", "").result()


def test_verifier_that_ends_the_keeper_when_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends_all.py").write_text("import os; os._exit(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with VerifierPool(1) as pool:
        with pytest.raises(RunError, match="ended while importing it"):
            pool.submit("ends_all:verify", "", "").result()
        assert pool.submit(SAME, "a", "a").result() == CORRECT


def test_import_that_something_outside_ends_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "killed.py").write_text(
        "import os, pathlib\n"
        f"tries = pathlib.Path({str(tmp_path / 'tries')!r})\n"
        "tries.touch()\n"
        "tries.write_text(tries.read_text() + 'x')\n"
        "if len(tries.read_text()) < 4: os.kill(os.getpid(), 9)\n"
        "def check(text, reference): return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with VerifierPool(1) as pool:
        assert pool.submit("killed:check", "", None).result() == CORRECT
        assert pool.statistics.keepers_lost == 3


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


# --- counts -------------------------------------------------------------------------------------


def test_statistics() -> None:
    with VerifierPool(1, seconds=0.3) as pool:
        assert pool.statistics == Statistics()
        pool.layers()
        assert pool.statistics.answers == 0
        pool.verify(SAME, ["a", "a", "b"], ["a", "a", "a"])
        pool.submit("pool_verifiers:misbehave", "spin", None).result()
        pool.submit("pool_verifiers:misbehave", "raise", None).result()
        pool.submit("pool_verifiers:misbehave", "fork", None).result()
        found = pool.statistics
    assert (found.correct, found.wrong, found.unverifiable) == (2, 1, 3)
    assert found.reasons == {"crash": 1, "forbidden": 1, "time-out": 1}
    assert (found.answers, found.time_outs) == (6, 1)
    assert (found.workers_lost, found.keepers_lost) == (1, 0)
    assert 0.2 < found.seconds < 5  # the clock starts a moment after the time limit does


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
