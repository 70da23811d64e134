"""Finding, reading and overriding recipes, with errors that name file, field and allowed values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fgrpo.errors import UsageError
from fgrpo.lab.settings import Recipe
from fgrpo.recipes import read_yaml, shipped

DEFAULT_RECIPE = "maze-small"


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name
        A shipped recipe's name, or the path of a YAML file.
    overrides
        Changes ``field.path=value``; list items by number: ``arms.0.gamma=0.5``.

    Raises
    ------
    UsageError
        If there is no such recipe, or a field is wrong: names file, field and what is allowed.
    """
    path = shipped().get(name, Path(name))
    if not path.exists():
        known = ", ".join(shipped())
        raise UsageError(f"no recipe {name!r}: neither a file nor one of those shipped ({known})")
    data = read_yaml(path)
    for override in overrides or []:
        _override(data, override)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise UsageError(_describe(path, error)) from error


def _override(data: dict[str, Any], override: str) -> None:
    """Apply one ``field.path=value`` in place."""
    where, equals, text = override.partition("=")
    if not equals or not where:
        raise UsageError(f"--set {override!r}: write field=value, for example arms.0.gamma=0.5")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {override!r}: {text!r} is not a YAML value") from None
    *parents, last = where.split(".")
    target: Any = data
    for part in parents:
        target = _step(target, part, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise UsageError(f"--set {override!r}: {'.'.join(parents)} is a value and has no fields")


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, override)]
    if isinstance(target, dict):
        return target.setdefault(part, {})
    raise UsageError(f"--set {override!r}: nothing lies below a value ({part!r})")


def _index(target: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(target):
        raise UsageError(
            f"--set {override!r}: {part!r} must be a number from 0 to {len(target) - 1}"
        )
    return int(part)


def _describe(path: Path, error: ValidationError) -> str:
    """One line per wrong field: file, field, what is allowed, what was given."""
    lines = []
    items = error.errors(include_url=False)
    shared = {item["loc"][1:] for item in items if item["loc"][:1] == ("train",)}
    for item in items:
        if item["loc"][:1] == ("arms",) and item["loc"][2:] in shared:
            continue  # the arm inherits what is wrong in train
        field = ".".join(str(part) for part in item["loc"]) or "recipe"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"no such field; {_known_fields(item['loc'])}"
        elif item["type"] != "missing" and not isinstance(item["input"], dict):
            message += f" (got {item['input']!r})"
        lines.append(f"{path}: {field}: {message}")
    return "\n".join(dict.fromkeys(lines))


def _known_fields(loc: tuple[int | str, ...]) -> str:
    """Name the fields allowed where an unknown one was given."""
    model: Any = Recipe
    for part in loc[:-1]:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            model = getattr(annotation, "__args__", (annotation,))[0]
    return "fields here are " + ", ".join(model.model_fields)
