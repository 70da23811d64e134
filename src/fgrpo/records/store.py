"""The writer of a record file: locked, repaired on opening, appended to by whole lines."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fgrpo.errors import RunError
from fgrpo.records.record import Counts, Record, RecordError
from fgrpo.records.scan import (
    SCHEMA_VERSION,
    PathLike,
    Scan,
    Tally,
    canonical,
    counts_of,
    encode,
    line_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SYNC_EVERY = 1.0  # seconds between fsyncs: a kill needs none, a power cut loses about this much
_POLL = 0.02  # seconds between attempts at a lock that another writer holds


def _lock(fd: int, path: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise RunError(
                    f"{path}: another writer has it open; let that one finish, wait longer "
                    f"(wait is {wait:g} s), or write to another file"
                ) from None
        except OSError as error:
            raise RunError(
                f"{path}: cannot be locked ({error.strerror}); keep it on a file system with locks"
            ) from error
        time.sleep(_POLL)


def _check_meta(path: Path, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to append to a file made under other metadata, and say what differs."""
    differences = []
    for key in sorted(stored.keys() | asked.keys()):
        if key not in asked:
            differences.append(f"{key} is {stored[key]!r} in the file and was not given")
        elif key not in stored:
            differences.append(f"{key} was given as {asked[key]!r} and is not in the file")
        elif canonical({key: stored[key]}) != canonical({key: asked[key]}):
            differences.append(f"{key} is {stored[key]!r} in the file, given {asked[key]!r}")
    if differences:
        raise RecordError(
            f"{path}: metadata differs: {'; '.join(differences)}; choose another file "
            "or folder, or go on with what it was begun with"
        )


