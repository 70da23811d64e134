"""A benchmark of the user's own: a file of problems and answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmark import Question, Row, RowError, TableBenchmark
from fgrpo.verify.registry import find as find_verifier

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBenchmark(TableBenchmark):
    """A benchmark read from the file ``path``."""

    path: Path


def own(path: Path) -> OwnBenchmark:
    r"""Describe a user's file as a benchmark, named after the file.

    Its rows, one JSON object a line, have the columns

    - ``problem``: what is asked, with the format wanted for the answer if the system prompt does
      not say it;
    - ``answer``: what the verifier compares with;
    - ``id``, optional: the problem's name, a string or integer; otherwise the row's number;
    - ``verifier``, optional: a name of `fgrpo.verify.registry.VERIFIERS` (default ``maths``), or
      ``package.module:function`` for one of the user's own.

    The other formats of `fgrpo.evaluate.rows.read_rows` do as well.

    Parameters
    ----------
    path
        The file.
    """
    return OwnBenchmark(
        name=path.stem,
        title="Problems of one's own",
        source=str(path),
        licence="the user's",
        verifier="maths",
        size=None,
        hub=None,
        columns={"problem": (str,), "answer": (str, int, float, bool, list, dict)},
        question=_question,
        path=path,
    )


def _question(row: Row) -> Question:
    if not row["problem"].strip():
        raise RowError("expected problem to be a question, found nothing")
    answer = row["answer"]
    if answer == "" or (isinstance(answer, float) and not math.isfinite(answer)):
        raise RowError(f"expected answer to be a text or a number, found {answer!r}")
    return Question(
        prompt=row["problem"],
        reference=answer if isinstance(answer, list | dict) else str(answer),
        name=_name(row.get("id")),
        verifier=_verifier(row.get("verifier")),
    )


def _name(value: Any) -> str | None:
    if value is None or (isinstance(value, int | str) and not isinstance(value, bool)):
        name = None if value is None else str(value)
        if name is None or name.strip():
            return name
    raise RowError(f"expected id to be a string or an integer, found {value!r:.60}")


def _verifier(value: Any) -> str | None:
    if value is None:
        return None
    try:
        find_verifier(value)
    except UsageError as error:
        raise RowError(str(error)) from None
    return str(value)
