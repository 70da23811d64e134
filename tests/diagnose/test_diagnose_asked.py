"""Arms that were asked other questions are refused, and other settings are told."""

import json

import pytest

from fgrpo.diagnose.arms import read_arms
from fgrpo.diagnose.matching import match
from fgrpo.errors import UsageError
from fgrpo.records import Record, RecordStore


def evaluation(folder, *, prompt="4+18=", reference="22", system="Think.", **settings):
    """Write an evaluation of two problems; ``prompt`` and ``reference`` are those of the second."""
    folder.mkdir()
    meta = {"model": folder.name, "temperature": 1.0, "top_p": 1.0, "stop": []} | settings
    with RecordStore.open(folder / "records.jsonl", meta) as store:
        store.extend(Record(f"add/{i}", 0, True) for i in (0, 1))
    rows = []
    for i, (asked, gold) in enumerate([("1+1=", "2"), (prompt, reference)]):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": asked}]
        row = {"id": f"add/{i}", "messages": messages, "verifier": "maths", "reference": gold}
        rows.append(json.dumps(row) + "\n")
    (folder / "problems.jsonl").write_text("".join(rows))
    return folder


def matched(*folders):
    return match(read_arms([[folder] for folder in folders]))


def test_the_same_questions_and_settings_need_no_word(tmp_path):
    assert matched(evaluation(tmp_path / "a"), evaluation(tmp_path / "b")).notes == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": "10+4="}, r"its prompt is \['10\+4='\], there \['4\+18='\]"),
        ({"reference": "23"}, "its reference is '23', there '22'"),
    ],
)
def test_another_question_of_the_same_name_is_refused(tmp_path, change, said):
    a, b = evaluation(tmp_path / "a"), evaluation(tmp_path / "b", **change)
    with pytest.raises(UsageError, match=rf"'add/1' is another problem in .*b than in .*a: {said}"):
        matched(a, b)


def test_other_settings_of_sampling_are_told(tmp_path):
    a = evaluation(tmp_path / "a")
    b = evaluation(tmp_path / "b", temperature=0.3, stop=["Q:"])
    first, second = matched(a, b).notes
    assert first.startswith("Careful: a was sampled with temperature 1.0, b with 0.3")
    assert 'stop [], b with ["Q:"]' in second


def test_another_model_and_another_system_message_are_no_other_question(tmp_path):
    a = evaluation(tmp_path / "a")
    (note,) = matched(a, evaluation(tmp_path / "b", system="Guess.", temperature=0.0)).notes
    assert "temperature" in note


def test_record_files_alone_are_not_checked(tmp_path):
    a, b = evaluation(tmp_path / "a"), evaluation(tmp_path / "b", prompt="10+4=")
    (b / "records.jsonl").rename(tmp_path / "b.jsonl")
    assert matched(a, tmp_path / "b.jsonl").notes == ()


def test_a_damaged_file_of_questions_is_named(tmp_path):
    a, b = evaluation(tmp_path / "a"), evaluation(tmp_path / "b")
    (b / "problems.jsonl").write_text('{"id": "add/0"}\n')
    with pytest.raises(UsageError, match=r"b.problems.jsonl:1: expected .*messages"):
        matched(a, b)
