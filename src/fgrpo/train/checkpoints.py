"""Which checkpoint a training goes on from."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from fgrpo.errors import RunError, UsageError

_OF_TRAINING = ("optimizer", "scheduler", "rng_state", "scaler", TRAINER_STATE_NAME)


def asks_for_last(asked: str | None) -> bool:
    """Tell whether ``resume_from_checkpoint`` means the last one there is."""
    return str(asked).lower() in ("true", "latest")


def checkpoint_for(asked: str | None, output: Path) -> str | None:
    """Return the checkpoint to go on from, None to begin.

    Parameters
    ----------
    asked
        Nothing (or false), true (or latest) for the last of the output folder, or a folder.
    output
        Where the training keeps its checkpoints.

    Raises
    ------
    UsageError
        If nothing is asked for and there are checkpoints, which would be written over; if the
        folder is none of a checkpoint.
    RunError
        If a file of the checkpoint is empty, as a full disk or a power cut leaves it.
    """
    last = _last_checkpoint(output)
    if asked is None or asked.lower() == "false":
        if last is not None:
            raise UsageError(
                f"{output} has checkpoints, the last {Path(last).name}: go on from it with "
                "--resume_from_checkpoint true, or take another --output_dir"
            )
        return None
    if asks_for_last(asked):
        return last and _whole(last)
    if not (Path(asked) / TRAINER_STATE_NAME).is_file():
        raise UsageError(
            f"--resume_from_checkpoint {asked}: no folder of a checkpoint; true takes the last"
        )
    return _whole(asked)


def steps_done(checkpoint: str) -> int:
    """Return the number of updates behind a checkpoint."""
    state = json.loads((Path(checkpoint) / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return int(state["global_step"])


def take_model(checkpoint: str, output: Path) -> None:
    """Copy a checkpoint's model to the output folder, without what only a training needs."""
    for path in Path(checkpoint).iterdir():
        if path.is_file() and not path.name.startswith(_OF_TRAINING):
            shutil.copy(path, output / path.name)


def _whole(checkpoint: str) -> str:
    """Return a checkpoint none of whose files is empty."""
    for path in sorted(Path(checkpoint).iterdir()):
        needed = path.name.startswith(_OF_TRAINING) or path.suffix == ".safetensors"
        if needed and path.is_file() and not path.stat().st_size:
            raise RunError(
                f"{path}: empty, so this checkpoint is lost; delete its folder to go on from the "
                "one before it"
            )
    return checkpoint


def _last_checkpoint(output: Path) -> str | None:
    """Return the last complete checkpoint: one that a kill cut off has no state, written last."""
    found = {}
    for state in output.glob(f"{PREFIX_CHECKPOINT_DIR}-*/{TRAINER_STATE_NAME}"):
        if (step := state.parent.name.rpartition("-")[2]).isdecimal():
            found[int(step)] = state
    for _, state in sorted(found.items(), reverse=True):
        with suppress(ValueError):
            json.loads(state.read_text(encoding="utf-8"))
            return str(state.parent)
    return None
