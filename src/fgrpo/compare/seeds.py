"""Noise of training: Welch's t over runs with different seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.arms import Runs, align, check_k
from fgrpo.compare.result import NO_SPREAD, ZERO, Comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def compare_seeds(
    a_runs: Runs, b_runs: Runs, *, k: int | Sequence[int] = (1, 256)
) -> list[Comparison]:
    """Compare two ways of training, given the spread over their training seeds.

    Each run is reduced to its pass@k averaged over problems. With R runs of variance s² (divisor
    R − 1) in an arm and ``v = s²/R``, the difference of the arms' means has standard error
    ``√(v_A + v_B)`` and Student's t with ``(v_A + v_B)²/(v_A²/(R_A−1) + v_B²/(R_B−1))`` degrees
    of freedom (Welch). An arm with one run, such as the common base model, counts as fixed: its
    v is 0 and the test is a one-sample t of the other arm.

    Parameters
    ----------
    a_runs, b_runs
        Counts of the runs of each arm; one arm at least has two. The same problems in all.
    k
        One or several, 1 ≤ k ≤ the smallest n.

    Returns
    -------
    list of Comparison
        One for each k, in the order given. If no arm varies, p is 1 where the means are equal,
        and otherwise NaN with a NaN interval: seeds without any spread (a run counted twice, a
        measure too coarse) cannot tell how much it would vary.

    Raises
    ------
    ValueError, TypeError
        If both arms have one run, the problems differ, or k is out of range.

    References
    ----------
    Welch, Biometrika 34 (1947) 28–35.
    """
    arm_a, arm_b = align(a_runs, b_runs)
    ks = check_k(k, arm_a, arm_b)
    if arm_a.runs == arm_b.runs == 1:
        raise ValueError(
            "A and B have one run each, which says nothing about training seeds; pass at least "
            "two runs of one arm, or use compare_problems or compare_generations"
        )
    noise = "training seeds"
    if 1 in (arm_a.runs, arm_b.runs):
        fixed, other = ("A", "B") if arm_a.runs == 1 else ("B", "A")
        noise = f"training seeds of {other} ({fixed} is one run, taken as fixed)"
    averages_a, averages_b = (arm.pass_at(ks).mean(axis=1).T for arm in (arm_a, arm_b))
    results = []
    for one, runs_a, runs_b in zip(ks, averages_a, averages_b, strict=True):
        estimate = float(runs_b.mean() - runs_a.mean())
        error, interval, p_value = _welch(estimate, runs_a, runs_b)
        results.append(
            Comparison(
                k=int(one),
                a=float(runs_a.mean()),
                b=float(runs_b.mean()),
                estimate=estimate,
                standard_error=error,
                interval=interval,
                p_value=p_value,
                noise=noise,
                problems=len(arm_a.problems),
                samples=(arm_a.fewest, arm_b.fewest),
                runs=(arm_a.runs, arm_b.runs),
                caveat="" if error else NO_SPREAD,
            )
        )
    return results


def _welch(estimate: float, *arms: NDArray[np.float64]) -> tuple[float, tuple[float, float], float]:
    """Return standard error, 95% interval and p; an arm of one run or without spread adds none."""
    # Imported here: importing fgrpo loads NumPy and nothing heavier.
    from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped,unused-ignore]

    varying = [arm for arm in arms if len(arm) > 1 and np.ptp(arm) > ZERO]
    if not varying:
        if abs(estimate) <= ZERO:
            return 0.0, (estimate, estimate), 1.0
        return 0.0, (math.nan, math.nan), math.nan
    shares = [float(arm.var(ddof=1)) / len(arm) for arm in varying]
    total = sum(shares)
    freedom = total**2 / sum(v**2 / (len(arm) - 1) for v, arm in zip(shares, varying, strict=True))
    error = math.sqrt(total)
    half = error * float(stdtrit(freedom, 0.975))
    p_value = 2 * float(stdtr(freedom, -abs(estimate) / error))
    return error, (estimate - half, estimate + half), p_value
