"""Checkpoints of a training: which one is whole, and which may go."""

import json
import shutil
from pathlib import Path

WHOLE = "whole"  # an empty file that a checkpoint gets when all the others are written


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{WHOLE}")]
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def remove_checkpoints(folder: Path, keep: Path | None = None) -> None:
    for path in folder.glob("checkpoint-*"):
        if path != keep:
            # Its mark goes first: what is half removed must not look whole.
            (path / WHOLE).unlink(missing_ok=True)
            shutil.rmtree(path)


def longest_step(training: Path) -> float:
    """Return the seconds of the longest step that any arm has logged; 0 if there is none."""
    logs = [json.loads(path.read_text()) for path in training.glob("*/log.json")]
    for mark in training.glob(f"*/checkpoint-*/{WHOLE}"):
        logs.append(json.loads(mark.with_name("trainer_state.json").read_text())["log_history"])
    return max((line.get("step_time", 0.0) for log in logs for line in log), default=0.0)
