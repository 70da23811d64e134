import numpy as np
import pytest

from fgrpo.maze import (
    VOCAB_SIZE,
    Move,
    Token,
    decode,
    decode_prompt,
    encode_prompts,
    encode_solutions,
    generate,
    prompt_length,
    solve,
)

MAZE = np.array([[c == "#" for c in row] for row in ["#####", "#S..#", "#.#.#", "#.#G#", "#####"]])
# Written out by hand from the table of ids: 6 wall, 7 path, 8 start, 9 goal, 5 newline.
PROMPT = [
    *(1, 3),
    *(6, 6, 6, 6, 6, 5),
    *(6, 8, 7, 7, 6, 5),
    *(6, 7, 6, 7, 6, 5),
    *(6, 7, 6, 9, 6, 5),
    *(6, 6, 6, 6, 6, 5),
    *(4, 10),
]
SOLUTION = [14, 14, 12, 12, 15, 2]  # RIGHT RIGHT DOWN DOWN DONE <eos>
TEXT = """\
<bos> GRID_START
#####
#S..#
#.#.#
#.#G#
#####
GRID_END PATH_START RIGHT RIGHT DOWN DOWN DONE <eos>"""


def test_ids_are_the_documented_ones():
    names = (
        "PAD BOS EOS GRID_START GRID_END NEWLINE WALL PATH START GOAL PATH_START "
        "UP DOWN LEFT RIGHT DONE"
    )
    assert " ".join(token.name for token in Token) == names
    assert [int(token) for token in Token] == list(range(16))
    assert VOCAB_SIZE == 32
    assert [Token.UP + move for move in Move] == [Token[move.name] for move in Move]


def test_one_maze_by_hand():
    prompts = encode_prompts(MAZE[None])
    assert prompts.dtype == np.int64
    assert prompts.tolist() == [PROMPT]
    solutions = encode_solutions(*solve(MAZE[None]))
    assert solutions.dtype == np.int64
    assert solutions.tolist() == [SOLUTION]
    assert decode(PROMPT + SOLUTION) == TEXT


def test_a_prompt_of_17_by_17_has_310_tokens():
    prompts = encode_prompts(generate(3, 17, np.random.default_rng(0)))
    assert prompts.shape == (3, 310)
    assert prompt_length(17) == 310
    assert len(PROMPT) == prompt_length(5) == 34


@pytest.mark.parametrize("size", [5, 9, 17])
def test_prompts_decode_to_their_mazes(size):
    walls = generate(20, size, np.random.default_rng(size))
    prompts = encode_prompts(walls)
    decoded = decode_prompt(prompts)
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, walls)
    np.testing.assert_array_equal(decode_prompt(prompts[4]), walls[4])


def test_solutions_are_padded_to_the_longest():
    moves = [[3, 0, -1, -1, -1], [1, 2, 3, 3, -1], [-1, -1, -1, -1, -1]]
    assert encode_solutions(moves, [2, 4, 0]).tolist() == [
        [14, 11, 15, 2, 0, 0],
        [12, 13, 14, 14, 15, 2],
        [15, 2, 0, 0, 0, 0],
    ]


def test_what_lies_past_a_length_is_not_read():
    assert encode_solutions([[3, 99, 99, 99]], [1]).tolist() == [[14, 15, 2]]


def test_solutions_read_back_as_the_moves_of_solve():
    moves, lengths = solve(generate(50, 9, np.random.default_rng(1)))
    for row, length, tokens in zip(moves, lengths, encode_solutions(moves, lengths), strict=True):
        assert (tokens[:length] - Token.UP).tolist() == row[:length].tolist()
        assert tokens[length : length + 2].tolist() == [Token.DONE, Token.EOS]
        assert not tokens[length + 2 :].any()


def test_decode_writes_any_sequence():
    assert decode([]) == ""
    assert decode([11, 0, 31, 6, 7, 12, 5, 2]) == "UP <pad> <31> #. DOWN \n<eos>"


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([1, 32], ValueError, r"tokens\[1\] is 32: ids run from 0 to 31"),
        ([-1], ValueError, r"tokens\[0\] is -1: ids run"),
        ([[1, 2]], ValueError, r"shape \(1, 2\): decode one sequence"),
        ([1.0], TypeError, "tokens has dtype float64: pass integers"),
    ],
)
def test_decode_names_what_is_wrong(tokens, error, message):
    with pytest.raises(error, match=message):
        decode(tokens)


def with_token(place, token):
    prompt = list(PROMPT)
    prompt[place] = token
    return prompt


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (PROMPT[:-1], "prompt of 33 tokens fits no maze: .*34 tokens for 5, 310 for 17"),
        (PROMPT + SOLUTION, "prompt of 40 tokens fits no maze"),
        ([0] * prompt_length(6), "prompt of 46 tokens fits no maze"),
        ([0] * prompt_length(3), "prompt of 16 tokens fits no maze"),
        ([], "prompt of 0 tokens fits no maze"),
        (with_token(0, 0), r"tokens\[0\] is <pad> where .* has BOS"),
        (with_token(7, 6), r"tokens\[7\] is WALL where .* has NEWLINE"),
        (with_token(9, 6), r"tokens\[9\] is WALL where .* has START"),
        (with_token(10, 20), r"tokens\[10\] is <20> where .* has WALL or PATH"),
        (with_token(4, 7), r"tokens\[4\] is PATH where .* has WALL"),
        (with_token(33, 15), r"tokens\[33\] is DONE where .* has PATH_START"),
        ([PROMPT, with_token(23, 7)], r"tokens\[1, 23\] is PATH where .* has GOAL"),
        ([[PROMPT]], r"shape \(1, 1, 34\): pass prompts as \(P,\) or \(count, P\)"),
    ],
)
def test_decode_prompt_says_where_a_prompt_is_wrong(tokens, message):
    with pytest.raises(ValueError, match=message):
        decode_prompt(tokens)


@pytest.mark.parametrize(
    ("moves", "lengths", "error", "message"),
    [
        ([[0, 4]], [2], ValueError, r"moves\[0, 1\] is 4, within the path's length 2: use 0 to 3"),
        ([[0, -1]], [2], ValueError, r"moves\[0, 1\] is -1"),
        ([[0, 1]], [3], ValueError, r"lengths\[0\] is 3: moves has room for 0 to 2"),
        ([[0, 1]], [-1], ValueError, r"lengths\[0\] is -1"),
        ([0, 1], [2], ValueError, r"moves has shape \(2,\) and lengths \(1,\)"),
        ([[0, 1]], [1, 1], ValueError, r"moves has shape \(1, 2\) and lengths \(2,\)"),
        ([[0.5]], [1], TypeError, "moves has dtype float64"),
        ([[0]], [1.0], TypeError, "lengths has dtype float64"),
    ],
)
def test_encode_solutions_names_what_is_wrong(moves, lengths, error, message):
    with pytest.raises(error, match=message):
        encode_solutions(moves, lengths)


def test_encode_prompts_takes_a_batch():
    with pytest.raises(ValueError, match=r"shape \(5, 5\): encode_prompts .* walls\[None\]"):
        encode_prompts(MAZE)
