"""Table 4, figures 6 and 7: the maze, at the scale that was trained here, beside the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.compare import compare_problems_and_seeds
from fgrpo.presentation.axes import size_axis
from fgrpo.presentation.figures import draw_panels, save
from fgrpo.presentation.numbers import in_points, percent
from fgrpo.presentation.series import arm_style
from fgrpo.report.verdict import HIGHER, LOWER
from fgrpo.reproduce.item import Claim, Finding, Made, Runs, Table, every
from fgrpo.reproduce.maze_run import MazeRun
from fgrpo.reproduce.paper import paper_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.axes import Axes

    from fgrpo.presentation.figures import DrawnFigure
    from fgrpo.reproduce.maze_run import Against, Cell

GAMMAS = (0.0, 0.5, 1.0)
_PAPER_SCALE = (
    "The paper trains 3.9 million parameters on 17×17 mazes for 20,000 steps of 256 prompts. There "
    "a maze ends up solved always or never, so that pass@1 and pass@256 are nearly the same."
)


def table_4(runs: Runs) -> Made:
    """Compare pass@1 and pass@256 with and without the weight, beside the paper's table."""
    run = MazeRun(runs.maze())
    theirs = _paper()
    size = 8 if 8 in run.sizes else run.sizes[0]
    cells = [run.cell(size, gamma) for gamma in GAMMAS]
    return Made(
        scale=_scale(run),
        ours=_in_a_line(size, [cell.reached if cell else None for cell in cells], run.samples),
        paper=_in_a_line(size, [theirs.get((size, gamma)) for gamma in GAMMAS], 256),
        claims=tuple(_higher(run, gamma, k) for gamma in run.gammas for k in (1, run.samples)),
        tables=(_beside(run, theirs),),
        notes=(_PAPER_SCALE, _made_by(run)),
    )


def figure_6(runs: Runs) -> Made:
    """Draw pass@256 against the group size, the paper's table beside our run."""
    run = MazeRun(runs.maze())
    theirs, k = _paper(), run.samples
    sizes = sorted({size for size, _ in theirs})
    mine = {(c.group_size, c.gamma): c.reached for c in run.cells}
    lowest = 100 * min(*(v[256] for v in theirs.values()), *(v[k] for v in mine.values()))

    def paint(
        axes: Axes, title: str, values: Mapping[tuple[int, float], Mapping[int, float]], most: int
    ) -> None:
        for place, gamma in enumerate(GAMMAS):
            style = arm_style("GRPO" if gamma == 0 else f"F-GRPO γ = {gamma:g}", place)
            shown = [size for size in sizes if (size, gamma) in values]
            reached = [100 * values[size, gamma][most] for size in shown]
            axes.plot(shown, reached, **style.main())
        size_axis(axes, sizes)
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set_ylabel(f"pass@{most} (%)")
        axes.set_ylim(lowest - 3, 101)

    figure = draw_panels(
        [
            lambda axes: paint(axes, "the paper, table 4", theirs, 256),
            lambda axes: paint(axes, f"ours, {run.name}", mine, k),
        ]
    )
    return Made(
        scale=_scale(run),
        ours=_ends(mine, run.sizes, k),
        paper=_ends(theirs, sizes, 256),
        claims=(*(_higher(run, gamma, k) for gamma in run.gammas), _grows(run)),
        figures=(
            save(
                figure,
                "figure-6",
                "pass@256 against the group size",
                "Left: the paper's numbers. Right: ours, mean over the seeds. The axis does not "
                "begin at 0.",
                f"The paper: {_ends(theirs, sizes, 256)}. Ours: {_ends(mine, run.sizes, k)}.",
            ),
        ),
        notes=(
            "What the paper's figure 6 shows is not known to us; drawn here are the numbers of its "
            "table 4.",
            _PAPER_SCALE,
            _made_by(run),
        ),
    )


def figure_7(runs: Runs) -> Made:
    """Follow pass@256 during training."""
    run = MazeRun(runs.maze())
    base, rows = run.base[run.samples], []
    drops, recovers, reduces = [], [], []
    for size in run.sizes:
        lowest = {}
        for gamma in GAMMAS:
            cell = run.cell(size, gamma)
            if cell is None:
                continue
            line = run.training[cell.name]
            step = min(line, key=line.__getitem__)
            end = line[max(line)]
            lowest[gamma] = line[step]
            rows.append(
                (
                    str(size),
                    f"{gamma:g}",
                    percent(base),
                    percent(line[step]),
                    str(step),
                    percent(end),
                    "no numbers",
                )
            )
            if gamma == 0:
                drops.append(line[step] < base and step <= max(line) / 2)
                recovers.append(end > line[step])
        plain = lowest.pop(0.0, None)
        if plain is not None:
            reduces += [low > plain for low in lowest.values()]
    return Made(
        scale=_scale(run),
        ours=f"GRPO is lowest in the first half of training at {sum(drops)} of {len(drops)} group "
        f"sizes; F-GRPO's lowest point is higher in {sum(reduces)} of {len(reduces)} comparisons",
        paper="GRPO often drops in pass@K early, then recovers; the weight reduces the drop",
        claims=(
            every(
                "without weight pass@256 is lowest in the first half of training, below the base "
                "model",
                drops,
                "group sizes",
            ),
            every("and recovers in part until the end", recovers, "group sizes"),
            every("with the weight the lowest point is higher", reduces, "group sizes × γ"),
        ),
        tables=(
            Table(
                f"pass@{run.samples} during training, mean over seeds",
                ("N", "γ", "base model", "lowest", "at step", "at the end", "paper"),
                tuple(rows),
            ),
        ),
        figures=(_during_training(run),),
        notes=(
            "The claims are about means over the seeds at the steps that were evaluated, without a "
            "test.",
            _PAPER_SCALE,
            _made_by(run),
        ),
    )


