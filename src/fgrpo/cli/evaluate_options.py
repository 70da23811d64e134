"""What ``fgrpo evaluate`` can be told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

HOW = "How to sample"
WHERE = "Where the model runs"
CHECK = "Verification and output"


class SamplerKind(StrEnum):
    """The sources of completions."""

    TRANSFORMERS = "transformers"
    OPENAI = "openai"
    VLLM = "vllm"


# What is sampled, and where the records go.

Model = Annotated[
    str | None,
    typer.Option(help="Name or folder of the model; with openai, as its servers know it."),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark", "-b", help="Names or JSONL files, separated by commas; repeatable."
    ),
]
Samples = Annotated[
    int, typer.Option("--samples", "-n", min=1, help="Completions of each problem.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for the records; a begun one is completed.")]
ShowBenchmarks = Annotated[bool, typer.Option("--list", help="List the benchmarks.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what it would cost and sample nothing.")
]
Data = Annotated[
    list[str] | None,
    typer.Option(help="BENCHMARK=FILE: read its problems from a local file; repeatable."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Only the first problems of each benchmark.")
]

# How to sample.

Temperature = Annotated[
    float, typer.Option(min=0.0, help="0 takes the likeliest token.", rich_help_panel=HOW)
]
TopP = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Nucleus; 1 is off.", rich_help_panel=HOW)
]
MaxTokens = Annotated[
    int, typer.Option(min=1, help="Length limit of a completion.", rich_help_panel=HOW)
]
Stop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="End a completion before this text; repeatable.",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[int, typer.Option(min=0, rich_help_panel=HOW)]
System = Annotated[
    str | None,
    typer.Option(help="System prompt, or none; default by model family.", rich_help_panel=HOW),
]
Thinking = Annotated[
    bool | None,
    typer.Option(
        "--thinking/--no-thinking",
        help="For models with a thinking mode; default by model family.",
        rich_help_panel=HOW,
    ),
]
Chat = Annotated[
    bool | None,
    typer.Option(
        "--chat/--no-chat",
        help="Use the model's chat template; default by model family.",
        rich_help_panel=HOW,
    ),
]

# Where the model runs.

Sampler = Annotated[
    SamplerKind, typer.Option(help="Who draws the completions.", rich_help_panel=WHERE)
]
Chunk = Annotated[
    int,
    typer.Option(min=1, help="Samples of a problem in one request.", rich_help_panel=WHERE),
]
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter folder.", rich_help_panel=WHERE)]
Revision = Annotated[str | None, typer.Option(help="Commit of the model.", rich_help_panel=WHERE)]
GgufFile = Annotated[
    str | None,
    typer.Option(help="transformers: GGUF file in the model.", rich_help_panel=WHERE),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="transformers, vllm: number format.", rich_help_panel=WHERE),
]
Device = Annotated[
    str | None, typer.Option(help="transformers: cpu, cuda, …", rich_help_panel=WHERE)
]
Batch = Annotated[
    int | None,
    typer.Option(min=1, help="transformers: completions at once.", rich_help_panel=WHERE),
]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        help="openai: base URL, such as http://127.0.0.1:8000/v1; repeatable.",
        rich_help_panel=WHERE,
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(min=1, help="openai: requests at once to each URL.", rich_help_panel=WHERE),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="openai: seconds a call may take; default 600, or max-tokens / 10 if more.",
        rich_help_panel=WHERE,
    ),
]
Logprobs = Annotated[
    bool,
    typer.Option(
        "--logprobs",
        help="openai: ask for log-probabilities, which count tokens too.",
        rich_help_panel=WHERE,
    ),
]
KeyVariable = Annotated[
    str | None,
    typer.Option(help="openai: environment variable that holds the key.", rich_help_panel=WHERE),
]

# Verification and output.

Verifiers = Annotated[
    int | None,
    typer.Option(min=1, help="Verifying processes; default one per core.", rich_help_panel=CHECK),
]
VerifySeconds = Annotated[
    float,
    typer.Option(
        "--verify-seconds",
        min=0.01,
        help="Time limit of one verification.",
        rich_help_panel=CHECK,
    ),
]
UnsafeScorers = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-scorers",
        help="Allow scorers that evaluate the model's text as code.",
        rich_help_panel=CHECK,
    ),
]
Texts = Annotated[bool, typer.Option(help="Keep the completions' texts.", rich_help_panel=CHECK)]
