"""The arithmetic of prompts, groups, processes and updates of TRL's trainer."""

from __future__ import annotations

from dataclasses import dataclass

from fgrpo.errors import UsageError


@dataclass(frozen=True)
class Batches:
    """How TRL cuts a training into batches.

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
        Batches made from one generation.
    iterations
        ``num_iterations``: times each of them is used.

    Raises
    ------
    UsageError
        If a generation does not hold whole groups: says which group sizes fit.
    """

    group_size: int
    per_device: int
    processes: int = 1
    accumulation: int = 1
    steps_per_generation: int = 1
    iterations: int = 1

    def __post_init__(self) -> None:
        for option, value in (
            ("per_device_train_batch_size", self.per_device),
            ("gradient_accumulation_steps", self.accumulation),
            ("steps_per_generation", self.steps_per_generation),
            ("num_iterations", self.iterations),
        ):
            if value < 1:
                raise UsageError(f"{option}={value}: take at least 1")
        if self.group_size < 2:
            raise UsageError(
                f"num_generations={self.group_size}: a group needs at least 2 completions, or "
                "every advantage is 0"
            )
        if self.completions % self.group_size:
            fitting = [n for n in range(2, self.completions + 1) if self.completions % n == 0]
            raise UsageError(
                f"num_generations={self.group_size} does not divide the {self.completions} "
                f"completions of a generation ({self.describe_completions()}): "
                + (f"take one of {', '.join(map(str, fitting))}, or " if fitting else "")
                + "change per_device_train_batch_size or the steps"
            )

    @property
    def completions(self) -> int:
        """Completions of one generation."""
        return self.per_device * self.processes * self.steps_per_generation

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
        return self.steps_per_generation * self.iterations / self.accumulation

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
        batches = generations * self.steps_per_generation * self.iterations
        per_epoch = batches // self.accumulation + bool(batches % self.accumulation)
        return -int(-(epochs * per_epoch) // 1)

    def describe_completions(self) -> str:
        """Say which factors make the completions of a generation."""
        return (
            f"{self.per_device} per device × {self.processes} "
            f"{'process' if self.processes == 1 else 'processes'} × {self.steps_per_generation} "
            f"{'step' if self.steps_per_generation == 1 else 'steps'} per generation"
        )
