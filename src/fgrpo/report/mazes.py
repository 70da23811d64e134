"""A few of the mazes that training lost, drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo import maze
from fgrpo.report.style import DrawnFigure, render

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.report.data import ArmRuns, RunData

MOST = 3
_NAME = re.compile(r"maze-(\d+)")


@dataclass(frozen=True)
class LostMazes:
    """The strip of mazes: how they were chosen, or why there are none, and the pictures."""

    note: str
    figures: list[DrawnFigure]


def lost_mazes(data: RunData) -> LostMazes:
    """Draw up to three mazes that the base solved and the reference arm lost in most seeds.

    Those that some other arm kept in most seeds come before the rest, and among equals the
    mazes that the base solved most often.
    """
    reference = data.reference
    if reference is None:
        return LostMazes("Not drawn: no arm is without focal weight.", [])
    places, kept = choose(data, reference)
    if not places:
        return LostMazes(
            f"{reference.label} lost no held-out maze in most of its seeds that the base model "
            "had solved.",
            [],
        )
    walls = _held_out(data)
    if walls is None:
        return LostMazes(
            "The mazes are not drawn: that takes PyTorch, which is not installed here.", []
        )
    note = (
        f"Held-out mazes that the base model solved and {reference.label} no longer solved in "
        "most of its seeds"
    )
    if kept:
        note += ", and that another arm kept in most of its seeds"
    note += (
        f". Shown: {len(places)}, those the base had solved most often. The line is the only right "
        f"path; the counts are right samples of {data.samples}, for each seed."
    )
    figures = [
        _drawn(data, place, walls[_number(data.base.problems[place])], number)
        for number, place in enumerate(places, start=1)
    ]
    return LostMazes(note, figures)


def choose(data: RunData, reference: ArmRuns) -> tuple[list[int], bool]:
    """Return places of the mazes to draw, and whether another arm kept them."""
    lost = (data.base.c > 0) & (_solved(reference) < 0.5)
    others = [_solved(arm) > 0.5 for arm in data.arms if arm is not reference]
    kept = lost & np.any(others, axis=0) if others else np.zeros_like(lost)
    candidates = np.flatnonzero(kept if kept.any() else lost)
    order = sorted(candidates.tolist(), key=lambda place: (-data.base.c[place], place))
    return order[:MOST], bool(kept.any())


def _solved(arm: ArmRuns) -> NDArray[np.float64]:
    """Share of the seeds in which each maze was solved at least once."""
    return np.asarray(np.mean([final.c > 0 for final in arm.finals], axis=0))


def _held_out(data: RunData) -> NDArray[np.bool_] | None:
    """Grow the held-out mazes again; None without PyTorch."""
    try:
        from fgrpo.lab.task import MazeTask
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return None
    settings = data.recipe.evaluation
    return MazeTask(data.recipe.maze, settings.problems, settings.seed).held_out


def _number(name: str) -> int:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"problem {name!r} is not a held-out maze; expected maze-0000, …")
    return int(found[1])


def _drawn(data: RunData, place: int, walls: NDArray[np.bool_], number: int) -> DrawnFigure:
    moves, _ = maze.solve(walls[None])
    counts = [f"Base: {data.base.c[place]}"]
    counts += [
        f"{arm.label}: {', '.join(str(final.c[place]) for final in arm.finals)}"
        for arm in data.arms
    ]
    name = data.base.problems[place]

    def paint(axes: Axes) -> None:
        maze.draw(walls, moves[0], axes)

    return render(
        f"lost_maze_{number}",
        name,
        "\n".join(counts),
        f"{name} of {len(walls)} by {len(walls)} squares with the path from start to goal.",
        paint,
        size=(2.4, 2.4),
        legend=False,
    )
