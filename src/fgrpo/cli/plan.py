"""``fgrpo plan``: choose group size and γ before a run, and check its batches."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from fgrpo.cli.plan_asked import asked_for, check_together
from fgrpo.cli.plan_batch import BatchOptions
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from fgrpo.cli.plan_pilot import PilotRecords
    from fgrpo.plan import Asked, Plan
    from fgrpo.plan.batches.check import BatchCheck

_TABLE = 80  # columns at least; on a narrower terminal lines break, and nothing is cut
_TRL, _VERL = "Batches of TRL", "Batches of verl"


def plan(
    success: Annotated[
        list[float] | None,
        typer.Option(
            "--success",
            metavar="RATE…",
            help="Guessed success rates of the prompts; give these or a pilot.",
        ),
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Samples of some of the prompts: a record file, or a folder of fgrpo evaluate.",
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            "--benchmark",
            metavar="NAME…",
            help="Take the pilot's prompts of these benchmarks; default all.",
        ),
    ] = None,
    solutions: Annotated[
        str | None,
        typer.Option(
            metavar="text|answer",
            help="What tells the pilot's correct solutions apart: the whole text, or the boxed "
            "answer; default text, where the pilot holds texts.",
        ),
    ] = None,
    rare: Annotated[
        list[float] | None,
        typer.Option(
            "--rare",
            metavar="SHARE…",
            help="Which answers are rare: those with this share ρ of a prompt's correct mass, so "
            "with the probability τ = ρ × success rate; default 0.05 0.1 0.2.",
        ),
    ] = None,
    rare_mass: Annotated[
        list[float] | None,
        typer.Option(
            "--rare-mass",
            metavar="TAU…",
            help="The same as probabilities τ; with one --success.",
        ),
    ] = None,
    group_sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--group-sizes", metavar="N…", help="Rows of the tables; default 2, 4, 8 … 1024."
        ),
    ] = None,
    gammas: Annotated[
        list[float] | None,
        typer.Option(
            "--gammas",
            metavar="GAMMA…",
            help="Exponents γ of the focal weight in the table of drain; default 0 0.5 1.",
        ),
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Probability of a tail miss to stay below; default 0.05."
        ),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(metavar="ROLLOUTS", help="Rollouts a step: prompts × N.")
    ] = None,
    min_prompts: Annotated[
        int | None,
        typer.Option(
            metavar="PROMPTS",
            help="Prompts a step that the advice leaves of the budget; default 64, or what groups "
            "of 8 leave if that is fewer.",
        ),
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Of the intervals with a pilot; default 0.9."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the posterior draws and the bootstrap.")
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the page, tables and figures; default runs/plan."
        ),
    ] = None,
    trainer: Annotated[
        str | None,
        typer.Option(
            metavar="trl|verl",
            help="Check whether this trainer can cut its batches so; also without a plan.",
        ),
    ] = None,
    group_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Group size of the batches; default the recommended one."),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Processes; default 1.", rich_help_panel=_TRL)
    ] = None,
    per_device: Annotated[
        int | None,
        typer.Option(help="per_device_train_batch_size, completions.", rich_help_panel=_TRL),
    ] = None,
    accumulation: Annotated[
        int | None,
        typer.Option(help="gradient_accumulation_steps; default 1.", rich_help_panel=_TRL),
    ] = None,
    steps_per_generation: Annotated[
        int | None,
        typer.Option(help="steps_per_generation; default as --accumulation.", rich_help_panel=_TRL),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(help="num_iterations; default 1.", rich_help_panel=_TRL)
    ] = None,
    prompts: Annotated[
        int | None,
        typer.Option(help="data.train_batch_size, prompts of a step.", rich_help_panel=_VERL),
    ] = None,
    mini_batch: Annotated[
        int | None,
        typer.Option(help="ppo_mini_batch_size, prompts of an update.", rich_help_panel=_VERL),
    ] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(help="ppo_micro_batch_size_per_gpu, rollouts.", rich_help_panel=_VERL),
    ] = None,
    log_prob_micro_batch: Annotated[
        int | None,
        typer.Option(
            help="log_prob_micro_batch_size_per_gpu, rollouts; default as --micro-batch.",
            rich_help_panel=_VERL,
        ),
    ] = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic", help="use_dynamic_bsz: micro batches by tokens.", rich_help_panel=_VERL
        ),
    ] = False,
    gpus: Annotated[
        int | None, typer.Option(help="GPUs of each node; default 8.", rich_help_panel=_VERL)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(help="Nodes; default 1.", rich_help_panel=_VERL)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="ppo_epochs; default 1.", rich_help_panel=_VERL)
    ] = None,
) -> None:
    """Choose the group size N and the exponent γ before a run, from guesses or from a pilot.

    Shown for every N: how many groups teach nothing (all right or all wrong), how likely a group
    is to teach while it misses the rare correct answers, what a budget of rollouts buys, what an
    update drains from the answers it missed; and what to choose, with the reason.

    fgrpo plan --success 0.3 0.5 --rare 0.05 0.1 --budget 1024

    fgrpo plan --pilot runs/base --budget 1024 --trainer verl --prompts 128 --mini-batch 32
    --micro-batch 8

    fgrpo plan --trainer trl --processes 8 --per-device 4 --accumulation 2 --group-size 16
    """
    batch = BatchOptions(
        trainer,
        group_size,
        {
            "--processes": processes,
            "--per-device": per_device,
            "--accumulation": accumulation,
            "--steps-per-generation": steps_per_generation,
            "--iterations": iterations,
        },
        {
            "--prompts": prompts,
            "--mini-batch": mini_batch,
            "--micro-batch": micro_batch,
            "--log-prob-micro-batch": log_prob_micro_batch,
            "--dynamic": dynamic or None,
            "--gpus": gpus,
            "--nodes": nodes,
            "--epochs": epochs,
        },
    )
    planned = {
        "--rare": rare,
        "--rare-mass": rare_mass,
        "--group-sizes": group_sizes,
        "--gammas": gammas,
        "--target": target,
        "--budget": budget,
        "--min-prompts": min_prompts,
        "--level": level,
        "--out": out,
    }
    of_pilot = {"--benchmark": benchmark, "--solutions": solutions}
    check_together(success, pilot, batch, planned, of_pilot)
    try:
        if success or pilot:
            asked = asked_for(planned, success)
            checked = _plan(asked, success, pilot, of_pilot, seed, batch, out or Path("runs/plan"))
        else:
            checked = batch.check(None, None)
            _print(batch.blocks(checked))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        raise typer.Exit(130) from None
    if checked is not None and not checked.valid:
        raise typer.Exit(2)


def _plan(
    asked: Asked,
    success: Sequence[float] | None,
    pilot: Path | None,
    of_pilot: dict[str, Any],
    seed: int,
    batch: BatchOptions,
    out: Path,
) -> BatchCheck | None:
    """Plan, check the batch, write; only then print."""
    import numpy as np

    from fgrpo.cli.plan_output import blocks
    from fgrpo.cli.plan_pilot import read_pilot
    from fgrpo.plan import plan_for_pilot, plan_for_rates
    from fgrpo.plan.write import write_plan
    from fgrpo.provenance import provenance

    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: not a folder")
    records: PilotRecords | None = None
    if pilot is not None:
        by = cast("Literal['text', 'answer'] | None", of_pilot["--solutions"])
        records = read_pilot(pilot, of_pilot["--benchmark"] or (), by)
    try:
        if records is not None:
            rng = np.random.default_rng(seed)
            found = plan_for_pilot(records.counts, rng, labelled=records.labelled, asked=asked)
            found = replace(found, warnings=found.warnings + records.notes)
        else:
            found = plan_for_rates(success or (), asked)
    except ValueError as error:  # everything a plan refuses was asked for here
        raise UsageError(str(error)) from error
    checked = _check_batch(batch, found)
    made = provenance(shlex.join(["fgrpo", *sys.argv[1:]]), None, ("numpy", "scipy", "matplotlib"))
    page = write_plan(found, out, made_by=made, batch=checked)
    shown = blocks(found, pilot, _width(), by=of_pilot["--solutions"] or "text")
    if checked is not None:
        shown += ["", *batch.blocks(checked)]
    _print(shown)
    print(f"\nPage: {page}")
    return checked


def _check_batch(batch: BatchOptions, found: Plan) -> BatchCheck | None:
    if batch.trainer is None:
        return None
    if batch.group_size is None and found.recommendation.group_size is None:
        raise UsageError(
            "--trainer needs --group-size here: this pilot is too small to recommend one"
        )
    return batch.check(found.recommendation.group_size, found.asked.budget)


def _width() -> int:
    from rich.console import Console

    return max(Console().width, _TABLE)


def _print(shown: Sequence[Table | str]) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    console.width = _width()
    for block in shown:
        console.print(block)
