"""The same training twice: in the lab, and in TRL from the lab's rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM, TrainerCallback

from fgrpo import maze
from fgrpo.advantage import focal_advantages
from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from fgrpo.lab.sampling import Rollouts, sample
from fgrpo.lab.seeds import Purpose, numpy_rng, torch_rng
from fgrpo.lab.settings import Recipe, TrainSettings
from fgrpo.lab.task import MazeTask
from fgrpo.lab.update import make_optimizer, policy_update
from fgrpo.lab.weights import load_model
from fgrpo.maze import VOCAB_SIZE, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

RECIPE = Recipe.model_validate(
    {
        "name": "twins",
        "maze": {"size": 7},
        "model": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 64,
        },
        "sft": {"steps": 100, "learning_rate": 5e-3},
        "arms": [{"name": "any"}],
        "evaluation": {"problems": 8, "samples": 2},
    }
)
TASK = MazeTask(RECIPE.maze, RECIPE.evaluation.problems, RECIPE.evaluation.seed)
LONGEST_RESPONSE = 11  # below what some of the solutions take, so that responses are cut
TRL_EPSILON = 1e-4  # what TRL adds to the deviation of the rewards; the lab's default is 1e-6
# With the paper's bounds; TRL's cap of CISPO is the ratio itself, not its distance from 1.
TRL_METHODS: dict[str, dict[str, Any]] = {
    "grpo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.2},
    "dapo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28},
    "cispo": {"loss_type": "cispo", "epsilon_high": 6.0},
}


class Step(NamedTuple):
    """Mazes and rollouts of one step."""

    walls: np.ndarray
    rollouts: Rollouts
    rewards: Tensor


class Trace(NamedTuple):
    """What a training left after each gradient step; row 0 is the beginning."""

    weights: Tensor
    """(steps + 1, parameters)"""
    moments: Tensor
    """AdamW's first moments, which are linear in the gradients; the shape of ``weights``."""
    norms: list[float]
    """Of the gradients after clipping; one for each gradient step."""


class Recorder:
    """Reads a model and its optimiser, parameters in the order of their names."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._parameters = [parameter for _, parameter in sorted(model.named_parameters())]
        self._weights = [_flat(self._parameters)]
        self._moments = [torch.zeros_like(self._weights[0])]
        self._norms: list[float] = []

    def read(self, optimizer: Any) -> None:
        self._weights.append(_flat(self._parameters))
        self._moments.append(_flat(optimizer.state[p]["exp_avg"] for p in self._parameters))
        self._norms.append(float(_flat(p.grad for p in self._parameters).norm()))

    def trace(self) -> Trace:
        return Trace(torch.stack(self._weights), torch.stack(self._moments), self._norms)


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten().clone() for tensor in tensors])


class Distance(NamedTuple):
    """How far two trainings are apart, at the worst of their steps."""

    weights: float
    """Norm of the weights' difference over that of their way from the beginning."""
    moments: float
    """Norm of the moments' difference over that of the moments."""

    @classmethod
    def of(cls, one: Trace, other: Trace) -> Distance:
        assert torch.equal(one.weights[0], other.weights[0])
        way = (one.weights - one.weights[0])[1:].norm(dim=1)
        apart = (one.weights - other.weights)[1:].norm(dim=1)
        moments = (one.moments - other.moments)[1:].norm(dim=1) / one.moments[1:].norm(dim=1)
        return cls(float((apart / way).max()), float(moments.max()))


def train_in_lab(
    base: Path,
    settings: TrainSettings,
    edit: Callable[[Rollouts, Tensor], None] = lambda rollouts, advantages: None,
) -> tuple[Trace, list[Step], list[dict[str, float]]]:
    """Sample, score and update with the lab's functions; ``edit`` may change the advantages.

    Returns what training left, what it was given, and the figures of the updates.
    """
    model = load_model(base)
    optimizer = make_optimizer(model, settings)
    recorder = Recorder(model)
    optimizer.register_step_post_hook(lambda optimizer, *_: recorder.read(optimizer))
    steps, figures = [], []
    for step in range(settings.steps):
        rng = numpy_rng(0, Purpose.TRAINING_MAZES, step)
        walls = TASK.training_mazes(rng, settings.prompts_per_step)
        rollouts = sample(
            model,
            TASK.prompts(walls),
            settings.group_size,
            max_tokens=LONGEST_RESPONSE,
            eos=Token.EOS,
            pad=Token.PAD,
            generator=torch_rng(0, Purpose.ROLLOUTS, step),
            temperature=settings.temperature,
        )
        rewards = TASK.rewards(walls, rollouts.tokens)
        advantages = focal_advantages(
            rewards.flatten(),
            settings.group_size,
            gamma=settings.gamma,
            scale=settings.scale,
            epsilon=TRL_EPSILON,
        ).view_as(rewards)
        edit(rollouts, advantages)
        generator = torch_rng(0, Purpose.MINIBATCHES, step)
        figures.append(
            policy_update(
                model, optimizer, rollouts, advantages, settings, step=step, generator=generator
            )
        )
        steps.append(Step(walls, rollouts, rewards))
    return recorder.trace(), steps, figures


