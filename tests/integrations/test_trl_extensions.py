"""The focal trainer with TRL's other features: tools, evaluation, LoRA, tables, other trainers."""

import statistics

import pandas as pd
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from trl import GRPOTrainer
from trl_runs import (
    RENAMED,
    Recorded,
    Seen,
    agree,
    counted,
    distance,
    focal,
    questions,
    same,
    settings,
    train,
    weights_of,
)

from fgrpo.integrations.trl import FocalAdvantages, FocalGRPOTrainer
from tiny_llm import byte_tokenizer, tiny_model

pytestmark = [pytest.mark.slow, RENAMED]


def ramped(trainer_class):
    """Return the trainer with another advantage for each token: half as much at each step."""

    class Ramped(trainer_class):
        def _generate_and_score_completions(self, *args, **kwargs):
            output = super()._generate_and_score_completions(*args, **kwargs)
            decay = 0.5 ** torch.arange(output["completion_ids"].shape[1])
            output["advantages"] = output["advantages"][:, None] * decay
            return output

    return Ramped


def test_an_advantage_for_each_token(tmp_path):
    class Focal(Recorded, FocalAdvantages, ramped(GRPOTrainer)):
        pass

    focal_run = train(Focal, focal(tmp_path))
    assert focal_run.trainer.batches[0].advantages.shape == (16, 5)
    counted_run = train(counted(ramped(GRPOTrainer)), settings(tmp_path))
    agree(focal_run, counted_run, train(ramped(GRPOTrainer), settings(tmp_path)))


def double(number: int) -> int:
    """Double a number.

    Args:
        number: The number.

    Returns:
        Twice the number.
    """
    return 2 * number


TOOL_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% for call in m.get('tool_calls') or [] %}"
    "<tool_call>{{ call['function'] | tojson }}</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOOL_ANSWER = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": "</tool_call>",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}
CALL = '<tool_call>{"name": "double", "arguments": {"number": 2}}</tool_call><|im_end|>'


class Calling(GRPOTrainer):
    """Every other answer begins with a tool call: a random model would never write one."""

    def _generate(self, prompts):
        self.first_turn = True
        return super()._generate(prompts)

    def _generate_single_turn(self, *args, **kwargs):
        answers, log_probs = super()._generate_single_turn(*args, **kwargs)
        if self.first_turn:
            call = self.processing_class(CALL, add_special_tokens=False)["input_ids"]
            answers = [call if i % 2 else own for i, own in enumerate(answers)]
        self.first_turn = False
        return answers, log_probs


def test_tool_calls(tmp_path):
    class Focal(FocalAdvantages, Calling):
        pass

    words = byte_tokenizer()
    words.chat_template, words.response_template = TOOL_CHAT, TOOL_ANSWER
    chats = [[{"role": "user", "content": f"{i}+1="}] for i in range(8)]
    kwargs = {
        "train_dataset": Dataset.from_dict({"prompt": chats}),
        "processing_class": words,
        "tools": [double],
    }
    args = settings(tmp_path, max_steps=1, max_completion_length=120)
    runs = [train(kind, args, **kwargs) for kind in (Focal, counted(Calling), Calling)]
    assert runs[0].logs[0]["tools/call_frequency"] == 0.5
    assert runs[0].logs[0]["tools/failure_frequency"] == 0
    agree(*runs)


def plain_advantages(rewards, size):
    """TRL's default advantages, in plain Python."""
    for start in range(0, len(rewards), size):
        group = rewards[start : start + size]
        deviation = statistics.stdev(group) if size > 1 else 0
        yield from ((reward - statistics.fmean(group)) / (deviation + 1e-4) for reward in group)


@pytest.mark.parametrize("eval_size", [2, 1])
def test_evaluation_has_groups_of_its_own_size(tmp_path, eval_size):
    args = focal(
        tmp_path,
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
        num_generations_eval=eval_size,
        per_device_eval_batch_size=8,
    )
    run = train(Seen, args, eval_dataset=questions(8))
    for batch in run.trainer.batches:
        size = 4 if batch.mode == "train" else eval_size
        rewards = [row[0] for row in batch.rewards]
        pairs = zip(weights_of(rewards, size, 0.5), plain_advantages(rewards, size), strict=True)
        expected = [weight * advantage for weight, advantage in pairs]
        assert batch.advantages.tolist() == pytest.approx(expected, abs=1e-5)
    logged = [row["eval_focal/weight_mean"] for row in run.logs if "eval_loss" in row]
    batches = [batch for batch in run.trainer.batches if batch.mode == "eval"]
    assert len(batches) == len(logged) * eval_size == 2 * eval_size
    means = [
        statistics.fmean(weights_of([row[0] for row in batch.rewards], eval_size, 0.5))
        for batch in batches
    ]
    expected = [statistics.fmean(means[i : i + eval_size]) for i in (0, eval_size)]
    assert logged == pytest.approx(expected, abs=1e-6)
    assert set(logged) != {1.0}


