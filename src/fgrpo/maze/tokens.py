"""The language of the maze task: mazes and paths as token ids, and back.

A prompt is `<bos> GRID_START`, one token for each square with a `NEWLINE` after each row, then
`GRID_END PATH_START`; a solution is its moves, then `DONE <eos>`. The words are those of
F-GRPO, arXiv 2602.06717, appendix K (after arXiv 2602.02710); the ids are this package's.
"""

from enum import IntEnum
from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from fgrpo.maze.grid import check_walls


class Token(IntEnum):
    """Token ids in use. Those from 16 up to `VOCAB_SIZE` are reserved."""

    PAD = 0
    BOS = 1
    EOS = 2
    GRID_START = 3
    GRID_END = 4
    NEWLINE = 5
    WALL = 6
    PATH = 7
    START = 8
    GOAL = 9
    PATH_START = 10
    UP = 11  # the four moves are UP + the code of the `Move`
    DOWN = 12
    LEFT = 13
    RIGHT = 14
    DONE = 15


VOCAB_SIZE: Final = 32
"""Number of token ids, the reserved ones included."""

_WORDS: Final = {Token.PAD: "<pad>", Token.BOS: "<bos>", Token.EOS: "<eos>"}
_SQUARES: Final = {Token.WALL: "#", Token.PATH: ".", Token.START: "S", Token.GOAL: "G"}


def prompt_length(size: int) -> int:
    """Tokens in the prompt of a maze `size` squares wide: size·(size + 1) + 4, 310 for 17."""
    return size * (size + 1) + 4


