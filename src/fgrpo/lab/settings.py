"""What an experiment is: every setting of a recipe, with its range and its meaning.

Importing this module is cheap (pydantic and NumPy, no torch), so listing and checking recipes is
instant.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from fgrpo.maze import prompt_length
from fgrpo.recipes.settings import (
    NAME_PATTERN,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Settings,
)

# Spanning trees of the grid of cells; from size 9 on (100,352) there are plenty.
NUMBER_OF_MAZES = {5: 4, 7: 192}

# Paper, appendix B and L.2: the trust region of each method, as offsets from a ratio of 1.
CLIP_BOUNDS = {"grpo": (0.2, 0.2), "dapo": (0.2, 0.28), "cispo": (1.0, 5.0)}


class MazeSettings(Settings):
    """The task: find the only path through a maze."""

    size: Annotated[int, Field(ge=5, le=65, description="Rows and columns, odd.")] = 9
    max_response_tokens: Annotated[
        int | None,
        Field(description="A response is cut here and earns 0; empty: the longest path's tokens."),
    ] = None

    @field_validator("size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(f"must be odd (cells lie on odd rows and columns): try {size + 1}")
        return size

    @model_validator(mode="after")
    def _longest_path_fits(self) -> Self:
        if self.response_cap < self._longest:
            raise ValueError(
                f"max_response_tokens {self.max_response_tokens} cuts off right answers: the "
                f"longest path of size {self.size} takes {self._longest} tokens"
            )
        return self

    @property
    def _longest(self) -> int:
        cells = (self.size - 1) // 2
        return 2 * (cells * cells - 1) + 2  # two moves a cell, then DONE and <eos>

    @property
    def response_cap(self) -> int:
        """Most tokens of a response."""
        asked = self.max_response_tokens
        return self._longest if asked is None else asked

    @property
    def prompt_tokens(self) -> int:
        """Length of a prompt: rows with their newlines, and four marks around them."""
        return prompt_length(self.size)


class ModelSettings(Settings):
    """A Qwen2-style decoder; the names are those of a Hugging Face ``config.json``."""

    hidden_size: PositiveInt = 128
    num_hidden_layers: PositiveInt = 4
    num_attention_heads: PositiveInt = 4
    num_key_value_heads: PositiveInt = 2
    intermediate_size: PositiveInt = 384

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of twice "
                f"num_attention_heads ({self.num_attention_heads})"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} must be a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        return self


class OptimizerSettings(Settings):
    """AdamW (β = 0.9, 0.999): linear warm-up, then a constant or linearly falling rate."""

    learning_rate: PositiveFloat = 1e-4
    schedule: Literal["constant", "linear"] = "constant"
    warmup_steps: NonNegativeInt = 0
    weight_decay: NonNegativeFloat = 0.01
    max_grad_norm: PositiveFloat = 1.0


class SftSettings(OptimizerSettings):
    """Supervised training from scratch on solved mazes: the base model of every arm."""

    learning_rate: PositiveFloat = 5e-4
    steps: PositiveInt = 600
    batch_size: PositiveInt = 32
    seed: NonNegativeInt = 0


class TrainSettings(OptimizerSettings):
    """Reinforcement learning from the verifier's rewards."""

    method: Literal["grpo", "dapo", "cispo"] = "grpo"
    gamma: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="Focal exponent; 0: no weight.")
    ] = 0.0
    group_size: Annotated[int, Field(ge=2, description="Rollouts of one prompt (N).")] = 8
    prompts_per_step: PositiveInt = 32
    steps: PositiveInt = 200
    temperature: PositiveFloat = 1.0
    scale: Literal["std", "population_std", "none"] = "std"
    aggregate: Literal["token_mean", "sequence_mean"] = "token_mean"
    clip_low: Annotated[
        NonNegativeFloat | None, Field(le=1, description="Offset below 1; empty: the method's own.")
    ] = None
    clip_high: Annotated[
        NonNegativeFloat | None, Field(description="Offset above 1; empty: the method's own.")
    ] = None
    minibatches: Annotated[int, Field(ge=1, description="Updates per pass over a batch.")] = 1
    epochs: Annotated[int, Field(ge=1, description="Passes over a batch.")] = 1
    micro_batch_tokens: Annotated[
        int,
        Field(ge=1, description="Tokens a pass takes, unless one response has more."),
    ] = 2048

    @field_validator("group_size", mode="before")
    @classmethod
    def _no_singletons(cls, size: object) -> object:
        if size == 1:
            raise ValueError("a group of 1 has no advantage to learn from: use 2 or more, say 8")
        return size

    @model_validator(mode="after")
    def _minibatches_fit(self) -> Self:
        if self.minibatches > self.prompts_per_step:
            raise ValueError(
                f"minibatches {self.minibatches} exceed prompts_per_step {self.prompts_per_step}: "
                "a group is never split"
            )
        return self

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """Offsets (low, high) of the importance ratio's bounds from 1."""
        low, high = CLIP_BOUNDS[self.method]
        return (
            low if self.clip_low is None else self.clip_low,
            high if self.clip_high is None else self.clip_high,
        )


