"""Counts made up for comparisons."""

from __future__ import annotations

import numpy as np

from fgrpo.records import Counts


def counts(n, c, names=None):
    c = np.asarray(c)
    names = names or tuple(f"p{i:03d}" for i in range(len(c)))
    return Counts(tuple(names), np.broadcast_to(n, c.shape), c)


def rng(seed=0):
    return np.random.default_rng(seed)


def simulated(seed, problems=40, n=64):
    generator = rng(seed)
    return counts(n, generator.binomial(n, generator.beta(0.6, 0.6, problems)))
