"""Records: one line per sampled completion, in an append-only file that survives a kill.

The file is JSON lines in UTF-8. Line 1 is a header, every other line one record::

    {"fgrpo_records": 1, "meta": {"model": "base", "seed": 0}}
    {"problem": "gcd-17", "sample": 0, "correct": true, "tokens": 9}

A field at its default is left out, the key order is fixed, floats are written by ``repr``: the
same metadata and the same records in the same order give the same bytes. A closing brace ends a
line's content, so an unterminated last line is either whole (only its newline is missing: kept)
or torn (it does not parse: ignored by readers, cut off when a writer opens the file).

- ``record.py``: `Record`, `Counts`, `RecordError`
- ``scan.py``: the line format, `read_records`, `read_counts`
- ``run.py``: `read_run`, which also counts samples cut off or not judged; `quality`, their shares
- ``store.py``: `RecordStore`, the one writer
"""

from fgrpo.records.record import MAX_SAMPLES, Counts, Record, RecordError
from fgrpo.records.run import Quality, Run, quality, read_run
from fgrpo.records.scan import SCHEMA_VERSION, read_counts, read_records
from fgrpo.records.store import RecordStore

__all__ = [
    "MAX_SAMPLES",
    "SCHEMA_VERSION",
    "Counts",
    "Quality",
    "Record",
    "RecordError",
    "RecordStore",
    "Run",
    "quality",
    "read_counts",
    "read_records",
    "read_run",
]
