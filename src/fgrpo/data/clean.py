"""Which problems of a table can be trained on."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.verify.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from fgrpo.verify import VerifierPool

    Show: TypeAlias = Callable[[str, int, int], None]
    """Told of progress: what is done, how much of it, and of how much."""

PROBLEM, ANSWER = "problem", "answer"
COMPARING = "comparing answers"
_PAIRS = 64  # of answers compared between two reports of progress


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its answer, as the table has them.

    Parameters
    ----------
    index
        Of its row in the table, from 0.
    text, answer
        What is asked, and the right answer.
    """

    index: int
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Unique:
    """Problems of which each is there once, and how many rows were left out.

    Parameters
    ----------
    problems
        In the table's order; of rows that repeat one another, the first.
    repeated
        Rows left out as they repeat another, its answer included.
    conflicting, conflicting_problems
        Rows left out as another row gives a different answer, and the problems they ask.
    equal
        Answers kept as one with another that is written differently.
    unjudged
        Answers taken as different since the verifier could not judge them.
    """

    problems: list[Problem]
    repeated: int
    conflicting: int
    conflicting_problems: int
    equal: int
    unjudged: int


def read_problems(
    rows: Iterable[tuple[str, dict[str, Any]]], name: str = "the table"
) -> tuple[list[Problem], int]:
    """Take the problems of a table.

    A number as an answer becomes text. Text is left as it is.

    Parameters
    ----------
    rows
        With their places, as `fgrpo.evaluate.rows.read_rows` gives them.
    name
        Of the table, for messages.

    Returns
    -------
    problems, read
        Those with a problem and an answer, and how many rows there were.

    Raises
    ------
    UsageError
        If there are no rows, none has a column ``problem`` or ``answer``, or a value is neither
        text nor, as an answer, a number.
    """
    problems = []
    columns: dict[str, None] = {}
    first, count = "", 0
    for place, row in rows:
        columns |= dict.fromkeys(row)
        text = _text(place, PROBLEM, row.get(PROBLEM))
        answer = _text(place, ANSWER, row.get(ANSWER))
        if text and answer:
            problems.append(Problem(count, text, answer))
        first, count = first or place, count + 1
    if not count:
        raise UsageError(f"{name}: has no rows")
    for column in (PROBLEM, ANSWER):
        if column not in columns:
            raise UsageError(
                f"{first}: no column {column!r} among {', '.join(columns) or 'none'}; rename the "
                "one that is meant"
            )
    return problems, count


def without_duplicates(
    problems: Sequence[Problem],
    equal: Callable[[Sequence[tuple[str, str]]], Sequence[bool | None]],
) -> Unique:
    """Keep each problem once, and none whose rows disagree on the answer.

    Two rows ask the same if their texts are `normalised` to the same. Of such rows each answer
    that is written differently from the first's is compared with it. If one differs, all go.

    Parameters
    ----------
    problems
        In the table's order.
    equal
        Tells of pairs of answers whether they are the same; None if that cannot be judged.
    """
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(normalised(problem.text), []).append(problem)
    pairs: list[tuple[str, str]] = []
    owners: list[str] = []
    for key, group in groups.items():
        spelled: dict[str, str] = {}
        for problem in group:
            spelled.setdefault(normalised(problem.answer), problem.answer)
        first, *others = spelled.values()
        pairs += [(first, other) for other in others]
        owners += [key] * len(others)
    verdicts = equal(pairs) if pairs else []
    conflicts = {key for key, same in zip(owners, verdicts, strict=True) if not same}
    kept = [group[0] for key, group in groups.items() if key not in conflicts]
    conflicting = sum(len(groups[key]) for key in conflicts)
    return Unique(
        problems=kept,
        repeated=len(problems) - len(kept) - conflicting,
        conflicting=conflicting,
        conflicting_problems=len(conflicts),
        equal=sum(key not in conflicts for key in owners),
        unjudged=sum(same is None for same in verdicts),
    )


def normalised(text: str) -> str:
    """Return a text in Unicode's normal form C, each run of white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def equal_answers(
    pairs: Sequence[tuple[str, str]], pool: VerifierPool, show: Show
) -> list[bool | None]:
    r"""Tell of pairs of answers whether they are the same to the verifier ``maths``.

    They are if each, given in a box, is right where the other is the reference: whichever of them
    a model is rewarded by, it gets the same reward.

    Parameters
    ----------
    pairs
        Of answers.
    pool
        Judges them.
    show
        Told of progress.

    Returns
    -------
    list of bool or None
        None where the verifier cannot judge.
    """
    found: list[bool | None] = []
    for start in range(0, len(pairs), _PAIRS):
        part = pairs[start : start + _PAIRS]
        both = [*part, *((second, first) for first, second in part)]
        boxes = [rf"\boxed{{{given}}}" for given, _ in both]
        verdicts = pool.verify("maths", boxes, [reference for _, reference in both])
        for there, back in zip(verdicts[: len(part)], verdicts[len(part) :], strict=True):
            judged = Outcome.UNVERIFIABLE not in (there.outcome, back.outcome)
            found.append(there.correct and back.correct if judged else None)
        show(COMPARING, start + len(part), len(pairs))
    return found


def _text(place: str, column: str, value: Any) -> str | None:
    """Return a text that says something; None if there is none."""
    if value is None or value != value:  # NaN
        return None
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if number and column == ANSWER:
        # A table with gaps has made its integers floats.
        whole = isinstance(value, float) and value.is_integer()
        value = str(int(value) if whole else value)
    if not isinstance(value, str):
        kinds = "a text or a number" if column == ANSWER else "a text"
        raise UsageError(f"{place}: {column} is {value!r:.60}: give {kinds}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{place}: {column} has half a character at {error.start} ({value[error.start]!r}): "
            "mend the file"
        ) from None
    return value if value.strip() else None
