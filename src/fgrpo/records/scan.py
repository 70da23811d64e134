"""The lines of a record file: written, parsed and scanned in one pass."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fgrpo.errors import RunError
from fgrpo.records.record import Counts, Record, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

PathLike = str | os.PathLike[str]
SCHEMA_VERSION = 1
"""Version of the file format, as its header says."""
_HEADER_START = b'{"fgrpo_records":'
_BLOCK = 1 << 18  # bytes read at a time where only counts are wanted
# A line as `encode` writes it, with nothing in it that could be wrong: its problem, sample and
# correct; or else any line whole. Most lines are such, and parsing them takes several times longer.
_PLAIN = re.compile(
    rb'\{"problem": "([ !#-\[\]-~]+)", "sample": (0|[1-9]\d{0,5}), "correct": (true|false)'
    rb'(?:, "logprob": -?(?:0|[1-9]\d{0,9})(?:\.\d{1,20})?(?:e-\d\d)?)?'
    rb'(?:, "tokens": (?:0|[1-9]\d{0,9}))?(?:, "truncated": true)?\}\n'
    rb"|([^\n]*\n|[^\n]+)"
)


class Tally:
    """Counters of one problem, and one bit for each sample index seen."""

    __slots__ = ("c", "n", "seen")

    def __init__(self) -> None:
        self.n = self.c = 0
        self.seen = bytearray()

    def has(self, sample: int) -> bool:
        """Tell whether this sample index was added."""
        byte = sample >> 3
        return 0 <= byte < len(self.seen) and bool(self.seen[byte] >> (sample & 7) & 1)

    def add(self, sample: int, correct: bool) -> None:
        """Count a sample that is not there yet."""
        byte = sample >> 3
        if byte >= len(self.seen):
            self.seen.extend(bytes(byte + 1 - len(self.seen)))
        self.seen[byte] |= 1 << (sample & 7)
        self.n += 1
        self.c += correct


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a finite number")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_OPTIONAL = (  # in the order they are written
    ("logprob", None),
    ("tokens", None),
    ("truncated", False),
    ("timed_out", False),
    ("unverifiable", None),
    ("finish_reason", None),
    ("text", None),
)
_FIELDS = frozenset({"problem", "sample", "correct"} | {name for name, _ in _OPTIONAL})


def encode(record: Record) -> bytes:
    """Write a record as one line, fields at their default left out."""
    values: dict[str, Any] = {
        "problem": record.problem,
        "sample": record.sample,
        "correct": record.correct,
    }
    for name, default in _OPTIONAL:
        value = getattr(record, name)
        if value is not default:
            values[name] = value
    try:
        return f"{_ENCODER.encode(values)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate in the text: written as an escape
        return f"{json.dumps(values, allow_nan=False)}\n".encode()


def _decode(raw: bytes) -> Any:
    """Parse one line; ValueError if it is not JSON."""
    try:
        return _DECODER.decode(raw.removesuffix(b"\n").decode())
    except json.JSONDecodeError as error:  # its own message counts lines within this one
        raise ValueError(f"{error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _record(value: Any) -> Record:
    if not isinstance(value, dict):
        raise TypeError(f"found a {type(value).__name__}")
    if unknown := sorted(value.keys() - _FIELDS):
        raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(_FIELDS))}")
    for name in ("problem", "sample", "correct"):
        if name not in value:
            raise ValueError(f"field {name!r} is missing")
    return Record(**value)


def canonical(meta: Mapping[str, Any]) -> str:
    """Write metadata as JSON with sorted keys: equal metadata, equal text."""
    try:
        return json.dumps(dict(meta), sort_keys=True, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecordError(f"metadata cannot be written as JSON: {error}") from error


def _header(value: Any, path: Path) -> dict[str, Any]:
    """Return the metadata of a parsed header line."""
    place = f"{path}:1"
    if not isinstance(value, dict) or "fgrpo_records" not in value:
        raise RecordError(
            f'{place}: expected a header {{"fgrpo_records": {SCHEMA_VERSION}, …}}; write the file '
            "with fgrpo.records.RecordStore, or convert what another tool wrote with fgrpo import"
        )
    version = value["fgrpo_records"]
    if type(version) is not int or version < 1:
        raise RecordError(f"{place}: schema version must be a positive integer, got {version!r}")
    if version > SCHEMA_VERSION:
        raise RecordError(
            f"{place}: schema version {version} is newer than {SCHEMA_VERSION}, the newest this "
            "fgrpo knows: upgrade fgrpo"
        )
    meta = value.get("meta", {})
    if not isinstance(meta, dict):
        raise RecordError(f"{place}: meta must be an object, got {meta!r}")
    return meta


class Scan:
    """One pass over an open file: metadata first, then its records, by iteration or `count`.

    After either ``index`` holds the tallies, ``end`` the bytes of whole lines, and
    ``unterminated`` tells whether the last of these still needs its newline.
    """

    def __init__(self, handle: BinaryIO, path: Path) -> None:
        self.handle, self.path = handle, path
        self.index: dict[str, Tally] = {}
        self.meta: dict[str, Any] = {}
        self.end, self.unterminated = 0, False
        self.line = 1
        raw = handle.readline()
        torn_ok = not raw.endswith(b"\n") and (
            raw.startswith(_HEADER_START) or _HEADER_START.startswith(raw)
        )
        try:
            value = _decode(raw)
        except ValueError:
            if torn_ok:  # nothing, or a header cut short: a new file
                return
            value = None
        self.meta = _header(value, path)
        self._whole(raw)

    def _whole(self, raw: bytes) -> None:
        self.end += len(raw)
        self.unterminated = not raw.endswith(b"\n")

    def __iter__(self) -> Iterator[Record]:
        for raw in self.handle:
            record = self._take(raw)
            if record is None:
                return
            yield record

    def count(self) -> None:
        """Go through the records as iteration does, with the same errors, without making them."""
        named: dict[bytes, Tally] = {}  # those of plain lines, by the name as it stands there
        while block := self.handle.read(_BLOCK):
            block += self.handle.readline()
            start = self.end
            for problem, sample, correct, other in _PLAIN.findall(block):
                if other:
                    if self._take(other) is None:
                        self.end = start + len(block) - len(other)
                        return
                    continue
                self.line += 1
                tally = named.get(problem)
                if tally is None:
                    tally = named[problem] = self.index.setdefault(problem.decode(), Tally())
                number = int(sample)
                if tally.has(number):
                    self._refuse_second(problem.decode(), number)
                tally.add(number, correct == b"true")
            self.end = start + len(block)

    def _take(self, raw: bytes) -> Record | None:
        """Parse, check and count the next line; None if it is torn, and so the last."""
        self.line += 1
        place = f"{self.path}:{self.line}"
        try:
            value = _decode(raw)
        except ValueError as error:
            if not raw.endswith(b"\n"):
                return None
            raise RecordError(f"{place}: expected one JSON record: {error}") from error
        try:
            record = _record(value)
        except (TypeError, ValueError) as error:
            raise RecordError(f"{place}: expected a record: {error}") from error
        tally = self.index.get(record.problem)
        if tally is None:
            tally = self.index[record.problem] = Tally()
        elif tally.has(record.sample):
            self._refuse_second(record.problem, record.sample)
        tally.add(record.sample, record.correct)
        self._whole(raw)
        return record

    def _refuse_second(self, problem: str, sample: int) -> NoReturn:
        first = line_of(self.path, problem, sample)
        raise RecordError(
            f"{self.path}:{self.line}: sample {sample} of problem {problem!r} is already "
            f"at line {first}; remove one of the two lines"
        )


def line_of(path: Path, problem: str, sample: int) -> int:
    """Find the first line with a sample of a problem: a second pass, on errors only."""
    with path.open("rb") as handle:
        scan = Scan(handle, path)
        for record in scan:
            if (record.problem, record.sample) == (problem, sample):
                return scan.line
    raise RunError(f"{path}: changed while it was being read")


@contextlib.contextmanager
def _scanning(path: PathLike) -> Iterator[Scan]:
    path = Path(path)
    try:
        handle = path.open("rb")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    with handle:
        yield Scan(handle, path)


def counts_of(index: Mapping[str, Tally], meta: Mapping[str, Any]) -> Counts:
    """Make counts of the tallies of a scan."""
    n = np.fromiter((tally.n for tally in index.values()), np.int64, len(index))
    c = np.fromiter((tally.c for tally in index.values()), np.int64, len(index))
    return Counts(tuple(index), n, c, meta)


def read_records(path: PathLike) -> Iterator[Record]:
    """Yield the records of a file in order, in memory that does not grow with their text.

    A torn last line is ignored. Raises `RecordError` naming file and line at a malformed line, a
    duplicate (problem, sample), a missing header or a newer schema version.
    """
    with _scanning(path) as scan:
        yield from scan


def read_counts(path: PathLike) -> Counts:
    """Count samples and right answers per problem, in order of first appearance.

    Streams like `read_records` and raises the same errors; an empty file has no problems.
    """
    with _scanning(path) as scan:
        scan.count()
        return counts_of(scan.index, scan.meta)
