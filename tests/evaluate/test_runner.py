"""The runner: nothing lost, nothing doubled, the same for any number of workers."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from stand_ins import DigestPool, DigestSampler, messages_of, problems

from fgrpo.errors import RunError
from fgrpo.evaluate.runner import gaps, request_seed, requests_for, run
from fgrpo.evaluate.texts import read_texts
from fgrpo.records import Record, RecordStore, read_records

pytestmark = pytest.mark.slow


def go(folder, count=5, samples=8, chunk=4, sampler=None, seed=0, texts=True):
    folder.mkdir(exist_ok=True)
    asked = problems(count)
    with RecordStore.open(folder / "records.jsonl", meta={}) as store:
        found = gaps(store, asked, samples, chunk)
        requests = requests_for(found, asked, messages_of(asked), seed)
        path = folder / "texts.jsonl.gz" if texts else None
        return run(store, path, requests, asked, sampler or DigestSampler(), DigestPool())


def records(folder):
    return sorted(read_records(folder / "records.jsonl"), key=lambda r: (r.problem, r.sample))


def texts(folder):
    return sorted(read_texts(folder / "texts.jsonl.gz"))


def test_gaps_are_runs_that_cross_no_multiple_of_the_chunk(tmp_path):
    asked = problems(2)
    with RecordStore.open(tmp_path / "records.jsonl", meta={}) as store:
        store.extend(Record("toy/0", sample, False) for sample in (1, 4, 5, 6, 7))
        assert gaps(store, asked, 10, 4) == [
            (0, 0, 1),
            (0, 2, 2),
            (0, 8, 2),
            (1, 0, 4),
            (1, 4, 4),
            (1, 8, 2),
        ]
        assert gaps(store, asked[:1], 1, 4) == [(0, 0, 1)]
        assert gaps(store, asked, 0, 4) == []


def test_every_sample_has_one_record_and_one_text(tmp_path):
    tally = go(tmp_path)
    wanted = [(f"toy/{i}", sample) for i in range(5) for sample in range(8)]
    assert [(r.problem, r.sample) for r in records(tmp_path)] == wanted
    assert [(problem, sample) for problem, sample, _ in texts(tmp_path)] == wanted
    assert tally.samples == 40


def test_records_say_what_sampler_and_verifier_said(tmp_path):
    tally = go(tmp_path, count=80, samples=16)
    said = {(problem, sample): text for problem, sample, text in texts(tmp_path)}
    kinds = Counter()
    for record in records(tmp_path):
        text = said[record.problem, record.sample]
        assert record.tokens == int(text[:2], 16)
        assert record.truncated == (text[2] == "0")
        assert record.timed_out == text.endswith("ff")
        assert record.unverifiable == ("memory: 2 GiB" if text.endswith("fe") else None)
        even = text[-1] in "02468ace" and not text.endswith("fe")
        assert record.correct == even
        kinds += Counter({"time-out": record.timed_out, "memory": record.unverifiable is not None})
    assert tally.unverifiable == kinds
    assert kinds["time-out"] > 0
    assert kinds["memory"] > 0
    assert tally.correct == sum(record.correct for record in records(tmp_path))


def test_asking_again_samples_nothing_and_asking_for_more_only_the_missing(tmp_path):
    go(tmp_path, samples=8)
    before = records(tmp_path)
    sampler = DigestSampler()
    assert go(tmp_path, samples=8, sampler=sampler).samples == 0
    assert sampler.asked == []
    tally = go(tmp_path, samples=11, sampler=sampler)
    assert tally.samples == 15
    assert {(request.first, request.count) for request in sampler.asked} == {(8, 3)}
    assert [record for record in records(tmp_path) if record.sample < 8] == before


def test_the_number_of_workers_changes_nothing(tmp_path):
    go(tmp_path / "one", sampler=DigestSampler(1))
    go(tmp_path / "many", sampler=DigestSampler(16, seconds=0.001))
    assert records(tmp_path / "one") == records(tmp_path / "many")
    assert texts(tmp_path / "one") == texts(tmp_path / "many")


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_the_size_of_requests_changes_nothing(tmp_path, chunk):
    go(tmp_path / "four", samples=11, chunk=4)
    go(tmp_path / "other", samples=11, chunk=chunk)
    assert records(tmp_path / "four") == records(tmp_path / "other")
    assert texts(tmp_path / "four") == texts(tmp_path / "other")


def test_every_sample_has_a_seed_of_its_own():
    names = [(seed, f"b/{i}") for seed in (0, 1) for i in range(100)]
    seeds = {request_seed(*name, first) for name in names for first in range(64)}
    assert len(seeds) == 2 * 100 * 64
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert all(request_seed(*name, 63) - request_seed(*name, 0) == 63 for name in names)


def test_tokens_are_what_the_sampler_counted_where_records_have_none(tmp_path):
    class Total(DigestSampler):
        def _answer(self, request):
            request, completions = super()._answer(request)
            return request, [replace(one, tokens=None) for one in completions]

    sampler = Total()
    tally = go(tmp_path, sampler=sampler)
    assert {record.tokens for record in records(tmp_path)} == {None}
    said = [int(text[:2], 16) for _, _, text in texts(tmp_path)]
    assert tally.usage.completion_tokens == sum(said) > 0
    assert tally.usage.prompt_tokens == 7 * len(sampler.asked)


def test_what_was_drawn_before_the_sampler_failed_is_kept(tmp_path):
    class Failing(DigestSampler):
        def sample(self, requests):
            for i, answer in enumerate(super().sample(requests)):
                if i == 6:
                    raise RunError("the server is gone")
                yield answer

    with pytest.raises(RunError, match="the server is gone"):
        go(tmp_path, sampler=Failing())
    assert len(records(tmp_path)) == 6 * 4
    assert go(tmp_path).samples == 40 - 24
    go(tmp_path / "whole")
    assert records(tmp_path) == records(tmp_path / "whole")


def test_a_full_disk_stops_the_run_with_its_error(tmp_path):
    class Full(RecordStore):
        def extend(self, batch):
            raise RunError("no space left")

    asked = problems(50)
    with Full.open(tmp_path / "records.jsonl", meta={}) as store:
        requests = requests_for(gaps(store, asked, 64, 1), asked, messages_of(asked), 0)
        with pytest.raises(RunError, match="no space left"):
            run(store, None, requests, asked, DigestSampler(), DigestPool())


def test_a_sampler_that_gives_too_few_is_an_error(tmp_path):
    class Short(DigestSampler):
        def _answer(self, request):
            request, completions = super()._answer(request)
            return request, completions[1:]

    with pytest.raises(ValueError, match="gave 3 completions where 4 were asked for"):
        go(tmp_path, sampler=Short())


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_runner import DigestSampler, go
go(Path(sys.argv[1]), count=40, samples=16, sampler=DigestSampler(8, seconds=0.01))
"""


def test_kills_lose_and_double_nothing(tmp_path):
    """Kill -9 at many moments, under load, until a run comes to its end."""
    folder, kills = tmp_path / "killed", 0
    command = [sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent)]
    for attempt in range(60):
        process = subprocess.Popen(command)
        path = folder / "records.jsonl"
        size = path.stat().st_size if path.exists() else 0
        while process.poll() is None:
            if path.exists() and path.stat().st_size > size + 1500 * (1 + attempt % 3):
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.001)
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
    assert process.returncode == 0
    assert kills >= 3
    go(tmp_path / "whole", count=40, samples=16)
    assert records(folder) == records(tmp_path / "whole")
    assert texts(folder) == texts(tmp_path / "whole")
