"""Noise of training: Welch's t over runs with different seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.compare.arms import Runs, align, check_k, check_several_runs, fixed_and_other
from fgrpo.compare.result import NO_SPREAD, Comparison, compared
from fgrpo.compare.student import add, student, variance_of_mean

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    check_several_runs(arm_a, arm_b, "compare_problems or compare_generations")
    noise = "training seeds"
    if sides := fixed_and_other(arm_a, arm_b):
        fixed, other = sides
        noise = f"training seeds of {other} ({fixed} is one run, taken as fixed)"
    averages_a, averages_b = (arm.pass_at(ks).mean(axis=1).T for arm in (arm_a, arm_b))
    results = []
    for one, runs_a, runs_b in zip(ks, averages_a, averages_b, strict=True):
        means = (float(runs_a.mean()), float(runs_b.mean()))
        spread = add(variance_of_mean(runs_a), variance_of_mean(runs_b))
        judged = student(means[1] - means[0], spread)
        caveat = "" if judged[0] else NO_SPREAD
        results.append(compared((arm_a, arm_b), one, means, judged, noise, caveat))
    return results
