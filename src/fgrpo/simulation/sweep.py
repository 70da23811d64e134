"""A whole sweep: every group size with every γ and every seed; resumable at any moment.

A run folder holds, beside what every run folder holds::

    policy.csv                                      the initial policy
    trajectories/n-<N>_gamma-<γ>_seed-<seed>.csv    a row for each step
    tail-miss.csv                                   of the initial policy: measured and predicted
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_text
from fgrpo.provenance import provenance
from fgrpo.run_folder import note_start, opened
from fgrpo.simulation.engine import measure_tail_miss, simulate
from fgrpo.simulation.policy_file import make_policy, write_policy
from fgrpo.simulation.run_id import Run
from fgrpo.simulation.trajectory import COLUMNS
from fgrpo.theory import tail_miss_probability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.settings import SimulationRecipe
    from fgrpo.simulation.trajectory import Trajectory

POLICY_FILE = "policy.csv"
TAIL_MISS_FILE = "tail-miss.csv"
TRAJECTORIES = "trajectories"
PACKAGES = ("numpy", "numba", "torch")

# Groups drawn from the initial policy for each group size: as many as make so many rollouts.
_ROLLOUTS, _FEWEST, _MOST = 1 << 21, 32, 4096
_SIDE_BY_SIDE = 34  # runs on a device between writes: what an interrupt loses at most
_TAIL_MISS_SEED = 2**32  # apart from those of runs


class _StoppedError(Exception):
    """Ends a run in its thread, after another failed or the user stopped the sweep."""


def runs_of(recipe: SimulationRecipe) -> list[Run]:
    """List the runs of a sweep, the longest first."""
    return [
        Run(group_size, gamma, seed)
        for group_size in sorted(recipe.group_sizes, reverse=True)
        for seed in recipe.seeds
        for gamma in recipe.gammas
    ]


def trajectory_file(folder: Path, run: Run) -> Path:
    """Return where a run's trajectory lies."""
    gamma = repr(run.gamma).removesuffix(".0")
    name = f"n-{run.group_size}_gamma-{gamma}_seed-{run.seed}.csv"
    return folder / TRAJECTORIES / name


def run_sweep(
    recipe: SimulationRecipe,
    folder: Path,
    *,
    command: str,
    device: str = "cpu",
    workers: int = 1,
    fresh: bool = False,
    announce: Callable[[int], None] = lambda steps: None,
    show: Callable[[int, str], None] = lambda steps, text: None,
) -> None:
    """Do what of a sweep is not done yet.

    Parameters
    ----------
    recipe
        The sweep.
    folder
        The run folder; made if missing.
    command
        What the user typed, for the record.
    device
        ``"cpu"``, or a torch device such as ``"cuda"``: then all runs go side by side.
    workers
        Runs at a time on the CPU; does not change any result.
    fresh
        Delete the run folder first.
    announce
        Receives the number of steps of all runs.
    show
        Receives the number of steps done, now and then, and what is at work.

    Raises
    ------
    UsageError
        If the folder belongs to another recipe or cannot be written, or numba or torch is missing.
    RunError
        If a file cannot be written or logits overflow. Nothing done is lost.
    """
    policy = make_policy(recipe.policy)
    with opened(folder, recipe, {"description"}, fresh=fresh):
        _claim_policy(folder, policy)
        make_folder(folder / TRAJECTORIES)
        note_start(folder, provenance(command, device, PACKAGES))
        runs = runs_of(recipe)
        missing = [run for run in runs if not trajectory_file(folder, run).exists()]
        announce(len(runs) * recipe.steps)
        done = _Done((len(runs) - len(missing)) * recipe.steps, show)
        if missing and device != "cpu":
            _on_device(recipe, policy, folder, missing, device, done)
        elif missing:
            _in_threads(recipe, policy, folder, missing, workers, done)
        if not (folder / TAIL_MISS_FILE).exists():
            sizes = sorted(recipe.group_sizes)
            write_text(folder / TAIL_MISS_FILE, _tail_miss_table(policy, sizes, workers))


