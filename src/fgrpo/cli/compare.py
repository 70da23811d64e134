"""``fgrpo compare``: tell a difference between two sets of records from noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from fgrpo.compare import Comparison
    from fgrpo.compare.arms import Arm
    from fgrpo.records import Counts

_PARTS = (
    "Its two parts follow. Each holds the other noise fixed: the first asks about other problems "
    "for these very models, the second about other training seeds on these very problems. Take "
    "the verdict from the table above, not from them."
)
_ONE_RUN = "One run a side: nothing here says what training again would give (--also-a, --also-b)."


def compare(
    a: Annotated[
        Path, typer.Argument(metavar="A", help="Records of the reference, say the base model.")
    ],
    b: Annotated[Path, typer.Argument(metavar="B", help="Records of the other model.")],
    more_a: Annotated[
        list[Path] | None,
        typer.Option("--also-a", help="Another training seed of the reference; repeat for more."),
    ] = None,
    more_b: Annotated[
        list[Path] | None,
        typer.Option("--also-b", help="Another training seed of the other; repeat for more."),
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", min=1, help="Which pass@k; default 1 and n.")
    ] = None,
    m: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Subsample size for the noise of the generations, with one run a side; "
            "default 256, at most n/2.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
) -> None:
    """Compare two record files: pass@k, difference B − A, 95% intervals, p, and a verdict.

    With one run a side, two noises are told apart: of the problems (other problems of this kind)
    and of the generations (the same models sampled again). With --also-a or --also-b the verdict
    is given problems and training seeds together; then follow the two one by one.
    """
    try:
        _compare([a, *(more_a or [])], [b, *(more_b or [])], k, m, seed)
    except ValueError as error:  # everything the comparison refuses was asked for here
        raise UsageError(str(error)) from error


def _compare(
    paths_a: list[Path], paths_b: list[Path], k: list[int] | None, m: int | None, seed: int
) -> None:
    """Read and check, with the files' names in errors; compare; only then print."""
    import numpy as np
    from rich.console import Console

    from fgrpo.compare.arms import align, check_k
    from fgrpo.records import read_counts

    paths = (paths_a, paths_b)
    runs_a, runs_b = ([read_counts(path) for path in side] for side in paths)
    named = [[str(path) for path in side] for side in paths]
    arms = align(runs_a, runs_b, names=(named[0], named[1]))
    wanted = k or sorted({1, min(arm.fewest for arm in arms)})
    check_k(wanted, *arms)
    rng = np.random.default_rng(seed)
    if len(runs_a) + len(runs_b) > 2:
        blocks = _several_runs(runs_a, runs_b, wanted, rng)
    else:
        blocks = _one_run_each(runs_a[0], runs_b[0], arms, wanted, m, rng)
    console = Console(markup=False, highlight=False)
    console.print(f"A: {_describe(arms[0])}\nB: {_describe(arms[1])}\n", soft_wrap=True)
    for block in blocks:
        console.print(block)


def _several_runs(
    runs_a: list[Counts], runs_b: list[Counts], k: list[int], rng: np.random.Generator
) -> list[Table | str]:
    """Compare given both noises together, then each alone."""
    from fgrpo.compare import compare_problems, compare_problems_and_seeds, compare_seeds

    return [
        *_blocks(compare_problems_and_seeds(runs_a, runs_b, k=k)),
        _PARTS,
        "",
        *_blocks(compare_problems(runs_a, runs_b, k=k, rng=rng), verdicts=False),
        *_blocks(compare_seeds(runs_a, runs_b, k=k), verdicts=False),
    ]


def _one_run_each(
    a: Counts,
    b: Counts,
    arms: tuple[Arm, Arm],
    k: list[int],
    m: int | None,
    rng: np.random.Generator,
) -> list[Table | str]:
    """Compare given the noise of the problems, then of the generations."""
    from fgrpo.compare import compare_generations, compare_problems
    from fgrpo.compare.generations import check_m

    fewest = min(arm.fewest for arm in arms)
    subsample = m or min(256, fewest // 2)
    covered = [value for value in k if value <= subsample]
    blocks = _blocks(compare_problems(a, b, k=k, rng=rng))
    if covered:
        check_m(subsample, *arms)
        blocks += _blocks(compare_generations(a, b, k=covered, m=subsample, rng=rng))
    blocks += [
        f"pass@{value} given the noise of the generations needs more samples: subsamples of "
        f"{subsample} of n = {fewest} allow only k ≤ {subsample}."
        for value in k
        if value > subsample
    ]
    return [*blocks, _ONE_RUN]


def _blocks(comparisons: list[Comparison], *, verdicts: bool = True) -> list[Table | str]:
    """Return a table with a row per k, then the verdicts, or else only the caveats."""
    from rich.table import Table

    from fgrpo.compare.result import points

    table = Table(title=f"Noise covered: {comparisons[0].noise}", title_justify="left")
    for column in ("", "A", "B", "B − A", "95% interval", "p"):
        table.add_column(column, justify="right" if column else "left")
    for result in comparisons:
        low, high = (points(100 * end) for end in result.interval)
        table.add_row(
            f"pass@{result.k}",
            f"{100 * result.a:.1f}",
            f"{100 * result.b:.1f}",
            points(100 * result.estimate),
            "cannot be judged" if math.isnan(result.p_value) else f"{low} to {high}",
            result.p_text.removeprefix("= "),
        )
    if verdicts:
        told = [f"→ {result.verdict}" for result in comparisons]
    else:
        told = [f"pass@{result.k}: {result.caveat}" for result in comparisons if result.caveat]
    return [table, *told, ""]


def _describe(arm: Arm) -> str:
    """Name a side: file, runs, problems, samples."""
    others = f" and {arm.runs - 1} more" if arm.runs > 1 else ""
    samples = "–".join(str(n) for n in sorted({arm.fewest, int(arm.n.max())}))
    return f"{arm.names[0]}{others} ({len(arm.problems)} problems, n = {samples})"
