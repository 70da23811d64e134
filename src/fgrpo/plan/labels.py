"""Which solutions a pilot's correct samples hold, and how often each: one pass over records."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import numpy as np

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike, NDArray

    from fgrpo.records import Record

_HASH_BYTES = 16  # two of a billion different texts share a hash with probability 2^-69


@dataclass(frozen=True, slots=True, eq=False)
class Solutions:
    """The distinct correct solutions among the samples of one problem.

    Parameters
    ----------
    problem
        Name of the problem.
    n
        Number of its samples, right and wrong, at least 1.
    multiplicities
        How many samples hold each distinct correct solution; kept as int64, shape (D,), largest
        first, read-only.

    Raises
    ------
    TypeError, ValueError
        Naming the problem and the value: a multiplicity below 1, or more correct samples than n.
    """

    problem: str
    n: int
    multiplicities: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"problem {self.problem!r} has n = {self.n}; it needs a sample")
        given: ArrayLike = self.multiplicities
        array = np.asarray(given)
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(
                f"multiplicities of problem {self.problem!r} have dtype {array.dtype}; "
                "pass whole numbers"
            )
        if array.ndim != 1:
            raise ValueError(
                f"multiplicities of problem {self.problem!r} have shape {array.shape}; "
                "pass one axis"
            )
        values = np.sort(array.astype(np.int64))[::-1].copy()
        if values.size and values[-1] < 1:
            raise ValueError(
                f"problem {self.problem!r} has a solution of multiplicity {values[-1]}; list only "
                "solutions that were seen"
            )
        if values.sum() > self.n:
            raise ValueError(
                f"problem {self.problem!r} has {values.sum()} correct samples of n = {self.n}; "
                "n counts the wrong ones too"
            )
        values.setflags(write=False)
        object.__setattr__(self, "multiplicities", values)

    @property
    def c(self) -> int:
        """Number of correct samples."""
        return int(self.multiplicities.sum())

    @property
    def singletons(self) -> int:
        """Number of correct solutions that one sample alone holds."""
        return int((self.multiplicities == 1).sum())


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPilot:
    """What `solution_labels` found in a pilot.

    Attributes
    ----------
    solutions
        One entry for each problem all of whose correct samples have a label, in order of first
        appearance; those without a correct sample are among them. Empty if no record has a text.
    texts
        Number of records with a text; 0 means that the pilot was stored without.
    unlabelled
        Number of correct samples without a label.
    left_out
        Problems that are missing from ``solutions`` because a correct sample has no label.
    """

    solutions: tuple[Solutions, ...]
    texts: int
    unlabelled: int
    left_out: tuple[str, ...]


class _Tally:
    """Samples of one problem, and its distinct labels; ``labels`` is None once one is missing."""

    __slots__ = ("labels", "n")

    def __init__(self) -> None:
        self.n = 0
        self.labels: dict[bytes, int] | None = {}


def solution_labels(records: Iterable[Record], by: Literal["text", "answer"]) -> LabelledPilot:
    r"""Count how often each distinct correct solution of each problem was sampled.

    Two correct samples of a problem hold the same solution if their labels are equal, runs of
    white space counting as one space and those at the ends as none. Memory holds 16 bytes of hash
    and a counter for each distinct correct solution, never a text, so that
    `fgrpo.records.read_records` can be passed in however large its file is.

    Parameters
    ----------
    records
        Samples of any number of problems in any order; none may be there twice.
    by
        What tells solutions apart: ``"text"``, the whole completion, or ``"answer"``, what its
        last ``\boxed{…}`` holds (boxes joined by "and" or a comma are one answer, as for the
        verifiers). A correct sample without a text, with no box or with an empty box has no label;
        its problem is left out and named, since counting only the rest of its correct samples
        would make their solutions look rarer or commoner than they are.

    Returns
    -------
    LabelledPilot
        The solutions of each problem, and what could not be labelled.

    Raises
    ------
    UsageError
        If ``by`` is something else.
    """
    label_of = _labeller(by)
    tallies: dict[str, _Tally] = {}
    texts = unlabelled = 0
    for record in records:
        tally = tallies.setdefault(record.problem, _Tally())
        tally.n += 1
        texts += record.text is not None
        if not record.correct:
            continue
        label = None if record.text is None else label_of(record.text)
        if label is None:
            unlabelled += 1
            tally.labels = None
        elif tally.labels is not None:
            key = _hash(label)
            tally.labels[key] = tally.labels.get(key, 0) + 1
    solutions = tuple(
        Solutions(problem, tally.n, np.fromiter(tally.labels.values(), np.int64))
        for problem, tally in tallies.items()
        if texts and tally.labels is not None
    )
    left_out = tuple(problem for problem, tally in tallies.items() if tally.labels is None)
    return LabelledPilot(solutions, texts, unlabelled, left_out)


def _labeller(by: str) -> Callable[[str], str | None]:
    if by == "text":
        return str
    if by == "answer":
        # Imported here: the package of the verifiers brings their worker processes along.
        from fgrpo.verify.boxed import last_boxed

        return lambda text: last_boxed(text, join=True) or None
    raise UsageError(f'by = {by!r} tells no solutions apart; pass "text" or "answer"')


def _hash(label: str) -> bytes:
    # Without surrogatepass a lone half of a surrogate pair, which a record may hold, is an error.
    data = " ".join(label.split()).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=_HASH_BYTES).digest()
