"""Answers that hang, crash, hoard, or reach for files, programs and the network."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pool_verifiers import LIMIT, MEMORY
from processes import alive, children, keepers, listing, wait_for, workers

from fgrpo.errors import UsageError
from fgrpo.verify import Outcome, Verdict, VerifierPool
from fgrpo.verify.registry import VERIFIERS, Verifier

pytestmark = pytest.mark.slow

SAME, SLOW, ACT = "pool_verifiers:same", "pool_verifiers:slow", "pool_verifiers:misbehave"
PROCESS = "pool_verifiers:process"
CORRECT, WRONG = Verdict(Outcome.CORRECT), Verdict(Outcome.WRONG)

# What an answer does, with what, and the reason it must get.
FAULTS = [
    ("spin", None, "time-out"),
    ("tower", None, "time-out"),
    ("sleep", 60, "time-out"),
    ("memory", None, "memory"),
    ("one huge block", None, "memory"),
    ("abort", None, "crash: Aborted"),
    ("segfault", None, "crash: Segmentation fault"),
    ("exit", 0, "crash: the worker ended with exit code 0"),
    ("exit", 3, "crash: the worker ended with exit code 3"),
    ("exit", 75, "crash: the worker ended with exit code 75"),
    ("leave", 1, "crash: SystemExit: 1"),
    ("raise", None, "crash: KeyError: 'no such key'"),
    ("recurse", None, "crash: RecursionError: maximum recursion depth exceeded"),
    ("stop", None, "time-out"),
    ("stop the clock", None, "time-out"),
    ("ignore the alarm", None, "time-out"),
    ("close everything", None, "time-out"),
    ("garbage", None, "crash: the worker sent nonsense"),
    ("forge", "[7, 'correct']", "crash: the worker sent nonsense"),
    ("forge", '[9, "correct", "", 0.1]', "crash: the worker sent nonsense"),
    ("forge", '[0, "very correct", "", 0.1]', "crash: the worker sent nonsense"),
    ("forge", '[0, "correct", "", NaN]', "crash: the worker sent nonsense"),
    ("forge", '[0, "correct", "why", 0.1]', "crash: the worker sent nonsense"),
    ("forge", "[" * 20_000, "crash: the worker sent nonsense"),
    ("fork", None, "forbidden: os.fork"),
    ("socket", None, "forbidden: socket."),
    ("load a library", None, "forbidden: ctypes.dlopen"),
    ("kill the keeper", None, "forbidden: os.kill"),
]
# Only these cost a keeper: its worker would not end, or said what it must not.
STUBBORN = {"stop", "stop the clock", "ignore the alarm", "garbage", "forge"}


@pytest.mark.parametrize(("act", "reference", "reason"), FAULTS)
def test_a_fault_is_named_and_harms_no_neighbour(
    lone: VerifierPool, act: str, reference: object, reason: str
) -> None:
    keepers_lost = lone.statistics.keepers_lost
    bad, *others = lone.verify(ACT, [act] + ["fine"] * 8, [reference] + [None] * 8)
    assert others == [CORRECT] * 8
    assert bad.outcome is Outcome.UNVERIFIABLE
    assert bad.reason.startswith(reason)
    assert lone.statistics.keepers_lost - keepers_lost == (act in STUBBORN)


def test_the_alarm_is_set_anew_for_every_answer(lone: VerifierPool) -> None:
    keepers_lost = lone.statistics.keepers_lost
    acts, arguments = ["leave the alarm ignored", "sleep", "fine"], [None, 60, None]
    verdicts = lone.verify(ACT, acts * 2, arguments * 2)
    assert [verdict.reason for verdict in verdicts] == ["", "time-out", ""] * 2
    assert lone.statistics.keepers_lost == keepers_lost


def test_cpu_time_ends_too_should_the_alarm_not_come() -> None:
    with VerifierPool(1, seconds=0.1, grace=30) as pool:
        assert pool.submit(ACT, "stop the clock", None).result(20).reason == "time-out"
        assert pool.statistics.keepers_lost == 0


@pytest.mark.parametrize("returned", [None, 1, "yes", [True]])
def test_a_verdict_that_is_not_a_bool_is_not_taken_for_one(
    pool: VerifierPool, returned: object
) -> None:
    verdict = pool.submit(ACT, "not a bool", returned).result()
    kind = type(returned).__name__
    assert verdict.reason == f"crash: the verifier returned {kind}"
    assert pool.submit(ACT, "not a bool", True).result() == CORRECT


def test_faults_among_many_cost_no_other_answer(pool: VerifierPool) -> None:
    acts = ["fine", "exit", "fine", "raise", "abort", "fine", "fork", "fine"] * 12
    verdicts = pool.verify(ACT, acts, [1] * len(acts))
    kinds = [verdict.kind or verdict.outcome.value for verdict in verdicts]
    assert kinds == ["correct", "crash", "correct", "crash", "crash", "correct", "forbidden",
                     "correct"] * 12  # fmt: skip


def test_a_worker_cannot_keep_its_keeper_busy(lone: VerifierPool) -> None:
    def turns() -> int:
        status = Path(f"/proc/{keepers(lone)[0]}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    if not sys.platform.startswith("linux"):
        pytest.skip("counts how often Linux has woken the keeper")
    assert lone.submit(ACT, "fine", None).result() == CORRECT
    before = turns()
    assert lone.submit(ACT, "pull the lifeline", 0.25).result() == CORRECT
    assert turns() - before < 20


# --- files, programs, secrets -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        ("write a file", "open for writing"),
        ("make a folder", "os.mkdir"),
        ("remove a file", "os.remove"),
        ("rename a file", "os.rename"),
        ("run a program", "subprocess.Popen"),
        ("system", "os.system"),
    ],
)
def test_nothing_is_written_and_nothing_run(
    pool: VerifierPool, tmp_path: Path, act: str, reason: str
) -> None:
    (tmp_path / "there").write_text("before")
    target = tmp_path / ("there" if act in {"remove a file", "rename a file"} else "canary")
    verdict = pool.submit(ACT, act, str(target)).result()
    assert verdict == Verdict(Outcome.UNVERIFIABLE, f"forbidden: {reason}")
    assert listing(tmp_path) == ["there"]
    assert (tmp_path / "there").read_text() == "before"


def test_environment_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FGRPO_TEST_TOKEN", "canary")
    monkeypatch.setenv("HF_TOKEN", "canary")
    monkeypatch.setenv("PYTHONSTARTUP", "canary")
    monkeypatch.setenv("LANG", "C.UTF-8")
    with VerifierPool(1) as pool:
        reason = pool.submit("pool_verifiers:environment", "", None).result().reason
    names = set(reason.removeprefix("environment: ").split())
    assert "LANG" in names
    assert names <= {
        *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONHOME", "NLTK_DATA"),
        *("PYTHONHASHSEED", "PYTHONUTF8", "HF_HUB_OFFLINE"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    }


def test_workers_share_no_session_with_the_caller(pool: VerifierPool) -> None:
    assert pool.submit(SAME, "a", "a").result() == CORRECT
    for keeper in keepers(pool):
        assert os.getsid(keeper) == keeper
        assert all(os.getsid(worker) == keeper for worker in children(keeper))


# --- memory -------------------------------------------------------------------------------------


def test_what_one_answer_leaves_behind_is_not_held_against_the_next() -> None:
    with VerifierPool(1, memory=MEMORY) as pool:
        # Together six times the limit.
        verdicts = pool.verify("pool_verifiers:hold", [""] * 48, [MEMORY // 8] * 48)
        assert verdicts == [CORRECT] * 48
        assert pool.statistics.workers_lost == 0


# --- kills from outside -------------------------------------------------------------------------


def test_an_answer_whose_worker_is_killed_once_is_tried_again() -> None:
    with VerifierPool(1) as pool:
        order: list[int] = []
        futures = [pool.submit(SLOW, "", 0.3)]
        futures += [pool.submit(SAME, "a", "b") for _ in range(20)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: order.append(number))
        wait_for(lambda: workers(pool))
        time.sleep(0.1)
        os.kill(workers(pool)[0], signal.SIGKILL)
        assert [future.result() for future in futures] == [CORRECT] + [WRONG] * 20
        assert order == list(range(21))  # it was not sent to the end of the queue
        assert pool.statistics.workers_lost == 1
        assert pool.statistics.keepers_lost == 0


def test_an_answer_whose_worker_is_killed_twice_is_not_tried_for_ever() -> None:
    with VerifierPool(1) as pool:
        futures = [pool.submit(SLOW, "", 30), pool.submit(SAME, "a", "b")]
        for _ in range(2):
            wait_for(lambda: workers(pool))
            time.sleep(0.2)
            os.kill(workers(pool)[0], signal.SIGKILL)
        assert futures[0].result().reason.startswith("memory: killed")
        assert futures[1].result() == WRONG


def test_an_answer_whose_keeper_is_killed_is_tried_again_once() -> None:
    with VerifierPool(1) as pool:
        futures = [pool.submit(SLOW, "", 30), pool.submit(SAME, "a", "b")]
        for _ in range(2):
            wait_for(lambda: workers(pool))
            time.sleep(0.2)
            os.kill(keepers(pool)[0], signal.SIGKILL)
            time.sleep(0.1)
        assert futures[0].result().reason == "crash: the keeper ended"
        assert futures[1].result() == WRONG
        assert pool.statistics.keepers_lost == 2


def test_idle_worker_and_keeper_killed_are_replaced_unnoticed() -> None:
    with VerifierPool(1) as pool:
        for victims in (workers, keepers):
            assert pool.submit(SAME, "a", "a").result() == CORRECT
            os.kill(victims(pool)[0], signal.SIGKILL)
            time.sleep(0.1)
        assert pool.verify(SAME, ["a", "b"], ["a", "a"]) == [CORRECT, WRONG]


def test_kills_at_random_under_load_lose_and_double_nothing() -> None:
    chance = random.Random(0)
    calls: list[int] = []
    with VerifierPool(1, batch=16) as pool:
        futures = [pool.submit(SAME, str(i), str(i) if i % 3 else "no") for i in range(12_000)]
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: calls.append(number))
        kills = 0
        while kills < 8 and not futures[-1].done():
            seen = pool.statistics.answers
            # Whatever the last kill hit is first in the queue, so by then it has its verdict.
            wait_for(lambda seen=seen: pool.statistics.answers > seen + 100 or futures[-1].done())
            time.sleep(chance.uniform(0, 0.01))
            for victim in (keepers if kills % 2 else workers)(pool):
                os.kill(victim, signal.SIGKILL)
                kills += 1
        verdicts = [future.result(timeout=30) for future in futures]
        found = pool.statistics
    assert kills >= 4
    assert verdicts == [CORRECT if i % 3 else WRONG for i in range(12_000)]
    assert sorted(calls) == list(range(12_000))
    assert (found.correct, found.wrong) == (8000, 4000)


@pytest.mark.parametrize("killed", ["caller", "caller with a fork", "caller and keepers"])
def test_killed_caller_leaves_no_process(killed: str) -> None:
    code = (
        "import os, sys, time, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from fgrpo.verify import VerifierPool\n"
        "from processes import keepers, wait_for, workers\n"
        "pool = VerifierPool(2, seconds=60)\n"
        "for _ in range(9): pool.submit('pool_verifiers:misbehave', 'spin', None)\n"
        "wait_for(lambda: len(workers(pool)) == 2)\n"
        "print(*keepers(pool), *workers(pool), flush=True)\n"
        f"if {killed == 'caller with a fork'} and not os.fork(): time.sleep(4); os._exit(0)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as caller:
        assert caller.stdout is not None
        pids = [int(pid) for pid in caller.stdout.readline().split()]
        assert len(alive(pids)) == 4
        time.sleep(0.1)  # so that the workers are at work
        if killed == "caller and keepers":
            caller.send_signal(signal.SIGSTOP)  # or it would end the workers itself
            for keeper in pids[:2]:
                os.kill(keeper, signal.SIGKILL)
        caller.kill()
        # A fork of the caller holds the pipes open; then the keepers notice that they are orphans.
        wait_for(lambda: not alive(pids), 3)


# --- verifiers that evaluate the text -----------------------------------------------------------


@pytest.fixture
def unsafe(monkeypatch: pytest.MonkeyPatch) -> str:
    name = "evaluates-text"
    monkeypatch.setitem(VERIFIERS, name, Verifier(PROCESS, unsafe=True))
    return name


def test_unsafe_verifiers_are_off_by_default(pool: VerifierPool, unsafe: str) -> None:
    for name in (unsafe, "reasoning-gym-unsafe"):
        with pytest.raises(UsageError, match=r"evaluates what the model wrote.*allow_unsafe=True"):
            pool.verify(name, ["a"], [None])


def test_unsafe_verifiers_get_a_process_for_each_answer(pool: VerifierPool, unsafe: str) -> None:
    missing = [name for name, state in pool.layers().items() if state != "active"]
    if missing:
        pytest.skip(f"this machine lacks {missing}")
    with VerifierPool(2, allow_unsafe=True) as pool:
        verdicts = pool.verify(unsafe, [""] * 12, [None] * 12)
        assert len({verdict.reason for verdict in verdicts}) == 12
        assert {verdict.kind for verdict in verdicts} == {"process"}
        assert pool.statistics.workers_lost == 0
        shared = pool.verify(PROCESS, [""] * 12, [None] * 12)
        assert len({verdict.reason for verdict in shared}) <= 4


@pytest.mark.parametrize(
    "said", [[], [{"life": 9, "layers": {}}], [{"life": 9, "layers": {}}, [0, "correct", "", 0.1]]]
)
def test_an_evaluated_text_cannot_answer_for_the_next(
    pool: VerifierPool, monkeypatch: pytest.MonkeyPatch, said: list[object]
) -> None:
    missing = [name for name, state in pool.layers().items() if state != "active"]
    if missing:
        pytest.skip(f"this machine lacks {missing}")
    monkeypatch.setitem(
        VERIFIERS, "evaluates-text", Verifier("pool_verifiers:impersonate", unsafe=True)
    )
    with VerifierPool(1, seconds=LIMIT, grace=0.2, allow_unsafe=True) as pool:
        assert pool.submit(SAME, "a", "a").result() == CORRECT  # imported, so the worker stays
        pool.submit(PROCESS, "", None).result()
        futures = [pool.submit("evaluates-text", "", said), pool.submit(SAME, "a", "b")]
        assert [future.result() for future in futures] == [WRONG, WRONG]


def test_unsafe_verifiers_need_every_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lacks_seccomp.py").write_text(
        "from fgrpo.verify import seccomp\n"
        "def refuse(): raise OSError('not in this kernel')\n"
        "seccomp.restrict = refuse\n"
        "def check(text, reference): return True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERIFIERS, "evaluates-text", Verifier("lacks_seccomp:check", unsafe=True))
    with VerifierPool(1, allow_unsafe=True) as pool:
        with pytest.raises(UsageError, match=r"missing on this machine: .*seccomp \(not in this k"):
            pool.verify("evaluates-text", ["a"], [None])
        assert pool.statistics.keepers_lost == 0
        # Others run with what there is, and it is shown.
        assert pool.submit("lacks_seccomp:check", "", None).result() == CORRECT
        assert pool.layers()["seccomp"] == "not in this kernel"
        assert pool.statistics.answers == 1


def test_a_slow_answer_does_not_hold_up_other_workers(pool: VerifierPool) -> None:
    with VerifierPool(2) as pool:
        pool.verify(SLOW, ["", ""], [0.1, 0.1])
        slow = pool.submit(SLOW, "", 1.0)
        time.sleep(0.1)
        began = time.monotonic()
        assert pool.verify(SAME, ["a"] * 40, ["a"] * 40) == [CORRECT] * 40
        assert time.monotonic() - began < 0.9
        assert not slow.done()


def test_faults_from_many_threads(pool: VerifierPool) -> None:
    found: list[str] = []

    def ask() -> None:
        found.extend(v.kind for v in pool.verify(ACT, ["exit", "fine", "abort"], [1, None, None]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [""] * 8 + ["crash"] * 16
