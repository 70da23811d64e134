"""What both engines learn: the mazes, or something any base model gets right half of the time."""

import torch

from fgrpo.lab.task import MazeTask, Walls
from lab_engines.options import Options

PRIME = 1009


class CoinTask(MazeTask):
    """Mazes whose reward is a coin that the response itself tosses; equal ones toss alike.

    About half of all responses earn 1, so that nearly every group carries a gradient: what a step
    costs where the base model solves no maze.
    """

    def rewards(self, walls: Walls, responses: torch.Tensor) -> torch.Tensor:
        """Rewards (…) of responses (…, T): whether Σ token·3^place mod 1009 is even.

        Padding is 0 and adds nothing. The parity of a plain sum would not do: all paths to the
        goal have the same.
        """
        powers = torch.tensor([pow(3, t, PRIME) for t in range(responses.shape[-1])])
        return ((responses * powers.to(responses.device)).sum(-1) % PRIME % 2 == 0).float()


def make_task(options: Options) -> MazeTask:
    """Return the task of a call."""
    evaluation = options.recipe.evaluation
    kind = CoinTask if options.reward == "coin" else MazeTask
    return kind(options.recipe.maze, evaluation.problems, evaluation.seed)
