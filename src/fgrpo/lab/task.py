"""The maze task as the lab sees it: prompts, solutions, rewards, and a held-out set."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgrpo import maze
from fgrpo.errors import UsageError
from fgrpo.lab.seeds import Purpose, numpy_rng

if TYPE_CHECKING:
    from fgrpo.lab.settings import MazeSettings

Walls = NDArray[np.bool_]
IGNORED = -100  # a target that carries no loss


class MazeTask:
    """Mazes of one size; training mazes never coincide with a held-out one.

    Parameters
    ----------
    settings
        Size and response cap.
    held_out
        Number of held-out mazes, all different.
    seed
        Of the held-out mazes.
    """

    def __init__(self, settings: MazeSettings, held_out: int, seed: int) -> None:
        self.settings = settings
        self._held_out_count = held_out
        self._seed = seed

    @cached_property
    def held_out(self) -> Walls:
        """(problems, size, size) walls of the held-out mazes."""
        rng = numpy_rng(self._seed, Purpose.HELD_OUT_MAZES)
        found: dict[bytes, Walls] = {}
        for _ in range(100):
            for walls in maze.generate(self._held_out_count, self.settings.size, rng):
                found.setdefault(walls.tobytes(), walls)
            if len(found) >= self._held_out_count:
                return np.stack(list(found.values())[: self._held_out_count])
        raise UsageError(
            f"evaluation.problems {self._held_out_count}: only {len(found)} different mazes of "
            f"size {self.settings.size} turned up; ask for fewer or for larger mazes"
        )

    @cached_property
    def _held_out_keys(self) -> frozenset[bytes]:
        return frozenset(walls.tobytes() for walls in self.held_out)

    def training_mazes(self, rng: np.random.Generator, count: int) -> Walls:
        """Fresh mazes (count, size, size), none of them held out."""
        kept: list[Walls] = []
        for _ in range(1000):
            drawn = maze.generate(count, self.settings.size, rng)
            kept += [walls for walls in drawn if walls.tobytes() not in self._held_out_keys]
            if len(kept) >= count:
                return np.stack(kept[:count])
        raise UsageError(
            f"the held-out mazes leave too few of size {self.settings.size} to train on; "
            "lower evaluation.problems or raise maze.size"
        )

    def prompts(self, walls: Walls) -> Tensor:
        """Return the (count, P) prompts of mazes."""
        return torch.from_numpy(maze.encode_prompts(walls))

    def supervised(self, walls: Walls) -> tuple[Tensor, Tensor]:
        """Tokens (B, S) and targets (B, S) of solved mazes; only path tokens are targets."""
        prompts = self.prompts(walls)
        answers = torch.from_numpy(maze.encode_solutions(*maze.solve(walls)))
        tokens = torch.cat([prompts, answers], 1)
        targets = tokens.roll(-1, 1)
        targets[:, : prompts.shape[1] - 1] = IGNORED
        targets[:, -1] = IGNORED
        targets[targets == maze.Token.PAD] = IGNORED
        return tokens, targets

    def rewards(self, walls: Walls, responses: Tensor) -> Tensor:
        """Rewards (G, N), 0 or 1, of responses (G, N, T) to the mazes (G, size, size)."""
        return torch.from_numpy(maze.rewards(walls, responses.cpu().numpy())).to(responses.device)
