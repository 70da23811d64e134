"""Time how fast mazes are generated, solved and rewarded, on one core.

    python benchmarks/maze_generation.py
    python benchmarks/maze_generation.py --count 32 --size 9

Prints the median of the repeats and their range. NumPy's indexing runs in one thread, so one
core is all that is used.
"""

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np

from fgrpo.maze import encode_prompts, encode_solutions, generate, rewards, solve


def seconds(function: Callable[[], object], repeats: int) -> np.ndarray:
    """Wall-clock time of each of `repeats` calls, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return np.array(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time maze generation, solving and rewards.")
    parser.add_argument("--count", type=int, default=20_000, help="mazes per call")
    parser.add_argument("--size", type=int, default=17, help="side of a maze: odd, at least 5")
    parser.add_argument("--repeats", type=int, default=9, help="timed calls of each function")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    walls = generate(options.count, options.size, rng)
    moves, lengths = solve(walls)
    responses = encode_solutions(moves, lengths)
    work: dict[str, Callable[[], object]] = {
        "generate": lambda: generate(options.count, options.size, rng),
        "solve": lambda: solve(walls),
        "encode_prompts": lambda: encode_prompts(walls),
        "rewards": lambda: rewards(walls, responses),
    }
    print(
        f"{options.count} mazes of {options.size} by {options.size}, {options.repeats} repeats, "
        f"seed {options.seed}; Python {platform.python_version()}, NumPy {np.__version__}, "
        f"{platform.machine()}"
    )
    print(f"{'':16}{'mazes/s (median)':>18}{'slowest':>12}{'fastest':>12}{'ms a call':>12}")
    for name, function in work.items():
        times = seconds(function, options.repeats)
        rates = options.count / times
        print(
            f"{name:16}{np.median(rates):>18,.0f}{rates.min():>12,.0f}{rates.max():>12,.0f}"
            f"{1e3 * np.median(times):>12.2f}"
        )


if __name__ == "__main__":
    main()
