"""The numbers of a sweep over group sizes: pass@k with intervals, the deepest points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare import compare_problems_and_seeds
from fgrpo.compare.levels import Level
from fgrpo.records import Counts
from fgrpo.report.data import BASE
from fgrpo.report.statistics import mean_pass_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.statistics import Contrast, Statistics
    from fgrpo.report.sweep import Line, Sweep


@dataclass(frozen=True)
class Point:
    """One arm of the sweep after training.

    Attributes
    ----------
    line, size, arm
        Where it stands in the sweep.
    levels
        Its pass@1 and pass@n, with the interval over mazes and training seeds; over mazes alone
        with one seed.
    contrasts
        How it differs from the arm of the same group size without focal weight, for the same k;
        empty if it has none to be compared with.
    """

    line: Line
    size: int
    arm: ArmRuns
    levels: tuple[Level, ...]
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Deepest:
    """The lowest pass@n of one arm among the evaluations during training, its end included.

    Attributes
    ----------
    arm
        Which.
    lowest, steps, final
        For each seed, in order: its own lowest value, the first step with it, the value at the
        end. As chance makes some evaluation the lowest, the mean of these overstates the depth.
    mean_lowest, mean_step
        The lowest value of the mean over seeds, and the first step with it.
    """

    arm: ArmRuns
    lowest: tuple[float, ...]
    steps: tuple[int, ...]
    final: tuple[float, ...]
    mean_lowest: float
    mean_step: int


@dataclass(frozen=True)
class SweepNumbers:
    """Numbers of a sweep; points and deepest points by size, then by line.

    ``ks`` are 1 and n, and ``base`` the base model's levels for them, over mazes alone.
    ``deepest`` is empty if there was no evaluation before the end of training.
    """

    sweep: Sweep
    ks: tuple[int, int]
    base: tuple[Level, ...]
    points: tuple[Point, ...]
    deepest: tuple[Deepest, ...]


def compute_sweep(data: RunData, numbers: Statistics, sweep: Sweep) -> SweepNumbers:
    """Compute the numbers of a sweep; the differences are those of the report's comparisons."""
    ks = (1, data.samples)
    points = [
        _point(data, numbers, line, size, ks)
        for size in sweep.sizes
        for line in sweep.lines
        if size in line.arms
    ]
    deepest = [_deepest(point.arm, data.samples) for point in points]
    on_the_way = any(len(point.arm.runs[0].counts) > 1 for point in points)
    return SweepNumbers(
        sweep,
        ks,
        _levels_over_mazes(numbers, BASE, ks),
        tuple(points),
        tuple(deepest) if on_the_way else (),
    )


def _point(data: RunData, numbers: Statistics, line: Line, size: int, ks: tuple[int, int]) -> Point:
    arm = line.arms[size]
    reference = data.reference_for(arm)
    levels = _levels_over_both(arm.finals, ks)
    return Point(
        line,
        size,
        arm,
        levels or _levels_over_mazes(numbers, arm.name, ks),
        () if reference is None else tuple(numbers.contrast(reference.name, arm.name)),
    )


def _levels_over_both(runs: Sequence[Counts], ks: Sequence[int]) -> tuple[Level, ...]:
    """Compare with a model that solves nothing, as `fgrpo.compare.levels`; none with one run."""
    if len(runs) == 1:
        return ()
    nothing = Counts(runs[0].problems, runs[0].n, np.zeros_like(runs[0].c))
    found = compare_problems_and_seeds(nothing, runs, k=ks)
    ends = np.array([one.interval for one in found]).clip(0, 1).tolist()
    return tuple(
        Level(one.k, one.b, low, high) for one, (low, high) in zip(found, ends, strict=True)
    )


def _levels_over_mazes(numbers: Statistics, name: str, ks: Sequence[int]) -> tuple[Level, ...]:
    curve = numbers.curve(name)
    places = [numbers.ks.index(k) for k in ks]
    return tuple(
        Level(numbers.ks[i], float(curve.mean[i]), float(curve.low[i]), float(curve.high[i]))
        for i in places
    )


def _deepest(arm: ArmRuns, k: int) -> Deepest:
    steps = sorted(arm.runs[0].counts)
    values = np.array(
        [[float(mean_pass_at(run.counts[step], k)[0]) for step in steps] for run in arm.runs]
    )
    mean = values.mean(axis=0)
    return Deepest(
        arm,
        lowest=tuple(values.min(axis=1).tolist()),
        steps=tuple(steps[_first_lowest(run)] for run in values),
        final=tuple(values[:, -1].tolist()),
        mean_lowest=float(mean.min()),
        mean_step=steps[_first_lowest(mean)],
    )


def _first_lowest(values: NDArray[np.float64]) -> int:
    """Return the first place of the lowest value; sums in another order count as equal."""
    return int(np.argmax(values <= values.min() + 1e-12))
