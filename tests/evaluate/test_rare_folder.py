"""ΔNLL_rare: measurements that go on in their folder, and those that cannot be made."""

import json
import shutil

import pytest
from nll_models import save, tokenizer
from rare_evaluations import RIGHT, SAMPLES, base_of, evaluation, messages_of, record_of

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.rare.measure import measure
from fgrpo.evaluate.rare.models import Model, parse_model, parse_models
from fgrpo.evaluate.rare.source import open_source
from fgrpo.evaluate.texts import TextStore
from fgrpo.records import Record, RecordStore

pytestmark = pytest.mark.slow


# Going on ---------------------------------------------------------------------------------------


class StoppedError(Exception):
    pass


def test_an_interrupted_measurement_goes_on_and_gives_the_same(tmp_path, models, base_folder):
    source, base = open_source(base_folder), base_of(models)
    trained = parse_models([f"a={models[1]}", f"b={models[2]}"], base)
    whole = measure(source, base, trained, tmp_path, share=0.5, batch=2)

    (again := tmp_path / "again").mkdir()
    for stop_at in (("base", 10), ("base", 24), ("a", 4), ("b", 2), None):
        seen = []

        def show(what, done, total, stop_at=stop_at, seen=seen):
            seen.append((what, done))
            if (what, done) == stop_at and len(seen) > 1:
                raise StoppedError

        try:
            part = measure(source, base, trained, again, share=0.5, batch=2, progress=show)
        except StoppedError:
            assert stop_at is not None
            with (again / f"nll-{stop_at[0]}.jsonl").open("a") as file:
                file.write('{"problem": "toy/1", "sam')  # as a kill may leave it
        else:
            assert stop_at is None
    # Nothing was computed twice: progress of the last run starts where the one before ended.
    assert seen[0] == ("base", 24)
    assert ("a", 12) in seen
    assert ("a", 4) not in seen
    assert ("b", 0) not in seen
    assert part.chosen.tolist() == whole.chosen.tolist()
    for label, values in whole.nlls.items():
        assert part.nlls[label] == pytest.approx(values, rel=1e-5)
        lines = (again / f"nll-{label}.jsonl").read_text().splitlines()
        assert len(lines) == len(set(lines)) == (25 if label == "base" else 13)


def test_nothing_is_loaded_when_nothing_is_missing(tmp_path, models, base_folder, monkeypatch):
    source, base = open_source(base_folder), base_of(models)
    trained = parse_models([f"a={models[1]}"], base)
    first = measure(source, base, trained, tmp_path, share=0.5)
    monkeypatch.setattr(
        "fgrpo.evaluate.rare.models.load_checkpoint", lambda *a, **k: pytest.fail("loaded")
    )
    again = measure(source, base_of(models), trained, tmp_path, share=0.5)
    assert again.nlls["a"].tolist() == first.nlls["a"].tolist()


def test_samples_added_later_add_only_their_own_nlls(tmp_path, models):
    folder = evaluation(tmp_path / "e")
    base = base_of(models)
    measure(open_source(folder), base, [], tmp_path, share=0.5)
    with RecordStore.open(folder / "records.jsonl") as store:
        with TextStore(folder / "texts.jsonl.gz", store.has) as kept:
            kept.append([("toy/0", SAMPLES, "12 12")])
        store.append(Record("toy/0", SAMPLES, True))
    seen = []
    more = measure(
        open_source(folder),
        base,
        [],
        tmp_path,
        share=0.5,
        progress=lambda *given: seen.append(given),
    )
    assert seen[:2] == [("base", 24, 25), ("base", 25, 25)]
    assert more.eligible == 25


