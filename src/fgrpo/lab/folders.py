"""Where the parts of a run folder lie: one answer for those who write them and who read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

METRICS_FILE = "metrics.jsonl"
STATE_FILE = "state.safetensors"  # of a training that is not finished


def base_folder(folder: Path) -> Path:
    """Where the base model's evaluation lies in a run folder."""
    return folder / "base"


def arm_folder(folder: Path, arm: str, seed: int) -> Path:
    """Where an arm trained with one seed lies in a run folder."""
    return folder / "arms" / arm / f"seed-{seed}"


def records_path(folder: Path, step: int) -> Path:
    """Where the records of an evaluation after ``step`` steps lie in a model's folder."""
    return folder / "records" / f"step-{step:06d}.jsonl"
