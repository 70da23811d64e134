"""Short GRPO runs of a tiny model on the CPU, and the weights they should have used."""

import gc
from fractions import Fraction
from typing import NamedTuple

import pytest
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from tiny_llm import byte_tokenizer, tiny_model

# Every training ends with a search for garbage, which among all that is loaded by now takes longer
# than the training: keep that out of the search.
gc.freeze()

BASE = {
    "use_cpu": True,
    "bf16": False,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
    # Plain descent follows the gradient's size, which Adam would divide away.
    "optim": "sgd",
    "lr_scheduler_type": "constant",
    "learning_rate": 0.1,
    "max_grad_norm": 0.0,
    "logging_steps": 1,
    "max_steps": 3,
    "num_generations": 4,
    "per_device_train_batch_size": 16,
    "max_completion_length": 5,
    "seed": 7,
}


# transformers renames what TRL still calls by its old name.
RENAMED = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*deprecated:FutureWarning")


class Run(NamedTuple):
    """What a training leaves: the trainer, its final weights, and the rows it logged."""

    trainer: GRPOTrainer
    weights: dict[str, torch.Tensor]
    logs: list[dict[str, float]]


class Batch(NamedTuple):
    """What `Recorded` saw of a generation batch."""

    mode: str
    rewards: list[list[float]]
    advantages: torch.Tensor


def questions(count=32):
    """Return a data set of short prompts, all different."""
    return Dataset.from_dict({"prompt": [f"{i}+1=" for i in range(count)]})


def thirds(completion_ids, **_):
    """Reward 1 for about a third of a random model's answers: token ids whose sum is a multiple."""
    return [float(sum(ids) % 3 == 0) for ids in completion_ids]


def settings(folder, config_class=GRPOConfig, **changes):
    """Return the arguments of a short run, with changes."""
    return config_class(output_dir=str(folder), **{**BASE, **changes})


def focal(folder, **changes):
    """Return the arguments of a short run of the focal trainer, with changes."""
    return settings(folder, FocalGRPOConfig, **changes)


def train(trainer_class, args, *, rewards=thirds, **kwargs):
    """Train a fresh tiny model and return the `Run`; ``kwargs`` go to the trainer.

    Everything that is random is seeded: two calls with the same arguments give the same weights.
    """
    trainer = trainer_class(
        reward_funcs=rewards,
        args=args,
        **{
            "model": tiny_model(),
            "train_dataset": questions(),
            "processing_class": byte_tokenizer(),
            **kwargs,
        },
    )
    trainer.train()
    weights = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    return Run(trainer, weights, trainer.state.log_history)


def fractions(rewards, size, threshold=0.5):
    """Return each group's success rate by counting; None where no reward could be scored."""
    rates = []
    for start in range(0, len(rewards), size):
        known = [reward for reward in rewards[start : start + size] if reward == reward]
        right = sum(reward >= threshold for reward in known)
        rates.append(Fraction(right, len(known)) if known else None)
    return rates


def weights_of(rewards, size, gamma, threshold=0.5):
    """Return the focal weight of each rollout, in plain Python."""
    return [
        1.0 if rate is None else float(1 - rate) ** gamma
        for rate in fractions(rewards, size, threshold)
        for _ in range(size)
    ]


class Recorded:
    """Mixin for a trainer: keeps every generation batch, as the classes behind it return it."""

    def __init__(self, *args, **kwargs):
        self.batches = []
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, *args, **kwargs):
        rewards = super()._calculate_rewards(*args, **kwargs)
        self.seen = rewards.tolist()
        return rewards

    def _generate_and_score_completions(self, *args, **kwargs):
        output = super()._generate_and_score_completions(*args, **kwargs)
        mode = "train" if self.model.training else "eval"
        self.batches.append(Batch(mode, self.seen, output["advantages"]))
        return output


class Seen(Recorded, FocalGRPOTrainer):
    """The focal trainer, its generation batches kept."""


class Counted(Recorded):
    """Mixin for a trainer: multiplies the advantages by weights counted in plain Python.

    Shares no code with fgrpo. For one process.
    """

    gamma = 0.5
    threshold = 0.5
    column = 0

    def _generate_and_score_completions(self, *args, **kwargs):
        output = super()._generate_and_score_completions(*args, **kwargs)
        size = self.num_generations if self.model.training else self.num_generations_eval
        rewards = [row[self.column] for row in self.seen]
        weights = torch.tensor(weights_of(rewards, size, self.gamma, self.threshold))
        advantages = output["advantages"]
        output["advantages"] = advantages * (weights if advantages.ndim == 1 else weights[:, None])
        return output


def counted(trainer_class=GRPOTrainer, **attributes):
    """Return the trainer with the weights of `Counted`: what the focal one is compared with."""
    return type("CountedTrainer", (Counted, trainer_class), attributes)


def same(run, other):
    """Whether two runs ended with the same weights, bit for bit."""
    return all(torch.equal(value, other.weights[name]) for name, value in run.weights.items())


def distance(run, other):
    """Return the largest difference between the weights of two runs."""
    return max(
        (value - other.weights[name]).abs().max().item() for name, value in run.weights.items()
    )


def agree(focal_run, counted_run, plain_run):
    """Fail unless the focal run is the counted one, and weights that mattered."""
    moved, off = distance(focal_run, plain_run), distance(focal_run, counted_run)
    assert moved > 1e-5, "the weight changed nothing: this setting tests nothing"
    assert off <= 1e-3 * moved
