"""A whole recipe: base model, arms × seeds, evaluations; resumable at any moment.

A run folder holds::

    recipe.yaml                      the resolved recipe
    environment.json                 versions, machine and command of every start
    base/records/                    the base model's evaluation
    arms/<arm>/seed-<seed>/          metrics.jsonl, records/, and model/ at the end,
                                     state.safetensors until then

Base models are shared between runs: ``<runs>/base-models/<hash of their settings>/``.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fgrpo.cores import cores
from fgrpo.files import locked, make_folder
from fgrpo.lab.folders import arm_folder, base_folder
from fgrpo.lab.jobs import Job, Progress, run_jobs
from fgrpo.provenance import provenance
from fgrpo.run_folder import (
    ENVIRONMENT_FILE,
    LOCK_FILE,
    RECIPE_FILE,
    make_run_folder,
    note_start,
    opened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from fgrpo.lab.settings import ArmSettings, Recipe

    Runner = Callable[[list[Job], Callable[[Progress], None]], None]

IRRELEVANT = {"description", "checkpoint_every"}  # fields of a recipe that change no result


def run_experiment(
    recipe: Recipe,
    folder: Path,
    *,
    command: str,
    device: str = "cpu",
    workers: int | None = None,
    ray: str | None = None,
    arms: Collection[str] | None = None,
    fresh: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
    announce: Callable[[list[Job]], None] = lambda jobs: None,
) -> None:
    """Do what of the recipe is not done yet.

    Parameters
    ----------
    recipe
        The experiment.
    folder
        The run folder; made if missing.
    command
        What the user typed, for the record.
    device
        ``"cpu"`` or ``"cuda"``.
    workers
        Jobs at a time; default one per core, or one per GPU. The cores are divided among them.
        On a CPU that changes no result.
    ray
        Do the jobs on the Ray cluster of this address (`fgrpo.lab.ray_jobs.connected`); default in
        processes of this machine.
    arms
        Names of the arms to train; default all.
    fresh
        Delete the run folder first.
    show
        Receives every step's progress.
    announce
        Receives the jobs about to run, once for the base model and once for the rest.

    Raises
    ------
    UsageError
        If the folder belongs to another recipe or cannot be written, or Ray is not installed.
    RunError
        If there is no such cluster, or the work fails on the way. Nothing done is lost.
    """
    if ray is not None:
        folder = folder.absolute()  # a worker of Ray's may be in another directory
    base = folder.parent / "base-models" / recipe.sft_hash
    with (
        _runner(ray, workers, device, folder / RECIPE_FILE) as run,
        opened(folder, recipe, IRRELEVANT, fresh=fresh),
    ):
        make_run_folder(base)
        note_start(folder, provenance(command, device))
        with locked(base / LOCK_FILE, wait=10.0):
            if not (base / ENVIRONMENT_FILE).exists():
                note_start(base, provenance(command, device))
            _stage([_sft_job(recipe, base, device)], run, show, announce)
        _stage(_rl_jobs(recipe, arms, folder, base, device), run, show, announce)


@contextmanager
def _runner(ray: str | None, workers: int | None, device: str, shared: Path) -> Iterator[Runner]:
    """Give what runs jobs: in processes of this machine, or on a Ray cluster."""
    if ray is None:
        at_once = workers or (1 if device == "cuda" else cores())
        yield lambda jobs, show: run_jobs(jobs, at_once, show)
        return
    from fgrpo.lab.ray_jobs import connected, run_jobs_on_ray

    with connected(ray):
        yield lambda jobs, show: run_jobs_on_ray(
            jobs, workers, show, shared=shared, gpu=device == "cuda"
        )


def _stage(
    jobs: list[Job],
    run: Runner,
    show: Callable[[Progress], None],
    announce: Callable[[list[Job]], None],
) -> None:
    """Announce jobs and run them."""
    announce(jobs)
    run(jobs, show)


def _sft_job(recipe: Recipe, base: Path, device: str) -> Job:
    """Describe the training of the base model."""
    return Job("base model", recipe.sft.steps, _sft, (recipe, base, device))


def _rl_jobs(
    recipe: Recipe, chosen: Collection[str] | None, folder: Path, base: Path, device: str
) -> list[Job]:
    """Describe the base model's evaluation and the training of every chosen arm and seed."""
    arms = [
        Job(
            f"{arm.name} seed {seed}",
            arm.steps,
            _arm,
            (recipe, arm, seed, base, arm_folder(folder, arm.name, seed), device),
        )
        for seed in recipe.seeds
        for arm in recipe.arms
        if chosen is None or arm.name in chosen
    ]
    evaluation = Job(
        "base evaluation",
        recipe.evaluation.problems,
        _evaluate_base,
        (recipe, base, base_folder(folder), device),
    )
    return [*arms, evaluation]


def _sft(recipe: Recipe, base: Path, device: str, progress: Callable[[int, str], None]) -> None:
    import torch

    from fgrpo.lab.sft import train_base

    train_base(recipe, base, torch.device(device), progress)


def _arm(
    recipe: Recipe,
    arm: ArmSettings,
    seed: int,
    base: Path,
    folder: Path,
    device: str,
    progress: Callable[[int, str], None],
) -> None:
    import torch

    from fgrpo.lab.train import train_arm

    make_folder(folder)
    with locked(folder / LOCK_FILE, wait=10.0):  # a killed run's worker may take a moment to end
        train_arm(recipe, arm, seed, base, folder, torch.device(device), progress)


def _evaluate_base(
    recipe: Recipe, base: Path, folder: Path, device: str, progress: Callable[..., None]
) -> None:
    import torch

    from fgrpo.lab.train import evaluate_base

    evaluate_base(recipe, base, folder, torch.device(device), progress)