class EvaluationSettings(Settings):
    """Held-out mazes, many samples each."""

    problems: Annotated[int, Field(ge=2, description="Held-out mazes.")] = 128
    samples: Annotated[int, Field(ge=2, description="Samples of each maze (n).")] = 256
    every: Annotated[
        int, Field(ge=0, description="Also evaluate every so many steps; 0: only the end.")
    ] = 0
    seed: NonNegativeInt = 0


class ArmSettings(TrainSettings):
    """One way of training: a name and its own training settings."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]


class Recipe(Settings):
    """One experiment: arms × seeds from one base model, evaluated and compared.

    ``train`` holds what the arms share; an arm has a ``name`` and the fields in which it differs.
    """

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    description: str = ""
    maze: MazeSettings = MazeSettings()
    model: ModelSettings = ModelSettings()
    sft: SftSettings = SftSettings()
    train: TrainSettings = TrainSettings()
    arms: Annotated[list[ArmSettings], Field(min_length=1)]
    seeds: Annotated[list[NonNegativeInt], Field(min_length=1)] = Field(default=[0])
    evaluation: EvaluationSettings = EvaluationSettings()
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpoint_every: Annotated[int, Field(ge=1, description="Steps between saved states.")] = 50

    @model_validator(mode="before")
    @classmethod
    def _share_train(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        train, arms = data.get("train", {}), data.get("arms")
        if isinstance(train, dict) and isinstance(arms, list):
            merged = [{**train, **arm} if isinstance(arm, dict) else arm for arm in arms]
            data = {**data, "arms": merged}
        return data

    @model_validator(mode="after")
    def _enough_mazes(self) -> Self:
        mazes = NUMBER_OF_MAZES.get(self.maze.size)
        if mazes is not None and self.evaluation.problems >= mazes:
            raise ValueError(
                f"evaluation.problems {self.evaluation.problems} leaves none to train on: there "
                f"are {mazes} mazes of size {self.maze.size}"
            )
        return self

    @model_validator(mode="after")
    def _names_and_seeds_differ(self) -> Self:
        names = [arm.name for arm in self.arms]
        for kind, values in (("arm names", names), ("seeds", self.seeds)):
            doubled = sorted({str(v) for v in values if list(values).count(v) > 1})
            if doubled:
                raise ValueError(f"{kind} must differ; given twice: {', '.join(doubled)}")
        if "base" in names:
            raise ValueError("an arm may not be called 'base': that is the model before training")
        return self

    def reference_for(self, arm: ArmSettings) -> ArmSettings | None:
        """Return the arm that ``arm`` is compared with, or None if there is only the base.

        It is the first arm without focal weight (γ = 0) that equals ``arm`` in every setting but
        name and γ, so that nothing else can make the difference. None for that arm itself.
        """
        shared = arm.model_dump(exclude={"name", "gamma"})
        equal = (one for one in self.arms if one.model_dump(exclude={"name", "gamma"}) == shared)
        found = next((one for one in equal if one.gamma == 0), None)
        return None if found is None or found.name == arm.name else found

    def evaluation_steps(self, arm: ArmSettings) -> list[int]:
        """Return the steps after which an arm is evaluated: every so many, and its last."""
        every = self.evaluation.every
        return [*(range(every, arm.steps, every) if every else ()), arm.steps]

    @property
    def sft_hash(self) -> str:
        """Name of the base model: equal settings, equal model."""
        parts = {
            "maze": self.maze.model_dump(),
            "model": self.model.model_dump(),
            "sft": self.sft.model_dump(),
            "precision": self.precision,
            "held_out": [self.evaluation.problems, self.evaluation.seed],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
