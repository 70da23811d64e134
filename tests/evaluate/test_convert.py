"""Other tools' files as records: what holds for files of any tool."""

import json

import pytest
from convert_files import INSPECT, LIGHTEVAL, LM_EVAL, VERL, imported, one, records

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule, import_files
from fgrpo.records import read_counts
from fgrpo.verify.verdict import Outcome, Verdict


class Pool:
    """Judges by whether the right answer is part of the text; cannot judge one of them."""

    def verify(self, verifier, texts, references):
        assert verifier == "parts"
        unsure = Verdict(Outcome.UNVERIFIABLE, "time-out: after 1 s")
        return [
            unsure
            if text == "ten"
            else Verdict(Outcome.CORRECT if reference in text else Outcome.WRONG)
            for text, reference in zip(texts, references, strict=True)
        ]


def test_texts_can_be_judged_anew(tmp_path):
    path = one(LM_EVAL, "samples_sums")
    found = records(tmp_path, "lm-eval", path, filter="all", verifier="parts", pool=Pool())
    assert [record.correct for record in found.values()] == [
        *(True, True, False),
        *(False, True, False),
        *(False, False, False),
    ]
    assert [key for key, record in found.items() if record.timed_out] == [("sums/2", 2)]
    assert read_counts(tmp_path / "out.jsonl").meta["verifier"] == "parts"
    three = LIGHTEVAL / "details_sums3.parquet"
    found = imported(
        tmp_path, "lighteval", three, metric="avg@n:n=3", verifier="parts", pool=Pool()
    )
    assert found["sums3/0"] == [True, True, False]
    choice = one(LM_EVAL, "samples_sums_choice")
    with pytest.raises(UsageError, match=r"jsonl:1: has no text, which --verifier needs"):
        imported(tmp_path, "lm-eval", choice, metric="acc", verifier="parts", pool=Pool())


def test_a_mean_that_is_none_is_refused(tmp_path):
    text = one(LM_EVAL, "samples_sums").read_text().replace("0.3333333333333333", "0.4")
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"'exact_match' is 0.4, not the mean of 3 values"):
        imported(tmp_path, "lm-eval", path, filter="all", rule=Rule(mean=True))


def test_folders_are_searched_and_copies_refused(tmp_path):
    (folder := tmp_path / "logs" / "deep").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"logs: holds no \*.eval or \*.json"):
        imported(tmp_path, "inspect-ai", tmp_path / "logs")
    (folder / "a.json").write_bytes((INSPECT / "sums.json").read_bytes())
    assert len(imported(tmp_path, "inspect-ai", tmp_path / "logs", metric="match")) == 3
    (folder / "b.json").write_bytes((INSPECT / "sums.json").read_bytes())
    with pytest.raises(UsageError, match=r"b.json: the same as .*a.json"):
        imported(tmp_path, "inspect-ai", tmp_path / "logs", metric="match")


def test_what_is_there_is_not_overwritten(tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        import_files("verl", [VERL / "20.jsonl"], out)
    assert out.read_text() == "mine"
    with pytest.raises(UsageError, match=r"none.jsonl: cannot be read"):
        imported(tmp_path, "verl", tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UsageError, match=r"empty.jsonl: no answers found"):
        imported(tmp_path, "verl", tmp_path / "empty.jsonl")


LINE = (
    '{"doc_id": 0, "target": "4", "resps": [["four"]], "filter": "none", "metrics": ["em"], '
    '"em": 1.0}\n'
)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LINE.encode("utf-16"), r"jsonl:1: not UTF-8 at byte 0 of the line"),
        ((LINE * 2 + LINE.replace("four", "f\xfcnf")).encode("latin-1"), r"jsonl:3: not UTF-8"),
        (b"[" * 100_000, r"jsonl:1: expected one JSON object \(maximum recursion"),
        (LINE.replace("1.0", "1" + "0" * 400).encode(), r"jsonl:1: 'em' is a number beyond"),
        (LINE.replace('["em"]', '[{"a": 1}]').encode(), r"jsonl:1: expected a field"),
        (b"", r"jsonl: no answers found"),
        (b"\n \n", r"jsonl: no answers found"),
    ],
)
def test_damaged_files_are_refused_by_line(tmp_path, content, told):
    path = tmp_path / "samples_t.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        import_files("lm-eval", [path], tmp_path / "out.jsonl")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["samples_t.jsonl"]


@pytest.mark.parametrize("change", [("utf-8-sig", "\n"), ("utf-8", "\r\n")])
def test_a_byte_order_mark_and_windows_newlines_change_nothing(tmp_path, change):
    encoding, newline = change
    path = tmp_path / "samples_t.jsonl"
    path.write_bytes((LINE * 2).replace("\n", newline).encode(encoding))
    assert import_files("lm-eval", [path], tmp_path / "out.jsonl").counts.c.tolist() == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"samples": [3]},
        {"samples": {"a": 1}},
        {"samples": [{"id": 1, "output": {"choices": [3]}, "scores": {"s": {"value": "C"}}}]},
        {"samples": [{"id": 1, "output": {}, "scores": [3]}]},
        {"samples": [{"id": 1, "output": {}, "error": "x"}]},
        {"samples": [{"id": 1, "output": {}, "epoch": e} for e in ("x", 1)]},
    ],
)
def test_a_log_of_another_shape_is_refused(tmp_path, change):
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"eval": {"task": "t"}, "status": "success"} | change))
    with pytest.raises(UsageError, match=r"log\.json: not as inspect-ai writes it \("):
        import_files("inspect-ai", [path], tmp_path / "out.jsonl")


def test_two_runs_of_one_task_are_not_taken_together_without_a_word(tmp_path):
    (logs := tmp_path / "logs").mkdir()
    (logs / "a.json").write_bytes((INSPECT / "sums.json").read_bytes())
    again = json.loads((INSPECT / "sums.json").read_text())
    again["eval"]["run_id"] = "another"
    (logs / "b.json").write_text(json.dumps(again))
    done = import_files("inspect-ai", [logs], tmp_path / "out.jsonl", metric="match")
    (note,) = done.notes
    assert note.startswith(f"{logs / 'a.json'} and {logs / 'b.json'} both hold answers to 'sums/")
    assert set(done.counts.n) == {6}
    one = import_files("inspect-ai", [logs / "a.json"], tmp_path / "one.jsonl", metric="match")
    assert one.notes == ()


def test_files_of_several_folders_that_name_no_model_are_noted(tmp_path):
    for name, line in (("a", LINE), ("b", LINE.replace("1.0", "0.0"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samples_t.jsonl").write_text(line)
    (note,) = import_files("lm-eval", [tmp_path], tmp_path / "out.jsonl").notes
    assert f"lie in 2 folders, such as {tmp_path / 'a'} and {tmp_path / 'b'}: all are" in note
    alone = import_files("lm-eval", [tmp_path / "a"], tmp_path / "alone.jsonl")
    assert alone.notes == ()
