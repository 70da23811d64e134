"""The pool as its users see it: verdicts, batches, counts."""

from __future__ import annotations

from itertools import chain

import pytest

from fgrpo.verify import Outcome, Statistics, Verdict, VerifierPool
from fgrpo.verify.registry import VERIFIERS, Verifier
from fgrpo.verify.task import Task, make_task

pytestmark = pytest.mark.slow

SAME, SLOW = "pool_verifiers:same", "pool_verifiers:slow"
CORRECT, WRONG = Verdict(Outcome.CORRECT), Verdict(Outcome.WRONG)


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
