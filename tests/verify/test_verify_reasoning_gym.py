from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fgrpo.errors import UsageError
from fgrpo.verify.gym_tasks import SAFE_TASKS, UNSAFE_TASKS, UNSOUND_TASKS
from fgrpo.verify.reasoning_gym import extract, to_reference, verify, verify_unsafe, warm
from fgrpo.verify.verdict import UnverifiableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow


def entries(task: str, count: int) -> list[dict[str, Any]]:
    import reasoning_gym

    data = reasoning_gym.create_dataset(task, seed=11, size=count)
    return [data[index] for index in range(count)]


@pytest.fixture(scope="module", autouse=True)
def warmed() -> None:
    warm()


def test_every_task_of_the_library_is_in_one_table() -> None:
    from reasoning_gym.factory import DATASETS

    assert SAFE_TASKS | UNSAFE_TASKS | UNSOUND_TASKS.keys() == DATASETS.keys()
    assert len(SAFE_TASKS) + len(UNSAFE_TASKS) + len(UNSOUND_TASKS) == len(DATASETS)


@pytest.mark.parametrize("task", sorted(SAFE_TASKS))
def test_own_answer_is_right_and_others_are_wrong(task: str) -> None:
    for entry in entries(task, 2):
        reference = to_reference(task, entry)
        assert reference == json.loads(json.dumps(reference))
        gold = entry["answer"]
        assert verify(f"So <answer>{gold}</answer> it is.", reference)
        for wrong in ("", "nan", "inf", "-inf", "xyzzy", "[]", "{}", "None", "no answer", "1e400"):
            if wrong != gold:
                assert not verify(f"<answer>{wrong}</answer>", reference), wrong


