"""What a simulation is: every setting of a recipe, with its range and its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fgrpo.recipes.settings import (
    NAME_PATTERN,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Settings,
)
from fgrpo.simulation.policy import MOST_ACTIONS

LARGEST_GROUP = 1 << 30
BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8  # Adam's, not settings

FiniteFloat = Annotated[float, Field(allow_inf_nan=False)]
Reward = Annotated[float, Field(ge=-1e6, le=1e6)]
GroupSize = Annotated[int, Field(ge=2, le=LARGEST_GROUP)]


class PolicySettings(Settings):
    """The initial policy: a common correct action, rare correct ones, and wrong ones."""

    actions: Annotated[int, Field(ge=2, le=MOST_ACTIONS, description="Number of actions.")] = (
        128_000
    )
    correct: Annotated[int, Field(ge=1, description="How many of them are correct.")] = 10_000
    anchor_logit: Annotated[
        FiniteFloat, Field(description="Initial logit of the one common correct action.")
    ] = 5.0
    correct_logit: Annotated[
        FiniteFloat, Field(description="Initial logit of every other correct action.")
    ] = 3.0
    wrong_logit: Annotated[
        FiniteFloat, Field(description="Initial logit of every wrong action.")
    ] = 0.0
    logits: Annotated[
        Path | None,
        Field(
            description="CSV file with the columns logit, correct (0 or 1) and, if wanted, count; "
            "it takes the place of the five fields above. Relative to the working directory."
        ),
    ] = None

    @model_validator(mode="after")
    def _some_are_wrong(self) -> Self:
        if self.logits is None and self.correct >= self.actions:
            raise ValueError(
                f"correct {self.correct} must be below actions {self.actions}: without a wrong "
                "action no group is mixed"
            )
        return self


class UpdateSettings(Settings):
    """How a group moves the logits."""

    reward_correct: Reward = 1.0
    reward_wrong: Reward = -1.0
    learning_rate: PositiveFloat = 1e-2
    optimizer: Annotated[
        Literal["adam", "sgd"],
        Field(description="Adam (β 0.9 and 0.999, ε 1e-8), or plain gradient ascent."),
    ] = "adam"
    scale: Annotated[
        Literal["none", "std", "population_std"],
        Field(description="What the advantages R − mean R are divided by."),
    ] = "none"
    surrogate: Annotated[
        Literal["ratio", "probability"],
        Field(
            description="The objective of a rollout: advantage × p/p_old as in a trainer, or "
            "advantage × p as in the paper's eq. 5."
        ),
    ] = "ratio"

    @model_validator(mode="after")
    def _correct_is_better(self) -> Self:
        if self.reward_correct <= self.reward_wrong:
            raise ValueError(
                f"reward_correct {self.reward_correct:g} must be above reward_wrong "
                f"{self.reward_wrong:g}"
            )
        return self


class SimulationRecipe(Settings):
    """A sweep: every group size with every γ and every seed, from one policy."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    description: str = ""
    policy: PolicySettings = PolicySettings()
    update: UpdateSettings = UpdateSettings()
    group_sizes: Annotated[list[GroupSize], Field(min_length=1)]
    gammas: list[NonNegativeFloat] = Field(default=[0.0, 1.0], min_length=1)
    seeds: list[NonNegativeInt] = Field(default=[0], min_length=1)
    steps: PositiveInt = 1000

    @model_validator(mode="after")
    def _no_doubles(self) -> Self:
        for kind in ("group_sizes", "gammas", "seeds"):
            values = getattr(self, kind)
            doubled = sorted({value for value in values if values.count(value) > 1})
            if doubled:
                raise ValueError(f"{kind} must differ; given twice: {doubled[0]:g}")
        return self
