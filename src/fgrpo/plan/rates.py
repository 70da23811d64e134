"""How success rates are spread over prompts: one distribution, or many plausible ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import betainc, betaln  # type: ignore[import-untyped,unused-ignore]

from fgrpo._validate import broadcast, fractions, policies, reals, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Ends of the nodes' logits: success rates of 4e-18 and 1 − 2e-16, the last double but one below 1.
_LOW, _HIGH = -40.0, 36.0
# Widest spacing of the logits. At 0.25 the trapezoid rule has an error below 1e-9 for Betas whose
# logit has a standard deviation of at least as much, and for what is averaged over them.
_SPACING = 0.25
# Relative growth of the spacing away from the centre. In units of the spacing, a bell about the
# centre is analytic within π/(4·growth) of the real axis: an error of exp(−π²/0.5), about 3e-9.
_GROWTH = 0.25
# Widest spacing for a narrow Beta, in standard deviations of its logit.
_RESOLVED = 0.9
# No more nodes than this: a thousand distributions are then 24 MB.
_MOST_NODES = 3000


class Band(NamedTuple):
    """A mean and the ends of an interval about it; all three of one shape.

    Of success rates: the mean over the plausible distributions, and the interval that holds as
    many of them as its level says. Of solutions: see `fgrpo.plan.good_turing`.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def at(self, place: int | tuple[int, ...]) -> Band:
        """Return the band of one place of the arrays, or of one row."""
        return Band(*(side[place] for side in self))

    def complement(self) -> Band:
        """Return the band of what is missing to 1: its low end is that of the high one."""
        return Band(*(np.maximum(0.0, 1 - side) for side in (self.mean, self.high, self.low)))

    def times(self, factor: NDArray[np.float64]) -> Band:
        """Return the band multiplied by what is known and not negative."""
        return Band(*(factor * side for side in self))