def test_boxes_and_last_lines_are_answers_too() -> None:
    entry = entries("gcd", 1)[0]
    reference = to_reference("gcd", entry)
    gold = entry["answer"]
    for text in (
        rf"It is \boxed{{{gold}}}.",
        rf"It is \boxed{{\text{{{gold}}}}}.",
        f"Step by step.\n{gold}\n\n",
        f"Step by step.\nAnswer: {gold}",
        f"**Answer:** {gold}",
        rf"<answer>\boxed{{{gold}}}</answer>",
        f"<answer>1{gold}</answer> no <answer> {gold} </answer>",
    ):
        assert verify(text, reference), text
        assert not verify(text.replace(gold, f"{gold}7"), reference), text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<answer>a\nb</answer>", "a\nb"),
        ("<answer>a</answer> <answer>b</answer>", "b"),
        ("<answer>a <answer>b</answer>", "b"),
        (r"\boxed{a} <answer>b</answer> \boxed{c}", "b"),
        ("<answer>a", "<answer>a"),
        (r"x \boxed{a} y", "a"),
        (r"\boxed{a} or \boxed{b}", "a,b"),
        ("x\ny\n \n", "y"),
        ("The answer is 7", "7"),
        ("The answer is: 7", "7"),
        ("Final answer: 7", "7"),
        ("answers", "answers"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_answer_is_taken_from_the_text(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize("task", sorted(UNSAFE_TASKS))
def test_scorers_that_evaluate_are_refused(task: str) -> None:
    reference = {"task": task, "entry": entries(task, 1)[0]}
    with pytest.raises(UnverifiableError, match=rf"^unsafe scorer: {task} evaluates"):
        verify("1", reference)


@pytest.mark.parametrize("task", sorted(UNSOUND_TASKS))
def test_scorers_that_err_are_refused(task: str) -> None:
    with pytest.raises(UnverifiableError, match=rf"^unsound scorer: {task}: "):
        verify("1", {"task": task, "entry": {"answer": "1", "metadata": {}}})


def test_unknown_task_is_refused() -> None:
    with pytest.raises(UnverifiableError, match=r"^unsafe scorer: 'nothing' is not among"):
        verify("1", {"task": "nothing", "entry": {"answer": "1", "metadata": {}}})


@pytest.mark.parametrize("task", ["binary_matrix", "polynomial_multiplication", "spiral_matrix"])
def test_unsafe_scorers_judge_when_asked_for(task: str) -> None:
    entry = entries(task, 1)[0]
    reference = to_reference(task, entry)
    assert verify_unsafe(f"<answer>{entry['answer']}</answer>", reference)
    assert not verify_unsafe("<answer>7</answer>", reference)


def test_partial_credit_is_not_success() -> None:
    entry = entries("number_sequence", 1)[0]
    reference = to_reference("number_sequence", entry)
    assert not verify(f"<answer>{entry['answer']} perhaps</answer>", reference)


def test_failure_on_the_answer_is_wrong_but_failure_on_the_entry_is_not() -> None:
    reference = to_reference("prime_factorization", entries("prime_factorization", 1)[0])
    assert not verify("no number", reference)  # int() raises in the scorer
    broken = {"task": "decimal_arithmetic", "entry": {"answer": "1", "metadata": {}}}
    assert verify("1", broken)
    broken = {"task": "knights_knaves", "entry": {"answer": None, "metadata": {}}}
    assert not verify("no", broken)
    broken = {"task": "futoshiki", "entry": {"answer": "1", "metadata": {}}}
    with pytest.raises(UnverifiableError, match=r"^reference: the scorer of futoshiki fails"):
        verify("1", broken)


def test_scoring_leaves_the_reference_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    class Scribbler:
        def score_answer(self, answer: str, entry: dict[str, Any]) -> float:
            entry["metadata"]["seen"] = answer
            return 1.0

    monkeypatch.setattr("fgrpo.verify.reasoning_gym._scorer", lambda task: Scribbler())
    reference = {"task": "gcd", "entry": {"answer": "4", "metadata": {}}}
    assert verify("4", reference)
    assert reference == {"task": "gcd", "entry": {"answer": "4", "metadata": {}}}


@pytest.mark.parametrize(
    "reference",
    [
        None,
        {},
        {"task": "gcd"},
        {"task": 1, "entry": {"answer": "1", "metadata": {}}},
        {"task": "gcd", "entry": {"answer": "1"}},
        {"task": "gcd", "entry": {"metadata": {}}},
    ],
)
def test_unusable_reference_is_unverifiable(reference: object) -> None:
    with pytest.raises(UnverifiableError, match=r"^reference: "):
        verify("1", reference)


def test_references_are_plain_json() -> None:
    entry = {
        "question": "?",
        "answer": "4",
        "metadata": {"pair": (1, 2), 3: np.int64(4), "grid": np.eye(2), "set": {2, 1}},
    }
    assert to_reference("gcd", entry) == {
        "task": "gcd",
        "entry": {
            "question": "?",
            "answer": "4",
            "metadata": {"pair": [1, 2], "3": 4, "grid": [[1, 0], [0, 1]], "set": [1, 2]},
        },
    }


@pytest.mark.parametrize("odd", [object(), float("nan")])
def test_entry_that_is_not_json_is_refused(odd: object) -> None:
    with pytest.raises(UsageError, match="task gcd: its entry cannot be written as JSON"):
        to_reference("gcd", {"question": "?", "answer": "4", "metadata": {"odd": odd}})


def test_entry_whose_own_answer_is_not_right_is_refused() -> None:
    entry = {"question": "?", "answer": "four", "metadata": {}}
    with pytest.raises(UsageError, match=r"decimal_arithmetic: its scorer refuses .* 'four'"):
        to_reference("decimal_arithmetic", entry)


# --- what the scorers do ------------------------------------------------------------------------

EVALUATING = {
    *("eval", "exec", "compile", "__import__", "import_module", "getattr", "setattr", "globals"),
    *("parse_expr", "sympify", "lambdify", "parse_latex", "S", "simplify", "literal_eval"),
    *("system", "popen", "Popen", "run", "call", "check_output", "open", "load", "genfromtxt"),
}


def calls_of(function: Callable[..., Any], owner: type, seen: set[Any]) -> Iterator[str]:
    """Names of everything that a function calls, and that the library's own functions call."""
    function = inspect.unwrap(function)
    if function in seen:
        return
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        # A bare name counts even if it is not called: it may be called under another.
        if isinstance(node, ast.Name):
            yield node.id
            target = function.__globals__.get(node.id)
        elif isinstance(node, ast.Attribute):
            yield node.attr
            base = node.value.id if isinstance(node.value, ast.Name) else ""
            holder = owner if base in ("self", "cls") else function.__globals__.get(base)
            target = getattr(holder, node.attr, None)
        else:
            continue
        if inspect.isclass(target) and target.__module__.startswith("reasoning_gym"):
            for _, method in inspect.getmembers(target, inspect.isfunction):
                yield from calls_of(method, target, seen)
        elif inspect.isroutine(target) and (target.__module__ or "").startswith("reasoning_gym"):
            yield from calls_of(target, owner, seen)


def evaluates(task: str) -> set[str]:
    from reasoning_gym.factory import DATASETS

    owner = DATASETS[task][0]
    return EVALUATING & set(calls_of(owner.score_answer, owner, set()))


@pytest.mark.parametrize("task", sorted(SAFE_TASKS))
def test_safe_scorer_reaches_nothing_that_evaluates(task: str) -> None:
    assert evaluates(task) == set()


@pytest.mark.parametrize("task", sorted(UNSAFE_TASKS))
def test_walk_through_the_sources_finds_what_evaluates(task: str) -> None:
    assert evaluates(task) & {"eval", "parse_expr"}
