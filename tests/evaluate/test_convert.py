"""Other tools' files as records: files those tools wrote, and variations of them."""

import json
import zipfile
from pathlib import Path

import pyarrow
import pytest
from pyarrow.parquet import read_table, write_table

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import Rule, import_files
from fgrpo.records import read_counts, read_records
from fgrpo.verify.verdict import Outcome, Verdict

DATA = Path(__file__).parent / "data"
LM_EVAL, INSPECT, LIGHTEVAL, VERL = (
    DATA / name for name in ("lm_eval", "inspect_ai", "lighteval", "verl")
)


def one(folder, start):
    (found,) = folder.glob(f"{start}_2*.jsonl")
    return found


def imported(tmp_path, kind, *paths, **options):
    """Import and return {problem: [correct of samples 0, 1, …]}."""
    out = tmp_path / "out.jsonl"
    out.unlink(missing_ok=True)
    import_files(kind, paths, out, **options)
    found = {}
    for record in read_records(out):
        samples = found.setdefault(record.problem, [])
        assert record.sample == len(samples)
        samples.append(record.correct)
    return found


def records(tmp_path, kind, *paths, **options):
    imported(tmp_path, kind, *paths, **options)
    return {(r.problem, r.sample): r for r in read_records(tmp_path / "out.jsonl")}


# lm-eval ----------------------------------------------------------------------------------------


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


# lighteval --------------------------------------------------------------------------------------


def test_lighteval_details(tmp_path):
    path = LIGHTEVAL / "details_sums.parquet"
    found = records(tmp_path, "lighteval", path, metric="em", texts=True)
    told = {key: (record.correct, record.text, record.tokens) for key, record in found.items()}
    assert told == {
        ("sums/0", 0): (True, "4", 1),
        ("sums/1", 0): (False, "6", 1),
        ("sums/2", 0): (False, "eleven", 1),
    }
    with pytest.raises(UsageError, match=r"row 1: choose one metric with --metric; found: em, f1"):
        imported(tmp_path, "lighteval", path)


@pytest.mark.parametrize("metric", ["avg@n:n=3", "pass@k:k=1&n=3"])
def test_lighteval_means_over_samples_give_counts(tmp_path, metric):
    path = LIGHTEVAL / "details_sums3.parquet"
    found = records(tmp_path, "lighteval", path, metric=metric, rule=Rule(mean=True))
    rights = {}
    for (problem, _), record in found.items():
        rights[problem] = rights.get(problem, 0) + record.correct
        assert record.tokens is None  # which answer is right is not known, nor then its length
    assert rights == {"sums3/0": 1, "sums3/1": 1, "sums3/2": 2}
    with pytest.raises(UsageError, match="--mean"):
        imported(tmp_path, "lighteval", path, metric=metric)


def test_lighteval_answers_at_the_limit_are_truncated(tmp_path):
    rows = read_table(LIGHTEVAL / "details_sums.parquet").to_pylist()
    rows[0]["model_response"]["output_tokens"] = [list(range(16))]
    rows[1]["model_response"]["output_tokens"] = [list(range(15))]
    path = tmp_path / "details.parquet"
    write_table(pyarrow.Table.from_pylist(rows), path)
    found = records(tmp_path, "lighteval", path, metric="em")
    told = {key[0]: (record.tokens, record.truncated) for key, record in found.items()}
    assert told == {"sums/1": (16, True), "sums/0": (15, False), "sums/2": (1, False)}


def test_lighteval_refuses_other_files(tmp_path):
    path = tmp_path / "details.parquet"
    path.write_text("no parquet")
    with pytest.raises(UsageError, match=r"details.parquet: expected a parquet file"):
        imported(tmp_path, "lighteval", path)
    write_table(pyarrow.table({"doc": [1]}), path)
    with pytest.raises(
        UsageError, match=r"expected columns doc, model_response, metric; found doc"
    ):
        imported(tmp_path, "lighteval", path)


# inspect-ai -------------------------------------------------------------------------------------


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


# verl -------------------------------------------------------------------------------------------


def test_verl_dumps(tmp_path):
    found = records(tmp_path, "verl", VERL / "20.jsonl", texts=True)
    four, seven = dict.fromkeys(problem for problem, _ in found)
    assert four.startswith("verl/")
    assert {key: record.correct for key, record in found.items()} == {
        (four, 0): True,
        (four, 1): False,
        (four, 2): True,
        (seven, 0): False,
        (seven, 1): False,
        (seven, 2): False,
    }
    assert found[four, 2].text == r"It is \boxed{4}."
    # Another run's dump of the same problems, in another order, has the same names.
    lines = (VERL / "20.jsonl").read_text().replace("No idea", "7").splitlines()
    other = tmp_path / "40.jsonl"
    other.write_text("\n".join(reversed(lines)))
    assert set(imported(tmp_path, "verl", other)) == {four, seven}


def test_verl_scores_other_than_acc_may_be_chosen(tmp_path):
    path = VERL / "20.jsonl"
    with pytest.raises(UsageError, match=r"20.jsonl:2: 'score' is -1, neither 0 nor 1"):
        imported(tmp_path, "verl", path, metric="score")
    by_score = imported(tmp_path, "verl", path, metric="score", rule=Rule(threshold=0.5))
    assert by_score == imported(tmp_path, "verl", path)
    with pytest.raises(UsageError, match=r"no score 'f1'; found: score, reward, acc"):
        imported(tmp_path, "verl", path, metric="f1")


def test_verl_sessions_count_once(tmp_path):
    found = imported(tmp_path, "verl", VERL / "30.jsonl")
    assert list(found.values()) == [[True, False], [True]]


def test_verl_steps_are_not_mixed(tmp_path):
    with pytest.raises(UsageError, match=r"30.jsonl:2: answers of step 30, but of step 20"):
        imported(tmp_path, "verl", VERL)


def test_verl_answers_without_acc_of_their_own_are_unverifiable(tmp_path):
    path = tmp_path / "1.jsonl"
    path.write_text((VERL / "20.jsonl").read_text().replace('"acc": true', '"acc": null'))
    done = import_files("verl", [path], tmp_path / "out.jsonl")
    assert done.unverifiable == 2
    assert done.counts.c.sum() == 0


# Any of them ------------------------------------------------------------------------------------


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
