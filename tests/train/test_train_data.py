"""Prompts and references from every source, and what is left out."""

import json
import re
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.prompts import SYSTEM, PromptSettings
from fgrpo.train.data import has_splits, load_prompts, training_set

ROWS = [{"problem": "1+1?", "answer": "2"}, {"problem": "Wie groß ist π²? 数学", "answer": "π^2"}]
CHAT = [{"role": "user", "content": "1+1?"}]


def jsonl(folder, rows, name="rows.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def pairs(prompts):
    return [(one.prompt, one.reference) for one in prompts.prompts]


def as_csv(folder):
    path = folder / "rows.csv"
    path.write_text(
        "problem,answer\n" + "".join(f'"{row["problem"]}",{row["answer"]}\n' for row in ROWS),
        encoding="utf-8",
    )
    return str(path)


def as_json(folder):
    path = folder / "rows.json"
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return str(path)


def as_parquet(folder):
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return str(path)


def as_saved(folder):
    Dataset.from_list(ROWS).save_to_disk(folder / "saved")
    return str(folder / "saved")


@pytest.mark.parametrize(
    "write",
    [lambda folder: jsonl(folder, ROWS), as_json, as_csv, as_parquet, as_saved],
    ids=["jsonl", "json", "csv", "parquet", "saved"],
)
def test_every_format_gives_the_same(write, tmp_path):
    prompts = load_prompts(path := write(tmp_path))
    assert pairs(prompts) == [(row["problem"], row["answer"]) for row in ROWS]
    assert prompts.verifier is None
    assert prompts.describe() == f"2 prompts of {path}"


def test_splits_of_a_saved_folder(tmp_path):
    parts = {"train": ROWS[:1], "dev": ROWS[1:]}
    folder = tmp_path / "splits"
    DatasetDict({name: Dataset.from_list(rows) for name, rows in parts.items()}).save_to_disk(
        folder
    )
    for name, rows in parts.items():
        assert pairs(load_prompts(str(folder), split=name)) == [
            (rows[0]["problem"], rows[0]["answer"])
        ]
    with pytest.raises(UsageError, match="splits train, dev, not 'test'"):
        load_prompts(str(folder), split="test")
    assert has_splits(str(folder))


def test_what_may_have_splits(tmp_path):
    assert has_splits("owner/name")
    assert has_splits("owner/name.with.dots")
    assert not has_splits("reasoning-gym:gcd")
    assert not has_splits(as_saved(tmp_path))
    for name in ("a.jsonl", "A.JSONL", "b/c.json", "d.csv", "e.parquet"):
        assert not has_splits(name)


def test_reasoning_gym_with_settings():
    name = "reasoning-gym:gcd:size=7:seed=3:max_value=20"
    prompts = load_prompts(name)
    assert len(prompts.prompts) == 7
    assert prompts.verifier == "reasoning-gym"
    assert prompts.source.startswith(f"{name} (reasoning-gym 0.")
    for one in prompts.prompts:
        numbers = [int(number) for number in re.findall(r"\d+", one.prompt)]
        assert max(numbers) <= 20
    assert pairs(load_prompts(name)) == pairs(prompts)
    assert pairs(load_prompts(name.replace("seed=3", "seed=300"))) != pairs(prompts)


def test_one_question_of_reasoning_gym_may_have_several_answers():
    # Numbers of 1 and 2 only: few questions, whose references also tell the row they come from.
    prompts = load_prompts("reasoning-gym:gcd:size=40:seed=1:min_value=1:max_value=2")
    texts = [one.prompt for one in prompts.prompts]
    assert len(texts) == len(set(texts)) < 40
    assert dict(prompts.dropped) == {"repeated": 40 - len(texts)}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("reasoning-gym:none", "no such task"),
        ("reasoning-gym:gcd:siz=3", "unknown setting 'siz'"),
        ("reasoning-gym:countdown:size=2", "unsafe scorer"),
        ("missing.jsonl", "no such file"),
    ],
)
def test_a_source_that_is_not_there(name, told):
    with pytest.raises(UsageError, match=told):
        load_prompts(name)


def test_a_hub_out_of_reach_is_no_error_of_usage():
    with pytest.raises(RunError, match="owner/none: could not be loaded from the hub"):
        load_prompts("owner/none")


def test_a_conversation_may_be_the_prompt(tmp_path):
    prompts = load_prompts(jsonl(tmp_path, [{"problem": CHAT, "answer": "2"}]))
    assert pairs(prompts) == [(CHAT, "2")]


def test_columns_of_other_names(tmp_path):
    path = jsonl(tmp_path, [{"question": "a", "gold": "1", "problem": "x", "answer": "y"}])
    assert pairs(load_prompts(path, prompt_column="question", answer_column="gold")) == [("a", "1")]
    for option in ("prompt_column", "answer_column"):
        with pytest.raises(UsageError, match=f"rows.jsonl:1: no column 'nope'.*--{option}"):
            load_prompts(path, **{option: "nope"})


@pytest.mark.parametrize(
    "prompt",
    ["", "  \n", None, 5, [], [{"content": "a"}], [{"role": "user"}], ["a"], {"role": "user"}],
    ids=str,
)
def test_what_is_no_prompt_is_refused_with_its_place(tmp_path, prompt):
    rows = [ROWS[0], {"problem": prompt, "answer": "1"}]
    with pytest.raises(UsageError, match=r"rows\.jsonl:2: problem is"):
        load_prompts(jsonl(tmp_path, rows))


