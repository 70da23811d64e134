"""One run of the simulation, and groups drawn from a policy that stands still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fgrpo._validate import integers
from fgrpo.errors import RunError, UsageError, to_install
from fgrpo.simulation.settings import LARGEST_GROUP, UpdateSettings
from fgrpo.simulation.trajectory import COLUMNS, TAIL_MISS, UNSAMPLED_CORRECT, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.side import Side
    from fgrpo.simulation.update import Step

CHUNK = 20  # steps between calls of `progress`
EPSILON = 1e-6  # added to a standard deviation, as in `fgrpo.group_advantages`


@dataclass(frozen=True, eq=False)
class State:
    """A simulated policy in the middle of a run, as the compiled code sees it."""

    right: Side
    wrong: Side
    step: Step
    clock: NDArray[np.float64]


def simulate(
    policy: Policy,
    update: UpdateSettings,
    *,
    group_size: int,
    gamma: float,
    steps: int,
    rng: np.random.Generator,
    progress: Callable[[int], None] = lambda done: None,
) -> Trajectory:
    """Train a categorical policy with a group a step, from one prompt.

    Each step draws ``N`` actions, gives them the advantages
    ``(1 − X/N)^γ (R_j − R̄)`` (over the group's standard deviation if asked) and makes one
    gradient step on the logits, ``∂L/∂z_i = (c_i q_i r_i − p_i Σ_j c_j q_j r_j)/N`` with ``c_i``
    the times an action was drawn and ``r_i`` its advantage. For ``surrogate="ratio"`` ``q_i = 1``,
    and the sum over ``j`` is 0, as that of a group's advantages is; for
    ``surrogate="probability"`` (eq. 5) ``q_i = p_i``.

    Parameters
    ----------
    policy
        The initial policy.
    update
        Rewards, optimiser, learning rate, and what the advantages are divided by.
    group_size
        ``N >= 2``.
    gamma
        Focal exponent ``γ >= 0``; 0 is no weight.
    steps
        Number of steps, at least 1.
    rng
        Source of randomness; equal generators give equal runs.
    progress
        Is told the number of steps done now and then; what it raises ends the run.

    Returns
    -------
    Trajectory
        ``steps + 1`` rows: the policy before each step with the group drawn from it, and the
        final policy.

    Raises
    ------
    UsageError
        If numba is not installed.
    ValueError
        If a number is out of range.
    RunError
        If the logits overflow.

    References
    ----------
    F-GRPO, arXiv 2602.06717, section 5.1 and appendix J.
    """
    steps = int(integers("steps", steps, 1))
    state = start(policy, update, group_size=group_size, gamma=gamma)
    from fgrpo.simulation.kernel import advance, describe

    rows = np.full((steps + 1, len(COLUMNS)), np.nan)
    parts = (state.right, state.wrong, state.step, state.clock)
    for begin in range(0, steps, CHUNK):
        end = min(begin + CHUNK, steps)
        advance(*parts, rng, begin, end, rows)
        refuse_overflow(rows[begin:end], end, update)
        progress(end)
    describe(*parts, rows[steps])
    refuse_overflow(rows[steps, :UNSAMPLED_CORRECT], steps, update)
    return Trajectory(rows)


def refuse_overflow(described: NDArray[np.float64], end: int, update: UpdateSettings) -> None:
    """Refuse rows of the first ``end`` steps, or of the policy after them, that are not finite."""
    if not np.isfinite(described).all():
        raise RunError(
            f"the logits overflowed within {end} step{'s' if end > 1 else ''}; lower the learning "
            f"rate, {update.learning_rate:g}, or the rewards"
        )


def start(policy: Policy, update: UpdateSettings, *, group_size: int, gamma: float) -> State:
    """Make the state before the first step; arguments and errors as for `simulate`."""
    size = int(integers("group_size", group_size, 2))
    if size > LARGEST_GROUP:
        raise ValueError(f"group_size = {size} is too large; at most {LARGEST_GROUP}")
    if not 0 < policy.success_rate < 1:
        raise ValueError(
            f"the policy's correct actions have a mass of {policy.success_rate:g}: bring the "
            "logits of correct and wrong actions nearer to each other"
        )
    if not 0 <= gamma < np.inf:
        raise ValueError(f"gamma = {gamma} must be at least 0 and finite")
    try:
        from fgrpo.simulation.side import DECAY1, DECAY2, new_side, refresh
        from fgrpo.simulation.update import Step
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        raise UsageError(f"the simulation needs numba: {to_install('simulate')}") from error
    p, tail = policy.probabilities, policy.tail
    step = Step(
        group_size=size,
        gamma=float(gamma),
        gap=float(update.reward_correct - update.reward_wrong),
        standardised=update.scale != "none",
        sample=update.scale == "std",
        epsilon=EPSILON,
        learning_rate=float(update.learning_rate),
        adam=update.optimizer == "adam",
        probability=update.surrogate == "probability",
        initial_success=policy.success_rate,
        tail=int(policy.sizes[tail].sum()),
    )
    right, wrong = (
        new_side(policy.logits[chosen], p[chosen], policy.sizes[chosen], tail[chosen])
        for chosen in (policy.correct, ~policy.correct)
    )
    clock = np.zeros(3)
    clock[[DECAY1, DECAY2]] = 1.0
    refresh(right, wrong, clock)
    return State(right, wrong, step, clock)


def measure_tail_miss(
    policy: Policy, group_size: int, groups: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw groups from a policy and measure how much of the tail each mixed one misses.

    Parameters
    ----------
    policy
        The policy; it stays as it is.
    group_size
        ``N >= 2``.
    groups
        How many groups to draw.
    rng
        Source of randomness.

    Returns
    -------
    ndarray of shape (groups,)
        For a mixed group the share of the tail's actions (`Policy.tail`) that it does not
        contain, else 0. The mean estimates the probability that a group is active and misses a
        given action of the tail, averaged over these.

    Raises
    ------
    UsageError, ValueError
        As for `simulate`.
    """
    state = start(policy, UpdateSettings(), group_size=group_size, gamma=0.0)
    from fgrpo.simulation.kernel import sample

    rows = np.zeros((groups, len(COLUMNS)))
    sample(state.right, state.wrong, state.step, rng, rows)
    return rows[:, TAIL_MISS]
