"""Reading arms: tallies, names, problems in common, memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from diagnose_examples import write_records

from fgrpo.diagnose import diagnose, match, read_arms, verdicts
from fgrpo.diagnose.arms import check_distinct, labels
from fgrpo.errors import UsageError
from fgrpo.records import Record, RecordError, RecordStore, quality, read_counts, read_run


def test_a_run_holds_what_its_records_say(tmp_path):
    path = tmp_path / "r.jsonl"
    with RecordStore.open(path, {"model": "m"}) as store:
        store.extend(
            [
                Record("b/1", 0, True, tokens=10),
                Record("b/1", 1, False, tokens=31, truncated=True),
                Record("a/1", 0, False, timed_out=True, unverifiable="time-out"),
                Record("a/1", 1, False, unverifiable="crash"),
                Record("b/1", 2, False, truncated=True, timed_out=True),
            ]
        )
    run = read_run(path)
    counts = read_counts(path)
    assert run.counts.problems == counts.problems == ("b/1", "a/1")
    assert run.counts.n.tolist() == counts.n.tolist() == [3, 2]
    assert run.counts.c.tolist() == [1, 0]
    assert run.flaws.tolist() == [[2, 1, 0, 41, 2], [0, 1, 1, 0, 0]]
    assert dict(run.meta) == {"model": "m"}
    only = run.only(["a/1"])
    assert (only.counts.problems, only.flaws.tolist()) == (("a/1",), [[0, 1, 1, 0, 0]])
    found = quality([run, only])
    assert (found.samples, found.truncated, found.timed_out) == (7, 2 / 7, 3 / 7)
    assert (found.unverifiable, found.tokens) == (2 / 7, 41 / 2)
    assert np.isnan(quality([only]).tokens)


def test_reading_names_file_and_line(tmp_path):
    with pytest.raises(RecordError, match=r"none\.jsonl: cannot be read"):
        read_run(tmp_path / "none.jsonl")
    path = write_records(tmp_path / "r.jsonl", {"p": 1})
    path.write_text(path.read_text().replace('"sample": 3,', '"sample": 2,'))
    with pytest.raises(RecordError, match=r"r\.jsonl:5: sample 2 .* already at line 4"):
        read_run(path)
    with pytest.raises(UsageError, match=r"a folder without records\.jsonl"):
        read_arms([[tmp_path]])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/base.jsonl", "/x/rl.jsonl"], ["base", "rl"]),
        (["/x/base/records.jsonl", "/x/rl.v2/records.jsonl"], ["base", "rl.v2"]),
        (["/x/base.jsonl", "/y/base.jsonl"], ["x/base", "y/base"]),
        (["/x/a.jsonl", "/x/a"], ["/x/a.jsonl", "/x/a"]),
        (["/records.jsonl", "/x/y"], ["root", "y"]),
        (["/\udcff/r.jsonl", "/\udcfe/r.jsonl"], ["1: /\ufffd/r.jsonl", "2: /\ufffd/r.jsonl"]),
    ],
)
def test_labels_are_file_or_folder_names_made_unique(paths, names):
    assert labels([Path(path) for path in paths]) == names


def test_names_are_checked_and_a_file_counts_once(tmp_path):
    a, b = (write_records(tmp_path / f"{name}.jsonl", {"p": 1}) for name in "ab")
    assert [arm.label for arm in read_arms([[a], [b]], ["one", "t\x1bwo"])] == ["one", "t\ufffdwo"]
    for names, told in (
        (["x\x01", "x\x02"], "--name 'x\ufffd' is given 2 times"),  # one label for two arms
        (["x"], "1 names for 2 arms"),
        (["x", " "], "empty"),
        (["x"] * 2, "2 times"),
    ):
        with pytest.raises(UsageError, match=told):
            read_arms([[a], [b]], names)
    link = tmp_path / "link.jsonl"
    link.hardlink_to(a)
    for twice, told in ((a, "a.jsonl is given twice; each"), (link, "the same file as .*a.jsonl")):
        with pytest.raises(UsageError, match=told):
            check_distinct(read_arms([[a, b], [twice]]))
    check_distinct(read_arms([[a], [b]]))


def arms(tmp_path, *contents):
    paths = [write_records(tmp_path / f"{i}.jsonl", dict(c), 2) for i, c in enumerate(contents)]
    return read_arms([[path] for path in paths])


def test_benchmarks_that_an_arm_lacks_are_named_and_left_out(tmp_path):
    given = arms(tmp_path, {"x/1": 1, "y/1": 1, "p": 2}, {"p": 0, "x/1": 0}, {"x/1": 2, "p": 1})
    found = match(given)
    assert found.benchmarks == {"": ("p",), "x": ("x/1",)}
    assert found.notes == ("y is left out: missing from 1 and 2.",)
    assert {arm.runs[0].counts.problems for arm in found.arms} == {("p", "x/1")}
    assert [arm.runs[0].counts.c.tolist() for arm in found.arms] == [[2, 1], [0, 0], [1, 2]]


def test_different_problems_are_refused_or_with_common_left_out_and_counted(tmp_path):
    given = arms(tmp_path, {"x/1": 1, "x/2": 1}, {"x/1": 1, "x/2": 2}, {"x/2": 2, "x/3": 1})
    with pytest.raises(
        UsageError, match=r"0\.jsonl and .*2\.jsonl hold different problems"
    ) as told:
        match(given)
    assert "'x/1'" in str(told.value)
    assert "'x/3'" in str(told.value)
    assert "--common to compare the 1 that all hold" in str(told.value)
    found = match(given, common=True)
    assert found.benchmarks == {"x": ("x/2",)}
    assert found.notes == ("x: 2 of 3 problems are left out, as some arm lacks them.",)


@pytest.mark.parametrize("common", [False, True])
def test_nothing_in_common_is_refused(tmp_path, common):
    with pytest.raises(UsageError, match=r"no benchmark or problem in common: .*0\.jsonl holds x"):
        match(arms(tmp_path, {"x/1": 1}, {"y/1": 1}), common=common)
    with pytest.raises(UsageError, match=r"1\.jsonl holds no problems"):
        match(arms(tmp_path / "empty", {"x/1": 1}, {}), common=common)


@pytest.mark.slow
def test_memory_grows_with_problems_not_with_samples(tmp_path):
    """100,000 records with texts, 57 MB: read in a process that may use little more than NumPy."""
    path = tmp_path / "big.jsonl"
    lines = ['{"fgrpo_records": 1, "meta": {}}\n']
    text = "x" * 500
    for problem in range(50):
        for sample in range(2000):
            correct = "true" if sample < 20 else "false"
            lines.append(
                f'{{"problem": "b/{problem}", "sample": {sample}, "correct": {correct}, '
                f'"tokens": 5, "text": "{text}"}}\n'
            )
    path.write_text("".join(lines))
    del lines
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from fgrpo.records import read_run\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "run = read_run(Path(sys.argv[1]))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(after - before, run.counts.n.sum(), run.counts.c.sum(), run.flaws[:, 3].sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    kilobytes, *sums = map(int, done.stdout.split())
    assert sums == [100_000, 1000, 500_000]
    assert kilobytes < 6000


def test_problems_without_a_benchmark_are_these_problems_if_alone(tmp_path):
    def warnings(*problems):
        paths = [tmp_path / f"{len(problems)}{name}.jsonl" for name in "ab"]
        for path in paths:
            write_records(path, dict.fromkeys(problems, 2))
        text = paths[1].read_text()
        paths[1].write_text(text.replace('"correct": false', '"correct": false, "truncated": true'))
        (told,) = diagnose(match(read_arms([[path] for path in paths]))).warnings
        return told

    assert " against 0.0% on these problems. " in warnings("p", "q")
    told = warnings("p", "q", "m/1", "m/2")
    assert " against 0.0% on unnamed benchmark" in told
    assert " against 0.0% on m" in told


def test_an_unfinished_evaluation_that_limits_k_is_told(tmp_path):
    paths = [
        write_records(tmp_path / f"{name}.jsonl", {f"m/{i}": 2 for i in range(7)}) for name in "ab"
    ]
    assert match(read_arms([[path] for path in paths])).notes == ()
    cut = paths[1].read_text().splitlines(keepends=True)[:-5]  # the last problem keeps 11 of 16
    paths[1].write_text("".join(cut))
    (note,) = match(read_arms([[path] for path in paths])).notes
    assert note.startswith(f"m: k goes up to 11 only, as {paths[1]} holds 11 samples of 'm/6', and")
    assert "16 of most" in note
    few = write_records(tmp_path / "few.jsonl", {f"m/{i}": 2 for i in range(7)}, 8)
    assert match(read_arms([[paths[1]], [few]])).notes == ()  # the other limits k on purpose


def test_control_characters_in_a_benchmark_reach_no_reader(tmp_path):
    correct = {f"m\x1b[31m\n/{i}": i for i in range(7)} | {f"z/{i}": i for i in range(8)}
    other = {p: 3 - c % 4 for p, c in correct.items()}
    paths = [write_records(tmp_path / name, arm) for name, arm in (("a", correct), ("b", other))]
    found = diagnose(match(read_arms([[path] for path in paths])))
    assert found.benchmarks[0].name == "m\ufffd[31m\ufffd"
    told = [text for one in verdicts(found) for text in one.details]
    assert "Note on pass@1 and pass@16: 7 problems in m\ufffd[31m\ufffd are few" in " ".join(told)
    assert all(text.isprintable() for text in told)
