"""What tells one run of a sweep from another, and the randomness that belongs to it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    """One run of a sweep; two runs differ in at least one of the three."""

    group_size: int
    gamma: float
    seed: int

    def rng(self) -> np.random.Generator:
        """Make the run's source of randomness.

        It depends on nothing but these three numbers, so that a run is the same whichever other
        runs are made with it, and runs of one seed are independent of each other.
        """
        bits = int(np.float64(self.gamma + 0.0).view(np.uint64))  # −0.0 is 0.0
        key = (self.group_size, bits & 0xFFFFFFFF, bits >> 32)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
