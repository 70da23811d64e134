"""A softmax policy over finitely many actions, equal actions kept together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import integers, masks, reals

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MOST_ACTIONS = 10**8


@dataclass(frozen=True, eq=False)
class Policy:
    """A categorical policy ``p = softmax(z)`` as classes of actions that nothing tells apart.

    Actions with the same logit and the same correctness have the same future in distribution, so
    that a simulation needs to know how many there are, not which.

    Attributes
    ----------
    logits
        ``z`` of each class, shape ``(classes,)``, finite.
    correct
        Whether the actions of a class are correct, shape ``(classes,)``.
    sizes
        Number of actions in each class, at least 1, shape ``(classes,)``; at most 10⁸ in all, as a
        simulation has numbers for each.
    """

    logits: NDArray[np.float64]
    correct: NDArray[np.bool_]
    sizes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not (self.logits.shape == self.correct.shape == self.sizes.shape):
            raise ValueError(
                f"logits {self.logits.shape}, correct {self.correct.shape} and sizes "
                f"{self.sizes.shape} must have one shape: one entry for each class"
            )
        reals("logits", self.logits)
        integers("sizes", self.sizes, 1)
        if not self.correct.any() or self.correct.all():
            kind = "wrong" if self.correct.any() else "correct"
            raise ValueError(
                f"the policy has no {kind} action: no group is ever mixed, nothing is learnt"
            )
        if (actions := sum(self.sizes.tolist())) > MOST_ACTIONS:
            raise ValueError(
                f"the policy has {actions:,} actions; {MOST_ACTIONS:,} is the most there can be"
            )

    @classmethod
    def from_logits(cls, logits: ArrayLike, correct: ArrayLike) -> Policy:
        """Gather the actions of a policy into classes.

        Parameters
        ----------
        logits
            ``z``, shape ``(actions,)``.
        correct
            Boolean mask of the correct actions, shape ``(actions,)``.

        Raises
        ------
        ValueError, TypeError
            Logits that are not finite numbers, a mask that is not boolean, shapes that differ or
            are not one-dimensional, or no correct or no wrong action at all.
        """
        z, right = reals("logits", logits), masks("correct", correct)
        if z.ndim != 1 or z.shape != right.shape:
            raise ValueError(
                f"logits {z.shape} and correct {right.shape} must both have one entry an action"
            )
        keys, sizes = np.unique(np.stack([z, right]), axis=1, return_counts=True)
        return cls(keys[0], keys[1] == 1, sizes)

    @classmethod
    def anchored(
        cls,
        actions: int = 128_000,
        correct: int = 10_000,
        *,
        anchor: float = 5.0,
        others: float = 3.0,
        wrong: float = 0.0,
    ) -> Policy:
        """Make the policy of the paper's figure 2: one common correct action and many rare ones.

        Parameters
        ----------
        actions
            Number of actions.
        correct
            How many of them are correct, at least 1 and fewer than ``actions``.
        anchor, others, wrong
            Initial logit of the one common correct action, of every other correct one, and of
            every wrong one.

        Raises
        ------
        ValueError
            If not ``1 <= correct < actions``.

        References
        ----------
        F-GRPO, arXiv 2602.06717, section 5.1 and appendix J.
        """
        if not 1 <= correct < actions:
            raise ValueError(
                f"correct = {correct} must be at least 1 and below actions = {actions}"
            )
        z = np.array([anchor, others, wrong], dtype=np.float64)
        sizes = np.array([1, correct - 1, actions - correct])
        right = np.array([True, True, False])
        present = sizes > 0
        return cls(reals("logits", z)[present], right[present], sizes[present])

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """``p`` of one action of each class, shape ``(classes,)``."""
        weights = np.exp(self.logits - self.logits.max())
        p: NDArray[np.float64] = weights / (self.sizes * weights).sum()
        return p

    @property
    def success_rate(self) -> float:
        """``Q_pos = μ``, the mass of all correct actions."""
        return float((self.sizes * self.probabilities)[self.correct].sum())

    @property
    def tail(self) -> NDArray[np.bool_]:
        """Which classes are the rare correct ones, shape ``(classes,)``.

        All correct classes but the most probable; that one too where there is no other.
        """
        top = self.correct & (self.logits == self.logits[self.correct].max())
        rest: NDArray[np.bool_] = self.correct & ~top
        return rest if rest.any() else top
