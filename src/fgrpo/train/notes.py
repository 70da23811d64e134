"""``train.json``: how a model was made, one entry for each start of its training."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE: Final = "train.json"

# What makes a training another one. Its length, speed and place may change.
_SAME: Final = (
    "model_name_or_path",
    "use_peft",
    "dataset_name",
    "verifier",
    "method",
    "loss_type",
    "epsilon",
    "epsilon_high",
    "beta",
    "num_generations",
    "seed",
    "focal_gamma",
    "focal_threshold",
)


def masked(command: str) -> str:
    """Return a command without the values of its ``--…_token`` options."""
    return re.sub(r"(--\S*token[= ])\S+", r"\1***", command)


def check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to go on with a training that was begun with other settings.

    Parameters
    ----------
    folder
        Of the training; without a note there is nothing to compare with.
    settings
        Fields and values of now.

    Raises
    ------
    UsageError
        Naming the fields that differ, then and now.
    """
    starts = _read(folder)
    if not starts:
        return
    before = starts[-1].get("settings", {})
    changed = [
        f"{name} {before[name]}, now {settings[name]}"
        for name in _SAME
        if name in before and name in settings and before[name] != settings[name]
    ]
    if changed:
        raise UsageError(
            f"{folder} was begun with {'; '.join(changed)}: give the same settings to go on, or "
            "another --output_dir"
        )


def note(folder: Path, about: Mapping[str, Any]) -> None:
    """Add a start of the training to the folder's ``train.json``."""
    make_folder(folder)
    starts = [*_read(folder), about]
    write_text(folder / FILE, json.dumps(starts, indent=1, default=str) + "\n")


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / FILE
    if not path.exists():
        return []
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        starts = None
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        path.replace(path.with_suffix(".damaged.json"))  # a note must not stop a training
        return []
    return starts
