"""From a table to a folder, on rows counted by hand."""

import hashlib
import json
import unicodedata
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from fgrpo.data.clean import Problem
from fgrpo.data.deepscaler import Settings, hold_out, prepare
from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.prompts import SYSTEM, PromptSettings
from fgrpo.train.data import load_prompts, training_set
from fgrpo.verify import VerifierPool
from fgrpo.verify.rewards import trl_reward
from tiny_llm import byte_tokenizer

SWITCHED = (
    "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}12345678{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}x"
)
# With the system prompt "Solve." the byte tokenizer's template adds 35 tokens: limit 64 leaves 29.
ROWS = [
    ("What is 1+1?", "2"),  # kept
    ("What is 1+1?", "2"),  # repeated
    ("One half of 1?", "1/2"),  # kept
    ("One  half of 1?\n", r"\frac{1}{2}"),  # repeated
    ("One half of 1?", "0.5"),  # repeated
    ("2 or 3?", "2"),  # conflict
    ("2 or 3?", "3"),  # conflict
    (" 2 or 3? ", "2"),  # conflict
    ("a" * 30, "1"),  # too long
    ("π" * 14 + "?", "1"),  # 29 bytes: kept
    ("Empty?", ""),
    ("None?", None),
    ("  ", "1"),
    ("How many?", 7),  # kept
    (unicodedata.normalize("NFC", "Größe?"), "6"),  # kept
    (unicodedata.normalize("NFD", "Größe?"), "6"),  # repeated
    ("Unreadable?", r"\frac{1}"),  # conflict, as it cannot be judged
    ("Unreadable?", "1"),  # conflict
]
COUNTS = {
    "read": 18,
    "without_problem_or_answer": 3,
    "too_long": 1,
    "repeated": 4,
    "conflicting": 5,
    "conflicting_problems": 2,
    "kept": 5,
    "train": 4,
    "validation": 1,
}
KEPT = {0: "2", 2: "1/2", 9: "1", 13: "7", 14: "6"}


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(1) as one:
        yield one


@pytest.fixture
def settings(tmp_path, pool, monkeypatch):
    # One for all tests: each takes a second to start.
    monkeypatch.setattr("fgrpo.data.deepscaler.VerifierPool", lambda: nullcontext(pool))
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    table = tmp_path / "table.json"
    rows = [{"problem": p, "answer": a, "solution": "…"} for p, a in ROWS]
    table.write_text(json.dumps(rows), encoding="utf-8")
    return Settings(
        tokenizer=str(tmp_path / "tiny"),
        file=str(table),
        max_prompt_tokens=64,
        system_prompt="Solve.",
        validation=1,
    )


def made(settings, folder):
    return prepare(settings, folder, "fgrpo data …", lambda *_: None)


def table(path):
    return pq.read_table(path).to_pylist()