def test_the_update_scale_is_what_the_weight_leaves(tmp_path):
    run = train(Seen, focal(tmp_path, max_steps=6))
    for batch, row in zip(run.trainer.batches, run.logs, strict=False):
        before = sum(map(abs, plain_advantages([row[0] for row in batch.rewards], 4)))
        scale = batch.advantages.abs().sum().item() / before
        assert row["focal/update_scale"] == pytest.approx(scale, rel=1e-4)
        assert 0 < scale < 1


def test_no_update_has_no_scale(tmp_path):
    def never(completion_ids, **_):
        return [0.0] * len(completion_ids)

    (row, _) = train(FocalGRPOTrainer, focal(tmp_path, max_steps=1), rewards=never).logs
    assert row["focal/weight_mean"] == 1
    assert "focal/update_scale" not in row


def test_a_lora_adapter(tmp_path):
    kwargs = {"peft_config": LoraConfig(r=4, target_modules=["q_proj", "v_proj"])}
    args = settings(tmp_path, learning_rate=5.0)
    plain = train(GRPOTrainer, args, **kwargs)
    focal_run = train(FocalGRPOTrainer, focal(tmp_path, learning_rate=5.0), **kwargs)
    agree(focal_run, train(counted(), args, **kwargs), plain)
    fresh = dict(tiny_model().named_parameters())
    for name, value in focal_run.weights.items():
        if "lora" not in name:
            original = name.removeprefix("base_model.model.").replace(".base_layer", "")
            assert torch.equal(value, fresh[original])
    unweighted = focal(tmp_path, learning_rate=5.0, focal_gamma=0)
    assert same(train(FocalGRPOTrainer, unweighted, **kwargs), plain)


def test_the_table_of_completions_has_the_weight(tmp_path):
    args = focal(
        tmp_path,
        log_completions=True,
        num_completions_to_print=1,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=8,
        focal_gamma=1.0,
    )
    run = train(Seen, args)
    for step, batch in enumerate(run.trainer.batches, 1):
        table = pd.read_parquet(tmp_path / "completions" / f"completions_{step:05d}.parquet")
        rewards = [row[0] for row in batch.rewards]
        assert table["thirds"].tolist() == rewards
        assert table["focal_weight"].tolist() == weights_of(rewards, 4, 1.0)
        # The advantage beside it is TRL's own; the product is what trains.
        advantages = table["advantage"].tolist()
        assert advantages == pytest.approx(list(plain_advantages(rewards, 4)), abs=1e-5)
        product = (table["advantage"] * table["focal_weight"]).tolist()
        assert product == pytest.approx(batch.advantages.tolist(), abs=1e-6)
    assert step == 3


def test_a_plain_configuration_gets_the_defaults(tmp_path):
    args = settings(tmp_path)
    focal_run = train(FocalGRPOTrainer, args)
    agree(focal_run, train(counted(gamma=0.5), args), train(GRPOTrainer, args))


def test_the_attributes_of_a_class_are_its_settings(tmp_path):
    class Squared(FocalAdvantages, GRPOTrainer):
        focal_gamma = 2.0
        focal_threshold = 3.0

    def length(completion_ids, **_):
        return [float(ids[0] % 7) for ids in completion_ids]

    args = settings(tmp_path)
    kinds = (Squared, counted(gamma=2.0, threshold=3.0), GRPOTrainer)
    agree(*(train(kind, args, rewards=length) for kind in kinds))
    # The configuration's own fields come before them.
    fields = train(Squared, focal(tmp_path, focal_gamma=0), rewards=length)
    assert same(fields, train(GRPOTrainer, args, rewards=length))


@pytest.mark.filterwarnings("ignore:You are importing from 'trl.experimental'")
def test_another_trainer_of_trl(tmp_path):
    gmpo = pytest.importorskip("trl.experimental.gmpo")

    class Focal(FocalAdvantages, gmpo.GMPOTrainer):
        pass

    args = settings(tmp_path, gmpo.GMPOConfig, num_iterations=2)
    runs = [train(kind, args) for kind in (Focal, counted(gmpo.GMPOTrainer), gmpo.GMPOTrainer)]
    agree(*runs)
    assert distance(runs[2], train(GRPOTrainer, settings(tmp_path, num_iterations=2))) > 0


def test_a_tiny_model_learns(tmp_path):
    """The same sampling and the same sums each time: seeds, one thread, no accelerator."""

    def low(completion_ids, **_):
        return [float(ids[0] < 50) for ids in completion_ids]

    args = focal(
        tmp_path,
        optim="adamw_torch",
        learning_rate=0.03,
        max_steps=30,
        max_completion_length=2,
        num_generations=8,
        per_device_train_batch_size=64,
    )
    rates = [
        row["focal/success_rate_mean"]
        for row in train(FocalGRPOTrainer, args, rewards=low).logs[:-1]
    ]
    assert len(rates) == 30
    assert rates[0] < 0.35  # 50 of 259 tokens, 64 answers
    assert statistics.fmean(rates[-5:]) > 0.8
