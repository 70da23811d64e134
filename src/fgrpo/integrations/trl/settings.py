"""The focal weight's settings, and which reward function means "correct"."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.integrations.settings import WeightSettings

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class FocalSettings(WeightSettings):
    """Settings of the focal weight in TRL's trainer.

    Parameters
    ----------
    gamma, threshold, tail_share
        As for `WeightSettings`.
    reward
        Name or index of the reward function that tells whether a completion is correct. None
        means the only one. Several, as a list or a text with commas, where each judges some of
        the prompts: a completion is judged by the first that returned a reward.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    reward: str | int | Sequence[str | int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = self.reward if isinstance(self.reward, (list, tuple)) else [self.reward]
        fine = all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in chosen)
        if self.reward is not None and not (chosen and fine):
            raise UsageError(
                f"focal_reward is {self.reward!r}: give names or indices of reward functions"
            )

    @classmethod
    def of(cls, *sources: object) -> FocalSettings:
        """Read ``focal_gamma`` and the others from the first source that has each."""
        found: dict[str, Any] = {}
        for field in fields(cls):
            for source in sources:
                if hasattr(source, name := f"focal_{field.name}"):
                    found[field.name] = getattr(source, name)
                    break
        return cls(**found)

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return the indices of the reward functions that tell a correct completion.

        Parameters
        ----------
        names
            Names of the trainer's reward functions.

        Raises
        ------
        UsageError
            If there are several and none is chosen, or a chosen one is not there or ambiguous.
        """
        if self.reward is None:
            if len(names) == 1:
                return [0]
            raise UsageError(
                f"there are {len(names)} reward functions: {_choices(names)}; "
                "say with focal_reward, by name or index, which one tells a correct completion"
            )
        chosen = self.reward.split(",") if isinstance(self.reward, str) else self.reward
        return [_column(one, names) for one in ([chosen] if isinstance(chosen, int) else chosen)]


def _column(one: str | int, names: Sequence[str]) -> int:
    if isinstance(one, str):
        one = one.strip()
        named = [i for i, name in enumerate(names) if name == one]
        if len(named) > 1:
            raise UsageError(
                f"focal_reward={one!r} names {len(named)} of the reward functions "
                f"{_choices(names)}: give its index"
            )
        if named:
            return named[0]
    try:  # the command line has nothing but text
        index = int(one)
    except ValueError:
        index = -1
    if not 0 <= index < len(names):
        raise UsageError(f"focal_reward={one!r} is none of the reward functions {_choices(names)}")
    return index


def _choices(names: Sequence[str]) -> str:
    return ", ".join(f"{i} ({name})" for i, name in enumerate(names)) or "none"
