"""``fgrpo run``: train the arms of a recipe, evaluate, compare, write the report."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fgrpo.cli.run_options import (
    Fresh,
    RecipeName,
    RunFolder,
    ShowList,
    check_device,
    print_recipes,
)
from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError, to_install

if TYPE_CHECKING:
    from collections.abc import Collection

    from fgrpo.lab.settings import Recipe


def run(
    recipe: RecipeName = "maze-small",
    show_list: ShowList = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field: --set arms.0.gamma=0.5 (repeatable)."),
    ] = None,
    patterns: Annotated[
        list[str] | None,
        typer.Option(
            "--arms", metavar="PATTERN", help="Only the arms named like '*-n8' (repeatable)."
        ),
    ] = None,
    out: RunFolder = None,
    fresh: Fresh = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Jobs at a time, which share the cores; default one per core, or one per GPU. "
            "On a CPU it changes no result.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Send the jobs to a Ray cluster: HOST:PORT, ray://HOST:PORT, auto (one that runs "
            "here) or local (a new one on this machine's cores). Without an address: what "
            "RAY_ADDRESS names, else one that runs here, else a new one. The run folder must lie "
            "on a disk that its machines share.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train the arms of a recipe from one base model, evaluate, compare, write the report.

    Interrupted at any moment, the same command goes on where it was.
    """
    from fgrpo.lab.recipe import choose_arms, load_recipe
    from fgrpo.recipes import shipped

    if show_list:
        print_recipes({name: load_recipe(name).description for name in shipped()})
        return
    chosen = load_recipe(recipe, changes)
    arms = choose_arms(chosen, patterns) if patterns else None
    check_installed(device, elsewhere=ray is not None)
    train_and_report(
        chosen,
        out or Path("runs") / chosen.name,
        arms=arms,
        device=device,
        workers=workers,
        ray=ray,
        fresh=fresh,
    )


def check_installed(device: str, *, elsewhere: bool = False) -> None:
    """Refuse what is not there before anything is written; as `check_device`."""
    if find_spec("torch") is None or find_spec("safetensors") is None:
        raise UsageError(f"fgrpo run needs PyTorch: {to_install('lab')}")
    check_device(device, elsewhere=elsewhere)


def train_and_report(
    recipe: Recipe, folder: Path, *, arms: Collection[str] | None, **how: Any
) -> None:
    """Run a recipe with bars, then write the report and print its verdicts."""
    from fgrpo.cli.progress import ProgressDisplay
    from fgrpo.files import locked
    from fgrpo.lab.experiment import run_experiment
    from fgrpo.report import write_report
    from fgrpo.run_folder import LOCK_FILE

    with stoppable():
        with ProgressDisplay() as display:
            run_experiment(
                recipe,
                folder,
                command=shlex.join(["fgrpo", *sys.argv[1:]]),
                arms=arms,
                show=lambda report: display.show(*report),
                announce=lambda jobs: display.announce({job.name: job.total for job in jobs}),
                **how,
            )
        with locked(folder / LOCK_FILE):
            verdicts = write_report(folder, arms)
    for line in verdicts:
        print(line)
    print(f"\nReport: {folder / 'report.html'}")
