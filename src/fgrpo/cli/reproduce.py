"""``fgrpo reproduce``: the paper's figures and tables, ours beside the paper's."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.cli.run_options import check_device
from fgrpo.cli.stopping import stoppable
from fgrpo.cores import cores
from fgrpo.errors import UsageError
from fgrpo.files import locked, make_folder

if TYPE_CHECKING:
    from fgrpo.lab.settings import Recipe
    from fgrpo.reproduce.item import Item
    from fgrpo.simulation.result import Sweep

_WAIT = 60.0  # seconds for another process to write its results


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
    with, in the folders that `fgrpo run` and `fgrpo simulate` use; a finished run is not made
    again. The language-model tables show the paper's numbers. All results so far make one page.
    """
    from fgrpo.reproduce.catalogue import ITEMS, chosen
    from fgrpo.reproduce.page import PAGE_NAME, write_page
    from fgrpo.run_folder import LOCK_FILE

    if show_list:
        for item in ITEMS:
            print(f"{item.name:10} {item.title}")
        return
    to_make = chosen(items or [])
    runs = _Runs(scale, out, patterns, workers, device)
    runs.check(to_make)
    results = out / "reproduction"
    page = page or results / PAGE_NAME
    if page.is_dir():
        raise UsageError(f"--page {page}: is a folder; name a file, such as {page / PAGE_NAME}")
    for folder in (results, page.parent):
        make_folder(folder)
    for item in to_make:
        runs.prepare(item)
        with stoppable():
            _make(item, runs, results)
    with stoppable(), locked(results / LOCK_FILE, wait=_WAIT):
        write_page(results, page)
    print(f"\nPage: {page}")


def _make(item: Item, runs: _Runs, results: Path) -> None:
    """Make one item, keep it, and say what came out."""
    from fgrpo.provenance import provenance
    from fgrpo.reproduce.item import verdict
    from fgrpo.reproduce.results import save_result
    from fgrpo.run_folder import LOCK_FILE

    made = item.make(runs)
    made_by = provenance(shlex.join(["fgrpo", *sys.argv[1:]]), runs.device)
    with locked(results / LOCK_FILE, wait=_WAIT):
        save_result(results, item, runs.scale, made, made_by, runs.command(item))
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
        check_device(self.device)
        needed = {item.needs for item in items}
        if "simulation" in needed:
            simulate.check_installed(self.device)
        if "maze" in needed:
            run.check_installed(self.device)
            self._recipe_and_arms()
        elif self.patterns:
            raise UsageError("--arms: none of these items trains; it is for those of the maze")

    def prepare(self, item: Item) -> None:
        """Run what an item needs; a signal then ends it as it ends `fgrpo run`."""
        if item.needs == "simulation":
            self.simulation()
        elif item.needs == "maze":
            self.maze()

    def command(self, item: Item) -> str:
        """Return what makes an item again."""
        words = ["fgrpo", "reproduce", "--item", item.name]
        if item.needs:
            words += ["--scale", self.scale]
        if item.needs == "maze" and self.patterns:
            words += ["--arms", *self.patterns]
        if item.needs and self.device != "cpu":
            words += ["--device", self.device]
        return shlex.join(words)

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

        recipe, arms = self._recipe_and_arms()
        folder = self.out / recipe.name
        train_and_report(recipe, folder, arms=arms, device=self.device, workers=self.workers)
        return folder

    def _recipe_and_arms(self) -> tuple[Recipe, list[str] | None]:
        from fgrpo.lab.recipe import choose_arms, load_recipe
        from fgrpo.reproduce.scales import SCALES

        recipe = load_recipe(SCALES[self.scale].maze)
        return recipe, choose_arms(recipe, self.patterns) if self.patterns else None
