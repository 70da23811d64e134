"""The macro average: benchmarks of different sizes, each counting the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.arms import Runs, align, check_draws, check_k, check_several_runs
from fgrpo.compare.joint import judge, noise_of
from fgrpo.compare.problems import judge_draws, resample
from fgrpo.compare.result import LEAST_DRAWS, Comparison, compared
from fgrpo.compare.student import Variance, add, variance_of_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Strata = dict[str, NDArray[np.int64]]  # benchmark → indices of its problems

_NOISE = (
    "problems within each benchmark (which problems were asked, and through each problem's "
    "estimate, generations)"
)


def benchmark_of(problem: str) -> str:
    """Return the benchmark of a problem ``benchmark/name``; empty if the id has no slash."""
    name, slash, _ = problem.partition("/")
    return name if slash else ""


def compare_macro(
    a: Runs,
    b: Runs,
    *,
    k: int | Sequence[int] = (1, 256),
    benchmark: Callable[[str], str] = benchmark_of,
    draws: int = 10_000,
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compare the macro averages of two models, given the noise of the choice of problems.

    With B benchmarks of P_b problems and ``d_p = pass@k_B(p) − pass@k_A(p)``, the estimate is the
    mean over benchmarks of the mean of d in each, ``(1/B)·Σ_b (1/P_b)·Σ_{p in b} d_p``. Each draw
    resamples the problems within each benchmark, the same for both models (a stratified paired
    bootstrap): the benchmarks are those asked about, only their problems are taken to be a sample.
    The standard error approaches ``(1/B)·√(Σ_b var_b(d)/P_b)`` (divisor P_b). With one benchmark
    this is `fgrpo.compare.compare_problems`, draw by draw.

    Parameters
    ----------
    a, b
        Counts of the reference and of the other side, one or several runs each; the same
        problems in any order.
    k
        One or several, 1 ≤ k ≤ the smallest n.
    benchmark
        Gives the benchmark of a problem by its name.
    draws
        Number of draws, at least 1000.
    rng
        Source of the draws.

    Returns
    -------
    list of Comparison
        One for each k, in the order given; ``a`` and ``b`` are macro averages. If some benchmark
        has fewer than 20 problems the ``caveat`` says that the interval is too narrow; if one has
        fewer than 6, standard error, interval and p are NaN.

    Raises
    ------
    ValueError, TypeError
        If the problems differ, or k or draws is out of range.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.2 (several
    samples); Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    arm_a, arm_b = align(a, b)
    draws = check_draws(draws, LEAST_DRAWS)
    ks = check_k(k, arm_a, arm_b)
    strata = _strata(arm_a.problems, benchmark)
    per_a, per_b = (arm.pass_at(ks).mean(axis=0) for arm in (arm_a, arm_b))
    differences = per_b - per_a
    drawn = np.zeros((len(ks), draws))
    for chosen in strata.values():
        drawn += resample(differences[chosen], draws, rng)
    drawn /= len(strata)
    means = zip(_macro(per_a, strata), _macro(per_b, strata), strict=True)
    smallest = _smallest(strata)
    results = []
    for one, pair, row in zip(ks, means, drawn, strict=True):
        judged, caveat = judge_draws(row, *smallest)
        results.append(compared((arm_a, arm_b), one, pair, judged, _NOISE, caveat, draws=draws))
    return results


def compare_macro_and_seeds(
    a_runs: Runs,
    b_runs: Runs,
    *,
    k: int | Sequence[int] = (1, 256),
    benchmark: Callable[[str], str] = benchmark_of,
) -> list[Comparison]:
    """Compare macro averages, given the choice of problems and the training seeds.

    As `fgrpo.compare.compare_problems_and_seeds`, with the variance of the problems that of a
    stratified mean, ``v_problems = (1/B²)·Σ_b var_b(d)/P_b`` (divisor P_b − 1), its degrees of
    freedom by Satterthwaite's rule over the benchmarks, and the variance of the seeds taken of
    each run's macro average. With one benchmark the two functions agree.

    Parameters
    ----------
    a_runs, b_runs
        Counts of the runs of each arm; one arm at least has two. The same problems in all.
    k
        One or several, 1 ≤ k ≤ the smallest n.
    benchmark
        Gives the benchmark of a problem by its name.

    Returns
    -------
    list of Comparison
        One for each k; NaN where it cannot be judged, as if some benchmark has fewer than 6
        problems.

    Raises
    ------
    ValueError, TypeError
        If both arms have one run, the problems differ, or k is out of range.

    References
    ----------
    Cochran, Sampling Techniques (1977), section 5.4 (variance of a stratified mean, its degrees of
    freedom); Clark, Journal of Verbal Learning and Verbal Behavior 12 (1973) 335–359.
    """
    arm_a, arm_b = align(a_runs, b_runs)
    ks = check_k(k, arm_a, arm_b)
    check_several_runs(arm_a, arm_b, "compare_macro")
    strata = _strata(arm_a.problems, benchmark)
    noise = noise_of(arm_a, arm_b)
    passed_a, passed_b = (arm.pass_at(ks) for arm in (arm_a, arm_b))  # (R, P, K)
    differences = passed_b.mean(axis=0) - passed_a.mean(axis=0)
    smallest = _smallest(strata)
    results = []
    for i, one in enumerate(ks):
        runs_a, runs_b = (
            np.array([_macro(run, strata) for run in passed[:, :, i]])
            for passed in (passed_a, passed_b)
        )
        means = (float(runs_a.mean()), float(runs_b.mean()))
        problems = add(
            *(_scaled(variance_of_mean(differences[s, i]), len(strata)) for s in strata.values())
        )
        seeds = add(variance_of_mean(runs_a), variance_of_mean(runs_b))
        judged, caveat = judge(means[1] - means[0], problems, seeds, *smallest)
        results.append(compared((arm_a, arm_b), one, means, judged, noise, caveat))
    return results


def _strata(problems: Sequence[str], benchmark: Callable[[str], str]) -> Strata:
    """Map every benchmark, by name, to the indices of its problems."""
    places: dict[str, list[int]] = {}
    for i, problem in enumerate(problems):
        places.setdefault(benchmark(problem), []).append(i)
    return {name: np.array(places[name]) for name in sorted(places)}


def _smallest(strata: Strata) -> tuple[int, str]:
    """Size of the smallest benchmark, and " in …" with its name if there are others."""
    name = min(strata, key=lambda one: (len(strata[one]), one))
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    where = f" in {shown or 'the unnamed benchmark'}" if len(strata) > 1 else ""
    return len(strata[name]), where


def _macro(values: NDArray[np.float64], strata: Strata) -> NDArray[np.float64]:
    """Average over the problems (first axis) of each benchmark, then over benchmarks."""
    return np.asarray(np.mean([values[chosen].mean(axis=0) for chosen in strata.values()], axis=0))


def _scaled(variance: Variance, parts: int) -> Variance:
    return Variance(variance.value / parts**2, variance.freedom)
