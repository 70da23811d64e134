"""``fgrpo simulate``: the paper's mechanism in a policy without a network."""

from __future__ import annotations

import json
import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from fgrpo.cli.run_options import Fresh, RecipeName, RunFolder, ShowList
from fgrpo.errors import UsageError

# The recipe's field that each option changes.
FIELDS = {
    "actions": "policy.actions",
    "correct": "policy.correct",
    "anchor_logit": "policy.anchor_logit",
    "correct_logit": "policy.correct_logit",
    "wrong_logit": "policy.wrong_logit",
    "logits": "policy.logits",
    "reward_correct": "update.reward_correct",
    "reward_wrong": "update.reward_wrong",
    "learning_rate": "update.learning_rate",
    "optimizer": "update.optimizer",
    "scale": "update.scale",
    "surrogate": "update.surrogate",
    "group_sizes": "group_sizes",
    "gammas": "gammas",
    "seeds": "seeds",
    "steps": "steps",
}
POLICY, UPDATE, SWEEP = "Initial policy", "Update", "Sweep"


def simulate(
    recipe: RecipeName = "figure-2",
    show_list: ShowList = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field: --set update.learning_rate=0.02 (repeatable)."),
    ] = None,
    out: RunFolder = None,
    fresh: Fresh = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; default one per core.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, or cuda: all runs side by side in PyTorch.")
    ] = "cpu",
    group_sizes: Annotated[
        list[int] | None,
        typer.Option(help="Group sizes N, each at least 2.", rich_help_panel=SWEEP),
    ] = None,
    gammas: Annotated[
        list[float] | None,
        typer.Option(help="Focal exponents; 0 is no weight.", rich_help_panel=SWEEP),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option(help="Seeds of the runs.", rich_help_panel=SWEEP)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of a run.", rich_help_panel=SWEEP)
    ] = None,
    actions: Annotated[
        int | None, typer.Option(help="Number of actions.", rich_help_panel=POLICY)
    ] = None,
    correct: Annotated[
        int | None, typer.Option(help="How many of them are correct.", rich_help_panel=POLICY)
    ] = None,
    anchor_logit: Annotated[
        float | None,
        typer.Option(help="Logit of the one common correct action.", rich_help_panel=POLICY),
    ] = None,
    correct_logit: Annotated[
        float | None,
        typer.Option(help="Logit of every other correct action.", rich_help_panel=POLICY),
    ] = None,
    wrong_logit: Annotated[
        float | None, typer.Option(help="Logit of every wrong action.", rich_help_panel=POLICY)
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns logit, correct (0 or 1) and, if wanted, count, in "
            "place of the five above.",
            rich_help_panel=POLICY,
        ),
    ] = None,
    reward_correct: Annotated[
        float | None, typer.Option(help="Reward of a correct action.", rich_help_panel=UPDATE)
    ] = None,
    reward_wrong: Annotated[
        float | None,
        typer.Option(help="Reward of a wrong one, such as 0 or -1.", rich_help_panel=UPDATE),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of the logits.", rich_help_panel=UPDATE)
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="adam, or sgd: plain ascent.", rich_help_panel=UPDATE)
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="Divide advantages by: none, std, population_std.", rich_help_panel=UPDATE
        ),
    ] = None,
    surrogate: Annotated[
        str | None,
        typer.Option(
            help="ratio: advantage × p/p_old, as trainers do; probability: advantage × p (eq. 5).",
            rich_help_panel=UPDATE,
        ),
    ] = None,
) -> None:
    """Simulate group-relative training of a softmax policy over many actions (figure 2).

    Which group sizes forget the rare correct actions, and what the focal weight changes. Several
    values may follow a flag: --group-sizes 8 32 --gammas 0 0.5 1. Interrupted at any moment, the
    same command goes on where it was.
    """
    from fgrpo.recipes import shipped
    from fgrpo.recipes.load import load
    from fgrpo.simulation.settings import SimulationRecipe

    if show_list:
        for name in shipped("simulate"):
            told = load(SimulationRecipe, name, folder="simulate").description
            print(f"{name:16} {' '.join(told.split())}")
        return
    given = {name: value for name, value in locals().items() if name in FIELDS}
    overrides, options = _overrides(given)
    chosen = load(
        SimulationRecipe,
        recipe,
        [*(changes or []), *overrides],
        "simulate",
        example="update.learning_rate=0.02",
        options=options,
    )
    _check_device(device)
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.files import locked
    from fgrpo.run_folder import LOCK_FILE
    from fgrpo.simulation.sweep import run_sweep
    from fgrpo.simulation.write import write_sweep

    folder = out or Path("runs") / chosen.name
    try:
        with ProgressDisplay() as display:
            run_sweep(
                chosen,
                folder,
                command=shlex.join(["fgrpo", *sys.argv[1:]]),
                device=device,
                workers=workers or os.cpu_count() or 1,
                fresh=fresh,
                announce=lambda steps: display.announce({"steps": steps}),
                show=lambda steps, text: display.show("steps", steps, text),
            )
        with locked(folder / LOCK_FILE):
            sweep = write_sweep(folder)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    from fgrpo.simulation.sentences import final_lines

    for line in final_lines(sweep):
        print(line)
    print(f"\nReport: {folder / 'report.html'}")


def _overrides(given: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Write the options as changes of the recipe's fields, and how each was typed."""
    if given["logits"] is not None:
        for name in ("actions", "correct", "anchor_logit", "correct_logit", "wrong_logit"):
            if given[name] is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} and --logits exclude each other: the file says it all")
    overrides, options = [], {}
    for name, value in given.items():
        if value is None or value == []:
            continue
        flag = f"--{name.replace('_', '-')}"
        text = json.dumps(str(value)) if isinstance(value, Path) else value
        overrides.append(f"{FIELDS[name]}={text}")
        shown = " ".join(map(str, value)) if isinstance(value, list) else value
        options[FIELDS[name]] = f"{flag} {shown}"
    return overrides, options


def _check_device(device: str) -> None:
    """Refuse what is not installed before anything is written."""
    if device not in ("cpu", "cuda"):
        raise UsageError(f"--device {device!r}: must be cpu or cuda")
    if find_spec("numba") is None:
        raise UsageError(
            "fgrpo simulate needs numba: install it with  pip install 'fgrpo[simulate]'"
        )
    if device == "cuda":
        if find_spec("torch") is None:
            raise UsageError("--device cuda needs PyTorch: pip install 'fgrpo[lab]'")
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: PyTorch finds no CUDA device here; use cpu")
