"""Recipes shipped with the package, documented YAML files, and how recipes are found and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from fgrpo.errors import UsageError


def shipped(folder: str = "") -> dict[str, Path]:
    """Map the names of the recipes in the package, or in a folder of it, to their files."""
    return {path.stem: path for path in sorted((Path(__file__).parent / folder).glob("*.yaml"))}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    UsageError
        If it cannot be read, is not YAML, or holds something else.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a recipe is a mapping of fields, not {type(data).__name__}")
    return data
