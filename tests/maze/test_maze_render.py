import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fgrpo.maze import Move, draw, generate, save_image, solve, to_ascii, trace

MAZE = np.array([[c == "#" for c in row] for row in ["#####", "#   #", "# # #", "# # #", "#####"]])
U, D, L, R = Move


def text(*rows):
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        (None, text("█████", "█S  █", "█ █ █", "█ █G█", "█████")),
        ([], text("█████", "█S  █", "█ █ █", "█ █G█", "█████")),
        ([R, R, D, D], text("█████", "█S··█", "█ █·█", "█ █G█", "█████")),
        ([R, R, D, D, U, L], text("█████", "█S··█", "█ █·█", "█ █G█", "█████")),
        ([R, D, R, D], text("█████", "█S· █", "█ × █", "█ █G█", "█████")),
        ([D, D, D, U], text("█████", "█S  █", "█·█ █", "█·█G█", "█×███")),
        ([D, -1, D, D], text("█████", "█S  █", "█·█ █", "█ █G█", "█████")),
    ],
)
def test_text_by_hand(moves, expected):
    assert to_ascii(MAZE, moves) == expected


def test_trace_by_hand():
    assert trace(MAZE, [R, R, D, D, R]) == ([(1, 1), (1, 2), (1, 3), (2, 3), (3, 3)], None)
    assert trace(MAZE, [D, L, D]) == ([(1, 1), (2, 1)], (2, 0))
    assert trace(MAZE, [D, D, U]) == ([(1, 1), (2, 1), (3, 1), (2, 1)], None)


def pixel(path, size, row, column):
    """Colour in the middle of a square; the picture's margin is 2% all round."""
    image = matplotlib.image.imread(path)
    side = len(image)
    place = [round(side * (0.02 + 0.96 * (i + 0.5) / size)) for i in (row, column)]
    return image[place[0], place[1], :3]


def near(colour, name):
    return np.allclose(colour, to_rgb(name), atol=0.02)


def test_picture_shows_walls_passages_path_and_ends(tmp_path):
    path = tmp_path / "maze.png"
    walls = generate(1, 9, np.random.default_rng(2))
    moves, _ = solve(walls)
    save_image(path, walls[0], moves[0])
    assert path.read_bytes().startswith(b"\x89PNG")
    visited, _ = trace(walls[0], moves[0])
    for row in range(9):
        for column in range(9):
            if (row, column) == (1, 1):
                colour = "#009e73"
            elif (row, column) == (7, 7):
                colour = "#e69f00"
            elif (row, column) in visited:
                colour = "#0072b2"
            else:
                colour = "#2f3e4e" if walls[0, row, column] else "#f7f4ec"
            assert near(pixel(path, 9, row, column), colour), (row, column)
    assert [file.name for file in tmp_path.iterdir()] == ["maze.png"]


def test_picture_without_a_path_and_with_an_illegal_move(tmp_path):
    path = tmp_path / "maze.PNG"
    save_image(path, MAZE)
    assert near(pixel(path, 5, 1, 2), "#f7f4ec")
    assert near(pixel(path, 5, 2, 2), "#2f3e4e")
    save_image(path, MAZE, [R, R, D, L, R, D])  # over the old file
    assert near(pixel(path, 5, 1, 2), "#0072b2")
    assert near(pixel(path, 5, 1, 3), "#0072b2")
    assert near(pixel(path, 5, 2, 2), "#d55e00")
    assert near(pixel(path, 5, 3, 1), "#f7f4ec")


def test_draws_on_given_axes_and_returns_them():
    left, right = Figure(figsize=(6, 3)).subplots(1, 2)
    assert draw(MAZE, [R, R, D, D], left) is left
    assert len(left.images) == 1
    assert not right.has_data()
    path = left.lines[0]
    assert list(zip(*path.get_data(), strict=True)) == [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3)]
    own = draw(MAZE)
    assert own.figure is not left.figure


def test_other_formats_and_refused_ones(tmp_path):
    save_image(tmp_path / "maze.svg", MAZE)
    assert "<svg" in (tmp_path / "maze.svg").read_text()
    for name in ("maze", "maze.txt"):
        with pytest.raises(ValueError, match=r"does not end in an image format: use \.png"):
            save_image(tmp_path / name, MAZE)
    assert [file.name for file in tmp_path.iterdir()] == ["maze.svg"]


@pytest.mark.parametrize(
    ("walls", "moves", "message"),
    [
        (MAZE[None], [R], r"shape \(1, 5, 5\): pass one maze"),
        (MAZE, [[R]], r"moves has shape \(1, 1\): pass one path"),
        (MAZE, [R, 14], r"moves\[1\] is 14: use codes 0 to 3 .*subtract Token\.UP"),
        (MAZE, [-2], r"moves\[0\] is -2"),
    ],
)
@pytest.mark.parametrize("function", [trace, to_ascii, draw])
def test_names_what_is_wrong(function, walls, moves, message):
    with pytest.raises(ValueError, match=message):
        function(walls, moves)


def test_importing_the_package_loads_no_matplotlib_and_no_torch():
    code = "import sys, fgrpo.maze; print({'matplotlib', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
