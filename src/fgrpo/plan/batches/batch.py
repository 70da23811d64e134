"""What the settings of every trainer's batches have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What comes of valid settings.

    A *step* is one round of sampling rollouts and the updates made from them: a generation of TRL,
    a training step of verl.

    Attributes
    ----------
    group_size
        N, rollouts of one prompt.
    prompts_per_step, rollouts_per_step
        Prompts, and rollouts (completions) of them all, of one step.
    prompts_per_update, rollouts_per_update
        Those of one optimizer update; an update of TRL may hold part of a group.
    updates_per_step
        Optimizer updates made from one step's rollouts; below 1 if an update spans several steps.
    padding
        Empty rollouts that the trainer adds to a step to fill its updates.
    """

    group_size: int
    prompts_per_step: int
    rollouts_per_step: int
    prompts_per_update: float
    rollouts_per_update: int
    updates_per_step: float
    padding: int = 0


class Batch(ABC):
    """The settings of one trainer that decide how prompts become rollouts and updates."""

    options: ClassVar[Mapping[str, str]]
    """The trainer's own name of each setting that may be suggested otherwise, by field."""

    @abstractmethod
    def problems(self) -> tuple[str, ...]:
        """Say why the trainer would refuse these settings; empty if it would not."""

    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Say what the trainer accepts, and yet should be known."""

    @abstractmethod
    def facts(self) -> BatchFacts:
        """Return what comes of the settings, which must be valid."""

    @property
    @abstractmethod
    def rollouts(self) -> int:
        """Rollouts of one step."""

    @abstractmethod
    def neighbours(self) -> Iterator[Self]:
        """Yield settings near these that may be valid."""


def require_whole(option: str, value: object, least: int = 1) -> None:
    """Refuse a setting that is no whole number.

    Raises
    ------
    UsageError
        Says which would do: those of at least ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{option}={value}: take a whole number, at least {least}")


def require_positive(option: str, value: object) -> None:
    """Refuse a setting that is no whole number of at least 1.

    Raises
    ------
    UsageError
        If it is not.
    """
    require_whole(option, value)
    if value < 1:  # type: ignore[operator]  # a whole number
        raise UsageError(f"{option}={value}: take at least 1")


def ratio(part: int, of: int) -> float:
    """Return the quotient, as an integer if it is one."""
    quotient, rest = divmod(part, of)
    return part / of if rest else quotient
