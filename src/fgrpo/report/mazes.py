"""The mazes that training lost although the base solved them most often, drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo import maze
from fgrpo.presentation.figures import DrawnFigure, render

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
    """Draw up to three mazes that the base solved and at least one arm lost in most seeds.

    They are those that the base solved most often, whichever arms lost them.
    """
    several = len(data.recipe.seeds) > 1
    often = "in most of its seeds" if several else "in its one seed"
    lost = choose(data)
    if not lost:
        return LostMazes(f"No arm lost {often} a held-out maze that the base model had solved.", [])
    walls = _held_out(data)
    if walls is None:
        return LostMazes(
            "The mazes are not drawn: that takes PyTorch, which is not installed here.", []
        )
    places = lost[:MOST]
    found = f"{len(lost)} held-out maze{'s' if len(lost) > 1 else ''}"
    shown = f"the {len(places)} that the base solved most often"
    note = (
        f"The base model solved {found} that at least one arm no longer solved {often}. Drawn: "
        f"{shown if len(places) < len(lost) else 'all'}, whichever arms lost them. The line is the "
        f"only right path; the counts are right samples of {data.samples}"
        f"{', for each seed' if several else ''}."
    )
    figures = [
        _drawn(data, place, walls[_number(data.base.problems[place])], number)
        for number, place in enumerate(places, start=1)
    ]
    return LostMazes(note, figures)


def choose(data: RunData) -> list[int]:
    """Return places of the mazes lost by some arm in most seeds, the base's most solved first."""
    lost = (data.base.c > 0) & np.any([_solved(arm) < 0.5 for arm in data.arms], axis=0)
    return sorted(np.flatnonzero(lost).tolist(), key=lambda place: (-data.base.c[place], place))


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
