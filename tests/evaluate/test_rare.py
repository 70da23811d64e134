"""ΔNLL_rare: which right answers are chosen, what is computed, and how noise is judged."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from nll_models import network, save, tokenizer
from peft import LoraConfig, get_peft_model
from test_nll import by_hand

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.folder import keep_problems, note_run
from fgrpo.evaluate.nll import Tokens
from fgrpo.evaluate.problem import Problem
from fgrpo.evaluate.rare.change import change, changes
from fgrpo.evaluate.rare.measure import measure, rarest
from fgrpo.evaluate.rare.models import Model, parse_model, parse_models
from fgrpo.evaluate.rare.output import write_results
from fgrpo.evaluate.rare.source import RightAnswers, open_source
from fgrpo.evaluate.samplers.base import Request, SamplingSettings
from fgrpo.evaluate.samplers.transformers import TransformersSampler
from fgrpo.evaluate.texts import TextStore
from fgrpo.records import Record, RecordStore

pytestmark = pytest.mark.slow

PROBLEMS, SAMPLES = 9, 4
WORDS = ["12", "a b c", "so 7", "x=3", "nine", "2+2=4", "", "zz top."]


def text_of(p, s):
    return WORDS[(3 * p + 5 * s) % len(WORDS)] * (1 + (p + s) % 3)


def record_of(p, s, **fields):
    correct, truncated = (p + s) % 3 > 0, (p * s) % 4 == 1
    # An empty answer that was cut off has no token at all, which no sampler gives.
    truncated = truncated and text_of(p, s) != ""
    return Record(f"toy/{p}", s, correct, truncated=truncated, **fields)


def messages_of(p):
    return ({"role": "system", "content": "add"}, {"role": "user", "content": f"{p}+{p}=?"})


def evaluation(folder, *, fields=lambda p, s: {}, settings=None, texts=True):
    """Write an evaluation's folder."""
    folder.mkdir(exist_ok=True)
    asked = [Problem(f"toy/{p}", "?", "exact", "4") for p in range(PROBLEMS)]
    keep_problems(folder, asked, {f"toy/{p}": messages_of(p) for p in range(PROBLEMS)})
    given = {"temperature": 1.0, "top_p": 1.0, "chat": True, "thinking": None}
    note_run(folder, {}, given | (settings or {}), {}, {})
    every = [(p, s) for s in range(SAMPLES) for p in range(PROBLEMS)]
    with RecordStore.open(folder / "records.jsonl") as store:
        if texts:
            with TextStore(folder / "texts.jsonl.gz", store.has) as kept:
                for p, s in every:
                    kept.append([(f"toy/{p}", s, text_of(p, s))])
        store.extend(record_of(p, s, **fields(p, s)) for p, s in every)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [save(folder / f"m{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory):
    return evaluation(tmp_path_factory.mktemp("evaluation"))


def base_of(models):
    return Model("base", str(models[0]), dtype="float32", device="cpu")


def row_of(p, s, *, chat=True):
    """The tokens by hand: template, then text, then the end token."""
    letters = tokenizer()
    encode = lambda text: tuple(letters.convert_tokens_to_ids(list(text)))  # noqa: E731
    prompt = f"s|add|u|{p}+{p}=?|a|" if chat else f"add\n\n{p}+{p}=?"
    end = () if record_of(p, s).truncated else (1,)
    return Tokens(0, encode(prompt), encode(text_of(p, s)) + end)


RIGHT = [(p, s) for s in range(SAMPLES) for p in range(PROBLEMS) if (p + s) % 3 > 0]


def all_by_hand(seed, **kwargs):
    model = network(seed)
    return {(f"toy/{p}", s): by_hand(model, row_of(p, s, **kwargs)) for p, s in RIGHT}


def named(source, measured):
    return [source.right.name(int(i)) for i in measured.chosen]


# Choosing ---------------------------------------------------------------------------------------


def answers(names, problem, sample):
    n = len(problem)
    return RightAnswers(
        tuple(names),
        np.array(problem, np.int32),
        np.array(sample, np.int32),
        np.full(n, -1, np.int32),
        np.full(n, np.nan),
        np.zeros(n, bool),
    )


def test_ties_go_by_problem_name_then_sample():
    right = answers(["b", "a10", "a9"], [0, 0, 1, 2, 1], [1, 0, 3, 0, 2])
    order = rarest(right, np.arange(5), np.array([1.0, 1, 1, 1, 2]), 1.0)
    assert [right.name(i) for i in order] == [
        ("a10", 2),
        ("a10", 3),
        ("a9", 0),
        ("b", 0),
        ("b", 1),
    ]


@pytest.mark.parametrize(
    ("share", "n", "chosen"),
    [(0.01, 5, 1), (0.01, 100, 1), (0.01, 101, 2), (0.07, 100, 7), (0.3, 10, 3), (1.0, 4, 4)],
)
def test_the_share_is_rounded_up_exactly(share, n, chosen):
    right = answers(["a"], [0] * n, range(n))
    assert len(rarest(right, np.arange(n), np.arange(n, dtype=float), share)) == chosen


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(UsageError, match="--share"):
        rarest(answers(["a"], [0], [0]), np.arange(1), np.zeros(1), share)


# Measuring --------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 5])
def test_choice_and_nlls_are_the_hand_computed_ones(tmp_path, models, base_folder, batch):
    source = open_source(base_folder)
    base = base_of(models)
    trained = parse_models([f"grpo={models[1]}", f"focal={models[2]}"], base)
    measured = measure(source, base, trained, tmp_path, share=0.3, batch=batch)
    by_seed = [all_by_hand(seed) for seed in range(3)]
    expected = sorted(by_seed[0], key=lambda key: -by_seed[0][key])[: math.ceil(0.3 * len(RIGHT))]
    assert named(source, measured) == expected
    assert list(measured.nlls) == ["base", "grpo", "focal"]
    for values, found in zip(measured.nlls.values(), by_seed, strict=True):
        assert values == pytest.approx([found[key] for key in expected], rel=1e-4)
    assert measured.eligible == len(RIGHT)
    assert not measured.recorded
    assert "not every right answer has a recorded" in measured.why


def test_without_chat_prompts_are_plain_text(tmp_path, models, base_folder):
    source = open_source(base_folder, chat=False)
    measured = measure(source, base_of(models), [], tmp_path, share=1.0)
    found = all_by_hand(0, chat=False)
    expected = [found[key] for key in named(source, measured)]
    assert measured.nlls["base"] == pytest.approx(expected, rel=1e-4)


def recorded(p, s):
    # The higher the problem's number, the likelier; tokens as in the text, or one more for p = 1.
    return {"logprob": -10.0 / (p + 1), "tokens": len(row_of(p, s).completion) + (p == 1)}


def test_recorded_log_probabilities_rank_if_all_are_there(tmp_path, models):
    folder = evaluation(tmp_path / "e", fields=recorded)
    source = open_source(folder)
    measured = measure(source, base_of(models), [], tmp_path, share=0.3)
    assert measured.recorded
    values = {key: -recorded(int(key[0][4:]), key[1])["logprob"] for key in all_by_hand(0)}
    per_token = {
        (f"toy/{p}", s): values[f"toy/{p}", s] / recorded(p, s)["tokens"] for p, s in RIGHT
    }
    expected = sorted(per_token, key=lambda key: (-per_token[key], key))[: math.ceil(0.3 * 24)]
    assert named(source, measured) == expected
    # The base model's own NLL is computed all the same.
    found = all_by_hand(0)
    assert measured.nlls["base"] == pytest.approx([found[key] for key in expected], rel=1e-4)
    assert measured.retokenised == sum(key[0] == "toy/1" for key in expected) > 0
    gaps = [abs(found[key] - per_token[key]) for key in expected]
    assert measured.gap == pytest.approx(np.median(gaps), rel=1e-3)


def test_the_sampler_s_log_probabilities_are_those_computed_from_its_texts(tmp_path, models):
    settings = SamplingSettings(max_tokens=12)
    sampler = TransformersSampler(str(models[0]), settings, dtype="float32", device="cpu")
    requests = [Request(f"toy/{p}", messages_of(p), 0, 6, seed=p) for p in range(PROBLEMS)]
    folder = evaluation(tmp_path / "e")
    (folder / "records.jsonl").unlink()
    (folder / "texts.jsonl.gz").unlink()
    with (
        RecordStore.open(folder / "records.jsonl") as store,
        TextStore(folder / "texts.jsonl.gz", store.has) as kept,
    ):
        for request, completions in sampler.sample(requests):
            for i, one in enumerate(completions):
                if one.tokens != len(one.text) + (not one.truncated):
                    continue  # it drew special tokens, which are not in the text
                kept.append([(request.problem, i, one.text)])
                fields = {"logprob": one.logprob, "tokens": one.tokens}
                store.append(Record(request.problem, i, True, truncated=one.truncated, **fields))
    measured = measure(open_source(folder), base_of(models), [], tmp_path, share=1.0)
    assert measured.recorded
    assert measured.eligible > 20
    right = open_source(folder).right
    assert 0 < right.truncated.sum() < len(right)
    expected = -right.logprob[measured.chosen] / right.tokens[measured.chosen]
    assert measured.nlls["base"] == pytest.approx(expected, rel=1e-4)
    assert measured.gap < 1e-4


def test_with_stop_texts_no_end_token_counts_and_nothing_recorded_ranks(tmp_path, models):
    """The stop text counts in what was recorded, and an answer may have ended without an end."""
    folder = evaluation(tmp_path / "e", fields=recorded, settings={"stop": ["Q:"]})
    measured = measure(open_source(folder), base_of(models), [], tmp_path, share=1.0)
    assert not measured.recorded
    model, rows = network(0), {(f"toy/{p}", s): row_of(p, s) for p, s in RIGHT}
    found = {}
    for (problem, s), row in rows.items():
        ends = row.completion[-1] == 1 and len(row.completion) > 1
        ids = row.completion[:-1] if ends else row.completion
        found[problem, s] = by_hand(model, Tokens(0, row.prompt, ids))
    expected = [found[key] for key in named(open_source(folder), measured)]
    assert measured.nlls["base"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "fields", "recompute", "why"),
    [
        ({"temperature": 0.6}, recorded, False, "another temperature"),
        ({"top_p": 0.9}, recorded, False, "another temperature"),
        ({}, lambda p, s: recorded(p, s) if p else {}, False, "not every right answer"),
        ({}, recorded, True, "asked for"),
    ],
)
def test_else_they_are_ranked_by_what_is_computed(
    tmp_path, models, settings, fields, recompute, why
):
    source = open_source(evaluation(tmp_path / "e", fields=fields, settings=settings))
    measured = measure(source, base_of(models), [], tmp_path, share=0.3, recompute=recompute)
    found = all_by_hand(0)
    assert named(source, measured) == sorted(found, key=lambda key: -found[key])[:8]
    assert why in measured.why
    assert math.isnan(measured.gap)


@pytest.mark.parametrize("fields", [lambda p, s: {}, recorded])
def test_longer_answers_than_allowed_are_left_out_before_choosing(tmp_path, models, fields):
    source = open_source(evaluation(tmp_path / "e", fields=fields))
    measured = measure(source, base_of(models), [], tmp_path, share=1.0, max_tokens=26)
    extra = 1 if fields is recorded else 0  # for p = 1 a token too many was recorded
    short = {(f"toy/{p}", s) for p, s in RIGHT if len(row_of(p, s)) + extra * (p == 1) <= 26}
    assert set(named(source, measured)) == short
    assert measured.too_long == len(RIGHT) - len(short) > 0
    with pytest.raises(UsageError, match="--max-tokens 3"):
        measure(source, base_of(models), [], tmp_path, max_tokens=3)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # peft 0.21
def test_an_adapter_is_put_on_the_base_model(tmp_path, models, base_folder):
    torch.manual_seed(5)
    config = LoraConfig(
        r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(network(0), config)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = adapted.merge_and_unload().eval()
    base = base_of(models)
    lora = parse_model(f"lora={tmp_path / 'adapter'}", base)
    assert (lora.name, lora.adapter) == (str(models[0]), str(tmp_path / "adapter"))
    source = open_source(base_folder)
    measured = measure(source, base, [lora], tmp_path, share=0.2)
    for key, nll, before in zip(
        named(source, measured), measured.nlls["lora"], measured.nlls["base"], strict=True
    ):
        p, s = int(key[0][4:]), key[1]
        assert nll == pytest.approx(by_hand(merged, row_of(p, s)), rel=1e-4)
        assert before == pytest.approx(by_hand(network(0), row_of(p, s)), rel=1e-4)
        assert abs(nll - before) > 1e-3


def test_texts_within_records_do_with_a_file_of_prompts(tmp_path, models):
    records, prompts = tmp_path / "base.jsonl", tmp_path / "prompts.jsonl"
    with RecordStore.open(records) as store:
        store.extend(record_of(p, s, text=text_of(p, s)) for p, s in RIGHT)
    prompts.write_text(
        "".join(
            json.dumps({"id": f"toy/{p}", "messages": messages_of(p)}) + "\n"
            for p in range(PROBLEMS)
        )
    )
    source = open_source(records, prompts=prompts)
    measured = measure(source, base_of(models), [], tmp_path, share=1.0)
    found = all_by_hand(0)
    expected = [found[key] for key in named(source, measured)]
    assert measured.nlls["base"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(UsageError, match="--prompts"):
        open_source(records)
    prompts.write_text(prompts.read_text().replace("toy/3", "toy/x"))
    with pytest.raises(UsageError, match=r"no prompt for 1 problems, such as 'toy/3'"):
        open_source(records, prompts=prompts)
    prompts.write_text('{"id": "toy/0"}\n')
    with pytest.raises(UsageError, match=r"prompts.jsonl:1: expected .*messages"):
        open_source(records, prompts=prompts)


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


# The change and its noise -----------------------------------------------------------------------


def clustered(rng, prompts=60):
    """Differences with a part that all trajectories of a prompt share; prompts of unequal size."""
    sizes = rng.integers(1, 12, prompts)
    names = np.repeat(np.arange(prompts), sizes)
    d = 0.3 + np.repeat(rng.normal(0, 0.5, prompts), sizes) + rng.normal(0, 0.2, len(names))
    return d, names.astype(np.int32)


def test_the_standard_error_is_the_analytic_one_over_prompts():
    d, names = clustered(np.random.default_rng(1))
    found = change(("m", "base"), np.ones(len(d)), 1 + d, names, np.random.default_rng(0))
    sums = np.array([(d[names == p] - d.mean()).sum() for p in range(60)])
    analytic = math.sqrt((sums**2).sum()) / len(d)
    assert found.difference == pytest.approx(d.mean())
    assert found.standard_error == pytest.approx(analytic, rel=0.04)
    # Trajectories of one prompt are alike: taken as independent they would seem to tell more.
    assert found.standard_error > 2 * d.std() / math.sqrt(len(d))
    assert found.interval[0] == pytest.approx(d.mean() - 1.96 * analytic, abs=0.3 * analytic)
    assert found.interval[1] == pytest.approx(d.mean() + 1.96 * analytic, abs=0.3 * analytic)
    assert (found.trajectories, found.prompts) == (len(d), 60)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(100):
        d, names = clustered(np.random.default_rng(seed), prompts=40)
        found = change(("m", "b"), np.zeros(len(d)), d, names, np.random.default_rng(seed))
        hits += found.interval[0] <= 0.3 <= found.interval[1]
    assert 87 <= hits <= 99  # 95 is nominal; 0.95 binomial gives 87 or fewer in 0.1% of cases


def test_few_prompts_are_not_judged():
    d = np.arange(50) / 50
    found = change(("m", "base"), d, d + 1, np.arange(50) % 5, np.random.default_rng(0))
    assert math.isnan(found.p_value)
    assert math.isnan(found.interval[0])
    assert found.difference == pytest.approx(1)
    assert "it takes at least 6 prompts, not 5" in found.verdict


def test_verdicts_say_what_happened():
    rng = np.random.default_rng(3)
    d, names = clustered(rng)
    zero = np.zeros(len(d))

    def verdict(values):
        return change(("focal", "base"), zero, values, names, np.random.default_rng(0)).verdict

    assert " rose by 0." in verdict(np.abs(d))
    assert "fell by" in verdict(-np.abs(d))
    assert "p < 0.001" in verdict(np.abs(d))
    noise = d - d.mean()
    assert "no significant change (+0.000" in verdict(noise)
    assert f"the {len(d)} rare right answers of 60 prompts" in verdict(d)
    assert "against base" in verdict(d)
    assert "nothing varied here" in verdict(zero + 1)


def test_later_models_are_also_compared_with_the_first():
    nlls = {"base": np.zeros(8), "grpo": np.full(8, 0.7), "focal": np.full(8, 0.4)}
    found = changes(nlls, np.arange(8, dtype=np.int32), 0)
    pairs = {(one.model, one.reference): one.difference for one in found}
    assert pairs == pytest.approx(
        {("grpo", "base"): 0.7, ("focal", "base"): 0.4, ("focal", "grpo"): -0.3}
    )


def test_files_hold_the_results(tmp_path, models, base_folder):
    source, base = open_source(base_folder), base_of(models)
    trained = parse_models([f"a={models[1]}"], base)
    measured = measure(source, base, trained, tmp_path, share=0.5)
    found = changes(measured.nlls, source.right.problem[measured.chosen], 0)
    write_results(tmp_path, measured, found, source, {"share": 0.5}, {"fgrpo": "x"})
    content = json.loads((tmp_path / "rare_nll.json").read_text())
    (result,) = content["results"]
    lines = [
        json.loads(line) for line in (tmp_path / "trajectories.jsonl").read_text().splitlines()
    ]
    assert len(lines) == content["selection"]["chosen"] == 12
    mean = {label: np.mean([line["nll"][label] for line in lines]) for label in ("base", "a")}
    assert result["difference"] == pytest.approx(mean["a"] - mean["base"])
    assert result["prompts"] == len({line["problem"] for line in lines})
    hand = all_by_hand(1)
    for line in lines:
        assert line["nll"]["a"] == pytest.approx(hand[line["problem"], line["sample"]], rel=1e-4)
        p, s = int(line["problem"][4:]), line["sample"]
        assert line["tokens"] == len(row_of(p, s).completion)
    header, row = (tmp_path / "rare_nll.csv").read_text().splitlines()
    values = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(values["difference"]) == result["difference"]
    assert float(values["low"]) == result["low"]
    assert values["model"] == "a"