def hashes(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


def test_every_row_is_accounted_for(settings, tmp_path):
    summary, written = made(settings, tmp_path / "out")
    assert written
    assert summary["counts"] == COUNTS
    assert summary["answers_written_differently"] == {"equal": 2, "not_judged": 1}
    told = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert told["counts"] == COUNTS
    assert told["complete"] is True
    assert told["settings"]["system_prompt"] == "Solve."
    content = (tmp_path / "table.json").read_bytes()
    assert told["source"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["made"]["command"] == "fgrpo data …"
    assert None not in told["made"]["packages"].values()
    files = hashes(tmp_path / "out")
    del files["summary.json"]
    assert told["files"] == files


def test_verl_gets_its_columns_and_trl_its_own(settings, tmp_path):
    made(settings, tmp_path / "out")
    found = {}
    for split in ("train", "validation"):
        verl = table(tmp_path / "out" / "verl" / f"{split}.parquet")
        trl = table(tmp_path / "out" / "trl" / f"{split}.parquet")
        assert [row["extra_info"]["index"] for row in verl] == sorted(
            row["extra_info"]["index"] for row in verl
        )
        for ours, theirs in zip(verl, trl, strict=True):
            index = ours["extra_info"]["index"]
            found[index] = ours["reward_model"]["ground_truth"]
            asked = [
                {"role": "system", "content": "Solve."},
                {"role": "user", "content": ROWS[index][0]},
            ]
            assert ours == {
                "data_source": "deepscaler",
                "prompt": asked,
                "ability": "math",
                "reward_model": {"style": "rule", "ground_truth": KEPT[index]},
                "extra_info": {"split": split, "index": index},
            }
            assert theirs == {"prompt": asked, "answer": KEPT[index]}
    assert found == KEPT


def test_without_a_system_prompt_there_is_no_such_message(settings, tmp_path):
    # 35 tokens are then 19, so that the row of 30 bytes stays.
    changed = replace(settings, system_prompt=None, max_prompt_tokens=49, validation=0)
    summary, _ = made(changed, tmp_path / "out")
    assert summary["counts"]["too_long"] == 0
    assert summary["counts"]["kept"] == summary["counts"]["train"] == 6
    rows = table(tmp_path / "out" / "trl" / "train.parquet")
    assert rows[0]["prompt"] == [{"role": "user", "content": "What is 1+1?"}]
    assert not (tmp_path / "out" / "verl" / "validation.parquet").exists()
    too_long, _ = made(replace(changed, max_prompt_tokens=48), tmp_path / "less")
    assert too_long["counts"]["too_long"] == 1


def test_thinking_is_put_off_as_when_trained_and_counts(settings, tmp_path):
    words = byte_tokenizer()
    words.chat_template = SWITCHED
    for name in ("qwen3-4b", "qwen3-4b-base"):
        words.save_pretrained(tmp_path / name)
    changed = replace(settings, tokenizer=str(tmp_path / "qwen3-4b"), max_prompt_tokens=6 + 8 + 29)
    summary, _ = made(changed, tmp_path / "out")
    assert summary["counts"] == COUNTS
    assert summary["tokenizer"]["enable_thinking"] is False
    base = replace(changed, tokenizer=str(tmp_path / "qwen3-4b-base"))
    summary, _ = made(base, tmp_path / "base")
    assert summary["counts"]["too_long"] == 0
    assert summary["tokenizer"]["enable_thinking"] is None


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "saved"])
def test_every_format_gives_the_same_tables(form, settings, tmp_path):
    made(settings, tmp_path / "out")
    rows = [{"problem": p, "answer": None if a is None else str(a)} for p, a in ROWS]
    path = tmp_path / f"same.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif form == "csv":
        Dataset.from_list(rows).to_csv(path)
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        Dataset.from_list(rows).save_to_disk(path)
    summary, _ = made(replace(settings, file=str(path)), tmp_path / "again")
    ours, theirs = hashes(tmp_path / "out"), hashes(tmp_path / "again")
    del ours["summary.json"], theirs["summary.json"]
    assert ours == theirs
    assert len(ours) == 4
    assert summary["counts"] == COUNTS


def test_made_again_nothing_is_written_and_what_is_damaged_is_mended(settings, tmp_path):
    out = tmp_path / "out"
    made(settings, out)
    before = hashes(out)
    assert made(settings, out)[1] is False
    assert hashes(out) == before
    (out / "trl" / "train.parquet").write_bytes(b"torn")
    (out / "verl" / "train.parquet").unlink()
    assert made(settings, out)[1] is True
    del before["summary.json"]
    assert before.items() <= hashes(out).items()


