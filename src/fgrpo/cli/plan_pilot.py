"""The pilot that ``fgrpo plan`` is given: its counts, and its solutions where it holds texts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fgrpo.plan import LabelledPilot
    from fgrpo.records import Counts, Record

_TOLD = 5  # benchmarks that are named
_WORTH_TELLING = 0.01  # share of the samples that a flaw must have to be a warning


@dataclass(frozen=True, slots=True, eq=False)
class PilotRecords:
    """What was read of a pilot.

    Attributes
    ----------
    counts
        Samples and correct samples of each prompt.
    labelled
        Its distinct correct solutions; None if it was stored without texts.
    notes
        What should be known of it, a sentence or two each.
    """

    counts: Counts
    labelled: LabelledPilot | None
    notes: tuple[str, ...]


def read_pilot(
    path: Path, benchmarks: Sequence[str], by: Literal["text", "answer"] | None
) -> PilotRecords:
    """Read a pilot, in one pass over its records.

    Parameters
    ----------
    path
        A record file, or a folder that ``fgrpo evaluate`` made.
    benchmarks
        Those whose prompts are taken; all if none is named.
    by
        What tells correct solutions apart; None: their texts, if there are any.

    Raises
    ------
    UsageError
        If a file cannot be read, is malformed or holds nothing of what was asked for.
    """
    from fgrpo.compare.macro import benchmark_of
    from fgrpo.diagnose.arms import records_file
    from fgrpo.evaluate.folder import TEXTS
    from fgrpo.plan import solution_labels

    file = records_file(path)
    texts = path / TEXTS
    seen = _Seen(set(benchmarks))
    if path.is_dir() and texts.is_file():
        labelled = solution_labels(seen.with_texts(file, texts), by or "text")
    else:
        labelled = solution_labels(seen.records(file), by or "text")
    known = sorted({benchmark_of(problem) for problem in seen.problems} - {""})
    if missing := [name for name in benchmarks if name not in known]:
        raise UsageError(
            f"--benchmark {missing[0]}: {file} holds "
            + (f"{', '.join(known)}" if known else "no problems of the form benchmark/name")
        )
    if not seen.problems:
        raise UsageError(f"--pilot {path}: holds no records")
    if by is not None and not labelled.texts:
        raise UsageError(
            f"--solutions {by}: {file} holds no texts, so solutions cannot be told apart; leave "
            "the option out, or sample the pilot with texts kept"
        )
    counts = seen.counts()
    notes = _notes(seen, [] if benchmarks else known)
    return PilotRecords(counts, labelled if labelled.texts else None, notes)


class _Seen:
    """Yields the records of a pilot, and counts those that count."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.problems: dict[str, list[int]] = {}  # samples, correct ones
        self.flaws: Counter[str] = Counter()

    def records(self, file: Path) -> Iterator[Record]:
        from fgrpo.compare.macro import benchmark_of
        from fgrpo.records import read_records

        for record in read_records(file):
            row = self.problems.setdefault(record.problem, [0, 0])
            if self.wanted and benchmark_of(record.problem) not in self.wanted:
                continue
            row[0] += 1
            row[1] += record.correct
            if record.truncated:
                self.flaws["were cut off at the length limit"] += 1
            if record.timed_out:
                self.flaws["ran into the verifier's time limit"] += 1
            elif record.unverifiable is not None:
                self.flaws["could not be verified"] += 1
            yield record

    def with_texts(self, file: Path, texts: Path) -> Iterator[Record]:
        """Yield the records with the texts that an evaluation keeps apart, in the texts' order."""
        from fgrpo.evaluate.texts import read_texts
        from fgrpo.records import Record

        # A byte for each sample: 1 is wrong, 2 is correct, 0 is not there or has been yielded.
        waiting: dict[str, bytearray] = {}
        for record in self.records(file):
            row = waiting.setdefault(record.problem, bytearray())
            if record.sample >= len(row):
                row.extend(bytes(record.sample + 1 - len(row)))
            row[record.sample] = 2 if record.correct else 1
        for problem, sample, text in read_texts(texts):
            row = waiting.get(problem, bytearray())
            if sample < len(row) and row[sample]:
                yield Record(problem, sample, row[sample] == 2, text=text)
                row[sample] = 0
        for problem, row in waiting.items():
            for sample, what in enumerate(row):
                if what:
                    yield Record(problem, sample, what == 2)

    def counts(self) -> Counts:
        import numpy as np

        from fgrpo.records import Counts

        kept = {problem: row for problem, row in self.problems.items() if row[0]}
        table = np.array(list(kept.values()), dtype=np.int64).reshape(-1, 2)
        return Counts(tuple(kept), table[:, 0], table[:, 1])


def _notes(seen: _Seen, benchmarks: Sequence[str]) -> tuple[str, ...]:
    from fgrpo.diagnose.arms import printable

    notes = []
    if len(benchmarks) > 1:
        named = ", ".join(map(printable, benchmarks[:_TOLD]))
        more = " …" if len(benchmarks) > _TOLD else ""
        notes.append(
            f"The pilot holds {len(benchmarks)} benchmarks ({named}{more}), planned for as one "
            "set of prompts, in the pilot's proportions; --benchmark NAME takes one of them."
        )
    samples = sum(row[0] for row in seen.problems.values())
    for what, count in seen.flaws.items():
        if count / samples < _WORTH_TELLING:
            continue
        notes.append(
            f"{100 * count / samples:.3g}% of the pilot's samples {what}"
            + (", and count as wrong." if "cut off" not in what else ".")
        )
    return tuple(notes)
