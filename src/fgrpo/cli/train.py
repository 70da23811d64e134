"""``fgrpo train``: the focal weight in TRL's trainer."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError, to_install

_GOES_ON = "The same command with --resume_from_checkpoint true goes on from the last checkpoint."
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}


def train(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(help="Recipe: a YAML file, or one that is shipped, as recipes/trl/….yaml."),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
    help_all: Annotated[
        bool, typer.Option("--help_all", help="Show all fields, TRL's too, and exit.")
    ] = False,
) -> None:
    """Train a language model by F-GRPO, F-DAPO or F-CISPO in TRL.

    Takes any field of TRL's GRPOConfig and ModelConfig as `--field value`, and besides

    - `--model_name_or_path`: of the hub, or a folder
    - `--dataset_name`: of the hub, a local file (JSONL, JSON, CSV, Parquet), or
      `reasoning-gym:TASK`
    - `--method grpo|dapo|cispo`: the paper's loss and bounds (default grpo)
    - `--focal_gamma`: exponent of the weight (default 0.5; 0 is plain TRL)
    - `--verifier`: what judges answers (default the data set's own, or maths); `--help_all` lists
      them
    - `--system_prompt`, `--use_chat_template`, `--max_prompt_tokens`, `--prompt_column`,
      `--answer_column`, `--eval_dataset_name`
    - `--resume_from_checkpoint true`: go on from the last checkpoint of `--output_dir`

    What is given here comes before the recipe. On several devices:
    `accelerate launch -m fgrpo train …` or `torchrun -m fgrpo train …`
    """
    if show_list:
        from fgrpo.train.recipe import shipped_recipes

        print("\n".join(shipped_recipes()))
        return
    if find_spec("trl") is None:
        raise UsageError(f"fgrpo train needs TRL: {to_install('trl')}")
    if help_all:
        from fgrpo.train.arguments import make_parser

        make_parser().print_help()
        return
    given = []
    if config is not None:
        from fgrpo.train.recipe import read_recipe, recipe_path

        read_recipe(recipe_path(config))  # its `env`, before the libraries that read it
        given = ["--config", config]
    _speak_plainly()
    from fgrpo.train.run import train as run

    sys.path.append(str(Path.cwd()))  # where a verifier of one's own may lie
    # Of several processes each is stopped by their launcher, which may send more than one signal.
    alone = os.environ.get("WORLD_SIZE", "1") == "1"
    with stoppable(_GOES_ON, (signal.SIGINT,) if alone else ()):
        run([*given, *context.args], shlex.join(["fgrpo", *sys.argv[1:]]))


def _speak_plainly() -> None:
    """Show our warnings on lines of their own, and not what TRL has to say to transformers."""
    warnings.filterwarnings("ignore", ".*gradient_checkpointing.*deprecated", FutureWarning)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("\nfgrpo: warning: %(message)s"))
    logging.getLogger("fgrpo").addHandler(handler)