def test_a_run_that_was_killed_is_made_again(settings, tmp_path, monkeypatch):
    def killed(path, content):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("fgrpo.data.write.write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            made(settings, out)
    assert json.loads((out / "summary.json").read_text())["complete"] is False
    assert made(settings, out)[1] is True
    assert json.loads((out / "summary.json").read_text())["complete"] is True
    assert len(table(out / "verl" / "train.parquet")) == 4


def test_other_data_is_never_written_over(settings, tmp_path):
    out = tmp_path / "out"
    made(settings, out)
    before = hashes(out)
    with pytest.raises(UsageError, match=r"made with seed = 0, now it is 1; choose another"):
        made(replace(settings, seed=1), out)
    with pytest.raises(UsageError, match=r"system_prompt = 'Solve\.', now it is None"):
        made(replace(settings, system_prompt=None), out)
    rows = [{"problem": p, "answer": a} for p, a in ROWS[:-2]]
    (tmp_path / "table.json").write_text(json.dumps(rows))
    with pytest.raises(UsageError, match="same settings with other source: something has"):
        made(settings, out)
    assert hashes(out) == before


@pytest.mark.parametrize("name", ["notes.txt", "summary.json", "verl/train.parquet"])
def test_a_folder_of_something_else_is_left_alone(name, settings, tmp_path):
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text('{"settings": {}}')
    with pytest.raises(UsageError, match="not empty, and not made by this command"):
        made(settings, out)
    assert [path.name for path in out.rglob("*.*")] == [name.rpartition("/")[2]]
    with pytest.raises(UsageError, match="a file; choose a folder"):
        made(settings, out / name)


def test_an_empty_folder_will_do(settings, tmp_path):
    (tmp_path / "out").mkdir()
    assert made(settings, tmp_path / "out")[1] is True


def test_too_little_left_is_told(settings, tmp_path):
    with pytest.raises(UsageError, match="5 of 18 problems are left: with --validation 5"):
        made(replace(settings, validation=5), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="0 of 18 problems are left"):
        made(replace(settings, validation=0, max_prompt_tokens=20), tmp_path / "out")


def test_what_is_wrong_with_a_tokenizer_is_told(settings, tmp_path):
    for name, error, told in (
        ("./nothing", RunError, "./nothing: no such folder"),
        ("owner/nothing", RunError, "owner/nothing: no folder here, and not to be had"),
        (str(tmp_path), RunError, "a folder without a tokenizer"),
    ):
        with pytest.raises(error, match=told):
            made(replace(settings, tokenizer=name), tmp_path / "out")
    byte_tokenizer(chat=False).save_pretrained(tmp_path / "bare")
    with pytest.raises(UsageError, match=r"no chat template.*instruct model"):
        made(replace(settings, tokenizer=str(tmp_path / "bare")), tmp_path / "out")
    words = byte_tokenizer()
    words.chat_template = NO_SYSTEM
    words.save_pretrained(tmp_path / "gemma")
    with pytest.raises(UsageError, match=r"no system role.*--system-prompt none"):
        made(replace(settings, tokenizer=str(tmp_path / "gemma")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_fingerprint_tells_vocabulary_and_template(settings, tmp_path):
    def of(words, name):
        words.save_pretrained(tmp_path / name)
        changed = replace(settings, tokenizer=str(tmp_path / name), max_prompt_tokens=500)
        return made(changed, tmp_path / f"out-{name}")[0]["tokenizer"]["fingerprint"]

    same, other, more = byte_tokenizer(), byte_tokenizer(), byte_tokenizer()
    other.chat_template = same.chat_template + " "
    more.add_tokens(["<new>"])
    first = made(settings, tmp_path / "out")[0]["tokenizer"]["fingerprint"]
    assert of(same, "same") == first
    assert len({first, of(other, "other"), of(more, "more")}) == 3


def test_without_the_hub_it_says_how_to_give_a_file(settings, tmp_path):
    with pytest.raises(RunError, match=r"agentica-org/DeepScaleR-Preview-Dataset.*--from FILE"):
        made(replace(settings, file=None, revision="0" * 40), tmp_path / "out")


def test_from_the_hub_the_commit_is_on_record(settings, tmp_path, monkeypatch):
    asked = []

    def rows(hub, revision, option):
        asked.append((hub.repo, hub.split, revision))
        found = [{"problem": f"{n}?", "answer": "1"} for n in range(3)]
        return [(f"row {n}", row) for n, row in enumerate(found)], "c0ffee"

    monkeypatch.setattr("fgrpo.data.deepscaler.hub_rows", rows)
    summary, _ = made(replace(settings, file=None, revision="abc"), tmp_path / "out")
    assert asked == [("agentica-org/DeepScaleR-Preview-Dataset", "train", "abc")]
    assert summary["source"] == {
        "name": "agentica-org/DeepScaleR-Preview-Dataset",
        "commit": "c0ffee",
    }


def test_held_out_problems_depend_on_seed_and_text_alone():
    many = [Problem(n, f"problem {n}", "1") for n in range(400)]
    train, held_out = hold_out(many, 40, 0)
    assert len(held_out) == 40
    assert sorted(train + held_out, key=lambda one: one.index) == many
    assert [one.index for one in held_out] == sorted(one.index for one in held_out)
    # Not from one end: each hundred has about ten.
    assert all(n >= 3 for n in Counter(one.index // 100 for one in held_out).values())
    others = hold_out(many, 40, 1)[1]
    assert len({one.text for one in held_out} & {one.text for one in others}) < 20
    # Without some of the problems trained on, the same ones are held out.
    fewer = [Problem(n, one.text + " ", "2") for n, one in enumerate(train[::2] + held_out)]
    again = hold_out(fewer, 40, 0)[1]
    assert [normal.text.strip() for normal in again] == [one.text for one in held_out]


def test_fgrpo_train_and_a_script_take_the_table(settings, tmp_path, pool):
    made(settings, tmp_path / "out")
    path = str(tmp_path / "out" / "trl" / "train.parquet")
    prompts = load_prompts(path, prompt_column="prompt")
    assert len(prompts.prompts) == 4
    assert not prompts.dropped
    # A system prompt that is there already is not put twice, whatever fgrpo train would put.
    rows = training_set(prompts, PromptSettings(SYSTEM)).to_list()
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in table(path)]
    script = Dataset.from_parquet(path, cache_dir=str(tmp_path / "cache"))
    assert script.column_names == ["prompt", "answer"]
    right = [[{"role": "assistant", "content": rf"\boxed{{{a}}}"}] for a in script["answer"]]
    reward = trl_reward("maths", column="answer", pool=pool)
    assert reward(script["prompt"], right, answer=script["answer"]) == [1.0] * 4
