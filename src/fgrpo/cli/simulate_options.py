"""What ``fgrpo simulate`` can be told, beside what every recipe takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

POLICY, UPDATE, SWEEP = "Initial policy", "Update", "Sweep"

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field: --set update.learning_rate=0.02 (repeatable)."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Runs at a time; default one per core.")]
Device = Annotated[str, typer.Option(help="cpu, or cuda: all runs side by side in PyTorch.")]

# Fields of the recipe: the sweep.

GroupSizes = Annotated[
    list[int] | None,
    typer.Option(help="Group sizes N, each at least 2.", rich_help_panel=SWEEP),
]
Gammas = Annotated[
    list[float] | None,
    typer.Option(help="Focal exponents; 0 is no weight.", rich_help_panel=SWEEP),
]
Seeds = Annotated[list[int] | None, typer.Option(help="Seeds of the runs.", rich_help_panel=SWEEP)]
Steps = Annotated[int | None, typer.Option(help="Steps of a run.", rich_help_panel=SWEEP)]

# The initial policy.

Actions = Annotated[int | None, typer.Option(help="Number of actions.", rich_help_panel=POLICY)]
Correct = Annotated[
    int | None, typer.Option(help="How many of them are correct.", rich_help_panel=POLICY)
]
AnchorLogit = Annotated[
    float | None,
    typer.Option(help="Logit of the one common correct action.", rich_help_panel=POLICY),
]
CorrectLogit = Annotated[
    float | None,
    typer.Option(help="Logit of every other correct action.", rich_help_panel=POLICY),
]
WrongLogit = Annotated[
    float | None, typer.Option(help="Logit of every wrong action.", rich_help_panel=POLICY)
]
Logits = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns logit, correct (0 or 1) and, if wanted, count, in "
        "place of the five above.",
        rich_help_panel=POLICY,
    ),
]

# The update.

RewardCorrect = Annotated[
    float | None, typer.Option(help="Reward of a correct action.", rich_help_panel=UPDATE)
]
RewardWrong = Annotated[
    float | None,
    typer.Option(help="Reward of a wrong one, such as 0 or -1.", rich_help_panel=UPDATE),
]
LearningRate = Annotated[float | None, typer.Option(help="Of the logits.", rich_help_panel=UPDATE)]
Optimizer = Annotated[
    str | None, typer.Option(help="adam, or sgd: plain ascent.", rich_help_panel=UPDATE)
]
Scale = Annotated[
    str | None,
    typer.Option(help="Divide advantages by: none, std, population_std.", rich_help_panel=UPDATE),
]
Surrogate = Annotated[
    str | None,
    typer.Option(
        help="ratio: advantage × p/p_old, as trainers do; probability: advantage × p (eq. 5).",
        rich_help_panel=UPDATE,
    ),
]
