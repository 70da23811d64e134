"""What is said before a model is loaded: method, weight, batches, what the group size can see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.theory import activity_probability, tail_miss_probability, update_scale
from fgrpo.train.methods import describe_bounds

if TYPE_CHECKING:
    from fgrpo.plan.batches.trl import TrlBatch

_RATES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def preflight(method: str, training: Any, model: Any, batches: TrlBatch, reward: str) -> str:
    """Describe a training before it begins.

    Parameters
    ----------
    method
        Name of the preset.
    training
        A `FocalGRPOConfig`.
    model
        TRL's ``ModelConfig``.
    batches
        Its arithmetic.
    reward
        What counts as correct.

    Returns
    -------
    str
        Several lines.
    """
    bounds = describe_bounds(
        training.loss_type, training.epsilon, training.epsilon_high, training.delta
    )
    trained = f"LoRA of rank {model.lora_r}" if model.use_peft else "all weights"
    lines = [
        ("model", f"{model.model_name_or_path}, {trained}"),
        ("method", f"{method}: loss_type {training.loss_type}, {bounds}"),
        ("", f"KL coefficient {training.beta:g}, learning rate {training.learning_rate:g}"),
        ("weight", _weight(training.focal_gamma)),
        ("reward", reward),
        ("generation", _generation(batches)),
        ("update", f"{_update(batches)}; {_checkpoints(training)}"),
    ]
    if training.use_vllm and getattr(training, "vllm_importance_sampling_correction", False):
        lines.append(
            (
                "vLLM",
                f"{training.vllm_mode}; its log-probabilities are corrected for by TRL "
                f"({training.vllm_importance_sampling_mode})",
            )
        )
    text = [f"{name:12}{value}" for name, value in lines]
    return "\n".join([*text, "", *_groups(batches.group_size, training.focal_tail_share)])


def _weight(gamma: float) -> str:
    if gamma == 0:
        return "none (focal_gamma 0): plain TRL"
    return (
        f"(1 - success rate of the group)^{gamma:g}; over success rates spread evenly the mean "
        f"update is {update_scale(gamma):.2f} of the unweighted"
    )


def _generation(batches: TrlBatch) -> str:
    return (
        f"{batches.prompts} prompts × {batches.group_size} completions = {batches.completions} "
        f"({batches.describe_completions()})"
    )


def _update(batches: TrlBatch) -> str:
    count = batches.updates_per_generation
    if count >= 1:
        often = f"{count:g} for each generation" + (" (on-policy)" if count == 1 else "")
    else:
        often = f"one for every {1 / count:g} generations"
    return f"{batches.completions_per_update} completions; {often}"


def _checkpoints(training: Any) -> str:
    strategy = str(getattr(training.save_strategy, "value", training.save_strategy))
    if strategy == "steps":
        return f"a checkpoint every {training.save_steps:g}"
    return "no checkpoints" if strategy == "no" else f"a checkpoint every {strategy}"


def _groups(group_size: int, tail_share: float) -> list[str]:
    """Tabulate lemma 3.1 around the group size."""
    sizes = [n for n in (group_size // 2, group_size, 2 * group_size, 4 * group_size) if n >= 2]
    head = "".join(f"{rate:>12.0%}" for rate in _RATES)
    lines = [
        "How often a group carries a signal / does so and yet misses the rarest correct answers",
        f"(those with {tail_share:.0%} of the correct mass), by the prompt's success rate:",
        f"{'group size':12}{head}",
    ]
    for size in sizes:
        active = np.atleast_1d(activity_probability(_RATES, size))
        missed = np.atleast_1d(tail_miss_probability(_RATES, tail_share * _RATES, size))
        cells = "".join(f"{f'{a:.0%} / {m:.0%}':>12}" for a, m in zip(active, missed, strict=True))
        mark = "  < yours" if size == group_size else ""
        lines.append(f"{size:<12}{cells}{mark}")
    return lines
