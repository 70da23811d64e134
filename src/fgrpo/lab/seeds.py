"""Random streams named by what they are for.

Nothing carries a generator from one step to the next: the numbers of a step follow from (seed,
purpose, step) alone, so a resumed run draws what an uninterrupted one would.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What random numbers are drawn for."""

    INITIAL_WEIGHTS = 0
    SFT_MAZES = 1
    TRAINING_MAZES = 2
    ROLLOUTS = 3
    MINIBATCHES = 4
    HELD_OUT_MAZES = 5
    EVALUATION = 6


def numpy_rng(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Return the NumPy generator of a place (step, chunk …) in a stream."""
    return np.random.default_rng([seed, int(purpose), *place])


def torch_rng(seed: int, purpose: Purpose, *place: int) -> torch.Generator:
    """Return the CPU PyTorch generator of a place (step, chunk …) in a stream."""
    state = np.random.SeedSequence([seed, int(purpose), *place]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
