"""What a run of the simulation leaves behind: a row of numbers for each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Q_POS, M_RET, ENTROPY, UNSAMPLED_CORRECT, TAIL_MISS, SUCCESS_RATE = range(6)
COLUMNS = ("q_pos", "m_ret", "entropy", "unsampled_correct", "tail_miss", "success_rate")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The policy before each step and the group drawn from it, then the final policy.

    Attributes
    ----------
    rows
        Shape ``(steps + 1, 6)``; the columns are the properties below, in their order. The last
        row has no group: NaN in the last three columns.
    """

    rows: NDArray[np.float64]

    @property
    def q_pos(self) -> NDArray[np.float64]:
        """Total correct mass ``Q_pos``."""
        return self.rows[:, Q_POS]

    @property
    def m_ret(self) -> NDArray[np.float64]:
        """Retained positive mass ``1 − Σ_{correct} max(0, π_0 − π_t) / Σ_{correct} π_0``."""
        return self.rows[:, M_RET]

    @property
    def entropy(self) -> NDArray[np.float64]:
        """Entropy of the policy, in nats."""
        return self.rows[:, ENTROPY]

    @property
    def unsampled_correct(self) -> NDArray[np.float64]:
        """Mass ``Q_u,pos`` of the correct actions that are not in the step's group."""
        return self.rows[:, UNSAMPLED_CORRECT]

    @property
    def tail_miss(self) -> NDArray[np.float64]:
        """Share of the tail's actions (`Policy.tail`) missing from the group; 0 if not mixed."""
        return self.rows[:, TAIL_MISS]

    @property
    def success_rate(self) -> NDArray[np.float64]:
        """Share ``X/N`` of the group that is correct."""
        return self.rows[:, SUCCESS_RATE]
