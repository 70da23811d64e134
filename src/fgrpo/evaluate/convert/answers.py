"""What another tool's file says of the answers to one problem, and how that becomes records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from fgrpo.errors import UsageError
from fgrpo.records import Record
from fgrpo.verify.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Sequence

# None: the tool did not score the answer.
Score: TypeAlias = "float | None"

_UNSCORED = Verdict(Outcome.UNVERIFIABLE, "unscored: the tool gave no score")


@dataclass(frozen=True, slots=True)
class Answers:
    """Some answers to one problem.

    Parameters
    ----------
    problem
        ``task/name``.
    place
        File and line, for errors.
    metric
        Which of the tool's scores these are.
    scores
        One for each answer, or a single one for all of them.
    texts
        The answers; None where the file does not tell.
    target
        What the tool compared with, ready for JSON.
    details
        Further fields of each answer's record; empty: none.
    origin
        Whose answers these are, where the file tells.
    """

    problem: str
    place: str
    metric: str
    scores: tuple[Score, ...]
    texts: tuple[str | None, ...]
    target: Any = None
    details: tuple[dict[str, Any], ...] = ()
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of what a file holds is wanted.

    Parameters
    ----------
    metric
        The score that says what is right; None: the only one there is.
    filter
        The answer filter (lm-eval); None: the only one there is.
    note
        Called with what the user should know of a file.
    """

    metric: str | None = None
    filter: str | None = None
    note: Callable[[str], None] = field(default=lambda text: None)


def _verdict(right: bool) -> Verdict:
    return Verdict(Outcome.CORRECT if right else Outcome.WRONG)


@dataclass(frozen=True, slots=True)
class Rule:
    """When an answer is right.

    Parameters
    ----------
    threshold
        From this score on; None takes 1 as right and 0 as wrong and refuses any other score.
    mean
        Whether a single score of several answers is their mean of right (1) and wrong (0). Their
        number is then known, not which they are: the first ones are recorded as right.
    """

    threshold: float | None = None
    mean: bool = False

    def judge(self, answers: Answers) -> list[Verdict]:
        """Tell of each answer whether it is right."""
        n = len(answers.texts)
        if len(answers.scores) == n:
            return [self._one(score, answers) for score in answers.scores]
        if len(answers.scores) != 1:
            raise UsageError(
                f"{answers.place}: {answers.metric!r} has {len(answers.scores)} values for {n} "
                "answers; choose another with --metric"
            )
        return self._of_mean(answers.scores[0], n, answers)

    def _one(self, score: Score, answers: Answers) -> Verdict:
        if score is None:
            return _UNSCORED
        if self.threshold is not None:
            return _verdict(score >= self.threshold)
        if score in (0, 1):
            return _verdict(score == 1)
        raise UsageError(
            f"{answers.place}: {answers.metric!r} is {score:g}, neither 0 nor 1; say from which "
            "value on an answer is right with --threshold, or choose another with --metric"
        )

    def _of_mean(self, score: Score, n: int, answers: Answers) -> list[Verdict]:
        if score is None:
            return [_UNSCORED] * n
        if not self.mean:
            raise UsageError(
                f"{answers.place}: {answers.metric!r} is one value, {score:g}, for {n} answers: "
                "the file does not tell which are right. If it is their mean, --mean takes the "
                "count from it; --verifier judges the texts again"
            )
        right = round(score * n)
        if not 0 <= right <= n or not math.isclose(score * n, right, abs_tol=1e-6):
            raise UsageError(
                f"{answers.place}: {answers.metric!r} is {score!r}, not the mean of {n} values 0 "
                "and 1; choose another with --metric"
            )
        return [_verdict(i < right) for i in range(n)]


def to_records(
    answers: Answers, verdicts: Sequence[Verdict], numbers: Counter[str], *, texts: bool
) -> Iterator[Record]:
    """Make records of answers, their samples numbered on from those of the same problem."""
    details = answers.details or ({},) * len(answers.texts)
    for verdict, text, detail in zip(verdicts, answers.texts, details, strict=True):
        fields = {
            "timed_out": verdict.timed_out,
            "unverifiable": None if verdict.timed_out else verdict.reason or None,
            "text": text if texts else None,
            **detail,
        }
        right = verdict.correct and fields["unverifiable"] is None
        sample = numbers[answers.problem]
        numbers[answers.problem] += 1
        try:
            yield Record(answers.problem, sample, right, **fields)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{answers.place}: {error}") from error


def score(value: Any, place: str, metric: str) -> Score:
    """Return a score as a number; None for null and NaN."""
    if value is None or isinstance(value, bool | int | float):
        try:
            return None if value is None or math.isnan(value) else float(value)
        except OverflowError:
            raise UsageError(f"{place}: {metric!r} is a number beyond all bounds") from None
    raise UsageError(
        f"{place}: {metric!r} is {value!r}, expected a number or true or false; choose another "
        "with --metric"
    )


def pick(what: str, option: str, wanted: str | None, found: Sequence[str], place: str) -> str:
    """Return the wanted one of those found, or the only one.

    Raises
    ------
    UsageError
        If it is not there, or none is wanted and there are several; lists those found.
    """
    listed = ", ".join(found) or "none"
    if wanted is not None:
        if wanted not in found:
            raise UsageError(f"{place}: no {what} {wanted!r}; found: {listed}")
        return wanted
    if len(found) != 1:
        raise UsageError(f"{place}: choose one {what} with {option}; found: {listed}")
    return found[0]


def field_of(row: dict[str, Any], name: str, kinds: type | tuple[type, ...], place: str) -> Any:
    """Return a field of a row, checked for its type."""
    if name not in row:
        raise UsageError(f"{place}: expected a field {name!r}; found {', '.join(sorted(row))}")
    value = row[name]
    if not isinstance(value, kinds):
        wanted = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise UsageError(f"{place}: {name!r} must be {wanted}, found {value!r}"[:300])
    return value


def task_name(name: str) -> str:
    """Return a task's name as a benchmark's: the part behind the last slash."""
    return name.rstrip("/").rpartition("/")[2]
