"""Figure 7: the maze, pass@256 during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.student import add, student, variance_of_mean
from fgrpo.presentation.figures import draw_panels, entitle, save
from fgrpo.presentation.numbers import percent
from fgrpo.presentation.series import arm_style
from fgrpo.report.verdict import judge_test
from fgrpo.reproduce.item import Claim, Made, Runs, Table
from fgrpo.reproduce.maze_run import Difference, MazeRun
from fgrpo.reproduce.maze_words import GAMMAS, judged, method, notes, scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from fgrpo.presentation.figures import DrawnFigure


@dataclass(frozen=True)
class Course:
    """How pass@k of an arm went during training.

    Attributes
    ----------
    steps
        Those that were evaluated, rising, the last among them.
    values
        Of shape (steps, seeds), shares in [0, 1].
    """

    steps: tuple[int, ...]
    values: NDArray[np.float64]

    @property
    def early(self) -> NDArray[np.float64]:
        """The values of the first half of training."""
        return self.values[np.array(self.steps) <= self.steps[-1] / 2]

    @property
    def lowest(self) -> tuple[int, float]:
        """The step at which the mean over seeds is lowest, and that mean."""
        means = self.values.mean(axis=1)
        return self.steps[int(means.argmin())], float(means.min())

    def recovery(self) -> NDArray[np.float64]:
        """Return for each seed how far its end is above the lowest point of the first half.

        The step of that point is the one where the other seeds are lowest. At a point chosen for
        its own value a curve without any trend would seem to recover.
        """
        early, seeds = self.early, range(self.values.shape[1])
        chosen = [int(np.delete(early, seed, axis=1).mean(axis=1).argmin()) for seed in seeds]
        return np.asarray(self.values[-1] - early[chosen, seeds])


def figure_7(runs: Runs) -> Made:
    """Follow pass@256 during training."""
    run = MazeRun(runs.maze())
    courses = {
        (cell.group_size, cell.gamma): Course(
            tuple(run.training[cell.name]), np.array(list(run.training[cell.name].values()))
        )
        for cell in run.cells
    }
    ours = "; ".join(
        f"N = {size}: {percent(course.lowest[1])} at step {course.lowest[0]}, "
        f"{percent(float(course.values[-1].mean()))} at the end"
        for (size, gamma), course in courses.items()
        if gamma == 0
    )
    ours = f"GRPO's lowest pass@{run.samples} (base model {percent(_base(run))}): {ours or 'none'}"
    return Made(
        scale=scale(run),
        ours=ours,
        paper="GRPO often drops in pass@K early, then recovers; the weight reduces the drop",
        claims=_claims(run, courses),
        tables=(_table(run, courses),),
        figures=(_drawn(run, courses, ours),),
        notes=(
            "The tests are Student's t over the training seeds, with 95% intervals. Early is the "
            "mean of the evaluations in the first half of training. For the recovery the step of "
            "a seed's lowest point is the one at which the other seeds are lowest.",
            *notes(run),
        ),
    )


def _claims(run: MazeRun, courses: dict[tuple[int, float], Course]) -> tuple[Claim, ...]:
    drops, recovers, reduces = {}, {}, {}
    for (size, gamma), course in courses.items():
        plain = courses.get((size, 0.0))
        if not len(course.early) or plain is None:
            continue
        early = course.early.mean(axis=0)
        if gamma > 0:
            reduces[f"N = {size}, γ = {gamma:g}"] = _difference(early, plain.early.mean(axis=0))
        else:
            drops[f"N = {size}"] = _difference(_base(run) - early)
            if run.seeds > 1:
                recovers[f"N = {size}"] = _difference(course.recovery())
    return (
        judged(
            f"without weight pass@{run.samples} drops early, at most group sizes: how far it is "
            "below the base model",
            drops,
            often=True,
        ),
        judged(
            "and recovers, at most group sizes: how far the end is above the lowest point of the "
            "first half",
            recovers,
            often=True,
        ),
        judged(
            "the weight reduces the drop, at every group size: how far it keeps "
            f"pass@{run.samples} above GRPO's early",
            reduces,
        ),
    )


def _difference(
    values: NDArray[np.float64], from_these: NDArray[np.float64] | None = None
) -> Difference:
    """Return the mean over seeds, or the difference of two means, with Student's (Welch's) t."""
    estimate, variance = float(values.mean()), variance_of_mean(values)
    if from_these is not None:
        estimate -= float(from_these.mean())
        variance = add(variance, variance_of_mean(from_these))
    _, (low, high), p_value = student(estimate, variance)
    return Difference(estimate, low, high, judge_test(estimate, p_value))


def _base(run: MazeRun) -> float:
    return run.base[run.samples]


def _table(run: MazeRun, courses: dict[tuple[int, float], Course]) -> Table:
    return Table(
        f"pass@{run.samples} during training, mean over seeds",
        ("N", "γ", "base model", "lowest", "at step", "at the end", "paper"),
        tuple(
            (
                str(size),
                f"{gamma:g}",
                percent(_base(run)),
                percent(course.lowest[1]),
                str(course.lowest[0]),
                percent(float(course.values[-1].mean())),
                "no numbers",
            )
            for (size, gamma), course in courses.items()
        ),
    )


def _drawn(run: MazeRun, courses: dict[tuple[int, float], Course], ours: str) -> DrawnFigure:
    def painter(size: int) -> Callable[[Axes], None]:
        def paint(axes: Axes) -> None:
            for place, gamma in enumerate(GAMMAS):
                course = courses.get((size, gamma))
                if course is None:
                    continue
                shares = [_base(run), *course.values.mean(axis=1)]
                style = arm_style(method(gamma), place)
                axes.plot([0, *course.steps], [100 * share for share in shares], **style.main())
            entitle(axes, f"N = {size}")
            axes.set_xlabel("training step")
            axes.set_ylabel(f"pass@{run.samples} (%)")

        return paint

    return save(
        draw_panels([painter(size) for size in run.sizes], columns=2, share=True),
        "figure-7",
        f"pass@{run.samples} during training",
        "Mean over training seeds; step 0 is the base model. The axis does not begin at 0.",
        f"{ours}.",
    )
