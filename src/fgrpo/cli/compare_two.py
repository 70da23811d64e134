"""What ``fgrpo compare`` prints of two arms on one benchmark: every noise by itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from fgrpo.compare import Comparison
    from fgrpo.compare.arms import Arm
    from fgrpo.diagnose.result import Diagnosis
    from fgrpo.records import Counts

_PARTS = (
    "Its two parts follow. Each holds the other noise fixed: the first asks about other problems "
    "for these very models, the second about other training seeds on these very problems. Take "
    "the verdict from the table above, not from them."
)
_ONE_RUN = "One run a side: nothing here says what training again would give (--also-a, --also-b)."


def blocks_of_two(found: Diagnosis, m: int | None) -> list[Table | str]:
    """Return what to print: both sides, tables and verdicts, curves, lost and gained, cautions."""
    import numpy as np

    from fgrpo.compare.arms import align
    from fgrpo.diagnose.curves import crossing_words
    from fgrpo.diagnose.sentences import changed_words

    runs_a, runs_b = ([run.counts for run in arm.runs] for arm in found.arms)
    names_a, names_b = ([str(run.path) for run in arm.runs] for arm in found.arms)
    arms = align(runs_a, runs_b, names=(names_a, names_b))
    rng = np.random.default_rng(found.seed)
    labels = "".join(
        f"{side}: {arm.label}, {_describe(runs)}\n"
        for side, arm, runs in zip("AB", found.arms, arms, strict=True)
    )
    blocks: list[Table | str] = [labels]
    if len(runs_a) + len(runs_b) > 2:
        blocks += _several_runs(runs_a, runs_b, list(found.ks), rng)
    else:
        blocks += _one_run_each(runs_a[0], runs_b[0], arms, list(found.ks), m, rng)
    (scope,) = found.benchmarks
    return [
        *blocks,
        f"pass@k of B against A: {crossing_words(scope.crossings[0])}.",
        changed_words(scope, 0, "A"),
        *(f"Warning: {text}" for text in found.warnings),
        *(f"Note: {text}" for text in found.notes),
    ]


def generation_blocks(
    a: Counts,
    b: Counts,
    arms: tuple[Arm, Arm],
    k: list[int],
    m: int | None,
    rng: np.random.Generator,
) -> list[Table | str]:
    """Compare given the noise of the generations; say which k that cannot judge."""
    from fgrpo.compare import compare_generations
    from fgrpo.compare.generations import check_m

    fewest = min(arm.fewest for arm in arms)
    subsample = m or min(256, fewest // 2)
    covered = [value for value in k if value <= subsample]
    blocks: list[Table | str] = []
    if covered:
        check_m(subsample, *arms)
        blocks += _blocks(compare_generations(a, b, k=covered, m=subsample, rng=rng))
    return blocks + [
        f"pass@{value} given the noise of the generations needs more samples: subsamples of "
        f"{subsample} of n = {fewest} allow only k ≤ {subsample}."
        for value in k
        if value > subsample
    ]


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
    from fgrpo.compare import compare_problems

    blocks = _blocks(compare_problems(a, b, k=k, rng=rng))
    return [*blocks, *generation_blocks(a, b, arms, k, m, rng), _ONE_RUN]


def _blocks(comparisons: list[Comparison], *, verdicts: bool = True) -> list[Table | str]:
    """Return a table with a row per k, then the verdicts, or else only the caveats."""
    from rich.table import Table

    from fgrpo.presentation.numbers import points

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
    from fgrpo.diagnose.arms import printable

    others = f" and {arm.runs - 1} more" if arm.runs > 1 else ""
    samples = "–".join(str(n) for n in sorted({arm.fewest, int(arm.n.max())}))
    return f"{printable(arm.names[0])}{others} ({len(arm.problems)} problems, n = {samples})"
