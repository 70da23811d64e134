"""A finished sweep, read back from its run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from fgrpo.errors import RunError, UsageError
from fgrpo.run_folder import ENVIRONMENT_FILE, RECIPE_FILE
from fgrpo.simulation.policy_file import read_policy
from fgrpo.simulation.rows import final_rows, tail_miss_rows
from fgrpo.simulation.settings import SimulationRecipe
from fgrpo.simulation.sweep import POLICY_FILE, TAIL_MISS_FILE, runs_of, trajectory_file
from fgrpo.simulation.trajectory import COLUMNS, UNSAMPLED_CORRECT, Trajectory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fgrpo.simulation.policy import Policy
    from fgrpo.simulation.rows import FinalRow, TailMissRow
    from fgrpo.simulation.run_id import Run


@dataclass(frozen=True, eq=False)
class TailMiss:
    """Tail miss of the initial policy for each group size; all of shape ``(N,)``.

    Attributes
    ----------
    group_sizes, groups
        Group sizes, and how many groups were drawn of each.
    predicted
        Probability by lemma 3.1 that a group is active and misses a given action of the tail.
    measured
        Share of the tail that the active groups miss, averaged over all groups.
    """

    group_sizes: NDArray[np.int64]
    groups: NDArray[np.int64]
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sweep:
    """What `load_sweep` reads.

    Attributes
    ----------
    recipe, policy
        What was simulated.
    runs
        The trajectory of every run.
    tail_miss
        Of the initial policy.
    starts
        Versions, machine and command of every start.
    """

    recipe: SimulationRecipe
    policy: Policy
    runs: Mapping[Run, Trajectory]
    tail_miss: TailMiss
    starts: Sequence[Mapping[str, Any]]

    def rows(self, group_size: int, gamma: float) -> NDArray[np.float64]:
        """Return the rows of all seeds: shape ``(seeds, steps + 1, columns)``."""
        chosen = [
            trajectory.rows
            for run, trajectory in self.runs.items()
            if (run.group_size, run.gamma) == (group_size, gamma)
        ]
        return np.stack(chosen)

    @cached_property
    def final_rows(self) -> list[FinalRow]:
        """What `fgrpo.simulation.rows.final_rows` returns."""
        return final_rows(self)

    @cached_property
    def tail_miss_rows(self) -> list[TailMissRow]:
        """What `fgrpo.simulation.rows.tail_miss_rows` returns."""
        return tail_miss_rows(self)


def load_sweep(folder: Path) -> Sweep:
    """Read a finished sweep.

    Parameters
    ----------
    folder
        Its run folder.

    Returns
    -------
    Sweep

    Raises
    ------
    RunError
        If a piece is missing or damaged; names the file.
    """
    path = folder / RECIPE_FILE
    try:
        recipe = SimulationRecipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        path = folder / ENVIRONMENT_FILE
        starts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RunError(f"{path}: cannot be read; run the same command again") from error
    try:
        policy = read_policy(folder / POLICY_FILE)
    except UsageError as error:
        raise RunError(f"{error}; without it the same command writes it again") from error
    table = _read(folder / TAIL_MISS_FILE, 4, len(recipe.group_sizes))
    _refuse_holes(folder / TAIL_MISS_FILE, table)
    return Sweep(
        recipe=recipe,
        policy=policy,
        runs={
            run: _read_trajectory(trajectory_file(folder, run), recipe.steps)
            for run in runs_of(recipe)
        },
        tail_miss=TailMiss(
            table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), *table[:, 2:].T
        ),
        starts=starts,
    )


def _read_trajectory(path: Path, steps: int) -> Trajectory:
    """Read a run; only the final policy may lack the numbers of a group."""
    rows = _read(path, len(COLUMNS) + 1, steps + 1)[:, 1:]
    _refuse_holes(path, rows[:-1], rows[-1, :UNSAMPLED_CORRECT])
    return Trajectory(rows)


def _refuse_holes(path: Path, *parts: NDArray[np.float64]) -> None:
    if not all(np.isfinite(part).all() for part in parts):
        raise RunError(
            f"{path}: holds something that is not a number; delete it and run the same command"
        )


def _read(path: Path, columns: int, rows: int) -> NDArray[np.float64]:
    """Read a CSV file of numbers; a cell may be empty, NaN, where the last row has no group."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
        table = np.array([[float(cell or "nan") for cell in line.split(",")] for line in lines])
    except OSError as error:
        raise RunError(f"{path}: cannot be read; run the same command again") from error
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error}); delete it and run the same command") from error
    if table.shape != (rows, columns):
        raise RunError(
            f"{path}: holds {len(table)} rows instead of {rows} of {columns} numbers; delete it "
            "and run the same command"
        )
    return table
