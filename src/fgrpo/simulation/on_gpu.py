"""All runs of a sweep side by side, in torch: every action has its number, every run its row.

What `engine.simulate` does for one run by passing over the actions at rest, a GPU does faster for
all actions of all runs at once. Nothing here waits for the device but the copy of the rows, every
`CHUNK` steps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.errors import RunError, UsageError, to_install
from fgrpo.simulation.engine import CHUNK, refuse_overflow
from fgrpo.simulation.trajectory import COLUMNS, UNSAMPLED_CORRECT, Trajectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fgrpo.simulation.batch import Batch
    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.run_id import Run
    from fgrpo.simulation.settings import UpdateSettings

GIB = 1 << 30
MAX_DRAWS = 1 << 22  # draws made at once; more of them gain no speed


def simulate_all(
    policy: Policy,
    update: UpdateSettings,
    runs: Sequence[Run],
    *,
    steps: int,
    device: str = "cuda",
    progress: Callable[[int], None] = lambda done: None,
    memory: int = 8 * GIB,
) -> list[Trajectory]:
    """Train a categorical policy once for each run; see `engine.simulate` for what a step does.

    Parameters
    ----------
    policy
        The initial policy of every run.
    update
        Rewards, optimiser, learning rate, and what the advantages are divided by.
    runs
        Group size, focal exponent and seed of each run.
    steps
        Number of steps of each run, at least 1.
    device
        A torch device with double precision: ``"cuda"``, ``"cuda:1"``, or ``"cpu"``.
    progress
        Is told the number of steps done now and then, those of all runs together: in the end
        ``len(runs) * steps``. What it raises ends the work.
    memory
        Bytes to use on the device. Runs that do not fit side by side are made in turn.

    Returns
    -------
    list of Trajectory
        One for each run, in the order of `runs`. Equal runs give equal trajectories on the same
        kind of device, whatever runs are made beside them, but for the rounding of sums.

    Raises
    ------
    UsageError
        If torch is not installed, the device cannot be used, or one run does not fit the memory.
    ValueError
        If a number is out of range.
    RunError
        If the device has less memory left than was allowed, or the logits overflow.

    Notes
    -----
    An action is drawn with a probability rounded down to a multiple of 2⁻⁴⁵ of the likeliest
    action's (for the paper's 128,000 actions; 2⁻⁶² times their number in general).
    """
    _check(runs, steps)
    _check_device(device)
    import torch

    from fgrpo.simulation.batch import ACTION_BYTES, DRAW_BYTES, Batch

    actions = int(policy.sizes.sum())
    side_by_side = int(memory * 3 // 4 // (ACTION_BYTES * actions))
    draws = min(MAX_DRAWS, int(memory // 4 // DRAW_BYTES))
    if min(side_by_side, draws) < 1:
        raise UsageError(
            f"memory = {memory} bytes is too little for a run of {actions} actions; "
            f"allow {ACTION_BYTES * actions * 4 // 3 + 4 * DRAW_BYTES} or more"
        )
    order = sorted(range(len(runs)), key=lambda r: runs[r].group_size)
    rows = np.full((len(runs), steps + 1, len(COLUMNS)), np.nan)
    try:
        with torch.inference_mode():
            for begin in range(0, len(runs), side_by_side):
                chosen = order[begin : begin + side_by_side]
                batch = Batch(policy, update, [runs[r] for r in chosen], steps, device, draws)
                _simulate(batch, rows, chosen, progress, begin * steps)
                del batch  # before the next one takes its memory
    except torch.OutOfMemoryError as error:
        raise RunError(
            f"{device} has no memory left for {min(side_by_side, len(runs))} runs of {actions} "
            f"actions at once; allow less than memory = {memory} bytes"
        ) from error
    return [Trajectory(rows[r]) for r in range(len(runs))]


def _check(runs: Sequence[Run], steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps = {steps} must be at least 1")
    for i, run in enumerate(runs):
        if run.group_size < 2:
            raise ValueError(
                f"runs[{i}].group_size = {run.group_size}: a group of one has no advantage; "
                "take 2 up"
            )
        if not 0 <= run.gamma < math.inf:
            raise ValueError(f"runs[{i}].gamma = {run.gamma} must be at least 0 and finite")
        if run.seed < 0:
            raise ValueError(f"runs[{i}].seed = {run.seed} must be at least 0")


def _check_device(device: str) -> None:
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError(f"simulating on a GPU needs PyTorch: {to_install('lab')}") from error
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:  # each for another kind of device
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"device = {device!r} cannot be used: {reason}; pass 'cuda', or simulate on the CPU"
        ) from error


def _simulate(
    batch: Batch,
    rows: NDArray[np.float64],
    chosen: list[int],
    progress: Callable[[int], None],
    before: int,
) -> None:
    """Make all steps of a batch; its run number ``i`` fills ``rows[chosen[i]]``."""
    import torch

    steps = rows.shape[1] - 1
    for begin in range(0, steps, CHUNK):
        described = []
        for t in range(begin, min(begin + CHUNK, steps)):
            batch.weigh()
            batch.draw(t)
            described.append(batch.describe())
            batch.move(t)
        end = begin + len(described)
        rows[chosen, begin:end] = torch.stack(described, dim=1).cpu().numpy()
        refuse_overflow(rows[chosen, begin:end], end, batch.update)
        progress(before + len(chosen) * end)
    batch.weigh()
    last = batch.describe()[:, :UNSAMPLED_CORRECT].cpu().numpy()
    refuse_overflow(last, steps, batch.update)
    rows[chosen, steps, :UNSAMPLED_CORRECT] = last
