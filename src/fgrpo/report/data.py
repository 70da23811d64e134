"""A finished run folder, read whole and checked for completeness."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from fgrpo.errors import RunError
from fgrpo.lab.folders import METRICS_FILE, arm_folder, base_folder, records_path
from fgrpo.lab.metrics_log import read_metrics
from fgrpo.lab.settings import Recipe
from fgrpo.records import Counts, RecordError, read_counts
from fgrpo.run_folder import ENVIRONMENT_FILE, RECIPE_FILE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from fgrpo.lab.settings import ArmSettings

BASE = "base"
BASE_LABEL = "Base model"
_REMEDY = "run fgrpo run again to finish it; if that does not help, delete its folder before"
_METRICS = (
    "groups_solved_all",
    "groups_solved_none",
    "groups_mixed",
    "entropy",
    "grad_norm",
    "truncated",
    "seconds_sampling",
    "seconds_training",
)


@dataclass(frozen=True)
class SeedRun:
    """One arm trained with one seed.

    Attributes
    ----------
    seed
        The training seed.
    counts
        Training step → what the evaluation after it counted; the problems in the base's order.
    metrics
        One mapping a training step, in order.
    """

    seed: int
    counts: Mapping[int, Counts]
    metrics: Sequence[Mapping[str, Any]]

    @property
    def final(self) -> Counts:
        """Counts of the last evaluation."""
        return self.counts[max(self.counts)]


@dataclass(frozen=True)
class ArmRuns:
    """One arm: its settings, the name it is shown by, its runs in the order of the seeds."""

    settings: ArmSettings
    label: str
    runs: tuple[SeedRun, ...]

    @property
    def name(self) -> str:
        """Name in the recipe."""
        return self.settings.name

    @property
    def finals(self) -> list[Counts]:
        """Final counts of every seed."""
        return [run.final for run in self.runs]


@dataclass(frozen=True)
class RunData:
    """All that a report is made of."""

    recipe: Recipe
    base: Counts
    arms: tuple[ArmRuns, ...]
    environment: Sequence[Mapping[str, Any]]
    left_out: tuple[str, ...] = ()
    """Names of the recipe's other arms."""

    def reference_for(self, arm: ArmRuns) -> ArmRuns | None:
        """Return the arm that ``arm`` is compared with, or None if there is only the base."""
        chosen = self.recipe.reference_for(arm.settings)
        return next((one for one in self.arms if chosen and one.name == chosen.name), None)

    @property
    def samples(self) -> int:
        """Samples of every problem: the largest k."""
        return self.recipe.evaluation.samples


def load_run(folder: Path, arms: Collection[str] | None = None) -> RunData:
    """Read a finished run folder.

    Parameters
    ----------
    folder
        As `fgrpo.lab.experiment` lays it out. PyTorch is not needed.
    arms
        Names of the arms to read; default all.

    Raises
    ------
    RunError
        If a piece is missing, incomplete or malformed; names the file and the remedy.
    """
    recipe = _recipe(folder / RECIPE_FILE)
    left_out = [arm.name for arm in recipe.arms if arms is not None and arm.name not in arms]
    chosen = [arm for arm in recipe.arms if arm.name not in left_out]
    recipe = recipe.model_copy(update={"arms": chosen})
    base = _counts(records_path(base_folder(folder), 0), recipe, None)
    labels = arm_labels(recipe.arms)
    runs = tuple(
        ArmRuns(arm, label, tuple(_run(folder, recipe, arm, seed, base) for seed in recipe.seeds))
        for arm, label in zip(recipe.arms, labels, strict=True)
    )
    return RunData(recipe, base, runs, _environment(folder / ENVIRONMENT_FILE), tuple(left_out))


def arm_labels(arms: Sequence[ArmSettings]) -> list[str]:
    """Names to show: of the method and its γ, with N where sizes differ; else the arm's own.

    N is added to all if it tells some apart; an arm that is not unique even so has its own name.
    """
    shown = [method_label(arm) for arm in arms]
    if len(set(shown)) < len(shown) and len({arm.group_size for arm in arms}) > 1:
        shown = [f"{label} (N = {arm.group_size})" for arm, label in zip(arms, shown, strict=True)]
    times = Counter(shown)
    return [
        label if times[label] == 1 else arm.name for arm, label in zip(arms, shown, strict=True)
    ]


def method_label(arm: ArmSettings) -> str:
    """Name an arm's method and its γ."""
    return f"F-{arm.method.upper()} γ = {arm.gamma:g}" if arm.gamma else arm.method.upper()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path}: missing; {_REMEDY}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error


def _recipe(path: Path) -> Recipe:
    try:
        return Recipe.model_validate(yaml.safe_load(_read(path)))
    except (yaml.YAMLError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise RunError(f"{path}: not the recipe of a run ({why}); {_REMEDY}") from error


def _environment(path: Path) -> list[dict[str, Any]]:
    try:
        starts = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise RunError(f"{path}: not valid JSON ({error}); {_REMEDY}") from error
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise RunError(f"{path}: expected a list of the run's starts; {_REMEDY}")
    return starts


def _run(folder: Path, recipe: Recipe, arm: ArmSettings, seed: int, base: Counts) -> SeedRun:
    place = arm_folder(folder, arm.name, seed)
    return SeedRun(
        seed,
        {
            step: _counts(records_path(place, step), recipe, base)
            for step in recipe.evaluation_steps(arm)
        },
        _metrics(place / METRICS_FILE, arm.steps),
    )


def _counts(path: Path, recipe: Recipe, base: Counts | None) -> Counts:
    """Read one evaluation, bring it into the base's order and check that it is whole."""
    if not path.exists():
        raise RunError(f"{path}: missing; {_REMEDY}")
    try:
        counts = read_counts(path)
    except RecordError as error:
        raise RunError(str(error)) from error
    expected = recipe.evaluation
    if len(counts.problems) < expected.problems or (counts.n < expected.samples).any():
        raise RunError(
            f"{path}: incomplete, it holds {counts.n.sum()} of "
            f"{expected.problems * expected.samples} samples; {_REMEDY}"
        )
    if len(counts.problems) > expected.problems or (counts.n > expected.samples).any():
        raise RunError(
            f"{path}: holds more than the {expected.problems} problems × {expected.samples} "
            "samples of the recipe; it belongs to another run"
        )
    order = sorted(range(len(counts.problems)), key=counts.problems.__getitem__)
    names = tuple(counts.problems[place] for place in order)
    if base is not None and names != base.problems:
        raise RunError(f"{path}: its problems are not those of the base model's evaluation")
    return Counts(names, counts.n[order], counts.c[order], counts.meta)


def _metrics(path: Path, steps: int) -> list[dict[str, Any]]:
    if not path.exists():
        raise RunError(f"{path}: missing; {_REMEDY}")
    lines = read_metrics(path)
    for number, line in enumerate(lines, 1):
        missing = [name for name in _METRICS if not isinstance(line.get(name), int | float)]
        if missing or line["step"] != number - 1:
            wrong = f"{missing[0]} is not a number" if missing else f"not step {number - 1}"
            raise RunError(f"{path}:{number}: {wrong}")
    if len(lines) != steps:
        raise RunError(f"{path}: holds {len(lines)} of {steps} steps; {_REMEDY}")
    return lines
