"""What ``fgrpo plan`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TRL, VERL = "Batches of TRL", "Batches of verl"

# The prompts: guesses, or a pilot.

SuccessRates = Annotated[
    list[float] | None,
    typer.Option(
        "--success",
        metavar="RATE…",
        help="Guessed success rates of the prompts; give these or a pilot.",
    ),
]
Pilot = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Samples of some of the prompts: a record file, or a folder of fgrpo evaluate.",
    ),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        metavar="NAME…",
        help="Take the pilot's prompts of these benchmarks; default all.",
    ),
]
Solutions = Annotated[
    str | None,
    typer.Option(
        metavar="text|answer",
        help="What tells the pilot's correct solutions apart: the whole text, or the boxed "
        "answer; default text, where the pilot holds texts.",
    ),
]

# What to plan for.

RareShares = Annotated[
    list[float] | None,
    typer.Option(
        "--rare",
        metavar="SHARE…",
        help="Which answers are rare: those with this share ρ of a prompt's correct mass, so "
        "with the probability τ = ρ × success rate; default 0.05 0.1 0.2.",
    ),
]
RareMasses = Annotated[
    list[float] | None,
    typer.Option(
        "--rare-mass",
        metavar="TAU…",
        help="The same as probabilities τ; with one --success.",
    ),
]
GroupSizes = Annotated[
    list[int] | None,
    typer.Option("--group-sizes", metavar="N…", help="Rows of the tables; default 2, 4, 8 … 1024."),
]
Gammas = Annotated[
    list[float] | None,
    typer.Option(
        "--gammas",
        metavar="GAMMA…",
        help="Exponents γ of the focal weight in the table of drain; default 0 0.5 1.",
    ),
]
Target = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Probability of a tail miss to stay below; default 0.05."),
]
Budget = Annotated[
    int | None, typer.Option(metavar="ROLLOUTS", help="Rollouts a step: prompts × N.")
]
MinPrompts = Annotated[
    int | None,
    typer.Option(
        metavar="PROMPTS",
        help="Prompts a step that the advice leaves of the budget; default 64, or what groups "
        "of 8 leave if that is fewer.",
    ),
]
Level = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Of the intervals with a pilot; default 0.9."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the posterior draws and the bootstrap.")]
PageFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for the page, tables and figures; default runs/plan."),
]

# The batches of a trainer.

Trainer = Annotated[
    str | None,
    typer.Option(
        metavar="trl|verl",
        help="Check whether this trainer can cut its batches so; also without a plan.",
    ),
]
GroupSize = Annotated[
    int | None,
    typer.Option(metavar="N", help="Group size of the batches; default the recommended one."),
]
Processes = Annotated[int | None, typer.Option(help="Processes; default 1.", rich_help_panel=TRL)]
PerDevice = Annotated[
    int | None,
    typer.Option(help="per_device_train_batch_size, completions.", rich_help_panel=TRL),
]
Accumulation = Annotated[
    int | None,
    typer.Option(help="gradient_accumulation_steps; default 1.", rich_help_panel=TRL),
]
StepsPerGeneration = Annotated[
    int | None,
    typer.Option(help="steps_per_generation; default as --accumulation.", rich_help_panel=TRL),
]
Iterations = Annotated[
    int | None, typer.Option(help="num_iterations; default 1.", rich_help_panel=TRL)
]
Prompts = Annotated[
    int | None,
    typer.Option(help="data.train_batch_size, prompts of a step.", rich_help_panel=VERL),
]
MiniBatch = Annotated[
    int | None,
    typer.Option(help="ppo_mini_batch_size, prompts of an update.", rich_help_panel=VERL),
]
MicroBatch = Annotated[
    int | None,
    typer.Option(help="ppo_micro_batch_size_per_gpu, rollouts.", rich_help_panel=VERL),
]
LogProbMicroBatch = Annotated[
    int | None,
    typer.Option(
        help="log_prob_micro_batch_size_per_gpu, rollouts; default as --micro-batch.",
        rich_help_panel=VERL,
    ),
]
Dynamic = Annotated[
    bool,
    typer.Option(
        "--dynamic", help="use_dynamic_bsz: micro batches by tokens.", rich_help_panel=VERL
    ),
]
Gpus = Annotated[
    int | None, typer.Option(help="GPUs of each node; default 8.", rich_help_panel=VERL)
]
Nodes = Annotated[int | None, typer.Option(help="Nodes; default 1.", rich_help_panel=VERL)]
Epochs = Annotated[int | None, typer.Option(help="ppo_epochs; default 1.", rich_help_panel=VERL)]
