"""An evaluation's folder: what was asked, of whom, and what came of it.

- ``records.jsonl``: the records (`fgrpo.records`), problems named ``benchmark/name``
- ``texts.jsonl.gz``: the completions' texts (`fgrpo.evaluate.texts`)
- ``problems.jsonl``: for each problem its messages, verifier and reference
- ``evaluation.json``: settings, benchmarks with their revisions, and every run of the program
- ``pass_at_k.csv``: the table
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.evaluate.json_lines import json_lines
from fgrpo.files import make_folder, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from fgrpo.evaluate.problem import Problem
    from fgrpo.evaluate.samplers.base import Messages

RECORDS = "records.jsonl"
TEXTS = "texts.jsonl.gz"
PROBLEMS = "problems.jsonl"
ABOUT = "evaluation.json"
TABLE = "pass_at_k.csv"
SCHEMA_VERSION = 1


def read_about(folder: Path) -> dict[str, Any]:
    """Read ``evaluation.json``; empty if the folder is new.

    Raises
    ------
    UsageError
        If it cannot be read or is none of ours.
    """
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON ({error})") from error
    version = about.get("fgrpo_evaluation") if isinstance(about, dict) else None
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path}: expected an evaluation of schema version {SCHEMA_VERSION}, found "
            f"{version!r}; choose another folder with --out"
        )
    return dict(about)


def known_revision(about: Mapping[str, Any], benchmark: str) -> str | None:
    """Return the revision of a benchmark that the folder was begun with, if any."""
    revision = about.get("benchmarks", {}).get(benchmark, {}).get("revision")
    return None if revision is None else str(revision)


def note_run(
    folder: Path,
    about: Mapping[str, Any],
    settings: Mapping[str, Any],
    benchmarks: Mapping[str, Mapping[str, Any]],
    run: Mapping[str, Any],
) -> None:
    """Add a run of the program, and its benchmarks, to ``evaluation.json``."""
    content = {
        "fgrpo_evaluation": SCHEMA_VERSION,
        "settings": settings,
        "benchmarks": {**about.get("benchmarks", {}), **benchmarks},
        "runs": [*about.get("runs", []), run],
    }
    write_text(folder / ABOUT, json.dumps(content, indent=2) + "\n")


def keep_problems(
    folder: Path, problems: Sequence[Problem], messages: Mapping[str, Messages]
) -> None:
    """Write the problems that the folder does not hold yet.

    Raises
    ------
    UsageError
        If it holds one of them with other messages, verifier or reference: records of two
        different questions must not be mixed.
    """
    make_folder(folder)
    path = folder / PROBLEMS
    stored = {row["id"]: row for row in read_problems(path)} if path.exists() else {}
    for problem in problems:
        row = _row(problem, messages[problem.id])
        if (before := stored.setdefault(problem.id, row)) != row:
            name, part = problem.id, next(key for key in row if before.get(key) != row[key])
            raise UsageError(
                f"{path}: problem {name!r} was asked with another {part}; its records cannot be "
                "mixed with new ones: choose another folder with --out, or the settings and data "
                "of the first run"
            )
    write_text(path, "".join(json.dumps(row) + "\n" for row in stored.values()))


def _row(problem: Problem, messages: Messages) -> dict[str, Any]:
    """Return what is kept of a problem, as it is when read again."""
    content = {
        "id": problem.id,
        "messages": [dict(message) for message in messages],
        "verifier": problem.verifier,
        "reference": problem.reference,
    }
    return dict(json.loads(json.dumps(content)))


def read_problems(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a ``problems.jsonl``, or of a user's file of prompts in its form.

    Every row has an ``id`` and ``messages``; an evaluation's have ``verifier`` and ``reference``
    too.

    Raises
    ------
    UsageError
        If the file cannot be read or a line has another form; names file and line.
    """
    for place, row in json_lines(path):
        messages = row.get("messages")
        if not isinstance(row.get("id"), str) or not (
            isinstance(messages, list) and all(map(_is_message, messages))
        ):
            raise UsageError(
                f'{place}: expected {{"id": …, "messages": [{{"role": …, "content": …}}, …]}}, '
                f"all of it text, found {row!r:.100}"
            )
        yield row


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(part), str) for part in ("role", "content")
    )
