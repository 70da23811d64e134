"""Whether arms were asked the same questions, in the same way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fgrpo.diagnose.arms import printable
from fgrpo.errors import UsageError
from fgrpo.evaluate.folder import PROBLEMS, RECORDS, read_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fgrpo.diagnose.arms import Arm
    from fgrpo.records import Run

# What an evaluation keeps of how it sampled; the model itself is meant to differ.
_SETTINGS = ("temperature", "top_p", "max_tokens", "system", "thinking", "chat", "stop")


def check_questions(runs: Sequence[Run], problems: Sequence[str]) -> None:
    """Refuse evaluations in which one name stands for different questions.

    Record files without an evaluation's folder do not tell their questions, and are not checked.

    Parameters
    ----------
    runs
        All runs of all arms.
    problems
        The names they share.

    Raises
    ------
    UsageError
        Naming the problem, the two folders, and where they differ.
    """
    wanted = frozenset(problems)
    known: dict[str, tuple[Path, dict[str, Any]]] = {}
    for run in runs:
        for name, question in _questions(run.path, wanted):
            path, first = known.setdefault(name, (run.path, question))
            if part := next((key for key in question if question[key] != first[key]), None):
                raise UsageError(
                    f"{printable(name)!r} is another problem in {run.path.parent} than in "
                    f"{path.parent}: its {part} is {question[part]!r:.60}, there "
                    f"{first[part]!r:.60}; evaluate both on the same data"
                )


def _questions(records: Path, wanted: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    path = records.with_name(PROBLEMS)
    if records.name != RECORDS or not path.is_file():
        return
    for row in read_problems(path):
        if row["id"] in wanted:
            # The system prompt is a setting, told by `settings_notes`.
            prompt = [m["content"] for m in row["messages"] if m["role"] != "system"]
            judged = {part: row.get(part) for part in ("verifier", "reference")}
            yield row["id"], {"prompt": prompt, **judged}


def settings_notes(arms: Sequence[Arm]) -> Iterator[str]:
    """Say which settings of sampling differ between the first arm and a later one."""
    first = arms[0]
    for arm in arms[1:]:
        for name in _SETTINGS:
            here, there = (_values(one, name) for one in (first, arm))
            if here and there and here != there:
                yield (
                    f"Careful: {first.label} was sampled with {name} {' and '.join(here)}, "
                    f"{arm.label} with {' and '.join(there)}; part of their difference may be "
                    "due to that."
                )


def _values(arm: Arm, name: str) -> list[str]:
    metas: list[Mapping[str, Any]] = [run.meta for run in arm.runs if name in run.meta]
    return sorted({printable(json.dumps(meta[name])) for meta in metas})