@pytest.mark.parametrize("reference", ["", " ", None, float("nan")], ids=str)
def test_nothing_to_check_by_is_refused_with_its_place(tmp_path, reference):
    rows = [ROWS[0], {"problem": "a", "answer": reference}]
    with pytest.raises(UsageError, match=r"rows\.jsonl:2: answer is .*nothing to check by"):
        load_prompts(jsonl(tmp_path, rows))


def test_an_empty_cell_is_nothing_to_check_by(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("problem,answer\na,1\nb,\n")
    with pytest.raises(UsageError, match="row 2: answer is None"):
        load_prompts(str(path))


@pytest.mark.parametrize(
    ("reference", "taken"),
    [(0, "0"), (2**70, str(2**70)), (0.1, "0.1"), (True, True), ([1, "a"], [1, "a"])],
    ids=str,
)
def test_numbers_become_text_and_the_rest_stays(tmp_path, reference, taken):
    prompts = load_prompts(jsonl(tmp_path, [{"problem": "a", "answer": reference}]))
    assert pairs(prompts) == [("a", taken)]
    assert type(prompts.prompts[0].reference) is type(taken)
    (row,) = training_set(prompts, PromptSettings())
    assert json.loads(row["reference"]) == taken


def test_references_that_json_knows_not(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([{"problem": "a", "answer": Decimal("1.50")}]), path)
    assert pairs(load_prompts(str(path))) == [("a", "1.50")]
    for reference in (date(2020, 1, 1), b"a"):
        pq.write_table(pa.Table.from_pylist([{"problem": "a", "answer": reference}]), path)
        with pytest.raises(UsageError, match=f"row 1: answer is a {type(reference).__name__}"):
            load_prompts(str(path))


def test_repeated_and_conflicting_prompts_are_counted(tmp_path):
    rows = [
        {"problem": problem, "answer": answer}
        for problem, answer in [
            ("same", "1"),
            ("torn", "1"),
            ("same", 1),  # written as a number
            ("torn", "2"),
            ("torn", "1"),
            ("once", "3"),
            ("same", "1"),
        ]
    ]
    prompts = load_prompts(path := jsonl(tmp_path, rows))
    assert pairs(prompts) == [("same", "1"), ("once", "3")]
    assert dict(prompts.dropped) == {"repeated": 2, "with conflicting answers": 3}
    assert prompts.describe() == (
        f"2 prompts of {path} (left out: 3 with conflicting answers, 2 repeated)"
    )


def test_conversations_are_compared_whatever_the_order_of_their_keys(tmp_path):
    turned = [{"content": "1+1?", "role": "user"}]
    rows = [{"problem": CHAT, "answer": "2"}, {"problem": turned, "answer": "2"}]
    assert dict(load_prompts(jsonl(tmp_path, rows)).dropped) == {"repeated": 1}


def test_nothing_left_is_an_error(tmp_path):
    rows = [{"problem": "a", "answer": "1"}, {"problem": "a", "answer": "2"}]
    for some, told in [(rows, "left out: 2 with conflicting answers"), ([], "0 prompts of")]:
        with pytest.raises(UsageError, match=told):
            training_set(load_prompts(jsonl(tmp_path, some)), PromptSettings())


def test_the_data_s_own_verifier(tmp_path):
    rows = [{**row, "verifier": "exact"} for row in ROWS]
    assert load_prompts(jsonl(tmp_path, rows)).verifier == "exact"
    for other, named in [("maths", "exact, maths"), (None, "None, exact"), ("", "None, exact")]:
        mixed = [rows[0], {**rows[1], "verifier": other}]
        with pytest.raises(UsageError, match=f"several verifiers \\({named}\\)"):
            load_prompts(jsonl(tmp_path, mixed))
    none = [{**row, "verifier": value} for row, value in zip(ROWS, ["", None], strict=True)]
    assert load_prompts(jsonl(tmp_path, none)).verifier is None


@pytest.mark.parametrize("system", [None, SYSTEM, "Sag’s kurz."])
def test_how_prompts_are_put(tmp_path, system):
    own = [{"role": "system", "content": "mine"}, *CHAT]
    rows = [{"problem": problem, "answer": "2"} for problem in ("1+1?", CHAT, own)]
    prompts = load_prompts(jsonl(tmp_path, rows))
    before = [] if system is None else [{"role": "system", "content": system}]
    put = training_set(prompts, PromptSettings(system=system, chat=True))
    assert [row["prompt"] for row in put] == [before + CHAT, before + CHAT, own]
    prompts = load_prompts(jsonl(tmp_path, rows[:1]))
    (row,) = training_set(prompts, PromptSettings(system=system, chat=False))
    assert row == {
        "prompt": "1+1?" if system is None else f"{system}\n\n1+1?",
        "reference": '"2"',
    }


def test_a_conversation_cannot_be_plain_text(tmp_path):
    prompts = load_prompts(jsonl(tmp_path, [{"problem": CHAT, "answer": "2"}]))
    with pytest.raises(UsageError, match="needs the model's chat template"):
        training_set(prompts, PromptSettings(chat=False))


def test_long_prompts_are_left_out_as_they_are_put(tmp_path):
    rows = [{"problem": "a" * length, "answer": "1"} for length in (3, 4, 5)]
    prompts = load_prompts(path := jsonl(tmp_path, rows))
    # The system prompt and the blank line count: 2 + 2 + 4 = 8 characters.
    put = training_set(prompts, PromptSettings(system="ss", chat=False), len, 8)
    assert [row["prompt"] for row in put] == ["ss\n\naaa", "ss\n\naaaa"]
    assert prompts.describe() == f"2 prompts of {path} (left out: 1 longer than 8 tokens)"
