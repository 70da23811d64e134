from __future__ import annotations

import numpy as np
import pytest
import torch

from fgrpo import maze
from fgrpo.errors import UsageError
from fgrpo.lab.seeds import Purpose, numpy_rng, torch_rng
from fgrpo.lab.settings import MazeSettings
from fgrpo.lab.task import IGNORED, MazeTask


def task_of(size=7, held_out=50, seed=0):
    return MazeTask(MazeSettings(size=size), held_out, seed)


def keys(walls):
    return [w.tobytes() for w in walls]


def test_held_out_mazes_are_all_different():
    # 7×7 mazes are few (192 in all), so that drawing 150 without care repeats some.
    task = task_of(held_out=150)
    assert task.held_out.shape == (150, 7, 7)
    assert len(set(keys(task.held_out))) == 150
    plain = maze.generate(150, 7, numpy_rng(0, Purpose.HELD_OUT_MAZES))
    assert len(set(keys(plain))) < 150


def test_training_mazes_are_never_held_out():
    task = task_of(held_out=150)
    held_out = set(keys(task.held_out))
    for step in range(20):
        rng = numpy_rng(0, Purpose.TRAINING_MAZES, step)
        walls = task.training_mazes(rng, 16)
        assert walls.shape == (16, 7, 7)
        assert not held_out & set(keys(walls))
    # They would be, most of them, but for the sieve.
    plain = maze.generate(16, 7, numpy_rng(0, Purpose.TRAINING_MAZES, 0))
    assert len(held_out & set(keys(plain))) > 0


def test_mazes_follow_from_seed_purpose_and_step():
    assert np.array_equal(task_of().held_out, task_of().held_out)
    assert not np.array_equal(task_of().held_out, task_of(seed=1).held_out)

    def drawn(*place):
        return task_of().training_mazes(numpy_rng(*place), 16)

    same = drawn(0, Purpose.TRAINING_MAZES, 3)
    assert np.array_equal(same, drawn(0, Purpose.TRAINING_MAZES, 3))
    for other in (
        (1, Purpose.TRAINING_MAZES, 3),
        (0, Purpose.SFT_MAZES, 3),
        (0, Purpose.TRAINING_MAZES, 4),
    ):
        assert not np.array_equal(same, drawn(*other))


def test_torch_streams_differ_in_seed_purpose_and_place():
    def draw(*place):
        return torch.rand(4, generator=torch_rng(*place)).tolist()

    places = [
        (0, Purpose.ROLLOUTS, 0),
        (1, Purpose.ROLLOUTS, 0),
        (0, Purpose.ROLLOUTS, 1),
        (0, Purpose.MINIBATCHES, 0),
        (0, Purpose.ROLLOUTS, 0, 1),
    ]
    assert len({tuple(draw(*place)) for place in places}) == len(places)
    assert all(draw(*place) == draw(*place) for place in places)
    # Written down once: a run resumed by a later version must go on with the same numbers.
    assert draw(0, Purpose.ROLLOUTS, 0) == pytest.approx(
        [0.5200659, 0.1555801, 0.1012033, 0.0085758], abs=1e-6
    )


def test_the_targets_are_the_path_tokens_one_place_early():
    task = task_of(size=11, held_out=2)
    walls = task.training_mazes(numpy_rng(0, Purpose.SFT_MAZES, 0), 60)
    tokens, targets = task.supervised(walls)
    assert tokens.shape == targets.shape
    moves, lengths = maze.solve(walls)
    assert len(set(lengths.tolist())) > 1  # so that some rows are padded
    prompt = 11 * 12 + 4
    for row in range(60):
        said = [int(maze.Token.UP) + int(move) for move in moves[row, : lengths[row]]]
        said += [int(maze.Token.DONE), int(maze.Token.EOS)]
        assert tokens[row, prompt : prompt + len(said)].tolist() == said
        rest = targets.shape[1] - (prompt - 1) - len(said)
        assert targets[row].tolist() == [IGNORED] * (prompt - 1) + said + [IGNORED] * rest
    assert np.array_equal(maze.decode_prompt(tokens[:, :prompt].numpy()), walls)
    assert torch.equal(tokens[:, :prompt], task.prompts(walls))
    assert prompt == MazeSettings(size=11).prompt_tokens


def test_rewards_are_given_maze_by_maze():
    task = task_of(size=7, held_out=4)
    walls = task.held_out
    answers = torch.from_numpy(maze.encode_solutions(*maze.solve(walls)))
    solutions = {tuple(answer) for answer in answers.tolist()}
    assert len(solutions) > 1
    every = answers[None].expand(4, -1, -1)  # every maze's answer given to every maze
    rewards = task.rewards(walls, every)
    assert rewards.shape == (4, 4)
    for g in range(4):
        for n in range(4):
            assert bool(rewards[g, n]) == (answers[n].tolist() == answers[g].tolist())


def test_more_held_out_mazes_than_there_are():
    # Four cells have four spanning trees.
    assert len(task_of(size=5, held_out=4).held_out) == 4
    with pytest.raises(
        UsageError, match=r"evaluation\.problems 5: only 4 different mazes of size 5"
    ):
        _ = task_of(size=5, held_out=5).held_out


def test_no_mazes_left_to_train_on():
    task = task_of(size=5, held_out=4)
    with pytest.raises(UsageError, match=r"evaluation\.problems.*maze\.size"):
        task.training_mazes(numpy_rng(0, Purpose.TRAINING_MAZES, 0), 2)
    # One left is enough, as often as need be.
    task = task_of(size=5, held_out=3)
    walls = task.training_mazes(numpy_rng(0, Purpose.TRAINING_MAZES, 0), 30)
    assert len(set(keys(walls))) == 1
