"""A finished maze run, as the tables of its report have it."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from fgrpo.records import Counts
from fgrpo.run_folder import RECIPE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
    """A difference of shares in [0, 1], its 95% interval, and a word of `fgrpo.report.verdict`.

    The ends of the interval are NaN where it cannot be judged.
    """

    estimate: float
    low: float
    high: float
    judgement: str


@dataclass(frozen=True)
class Cell:
    """An arm: its group size, its γ, and what it reached; shares in [0, 1].

    Attributes
    ----------
    name, group_size, gamma
        Of the arm.
    reached
        k → pass@k after the last step, mean over the seeds.
    against
        k → difference from γ = 0 at the same group size, for arms with a weight, as the report of
        the run has it: over mazes and training seeds, with one seed over mazes alone.
    """

    name: str
    group_size: int
    gamma: float
    reached: Mapping[int, float]
    against: Mapping[int, Difference]


class MazeRun:
    """The numbers of a run folder whose report is written.

    Parameters
    ----------
    folder
        The run folder of ``fgrpo run``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[str, Any] = json.loads(
            (folder / "summary.json").read_text(encoding="utf-8")
        )

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return str(self._told["recipe"])

    @property
    def seeds(self) -> int:
        """Number of training seeds."""
        return len(self._told["seeds"])

    @property
    def steps(self) -> int:
        """Training steps of the longest arm."""
        return max(int(arm["settings"]["steps"]) for arm in self._told["arms"])

    @property
    def maze_size(self) -> int:
        """Side of a maze in cells, walls included."""
        recipe = yaml.safe_load((self.folder / RECIPE_FILE).read_text(encoding="utf-8"))
        return int(recipe["maze"]["size"])

    @property
    def samples(self) -> int:
        """Samples of each maze: the largest k."""
        return int(self._told["samples"])

    @property
    def base(self) -> Mapping[int, float]:
        """Map k to pass@k of the base model."""
        return self._reached["base"]

    @property
    def device(self) -> str:
        """Where it ran, and when it began."""
        start = self._told["environment"][0]
        what = start["processor"] if start["device"] == "cpu" else start["device"]
        return f"{start['cores']} cores of {what}, begun {start['started'][:10]}"

    @property
    def command(self) -> str:
        """What began it."""
        return str(self._told["environment"][0]["command"])

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every arm, by group size and γ."""
        cells = [
            Cell(
                arm["name"],
                arm["settings"]["group_size"],
                arm["settings"]["gamma"],
                self._reached[arm["name"]],
                self._against(arm["name"], arm["reference"]),
            )
            for arm in self._told["arms"]
        ]
        return tuple(sorted(cells, key=lambda cell: (cell.group_size, cell.gamma)))

    @property
    def sizes(self) -> list[int]:
        """Group sizes, rising."""
        return sorted({cell.group_size for cell in self.cells})

    def cell(self, group_size: int, gamma: float) -> Cell | None:
        """Return the arm of a group size and γ, if it was trained."""
        wanted = (group_size, gamma)
        return next((c for c in self.cells if (c.group_size, c.gamma) == wanted), None)

    @cached_property
    def training(self) -> Mapping[str, Mapping[int, NDArray[np.float64]]]:
        """Map an arm to step, rising → pass@k of the largest k, for each seed."""
        found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        for row in self._rows("during_training.csv"):
            found[row["arm"]][int(row["step"])].append(float(row[f"pass_at_{self.samples}"]))
        return {
            arm: {step: np.array(values) for step, values in sorted(steps.items())}
            for arm, steps in found.items()
        }

    def counts(self, arm: str) -> list[Counts]:
        """Return what each seed of an arm solved after the last step."""
        runs: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        for row in self._rows("problems.csv"):
            if row["arm"] == arm:
                runs[row["seed"]].append((row["problem"], int(row["n"]), int(row["c"])))
        parts = (zip(*run, strict=True) for run in runs.values())
        return [Counts(tuple(problems), np.array(n), np.array(c)) for problems, n, c in parts]

    @cached_property
    def _reached(self) -> dict[str, dict[int, float]]:
        return {
            one["arm"]: dict(zip(one["k"], one["mean"], strict=True))
            for one in self._told["pass_at_k"]
        }

    def _against(self, arm: str, reference: str | None) -> dict[int, Difference]:
        found = {}
        for one in self._told["comparisons"]:
            if reference is not None and (one["a"], one["b"]) == (reference, arm):
                deciding = one["over_problems_and_seeds"] or one["over_problems"]
                # JSON has no NaN: what cannot be judged has no ends.
                low, high = (math.nan if end is None else end for end in deciding["interval"])
                found[one["k"]] = Difference(deciding["estimate"], low, high, one["judgement"])
        return found

    def _rows(self, name: str) -> list[dict[str, str]]:
        text = (self.folder / "tables" / name).read_text(encoding="utf-8")
        return list(csv.DictReader(text.splitlines()))
