"""What every command that runs a recipe is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Name of a shipped recipe, or a YAML file.")
]
ShowList = Annotated[bool, typer.Option("--list", help="List the recipes and exit.")]
RunFolder = Annotated[
    Path | None, typer.Option(help="Run folder; default runs/ and the recipe's name.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete the run folder first.")]
