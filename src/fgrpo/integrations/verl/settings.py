"""The focal weight's settings among those of verl's ``algorithm``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from fgrpo.errors import UsageError
from fgrpo.integrations.settings import WeightSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN_REWARDS = ("sum", "max_token_reward")


@dataclass(frozen=True)
class FocalSettings(WeightSettings):
    """Settings of the estimator ``f_grpo``; in verl each is ``+algorithm.focal_<name>=…``.

    Parameters
    ----------
    gamma, threshold, tail_share
        As for `WeightSettings`.
    success
        What tells whether a rollout is correct, compared with the threshold: "sum", the sum of its
        token rewards, which overlong penalties and a KL penalty in the reward shift;
        "max_token_reward", the largest of them, which a KL penalty barely moves; or the name of a
        value that the reward function returns beside the score, such as "acc", which nothing
        shifts and which only the ``focal_*`` trainers can read.

    Raises
    ------
    UsageError
        If a value is out of its range.
    """

    success: str = "sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.success, str) or not self.success:
            raise UsageError(
                f"focal_success={self.success!r}: give {', '.join(_TOKEN_REWARDS)} or the name of "
                "a value that the reward function returns"
            )
        if self.success == "max_token_reward" and self.threshold <= 0:
            raise UsageError(
                f"focal_threshold={self.threshold:g} with focal_success=max_token_reward: the "
                "tokens before the last have reward 0, so every rollout would be correct; give a "
                "threshold above 0, or focal_success=sum"
            )

    @property
    def by_name(self) -> bool:
        """Whether a value beside the score tells success, and not the token rewards."""
        return self.success not in _TOKEN_REWARDS

    @classmethod
    def of(cls, algorithm: Mapping[str, Any] | None) -> FocalSettings:
        """Read the settings from verl's ``config.algorithm``; what is not there has its default.

        Raises
        ------
        UsageError
            For an unknown ``focal_…``, which would otherwise do nothing without a word.
        """
        names = {f"focal_{field.name}": field.name for field in fields(cls)}
        given = {k: v for k, v in (algorithm or {}).items() if k.startswith("focal")}
        if unknown := sorted(given.keys() - names.keys()):
            raise UsageError(
                f"algorithm.{unknown[0]} is no setting; there are {', '.join(sorted(names))}"
            )
        return cls(**{names[name]: value for name, value in given.items()})


def run_setting(algorithm: Mapping[str, Any] | None, name: str) -> Any:
    """Return a setting of the whole run, of which ``algorithm`` is a part; None if it is not."""
    if not isinstance(algorithm, DictConfig):
        return None
    try:
        return OmegaConf.select(algorithm, f"..{name}")
    except ConfigKeyError:  # it stands alone
        return None
