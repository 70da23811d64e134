"""Mazes with exactly one way through: growing them and solving them, many at a time.

A maze is a square array of booleans, ``True`` where there is a wall. Its cells lie on the odd
coordinates; the start is ``(1, 1)``, the goal ``(size - 2, size - 2)``.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

_MIN_SIZE: Final = 5
# Squares worked on together (7,256 mazes of 17 by 17): fewer spend their time in NumPy's calls,
# many more fall out of the processor's cache. Fixed, since what `generate` returns depends on it.
_BATCH_SQUARES: Final = 2**21


class Move(IntEnum):
    """A step to a neighbouring square; row 0 is the top row."""

    UP = 0
    DOWN = 1
    LEFT = 2
    RIGHT = 3


MOVE_DELTAS: Final = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""(row, column) change of each `Move`, in the order of their codes."""


def generate(count: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Grow mazes by randomised Prim.

    The growth starts from the start cell ``(1, 1)``. A list holds the frontier: the edges that
    led, when they were added, from a reached cell to one not reached. An edge is taken from it
    uniformly at random; if its far cell is still unreached, the wall between is carved and the
    far cell's own edges are added. This ends when the list is empty, with the passages a tree
    over all cells, so exactly one path joins any two of them. (Trees are not equally likely;
    that is randomised Prim, not uniform sampling of spanning trees.)

    Parameters
    ----------
    count : int
        Number of mazes, at least 1.
    size : int
        Side of the grid, walls included: odd, at least 5. The paper's is 17, which has 8 by 8
        cells.
    rng : numpy.random.Generator
        Source of randomness. The result depends on nothing but `count`, `size` and its state.

    Returns
    -------
    numpy.ndarray
        Walls, bool of shape (count, size, size). A shorter call with the same generator state
        need not return the first of these mazes.

    Raises
    ------
    ValueError
        If `count` is below 1, or `size` is even or below 5.
    TypeError
        If `count` or `size` is not an integer, or `rng` is not a NumPy generator.

    References
    ----------
    F-GRPO, arXiv 2602.06717, appendix K; the mazes follow arXiv 2602.02710.
    """
    _check_integer("count", count)
    _check_integer("size", size)
    if count < 1:
        raise ValueError(f"count is {count}: ask for at least 1 maze")
    _check_size("size", size)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"rng is a {type(rng).__name__}: pass a NumPy generator, "
            "for example numpy.random.default_rng(0)"
        )
    walls = np.empty((count, size, size), dtype=np.bool_)
    for part in _batches(count, size):
        walls[part] = _grow(part.stop - part.start, size, rng)
    return walls


def _batches(count: int, size: int) -> Iterator[slice]:
    step = max(1, _BATCH_SQUARES // size**2)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))


def _grow(count: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Run randomised Prim on `count` mazes in step; see `generate`."""
    # A ring of open squares around the grid reads as "already reached", which saves every
    # border test: a cell is unreached exactly while its square is still a wall.
    stride = size + 2
    grid = np.ones((count, stride, stride), dtype=np.bool_)
    grid[:, [0, -1], :] = False
    grid[:, :, [0, -1]] = False
    is_wall = grid.reshape(-1)
    steps = np.array([dr * stride + dc for dr, dc in MOVE_DELTAS])

    # A frontier edge is one number, 4 * (square of its far cell) + direction. Each maze has its
    # own stretch of `frontier`, in use from `bottom` to before `top`.
    cells = (size - 1) // 2
    edges = 2 * cells * (cells - 1)
    edge_codes = [int(8 * step + direction) for direction, step in enumerate(steps)]
    bottom = np.arange(count) * (edges + 1)
    top = bottom.copy()
    frontier = np.empty(count * (edges + 1), dtype=np.intp)

    def add_edges(here: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> None:
        # Every edge is written; only one that leads to an unreached cell moves the end past it.
        for edge_code in edge_codes:
            codes = 4 * here + edge_code
            frontier[end] = codes
            end += is_wall[codes >> 2]

    start = np.arange(count) * stride**2 + 2 * stride + 2
    is_wall[start] = False
    add_edges(start, top)
    # Each edge enters the list once, from the side reached first: every maze takes `edges` turns.
    for _ in range(edges):
        picked = bottom + (rng.random(count) * (top - bottom)).astype(np.intp)
        codes = frontier[picked]
        top -= 1
        frontier[picked] = frontier[top]
        growing = np.flatnonzero(is_wall[codes >> 2])
        codes = codes[growing]
        far = codes >> 2
        is_wall[far] = False
        is_wall[far - steps[codes & 3]] = False
        end = top[growing]
        add_edges(far, end)
        top[growing] = end
    return grid[:, 1:-1, 1:-1]


def solve(walls: npt.ArrayLike) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Find the one path from start to goal of each maze.

    Dead ends are filled until none is left; what remains is the path, which is then walked.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (count, size, size), as `generate` returns it.

    Returns
    -------
    moves : numpy.ndarray
        `Move` codes 0..3, int8 of shape (count, longest), padded with -1 after each path's end.
    lengths : numpy.ndarray
        Number of moves of each path, int64 of shape (count,).

    Raises
    ------
    ValueError
        If the shape or the values are not those of mazes, or a maze has a loop or no path.
    """
    walls = check_walls(walls)
    if walls.ndim != 3:
        raise ValueError(
            f"walls has shape {walls.shape}: solve takes (count, size, size); "
            "for a single maze pass walls[None]"
        )
    corridor = np.empty_like(walls)
    for part in _batches(len(walls), walls.shape[-1]):
        corridor[part] = _fill_dead_ends(walls[part])
    _check_degrees(corridor)
    squares = corridor.sum(axis=(1, 2))
    moves, lengths = _walk(corridor)
    _refuse(np.flatnonzero(lengths + 1 != squares), walls.shape[-1])
    return moves, lengths


def _fill_dead_ends(walls: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Open squares left once those with fewer than two open neighbours are closed, repeatedly."""
    corridor = ~walls
    inner = corridor[:, 1:-1, 1:-1]
    while True:
        degree = _degree(corridor)
        degree[:, [0, -1], [0, -1]] += 2  # start and goal are ends, not dead ends
        dead = inner & (degree < 2)
        if not dead.any():
            return corridor
        inner &= ~dead


def _degree(is_open: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Open neighbours of every square that is not on the border, (count, size - 2, size - 2)."""
    squares = is_open.view(np.uint8)
    return (
        squares[:, :-2, 1:-1] + squares[:, 2:, 1:-1] + squares[:, 1:-1, :-2] + squares[:, 1:-1, 2:]
    )


def _check_degrees(corridor: npt.NDArray[np.bool_]) -> None:
    """Refuse a maze whose corridor forks, or does not begin at the start and end at the goal."""
    degree = _degree(corridor)
    degree[:, [0, -1], [0, -1]] += 1
    wrong = corridor[:, 1:-1, 1:-1] & (degree != 2)
    _refuse(np.flatnonzero(wrong.any(axis=(1, 2))), corridor.shape[-1])


def _refuse(mazes: npt.NDArray[np.intp], size: int) -> None:
    if len(mazes):
        raise ValueError(
            f"walls[{mazes[0]}] has a loop, or no path from (1, 1) to {(size - 2, size - 2)}: "
            "solve takes mazes whose passages form a tree, as generate makes them"
        )


def _walk(
    corridor: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Follow each corridor from start to goal, closing it behind. Uses up `corridor`."""
    count, size, _ = corridor.shape
    is_open = corridor.reshape(-1)
    steps = np.array([dr * size + dc for dr, dc in MOVE_DELTAS])
    first_square = np.arange(count) * size**2
    here = first_square + size + 1
    goal = first_square + (size - 2) * (size + 1)
    lengths = np.zeros(count, dtype=np.int64)
    columns = []
    walking = np.arange(count)
    while len(walking):
        at = here[walking]
        is_open[at] = False
        # One neighbour is open, so the sum of code * open over the directions is its code.
        code = np.zeros(len(at), dtype=np.int8)
        for direction in (Move.DOWN, Move.LEFT, Move.RIGHT):
            code += np.int8(direction) * is_open[at + steps[direction]]
        column = np.full(count, -1, dtype=np.int8)
        column[walking] = code
        columns.append(column)
        at += steps[code]
        here[walking] = at
        lengths[walking] += 1
        walking = walking[at != goal[walking]]
    moves = np.stack(columns, axis=1) if columns else np.empty((0, 0), dtype=np.int8)
    return moves, lengths


def check_walls(walls: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Check an array of mazes and return it as booleans.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (..., size, size).

    Returns
    -------
    numpy.ndarray
        The same as bool; a closed border, and an open start and goal, are certain.

    Raises
    ------
    ValueError
        If the grids are not square, odd and at least 5 wide, hold values other than 0 and 1,
        have a gap in the border, or a wall on the start or the goal.
    """
    array = np.asarray(walls)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"walls has shape {array.shape}: pass square grids, (..., size, size)")
    size = array.shape[-1]
    _check_size("side of walls", size)
    if array.dtype != np.bool_:
        bad = array[(array != 0) & (array != 1)]
        if bad.size:
            raise ValueError(f"walls holds {bad[0]}: use 1 (or True) for a wall, 0 for a passage")
        array = array.astype(np.bool_)
    border = np.ones((size, size), dtype=np.bool_)
    border[1:-1, 1:-1] = False
    ends = np.zeros((size, size), dtype=np.bool_)
    ends[[1, -2], [1, -2]] = True
    for wrong, remedy in (
        (border & ~array, "is open on the border: close it with a wall"),
        (ends & array, "is a wall where the start or the goal belongs: open it"),
    ):
        if wrong.any():
            raise ValueError(f"walls{np.argwhere(wrong)[0].tolist()} {remedy}")
    return array


def _check_integer(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} is {value!r}: pass an integer")


def _check_size(name: str, size: int) -> None:
    if size < _MIN_SIZE or size % 2 == 0:
        near = max(_MIN_SIZE, size + 1)
        raise ValueError(
            f"{name} is {size}: cells lie on odd coordinates, so use an odd size "
            f"of at least {_MIN_SIZE}, for example {near}"
        )
