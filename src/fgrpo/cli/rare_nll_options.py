"""What ``fgrpo rare-nll`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BaseRecords = Annotated[
    Path,
    typer.Argument(metavar="BASE", help="The base model's evaluation folder, or records."),
]
BaseModel = Annotated[str, typer.Option(help="The base model: folder, or name on the hub.")]
TrainedModels = Annotated[
    list[str],
    typer.Option(
        "--model",
        metavar="LABEL=PATH",
        help="A trained model, or a LoRA adapter's folder; repeat for more.",
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Share = Annotated[float, typer.Option(help="Share of the right answers called rare.")]
Prompts = Annotated[
    Path | None,
    typer.Option(help="The prompts (id, messages), where BASE is a record file with texts."),
]
Chat = Annotated[
    bool | None,
    typer.Option("--chat/--no-chat", help="Use the chat template; default as evaluated."),
]
Thinking = Annotated[
    bool | None,
    typer.Option("--thinking/--no-thinking", help="For the template; default as evaluated."),
]
MaxTokens = Annotated[
    int | None, typer.Option(min=1, help="Leave out longer right answers (with prompt).")
]
Recompute = Annotated[
    bool,
    typer.Option("--recompute", help="Rank by NLLs computed here, not by recorded ones."),
]
Batch = Annotated[int, typer.Option(min=1, help="Right answers at a time.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16; one for all models.")]
Device = Annotated[
    str | None, typer.Option(help="Such as cpu or cuda:0; default a GPU if there is one.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
