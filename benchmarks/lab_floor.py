"""The floor of one RL step of the lab: least work, the machine's rates, the time that follows.

    python benchmarks/lab_floor.py
    python benchmarks/lab_floor.py --device cuda
    python benchmarks/lab_floor.py --recipe maze-small --set train.group_size=32 --repeats 3

`floor/work.py` says what is counted, `floor/machine.py` what is measured. A phase takes at least
the longer of operations / matrix rate and bytes / memory rate. The rates are the best of all
repeats, and every core is taken to multiply as fast as one does alone: less would be no floor.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from floor.machine import (
    DATA_SHEET,
    ROUTES,
    Clock,
    Machine,
    matrix_rates,
    memory_rates,
    threads_to_try,
)
from floor.work import Architecture, Case, Lengths, Sharing, work

from fgrpo.errors import UsageError
from fgrpo.lab.recipe import load_recipe
from fgrpo.maze import generate, solve

if TYPE_CHECKING:
    from fgrpo.lab.settings import Recipe

MAZES = 20_000  # whose right answers give the length of a response
LARGE = ["model.hidden_size=256", "model.intermediate_size=1024"]  # the paper's 3.9M
ANY_SIZE = "maze.max_response_tokens=null"
# Of maze-small's first arm, seed 20: means over its 160 steps.
MEASURED = Sharing(prefixes=0.17, responses=0.08, groups=0.22)


def right_answers(size: int) -> np.ndarray:
    """Tokens of the right answers of `MAZES` mazes: moves, DONE and end."""
    return solve(generate(MAZES, size, np.random.default_rng(0)))[1] + 2


def presets() -> list[tuple[str, Recipe]]:
    """Named recipes: maze-small, the comparison with TRL, and the paper's."""
    paper = [*LARGE, "maze.size=17", "train.prompts_per_step=256"]
    changes = {
        "maze-small": [],
        "3.9M 9×9 32×8": LARGE,
        "3.9M 17×17 32×8": [*LARGE, "maze.size=17"],
        "paper 256×8": paper,
        "paper 256×128": [*paper, "train.group_size=128"],
    }
    return [
        (name, load_recipe("maze-small", [ANY_SIZE, *these])) for name, these in changes.items()
    ]


def case_of(name: str, recipe: Recipe, lengths: Lengths, sharing: Sharing) -> Case:
    """One step of a recipe's shared training settings."""
    return Case(
        name,
        Architecture(recipe.model),
        recipe.maze.prompt_tokens,
        recipe.train.prompts_per_step,
        recipe.train.group_size,
        lengths,
        sharing,
    )


