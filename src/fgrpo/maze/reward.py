"""The maze task's verifier: 1 for a response that walks to the goal, 0 for any other."""

import numpy as np
import numpy.typing as npt

from fgrpo.maze.grid import MOVE_DELTAS, check_walls
from fgrpo.maze.tokens import Token


def rewards(walls: npt.ArrayLike, responses: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Reward responses to mazes.

    A response earns 1 if its moves before the first `DONE` lead from the start to the goal
    without touching a wall. The walk ends at the goal or at the first illegal move, so moves
    after the goal count for nothing. A response without `DONE`, or with any token but the four
    moves before it, earns 0. Tokens after `DONE` are ignored.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (*mazes, size, size).
    responses : array_like
        Token ids, integers of shape (*mazes, *samples, T). Each maze may thus have one response
        (walls (B, size, size), responses (B, T)) or a group (walls (G, size, size), responses
        (G, N, T)). Ids outside the vocabulary are allowed: they are not moves.

    Returns
    -------
    numpy.ndarray
        Rewards 0 or 1, float32 of shape (*mazes, *samples).

    Raises
    ------
    ValueError
        If `walls` are not mazes, or the leading dimensions of `responses` do not begin with
        those of `walls`.
    TypeError
        If `responses` are not integers.

    References
    ----------
    F-GRPO, arXiv 2602.06717, appendix K; the task follows arXiv 2602.02710.
    """
    walls = check_walls(walls)
    tokens = np.asarray(responses)
    if not np.issubdtype(tokens.dtype, np.integer):
        raise TypeError(f"responses has dtype {tokens.dtype}: pass integer token ids")
    mazes = walls.shape[:-2]
    if tokens.ndim < len(mazes) + 1 or tokens.shape[: len(mazes)] != mazes:
        raise ValueError(
            f"responses has shape {tokens.shape} and walls {walls.shape}: pass responses "
            f"({', '.join(map(str, mazes))}{', ' if mazes else ''}..., T), the leading dimensions "
            "those of walls"
        )
    size = walls.shape[-1]
    shape = tokens.shape[:-1]
    # int() because the product of an empty shape is a float: one maze, one response.
    count, samples = int(np.prod(mazes)), int(np.prod(shape[len(mazes) :]))
    flat_tokens = tokens.reshape(count * samples, tokens.shape[-1])
    maze_of = np.repeat(np.arange(count), samples)
    reached = _reach_goal(walls.reshape(count, size, size), maze_of, flat_tokens)
    return reached.astype(np.float32).reshape(shape)


def _reach_goal(
    walls: npt.NDArray[np.bool_],
    maze_of: npt.NDArray[np.intp],
    tokens: npt.NDArray[np.integer],
) -> npt.NDArray[np.bool_]:
    """Whether each response, to maze `maze_of`, is well formed and reaches the goal; (B,)."""
    count, width = tokens.shape
    size = walls.shape[-1]
    reached = np.zeros(count, dtype=np.bool_)
    if not tokens.size:
        return reached
    is_move = (tokens >= Token.UP) & (tokens <= Token.RIGHT)
    # The first token that is no move decides: it must be there, and be DONE.
    moves = np.where(is_move.all(axis=1), width, np.argmin(is_move, axis=1))
    rows = np.arange(count)
    walking = rows[(moves < width) & (tokens[rows, np.minimum(moves, width - 1)] == Token.DONE)]

    is_wall = walls.reshape(-1)
    steps = np.array([dr * size + dc for dr, dc in MOVE_DELTAS])
    # Squares are numbered through all mazes. The border is closed, so a walk that stops before
    # its first wall never leaves its maze.
    here = maze_of * size**2 + size + 1
    goal = maze_of * size**2 + (size - 2) * (size + 1)
    for t in range(width):
        walking = walking[moves[walking] > t]
        if not len(walking):
            break
        at = here[walking] + steps[tokens[walking, t] - int(Token.UP)]
        here[walking] = at
        reached[walking] = at == goal[walking]
        walking = walking[~is_wall[at] & (at != goal[walking])]
    return reached
