import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgrpo.maze import Token, encode_solutions, generate, rewards, solve

U, D, L, R = Token.UP, Token.DOWN, Token.LEFT, Token.RIGHT
DONE, EOS, PAD = Token.DONE, Token.EOS, Token.PAD
MAZE = np.array([[c == "#" for c in row] for row in ["#####", "#   #", "# # #", "# # #", "#####"]])


def play(walls, tokens):
    """Reward of one response, one token at a time, straight from the rules."""
    tokens = list(tokens)
    if DONE not in tokens:
        return 0.0
    moves = tokens[: tokens.index(DONE)]
    if any(token not in (U, D, L, R) for token in moves):
        return 0.0
    row, column, goal = 1, 1, len(walls) - 2
    for token in moves:
        row += {U: -1, D: 1}.get(token, 0)
        column += {L: -1, R: 1}.get(token, 0)
        if walls[row][column]:
            return 0.0
        if (row, column) == (goal, goal):
            return 1.0
    return 0.0


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ([R, R, D, D, DONE, EOS], 1),
        ([R, R, D, D, DONE], 1),
        ([R, L, D, U, R, R, D, D, DONE], 1),  # detours are legal
        ([R, R, D, D, R, R, DONE], 1),  # the walk ended at the goal, before the wall
        ([R, R, D, D, DONE, U, PAD, 31, -5, DONE], 1),  # after DONE nothing counts
        ([R, R, D, D, EOS], 0),  # no DONE
        ([R, R, D, D], 0),
        ([R, R, D, D, PAD, DONE], 0),  # another token before DONE, though the goal was reached
        ([R, PAD, R, D, D, DONE], 0),
        ([R, R, D, D, 31, DONE], 0),
        ([R, R, D, D, -1, DONE], 0),
        ([R, R, D, D, 15 + 32, DONE], 0),
        ([DONE, R, R, D, D, DONE], 0),  # DONE first
        ([R, R, D, DONE, D, DONE], 0),  # stops short
        ([D, D, DONE], 0),  # a dead end
        ([U, D, R, R, D, D, DONE], 0),  # a wall at once; the rest cannot mend it
        ([R, D, R, D, DONE], 0),  # through the wall to the goal
        ([U] * 40 + [DONE], 0),  # off the grid, were it allowed
        ([R, R, R, L, D, D, DONE], 0),
        ([PAD], 0),
        ([DONE], 0),
        ([], 0),
    ],
)
def test_one_maze_by_hand(response, reward):
    response = np.array(response, dtype=np.int64)
    result = rewards(MAZE[None], response[None])
    assert result.dtype == np.float32
    assert result.tolist() == [reward]
    assert play(MAZE, response) == reward


def malformed_batch(rng, walls):
    """Responses near the solution: most broken somewhere, some still right."""
    solutions = encode_solutions(*solve(walls))
    width = solutions.shape[1] + 6
    responses = np.full((len(walls), width), PAD)
    responses[:, : solutions.shape[1]] = solutions
    rows = np.arange(len(walls))
    kind = rng.integers(5, size=len(walls))
    place = rng.integers(width, size=len(walls))
    change = kind == 1  # another token somewhere
    responses[rows[change], place[change]] = rng.integers(-1, 34, size=change.sum())
    change = kind == 2  # another move somewhere
    responses[rows[change], place[change]] = rng.integers(U, R + 1, size=change.sum())
    for row in rows[kind == 3]:  # moves after the goal
        end = responses[row].tolist().index(DONE)
        extra = rng.integers(1, 7)
        responses[row, end + extra] = DONE
        responses[row, end : end + extra] = rng.integers(U, R + 1, size=extra)
    for row in rows[kind == 4]:  # a step out and back
        start = rng.integers(0, 8)
        code = rng.integers(4)
        tail = responses[row, start:-2].copy()
        responses[row, start : start + 2] = U + code, U + (code ^ 1)
        responses[row, start + 2 :] = tail
    return responses


@pytest.mark.slow
@pytest.mark.parametrize("size", [5, 9, 17])
def test_agrees_with_a_step_by_step_player_on_broken_solutions(size):
    rng = np.random.default_rng(size)
    walls = generate(2_000, size, rng)
    responses = malformed_batch(rng, walls)
    expected = [play(maze, response) for maze, response in zip(walls, responses, strict=True)]
    assert 0.2 < np.mean(expected) < 0.8
    np.testing.assert_array_equal(rewards(walls, responses), expected)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 30),
    st.lists(st.sampled_from([U, D, D, D, L, R, R, R, DONE, DONE, PAD, EOS, 40]), max_size=40),
)
def test_agrees_with_a_step_by_step_player_on_any_tokens(seed, response):
    maze = generate(1, 5, np.random.default_rng(seed))
    tokens = np.array(response, dtype=np.int64)
    assert rewards(maze, tokens[None])[0] == play(maze[0], response)


def test_solutions_earn_one_on_their_own_maze_only():
    walls = generate(200, 9, np.random.default_rng(5))
    moves, lengths = solve(walls)
    solutions = encode_solutions(moves, lengths)
    assert rewards(walls, solutions).all()
    shifted = np.roll(solutions, 1, axis=0)
    expected = [play(maze, response) for maze, response in zip(walls, shifted, strict=True)]
    np.testing.assert_array_equal(rewards(walls, shifted), expected)
    assert np.mean(expected) < 0.5


def test_groups_give_what_their_responses_give_one_by_one():
    rng = np.random.default_rng(6)
    walls = generate(30, 9, rng)
    flat = malformed_batch(rng, np.repeat(walls, 4, axis=0))
    groups = flat.reshape(30, 4, -1)
    expected = rewards(np.repeat(walls, 4, axis=0), flat).reshape(30, 4)
    assert 0 < expected.mean() < 1
    result = rewards(walls, groups)
    assert (result.shape, result.dtype) == ((30, 4), np.float32)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(rewards(walls[3], groups[3]), expected[3])
    np.testing.assert_array_equal(rewards(walls[3], groups[3, 1]), expected[3, 1])
    nested = walls.reshape(5, 6, 9, 9), groups.reshape(5, 6, 2, 2, -1)
    np.testing.assert_array_equal(rewards(*nested).reshape(30, 4), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.uint64])
def test_any_integer_type_will_do(dtype):
    responses = np.array([[R, R, D, D, DONE], [D, D, R, R, DONE]], dtype=dtype)
    assert rewards(np.stack([MAZE, MAZE]).astype(dtype), responses).tolist() == [1, 0]


def test_empty_batches():
    assert rewards(np.ones((0, 5, 5)), np.ones((0, 7), dtype=int)).shape == (0,)
    assert rewards(MAZE[None], np.ones((1, 0, 7), dtype=int)).shape == (1, 0)
    assert rewards(MAZE[None], np.ones((1, 3, 0), dtype=int)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("walls", "responses", "error", "message"),
    [
        (MAZE[None], np.ones((2, 6), int), ValueError, r"\(2, 6\) and walls \(1, 5, 5\): .*\(1, "),
        (MAZE[None], np.ones(1, int), ValueError, r"shape \(1,\) and walls \(1, 5, 5\)"),
        (MAZE, np.array(3), ValueError, r"shape \(\) and walls \(5, 5\): pass .*\(\.\.\., T\)"),
        (MAZE[None], np.ones((1, 6)), TypeError, "dtype float64: pass integer token ids"),
        (np.ones((1, 4, 4)), np.ones((1, 6), int), ValueError, "side of walls is 4"),
    ],
)
def test_names_what_is_wrong(walls, responses, error, message):
    with pytest.raises(error, match=message):
        rewards(walls, responses)