def tokenizer() -> PreTrainedTokenizerFast:
    """One word for each token id of the mazes."""
    words = {f"<{i}>": i for i in range(VOCAB_SIZE)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<31>")),
        pad_token=f"<{Token.PAD.value}>",
        eos_token=f"<{Token.EOS.value}>",
        padding_side="left",
    )


def trl_options(settings: TrainSettings) -> dict[str, Any]:
    """Return what the lab's settings are in TRL's configuration."""
    method = dict(TRL_METHODS[settings.method])
    if settings.clip_high is not None:
        method["epsilon_high"] = settings.clip_high + (settings.method == "cispo")
    if settings.aggregate == "sequence_mean":
        method["loss_type"] = "grpo"
    return {
        **method,
        "beta": 0.0,
        "scale_rewards": {"std": "group", "none": "none"}[settings.scale],
        "focal_gamma": settings.gamma,
        "temperature": settings.temperature,
        "num_generations": settings.group_size,
        "num_iterations": settings.epochs,
        "max_steps": settings.steps * settings.epochs,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
    }


def train_in_trl(
    base: Path,
    settings: TrainSettings,
    steps: list[Step],
    folder: Path,
    *,
    micro_batches: int = 1,
    own_optimizer: bool = False,
    **changes: Any,
) -> Trace:
    """Train with the focal trainer from the lab's rollouts, scored anew by the maze's verifier.

    ``changes`` override its configuration. TRL's own optimiser decays matrices alone, so AdamW
    over all parameters is handed over, unless ``own_optimizer``.
    """
    size = settings.group_size
    walls = np.concatenate([step.walls for step in steps])
    batches = iter(steps)

    def rollout(prompts: list[str], trainer: FocalGRPOTrainer) -> dict[str, Any]:
        step = next(batches)
        asked = walls[[int(prompt) for prompt in prompts]]
        assert np.array_equal(asked, step.walls.repeat(size, axis=0))
        lengths = step.rollouts.lengths.flatten().tolist()

        def cut(padded: Tensor) -> list[list[Any]]:
            rows = padded.flatten(0, 1).tolist()
            return [row[:length] for row, length in zip(rows, lengths, strict=True)]

        return {
            "prompt_ids": step.rollouts.prompts.repeat_interleave(size, 0).tolist(),
            "completion_ids": cut(step.rollouts.tokens),
            "logprobs": cut(step.rollouts.logprobs),
        }

    def solved(prompts: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [
            float(maze.rewards(walls[int(prompt)], np.array(ids)))
            for prompt, ids in zip(prompts, completion_ids, strict=True)
        ]

    class Record(TrainerCallback):
        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            recorder.read(trainer.optimizer)

    config = FocalGRPOConfig(
        **{
            "output_dir": str(folder),
            "report_to": "none",
            "save_strategy": "no",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "disable_dropout": True,
            "shuffle_dataset": False,
            "max_completion_length": LONGEST_RESPONSE,
            "per_device_train_batch_size": settings.prompts_per_step * size // micro_batches,
            "gradient_accumulation_steps": micro_batches,
            **trl_options(settings),
            **changes,
        }
    )
    model = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32)
    recorder = Recorder(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    trainer = FocalGRPOTrainer(
        model=model,
        reward_funcs=solved,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": [str(i) for i in range(len(walls))]}),
        processing_class=tokenizer(),
        rollout_func=rollout,
        callbacks=[Record()],
        optimizers=(None if own_optimizer else optimizer, None),
    )
    trainer.train()
    assert next(batches, None) is None
    return recorder.trace()