def encode_prompts(walls: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Write mazes as prompts.

    Parameters
    ----------
    walls : array_like
        Bool or 0/1 of shape (count, size, size).

    Returns
    -------
    numpy.ndarray
        Token ids, int64 of shape (count, size·(size + 1) + 4).

    Raises
    ------
    ValueError
        If `walls` are not mazes of that shape.
    """
    walls = check_walls(walls)
    if walls.ndim != 3:
        raise ValueError(
            f"walls has shape {walls.shape}: encode_prompts takes (count, size, size); "
            "for a single maze pass walls[None]"
        )
    count, size, _ = walls.shape
    rows = np.full((count, size, size + 1), Token.NEWLINE, dtype=np.int64)
    rows[:, :, :-1] = np.where(walls, Token.WALL, Token.PATH)
    rows[:, 1, 1] = Token.START
    rows[:, -2, -3] = Token.GOAL  # the last column is NEWLINE
    prompts = np.empty((count, prompt_length(size)), dtype=np.int64)
    prompts[:, :2] = Token.BOS, Token.GRID_START
    prompts[:, 2:-2] = rows.reshape(count, -1)
    prompts[:, -2:] = Token.GRID_END, Token.PATH_START
    return prompts


def decode_prompt(tokens: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Read the mazes back from prompts; the inverse of `encode_prompts`.

    Parameters
    ----------
    tokens : array_like
        Token ids, integers of shape (P,) or (count, P).

    Returns
    -------
    numpy.ndarray
        Walls, bool of shape (size, size) or (count, size, size).

    Raises
    ------
    ValueError
        If `tokens` is not exactly what `encode_prompts` writes; the message says where.
    TypeError
        If `tokens` are not integers.
    """
    array = _token_array(tokens)
    if array.ndim not in (1, 2):
        raise ValueError(f"tokens has shape {array.shape}: pass prompts as (P,) or (count, P)")
    prompts = np.atleast_2d(array)
    length = prompts.shape[1]
    size = isqrt(max(length - 4, 0))  # size·(size + 1) lies between size² and (size + 1)²
    if prompt_length(size) != length or size < 5 or size % 2 == 0:
        raise ValueError(
            f"a prompt of {length} tokens fits no maze: it has size·(size + 1) + 4 tokens, "
            "size odd and at least 5 (34 tokens for 5, 310 for 17); cut off padding and response"
        )
    squares = prompts[:, 2:-2].reshape(-1, size, size + 1)[:, :, :-1]
    walls: npt.NDArray[np.bool_] = squares == Token.WALL
    # Writing the mazes again shows any token that is out of place. Force what a maze must have,
    # so that a hole in the border is reported as a wrong token like all else.
    walls[:, [0, -1], :] = True
    walls[:, :, [0, -1]] = True
    walls[:, [1, -2], [1, -2]] = False
    expected = encode_prompts(walls)
    wrong = np.argwhere(prompts != expected)
    if len(wrong):
        row, column = (int(i) for i in wrong[0])
        where = f"tokens[{column}]" if array.ndim == 1 else f"tokens[{row}, {column}]"
        wanted = Token(int(expected[row, column]))
        choice = "WALL or PATH" if wanted is Token.PATH else wanted.name
        raise ValueError(
            f"{where} is {_name(int(prompts[row, column]))} where a prompt of this length has "
            f"{choice}: pass the prompt alone, as encode_prompts writes it"
        )
    return walls[0] if array.ndim == 1 else walls


def encode_solutions(moves: npt.ArrayLike, lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Write paths as responses: the moves, then `DONE <eos>`, then padding.

    Parameters
    ----------
    moves : array_like
        `Move` codes 0..3, integers of shape (count, longest); what lies past a path's length
        is not read. As `solve` returns them.
    lengths : array_like
        Number of moves of each path, integers of shape (count,), in 0..longest.

    Returns
    -------
    numpy.ndarray
        Token ids, int64 of shape (count, max(lengths) + 2).

    Raises
    ------
    ValueError
        If the shapes disagree, a length is out of range, or a move is not 0..3.
    TypeError
        If `moves` or `lengths` are not integers.
    """
    codes = _token_array(moves, "moves")
    ends = _token_array(lengths, "lengths")
    if codes.ndim != 2 or ends.shape != codes.shape[:1]:
        raise ValueError(
            f"moves has shape {codes.shape} and lengths {ends.shape}: "
            "pass (count, longest) and (count,), as solve returns them"
        )
    count, longest = codes.shape
    bad = np.flatnonzero((ends < 0) | (ends > longest))
    if len(bad):
        raise ValueError(
            f"lengths[{bad[0]}] is {ends[bad[0]]}: moves has room for 0 to {longest} moves"
        )
    is_move = np.arange(longest) < ends[:, None]
    wrong = np.argwhere(is_move & ((codes < 0) | (codes > 3)))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"moves[{row}, {column}] is {codes[row, column]}, within the path's length "
            f"{ends[row]}: use 0 to 3 (UP, DOWN, LEFT, RIGHT)"
        )
    solutions = np.full((count, int(ends.max(initial=0)) + 2), Token.PAD, dtype=np.int64)
    solutions[:, :longest][is_move[:, : solutions.shape[1]]] = codes[is_move] + int(Token.UP)
    rows = np.arange(count)
    solutions[rows, ends] = Token.DONE
    solutions[rows, ends + 1] = Token.EOS
    return solutions


def decode(tokens: npt.ArrayLike) -> str:
    """Write tokens for people to read.

    Squares become ``#`` (wall), ``.`` (path), ``S`` and ``G``, a row a line; every other token
    is a word, for example ``<bos>``, ``GRID_START`` or ``UP``, and a reserved one ``<16>``.

    Parameters
    ----------
    tokens : array_like
        Token ids 0..31, integers of shape (T,).

    Returns
    -------
    str
        The text, without trailing white space.

    Raises
    ------
    ValueError
        If `tokens` is not one sequence, or an id lies outside the vocabulary.
    TypeError
        If `tokens` are not integers.
    """
    array = _token_array(tokens)
    if array.ndim != 1:
        raise ValueError(f"tokens has shape {array.shape}: decode one sequence, (T,), at a time")
    outside = np.flatnonzero((array < 0) | (array >= VOCAB_SIZE))
    if len(outside):
        place = outside[0]
        raise ValueError(
            f"tokens[{place}] is {array[place]}: ids run from 0 to {VOCAB_SIZE - 1}; "
            "were these made by another tokenizer?"
        )
    text = ""
    for token in array.tolist():
        if token in _SQUARES:
            text += _SQUARES[token]
        elif token == Token.NEWLINE:
            text += "\n"
        else:
            # Words are set apart by spaces, and from squares too; not at the start of a line.
            gap = " " if text and not text.endswith(("\n", " ")) else ""
            text += gap + _name(token) + ("\n" if token == Token.GRID_START else " ")
    return text.rstrip()


def _name(token: int) -> str:
    if token not in Token.__members__.values():
        return f"<{token}>"
    return _WORDS.get(Token(token), Token(token).name)


def _token_array(values: npt.ArrayLike, name: str = "tokens") -> npt.NDArray[np.int64]:
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} has dtype {array.dtype}: pass integers")
    return array.astype(np.int64, copy=False)
