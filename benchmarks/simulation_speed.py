"""The simulation engine against plain NumPy, and the whole sweep of figure 2.

``python benchmarks/simulation_speed.py`` times single runs of both in turn, in one process and on
one core; with ``--sweep`` also ``fgrpo simulate`` on every core, into a temporary folder, from an
empty cache of compiled code.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fgrpo.simulation import Policy, UpdateSettings, simulate

STEPS = 200


def plain(group_size, gamma, seed):
    """Figure 2 as one would write it down: every action in every step."""
    actions, correct = 128_000, 10_000
    rng = np.random.default_rng(seed)
    z = np.zeros(actions)
    z[:correct], z[0] = 3.0, 5.0
    m, v = np.zeros(actions), np.zeros(actions)
    sign = np.where(np.arange(actions) < correct, 1.0, -1.0)
    for t in range(1, STEPS + 1):
        p = np.exp(z - z.max())
        p /= p.sum()
        cumulative = np.cumsum(p)
        drawn = np.searchsorted(cumulative, rng.random(group_size) * cumulative[-1], side="right")
        counts = np.bincount(drawn, minlength=actions)
        rate = counts[:correct].sum() / group_size
        push = counts * (sign - (2 * rate - 1)) * (1 - rate) ** gamma
        gradient = (push - p * push.sum()) / group_size
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        z += 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def engine(group_size, gamma, seed):
    simulate(
        Policy.anchored(),
        UpdateSettings(),
        group_size=group_size,
        gamma=gamma,
        steps=STEPS,
        rng=np.random.default_rng(seed),
    )


def seconds(work, *arguments):
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()
    engine(16, 0.0, 0)  # compile
    print(f"CPU seconds of {STEPS} steps: median (least to most) of {options.repeats}")
    for group_size in (2, 128, 4096, 131_072):
        pairs = np.array(
            [
                (seconds(plain, group_size, 1.0, seed), seconds(engine, group_size, 1.0, seed))
                for seed in range(options.repeats)
            ]
        )
        told = [
            f"{np.median(x):8.3f} ({x.min():.3f} to {x.max():.3f})"
            for x in (*pairs.T, pairs[:, 0] / pairs[:, 1])
        ]
        print(f"N = {group_size:6}  NumPy {told[0]}  engine {told[1]}  ratio {told[2]}")
    if options.sweep:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder) / "compiled")}
            command = [sys.executable, "-m", "fgrpo", "simulate", "--out", f"{folder}/run"]
            for what in ("nothing compiled", "compiled"):
                began = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                print(f"fgrpo simulate, {what}: {time.perf_counter() - began:.1f} s")
                command = [*command[:5], f"{folder}/again"]


if __name__ == "__main__":
    main()