def _paper() -> dict[tuple[int, float], dict[int, float]]:
    """Map group size and γ to k → pass@k, shares in [0, 1]."""
    found: dict[tuple[int, float], dict[int, float]] = {}
    for row in paper_rows("maze"):
        cell = found.setdefault((row["group_size"], row["gamma"]), {})
        cell[row["k"]] = row["pass_at_k"] / 100
    return found


def _higher(run: MazeRun, gamma: float, k: int) -> Claim:
    """Judge that the weight raises pass@k, by the tests of the run's report."""
    found = {
        cell.group_size: cell.against[k]
        for cell in run.cells
        if cell.gamma == gamma and k in cell.against
    }
    judged = [one.judgement for one in found.values()]
    if LOWER in judged:
        finding = Finding.DISAGREES
    elif judged and all(one == HIGHER for one in judged):
        finding = Finding.AGREES
    else:
        finding = Finding.OPEN
    ours = "; ".join(f"N = {size}: {_difference(one)}" for size, one in found.items())
    return Claim(
        f"γ = {gamma:g} raises pass@{k} at every group size", ours or "not trained", finding
    )


def _grows(run: MazeRun) -> Claim:
    """Judge that GRPO's pass@n is higher with the largest group than with the smallest."""
    text = f"without weight pass@{run.samples} grows from the smallest group size to the largest"
    small, large = (run.cell(size, 0.0) for size in (run.sizes[0], run.sizes[-1]))
    if small is None or large is None or small is large:
        return Claim(text, "one group size only", Finding.OPEN)
    if run.seeds < 2:
        return Claim(text, "one training seed only", Finding.OPEN)
    (found,) = compare_problems_and_seeds(
        run.counts(small.name), run.counts(large.name), k=[run.samples]
    )
    low, high = found.interval
    finding = Finding.AGREES if low > 0 else Finding.DISAGREES if high < 0 else Finding.OPEN
    ours = f"{in_points(found.estimate)} ({in_points(low)} to {in_points(high)}) points"
    return Claim(text, f"N = {small.group_size} to {large.group_size}: {ours}", finding)


def _difference(one: Against) -> str:
    return f"{in_points(one.estimate)} ({in_points(one.low)} to {in_points(one.high)}) points"


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
    return [percent(values[k]).removesuffix("%") for k in ks]


def _gained(cell: Cell | None, k: int) -> str:
    return _difference(cell.against[k]) if cell is not None and k in cell.against else "–"


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
    return f"pass@1 / pass@{k} at N = {size}: {', '.join(parts)}"


def _ends(values: Mapping[tuple[int, float], Mapping[int, float]], sizes: list[int], k: int) -> str:
    ends = list(dict.fromkeys((sizes[0], sizes[-1])))
    parts = []
    for gamma in GAMMAS:
        reached = [percent(values[size, gamma][k]) for size in ends if (size, gamma) in values]
        if reached:
            parts.append(f"γ = {gamma:g}: {' to '.join(reached)}")
    return f"pass@{k} for N = {' to '.join(map(str, ends))}: {', '.join(parts)}"


def _during_training(run: MazeRun) -> DrawnFigure:
    def painter(size: int) -> Callable[[Axes], None]:
        def paint(axes: Axes) -> None:
            for place, gamma in enumerate(GAMMAS):
                cell = run.cell(size, gamma)
                if cell is None:
                    continue
                line = {0: run.base[run.samples], **run.training[cell.name]}
                style = arm_style("GRPO" if gamma == 0 else f"F-GRPO γ = {gamma:g}", place)
                axes.plot(list(line), [100 * value for value in line.values()], **style.main())
            axes.set_title(f"N = {size}", fontsize=10.5, loc="left")
            axes.set_xlabel("training step")
            axes.set_ylabel(f"pass@{run.samples} (%)")

        return paint

    figure = draw_panels([painter(size) for size in run.sizes], columns=2, share=True)
    return save(
        figure,
        "figure-7",
        f"pass@{run.samples} during training",
        "Mean over training seeds; step 0 is the base model. The axis does not begin at 0.",
        "GRPO's line falls early and recovers in part; those of F-GRPO fall less.",
    )


def _scale(run: MazeRun) -> str:
    sizes = ", ".join(map(str, run.sizes))
    seeds = f"{run.seeds} seed{'s' if run.seeds > 1 else ''}"
    return (
        f"{run.name}: {run.maze_size}×{run.maze_size} mazes, {run.steps:,} steps, N = {sizes}, "
        f"{seeds}"
    )


def _made_by(run: MazeRun) -> str:
    return f"Trained by `{run.command}` on {run.device}."
