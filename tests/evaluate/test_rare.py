"""ΔNLL_rare: which right answers are chosen, and what is computed."""

import json
import math

import numpy as np
import pytest
import torch
from nll_models import network
from peft import LoraConfig, get_peft_model
from rare_evaluations import (
    PROBLEMS,
    RIGHT,
    all_by_hand,
    base_of,
    evaluation,
    messages_of,
    record_of,
    row_of,
    text_of,
)
from test_nll import by_hand

from fgrpo.errors import UsageError
from fgrpo.evaluate.nll import Tokens
from fgrpo.evaluate.rare.measure import measure, rarest
from fgrpo.evaluate.rare.models import parse_model, parse_models
from fgrpo.evaluate.rare.source import RightAnswers, open_source
from fgrpo.evaluate.samplers.base import Request, SamplingSettings
from fgrpo.evaluate.samplers.transformers import TransformersSampler
from fgrpo.evaluate.texts import TextStore
from fgrpo.records import Record, RecordStore

pytestmark = pytest.mark.slow


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