@dataclass(frozen=True, slots=True, eq=False)
class SuccessRates:
    """Distributions of the success rate over prompts, on common nodes.

    Parameters
    ----------
    nodes
        Success rates, in [0, 1]; shape (M,).
    weights
        Share of the prompts at each node; shape (D, M), non-negative, rows sum to 1 within 1e-6.
        Each row is one plausible distribution, all equally plausible; what differs between rows
        is what is not known. One row: the distribution is taken as known.

    Raises
    ------
    ValueError, TypeError
        A value out of range, or shapes that do not fit.
    """

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __post_init__(self) -> None:
        nodes = fractions("nodes", self.nodes).copy()
        weights = policies("weights", self.weights).copy()
        if nodes.ndim != 1 or weights.ndim != 2 or weights.shape[1:] != nodes.shape:
            raise ValueError(
                f"nodes have shape {nodes.shape} and weights {weights.shape}; "
                "expected (M,) and (D, M)"
            )
        if not len(weights):
            raise ValueError("weights have no row; pass at least one distribution")
        for name, array in (("nodes", nodes), ("weights", weights)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def exactly(cls, rate: float) -> SuccessRates:
        """Return the distribution in which every prompt has the success rate ``rate``."""
        node = fractions("rate", rate)
        if node.ndim:
            raise ValueError(f"rate has shape {node.shape}; pass one number")
        return cls(node[None], np.ones((1, 1)))

    @classmethod
    def from_betas(cls, a: ArrayLike, b: ArrayLike) -> SuccessRates:
        """Return one row for each distribution Beta(a, b), on nodes that suit them all.

        Averages are the trapezoid rule in ``t = logit μ``, whose spacing is at most 0.25 and
        shrinks where narrow Betas lie; what lies beyond ``−40 < t < 36`` is put on the end nodes,
        so that no node is exactly 0 or 1. For a and b in [0.05, 1000] the mean, the second moment
        and ``E (1−μ)^N`` above 1e-9 have a relative error below 1e-6. Should 3000 nodes not
        suffice (very many distributions, some of them narrow and far from the others), a Beta
        narrower than the spacing is replaced by one of the same mean as wide as the spacing (a
        standard deviation of the logit of 0.03 at the very most).

        Parameters
        ----------
        a, b
            Positive; scalars or shape (D,).

        Raises
        ------
        ValueError, TypeError
            A value that is not positive, or shapes that do not fit.
        """
        shape_a, shape_b = broadcast(a=reals("a", a), b=reals("b", b))
        for name, values in (("a", shape_a), ("b", shape_b)):
            refuse(name, values, values <= 0, "must be positive; pass the Beta's two shapes")
            if values.ndim > 1 or not values.size:
                raise ValueError(f"{name} has shape {values.shape}; pass a scalar or one axis")
        return cls(*_discretise(np.atleast_1d(shape_a), np.atleast_1d(shape_b)))

    def average(self, values: ArrayLike) -> NDArray[np.float64]:
        """Average over prompts, under each distribution.

        Parameters
        ----------
        values
            A function of the success rate at each node; shape (..., M).

        Returns
        -------
        float64
            Shape (D, ...).

        Raises
        ------
        ValueError, TypeError
            Values that are not finite numbers, or a last axis that is not the nodes'.
        """
        array = reals("values", values)
        if array.shape[-1:] != self.nodes.shape:
            raise ValueError(
                f"values have shape {array.shape}; the last axis must be the "
                f"{len(self.nodes)} nodes"
            )
        return np.asarray(np.tensordot(self.weights, array, axes=(1, -1)), dtype=np.float64)

    def band(self, values: ArrayLike, level: float = 0.9) -> Band:
        """Return the mean over the distributions of `average`, with an equal-tailed interval.

        Parameters
        ----------
        values
            As for `average`; shape (..., M).
        level
            Share of the distributions inside the interval, in (0, 1).

        Returns
        -------
        Band
            Arrays of shape (...). With one distribution ``low = mean = high``.

        Raises
        ------
        ValueError, TypeError
            As for `average`, or a level out of range.
        """
        return band(self.average(values), level)


def band(draws: NDArray[np.float64], level: float = 0.9) -> Band:
    """Summarise equally plausible values, shape (D, ...), by their mean and an interval."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level} is out of range; pass a share in (0, 1), such as 0.9")
    mean = draws.mean(axis=0)
    if len(draws) == 1:
        return Band(mean, mean, mean)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Band(mean, low, high)


def _discretise(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and, for each Beta, weights on them."""
    centre, scale, growth = _spacing(a, b)
    # Nodes lie at the whole numbers of position(t) = t/_SPACING + asinh((t−centre)/scale)/growth.
    t = _logits(centre, scale, growth)
    local = 1 / (1 / _SPACING + 1 / (growth * np.hypot(scale, t - centre)))
    # What the cap on the number of nodes leaves unresolved is widened to what they resolve.
    own = np.interp(np.log(a / b), t, local)
    ratio = np.minimum(1.0, (1 / a + 1 / b) * (_RESOLVED / own) ** 2)
    a, b = a * ratio, b * ratio
    log_right, log_wrong = -np.logaddexp(0, -t), -np.logaddexp(0, t)
    weights = np.multiply.outer(a, log_right)
    weights += np.multiply.outer(b, log_wrong)
    weights += np.log(local) - betaln(a, b)[:, None]
    np.exp(weights, out=weights)
    first, last = (t[0] + t[1]) / 2, (t[-2] + t[-1]) / 2
    weights[:, 0] = betainc(a, b, 1 / (1 + np.exp(-first)))
    weights[:, -1] = betainc(b, a, 1 / (1 + np.exp(last)))
    # The rule's error on an interval is that of its ends: what is missing belongs there.
    ends = weights[:, [0, -1]]
    lumped = ends.sum(axis=1)
    missing = np.where(lumped > 1e-9, 1 - weights.sum(axis=1), 0.0)
    weights[:, [0, -1]] += ends * (missing / np.maximum(lumped, 1e-9))[:, None]
    weights /= weights.sum(axis=1, keepdims=True)
    return 1 / (1 + np.exp(-t)), weights


def _spacing(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return centre, scale and growth of a spacing that resolves every Beta with few nodes.

    The spacing δ at the logit t obeys ``1/δ = 1/_SPACING + 1/(growth·√(scale² + (t−centre)²))``.
    A Beta is resolved if δ at ``log(a/b)`` is at most 0.9 of ``√(1/a + 1/b)``, which is at most
    the standard deviation σ of its logit: the rule's error, about ``2·exp(−2π²σ²/δ²)``, is then
    below 1e-10.
    """
    t = np.log(a / b)
    need = _RESOLVED * np.sqrt(1 / a + 1 / b)
    narrow = need < _SPACING
    if not narrow.any():
        return float(t.mean()), 1.0, _GROWTH
    t, need = t[narrow], need[narrow]
    centre = float(np.average(t, weights=need**-2.0))
    missing = 1 / need - 1 / _SPACING
    scales = np.geomspace(1e-3, 40, 24)
    distance = np.hypot(scales[:, None], t - centre)
    growths = np.minimum(_GROWTH, (1 / (distance * missing)).min(axis=1))
    extra = np.arcsinh((_HIGH - centre) / scales) + np.arcsinh((centre - _LOW) / scales)
    best = int(np.argmin(extra / growths))
    most = _MOST_NODES - (_HIGH - _LOW) / _SPACING
    return centre, float(scales[best]), float(max(growths[best], extra[best] / most))


def _logits(centre: float, scale: float, growth: float) -> NDArray[np.float64]:
    def position(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return t / _SPACING + np.arcsinh((t - centre) / scale) / growth

    low, high = np.arcsinh((np.array([_LOW, _HIGH]) - centre) / scale)
    table = np.clip(centre + scale * np.sinh(np.linspace(low, high, 4000)), _LOW, _HIGH)
    known = position(table)
    wanted = np.arange(np.ceil(known[0]), np.floor(known[-1]) + 1)
    t = np.interp(wanted, known, table)
    for _ in range(6):  # Newton's method, from near the root of a monotone function
        slope = 1 / _SPACING + 1 / (growth * np.hypot(scale, t - centre))
        t = t - (position(t) - wanted) / slope
    return np.asarray(t, dtype=np.float64)
