"""``fgrpo compare``: tell a difference between two sets of records from noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from fgrpo.compare import Comparison
    from fgrpo.records import Counts


def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Records of the reference, say the base model.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Records of the other model.")],
    more_a: Annotated[
        list[Path] | None, typer.Option("--also-a", help="The reference's other training seeds.")
    ] = None,
    more_b: Annotated[
        list[Path] | None, typer.Option("--also-b", help="The other model's other training seeds.")
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", min=1, help="Which pass@k; default 1 and n.")
    ] = None,
    m: Annotated[
        int | None,
        typer.Option(min=1, help="Subsample size for sampling noise; default 256, at most n/2."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
) -> None:
    """Compare two record files: pass@k, difference B − A, 95% intervals, p, and a verdict.

    Three noises are told apart: of the generations (the same models sampled again), of the
    problems (other problems of this kind), and, with --also-a or --also-b, of the training seeds.
    """
    try:
        _compare([a, *(more_a or [])], [b, *(more_b or [])], k, m, seed)
    except ValueError as error:  # everything the comparison refuses was asked for here
        raise UsageError(str(error)) from error


def _compare(
    paths_a: list[Path], paths_b: list[Path], k: list[int] | None, m: int | None, seed: int
) -> None:
    """Read, compare, print."""
    import numpy as np
    from rich.console import Console

    from fgrpo.compare import compare_generations, compare_problems, compare_seeds
    from fgrpo.records import read_counts

    runs_a = [read_counts(path) for path in paths_a]
    runs_b = [read_counts(path) for path in paths_b]
    fewest = min(int(counts.n.min(initial=2**31)) for counts in (*runs_a, *runs_b))
    if fewest == 2**31:
        raise UsageError(f"{paths_a[0]}, {paths_b[0]}: no records to compare")
    wanted = k or sorted({1, fewest})
    rng = np.random.default_rng(seed)
    console = Console()
    console.print(
        f"A: {_describe(paths_a[0], runs_a)}\nB: {_describe(paths_b[0], runs_b)}\n", highlight=False
    )

    print_comparisons(console, compare_problems(runs_a, runs_b, k=wanted, rng=rng))
    if len(runs_a) + len(runs_b) > 2:
        print_comparisons(console, compare_seeds(runs_a, runs_b, k=wanted))
        return
    subsample = m or min(256, fewest // 2)
    covered = [value for value in wanted if value <= subsample]
    if covered:
        print_comparisons(
            console, compare_generations(runs_a[0], runs_b[0], k=covered, m=subsample, rng=rng)
        )
    for value in wanted:
        if value > subsample:
            console.print(
                f"pass@{value} given the noise of the generations needs more samples: "
                f"subsamples of {subsample} of n = {fewest} allow only k ≤ {subsample}.",
                highlight=False,
            )


def print_comparisons(console: Console, comparisons: list[Comparison]) -> None:
    """Print one table: a row per k."""
    from rich.table import Table

    table = Table(title=f"Noise covered: {comparisons[0].noise}", title_justify="left")
    for column in ("", "A", "B", "B − A", "95% interval", "p"):
        table.add_column(column, justify="right" if column else "left")
    for result in comparisons:
        low, high = result.interval
        table.add_row(
            f"pass@{result.k}",
            f"{100 * result.a:.1f}",
            f"{100 * result.b:.1f}",
            f"{100 * result.estimate:+.1f}",
            f"{100 * low:+.1f} to {100 * high:+.1f}",
            f"{result.p_value:.2g}",
        )
    console.print(table)
    for result in comparisons:
        console.print(f"→ {result.verdict}", highlight=False)
    console.print()


def _describe(path: Path, runs: list[Counts]) -> str:
    """Name a side: file, runs, problems, samples."""
    first = runs[0]
    others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    samples = "–".join(str(n) for n in sorted({int(first.n.min()), int(first.n.max())}))
    return f"{path}{others} ({len(first.problems)} problems, n = {samples})"
