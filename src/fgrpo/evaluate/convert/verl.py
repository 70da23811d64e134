"""verl: the ``STEP.jsonl`` it writes under ``trainer.validation_data_dir``.

One line per answer::

    {"input": "…", "output": "…", "gts": "4", "score": 1.0, "step": 20, "reward": 1.0, "acc": true}

and whatever else the reward function returned. Lines with the same input and ground truth are
samples of one problem. There is no name of the problem that would be the same in another run's
dump, so a digest of the two names it. As in verl's own summary, ``acc`` says what is right if it is
there, else ``reward`` (the score). Newer trainers add ``uid`` = ``PROMPT_SESSION_OUTPUT``: of a
session with several outputs the last is the answer.

Written from verl 0.9.1's source (``_write_generations`` in ``trainer/ppo/ray_trainer.py`` and
``trainer/ppo/v1/trainer_base.py``); checked with files written by that function alone, not by a
training run.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from fgrpo.evaluate.convert.answers import Answers, Choice, field_of, pick, score
from fgrpo.evaluate.json_lines import json_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UID = re.compile(r"(?P<session>.+_\d+)_\d+")
_NOT_SCORES = ("input", "output", "gts", "step", "uid")


def read(path: Path, choice: Choice) -> Iterator[Answers]:
    """Yield a file's answers, one by one."""
    for place, row in _last_of_session(path):
        found = [name for name in row if name not in _NOT_SCORES and _is_score(row[name])]
        wanted = choice.metric or next(
            (name for name in ("acc", "reward", "score") if name in found), None
        )
        metric = pick("score", "--metric", wanted, found, place)
        prompt = field_of(row, "input", str, place)
        yield Answers(
            problem=f"{_task(row)}/{_digest(prompt, row.get('gts'))}",
            place=place,
            metric=metric,
            scores=(score(row[metric], place, metric),),
            texts=(field_of(row, "output", str, place),),
            target=row.get("gts"),
            origin=f"step {row.get('step')}",
        )


def _is_score(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _last_of_session(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Drop the lines whose session goes on in the next line."""
    before: tuple[str, dict[str, Any]] | None = None
    for place, row in json_lines(path):
        if before is not None and (_session(row) is None or _session(row) != _session(before[1])):
            yield before
        before = place, row
    if before is not None:
        yield before


def _session(row: dict[str, Any]) -> str | None:
    named = _UID.fullmatch(str(row.get("uid", "")))
    return named["session"] if named else None


def _task(row: dict[str, Any]) -> str:
    source = row.get("data_source")
    return source.replace("/", "-") if isinstance(source, str) and source else "verl"


def _digest(prompt: str, truth: Any) -> str:
    """Name a problem by 16 hexadecimal digits of a digest of its prompt and ground truth."""
    text = json.dumps([prompt, truth], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
