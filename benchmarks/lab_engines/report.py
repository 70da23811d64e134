"""The table and the file of figures."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from fgrpo.files import write_text
from fgrpo.lab.model import Decoder
from fgrpo.provenance import provenance
from lab_engines.options import Options, shape
from lab_engines.turns import Spread, Turn, ratios

_PACKAGES = ("torch", "transformers", "trl", "accelerate", "numpy")
_ROWS: list[tuple[str, str, Callable[[Turn], float]]] = [
    ("seconds per step", ".3f", lambda turn: turn.seconds),
    ("  of them sampling", ".3f", lambda turn: turn.sampling),
    ("  of them training", ".3f", lambda turn: turn.training),
    ("processor seconds", ".3f", lambda turn: turn.cpu),
    ("rollouts/s", ",.0f", lambda turn: turn.rollouts_per_second),
    ("tokens/s", ",.0f", lambda turn: turn.tokens_per_second),
    ("tokens of a response", ".2f", lambda turn: turn.length),
    ("reward", ".3f", lambda turn: turn.reward),
    ("groups with a gradient", ".2f", lambda turn: turn.mixed),
]


def heading(options: Options, model: Decoder) -> str:
    """Say what is measured."""
    recipe, arm = options.recipe, options.recipe.arms[0]
    size = recipe.maze.size
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    where = f"{options.threads} threads"
    if options.device.type == "cuda":
        where = torch.cuda.get_device_name(options.device)
    return (
        f"{size}×{size} mazes, {arm.prompts_per_step} prompts × {arm.group_size} rollouts of at "
        f"most {recipe.maze.response_cap} tokens, {parameters:.2f}M parameters, "
        f"{recipe.precision}, reward {options.reward}, {options.device.type}, {where}"
    )


def table(options: Options, ours: list[Turn], theirs: list[Turn]) -> str:
    """Medians and ranges of both engines, and their ratio."""
    lines = [f"{f'median (least to most) of {len(ours)}':30}{'fgrpo':30}TRL"]
    rows = list(_ROWS)
    if ours[0].peak_bytes is not None:
        rows.append(("peak memory, MiB", ",.0f", lambda turn: (turn.peak_bytes or 0) / 2**20))
    for name, form, read in rows:
        ours_told, theirs_told = (
            _told(Spread.of([read(turn) for turn in turns]), form) for turns in (ours, theirs)
        )
        lines.append(f"{name:30}{ours_told:30}{theirs_told}")
    for name, what in (("seconds", "seconds"), ("processor seconds", "cpu")):
        ratio = _told(Spread.of(ratios(ours, theirs, what)), ".2f")
        lines.append(f"{f'TRL/fgrpo, {name}':30}{ratio}")
    lines.append(f"TRL trains on {options.trl_batch} rollouts at a time")
    return "\n".join(lines)


def write_figures(
    options: Options, model: Decoder, difference: float, ours: list[Turn], theirs: list[Turn]
) -> None:
    """Write every turn, the ratios and what made them to ``--json``."""
    if options.json is None:
        return
    arm = options.recipe.arms[0]
    device = options.device.type
    figures: dict[str, Any] = {
        "settings": {
            "size": options.recipe.maze.size,
            "response_cap": options.recipe.maze.response_cap,
            "prompts": arm.prompts_per_step,
            "group_size": arm.group_size,
            "gamma": arm.gamma,
            "reward": options.reward,
            "precision": options.recipe.precision,
            "threads": options.threads,
            "trl_batch": options.trl_batch,
            "model": shape(model),
        },
        "logprob_difference": difference,
        "fgrpo": [asdict(turn) for turn in ours],
        "trl": [asdict(turn) for turn in theirs],
        "ratio": Spread.of(ratios(ours, theirs))._asdict(),
        "cpu_ratio": Spread.of(ratios(ours, theirs, "cpu"))._asdict(),
        "provenance": provenance(
            shlex.join(sys.argv),
            torch.cuda.get_device_name(options.device) if device == "cuda" else device,
            _PACKAGES,
        ),
    }
    write_text(options.json, json.dumps(figures, indent=2) + "\n")


def _told(spread: Spread, form: str) -> str:
    median, least, most = (format(value, form) for value in spread)
    return f"{median} ({least} to {most})"
