"""The evaluation folder refuses to mix what does not belong together."""

import json

import pytest
from stand_ins import messages_of, problems

from fgrpo.errors import UsageError
from fgrpo.evaluate.folder import keep_problems, known_revision, note_run, read_about
from fgrpo.evaluate.problem import Problem


def test_a_new_folder_knows_nothing(tmp_path):
    assert read_about(tmp_path) == {}
    assert known_revision({}, "aime24") is None


def test_runs_and_benchmarks_add_up(tmp_path):
    note_run(tmp_path, {}, {"model": "m"}, {"a": {"revision": "r1"}}, {"samples": 4})
    about = read_about(tmp_path)
    note_run(tmp_path, about, {"model": "m"}, {"b": {"revision": None}}, {"samples": 8})
    about = read_about(tmp_path)
    assert about["settings"] == {"model": "m"}
    assert [run["samples"] for run in about["runs"]] == [4, 8]
    assert known_revision(about, "a") == "r1"
    assert known_revision(about, "b") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not JSON"), ("[]", "found None"), ('{"fgrpo_evaluation": 99}', "found 99")],
)
def test_a_foreign_description_is_refused(tmp_path, content, said):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(UsageError, match=rf"evaluation.json.*{said}"):
        read_about(tmp_path)


def test_problems_are_kept_once_and_more_may_come(tmp_path):
    few, more = problems(2), problems(3)
    keep_problems(tmp_path, few, messages_of(few))
    keep_problems(tmp_path, more, messages_of(more))
    rows = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == ["toy/0", "toy/1", "toy/2"]
    assert rows[2] == {
        "id": "toy/2",
        "messages": [{"role": "user", "content": "What is 2?"}],
        "verifier": "exact",
        "reference": "2",
    }


@pytest.mark.parametrize(
    ("problem", "part"),
    [
        (Problem("toy/1", "What is one?", "exact", "1"), "messages"),
        (Problem("toy/1", "What is 1?", "maths", "1"), "verifier"),
        (Problem("toy/1", "What is 1?", "exact", "one"), "reference"),
    ],
)
def test_another_question_under_the_same_name_is_refused(tmp_path, problem, part):
    asked = problems(2)
    keep_problems(tmp_path, asked, messages_of(asked))
    before = (tmp_path / "problems.jsonl").read_bytes()
    with pytest.raises(UsageError, match=rf"'toy/1' was asked with another {part}"):
        keep_problems(tmp_path, [problem], messages_of([problem]))
    assert (tmp_path / "problems.jsonl").read_bytes() == before


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "toy/0"}', '{"id": "toy/0", "messages": [1]}'])
def test_a_damaged_file_of_problems_is_named(tmp_path, line):
    asked = problems(1)
    keep_problems(tmp_path, asked, messages_of(asked))
    with (tmp_path / "problems.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UsageError, match=r"problems\.jsonl:2: expected"):
        keep_problems(tmp_path, asked, messages_of(asked))
