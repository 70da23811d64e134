"""Compare the verifier pool with bare math-verify, one process per core, on the same answers.

Both keep the parsed right answers. Bare math-verify has no limit of any kind here: it is what a
loop over ``verify(gold, parse(text))`` reaches. The pool runs our verifier, and then the very
function of the loop, so that the cost of the pool is seen apart from what our verifier saves.

Run with: python benchmarks/verify_throughput.py [repeats] [answers] [workers]
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.cores import cores
from fgrpo.verify import VerifierPool

if TYPE_CHECKING:
    from collections.abc import Callable

PROBLEMS, SEED = 50, 0
BARE = "verify_throughput:bare"
HANG, LIMIT, SHARE = r"\boxed{9^{9^{9^{9}}}}", 0.5, 0.01

Answers = tuple[list[str], list[str]]


def answer(kind: str, rng: np.random.Generator) -> str:
    """Write a random answer of a kind."""
    a, b, c = (int(x) for x in rng.integers(2, 500, 3))
    return {
        "integers": f"{a}",
        "fractions": rf"\frac{{{a}}}{{{b}}}",
        "surds": rf"{a} + {b}\sqrt{{{c}}}",
        "long reasoning": f"{a}",
    }[kind]


def answers(kind: str, count: int, rng: np.random.Generator) -> Answers:
    """Half right, half wrong, to 50 problems, in random order: texts and right answers."""
    if kind == "mix":
        parts = [answers(one, count // 4, rng) for one in KINDS[:-1]]
        pairs = [pair for texts, golds in parts for pair in zip(texts, golds, strict=True)]
    else:
        golds = [answer(kind, rng) for _ in range(PROBLEMS)]
        pairs = []
        for number in range(count):
            gold = golds[number % PROBLEMS]
            said = gold if rng.random() < 0.5 else answer(kind, rng)
            thought = "So the answer is "
            if kind == "long reasoning":
                steps = (
                    f"we add {x} and get $x_{{{x}}} = {x * 7}$" for x in rng.integers(99, size=200)
                )
                thought = ". Then ".join(steps) + ". Therefore the answer is "
            pairs.append((rf"{thought}\boxed{{{said}}}.", gold))
    order = rng.permutation(len(pairs))
    return [pairs[i][0] for i in order], [pairs[i][1] for i in order]


KINDS = ("integers", "fractions", "surds", "long reasoning", "mix")


@cache
def parsed(gold: str) -> list[Any]:
    from math_verify import parse

    return parse(f"${gold}$", parsing_timeout=None)


def bare(text: str, gold: str) -> bool:
    """Judge one answer with math-verify alone."""
    from math_verify import parse, verify

    found = parse(text, parsing_timeout=None)
    return bool(verify(parsed(gold), found, timeout_seconds=None))


def loop(batch: Answers) -> int:
    """Judge a share in this process."""
    logging.disable()  # it warns that it has no time limit
    return sum(map(bare, *batch))


def shares(batch: Answers, count: int) -> list[Answers]:
    return [(batch[0][i::count], batch[1][i::count]) for i in range(count)]


def timed(work: Callable[[], int]) -> tuple[float, int]:
    start = time.perf_counter()
    right = work()
    return time.perf_counter() - start, right


def spread(values: list[float], digits: int) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:7.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def ordinary(repeats: int, count: int, workers: int) -> None:
    """Print answers a second and ratios, for each kind; all three take turns."""
    print(
        f"{'':15} {'pool: answers/s':>22} {'pool / bare':>18} {'bare in pool / bare':>22}   right"
    )
    context = multiprocessing.get_context("spawn")
    with VerifierPool(workers) as pool, ProcessPoolExecutor(workers, mp_context=context) as loops:

        def in_pool(verifier: str, batch: Answers) -> int:
            return sum(verdict.correct for verdict in pool.verify(verifier, *batch))

        def outside(batch: Answers) -> int:
            return sum(loops.map(loop, shares(batch, 8 * workers)))  # so that all end together

        for kind in KINDS:
            rng = np.random.default_rng(SEED)
            warmup, batch = answers(kind, 16 * workers, rng), answers(kind, count, rng)
            for work in (outside, partial(in_pool, "maths"), partial(in_pool, BARE)):
                work(warmup)
            speed, ours, same = [], [], []
            for _ in range(repeats):
                seconds, right = timed(partial(in_pool, "maths", batch))
                seconds_bare, right_bare = timed(partial(outside, batch))
                seconds_same, right_same = timed(partial(in_pool, BARE, batch))
                assert right_same == right_bare
                speed.append(count / seconds)
                ours.append(seconds_bare / seconds)
                same.append(seconds_bare / seconds_same)
            print(
                f"{kind:15} {spread(speed, 0):>22} {spread(ours, 2):>18} {spread(same, 2):>22}   "
                f"{right} (math-verify {right_bare})"
            )


def with_time_outs(repeats: int, count: int, workers: int) -> None:
    """Print the time with 1% of hanging answers, against what it should be at best."""
    rng = np.random.default_rng(SEED)
    texts, golds = answers("mix", count, rng)
    hanging = rng.choice(count, round(SHARE * count), replace=False)
    bad = list(texts)
    for position in hanging:
        bad[position] = HANG
    ratios = []
    with VerifierPool(workers, seconds=LIMIT) as pool:
        pool.verify("maths", texts, golds)
        for _ in range(repeats):
            good_seconds, _ = timed(lambda: len(pool.verify("maths", texts, golds)))
            before = pool.statistics.time_outs
            seconds, _ = timed(lambda: len(pool.verify("maths", bad, golds)))
            assert pool.statistics.time_outs - before == len(hanging)
            ordinary_seconds = good_seconds * (1 - SHARE)
            ratios.append((ordinary_seconds + len(hanging) * LIMIT / workers) / seconds)
    print(
        f"{len(hanging)} of {count} answers hang for {LIMIT} s: "
        f"least possible time / time {spread(ratios, 2).strip()}"
    )


def main() -> None:
    given = [int(argument) for argument in sys.argv[1:]]
    repeats, count, workers = [*given, *[5, 400, cores()][len(given) :]]
    print(f"{count} answers a kind, {workers} workers, {repeats} repeats: median (least–most)")
    ordinary(repeats, count, workers)
    with_time_outs(repeats, count, workers)
    print(
        f"Python {platform.python_version()}, math-verify {version('math-verify')}, "
        f"{platform.machine()}, {os.cpu_count()} CPUs"
    )


if __name__ == "__main__":
    main()