@pytest.mark.parametrize("change_of", ["weights", "chat", "texts"])
def test_results_of_something_else_are_not_mixed(tmp_path, models, base_folder, change_of):
    folder = shutil.copytree(models[0], tmp_path / "model")
    base = Model("base", str(folder), dtype="float32", device="cpu")
    measure(open_source(base_folder), base, [], tmp_path, share=0.1)
    source = open_source(base_folder, chat=False if change_of == "chat" else None)
    if change_of == "weights":
        shutil.copy(models[1] / "model.safetensors", folder)
    if change_of == "texts":
        records = tmp_path / "r.jsonl"
        with RecordStore.open(records) as store:
            store.extend(record_of(p, s, text="other") for p, s in RIGHT)
        source = open_source(records, prompts=base_folder / "problems.jsonl")
    with pytest.raises(UsageError, match=r"nll-base.jsonl: metadata differs.*--out"):
        measure(source, base, [], tmp_path, share=0.1)


# What cannot be done ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", ["grpo", "=x", "a/b=x", "base=x", "grpo=", ".hidden=x", "two words=x"]
)
def test_malformed_models_are_refused(given, models):
    with pytest.raises(UsageError, match="LABEL=PATH"):
        parse_model(given, base_of(models))


def test_two_models_of_one_label_are_refused(models):
    with pytest.raises(UsageError, match="another 'a'"):
        parse_models(["a=x", "b=y", "a=z"], base_of(models))


def test_a_model_with_another_tokenizer_is_refused(tmp_path, models, base_folder):
    save(tmp_path / "other", 1, characters=tokenizer().decode(range(45, 1, -1)))
    base = base_of(models)
    other = parse_models([f"other={tmp_path / 'other'}"], base)
    with pytest.raises(UsageError, match=r"other: the tokenizer in .* has other tokens"):
        measure(open_source(base_folder), base, other, tmp_path)


def test_missing_texts_are_an_error(tmp_path, models):
    source = open_source(evaluation(tmp_path / "e", texts=False))
    with pytest.raises(UsageError, match="no text for 1 right answers, the first sample 0"):
        measure(source, base_of(models), [], tmp_path)


def test_an_evaluation_without_right_answers_is_an_error(tmp_path):
    folder = evaluation(tmp_path / "e")
    (folder / "records.jsonl").unlink()
    with RecordStore.open(folder / "records.jsonl") as store:
        store.append(Record("toy/0", 0, False))
    with pytest.raises(UsageError, match="no answer is right"):
        open_source(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": "toy/0", "messages": []}\n'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b"[" * 100_000, "expected one JSON object"),
        (b"{}\n", r'expected \{"id"'),
        (b'{"id": "toy/0", "messages": [{"role": "user"}]}\n', r'expected \{"id"'),
        (b'{"id": 0, "messages": []}\n', r'expected \{"id"'),
    ],
    ids=["encoding", "depth", "empty", "message", "id"],
)
def test_a_damaged_file_of_prompts_is_named(tmp_path, content, said):
    with RecordStore.open(tmp_path / "r.jsonl") as store:
        store.append(Record("toy/0", 0, True, text="a"))
    (tmp_path / "prompts.jsonl").write_bytes(content)
    with pytest.raises(UsageError, match=rf"prompts\.jsonl:1: {said}"):
        open_source(tmp_path / "r.jsonl", prompts=tmp_path / "prompts.jsonl")
    with pytest.raises(UsageError, match=r"none: no such file or folder"):
        open_source(tmp_path / "none")


def test_a_model_that_could_not_be_opened_leaves_the_folder_to_another(
    tmp_path, models, base_folder
):
    source = open_source(base_folder)
    with pytest.raises(UsageError, match="cannot be opened"):
        measure(source, Model("base", str(tmp_path / "nope")), [], tmp_path)
    base = base_of(models)
    measure(source, base, [], tmp_path)
    with pytest.raises(UsageError, match="choose another folder"):  # now there are values
        measure(source, Model("base", str(tmp_path / "nope")), [], tmp_path)


def test_a_completion_without_tokens_is_an_error(tmp_path, models):
    records, prompts = tmp_path / "r.jsonl", tmp_path / "p.jsonl"
    with RecordStore.open(records) as store:
        store.append(Record("a", 0, True, text="", truncated=True))
    prompts.write_text(json.dumps({"id": "a", "messages": messages_of(0)}))
    with pytest.raises(RunError, match=r"sample 0 of 'a': its text has no tokens"):
        measure(open_source(records, prompts=prompts), base_of(models), [], tmp_path)
