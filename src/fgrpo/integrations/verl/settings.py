"""The estimators' settings among those of verl's ``algorithm``."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from fgrpo.errors import UsageError
from fgrpo.integrations.settings import WeightSettings, check_number

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN_REWARDS = ("sum", "max_token_reward")
_LOG_PROBS = ("sum", "mean")


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
        return cls(**_given(cls, algorithm, "focal"))


@dataclass(frozen=True)
class SmoothingSettings:
    """Settings of the estimator ``differential_smoothing``.

    In verl each is ``+algorithm.smoothing_<name>=…``.

    Parameters
    ----------
    gamma_p, gamma_n
        Factors of the log-probability of correct and of wrong rollouts, finite and at least 0.
    log_prob
        "sum" over the rollout's tokens, or their "mean".

    Raises
    ------
    UsageError
        If a value is missing or out of its range.
    """

    gamma_p: float
    gamma_n: float
    log_prob: str = "sum"

    def __post_init__(self) -> None:
        for name, value in {"gamma_p": self.gamma_p, "gamma_n": self.gamma_n}.items():
            name = f"+algorithm.smoothing_{name}"
            check_number(name, value, lambda x: 0 <= x < math.inf, "finite, at least 0")
        if self.log_prob not in _LOG_PROBS:
            raise UsageError(f"+algorithm.smoothing_log_prob={self.log_prob}: choose sum or mean")

    @classmethod
    def of(cls, algorithm: Mapping[str, Any] | None) -> SmoothingSettings:
        """Read the settings from verl's ``config.algorithm``.

        Raises
        ------
        UsageError
            For an unknown ``smoothing_…`` too.
        """
        given = _given(cls, algorithm, "smoothing")
        return cls(**{"gamma_p": None, "gamma_n": None} | given)


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse settings that are wrong, out of place, or not read by the chosen estimator.

    Parameters
    ----------
    config
        verl's, the whole of it.

    Raises
    ------
    UsageError
        Naming the setting.
    """
    for place, part in {"": config, "trainer.": config["trainer"]}.items():
        for name in part:
            if name.lower().startswith("focal"):
                raise UsageError(f"{place}{name} does nothing there: give it as +algorithm.{name}")
    algorithm = config["algorithm"]
    settings = FocalSettings.of(algorithm)
    estimator = algorithm.get("adv_estimator")
    if estimator == "differential_smoothing":
        SmoothingSettings.of(algorithm)
    if estimator != "f_grpo" and "focal_gamma" in algorithm and settings.gamma > 0:
        raise UsageError(
            f"algorithm.focal_gamma={settings.gamma:g} with algorithm.adv_estimator={estimator}, "
            "which does not read it: set algorithm.adv_estimator=f_grpo, or leave it out"
        )


def run_setting(algorithm: Mapping[str, Any] | None, name: str) -> Any:
    """Return a setting of the whole run, of which ``algorithm`` is a part; None if it is not."""
    if not isinstance(algorithm, DictConfig):
        return None
    try:
        return OmegaConf.select(algorithm, f"..{name}")
    except ConfigKeyError:  # it stands alone
        return None


def _given(settings: type, algorithm: Mapping[str, Any] | None, prefix: str) -> dict[str, Any]:
    """Return the values of ``<prefix>_<field>`` by field."""
    names = {f"{prefix}_{field.name}": field.name for field in fields(settings)}
    given = {k: v for k, v in (algorithm or {}).items() if k.lower().startswith(prefix)}
    if unknown := sorted(given.keys() - names.keys()):
        raise UsageError(
            f"algorithm.{unknown[0]} is no setting; there are {', '.join(sorted(names))}"
        )
    return {names[name]: value for name, value in given.items()}
