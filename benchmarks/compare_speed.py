"""Time the paired m-out-of-n subsampling: 500 problems × 50,000 draws × 2 models × 3 values of k.

Run with: python benchmarks/compare_speed.py [repeats]
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time

import numpy as np

from fgrpo.compare import compare_generations
from fgrpo.records import Counts

PROBLEMS, SAMPLES, DRAWS, M, KS, SEED = 500, 1024, 50_000, 256, (1, 16, 256), 0


def model(rng: np.random.Generator) -> Counts:
    """Success rates from Beta(0.5, 0.5): many hard and many easy problems, few constant ones."""
    n = np.full(PROBLEMS, SAMPLES)
    c = rng.binomial(n, rng.beta(0.5, 0.5, PROBLEMS))
    return Counts(tuple(f"p{i}" for i in range(PROBLEMS)), n, c)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rng = np.random.default_rng(SEED)
    a, b = model(rng), model(rng)
    constant = sum(int(((x.c == 0) | (x.c == x.n)).sum()) for x in (a, b))
    wall, cpu = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        compare_generations(a, b, k=KS, draws=DRAWS, m=M, rng=rng)
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    print(
        f"{PROBLEMS} problems ({constant} of {2 * PROBLEMS} constant), n = {SAMPLES}, m = {M}, "
        f"{DRAWS:,} draws, k = {KS}, seed {SEED}, {repeats} repeats"
    )
    for name, times in (("wall", wall), ("CPU", cpu)):
        print(
            f"{name}: median {statistics.median(times):.2f} s, "
            f"from {min(times):.2f} to {max(times):.2f} s"
        )
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}, "
        f"{os.cpu_count()} CPUs"
    )


if __name__ == "__main__":
    main()