class _Done:
    """Adds up the steps of runs that go at the same time."""

    def __init__(self, steps: int, show: Callable[[int, str], None]) -> None:
        self._steps, self._show = steps, show
        self._lock = threading.Lock()

    def of(self, text: str) -> Callable[[int], None]:
        """Return what is told how many steps one piece of the work has done so far."""
        before = 0

        def progress(steps: int) -> None:
            nonlocal before
            with self._lock:
                self._steps += steps - before
                before = steps
                self._show(self._steps, text)

        return progress


def _claim_policy(folder: Path, policy: Policy) -> None:
    """Keep the policy with the run, and refuse to go on with another."""
    path, text = folder / POLICY_FILE, write_policy(policy)
    if not path.exists():
        write_text(path, text)
    elif path.read_bytes() != text.encode():
        raise UsageError(
            f"{folder} was begun with another policy ({path}): choose another folder with --out, "
            "or start over with --fresh"
        )


def _in_threads(
    recipe: SimulationRecipe,
    policy: Policy,
    folder: Path,
    runs: Sequence[Run],
    workers: int,
    done: _Done,
) -> None:
    """Make the runs on the CPU; compiled code lets several threads work at once."""
    stop = threading.Event()

    def work(run: Run) -> None:
        told = done.of(describe(run))

        def progress(steps: int) -> None:
            if stop.is_set():
                raise _StoppedError
            told(steps)

        trajectory = simulate(
            policy,
            recipe.update,
            group_size=run.group_size,
            gamma=run.gamma,
            steps=recipe.steps,
            rng=run.rng(),
            progress=progress,
        )
        write_text(trajectory_file(folder, run), _table(trajectory))

    with ThreadPoolExecutor(workers) as pool:
        pending = {pool.submit(work, run) for run in runs}
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _on_device(
    recipe: SimulationRecipe,
    policy: Policy,
    folder: Path,
    runs: Sequence[Run],
    device: str,
    done: _Done,
) -> None:
    """Make the runs side by side in torch."""
    from fgrpo.simulation.on_gpu import simulate_all

    for begin in range(0, len(runs), _SIDE_BY_SIDE):
        part = runs[begin : begin + _SIDE_BY_SIDE]
        progress = done.of(f"{len(part)} runs on {device}")
        trajectories = simulate_all(
            policy, recipe.update, part, steps=recipe.steps, device=device, progress=progress
        )
        for run, trajectory in zip(part, trajectories, strict=True):
            write_text(trajectory_file(folder, run), _table(trajectory))


def describe(run: Run) -> str:
    """Name a run."""
    return f"N = {run.group_size}, γ = {run.gamma:g}, seed {run.seed}"


def _table(trajectory: Trajectory) -> str:
    """Write a trajectory as CSV, with 10 digits; the last row's group is empty."""
    lines = [",".join(("step", *COLUMNS))]
    for step, row in enumerate(trajectory.rows.tolist()):
        cells = ("" if value != value else f"{value:.10g}" for value in row)
        lines.append(f"{step},{','.join(cells)}")
    return "\n".join(lines) + "\n"


def _tail_miss_table(policy: Policy, sizes: Sequence[int], workers: int) -> str:
    """Measure the tail miss of the initial policy for every group size, beside lemma 3.1."""
    mu, tail = policy.success_rate, policy.tail
    p, many = policy.probabilities[tail], policy.sizes[tail]

    def line(size: int) -> str:
        groups = int(np.clip(_ROLLOUTS // size, _FEWEST, _MOST))
        rng = np.random.default_rng([_TAIL_MISS_SEED, size])
        missed = measure_tail_miss(policy, size, groups, rng)
        predicted = np.average(tail_miss_probability(mu, p, size), weights=many)
        return f"{size},{groups},{predicted:.10g},{missed.mean():.10g}"

    header = "group_size,groups,predicted,measured"
    with ThreadPoolExecutor(workers) as pool:
        return "\n".join([header, *pool.map(line, sizes)]) + "\n"
