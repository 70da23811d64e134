"""How the run was made, as rows of name and value for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.presentation.made_with import environment_rows
from fgrpo.presentation.numbers import percent

if TYPE_CHECKING:
    from collections.abc import Callable

    from fgrpo.lab.settings import ArmSettings, OptimizerSettings
    from fgrpo.report.data import ArmRuns, RunData
    from fgrpo.report.sweep import Sweep

Rows = list[tuple[str, str]]

_ARM_ROWS: tuple[tuple[str, Callable[[ArmSettings], str]], ...] = (
    ("Method", lambda arm: arm.method.upper()),
    ("Focal exponent γ", lambda arm: f"{arm.gamma:g}"),
    ("Group size N", lambda arm: str(arm.group_size)),
    ("Learning rate", lambda arm: f"{arm.learning_rate:g}"),
    ("Training steps", lambda arm: str(arm.steps)),
    ("Each step", lambda arm: _step(arm)),
    ("Optimiser", lambda arm: _optimiser(arm)),
    ("Objective", lambda arm: _objective(arm)),
)
_SCALES = {
    "std": "the group's sample standard deviation",
    "population_std": "the group's population standard deviation",
    "none": "nothing",
}


def setting_rows(data: RunData, sweep: Sweep | None = None) -> Rows:
    """List the recipe's settings; those in which arms differ name each arm's value.

    In a sweep they name that of each group size, or of each line, if that is enough.
    """
    recipe = data.recipe
    model, sft = recipe.model, recipe.sft
    return [
        *((name, _by_arm(data, sweep, shown)) for name, shown in _ARM_ROWS),
        ("Training seeds", ", ".join(map(str, recipe.seeds))),
        (
            "Task",
            f"mazes of {recipe.maze.size} × {recipe.maze.size} squares, "
            f"responses of at most {recipe.maze.response_cap} tokens",
        ),
        (
            "Held-out evaluation",
            f"{recipe.evaluation.problems} mazes × {recipe.evaluation.samples} samples at "
            f"temperature 1, seed {recipe.evaluation.seed}",
        ),
        (
            "Model",
            f"Qwen2-style decoder: {model.num_hidden_layers} layers, width {model.hidden_size}, "
            f"{model.num_attention_heads} heads ({model.num_key_value_heads} for keys and "
            f"values), feed-forward {model.intermediate_size}; {recipe.precision}",
        ),
        (
            "Base model's training",
            f"{sft.steps} supervised steps of {sft.batch_size} solved mazes, learning rate "
            f"{sft.learning_rate:g}, seed {sft.seed}; {_optimiser(sft)}",
        ),
    ]


def training_rows(data: RunData) -> Rows:
    """Say for each arm how often its gradient was clipped and its responses cut off."""
    return [(arm.label, _limits_met(arm)) for arm in data.arms]


def _limits_met(arm: ArmRuns) -> str:
    lines = [line for run in arm.runs for line in run.metrics]
    limit = arm.settings.max_grad_norm
    clipped = sum(line["grad_norm"] > limit for line in lines) / len(lines)
    truncated = sum(line["truncated"] for line in lines) / len(lines)
    updates = arm.settings.epochs * arm.settings.minibatches
    norm = "gradient norm" if updates == 1 else f"mean gradient norm of the {updates} updates"
    return (
        f"{norm} above its limit of {limit:g} in {percent(clipped)} of the steps; "
        f"{percent(truncated)} of the responses cut off at their limit, unfinished"
    )


def made_with_rows(data: RunData) -> Rows:
    """List versions, machine, command and time; several starts of a run show what differed."""
    return [*environment_rows(data.environment), ("Time", _time(data))]


def _by_arm(data: RunData, sweep: Sweep | None, shown: Callable[[ArmSettings], str]) -> str:
    values = [(shown(arm.settings), arm.label) for arm in data.arms]
    if len(dict(values)) == 1:
        return values[0][0]
    if sweep:
        sizes = [(f"N = {size}", sweep.at(size)) for size in sweep.sizes]
        lines = [(line.label, list(line.arms.values())) for line in sweep.lines]
        for groups in (sizes, lines):
            found = [({shown(arm.settings) for arm in arms}, name) for name, arms in groups]
            if all(len(own) == 1 for own, _ in found):
                values = [(own.pop(), name) for own, name in found]
                break
    return "; ".join(
        value if name == f"N = {value}" else f"{value} ({name})" for value, name in values
    )


def _step(arm: ArmSettings) -> str:
    updates = arm.epochs * arm.minibatches
    return (
        f"{arm.prompts_per_step} prompts × {arm.group_size} rollouts at temperature "
        f"{arm.temperature:g}, {updates} update{'s' if updates > 1 else ''}"
    )


def _optimiser(settings: OptimizerSettings) -> str:
    after = "constant" if settings.schedule == "constant" else "falling linearly to 0"
    return (
        f"AdamW, {settings.warmup_steps} warm-up steps, then the rate {after}; weight decay "
        f"{settings.weight_decay:g}, gradient norm at most {settings.max_grad_norm:g}"
    )


def _objective(arm: ArmSettings) -> str:
    low, high = arm.clip_bounds
    return (
        f"importance ratio within {max(0.0, 1 - low):g} to {1 + high:g}, "
        f"{arm.aggregate.replace('_', ' ')}, advantages divided by {_SCALES[arm.scale]}"
    )


def _time(data: RunData) -> str:
    """Sum the time of all training steps."""
    lines = [line for arm in data.arms for run in arm.runs for line in run.metrics]
    sampling = sum(line["seconds_sampling"] for line in lines)
    training = sum(line["seconds_training"] for line in lines)
    runs = sum(len(arm.runs) for arm in data.arms)
    return (
        f"{_duration(sampling + training)} in the training steps of {runs} "
        f"run{'s' if runs > 1 else ''}, added up (sampling {_duration(sampling)}, updates "
        f"{_duration(training)}); evaluations and the base model's training come on top, and "
        "runs may have gone side by side"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
