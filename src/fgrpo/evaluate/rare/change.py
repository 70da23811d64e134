"""The change of the rare answers' mean NLL, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.compare.problems import FEW
from fgrpo.compare.result import (
    LEAST_PROBLEMS,
    NO_SPREAD,
    SIGNIFICANT,
    UNJUDGED,
    Judged,
    p_words,
    summarise,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DRAWS = 10_000
_CHUNK = 1 << 20  # resampled prompts held in memory at a time


@dataclass(frozen=True, slots=True)
class Change:
    """How a model's mean NLL of the rare answers differs from a reference's.

    Attributes
    ----------
    model, reference
        Labels.
    reference_nll, model_nll
        Mean over the trajectories of their length-normalised NLL (nats per token).
    difference
        ``model_nll − reference_nll``.
    standard_error, interval, p_value
        Bootstrap over prompts; NaN if it cannot be judged.
    trajectories, prompts
        How many, and of how many prompts.
    """

    model: str
    reference: str
    reference_nll: float
    model_nll: float
    difference: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float
    trajectories: int
    prompts: int

    @property
    def judged(self) -> bool:
        """Whether there are enough prompts for an interval."""
        return not math.isnan(self.p_value)

    @property
    def caveat(self) -> str:
        """Why the interval may be too narrow, or is not given; empty if neither."""
        if not self.judged:
            return f"it takes at least {LEAST_PROBLEMS} prompts, not {self.prompts}"
        if self.standard_error == 0:
            return NO_SPREAD
        if self.prompts < FEW:
            return f"{self.prompts} prompts are few: the interval is too narrow"
        return ""

    @property
    def verdict(self) -> str:
        """One sentence."""
        over = f"{self.trajectories} rare right answers of {self.prompts} prompts"
        what = f"{self.model}: against {self.reference}, the NLL of the {over}"
        if not self.judged:
            return (
                f"{what} changed by {self.difference:+.3f} nats per token; whether that is noise "
                f"cannot be judged: {self.caveat}"
            )
        p = p_words(self.p_value)
        if self.p_value >= SIGNIFICANT:
            return f"{what} shows no significant change ({self.difference:+.3f}, p {p})"
        moved = "rose" if self.difference > 0 else "fell"
        low, high = self.interval
        return (
            f"{what} {moved} by {abs(self.difference):.3f} nats per token (95% interval "
            f"{low:+.3f} to {high:+.3f}, p {p})" + (f"; but {self.caveat}" if self.caveat else "")
        )


def changes(
    nlls: Mapping[str, NDArray[np.float64]], prompts: NDArray[np.int32], seed: int
) -> list[Change]:
    """Compare each model with the base, the first of them; then the later ones with the second.

    Every comparison resamples with the same seed, so none depends on which others are made.
    """
    base, *models = nlls
    pairs = [(model, base) for model in models] + [(model, models[0]) for model in models[1:]]
    return [
        change(pair, nlls[pair[1]], nlls[pair[0]], prompts, np.random.default_rng(seed))
        for pair in pairs
    ]


def change(
    labels: tuple[str, str],
    reference: NDArray[np.float64],
    model: NDArray[np.float64],
    prompts: NDArray[np.int32],
    rng: np.random.Generator,
) -> Change:
    """Compare two models on the same trajectories.

    With ``d_i`` the difference of trajectory i and ``S_p``, ``n_p`` the sum of d and the number of
    trajectories of prompt p, the estimate is ``Σ S_p / Σ n_p``. As trajectories of one prompt are
    alike, prompts are what is resampled: each draw takes as many prompts as there are, with
    replacement, each with all its trajectories. The standard error approaches
    ``√(Σ_p (S_p − n_p·d̄)²) / Σ n_p``. The noise of training is not covered, and the choice of the
    trajectories is taken as given.

    Parameters
    ----------
    labels
        Of the model and of the reference.
    reference, model
        NLL of each trajectory; shape (R,), R ≥ 1.
    prompts
        Which prompt each answers; shape (R,).
    rng
        Source of the draws.

    References
    ----------
    Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8 (resampling
    whole clusters).
    """
    differences = model - reference
    names, at = np.unique(prompts, return_inverse=True)
    sums = np.bincount(at, weights=differences).astype(np.float64)
    error, interval, p_value = (
        UNJUDGED if len(names) < LEAST_PROBLEMS else _bootstrap(sums, np.bincount(at), rng)
    )
    return Change(
        *labels,
        float(reference.mean()),
        float(model.mean()),
        float(differences.mean()),
        standard_error=error,
        interval=interval,
        p_value=p_value,
        trajectories=len(differences),
        prompts=len(names),
    )


def _bootstrap(
    sums: NDArray[np.float64], counts: NDArray[np.int64], rng: np.random.Generator
) -> Judged:
    size = len(sums)
    means = np.empty(DRAWS)
    step = max(1, _CHUNK // size)
    for start in range(0, DRAWS, step):
        stop = min(DRAWS, start + step)
        chosen = rng.integers(size, size=(stop - start, size))
        means[start:stop] = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    return summarise(means)
