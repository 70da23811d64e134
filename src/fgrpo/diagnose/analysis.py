"""From arms that hold the same problems to a diagnosis."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare import compare_problems, compare_problems_and_seeds
from fgrpo.compare.arms import align, check_k
from fgrpo.compare.levels import DRAWS, levels, subset_sizes
from fgrpo.compare.macro import benchmark_of, compare_macro, compare_macro_and_seeds
from fgrpo.compare.result import MACRO
from fgrpo.diagnose.changed import changed_problems
from fgrpo.diagnose.curves import Curve, find_crossing, mean_at_every_k
from fgrpo.diagnose.flaws import warnings
from fgrpo.diagnose.holm import holm
from fgrpo.diagnose.matching import in_words, shown
from fgrpo.diagnose.result import Contrast, Diagnosis, Scope
from fgrpo.diagnose.signflip import sign_flip_p
from fgrpo.records import quality
from fgrpo.report.verdict import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fgrpo.compare import Comparison
    from fgrpo.diagnose.arms import Arm
    from fgrpo.diagnose.matching import Matched
    from fgrpo.records import Counts


class _Part:
    """The counts of one benchmark, or of all for the macro average, and how they are compared."""

    def __init__(
        self, name: str, arms: Sequence[Arm], wanted: Sequence[int], seed: int, *, macro: bool
    ) -> None:
        self.name, self.macro, self.arms, self.seed = name, macro, arms, seed
        self.sides = [[run.counts for run in arm.runs] for arm in arms]
        sizes = np.concatenate([run.n for side in self.sides for run in side])
        self.samples = (int(sizes.min()), int(sizes.max()))
        self.ks = tuple(sorted({*subset_sizes(self.samples[0]), *wanted}))

    def compare(self, later: int) -> list[Comparison]:
        """Compare a later arm with the first at every k: over seeds too if some arm has several."""
        first, other = self.sides[0], self.sides[1 + later]
        if len(first) + len(other) > 2:
            joint = compare_macro_and_seeds if self.macro else compare_problems_and_seeds
            return joint(first, other, k=self.ks)
        return self._bootstrap(first, other)

    def _bootstrap(self, first: list[Counts], other: list[Counts]) -> list[Comparison]:
        method = compare_macro if self.macro else compare_problems
        rng = np.random.default_rng(self.seed)  # the same draws for all: what is left out of one
        return method(first, other, k=self.ks, draws=DRAWS, rng=rng)  # comparison changes no other

    def sign_flip(self, later: int) -> NDArray[np.float64]:
        """Return p of the sign-flip test at every k, or 0 where seeds decide and t is used."""
        first, other = self.sides[0], self.sides[1 + later]
        if len(first) + len(other) > 2:
            return np.zeros(len(self.ks))
        arm_a, arm_b = align(first, other)
        ks = np.array(self.ks)
        benchmarks = [benchmark_of(problem) if self.macro else "" for problem in arm_a.problems]
        sizes = Counter(benchmarks)
        weights = np.array([1 / (len(sizes) * sizes[name]) for name in benchmarks])
        differences = weights[:, None] * (arm_b.pass_at(ks)[0] - arm_a.pass_at(ks)[0])
        return sign_flip_p(differences, draws=DRAWS, rng=np.random.default_rng(self.seed))

    def curve(self, arm: int) -> Curve:
        """Mean pass@k of an arm, with its interval."""
        rng = np.random.default_rng(self.seed)
        found = levels(self.sides[arm], k=self.ks, rng=rng, macro=self.macro)
        mean, low, high = np.array([(one.mean, one.low, one.high) for one in found]).T
        return Curve(self.ks, mean, low, high)


def diagnose(matched: Matched, *, k: Sequence[int] = (), seed: int = 0) -> Diagnosis:
    """Compare every later arm with the first, on each benchmark and in the macro average.

    Parameters
    ----------
    matched
        Two arms or more.
    k
        Which pass@k the verdicts are about; by default 1 and the smallest number of samples.
    seed
        Of the bootstraps: the same seed and input give the same numbers.

    Raises
    ------
    ValueError
        If some k is out of range; names file and problem.
    """
    wanted = chosen_k(matched, k)
    parts = [
        _Part(
            shown(name),
            [arm.only(problems) for arm in matched.arms],
            wanted,
            seed,
            macro=False,
        )
        for name, problems in matched.benchmarks.items()
    ]
    benchmarks = _scopes(parts, None)
    macro = None
    if len(parts) > 1:
        (macro,) = _scopes([_Part(MACRO, matched.arms, wanted, seed, macro=True)], parts)
    labels = [arm.label for arm in matched.arms]
    names = [in_words(name, alone=len(parts) == 1) for name in matched.benchmarks]
    found = zip(names, (one.quality for one in benchmarks), strict=True)
    warned = warnings(labels, dict(found))
    return Diagnosis(
        arms=matched.arms,
        benchmarks=benchmarks,
        macro=macro,
        ks=wanted,
        notes=matched.notes,
        warnings=tuple(warned),
        seed=seed,
        draws=DRAWS,
    )


def chosen_k(matched: Matched, k: Sequence[int] = ()) -> tuple[int, ...]:
    """Return which pass@k the verdicts are about, refusing those that some file cannot give."""
    fewest = min(int(run.counts.n.min()) for arm in matched.arms for run in arm.runs)
    wanted = tuple(sorted(set(k) or {1, fewest}))
    for arm in matched.arms[1:]:
        sides = (matched.arms[0].runs, arm.runs)
        first, other = ([run.counts for run in side] for side in sides)
        names_first, names_other = ([str(run.path) for run in side] for side in sides)
        check_k(wanted, *align(first, other, names=(names_first, names_other)))
    return wanted


def _scopes(parts: Sequence[_Part], under: Sequence[_Part] | None) -> tuple[Scope, ...]:
    """Compare; every k has its family of tests, over all parts and later arms.

    ``under`` are the benchmarks that a macro average is over.
    """
    later = range(len(parts[0].arms) - 1)
    pairs = [(p, arm) for p in range(len(parts)) for arm in later]
    raw = {(p, arm): parts[p].compare(arm) for p, arm in pairs}
    least = {}
    if len(pairs) > 1:
        least = {(p, arm): parts[p].sign_flip(arm) for p, arm in pairs}
    contrasts = _corrected(raw, least)
    return tuple(
        Scope(
            name=part.name,
            macro=part.macro,
            problems=len(part.sides[0][0].problems),
            samples=part.samples,
            curves=tuple(part.curve(arm) for arm in range(len(part.arms))),
            contrasts=tuple(contrasts[p, arm] for arm in later),
            crossings=tuple(
                find_crossing(
                    _every_k(part, under, 1 + arm) - _every_k(part, under, 0),
                    {one.k: one.sign for one in contrasts[p, arm] if one.judgement != UNKNOWN},
                )
                for arm in later
            ),
            changed=tuple(changed_problems(part.sides[0], part.sides[1 + arm]) for arm in later),
            quality=tuple(quality(arm.runs) for arm in part.arms),
        )
        for p, part in enumerate(parts)
    )


def _every_k(part: _Part, under: Sequence[_Part] | None, arm: int) -> NDArray[np.float64]:
    """Mean pass@k of an arm for k = 1 … n; the macro average is that of its benchmarks' means."""
    means = [mean_at_every_k(one.sides[arm], part.samples[0]) for one in under or [part]]
    return np.asarray(np.mean(means, axis=0))


def _corrected(
    raw: dict[tuple[int, int], list[Comparison]],
    least: dict[tuple[int, int], NDArray[np.float64]],
) -> dict[tuple[int, int], tuple[Contrast, ...]]:
    """Correct the p-values by Holm's method, for each k by itself.

    What is corrected is p or, if larger, that of the sign-flip test in ``least``.
    """
    found: dict[tuple[int, int], list[Contrast]] = {key: [] for key in raw}
    for k in sorted({one.k for results in raw.values() for one in results}):
        family = [
            (key, i, one)
            for key, results in raw.items()
            for i, one in enumerate(results)
            if one.k == k
        ]
        p_values = np.array([one.p_value for _, _, one in family])
        size = int(np.isfinite(p_values).sum())
        if size > 1:  # NaN stays NaN
            p_values = np.maximum(p_values, [least[key][i] for key, i, _ in family])
        for (key, _, one), p in zip(family, holm(p_values.tolist()), strict=True):
            found[key].append(Contrast(one, p, size))
    return {key: tuple(results) for key, results in found.items()}
