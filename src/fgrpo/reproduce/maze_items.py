"""Table 4 and figure 6: the maze, at the scale that was trained here, beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.compare import compare_problems_and_seeds
from fgrpo.presentation.axes import size_axis
from fgrpo.presentation.figures import draw_panels, entitle, save
from fgrpo.presentation.numbers import in_points, percent, percent_cell
from fgrpo.presentation.series import arm_style
from fgrpo.report.verdict import judge_test
from fgrpo.reproduce.item import Claim, Finding, Made, Runs, Table
from fgrpo.reproduce.maze_run import Difference, MazeRun
from fgrpo.reproduce.maze_words import GAMMAS, difference, judged, method, notes, paper_cells, scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from fgrpo.reproduce.maze_run import Cell


def table_4(runs: Runs) -> Made:
    """Compare pass@1 and pass@256 with and without the weight, beside the paper's table."""
    run = MazeRun(runs.maze())
    theirs = paper_cells()
    size = 8 if 8 in run.sizes else run.sizes[0]
    cells = [run.cell(size, gamma) for gamma in GAMMAS]
    return Made(
        scale=scale(run),
        ours=_in_a_line(size, [cell.reached if cell else None for cell in cells], run.samples),
        paper=_in_a_line(size, [theirs.get((size, gamma)) for gamma in GAMMAS], 256),
        claims=tuple(_higher(run, gamma, k) for gamma in GAMMAS[1:] for k in (1, run.samples)),
        tables=(_beside(run, theirs),),
        notes=notes(run),
    )


def figure_6(runs: Runs) -> Made:
    """Draw pass@256 against the group size, the paper's table beside our run."""
    run = MazeRun(runs.maze())
    theirs, k = paper_cells(), run.samples
    paper_sizes = sorted({size for size, _ in theirs})
    sizes = sorted({*paper_sizes, *run.sizes})
    mine = {(c.group_size, c.gamma): c.reached for c in run.cells}
    lowest = 100 * min(*(v[256] for v in theirs.values()), *(v[k] for v in mine.values()))

    def paint(
        axes: Axes, title: str, values: Mapping[tuple[int, float], Mapping[int, float]], most: int
    ) -> None:
        for place, gamma in enumerate(GAMMAS):
            style = arm_style(method(gamma), place)
            shown = [size for size in sizes if (size, gamma) in values]
            reached = [100 * values[size, gamma][most] for size in shown]
            axes.plot(shown, reached, **style.main())
        size_axis(axes, sizes)
        entitle(axes, title)
        axes.set_ylabel(f"pass@{most} (%)")
        axes.set_ylim(lowest - 3, 101)

    figure = draw_panels(
        [
            lambda axes: paint(axes, "the paper, table 4", theirs, 256),
            lambda axes: paint(axes, f"ours, {run.name}", mine, k),
        ]
    )
    return Made(
        scale=scale(run),
        ours=_ends(mine, run.sizes, k),
        paper=_ends(theirs, paper_sizes, 256),
        claims=(*(_higher(run, gamma, k) for gamma in GAMMAS[1:]), _grows(run)),
        figures=(
            save(
                figure,
                "figure-6",
                "pass@256 against the group size",
                "Left: the paper's numbers. Right: ours, mean over the seeds. The axis does not "
                "begin at 0.",
                f"The paper: {_ends(theirs, paper_sizes, 256)}. Ours: {_ends(mine, run.sizes, k)}.",
            ),
        ),
        notes=(
            "What the paper's figure 6 shows is not known to us; drawn here are the numbers of its "
            "table 4.",
            *notes(run),
        ),
    )


def _higher(run: MazeRun, gamma: float, k: int) -> Claim:
    """Judge that the weight raises pass@k, by the tests of the run's report."""
    return judged(
        f"γ = {gamma:g} raises pass@{k} at every group size",
        {
            f"N = {cell.group_size}": cell.against[k]
            for cell in run.cells
            if cell.gamma == gamma and k in cell.against
        },
    )


def _grows(run: MazeRun) -> Claim:
    """Judge that GRPO's pass@n is higher with the largest group than with the smallest."""
    text = f"without weight pass@{run.samples} grows from the smallest group size to the largest"
    small, large = (run.cell(size, 0.0) for size in (run.sizes[0], run.sizes[-1]))
    if small is None or large is None or small is large:
        return Claim(text, "not trained at two group sizes", Finding.OPEN)
    if run.seeds < 2:
        return Claim(text, "one training seed only", Finding.OPEN)
    (found,) = compare_problems_and_seeds(
        run.counts(small.name), run.counts(large.name), k=[run.samples]
    )
    grown = Difference(found.estimate, *found.interval, judge_test(found.estimate, found.p_value))
    return judged(text, {f"N = {small.group_size} to {large.group_size}": grown})


def _beside(run: MazeRun, theirs: Mapping[tuple[int, float], Mapping[int, float]]) -> Table:
    """Set every cell that either has side by side."""
    k = run.samples
    keys = sorted({*theirs, *((cell.group_size, cell.gamma) for cell in run.cells)})
    rows = []
    for size, gamma in keys:
        mine, paper = run.cell(size, gamma), theirs.get((size, gamma))
        rows.append(
            (
                str(size),
                f"{gamma:g}",
                *_pair(mine.reached if mine else None, (1, k), f"not in {run.name}"),
                _gained(mine, k),
                *_pair(paper, (1, 256), "not in the paper"),
                _paper_gained(theirs, size, gamma),
            )
        )
    return Table(
        "pass@1 and pass@256, percent; differences from γ = 0 with 95% intervals",
        (
            "N",
            "γ",
            "ours: pass@1",
            f"pass@{k}",
            f"difference at {k}",
            "paper: pass@1",
            "pass@256",
            "difference at 256",
        ),
        tuple(rows),
    )


def _pair(values: Mapping[int, float] | None, ks: tuple[int, int], missing: str) -> list[str]:
    if values is None:
        return [missing, missing]
    return [percent_cell(values[k]) for k in ks]


def _gained(cell: Cell | None, k: int) -> str:
    return difference(cell.against[k]) if cell is not None and k in cell.against else "–"


def _paper_gained(
    theirs: Mapping[tuple[int, float], Mapping[int, float]], size: int, gamma: float
) -> str:
    here, plain = theirs.get((size, gamma)), theirs.get((size, 0.0))
    if here is None or plain is None or gamma == 0:
        return "–"
    return f"{in_points(here[256] - plain[256])} points"


def _in_a_line(size: int, cells: list[Mapping[int, float] | None], k: int) -> str:
    parts = [
        f"γ = {gamma:g}: {percent(cell[1])} / {percent(cell[k])}"
        for gamma, cell in zip(GAMMAS, cells, strict=True)
        if cell
    ]
    return f"pass@1 / pass@{k} at N = {size}: {', '.join(parts) or 'no numbers'}"


def _ends(values: Mapping[tuple[int, float], Mapping[int, float]], sizes: list[int], k: int) -> str:
    ends = list(dict.fromkeys((sizes[0], sizes[-1])))
    parts = []
    for gamma in GAMMAS:
        cells = [values.get((size, gamma)) for size in ends]
        if any(cells):
            reached = (percent(cell[k]) if cell else "not trained" for cell in cells)
            parts.append(f"γ = {gamma:g}: {' to '.join(reached)}")
    return f"pass@{k} for N = {' to '.join(map(str, ends))}: {', '.join(parts)}"
