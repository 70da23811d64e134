"""``fgrpo reproduce``: the paper's figures and tables, ours beside the paper's."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.cores import cores
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from fgrpo.reproduce.item import Item
    from fgrpo.simulation.result import Sweep


def reproduce(
    show_list: Annotated[bool, typer.Option("--list", help="List the items and exit.")] = False,
    items: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="NAME", help="What to make, one or more; default all."),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            help="Size of what is trained and simulated: small (minutes on two cores), medium (an "
            "hour or two), paper (a GPU for days)."
        ),
    ] = "small",
    patterns: Annotated[
        list[str] | None,
        typer.Option("--arms", metavar="PATTERN", help="Only the maze's arms like '*-n8'."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(help="Folder of the runs, those of fgrpo run and fgrpo simulate among them."),
    ] = Path("runs"),
    page: Annotated[
        Path | None,
        typer.Option(help="Where to write the page; default reproduction.md with the results."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Jobs at a time; default one per core.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Make figures and tables of the paper, each beside the paper's own numbers.

    Every item is one command: --item figure-2. What needs training or simulation is run, or gone on
    with, in the folders that `fgrpo run` and `fgrpo simulate` use; a finished run is only read. The
    language-model tables show the paper's numbers. All results so far make one page.
    """
    from fgrpo.reproduce.catalogue import ITEMS, chosen
    from fgrpo.reproduce.page import write_page

    if show_list:
        for item in ITEMS:
            print(f"{item.name:10} {item.title}")
        return
    to_make = chosen(items or [])
    runs = _Runs(scale, out, patterns, workers, device)
    runs.check(to_make)
    results = out / "reproduction"
    page = page or results / "reproduction.md"
    with stoppable():
        for item in to_make:
            _make(item, runs, results)
        write_page(results, page)
    print(f"\nPage: {page}")


def _make(item: Item, runs: _Runs, results: Path) -> None:
    """Make one item, keep it, and say what came out."""
    from fgrpo.provenance import provenance
    from fgrpo.reproduce.item import verdict
    from fgrpo.reproduce.results import save_result

    made = item.make(runs)
    command = f"fgrpo reproduce --item {item.name}"
    if item.needs:
        command += f" --scale {runs.scale}"
    made_by = provenance(shlex.join(["fgrpo", *sys.argv[1:]]), runs.device)
    save_result(results, item, runs.scale, made, made_by, command)
    found = f" Ours: {made.ours}." if made.claims else ""
    print(f"{item.name}: {verdict(made.claims)}.{found} The paper: {made.paper}.")


@dataclass
class _Runs:
    """Trains and simulates with bars, each run once; as `fgrpo.reproduce.item.Runs`."""

    scale: str
    out: Path
    patterns: list[str] | None
    workers: int | None
    device: str

    def check(self, items: list[Item]) -> None:
        """Refuse what cannot be made here before anything is made."""
        from fgrpo.cli import run, simulate
        from fgrpo.reproduce.scales import SCALES

        if self.scale not in SCALES:
            raise UsageError(f"--scale {self.scale!r}: must be one of {', '.join(SCALES)}")
        needed = {item.needs for item in items}
        if "simulation" in needed:
            simulate.check_installed(self.device)
        if "maze" in needed:
            run.check_installed(self.device)

    def simulation(self) -> Sweep:
        """Return the finished simulation of figure 2."""
        return self._simulation

    def maze(self) -> Path:
        """Return the folder of the finished maze run, its report written."""
        return self._maze

    @cached_property
    def _simulation(self) -> Sweep:
        from fgrpo.cli.simulate import sweep_and_report
        from fgrpo.recipes.load import load
        from fgrpo.reproduce.scales import SCALES
        from fgrpo.simulation.settings import SimulationRecipe

        changes = list(SCALES[self.scale].simulation)
        recipe = load(SimulationRecipe, "figure-2", changes, "simulate")
        return sweep_and_report(
            recipe,
            self.out / recipe.name,
            device=self.device,
            workers=self.workers or cores(),
        )

    @cached_property
    def _maze(self) -> Path:
        from fgrpo.cli.run import train_and_report
        from fgrpo.lab.recipe import choose_arms, load_recipe
        from fgrpo.reproduce.scales import SCALES

        recipe = load_recipe(SCALES[self.scale].maze)
        arms = choose_arms(recipe, self.patterns) if self.patterns else None
        folder = self.out / recipe.name
        train_and_report(recipe, folder, arms=arms, device=self.device, workers=self.workers)
        return folder
