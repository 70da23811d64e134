"""What every command that runs a recipe is told."""

from __future__ import annotations

import shutil
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from collections.abc import Mapping

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="Name of a shipped recipe, or a YAML file.")
]
ShowList = Annotated[bool, typer.Option("--list", help="List the recipes and exit.")]
RunFolder = Annotated[
    Path | None, typer.Option(help="Run folder; default runs/ and the recipe's name.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Delete the run folder first.")]


def print_recipes(told: Mapping[str, str]) -> None:
    """Print names and descriptions, wrapped to the terminal and set in."""
    width = max(60, shutil.get_terminal_size().columns)
    for name, description in told.items():
        lines = textwrap.wrap(description, width - 17, break_on_hyphens=False)
        print(f"{name:16}", *lines[:1])
        for line in lines[1:]:
            print(" " * 16, line)


def check_device(device: str, *, elsewhere: bool = False) -> None:
    """Refuse a device that is not there.

    Parameters
    ----------
    device
        As typed.
    elsewhere
        Whether the work is done on other machines, whose devices are not known here.

    Raises
    ------
    UsageError
        If it is neither cpu nor cuda, or cuda without a device or without PyTorch.
    """
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device!r}: must be cpu or cuda")
    if device == "cuda" and not elsewhere:
        if find_spec("torch") is None:
            raise UsageError(f"--device cuda needs PyTorch: {to_install('lab')}")
        import torch  # seconds to load, so not on the CPU

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: PyTorch finds no CUDA device here; use cpu")
