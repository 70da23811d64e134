"""What a diagnosis finds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.compare.result import SIGNIFICANT, p_words
from fgrpo.report.verdict import HIGHER, LOWER, NO_DIFFERENCE, UNKNOWN

if TYPE_CHECKING:
    from fgrpo.compare import Comparison
    from fgrpo.diagnose.arms import Arm
    from fgrpo.diagnose.changed import Changed
    from fgrpo.diagnose.curves import Crossing, Curve
    from fgrpo.records import Quality


@dataclass(frozen=True, slots=True)
class Contrast:
    """An arm against the first at one k, on one benchmark or in the macro average.

    Attributes
    ----------
    comparison
        The difference, its 95% interval and p, neither corrected.
    adjusted
        After Holm's correction, p or, if that is larger, the p of the sign-flip test; NaN if it
        cannot be judged. With no other test it is p.
    family
        Number of tests corrected for, this one included.
    """

    comparison: Comparison
    adjusted: float
    family: int

    @property
    def k(self) -> int:
        """Which pass@k."""
        return self.comparison.k

    @property
    def judgement(self) -> str:
        """Higher, lower, no significant difference, or cannot be judged: by the adjusted p."""
        if math.isnan(self.adjusted):
            return UNKNOWN
        if self.adjusted >= SIGNIFICANT:
            return NO_DIFFERENCE
        return HIGHER if self.comparison.estimate > 0 else LOWER

    @property
    def sign(self) -> int:
        """1 if significantly higher, −1 if lower, else 0."""
        return {HIGHER: 1, LOWER: -1}.get(self.judgement, 0)

    @property
    def adjusted_text(self) -> str:
        """The adjusted p in words, as `Comparison.p_text`.

        With "≤" too where no draw contradicts, so that more draws might give a smaller p.
        """
        one = self.comparison
        smallest = 2 / (one.draws + 1)
        least = one.draws and max(one.p_value, self.adjusted / self.family) <= smallest * (1 + 1e-9)
        # As many draws as would make the adjusted p the smallest that they can give.
        draws = int(2 / self.adjusted) - 1 if least else 0
        return p_words(self.adjusted, draws)


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """One benchmark, or the macro average over all.

    Attributes
    ----------
    name
        Of the benchmark, or `fgrpo.compare.result.MACRO`.
    macro
        Whether it is the macro average.
    problems
        Number of problems.
    samples
        Smallest and largest number of samples of any problem.
    curves
        Of each arm.
    contrasts
        Of each later arm, one for each k of the curves.
    crossings
        Of each later arm.
    changed
        Problems lost and gained by each later arm.
    quality
        Of each arm's samples.
    """

    name: str
    macro: bool
    problems: int
    samples: tuple[int, int]
    curves: tuple[Curve, ...]
    contrasts: tuple[tuple[Contrast, ...], ...]
    crossings: tuple[Crossing, ...]
    changed: tuple[Changed, ...]
    quality: tuple[Quality, ...]

    def contrast(self, later: int, k: int) -> Contrast:
        """Return the contrast of the later arm number ``later`` (from 0) at k."""
        return next(one for one in self.contrasts[later] if one.k == k)


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Later arms against the first.

    Attributes
    ----------
    arms
        The first is the reference.
    benchmarks
        In the order of their names.
    macro
        The average over benchmarks, each counting the same; None with a single one.
    ks
        Which pass@k the verdicts are about.
    notes
        What was left out.
    warnings
        What may mislead.
    seed, draws
        Of every bootstrap.
    """

    arms: tuple[Arm, ...]
    benchmarks: tuple[Scope, ...]
    macro: Scope | None
    ks: tuple[int, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    seed: int
    draws: int

    @property
    def labels(self) -> list[str]:
        """Names of the arms."""
        return [arm.label for arm in self.arms]

    @property
    def later(self) -> list[tuple[int, str]]:
        """Number (from 0) and name of each arm but the first."""
        return list(enumerate(self.labels[1:]))

    @property
    def scopes(self) -> list[Scope]:
        """The macro average, if there is one, then every benchmark."""
        return [*([self.macro] if self.macro else []), *self.benchmarks]

    @property
    def overall(self) -> Scope:
        """What the verdict is about: the macro average, or the only benchmark."""
        return self.macro or self.benchmarks[0]

    @property
    def several_runs(self) -> bool:
        """Whether some arm has several training seeds."""
        return any(len(arm.runs) > 1 for arm in self.arms)
