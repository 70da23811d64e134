"""Pictures of mazes and of the paths taken through them, as text and as images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from fgrpo.maze.grid import MOVE_DELTAS, check_walls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WALL_COLOUR: Final = "#2f3e4e"
_PASSAGE_COLOUR: Final = "#f7f4ec"
# From Okabe and Ito's palette, which colour-blind readers can tell apart.
_PATH_COLOUR: Final = "#0072b2"
_START_COLOUR: Final = "#009e73"
_GOAL_COLOUR: Final = "#e69f00"
_ILLEGAL_COLOUR: Final = "#d55e00"


def trace(
    walls: npt.ArrayLike, moves: npt.ArrayLike
) -> tuple[list[tuple[int, int]], tuple[int, int] | None]:
    """Walk one maze until the goal, the first illegal move, or the end of the moves.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (size, size).
    moves : array_like
        `Move` codes 0..3, integers of shape (T,); they end at the first -1, so a row of what
        `solve` returns will do.

    Returns
    -------
    visited : list of tuple of int
        (row, column) of the squares in order, the start first.
    illegal : tuple of int or None
        (row, column) of the wall that the walk ran into, if it did.

    Raises
    ------
    ValueError
        If `walls` is not one maze, or `moves` is not one sequence of codes 0..3.
    """
    walls = _one_maze(walls)
    codes = np.asarray(moves)
    if codes.ndim != 1:
        raise ValueError(f"moves has shape {codes.shape}: pass one path, (T,)")
    goal = (len(walls) - 2, len(walls) - 2)
    visited = [(1, 1)]
    for place, code in enumerate(codes.tolist()):
        if code == -1 or visited[-1] == goal:
            break
        if code not in range(len(MOVE_DELTAS)):
            raise ValueError(
                f"moves[{place}] is {code}: use codes 0 to 3 (UP, DOWN, LEFT, RIGHT), or -1 to "
                "end the path; from tokens, subtract Token.UP"
            )
        (row, column), (down, right) = visited[-1], MOVE_DELTAS[code]
        square = (row + down, column + right)
        if walls[square]:
            return visited, square
        visited.append(square)
    return visited, None


def to_ascii(walls: npt.ArrayLike, moves: npt.ArrayLike | None = None) -> str:
    """Draw one maze as text.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (size, size).
    moves : array_like, optional
        A path as for `trace`.

    Returns
    -------
    str
        `size` lines of `size` characters: ``█`` wall, space passage, ``S`` start, ``G`` goal,
        ``·`` path, ``×`` a wall that the path ran into.

    Raises
    ------
    ValueError
        As for `trace`.
    """
    walls = _one_maze(walls)
    squares = np.where(walls, "█", " ")
    if moves is not None:
        visited, illegal = trace(walls, moves)
        for square in visited:
            squares[square] = "·"
        if illegal is not None:
            squares[illegal] = "×"
    squares[1, 1] = "S"
    squares[-2, -2] = "G"
    return "\n".join("".join(row) for row in squares.tolist())


def draw(walls: npt.ArrayLike, moves: npt.ArrayLike | None = None, ax: Axes | None = None) -> Axes:
    """Draw one maze with matplotlib.

    The path is a line from the start (a disc) towards the goal (a star). An illegal move is
    dashed, with a cross on the wall it ran into.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (size, size).
    moves : array_like, optional
        A path as for `trace`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new square figure of its own, which pyplot does not manage.

    Returns
    -------
    matplotlib.axes.Axes
        The axes drawn on; x is the column and y the row of a square's centre.

    Raises
    ------
    ValueError
        As for `trace`.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    walls = _one_maze(walls)
    visited, illegal = trace(walls, moves if moves is not None else [])
    size = len(walls)
    if ax is None:
        ax = Figure(figsize=(4, 4)).add_axes((0.02, 0.02, 0.96, 0.96))
    box = ax.get_window_extent()
    square = min(box.width, box.height) / size * 72 / ax.figure.dpi  # in points
    colours = ListedColormap([_PASSAGE_COLOUR, _WALL_COLOUR])
    ax.imshow(walls, cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()

    rows, columns = zip(*visited, strict=True)
    ax.plot(
        columns,
        rows,
        color=_PATH_COLOUR,
        linewidth=0.22 * square,
        solid_capstyle="round",
        solid_joinstyle="round",
    )
    if illegal is not None:
        ax.plot(
            [columns[-1], illegal[1]],
            [rows[-1], illegal[0]],
            color=_ILLEGAL_COLOUR,
            linewidth=0.15 * square,
            linestyle=(0, (1.2, 0.8)),
        )
        _mark(ax, illegal, "X", _ILLEGAL_COLOUR, 0.7 * square)
    _mark(ax, (1, 1), "o", _START_COLOUR, 0.62 * square)
    _mark(ax, (size - 2, size - 2), "*", _GOAL_COLOUR, 1.0 * square)
    return ax


def _mark(ax: Axes, at: tuple[int, int], marker: str, colour: str, points: float) -> None:
    row, column = at
    ax.plot(
        column,
        row,
        marker=marker,
        markersize=points,
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.07 * points,
        linestyle="none",
        zorder=3,
    )


def save_image(
    path: str | os.PathLike[str], walls: npt.ArrayLike, moves: npt.ArrayLike | None = None
) -> None:
    """Draw one maze into an image file.

    Parameters
    ----------
    path : path-like
        Where to write. The ending names the format: png, pdf, svg, or any other that matplotlib
        writes. An existing file is replaced, once the new one is complete.
    walls, moves
        As for `draw`.

    Raises
    ------
    ValueError
        As for `trace`, or if the ending names no format.
    """
    from matplotlib.backend_bases import FigureCanvasBase
    from matplotlib.figure import Figure

    target = Path(path)
    known = FigureCanvasBase.get_supported_filetypes()
    kind = target.suffix.lower().lstrip(".")
    if kind not in known:
        raise ValueError(
            f"{str(target)!r} does not end in an image format: use .png, or one of "
            f"{', '.join(sorted(known))}"
        )
    figure = Figure(figsize=(4, 4), dpi=150)
    draw(walls, moves, figure.add_axes((0.02, 0.02, 0.96, 0.96)))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        figure.savefig(part, format=kind)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _one_maze(walls: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = check_walls(walls)
    if array.ndim != 2:
        raise ValueError(f"walls has shape {array.shape}: pass one maze, (size, size)")
    return array
