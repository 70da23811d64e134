"""One sampled completion of one problem, and the counts a set of them reduces to."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_SAMPLES = 1 << 20
"""Most samples of a problem: their indices are kept as one bit each, at most 128 KiB."""


class RecordError(UsageError):
    """A record or record file that cannot be used as given; names the file and line."""


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


@dataclass(frozen=True, slots=True)
class Record:
    """One sampled completion of one problem.

    Parameters
    ----------
    problem
        Name of the problem: not empty, encodable as UTF-8.
    sample
        Index of the completion among those of its problem, 0 ≤ sample < 2^20.
    correct
        What the verifier said.
    text
        The completion.
    logprob
        Its log-probability under the sampling policy, summed over tokens (nats; finite).
    tokens
        Its number of tokens, at least 0.
    truncated
        Whether it was cut off by the length limit.
    timed_out
        Whether its verification timed out; such a record cannot be correct.
    unverifiable
        Why its verification failed in another way; such a record cannot be correct.
    finish_reason
        What the sampler said ended it, if neither an end of the text nor the length limit.

    Raises
    ------
    TypeError, ValueError
        Naming the field and the value, if a field has the wrong type or range.
    """

    problem: str
    sample: int
    correct: bool
    text: str | None = None
    logprob: float | None = None
    tokens: int | None = None
    truncated: bool = False
    timed_out: bool = False
    unverifiable: str | None = None
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__  # NumPy scalars become Python's, so that they can be written
        for name in ("problem", "text", "unverifiable", "finish_reason"):
            value = getattr(self, name)
            if type(value) is not str and not (name != "problem" and value is None):
                if not isinstance(value, str):
                    raise TypeError(f"{name} must be a string, got {value!r}")
                put(self, name, str(value))
        for name in ("correct", "truncated", "timed_out"):
            value = getattr(self, name)
            if type(value) is not bool:
                if not isinstance(value, np.bool_):
                    raise TypeError(f"{name} must be true or false, got {value!r}")
                put(self, name, bool(value))
        if type(self.sample) is not int:
            put(self, "sample", _integer("sample", self.sample))
        if self.tokens is not None and type(self.tokens) is not int:
            put(self, "tokens", _integer("tokens", self.tokens))
        if self.logprob is not None and type(self.logprob) is not float:
            if isinstance(self.logprob, bool | np.bool_ | str):
                raise TypeError(f"logprob must be a number, got {self.logprob!r}")
            put(self, "logprob", float(self.logprob))
        self._check_ranges()

    def _check_ranges(self) -> None:
        if not self.problem:
            raise ValueError("problem must not be empty")
        if not self.problem.isascii():
            try:
                self.problem.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"problem is not valid Unicode: {self.problem!r}") from error
        if not 0 <= self.sample < MAX_SAMPLES:
            raise ValueError(
                f"sample must be in 0 … {MAX_SAMPLES - 1}, got {self.sample}: number the "
                "completions of each problem 0, 1, 2, …"
            )
        if self.tokens is not None and self.tokens < 0:
            raise ValueError(f"tokens must be at least 0, got {self.tokens}")
        if self.logprob is not None and not math.isfinite(self.logprob):
            raise ValueError(f"logprob must be finite, got {self.logprob}; leave it out if unknown")
        if self.timed_out and self.correct:
            raise ValueError("correct and timed_out cannot both be true")
        if self.unverifiable is not None and self.correct:
            raise ValueError(f"correct and unverifiable ({self.unverifiable!r}) exclude each other")


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What comparisons need of a record file: for each problem, samples and right answers.

    Parameters
    ----------
    problems
        Names, all different; shape (P,).
    n, c
        Number of samples, n ≥ 1, and of correct ones, 0 ≤ c ≤ n; int64, shape (P,), read-only.
    meta
        The metadata of the file they came from.

    Raises
    ------
    TypeError, ValueError
        Naming the first offending problem.
    """

    problems: tuple[str, ...]
    n: NDArray[np.int64]
    c: NDArray[np.int64]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "problems", tuple(self.problems))
        for name in ("n", "c"):
            given = np.asarray(getattr(self, name))
            if given.size and given.dtype.kind not in "iu":
                raise TypeError(f"{name} must hold integers, got dtype {given.dtype}")
            if given.shape != (len(self.problems),):
                raise ValueError(
                    f"{name} has shape {given.shape}, expected ({len(self.problems)},): "
                    "one entry for each problem"
                )
            values = given.astype(np.int64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        seen: set[str] = set()
        for problem in self.problems:
            if problem in seen:
                raise ValueError(f"problem {problem!r} appears twice")
            seen.add(problem)
        bad = np.flatnonzero((self.n < 1) | (self.c < 0) | (self.c > self.n))
        if bad.size:
            i = int(bad[0])
            raise ValueError(
                f"problem {self.problems[i]!r} has n = {self.n[i]}, c = {self.c[i]}; "
                "expected n ≥ 1 and 0 ≤ c ≤ n"
            )
