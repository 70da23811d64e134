"""Recipes of ``fgrpo train``: YAML with the fields of the command line."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from fgrpo.errors import UsageError
from fgrpo.recipes import read_yaml, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping


def shipped_recipes() -> dict[str, Path]:
    """Map ``recipes/trl/NAME.yaml`` to the files in the package."""
    return {f"recipes/trl/{path.name}": path for path in shipped("trl").values()}


def recipe_path(name: str) -> Path:
    """Return the file of a recipe: a path, or ``recipes/trl/NAME.yaml`` of the package.

    Raises
    ------
    UsageError
        If there is neither: names near ones.
    """
    if (path := Path(name)).is_file():
        return path
    known = shipped_recipes()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"; near: {', '.join(near)}" if near else ""
    raise UsageError(f"--config {name}: neither a file nor a shipped recipe{hint} (see --list)")


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a recipe, and set the environment variables that it names under ``env``.

    Raises
    ------
    UsageError
        If the file cannot be read, or is no mapping.
    """
    config = read_yaml(path)
    variables = config.pop("env", None) or {}
    if not isinstance(variables, dict):
        raise UsageError(f"{path}: env is {variables!r}: give names and values")
    os.environ.update({str(name): str(value) for name, value in variables.items()})
    return {str(name): value for name, value in config.items()}


def check_shapes(config: Mapping[str, Any], hints: Mapping[str, Any], path: Path) -> None:
    """Refuse a list, a mapping or nothing where a field takes one value.

    Parameters
    ----------
    config
        Fields and values; single values are left to the parser.
    hints
        The fields' types.
    path
        Where they come from, for the message.

    Raises
    ------
    UsageError
        Naming the first such field.
    """
    for name, value in config.items():
        if isinstance(value, (list, dict, type(None))) and not _fits(value, hints[name]):
            raise UsageError(f"{path}: {name} is {value!r:.60}: give one value, or leave it out")


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is of one of the types that a field's hint names."""
    union = get_origin(hint) in (Union, UnionType)
    return type(value) in {get_origin(one) or one for one in (get_args(hint) if union else [hint])}


def as_words(config: Mapping[str, Any], parser: Any) -> list[str]:
    """Put a recipe as on the command line, since argparse checks no defaults but texts.

    What has no form there, a mapping or nothing, becomes a default.
    """
    words: list[str] = []
    several = {action.dest for action in parser._actions if action.nargs == "+"}
    for name, value in config.items():
        if isinstance(value, list) and value and name in several:
            words += [f"--{name}", *map(str, value)]
        elif value is None or isinstance(value, (list, dict)):
            parser.set_defaults_with_config(**{name: value})
        else:
            words.append(f"--{name}={value}")
    return words
