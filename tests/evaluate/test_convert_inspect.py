"""inspect-ai's logs as records: logs it wrote, and variations of them."""

import json
import zipfile

import pytest
from convert_files import INSPECT, imported, records

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule, import_files

SUMS = {
    ("sums/sum-1", 0): (True, "ANSWER: 4", 2, False),
    ("sums/sum-1", 1): (False, "ANSWER: 5", 2, False),
    ("sums/sum-1", 2): (True, "It is 4", 3, False),
    ("sums/sum-2", 0): (True, "7", 1, False),
    ("sums/sum-2", 1): (False, "I will not say", 4, True),
    ("sums/sum-2", 2): (False, "8", 1, False),
    ("sums/3", 0): (False, "11", 1, False),
    ("sums/3", 1): (False, "nine", 1, False),
    ("sums/3", 2): (False, "ten", 1, False),
}


@pytest.mark.parametrize("name", ["sums.eval", "sums.json"])
def test_inspect_logs_of_both_kinds(tmp_path, name):
    found = records(tmp_path, "inspect-ai", INSPECT / name, metric="match", texts=True)
    told = {
        key: (record.correct, record.text, record.tokens, record.truncated)
        for key, record in found.items()
    }
    assert told == SUMS
    with pytest.raises(UsageError, match=r"choose one score with --metric; found: \w+, \w+"):
        imported(tmp_path, "inspect-ai", INSPECT / name)


def log(tmp_path, change, name="log.json"):
    """Write the JSON log with its first sample (the third problem's first epoch) changed."""
    content = json.loads((INSPECT / "sums.json").read_text())
    for sample in content["samples"]:
        del sample["scores"]["includes"]
    change(content, content["samples"][0])
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def changed(**fields):
    return lambda content, sample: sample.update(fields)


def scored(value):
    return changed(scores={"match": {"value": value}})


@pytest.mark.parametrize(
    ("value", "right"),
    [("C", True), ("I", False), ("N", False), (1, True), (0.0, False), (True, True), ("yes", True)],
)
def test_inspect_scores_and_what_they_mean(tmp_path, value, right):
    assert imported(tmp_path, "inspect-ai", log(tmp_path, scored(value)))["sums/3"][0] is right


def test_partial_credit_needs_a_threshold(tmp_path):
    path = log(tmp_path, scored("P"))
    with pytest.raises(UsageError, match=r"samples\[0\]: 'match' is 0.5, neither.*--threshold"):
        imported(tmp_path, "inspect-ai", path)
    for threshold, right in ((0.5, True), (0.51, False)):
        rule = Rule(threshold=threshold)
        assert imported(tmp_path, "inspect-ai", path, rule=rule)["sums/3"][0] is right


def test_parts_of_a_score_are_named(tmp_path):
    path = log(tmp_path, scored({"a": 1, "b": 0}))
    with pytest.raises(
        UsageError, match=r"choose one score with --metric; found: match.a, match.b"
    ):
        imported(tmp_path, "inspect-ai", path)
    with pytest.raises(UsageError, match=r"'match' is 'maybe', expected C, P, I, N or a number"):
        imported(tmp_path, "inspect-ai", log(tmp_path, scored("maybe")))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"scores": None}, "unscored"),
        ({"scores": {"match": {"value": float("nan")}}}, "unscored"),
        ({"scores": None, "error": {"message": "sandbox died"}}, "error: sandbox died"),
        ({"invalidation": {"author": "x"}, "scores": {"match": {"value": "C"}}}, "invalidated"),
    ],
)
def test_samples_without_a_valid_score_are_unverifiable(tmp_path, fields, why):
    path = log(tmp_path, changed(**fields))
    record = records(tmp_path, "inspect-ai", path)["sums/3", 0]
    assert not record.correct
    assert record.unverifiable.startswith(why)


def test_inspect_ends_other_than_by_itself_are_noted(tmp_path):
    def change(content, sample):
        sample["limit"] = {"type": "time", "limit": 5}
        content["samples"][1]["output"]["choices"][0]["stop_reason"] = "content_filter"
        content["samples"][2]["messages"] *= 2  # two calls: usage is of the last alone

    found = list(records(tmp_path, "inspect-ai", log(tmp_path, change)).values())
    assert [record.finish_reason for record in found[:3]] == ["limit: time", "content_filter", None]
    assert [record.tokens is None for record in found[:3]] == [False, False, True]


def test_attached_texts_are_found(tmp_path):
    def change(content, sample):
        sample["output"]["completion"] = "attachment://abc"
        sample["attachments"] = {"abc": "a long text"}

    found = records(tmp_path, "inspect-ai", log(tmp_path, change), texts=True)
    assert found["sums/3", 0].text == "a long text"


def test_unfinished_logs_are_pointed_out(tmp_path):
    path = log(tmp_path, lambda content, sample: content.update(status="cancelled"))
    done = import_files("inspect-ai", [path], tmp_path / "out.jsonl")
    assert "status is 'cancelled'" in done.notes[0]


def test_archives_packed_the_old_way_are_read_too(tmp_path):
    content = json.loads((INSPECT / "sums.json").read_text())
    path = tmp_path / "old.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for sample in reversed(content.pop("samples")):
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
        archive.writestr("header.json", json.dumps(content))
    assert imported(tmp_path, "inspect-ai", path, metric="match") == imported(
        tmp_path, "inspect-ai", INSPECT / "sums.eval", metric="match"
    )


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "torn.eval"
    content = bytearray((INSPECT / "sums.eval").read_bytes())
    with zipfile.ZipFile(INSPECT / "sums.eval") as archive:
        info = archive.getinfo("samples/sum-2_epoch_2.json")
    start = info.header_offset + 30 + len(info.filename)
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"torn.eval: samples/sum-2_epoch_2.json: cannot be read"):
        imported(tmp_path, "inspect-ai", path, metric="match")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UsageError, match=r"a zip without header.json"):
        imported(tmp_path, "inspect-ai", path)
    path.write_text("[1, 2]")
    with pytest.raises(UsageError, match=r"expected an inspect-ai log"):
        imported(tmp_path, "inspect-ai", path)


def test_answers_of_two_models_are_not_mixed(tmp_path):
    other = log(tmp_path, lambda content, sample: content["eval"].update(model="other"))
    with pytest.raises(UsageError, match=r"answers of model other, but of model mockllm/model"):
        imported(tmp_path, "inspect-ai", INSPECT / "sums.json", other, metric="match")
