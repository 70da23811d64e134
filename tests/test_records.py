"""The record, its counts, what readers refuse, and their memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrpo.errors import UsageError
from fgrpo.records import (
    MAX_SAMPLES,
    Counts,
    Record,
    RecordError,
    RecordStore,
    read_counts,
    read_records,
)

if TYPE_CHECKING:
    from pathlib import Path

META = {"seed": 1, "model": "tiny"}
HEADER = '{"fgrpo_records": 1, "meta": {}}\n'
SAMPLE = [
    Record("a", 0, True, text='ja ✓\u2028\x85\n"x"', logprob=-0.1, tokens=3),
    Record("b/ü", 0, False, truncated=True),
    Record("a", 2, False, timed_out=True, text=""),
    Record("a", 1, True, logprob=-1e-300),
]


def write(path: Path, records: list[Record], meta: dict[str, object] | None = None) -> bytes:
    with RecordStore.open(path, meta) as store:
        store.extend(records)
    return path.read_bytes()


# The record ---------------------------------------------------------------------------------

records_strategy = st.builds(
    Record,
    problem=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    sample=st.integers(0, MAX_SAMPLES - 1),
    correct=st.just(False),
    text=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    logprob=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tokens=st.none() | st.integers(0, 10**9),
    truncated=st.booleans(),
    timed_out=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(records=st.lists(records_strategy, unique_by=lambda r: (r.problem, r.sample), max_size=8))
def test_any_records_come_back_as_written(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "r.jsonl"
    write(path, records)
    assert list(read_records(path)) == records


def test_file_is_readable_by_eye(tmp_path):
    data = write(tmp_path / "r", [Record("gcd-1", 0, True, tokens=9, logprob=-0.5)], META)
    assert data.decode() == (
        '{"fgrpo_records": 1, "meta": {"model": "tiny", "seed": 1}}\n'
        '{"problem": "gcd-1", "sample": 0, "correct": true, "logprob": -0.5, "tokens": 9}\n'
    )


def test_numpy_scalars_give_the_same_bytes_as_python_numbers(tmp_path):
    numpy = Record(np.str_("p"), np.int64(3), np.bool_(True), None, np.float32(-0.5), np.int32(7))
    python = Record("p", 3, True, None, -0.5, 7)
    assert numpy == python
    assert write(tmp_path / "1", [numpy]) == write(tmp_path / "2", [python])
    assert write(tmp_path / "3", [Record("p", 0, True, logprob=0)]).endswith(b'"logprob": 0.0}\n')


def test_text_with_a_lone_surrogate_survives(tmp_path):
    record = Record("p", 0, False, text="broken \ud800 byte")
    data = write(tmp_path / "r", [record])
    assert rb"\ud800" in data
    assert list(read_records(tmp_path / "r")) == [record]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"problem": ""}, "problem must not be empty"),
        ({"problem": "\ud800"}, "problem is not valid Unicode"),
        ({"problem": 3}, "problem must be a string, got 3"),
        ({"sample": -1}, "sample must be in 0"),
        ({"sample": MAX_SAMPLES}, "number the completions"),
        ({"sample": True}, "sample must be an integer, got True"),
        ({"sample": 1.0}, "sample must be an integer, got 1.0"),
        ({"correct": 1}, "correct must be true or false, got 1"),
        ({"truncated": None}, "truncated must be true or false"),
        ({"tokens": -2}, "tokens must be at least 0, got -2"),
        ({"logprob": float("nan")}, "logprob must be finite, got nan"),
        ({"logprob": -np.inf}, "logprob must be finite"),
        ({"logprob": "-1"}, "logprob must be a number"),
        ({"text": b"x"}, "text must be a string"),
        ({"correct": True, "timed_out": True}, "cannot both be true"),
    ],
)
def test_bad_fields_are_refused_by_name(fields, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Record(**{"problem": "p", "sample": 0, "correct": False, **fields})


# Counts and resume --------------------------------------------------------------------------


def test_counts_has_and_missing_agree_between_writer_and_reader(tmp_path):
    path = tmp_path / "r"
    with RecordStore.open(path, META) as store:
        for record in SAMPLE:
            store.append(record)
        written = store.counts()
        assert (store.has("a", 2), store.has("a", 3), store.has("z", 0)) == (True, False, False)
        assert not store.has("a", -6)
        assert store.missing("a", 5) == [3, 4]
        assert store.missing("b/ü", 3) == [1, 2]
        assert store.missing("new", 2) == [0, 1]
    for counts in (written, read_counts(path)):
        assert counts.problems == ("a", "b/ü")
        assert counts.n.tolist() == [3, 1]
        assert counts.c.tolist() == [2, 0]
        assert counts.n.dtype == counts.c.dtype == np.int64
        assert counts.meta == META


@pytest.mark.parametrize("block", [1, 50, 1 << 18])
def test_counting_and_reading_agree_on_lines_of_every_kind(tmp_path, monkeypatch, block):
    """Counting parses only lines that are not as the store writes them."""
    monkeypatch.setattr("fgrpo.records.scan._BLOCK", block)
    path = tmp_path / "r"
    with RecordStore.open(path, META) as store:
        store.extend([*SAMPLE, Record("b", 7, True, logprob=-2.0, tokens=5, truncated=True)])
        store.extend(Record("a", i, i % 3 == 0, logprob=-1e-5 * i, tokens=i) for i in range(3, 20))
    with path.open("a") as file:
        file.write('{"problem":"a","sample":20,"correct":true}\n')  # another program's
        file.write('{"correct": true, "sample": 8, "problem": "b"}\n')
        file.write('{"problem": "a\\u0062", "sample": 0, "correct": false}\r\n')
        file.write('{"problem": "b", "sample": 9, "correct": false}')  # no newline
    read = list(read_records(path))
    assert len(read) == 5 + 17 + 4
    counts = read_counts(path)
    assert counts.problems == ("a", "b/ü", "b", "ab")
    for problem, n, c in zip(counts.problems, counts.n, counts.c, strict=True):
        own = [record.correct for record in read if record.problem == problem]
        assert (n, c) == (len(own), sum(own))
    with RecordStore.open(path) as store:
        assert store.missing("b", 11) == [0, 1, 2, 3, 4, 5, 6, 10]
        store.append(Record("b", 10, True))
    assert [*read, Record("b", 10, True)] == list(read_records(path))
    with path.open("a") as file:
        file.write('{"problem": "b", "sample": 11, "cor')  # torn
    assert read_counts(path).n.tolist() == [*counts.n[:2], counts.n[2] + 1, counts.n[3]]
    with RecordStore.open(path) as store:
        assert store.cut == 35
    assert [*read, Record("b", 10, True)] == list(read_records(path))


@pytest.mark.parametrize(
    "again", ['"sample": 1, "correct": false}\n', '"sample":1,"correct":true}\n']
)
@pytest.mark.parametrize(
    "first", ['"sample": 1, "correct": true}\n', '"sample":1,"correct":true}\n']
)
def test_a_second_line_of_a_sample_is_refused_however_the_two_are_written(tmp_path, first, again):
    path = tmp_path / "r"
    other = '{"problem": "p", "sample": 0, "correct": true}\n'
    path.write_text(HEADER + '{"problem": "p", ' + first + other + '{"problem": "p", ' + again)
    for use in (read_counts, RecordStore.open):
        with pytest.raises(RecordError, match=r"r:4: sample 1 of problem 'p' is already at line 2"):
            use(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((("p", "p"), [1, 1], [0, 0]), "'p' appears twice"),
        ((("p",), [2], [3]), "'p' has n = 2, c = 3"),
        ((("p",), [0], [0]), "expected n ≥ 1"),
        ((("p",), [1, 2], [0, 0]), r"n has shape \(2,\), expected \(1,\)"),
        ((("p",), [1.0], [0]), "n must hold integers"),
    ],
)
def test_bad_counts_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Counts(*arguments)


# Refusals -----------------------------------------------------------------------------------


def test_duplicates_are_refused_with_their_place_and_nothing_is_written(tmp_path):
    path = tmp_path / "r"
    before = write(path, SAMPLE)
    with RecordStore.open(path) as store:
        with pytest.raises(
            RecordError,
            match=r"r: sample 2 of problem 'a' is already at line 4 .*; .* delete it to",
        ):
            store.extend([Record("c", 0, True), Record("a", 2, True)])
        with pytest.raises(RecordError, match="twice in the batch: items 0 and 2"):
            store.extend([Record("c", 0, True), Record("c", 1, True), Record("c", 0, False)])
        with pytest.raises(TypeError, match="item 0 of the batch is not a Record"):
            store.extend([("c", 0, True)])
        assert not store.has("c", 0)
    assert path.read_bytes() == before
    path.write_bytes(before + before.splitlines(keepends=True)[1])
    for use in (read_counts, RecordStore.open):
        with pytest.raises(RecordError, match=r"r:6: sample 0 of problem 'a' is already at line 2"):
            use(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"problem": "p", "sam', r"Unterminated string starting at \(column 18\)"),
        ("", r"Expecting value \(column 1\)"),
        ('{"problem": "p", "sample": 0}', "field 'correct' is missing"),
        ('{"problem": "p", "sample": 0, "corect": true}', "unknown field 'corect'"),
        ('{"problem": "p", "sample": 0, "correct": 1}', "correct must be true or false"),
        ('{"problem": "p", "sample": 007, "correct": true}', r"Expecting ',' delimiter"),
        ('{"problem": "p", "sample": 1048576, "correct": true}', "sample must be in 0"),
        ('{"problem": "", "sample": 0, "correct": true}', "problem must not be empty"),
        ('{"problem": "p\tq", "sample": 0, "correct": true}', "Invalid control character"),
        ('{"problem": "p", "sample": 0, "correct": true, "tokens": -1}', "tokens must be at least"),
        ('{"problem": "p", "sample": 0, "correct": true, "tokens": 01}', "delimiter"),
        ('{"problem": "p", "sample": 0, "correct": true, "logprob": -01.5}', "delimiter"),
        ('{"problem": "p", "sample": 0, "correct": true} ,', "Extra data"),
        ('{"problem": "p", "sample": 0, "correct": true, "logprob": NaN}', "NaN"),
        ('{"problem": "p", "sample": 0, "correct": true, "logprob": -1e999}', "must be finite"),
        ("[1, 2]", "found a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_malformed_middle_line_is_named(tmp_path, line, message):
    path = tmp_path / "r"
    good = '{"problem": "p", "sample": %d, "correct": true}\n'
    content = HEADER + good % 1 + line + "\n" + good % 2
    path.write_text(content)
    for use in (read_counts, RecordStore.open, lambda p: list(read_records(p))):
        with pytest.raises(RecordError, match=rf"r:3: expected .*record: .*{message}") as caught:
            use(path)
        assert isinstance(caught.value, UsageError)
    assert path.read_text() == content


def test_a_newer_schema_names_both_versions(tmp_path):
    path = tmp_path / "r"
    for version, message in (("7", "version 7 is newer than 1, .*upgrade"), ("true", "got True")):
        path.write_text(f'{{"fgrpo_records": {version}}}\n')
        for use in (read_counts, RecordStore.open):
            with pytest.raises(RecordError, match=rf"r:1: schema .*{message}"):
                use(path)


def test_other_metadata_is_refused_with_the_difference(tmp_path):
    path = tmp_path / "r"
    before = write(path, SAMPLE[:1], {"model": "m", "seed": 1, "nested": {"x": [1], "y": 2}})
    with pytest.raises(RecordError, match="metadata differs") as caught:
        RecordStore.open(path, {"seed": 1.0, "nested": {"y": 2, "x": [1]}, "top_p": 1})
    message = str(caught.value)
    assert "model is 'm' in the file and was not given" in message
    assert "seed is 1 in the file, given 1.0" in message
    assert "top_p was given as 1" in message
    assert "nested" not in message
    with RecordStore.open(path) as store:
        assert store.meta["model"] == "m"
    assert path.read_bytes() == before
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        RecordStore.open(path, {"loss": float("nan")})


def test_a_file_without_records_takes_other_metadata(tmp_path):
    """Nothing was made under the old, say because the model's name was mistyped."""
    path = tmp_path / "r"
    write(path, [], {"model": "bse"})
    write(path, SAMPLE[:1], {"model": "base"})
    with RecordStore.open(path) as store:
        assert store.meta == {"model": "base"}
    assert list(read_records(path)) == SAMPLE[:1]


def test_unusable_paths_are_named(tmp_path):
    with pytest.raises(RecordError, match="none: cannot be read: No such file"):
        read_counts(tmp_path / "none")
    with pytest.raises(RecordError, match="cannot be opened for writing: No such file"):
        RecordStore.open(tmp_path / "no" / "r")
    with pytest.raises(RecordError, match="cannot be read"):
        list(read_records(tmp_path))
    with pytest.raises(RecordError, match="/dev/null: not a regular file"):
        RecordStore.open("/dev/null")


# Size ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_40_000_records_with_text_stream_in_bounded_memory(tmp_path):
    """40 MB of text; one bit a sample and some counters for each of 200 problems are kept."""
    path = tmp_path / "r"
    line = json.dumps({"problem": "?", "sample": -1, "correct": True, "text": "x" * 1000})
    with path.open("w") as file:
        file.write(HEADER)
        for sample in range(200):
            one = line.replace("-1", str(sample))
            file.writelines(one.replace("?", f"p{p}") + "\n" for p in range(200))
    assert path.stat().st_size > 40e6
    tracemalloc.start()
    try:
        counts = read_counts(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    assert counts.n.tolist() == counts.c.tolist() == [200] * 200
