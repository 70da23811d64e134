"""``fgrpo plan``: choose group size and γ before a run, and check its batches."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import typer

from fgrpo.cli import plan_options as option
from fgrpo.cli.plan_asked import asked_for, check_together
from fgrpo.cli.plan_batch import BatchOptions
from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.table import Table

    from fgrpo.cli.plan_pilot import PilotRecords
    from fgrpo.plan import Asked, Plan
    from fgrpo.plan.batches.check import BatchCheck

_TABLE = 80  # columns at least; on a narrower terminal lines break, and nothing is cut
_PLANNED = (
    "rare",
    "rare_mass",
    "group_sizes",
    "gammas",
    "target",
    "budget",
    "min_prompts",
    "level",
    "out",
)
_OF_PILOT = ("benchmark", "solutions")
_OF_TRL = ("processes", "per_device", "accumulation", "steps_per_generation", "iterations")
_OF_VERL = (
    "prompts",
    "mini_batch",
    "micro_batch",
    "log_prob_micro_batch",
    "dynamic",
    "gpus",
    "nodes",
    "epochs",
)


def plan(
    success: option.SuccessRates = None,
    pilot: option.Pilot = None,
    benchmark: option.Benchmarks = None,
    solutions: option.Solutions = None,
    rare: option.RareShares = None,
    rare_mass: option.RareMasses = None,
    group_sizes: option.GroupSizes = None,
    gammas: option.Gammas = None,
    target: option.Target = None,
    budget: option.Budget = None,
    min_prompts: option.MinPrompts = None,
    level: option.Level = None,
    seed: option.Seed = 0,
    out: option.PageFolder = None,
    trainer: option.Trainer = None,
    group_size: option.GroupSize = None,
    processes: option.Processes = None,
    per_device: option.PerDevice = None,
    accumulation: option.Accumulation = None,
    steps_per_generation: option.StepsPerGeneration = None,
    iterations: option.Iterations = None,
    prompts: option.Prompts = None,
    mini_batch: option.MiniBatch = None,
    micro_batch: option.MicroBatch = None,
    log_prob_micro_batch: option.LogProbMicroBatch = None,
    dynamic: option.Dynamic = False,
    gpus: option.Gpus = None,
    nodes: option.Nodes = None,
    epochs: option.Epochs = None,
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
    given = {**locals(), "dynamic": dynamic or None}
    batch = BatchOptions(trainer, group_size, _flags(given, _OF_TRL), _flags(given, _OF_VERL))
    planned, of_pilot = _flags(given, _PLANNED), _flags(given, _OF_PILOT)
    check_together(success, pilot, batch, planned, of_pilot)
    with stoppable(""):
        if success or pilot:
            asked = asked_for(planned, success)
            checked = _plan(asked, success, pilot, of_pilot, seed, batch, out or Path("runs/plan"))
        else:
            checked = batch.check(None, None)
            _print(batch.blocks(checked))
    if checked is not None and not checked.valid:
        raise typer.Exit(2)


def _flags(given: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return some of the options, by their flags."""
    return {f"--{name.replace('_', '-')}": given[name] for name in names}


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
