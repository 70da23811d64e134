"""The store against kills, torn lines, a second writer and failing writes."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from fgrpo.errors import RunError
from fgrpo.records import Record, RecordError, RecordStore, read_counts, read_records
from test_records import META, SAMPLE, write

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

# Torn files ---------------------------------------------------------------------------------


def test_a_file_torn_at_every_byte_loses_no_whole_line_and_continues_to_the_same_bytes(tmp_path):
    path = tmp_path / "r"
    whole = write(tmp_path / "whole", SAMPLE, META)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
        # The content of a line is complete from the byte before its newline on.
        complete = max(0, sum(end <= cut for end in ends) - 1)
        unfinished = whole[:cut].rpartition(b"\n")[2] if whole[cut : cut + 1] != b"\n" else b""
        assert list(read_records(path)) == SAMPLE[:complete], cut
        with RecordStore.open(path, META) as store:
            assert store.counts().n.sum() == complete, cut
            assert store.cut == len(unfinished), cut
            for record in SAMPLE:
                if not store.has(record.problem, record.sample):
                    store.append(record)
        assert path.read_bytes() == whole, cut


def test_an_empty_file_is_new(tmp_path):
    path = tmp_path / "r"
    path.touch()
    assert list(read_records(path)) == []
    assert read_counts(path).problems == ()
    assert write(path, SAMPLE, META) == write(tmp_path / "other", SAMPLE, META)


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path):
    for content in (b"my thesis", b'{"a": 1}', b'{"fg": ', b"x\ny\n", b"\xff\xfe\n", b"[1]\n"):
        path = tmp_path / "r"
        path.write_bytes(content)
        for use in (RecordStore.open, read_counts):
            with pytest.raises(
                RecordError, match=r"r:1: expected a header .*; write .* fgrpo import$"
            ):
                use(path)
        assert path.read_bytes() == content


WRITER = """
import sys, time
from fgrpo.records import Record, RecordStore
with RecordStore.open(sys.argv[1], {"seed": 0}) as store:
    print("open", flush=True)
    for problem in map(str, range(40)):
        for i in store.missing(problem, 4):
            store.append(Record(problem, i, i == 0, text=problem * 200_000))
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_writer_killed_at_random_times_continues_to_the_same_bytes(tmp_path):
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    command = [sys.executable, str(script)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, stdout=subprocess.DEVNULL)
    path, rng, kills = tmp_path / "killed", random.Random(0), 0
    for attempt in range(60):
        with subprocess.Popen([*command, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            if attempt < 10:
                time.sleep(rng.uniform(0, 0.02))
                process.send_signal(signal.SIGKILL)
            status = process.wait()
        kills += status == -signal.SIGKILL
        sum(1 for _ in read_records(path))  # a reader copes with whatever is there
        if status == 0:
            break
    assert kills >= 5
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


# Two writers --------------------------------------------------------------------------------


def hold(path: str, ready: Event, seconds: float) -> None:
    with RecordStore.open(path) as store:
        ready.set()
        time.sleep(seconds)
        store.append(Record("other", 0, True))


def test_a_second_process_is_refused_or_waits(tmp_path):
    path = tmp_path / "r"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(str(path), ready, 0.5))
    other.start()
    assert ready.wait(20)
    with pytest.raises(RunError, match=r"r: another writer has it open; .*wait longer"):
        RecordStore.open(path)
    with RecordStore.open(path, wait=20) as store:
        assert store.has("other", 0)
    other.join()
    assert other.exitcode == 0


def test_a_second_store_in_the_same_process_is_refused_until_the_first_closes(tmp_path):
    store = RecordStore.open(tmp_path / "r")
    with pytest.raises(RunError, match="another writer"):
        RecordStore.open(tmp_path / "r")
    store.close()
    store.close()
    with pytest.raises(RunError, match="open it again"):
        store.append(SAMPLE[0])
    RecordStore.open(tmp_path / "r").close()


# Failing writes -----------------------------------------------------------------------------


def test_a_full_disk_keeps_nothing_of_the_batch_and_the_store_goes_on(tmp_path):
    """A file size limit: the kernel writes up to it, then fails, as on a full disk."""
    path = tmp_path / "r"
    before = write(path, SAMPLE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    batch = [Record("big", i, False, text="x" * 400) for i in range(5)]
    with RecordStore.open(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 1000, hard))
        try:
            with pytest.raises(RunError, match=r"r: could not write 5 records .*none of it") as e:
                store.extend(batch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert isinstance(e.value.__cause__, OSError)
        assert path.read_bytes() == before
        assert store.missing("big", 5) == [0, 1, 2, 3, 4]
        store.extend(batch)
    assert list(read_records(path)) == SAMPLE + batch


def test_an_interrupt_in_a_write_cuts_back_and_closes_the_store(tmp_path, monkeypatch):
    path = tmp_path / "r"
    before = write(path, SAMPLE)
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        real(fd, data[:10])
        raise KeyboardInterrupt

    with RecordStore.open(path) as store:
        monkeypatch.setattr(os, "write", half)
        with pytest.raises(KeyboardInterrupt):
            store.append(Record("c", 0, True))
        monkeypatch.undo()
        assert path.read_bytes() == before
        with pytest.raises(RunError, match="interrupted in a write; open it again"):
            store.append(Record("c", 0, True))


def test_when_cutting_back_fails_too_the_next_opening_repairs(tmp_path, monkeypatch):
    path = tmp_path / "r"
    before = write(path, SAMPLE)
    real = os.write

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def half(fd: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", fail)
        return real(fd, data[:10])

    with RecordStore.open(path) as store:
        monkeypatch.setattr(os, "write", half)
        monkeypatch.setattr(os, "ftruncate", fail)
        with pytest.raises(RunError, match=r"No space left .*could not be cut back"):
            store.append(Record("c", 0, True))
        monkeypatch.undo()
        with pytest.raises(RunError, match="open it again"):
            store.append(Record("c", 0, True))
    assert len(path.read_bytes()) == len(before) + 10
    with RecordStore.open(path) as store:
        assert store.cut == 10
    assert path.read_bytes() == before