class RecordStore:
    """An append-only file of records with one writer, which a kill at any byte cannot corrupt.

    Made by `RecordStore.open`; a context manager. Each `extend` is one write of whole lines, so
    a kill leaves at most one torn line, at the end; the next opening cuts it off. The operating
    system is told to put the data on disk (fsync) once a second while appending and on closing.
    Memory holds one bit per sample index and a few counters per problem, never any text. Methods
    may be called from several threads; after a fork only one process may use the store.

    Attributes
    ----------
    path
        The file.
    meta
        Its metadata.
    cut
        Bytes of a torn last line removed on opening.
    """

    def __init__(self, path: Path, fd: int, scan: Scan, cut: int) -> None:
        self.path = path
        self.meta: dict[str, Any] = scan.meta
        self.cut = cut
        self._fd = fd
        self._index = scan.index
        self._open = True
        self._synced = time.monotonic()
        self._guard = threading.RLock()

    @classmethod
    def open(
        cls, path: PathLike, meta: Mapping[str, Any] | None = None, wait: float = 0.0
    ) -> RecordStore:
        """Open a file for appending: create it, or check, repair and continue it.

        Parameters
        ----------
        path
            The file; its folder must exist. An empty file or a torn header counts as new.
        meta
            Metadata for the header (JSON values). For a file that has records it must be equal to
            the header's, apart from key order; None accepts any.
        wait
            Seconds to wait, at least 0, while another writer holds the file.

        Raises
        ------
        RecordError
            If the file is not a record file, has a malformed or duplicate record, a newer schema
            version or other metadata; the message names file and line, and the file is unchanged.
        RunError
            If another writer holds the file, or the header cannot be written.
        """
        path = Path(path)
        asked = None if meta is None else json.loads(canonical(meta))
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RecordError(f"{path}: cannot be opened for writing: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise RecordError(f"{path}: not a regular file")
            _lock(fd, path, wait)
            return cls._continue(path, fd, asked)
        except BaseException:
            os.close(fd)  # releases the lock
            raise

    @classmethod
    def _continue(cls, path: Path, fd: int, asked: dict[str, Any] | None) -> RecordStore:
        """Check and repair the locked file, and write the header if there is none."""
        with open(fd, "rb", closefd=False) as handle:
            scan = Scan(handle, path)
            scan.count()
        if not scan.index and asked is not None and canonical(scan.meta) != canonical(asked):
            scan.end = 0  # there is nothing yet that was made under the file's metadata
        if scan.end and asked is not None:
            _check_meta(path, scan.meta, asked)
        cut = os.fstat(fd).st_size - scan.end
        if cut:
            os.ftruncate(fd, scan.end)
        new = not scan.end
        if new:
            scan.meta = asked or {}
        store = cls(path, fd, scan, cut)
        if new:
            header = {"fgrpo_records": SCHEMA_VERSION, "meta": scan.meta}
            store._write(f"{json.dumps(header, allow_nan=False)}\n".encode(), "the header")
        elif scan.unterminated:
            store._write(b"\n", "a newline")
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, record: Record) -> None:
        """Append one record; `extend` with a batch is faster."""
        self.extend([record])

    def extend(self, records: Iterable[Record]) -> None:
        """Append a batch of records in one write: all of them, or on an error none.

        Raises
        ------
        RecordError
            If (problem, sample) of one is in the file already, or twice in the batch; says where.
        RunError
            If the file cannot be written, for example because the disk is full. The file is cut
            back to what it held before, and the batch can be repeated once there is room.
        """
        with self._guard:
            self._check_open()
            batch = list(records)
            places: dict[tuple[str, int], int] = {}
            for i, record in enumerate(batch):
                if not isinstance(record, Record):
                    raise TypeError(f"item {i} of the batch is not a Record: {record!r}")
                key = record.problem, record.sample
                what = f"{self.path}: sample {record.sample} of problem {record.problem!r}"
                if self.has(*key):
                    line = line_of(self.path, *key)
                    raise RecordError(
                        f"{what} is already at line {line} (item {i} of the batch); "
                        "RecordStore.open adds to a file: delete it to start over, or number new "
                        "samples on"
                    )
                if (first := places.setdefault(key, i)) != i:
                    raise RecordError(f"{what} is twice in the batch: items {first} and {i}")
            if batch:
                lines = b"".join(map(encode, batch))
                self._write(lines, f"{len(batch)} records", batch)

    def has(self, problem: str, sample: int) -> bool:
        """Tell whether the file holds this sample of this problem."""
        tally = self._index.get(problem)
        return tally is not None and tally.has(sample)

    def missing(self, problem: str, n: int) -> list[int]:
        """List the sample indices in 0 … n − 1 that the file lacks: what is left to do."""
        tally = self._index.get(problem)
        return [i for i in range(n) if tally is None or not tally.has(i)]

    def counts(self) -> Counts:
        """Count samples and right answers per problem, in order of first appearance."""
        with self._guard:
            return counts_of(self._index, self.meta)

    def close(self) -> None:
        """Put everything on disk and let the next writer in; closing twice is harmless."""
        with self._guard:
            if self._fd < 0:
                return
            fd, self._fd, self._open = self._fd, -1, False
            try:
                os.fsync(fd)
            except OSError as error:
                raise RunError(f"{self.path}: not safely on disk: {error.strerror}") from error
            finally:
                os.close(fd)

    def _check_open(self) -> None:
        if not self._open:
            raise RunError(
                f"{self.path}: closed, or interrupted in a write; open it again to append"
            )

    def _write(self, data: bytes, what: str, batch: Iterable[Record] = ()) -> None:
        """Append bytes and count their records; on any failure cut the file back."""
        start = os.fstat(self._fd).st_size
        self._open = False  # until this write has come to a clean end
        try:
            rest = memoryview(data)
            while rest:  # a second round only after a short write (disk nearly full, over 2 GiB)
                rest = rest[os.write(self._fd, rest) :]
            now = time.monotonic()
            if now - self._synced >= _SYNC_EVERY:
                os.fsync(self._fd)
                self._synced = now
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, start)
                self._open = isinstance(error, OSError)
            if not isinstance(error, OSError):
                raise
            state = (
                "none of it was kept; free some space and repeat"
                if self._open
                else "and could not be cut back; free some space and open the file again"
            )
            reason = f"could not write {what} ({error.strerror})"
            raise RunError(f"{self.path}: {reason}: {state}") from error
        for record in batch:
            self._index.setdefault(record.problem, Tally()).add(record.sample, record.correct)
        self._open = True
