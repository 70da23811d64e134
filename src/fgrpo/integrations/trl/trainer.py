"""TRL's GRPOTrainer and its configuration, with the focal weight."""

from __future__ import annotations

from dataclasses import dataclass, field

from trl import GRPOConfig, GRPOTrainer

from fgrpo.integrations.trl.mixin import FocalAdvantages
from fgrpo.integrations.trl.settings import FocalSettings


@dataclass
class FocalGRPOConfig(GRPOConfig):  # type: ignore[misc]
    """TRL's GRPOConfig and the settings of the focal weight.

    Parameters
    ----------
    focal_gamma : float, default 0.5
        Exponent γ of the group weight ``(1 − success rate)^γ``, finite and at least 0. The
        paper uses 0.5 or 1; 0 trains bit for bit as GRPOTrainer does.
    focal_reward : str, int or list of these, optional
        Name or index of the reward function that tells a correct completion; not needed if there
        is only one. Where several judge different prompts, all of them, as a list or with commas:
        a completion is judged by the first that returned a reward.
    focal_threshold : float, default 0.5
        A completion is correct if that reward is at least this.
    focal_tail_share : float, default 0.1
        ρ in (0, 1): ``focal/tail_miss_risk`` is about answers with this share of the mass of all
        correct ones. It changes no training.

    Raises
    ------
    UsageError
        If a value is out of its range. (A ValueError.)

    Notes
    -----
    F-GRPO (arXiv 2602.06717), eqs. 11-13 and lemma 3.1.
    """

    focal_gamma: float = field(
        default=FocalSettings.gamma,
        metadata={
            "help": "Focal exponent: advantages are multiplied by (1 - success rate of the "
            "group)^gamma. The paper uses 0.5 or 1; 0 is GRPOTrainer."
        },
    )
    focal_reward: str | None = field(
        default=None,
        metadata={
            "help": "Name or index of the reward function that tells a correct completion. Not "
            "needed if there is only one. Several, with commas, where each judges some prompts."
        },
    )
    focal_threshold: float = field(
        default=FocalSettings.threshold,
        metadata={"help": "A completion is correct if that reward is at least this."},
    )
    focal_tail_share: float = field(
        default=FocalSettings.tail_share,
        metadata={
            "help": "Share of the correct answers' mass that the logged tail-miss risk is about. "
            "Changes no training."
        },
    )

    def __post_init__(self) -> None:
        FocalSettings.of(self)
        super().__post_init__()


class FocalGRPOTrainer(FocalAdvantages, GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer with the focal weight: F-GRPO, F-DAPO or F-CISPO by its ``loss_type``.

    Takes the arguments of ``trl.GRPOTrainer``, with a `FocalGRPOConfig`; a plain GRPOConfig gets
    its defaults. See `FocalAdvantages` for what it does.

    Examples
    --------
    >>> trainer = FocalGRPOTrainer(  # doctest: +SKIP
    ...     model="Qwen/Qwen2.5-0.5B-Instruct",
    ...     reward_funcs=trl_reward("maths"),
    ...     args=FocalGRPOConfig(output_dir="runs/focal", focal_gamma=0.5),
    ...     train_dataset=dataset,
    ... )
    """
