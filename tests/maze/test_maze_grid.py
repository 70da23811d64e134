import random
from collections import Counter, deque
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fgrpo.maze import MOVE_DELTAS, Move, generate, solve

# Chi-square tests below run on fixed seeds; a right sampler would fail one seed in a thousand.
LEAST_P = 1e-3


def neighbours(row, column, step):
    return [(row + step * dr, column + step * dc) for dr, dc in MOVE_DELTAS]


def carved_edges(walls):
    """Cell pairs joined by an opening, as ((row, column), (row, column)) in cell numbers."""
    size = len(walls)
    edges = []
    for row in range(1, size, 2):
        for column in range(1, size, 2):
            cell = (row // 2, column // 2)
            if column + 2 < size and not walls[row][column + 1]:
                edges.append((cell, (row // 2, column // 2 + 1)))
            if row + 2 < size and not walls[row + 1][column]:
                edges.append((cell, (row // 2 + 1, column // 2)))
    return frozenset(edges)


def plain_prim(size, source):
    """Textbook randomised Prim, one maze at a time; edges to reached cells are listed too."""
    walls = [[True] * size for _ in range(size)]
    frontier = []

    def reach(row, column):
        walls[row][column] = False
        for far in neighbours(row, column, 2):
            if 0 < far[0] < size and 0 < far[1] < size:
                frontier.append(((row, column), far))

    reach(1, 1)
    while frontier:
        near, far = frontier.pop(source.randrange(len(frontier)))
        if walls[far[0]][far[1]]:
            walls[(near[0] + far[0]) // 2][(near[1] + far[1]) // 2] = False
            reach(*far)
    return walls


def exact_tree_probabilities(cells):
    """Probability of each spanning tree under randomised Prim from (0, 0), by enumeration.

    A pick whose far cell is reached changes nothing, so the next carved edge is uniform among
    those that leave the reached set.
    """
    trees = {frozenset(): Fraction(1)}
    for _ in range(cells * cells - 1):
        grown = Counter()
        for tree, probability in trees.items():
            reached = {(0, 0)}.union(*tree)
            leaving = [
                tuple(sorted((near, far)))
                for near in reached
                for far in neighbours(*near, 1)
                if far not in reached and 0 <= far[0] < cells and 0 <= far[1] < cells
            ]
            for edge in leaving:
                grown[tree | {edge}] += probability / len(leaving)
        trees = grown
    return trees


def bfs_path(walls):
    size = len(walls)
    came_from = {(1, 1): None}
    queue = deque([(1, 1)])
    while queue:
        here = queue.popleft()
        for code, there in enumerate(neighbours(*here, 1)):
            if not walls[there] and there not in came_from:
                came_from[there] = (here, code)
                queue.append(there)
    moves, here = [], (size - 2, size - 2)
    while came_from[here] is not None:
        here, code = came_from[here]
        moves.append(code)
    return moves[::-1]


@pytest.mark.parametrize(("size", "count"), [(5, 200), (9, 200), (17, 200), (31, 20)])
def test_every_maze_is_a_spanning_tree(size, count):
    walls = generate(count, size, np.random.default_rng(size))
    assert walls.shape == (count, size, size)
    assert walls.dtype == np.bool_
    cells = ((size - 1) // 2) ** 2
    for maze in walls:
        edges = carved_edges(maze)
        assert len(edges) == cells - 1
        # Every open square is a cell or an edge's opening: nothing else was carved.
        assert (~maze).sum() == cells + len(edges)
        parent = {}

        def root(cell, parent=parent):
            while cell in parent:
                cell = parent[cell]
            return cell

        for a, b in edges:
            assert root(a) != root(b), "a loop"
            parent[root(a)] = root(b)


def test_smallest_maze_has_the_probabilities_of_prim_worked_by_hand():
    # Cells A B over C D, growth from A. Each tree leaves one of the four edges out. Say AB comes
    # first (1/2). Then AC (1/2), after which BD or CD is left out, 1/4 each; or BD (1/2), after
    # which AC or CD, 1/4 each. So after AB: CD 1/2, BD 1/4, AC 1/4; after AC, with B and C
    # exchanged: BD 1/2, CD 1/4, AB 1/4. Together CD 3/8, BD 3/8, AC 1/8, AB 1/8.
    probability = {"AB": 1 / 8, "AC": 1 / 8, "BD": 3 / 8, "CD": 3 / 8}
    opening = {"AB": (1, 2), "AC": (2, 1), "BD": (2, 3), "CD": (3, 2)}
    count = 40_000
    walls = generate(count, 5, np.random.default_rng(1))
    left_out = [int(walls[:, row, column].sum()) for row, column in opening.values()]
    assert sum(left_out) == count
    expected = [count * probability[name] for name in opening]
    assert stats.chisquare(left_out, expected).pvalue > LEAST_P


def test_enumeration_agrees_with_the_hand_calculation():
    probabilities = exact_tree_probabilities(2)
    assert sorted(probabilities.values()) == [Fraction(n, 8) for n in (1, 1, 3, 3)]


def test_trees_of_3_by_3_cells_have_their_exact_probabilities():
    exact = exact_tree_probabilities(3)
    assert len(exact) == 192  # the spanning trees of the 3 by 3 grid graph
    assert sum(exact.values()) == 1
    count = 60_000
    found = Counter(map(carved_edges, generate(count, 7, np.random.default_rng(2)).tolist()))
    assert found.keys() <= exact.keys()
    common = [tree for tree, p in exact.items() if count * p >= 20]
    rare = exact.keys() - set(common)  # one class together, for the chi-square approximation
    assert len(common) > 100
    counted = [found[tree] for tree in common] + [sum(found[tree] for tree in rare)]
    expected = [count * exact[tree] for tree in common] + [count * sum(exact[t] for t in rare)]
    assert stats.chisquare(counted, np.array(expected, dtype=float)).pvalue > LEAST_P


def test_trees_of_3_by_3_cells_match_a_plain_prim():
    source = random.Random(3)
    plain = Counter(carved_edges(plain_prim(7, source)) for _ in range(20_000))
    ours = Counter(map(carved_edges, generate(20_000, 7, np.random.default_rng(3)).tolist()))
    total = plain + ours
    common = [tree for tree in total if total[tree] >= 20]
    assert len(common) > 100
    table = [[count[tree] for tree in common] for count in (plain, ours)]
    for row in table:
        row.append(20_000 - sum(row))  # the rare trees together
    assert stats.chi2_contingency(table).pvalue > LEAST_P


def test_path_lengths_of_17_by_17_match_a_plain_prim():
    source = random.Random(4)
    plain = solve([plain_prim(17, source) for _ in range(2_000)])[1]
    ours = solve(generate(20_000, 17, np.random.default_rng(4)))[1]
    for statistic in (lambda x: x, lambda x: (x > 28).astype(float), lambda x: (x - x.mean()) ** 2):
        a, b = statistic(plain), statistic(ours)
        error = np.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) < 3.5 * error


def test_same_state_same_mazes_and_another_seed_others():
    first = generate(50, 9, np.random.default_rng(7))
    np.testing.assert_array_equal(first, generate(50, 9, np.random.default_rng(7)))
    rng = np.random.default_rng(7)
    generate(50, 9, rng)
    assert (generate(50, 9, rng) != first).any()


def test_batches_do_not_repeat_each_other(monkeypatch):
    monkeypatch.setattr("fgrpo.maze.grid._BATCH_SQUARES", 20 * 81)
    walls = generate(45, 9, np.random.default_rng(5))
    assert len({maze.tobytes() for maze in walls}) == 45
    moves, lengths = solve(walls)
    for maze, row, length in zip(walls, moves, lengths, strict=True):
        assert len(carved_edges(maze)) == 15
        assert row[:length].tolist() == bfs_path(maze)


@pytest.mark.parametrize("size", [5, 9, 17, 31])
def test_solve_finds_the_path_that_breadth_first_search_finds(size):
    walls = generate(100, size, np.random.default_rng(size + 1))
    moves, lengths = solve(walls)
    assert (moves.dtype, lengths.dtype) == (np.int8, np.int64)
    assert moves.shape == (100, lengths.max())
    for maze, row, length in zip(walls, moves, lengths, strict=True):
        assert row[:length].tolist() == bfs_path(maze)
        assert (row[length:] == -1).all()


def test_solve_by_hand():
    corner = ["#####", "#   #", "# # #", "# # #", "#####"]
    comb = ["#######", "#     #", "# ### #", "# #   #", "# # ###", "# #   #", "#######"]
    detour = ["#######", "#     #", "##### #", "#     #", "# #####", "#     #", "#######"]
    moves, lengths = solve([[[c == "#" for c in row] for row in corner]])
    right, left, down = Move.RIGHT, Move.LEFT, Move.DOWN
    assert moves.tolist() == [[right, right, down, down]]
    moves, lengths = solve([[[c == "#" for c in row] for row in maze] for maze in (comb, detour)])
    assert lengths.tolist() == [12, 16]
    assert moves.tolist() == [
        [right] * 4 + [down] * 2 + [left] * 2 + [down] * 2 + [right] * 2 + [-1] * 4,
        [right] * 4 + [down] * 2 + [left] * 4 + [down] * 2 + [right] * 4,
    ]


def test_solve_takes_no_mazes_and_leaves_its_input_alone():
    moves, lengths = solve(np.ones((0, 5, 5), dtype=bool))
    assert moves.shape == (0, 0)
    assert lengths.shape == (0,)
    walls = generate(3, 9, np.random.default_rng(0))
    before = walls.copy()
    solve(walls)
    np.testing.assert_array_equal(walls, before)


LOOP = ["#######", "#     #", "# ### #", "# # # #", "# ### #", "#     #", "#######"]
LOOP_ASIDE = ["#######", "# #   #", "# # # #", "# #   #", "# #####", "#     #", "#######"]
RING_ON_A_DEAD_END = ["#######", "#     #", "# # # #", "#     #", "# #####", "#     #", "#######"]
NO_PATH = ["#######", "# #   #", "# # # #", "# # # #", "# ### #", "# #   #", "#######"]


@pytest.mark.parametrize("maze", [LOOP, LOOP_ASIDE, RING_ON_A_DEAD_END, NO_PATH])
def test_solve_refuses_a_maze_without_exactly_one_way(maze):
    good = generate(1, 7, np.random.default_rng(0))[0]
    bad = np.array([[c == "#" for c in row] for row in maze])
    with pytest.raises(ValueError, match=r"walls\[1\] has a loop, or no path from \(1, 1\) to \(5"):
        solve([good, bad, bad])


@pytest.mark.parametrize(
    ("count", "size", "error", "message"),
    [
        (1, 8, ValueError, "size is 8: .* odd size of at least 5, for example 9"),
        (1, 3, ValueError, "size is 3: .* for example 5"),
        (1, -2, ValueError, "size is -2: .* for example 5"),
        (0, 9, ValueError, "count is 0: ask for at least 1"),
        (-3, 9, ValueError, "count is -3: ask for at least 1"),
        (1.0, 9, TypeError, "count is 1.0: pass an integer"),
        (1, "9", TypeError, "size is '9': pass an integer"),
        (True, 9, TypeError, "count is True: pass an integer"),
    ],
)
def test_generate_names_the_bad_value_and_the_remedy(count, size, error, message):
    with pytest.raises(error, match=message):
        generate(count, size, np.random.default_rng(0))


def test_generate_wants_a_generator():
    with pytest.raises(TypeError, match=r"rng is a int: .*default_rng"):
        generate(1, 9, 0)


def changed(value, *places):
    walls = generate(2, 7, np.random.default_rng(0)).astype(int)
    for place in places:
        walls[place] = value
    return walls


@pytest.mark.parametrize(
    ("walls", "message"),
    [
        (np.ones((2, 7, 9)), r"shape \(2, 7, 9\): pass square grids"),
        (np.ones(7), r"shape \(7,\): pass square grids"),
        (np.ones((2, 6, 6)), "side of walls is 6: .* for example 7"),
        (changed(2, (1, 2, 2)), "walls holds 2: use 1"),
        (changed(0, (1, 0, 3)), r"walls\[1, 0, 3\] is open on the border: close"),
        (changed(1, (0, 1, 1)), r"walls\[0, 1, 1\] is a wall where the start"),
        (changed(1, (1, 5, 5)), r"walls\[1, 5, 5\] is a wall where the start or the goal"),
        (changed(0)[0], r"shape \(7, 7\): solve takes \(count, size, size\); .*walls\[None\]"),
    ],
)
def test_solve_names_what_is_wrong_with_walls(walls, message):
    with pytest.raises(ValueError, match=message):
        solve(walls)
