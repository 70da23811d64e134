"""lm-eval's files as records: files it wrote, and variations of them."""

import pytest
from convert_files import LM_EVAL, imported, one, records

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule
from fgrpo.records import read_counts


def test_lm_eval_under_one_filter_and_metric(tmp_path):
    path = tmp_path / one(LM_EVAL, "samples_sums_single").name
    lines = one(LM_EVAL, "samples_sums_single").read_text().splitlines(keepends=True)
    path.write_text(
        "".join(
            line.replace('"exact_match": 0.0', '"exact_match": 1.0')
            if '"filter": "flexible"' in line
            else line
            for line in lines
        )
    )
    for chosen, right in (("strict", [0]), ("flexible", [0, 1, 2])):
        found = imported(tmp_path, "lm-eval", path, filter=chosen, metric="exact_match")
        assert found == {f"sums_single/{i}": [i in right] for i in range(3)}
        meta = read_counts(tmp_path / "out.jsonl").meta
        assert (meta["metric"], meta["filter"]) == ("exact_match", chosen)
        assert [file["name"] for file in meta["files"]] == [path.name]


def test_lm_eval_repeats_with_a_score_each_are_samples(tmp_path):
    found = records(tmp_path, "lm-eval", one(LM_EVAL, "samples_sums_each"), texts=True)
    told = {key: (record.correct, record.text) for key, record in found.items()}
    assert told == {
        ("sums_each/0", 0): (True, "The answer is 4"),
        ("sums_each/0", 1): (False, "2 + 2 gives 4"),  # its filter took the first number, 2
        ("sums_each/0", 2): (False, "The answer is 5"),
        ("sums_each/1", 0): (False, "It is 6"),
        ("sums_each/1", 1): (True, "The answer is 7"),
        ("sums_each/1", 2): (False, "I do not know"),
        ("sums_each/2", 0): (False, "eleven"),
        ("sums_each/2", 1): (False, "The answer is 11"),
        ("sums_each/2", 2): (False, "ten"),
    }


def test_lm_eval_repeats_with_one_score_are_counted_only_if_it_is_their_mean(tmp_path):
    path = one(LM_EVAL, "samples_sums")
    with pytest.raises(UsageError, match=r"jsonl:4: 'exact_match' is one value.*--mean"):
        imported(tmp_path, "lm-eval", path, filter="all")
    found = imported(tmp_path, "lm-eval", path, filter="all", rule=Rule(mean=True))
    assert {name: sum(right) for name, right in found.items()} == {
        "sums/0": 1,
        "sums/1": 1,
        "sums/2": 0,
    }
    assert {len(right) for right in found.values()} == {3}


def test_lm_eval_multiple_choice_has_one_answer_without_text(tmp_path):
    path = one(LM_EVAL, "samples_sums_choice")
    found = records(tmp_path, "lm-eval", path, metric="acc", texts=True)
    assert {key: record.correct for key, record in found.items()} == {
        ("sums_choice/0", 0): False,
        ("sums_choice/1", 0): True,
        ("sums_choice/2", 0): False,
    }
    assert {record.text for record in found.values()} == {None}


def test_lm_eval_says_what_there_is_to_choose_from(tmp_path):
    single = one(LM_EVAL, "samples_sums_single")
    for options, told in [
        ({"metric": "exact_match"}, "one filter with --filter; found: strict, flexible"),
        (
            {"filter": "strict"},
            "jsonl:1: choose one metric with --metric; found: exact_match, bleu",
        ),
        ({"filter": "loose"}, "no filter 'loose'; found: strict, flexible"),
        ({"filter": "strict", "metric": "f1"}, "no metric 'f1'; found: exact_match, bleu"),
        ({"filter": "strict", "metric": "bleu"}, "'bleu' is '4', expected a number"),
    ]:
        with pytest.raises(UsageError, match=told):
            imported(tmp_path, "lm-eval", single, **options)


def test_several_files_of_a_task_are_more_samples(tmp_path):
    single = one(LM_EVAL, "samples_sums_single")
    other = tmp_path / single.name.replace("39.3", "59.3")
    other.write_text(single.read_text().replace('"exact_match": 0.0', '"exact_match": 1.0'))
    found = imported(tmp_path, "lm-eval", single, other, filter="strict", metric="exact_match")
    assert found == {
        "sums_single/0": [True, True],
        "sums_single/1": [False, True],
        "sums_single/2": [False, True],
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", r"jsonl:2: expected one JSON object"),
        ("[1]", r"jsonl:2: expected a JSON object, found \[1\]"),
        ('{"filter": "none"}', r"jsonl:2: expected a field 'metrics'; found filter"),
        (
            '{"filter": "none", "metrics": ["acc"], "resps": "x"}',
            r"jsonl:2: 'resps' must be list, found 'x'",
        ),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, told):
    first = one(LM_EVAL, "samples_sums_choice").read_text().splitlines()[0]
    path = tmp_path / "samples_t_2026-01-01T00-00-00.jsonl"
    path.write_text(f"{first}\n{line}\n")
    with pytest.raises(UsageError, match=told):
        imported(tmp_path, "lm-eval", path, metric="acc")
    assert not list(tmp_path.glob("out*"))
