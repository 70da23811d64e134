"""``fgrpo data``: data sets made ready to train on."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

PAPER = 39_202
"""Problems that the paper kept of DeepScaleR."""

app = typer.Typer(help="Make data sets ready to train on in verl and TRL.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make data sets ready to train on in verl and TRL."""


@app.command()
def deepscaler(
    tokenizer: Annotated[
        str, typer.Option(help="Whose tokens are counted: a model of the hub, or its folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    file: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Take this table instead of the hub's: JSON lines, JSON, CSV or Parquet with the "
            "columns problem and answer.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Commit of the hub's table; default the current one.")
    ] = None,
    max_prompt_tokens: Annotated[
        int, typer.Option(min=1, help="Leave out longer prompts, chat template included.")
    ] = 1024,
    system_prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|none",
            help="Default: that of fgrpo train, which asks for the answer in a box.",
        ),
    ] = None,
    validation: Annotated[
        int,
        typer.Option(
            min=0,
            help="Problems held out: verl needs a validation file. 0 trains on all, as the paper.",
        ),
    ] = 256,
    seed: Annotated[int, typer.Option(help="Chooses the problems held out.")] = 0,
) -> None:
    """Write DeepScaleR as verl and TRL read it, cleaned as in the paper.

    Left out are prompts that are too long, repetitions, and problems that come with different
    answers; summary.json counts them. The paper (arXiv 2602.06717) was left with 39,202 problems;
    whether the same remain here could not be checked where this was written, without the hub.

    fgrpo data deepscaler --tokenizer Qwen/Qwen2.5-7B --out data/deepscaler
    """
    _check_installed()
    if revision is not None and file is not None:
        raise UsageError("--revision is of the hub's table: leave it out with --from")
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.data.deepscaler import Settings, prepare
    from fgrpo.evaluate.prompts import prompts_for

    settings = Settings(
        tokenizer=tokenizer,
        file=file,
        revision=revision,
        max_prompt_tokens=max_prompt_tokens,
        system_prompt=prompts_for(tokenizer, system=system_prompt).system,
        validation=validation,
        seed=seed,
    )
    command = shlex.join(["fgrpo", *sys.argv[1:]])
    with stoppable("The same command begins again."), ProgressDisplay() as display:
        summary, written = prepare(settings, out, command, display.stage)
    _tell(summary, written, out)


def _check_installed() -> None:
    missing = [name for name in ("transformers", "datasets", "math_verify") if not find_spec(name)]
    if missing:
        raise UsageError(
            f"fgrpo data needs {', '.join(missing).replace('_', '-')}: "
            f"{to_install('trl')}, or '.[verl]'"
        )


def _tell(summary: Mapping[str, Any], written: bool, out: Path) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False, soft_wrap=True)
    counts, settings = summary["counts"], summary["settings"]
    console.print(_table(counts, settings["max_prompt_tokens"]))
    if settings["file"] is None:
        console.print(f"The paper kept {PAPER:,} of this data set.")
    if not_judged := summary["answers_written_differently"]["not_judged"]:
        console.print(f"{not_judged} answers could not be compared, and count as different.")
    console.print(f"{out}: {'written' if written else 'was there already, and is the same'}")
    train, held_out = (out / "verl" / f"{split}.parquet" for split in ("train", "validation"))
    thinking = summary["tokenizer"]["enable_thinking"]
    overrides = [
        f"data.train_files={train}",
        f"data.val_files={held_out if counts['validation'] else 'FILE'}",
        f"data.max_prompt_length={settings['max_prompt_tokens']}",
    ]
    if thinking is not None:
        overrides.append(f"+data.apply_chat_template_kwargs.enable_thinking={thinking}")
    console.print(f"verl: {shlex.join(overrides)}")
    options = ["--dataset_name", str(out / "trl" / "train.parquet"), "--prompt_column", "prompt"]
    if settings["system_prompt"] is None:
        options += ["--system_prompt", "none"]
    console.print(f"TRL:  fgrpo train {shlex.join(options)} …")


def _table(counts: Mapping[str, int], limit: int) -> Table:
    from rich.table import Table

    shown = Table("", "rows")
    shown.columns[1].justify = "right"
    problems = counts["conflicting_problems"]
    plural = "s" * (problems != 1)
    for name, count in (
        ("read", counts["read"]),
        ("without a problem or an answer", -counts["without_problem_or_answer"]),
        (f"longer than {limit:,} tokens", -counts["too_long"]),
        ("repeated, with the same answer", -counts["repeated"]),
        (f"with different answers ({problems:,} problem{plural})", -counts["conflicting"]),
        ("kept", counts["kept"]),
        ("of these held out for validation", counts["validation"]),
    ):
        shown.add_row(name, f"{count:,}")
    return shown
