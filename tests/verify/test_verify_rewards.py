from __future__ import annotations

import concurrent.futures
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from fgrpo.errors import RunError, UsageError
from fgrpo.verify import Outcome, Verdict, rewards
from fgrpo.verify.rewards import shared_pool, trl_reward, verl_compute_score

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fgrpo.verify import VerifierPool


@pytest.fixture
def no_pool() -> Iterator[None]:
    """Begin and end without a pool of the process's own: other tests may have left one."""
    _close()
    yield
    _close()


def _close() -> None:
    if rewards._shared is not None:
        rewards._shared[1].close()
        rewards._shared = None


class Judge:
    """Stands for a pool: finds "right" right, "odd" unverifiable, all else wrong."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []

    def verify(
        self, verifier: str, texts: Sequence[str], references: Sequence[Any]
    ) -> list[Verdict]:
        self.asked += [(verifier, *pair) for pair in zip(texts, references, strict=True)]
        return [self._judge(text) for text in texts]

    def submit(
        self, verifier: str, text: str, reference: Any
    ) -> concurrent.futures.Future[Verdict]:
        future: concurrent.futures.Future[Verdict] = concurrent.futures.Future()
        future.set_result(self.verify(verifier, [text], [reference])[0])
        return future

    @staticmethod
    def _judge(text: str) -> Verdict:
        if text == "odd":
            return Verdict(Outcome.UNVERIFIABLE, "time-out: 10 s")
        return Verdict(Outcome.CORRECT if text == "right" else Outcome.WRONG)


def test_trl_reward_judges_through_the_pool(pool: VerifierPool) -> None:
    reward = trl_reward(pool=pool)
    completions = [r"\boxed{42}", r"\boxed{41}", "no answer", r"\boxed{1}"]
    answers = ["42", "42", "42", "?"]
    prompts = ["p"] * 4
    got = reward(prompts=prompts, completions=completions, answer=answers, completion_ids=[[1]] * 4)
    assert got == [1.0, 0.0, 0.0, None]
    assert all(type(value) is float for value in got[:3])


def test_answers_that_cannot_be_judged_get_the_reward_asked_for() -> None:
    judge: Any = Judge()
    texts = ["right", "wrong", "odd"]
    for given in (None, 0.0, -1.0):
        reward = trl_reward(pool=judge, unverifiable=given)
        assert reward(prompts=texts, completions=texts, answer=["a"] * 3) == [1.0, 0.0, given]


def test_conversations_are_judged_by_their_last_message() -> None:
    judge: Any = Judge()
    completions = [
        [{"role": "assistant", "content": "right"}],
        [
            {"role": "assistant", "content": "right"},
            {"role": "tool", "content": "…"},
            {"role": "assistant", "content": "wrong"},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": "ri"}, {"text": "ght"}]}],
        [{"role": "assistant", "content": None}],
        [],
        "right",
    ]
    got = trl_reward(pool=judge)(prompts=[[]] * 6, completions=completions, answer=list("abcdef"))
    assert got == [1, 0, 1, 0, 0, 1]
    assert [text for _, text, _ in judge.asked] == ["right", "wrong", "right", "", "", "right"]


def test_verifier_and_column_are_those_asked_for() -> None:
    judge: Any = Judge()
    reward = trl_reward("multiple-choice", column="solution", pool=judge)
    reward(prompts=["p"], completions=["x"], solution=["C"], answer=["D"])
    assert judge.asked == [("multiple-choice", "x", "C")]


def test_name_is_what_metrics_will_be_called() -> None:
    assert trl_reward().__name__ == "maths_reward"
    assert trl_reward("multiple-choice").__name__ == "multiple_choice_reward"
    assert trl_reward("some.module:judge").__name__ == "judge_reward"


def test_missing_column_unknown_verifier_and_odd_completion_are_refused() -> None:
    judge: Any = Judge()
    with pytest.raises(UsageError, match=r"no column 'answer' .*; there are id, solution: use"):
        trl_reward(pool=judge)(prompts=["p"], completions=["x"], solution=["C"], id=[1])
    with pytest.raises(UsageError, match="no verifier 'math'"):
        trl_reward("math")
    with pytest.raises(UsageError, match="a completion is int"):
        trl_reward(pool=judge)(prompts=["p"], completions=[3], answer=["C"])


def test_many_unverifiable_answers_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    judge: Any = Judge()
    reward = trl_reward(pool=judge)

    def answer(texts: list[str]) -> None:
        reward(prompts=texts, completions=texts, answer=texts)

    with caplog.at_level(logging.WARNING, logger="fgrpo.verify.rewards"):
        answer(["odd"] * 2)
        answer(["right"] * 97)
        assert caplog.messages == []  # 2 of 99: too few to tell
        answer(["right"] * 101)
        assert caplog.messages == []  # 2 of 200: 1%
        answer(["odd"])
        assert caplog.messages == [
            "verifier maths: 3 of 201 answers could not be judged (time-out 3), "
            "the last: time-out: 10 s"
        ]
        answer(["odd"] * 300)
        assert len(caplog.messages) == 1


def test_verl_scores_are_numbers_under_the_same_names() -> None:
    judge: Any = Judge()
    got = [verl_compute_score("gsm8k", text, "42", pool=judge) for text in ("right", "x", "odd")]
    assert got == [
        {"score": 1.0, "acc": 1.0, "unverifiable": 0.0},
        {"score": 0.0, "acc": 0.0, "unverifiable": 0.0},
        {"score": 0.0, "acc": 0.0, "unverifiable": 1.0},
    ]
    assert judge.asked[0] == ("maths", "right", "42")


def test_verl_may_call_from_many_threads_with_what_it_passes(pool: VerifierPool) -> None:
    def score(number: int) -> float:
        return verl_compute_score(
            data_source="d",
            solution_str=rf"\boxed{{{number}}}",
            ground_truth=str(number // 2 * 2),
            extra_info={"index": number},
            pool=pool,
            reward_router_address=None,
        )["score"]

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert list(threads.map(score, range(64))) == [1.0, 0.0] * 32


@pytest.mark.slow
@pytest.mark.usefixtures("no_pool")
def test_process_has_one_pool_made_when_needed() -> None:
    assert rewards._shared is None
    assert trl_reward()(prompts=["p"], completions=[r"\boxed{2}"], answer=["2"]) == [1.0]
    first = shared_pool()
    assert verl_compute_score("d", r"\boxed{2}", "3")["score"] == 0.0
    assert shared_pool() is first
    assert first.statistics.answers == 2


@pytest.mark.usefixtures("no_pool")
def test_fork_makes_a_pool_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = shared_pool()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert shared_pool() is not first
    monkeypatch.undo()
    first.close()


@pytest.mark.parametrize(
    ("cores", "processes", "workers"),
    [(8, "", 8), (8, "2", 4), (8, "3", 2), (2, "8", 1), (8, "0", 8), (8, "x", 8)],
)
def test_processes_of_one_machine_share_its_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: str, workers: int
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert rewards._workers() == workers


@pytest.mark.parametrize(("cores", "asked", "workers"), [(64, None, 8), (4, None, 1), (64, 3, 3)])
def test_verls_reward_workers_share_a_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, asked: int | None, workers: int
) -> None:
    made: list[int] = []

    def pool(size: int) -> Any:
        made.append(size)
        return Judge()

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(rewards, "VerifierPool", pool)
    monkeypatch.setattr(rewards, "_shared", None)
    assert verl_compute_score("d", "right", "1", workers=asked)["score"] == 1.0
    assert made == [workers]


def test_a_verifier_that_can_judge_nothing_ends_the_training() -> None:
    judge: Any = Judge()
    reward = trl_reward("maths", pool=judge)
    reward(prompts=["?"] * 199, completions=["odd"] * 199, answer=["1"] * 199)
    with pytest.raises(RunError, match="none of the first 200 answers could be judged"):
        reward(prompts=["?"], completions=["odd"], answer=["1"])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"verifer": "exact"}, r"reward_kwargs\.verifer is no setting.*verifier and workers"),
        ({"workers": 0}, r"workers=0: give an integer of at least 1"),
        ({"workers": "2"}, r"workers='2'"),
        ({"workers": True}, r"workers=True"),
    ],
)
def test_verls_reward_keywords_are_checked(given: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        verl_compute_score("d", "right", "1", **given)


def test_verl_is_not_rewarded_by_a_verifier_that_can_judge_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rewards, "_tallies", {})
    judge: Any = Judge()
    for _ in range(199):
        assert verl_compute_score("d", "odd", "1", pool=judge)["unverifiable"] == 1
    with pytest.raises(RunError, match="none of the first 200 answers could be judged"):
        verl_compute_score("d", "odd", "1", pool=judge)


def test_one_judged_answer_is_enough_to_go_on() -> None:
    judge: Any = Judge()
    reward = trl_reward("maths", pool=judge)
    texts = ["odd"] * 300 + ["wrong"]
    assert reward(prompts=texts, completions=texts, answer=texts) == [None] * 300 + [0.0]


def test_references_are_decoded_if_asked() -> None:
    judge: Any = Judge()
    reward = trl_reward("maths", column="reference", decode=json.loads, pool=judge)
    reward(prompts=["?"], completions=["right"], reference=['{"a": 1}'])
    assert judge.asked == [("maths", "right", {"a": 1})]
