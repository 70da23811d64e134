"""The arithmetic of prompts, groups, processes and updates of TRL's trainer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from fgrpo.errors import UsageError
from fgrpo.plan.batches.batch import Batch, BatchFacts, ratio, require_positive, require_whole
from fgrpo.plan.batches.nearest import divisors_beside, multiples_beside, period

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class TrlBatch(Batch):
    """How TRL cuts a training into batches.

    The rules are those of ``GRPOConfig.__post_init__``: a group has at least 2 completions, and a
    generation holds whole groups.

    Parameters
    ----------
    group_size
        N, ``num_generations``.
    per_device
        ``per_device_train_batch_size``, completions.
    processes
        Number of processes.
    accumulation
        ``gradient_accumulation_steps``.
    steps_per_generation
        Batches made from one generation; None for as many as ``accumulation``, TRL's default.
    iterations
        ``num_iterations``: times each of them is used.

    Raises
    ------
    UsageError
        If one of them is not a whole number of at least 1.
    """

    group_size: int
    per_device: int
    processes: int = 1
    accumulation: int = 1
    steps_per_generation: int | None = None
    iterations: int = 1

    options: ClassVar[Mapping[str, str]] = {
        "group_size": "num_generations",
        "accumulation": "gradient_accumulation_steps",
        "steps_per_generation": "steps_per_generation",
        "per_device": "per_device_train_batch_size",
    }

    def __post_init__(self) -> None:
        require_positive("per_device_train_batch_size", self.per_device)
        require_positive("processes", self.processes)
        require_positive("gradient_accumulation_steps", self.accumulation)
        if self.steps_per_generation is not None:
            require_positive("steps_per_generation", self.steps_per_generation)
        require_positive("num_iterations", self.iterations)
        require_whole("num_generations", self.group_size, least=2)
        if self.group_size < 1:
            raise UsageError(self._too_small())

    @property
    def steps(self) -> int:
        """Batches made from one generation."""
        given = self.steps_per_generation
        return self.accumulation if given is None else given

    @property
    def completions(self) -> int:
        """Completions of one generation."""
        return self.per_device * self.processes * self.steps

    rollouts = completions  # by the name that all trainers share

    @property
    def prompts(self) -> int:
        """Prompts of one generation."""
        return self.completions // self.group_size

    @property
    def completions_per_update(self) -> int:
        """Completions of one optimizer step."""
        return self.per_device * self.processes * self.accumulation

    @property
    def updates_per_generation(self) -> float:
        """Optimizer steps for each generation; below 1 if a step spans several."""
        return ratio(self.steps * self.iterations, self.accumulation)

    def updates(self, n_prompts: int, epochs: float) -> int:
        """Return the optimizer steps of so many epochs over so many prompts, as TRL counts them.

        Raises
        ------
        UsageError
            If the prompts do not fill one generation.
        """
        generations = n_prompts // self.prompts  # an incomplete one is dropped
        if not generations:
            raise UsageError(
                f"{n_prompts} prompts do not fill one generation of {self.prompts} "
                f"({self.completions} completions in groups of {self.group_size}): take more "
                "prompts, or a smaller batch"
            )
        batches = generations * self.steps * self.iterations
        per_epoch = batches // self.accumulation + bool(batches % self.accumulation)
        return -int(-(epochs * per_epoch) // 1)

    def describe_completions(self) -> str:
        """Say which factors make the completions of a generation."""
        return (
            f"{self.per_device} per device × {self.processes} "
            f"{'process' if self.processes == 1 else 'processes'} × {self.steps} "
            f"{'step' if self.steps == 1 else 'steps'} per generation"
        )

    def problems(self) -> tuple[str, ...]:
        """Say why TRL would refuse these settings."""
        if self.group_size < 2:
            return (self._too_small(),)
        if self.completions % self.group_size:
            return (
                f"num_generations={self.group_size} does not divide the {self.completions} "
                f"completions of a generation ({self.describe_completions()})",
            )
        return ()

    def notes(self) -> tuple[str, ...]:
        """Say what is valid and yet should be known: nothing."""
        return ()

    def facts(self) -> BatchFacts:
        """Return what comes of the settings, which must be valid."""
        return BatchFacts(
            group_size=self.group_size,
            prompts_per_step=self.prompts,
            rollouts_per_step=self.completions,
            prompts_per_update=ratio(self.completions_per_update, self.group_size),
            rollouts_per_update=self.completions_per_update,
            updates_per_step=self.updates_per_generation,
        )

    def neighbours(self) -> Iterator[TrlBatch]:
        """Yield settings near these: another group size, or a generation of another size."""
        for size in divisors_beside(self.group_size, self.completions, least=2):
            yield replace(self, group_size=size)
        start = replace(self, group_size=max(self.group_size, 2))
        at_once = start.per_device * start.processes
        for steps in multiples_beside(start.steps, period(at_once, start.group_size)):
            if start.steps_per_generation is None:
                yield replace(start, accumulation=steps)
            else:
                yield replace(start, steps_per_generation=steps)
        others = start.processes * start.steps
        for size in multiples_beside(start.per_device, period(others, start.group_size)):
            yield replace(start, per_device=size)

    def _too_small(self) -> str:
        return (
            f"num_generations={self.group_size}: a group needs at least 2 completions, or "
            "every advantage is 0"
        )