def table(title: str, head: list[str], lines: list[list[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    for line in (head, ["---", *("---:" for _ in head[1:])], *lines):
        print(f"| {' | '.join(line)} |")


def short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Median (least to most)."""
    return f"{short(statistics.median(values))} ({short(min(values))} to {short(max(values))})"


def told_lengths(sizes: list[int]) -> None:
    lines = []
    for size in sizes:
        tokens = right_answers(size)
        low, middle, high = np.percentile(tokens, [5, 50, 95])
        batches = [Lengths.of_right_answers(tokens, n).longest for n in (32, 256)]
        figures = [tokens.mean(), tokens.std(), low, middle, high, tokens.max(), *batches]
        lines.append([f"{size}×{size}", *map(short, figures)])
    head = ["maze", "mean", "deviation", "5%", "median", "95%", "longest", "of 32", "of 256"]
    table(f"Tokens of the right answers of {MAZES:,} mazes, DONE and end included", head, lines)


def told_work(cases: list[Case]) -> None:
    lines = []
    for case in cases:
        least, plain = (work(case, 4, shared=shared) for shared in (True, False))
        for phase, one in least.items():
            other = plain[phase]
            figures = [one.flops / 1e9, other.flops / 1e9, other.flops / one.flops]
            figures += [one.bytes / 1e9, other.bytes / 1e9]
            lines.append([f"{case.name}: {phase}", *map(short, figures)])
    head = ["case: phase", "GFLOP", "unshared", "ratio", "GB (fp32)", "unshared"]
    table("Least work of one step; unshared: every rollout with its own prompt", head, lines)


def told_memory(clock: Clock, mib: int) -> float:
    """Measure and print; return the best rate in bytes/s."""
    best, lines = 0.0, []
    for threads in threads_to_try(clock.device):
        rates = memory_rates(clock, threads, mib)
        best = max(best, *(max(these) for these in rates.values()))
        told = (spread([rate / 1e9 for rate in rates[kind]]) for kind in ("read", "copy"))
        lines.append([str(threads), *told])
    head = ["threads", "read", "copy (read + written)"]
    table(f"Memory, GB/s, array of {mib} MiB: median (least to most)", head, lines)
    return best


def told_machines(
    clock: Clock, all_sizes: list[tuple[int, int]], all_rows: list[int], memory: float
) -> dict[tuple[int, int], list[Machine]]:
    """Measure and print; return the best of each route for each (hidden, intermediate) size.

    The rate of one thread counts as many times as there are cores: together they do no more, and
    several threads are only measured well on a machine that does nothing else.
    """
    machines, lines = {}, []
    cores = threads_to_try(clock.device)[-1]
    for sizes in all_sizes:
        machines[sizes] = []
        for route in ROUTES[clock.device.type]:
            best = dict.fromkeys(all_rows, 0.0)
            for threads in threads_to_try(clock.device):
                line, worst = [f"{sizes[0]}×{sizes[1]} {route.name}", str(threads)], 0.0
                for rows in all_rows:
                    rates, error = matrix_rates(clock, route, threads, rows, *sizes)
                    best[rows] = max(best[rows], max(rates) * cores / threads)
                    worst = max(worst, error)
                    line.append(spread([rate / 1e9 for rate in rates]))
                lines.append([*line, f"{worst:.0e}"])
            machines[sizes].append(Machine(route.name, route.dtype.itemsize, best, memory))
    head = ["product", "threads", *(f"{rows} rows" for rows in all_rows), "error"]
    table("Matrix products, GFLOP/s: median (least to most); relative error", head, lines)
    return machines


def told_floor(cases: list[Case], machines: dict[tuple[int, int], list[Machine]]) -> None:
    lines, head = [], ["case"]
    for case in cases:
        line, head = [case.name], ["case"]
        for machine in (*machines[case.model.sizes], DATA_SHEET):
            times = [machine.seconds(one) for one in work(case, machine.element).values()]
            sampling, training = times[0] + times[1], times[2]
            line.append(f"{short(sampling)} + {short(training)} = {short(sampling + training)}")
            head.append(machine.name)
        lines.append([*line, short(DATA_SHEET.launches(case))])
    head.append("its launches (assumed)")
    table("Floor in seconds, sampling + training = step", head, lines)


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--recipe", help="count this recipe instead of the presets")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="FIELD=VALUE")
    parser.add_argument("--response-tokens", type=float, help="instead of the right answers'")
    parser.add_argument("--prefixes", type=float, default=1.0, help="distinct decoded tokens, ≤ 1")
    parser.add_argument("--responses", type=float, default=1.0, help="tokens trained on, ≤ 1")
    parser.add_argument("--groups", type=float, default=1.0, help="groups trained on, ≤ 1")
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 256, 4096])
    parser.add_argument("--repeats", type=int, default=99)
    parser.add_argument("--array-mib", type=int, default=512, help="far more than the caches hold")
    options = parser.parse_args(given)
    for name, least in (("repeats", 1), ("array_mib", 1), ("rows", 1), ("response_tokens", 2)):
        value = getattr(options, name)
        if value is not None and np.min(value) < least:
            parser.error(f"--{name.replace('_', '-')} {value}: at least {least}")
    for name in ("prefixes", "responses", "groups"):
        if not 0 < getattr(options, name) <= 1:
            parser.error(f"--{name} {getattr(options, name)}: a share, above 0 and at most 1")
    if options.device not in ROUTES:
        parser.error(f"--device {options.device}: cpu or cuda")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees none; use --device cpu")
    if options.changes and not options.recipe:
        parser.error("--set: changes a recipe; name it with --recipe")
    return options


def main(given: list[str] | None = None) -> int:
    options = arguments(given)
    try:
        chosen = presets()
        if options.recipe:
            chosen = [(options.recipe, load_recipe(options.recipe, options.changes))]
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    asked = Sharing(options.prefixes, options.responses, options.groups)
    cases = []
    for name, recipe in chosen:
        if options.response_tokens is None:
            tokens = right_answers(recipe.maze.size)
            lengths = Lengths.of_right_answers(tokens, recipe.train.prompts_per_step)
        else:
            lengths = Lengths.constant(options.response_tokens)
        cases.append(case_of(name, recipe, lengths, asked))
    if asked == Sharing() and not options.recipe:
        cases.insert(1, replace(cases[0], name="maze-small, as shared", sharing=MEASURED))

    device = torch.device(options.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    print(f"{name}, torch {torch.__version__}, {options.repeats} repeats")
    told_lengths(sorted({recipe.maze.size for _, recipe in chosen}))
    told_work(cases)
    clock = Clock(device, options.repeats)
    memory = told_memory(clock, options.array_mib)
    sizes = sorted({case.model.sizes for case in cases})
    told_floor(cases, told_machines(clock, sizes, options.rows, memory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
