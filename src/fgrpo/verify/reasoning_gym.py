r"""Answers to reasoning-gym's tasks, judged by the task's own scorer.

A reference is ``{"task": name, "entry": {"question": …, "answer": …, "metadata": …}}``, as
`to_reference` makes it. An answer is right if its score is at least 1: the scorers give partial
credit too. The scorer gets what stands in the last ``<answer>…</answer>`` (reasoning-gym's own
convention; within it, or in a text without it, in the last ``\boxed{…}``), else the last line that
is not empty, without a leading "Answer:". Answers of several lines therefore need tags or a box.

`verify` takes the tasks in `SAFE_TASKS`; `fgrpo.verify.gym_tasks` says what is amiss with the
others, for which there is `verify_unsafe`.
"""

from __future__ import annotations

import copy
import json
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError, to_install
from fgrpo.verify.boxed import last_boxed
from fgrpo.verify.gym_tasks import SAFE_TASKS, UNSAFE_TASKS, UNSOUND_TASKS
from fgrpo.verify.verdict import UnverifiableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SAFE_TASKS", "extract", "to_reference", "verify", "verify_unsafe", "warm"]

_TAGGED = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
_LABEL = re.compile(r"\A(?i:\**(?:the )?(?:final )?answer(?: is)?\**:?\**)(?=\W)\s*")
_TEXT = re.compile(r"\\text\{([^{}]*)\}")


def verify(text: str, reference: Any) -> bool:
    """Judge the answer of a text to a task in `SAFE_TASKS`.

    Parameters
    ----------
    text
        What the model wrote.
    reference
        The task and its entry; see the module.

    Returns
    -------
    bool
        Whether the scorer gives 1. A scorer that fails on the answer, but not on the right one,
        has judged it wrong.

    Raises
    ------
    UnverifiableError
        ``unsafe scorer: …`` or ``unsound scorer: …`` if the task is not in `SAFE_TASKS`,
        ``reference: …`` if the reference is malformed or its own answer is not right.
    """
    task, entry = _read(reference)
    refused = why_refused(task)
    if refused:
        raise UnverifiableError(refused)
    return _judge(text, task, entry)


def verify_unsafe(text: str, reference: Any) -> bool:
    """Judge the answer of a text to any task, whatever its scorer does with it.

    Some scorers evaluate the text as code, in the process that calls them: run this in a process
    that can do no harm. Even there the code can decide the verdict.
    """
    return _judge(text, *_read(reference))


def warm() -> None:
    """Import reasoning-gym."""
    _library()


def why_refused(task: str) -> str:
    """Say why `verify` does not take a task; empty if it does."""
    if task in SAFE_TASKS:
        return ""
    if task in UNSOUND_TASKS:
        return f"unsound scorer: {task}: {UNSOUND_TASKS[task]}"
    if task in UNSAFE_TASKS:
        return f"unsafe scorer: {task} evaluates the answer as code"
    return f"unsafe scorer: {task!r:.80} is not among the tasks found to compare only"


def to_reference(task: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Make the reference of one entry of a task's data set.

    Parameters
    ----------
    task
        The task's name in reasoning-gym.
    entry
        What the data set yields: question, answer and metadata.

    Returns
    -------
    dict
        What `verify` takes, of JSON types only: tuples have become lists, keys strings, numbers
        of NumPy plain ones.

    Raises
    ------
    UsageError
        If an entry cannot be written as JSON, or its own answer is not judged right afterwards.
    """
    needed = {key: entry.get(key) for key in ("question", "answer", "metadata")}
    try:
        plain = json.loads(json.dumps(needed, default=_plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(f"task {task}: its entry cannot be written as JSON: {error}") from error
    reference = {"task": task, "entry": plain}
    gold = plain["answer"]
    if gold is not None and not _judge(f"<answer>{gold}</answer>", task, plain):
        raise UsageError(f"task {task}: its scorer refuses the right answer {gold!r:.80}")
    return reference


def extract(text: str) -> str:
    """Return the answer of a text, as the module says."""
    tagged = _TAGGED.findall(text)
    answer: str = tagged[-1].strip() if tagged else text
    boxed = last_boxed(answer, join=True)
    if boxed is not None:
        wrapped = _TEXT.fullmatch(boxed)
        return wrapped[1].strip() if wrapped else boxed
    if tagged:
        return answer
    lines = answer.rstrip().splitlines()
    return _LABEL.sub("", lines[-1].strip(), count=1).strip() if lines else ""


def _read(reference: Any) -> tuple[str, dict[str, Any]]:
    entry = reference.get("entry") if isinstance(reference, dict) else None
    if not isinstance(entry, dict) or not isinstance(reference.get("task"), str):
        raise UnverifiableError('reference: pass {"task": name, "entry": {…}}')
    if missing := {"answer", "metadata"} - entry.keys():
        raise UnverifiableError(f"reference: the entry has no {', '.join(sorted(missing))}")
    return reference["task"], entry


def _judge(text: str, task: str, entry: dict[str, Any]) -> bool:
    answer = extract(text)
    try:
        return _score(answer, task, entry)
    except (MemoryError, UnverifiableError):
        raise
    except RecursionError as error:
        raise UnverifiableError("recursion: the answer is nested too deeply") from error
    except Exception as error:
        _check_gold(task, entry, error)
        return False


def _check_gold(task: str, entry: dict[str, Any], error: Exception) -> None:
    """Tell an answer that the scorer cannot read from an entry that it cannot read."""
    gold = entry["answer"]
    try:
        good = gold is not None and _score(str(gold).strip(), task, entry)
    except Exception:
        good = False
    if not good:
        raise UnverifiableError(
            f"reference: the scorer of {task} fails on the entry: {error!r:.200}"
        ) from error


def _score(answer: str, task: str, entry: dict[str, Any]) -> bool:
    score = _scorer(task).score_answer(answer, copy.deepcopy(entry))
    return math.isfinite(score) and score >= 1


@lru_cache(maxsize=32)
def _scorer(task: str) -> Any:
    """Return the task's data set, with its usual settings."""
    factory = _library().factory
    if task not in factory.DATASETS:
        raise UnverifiableError(f"reference: reasoning-gym has no task {task!r:.80}")
    return factory.create_dataset(task, seed=0, size=1)


def _library() -> Any:
    try:
        import reasoning_gym
    except ImportError as error:
        raise UsageError(
            f"the verifier reasoning-gym needs reasoning-gym: {to_install('evaluate')}"
        ) from error
    return reasoning_gym


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it knows: NumPy's numbers and arrays, sets."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"it holds a {type(value).__name__}")
