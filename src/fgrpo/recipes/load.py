"""Finding, reading and overriding recipes, with errors that name place, field, allowed values."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from fgrpo.errors import UsageError
from fgrpo.recipes import read_yaml, shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

RecipeT = TypeVar("RecipeT", bound=BaseModel)


def load(
    model: type[RecipeT],
    name: str,
    overrides: list[str] | None = None,
    folder: str = "",
    *,
    example: str = "",
    options: Mapping[str, str] | None = None,
    to_tell: Callable[[list[ErrorDetails]], list[ErrorDetails]] = lambda items: items,
) -> RecipeT:
    """Read a recipe.

    Parameters
    ----------
    model
        What a recipe of this kind holds.
    name
        A shipped recipe's name, or the path of a YAML file.
    overrides
        Changes ``field.path=value``, one after the other; list items by number:
        ``arms.0.gamma=0.5``.
    folder
        Where in `fgrpo.recipes` those of this kind are shipped.
    example
        A change that makes sense here, for the message about one that is none.
    options
        The command's own option for a field's change, by field, where there is one.
    to_tell
        Picks the errors worth telling, where one wrong value makes several.

    Raises
    ------
    UsageError
        If there is no such recipe, or a field is wrong: names the file or the change, the field
        and what is allowed.
    """
    files = shipped(folder)
    path = files.get(name, Path(name))
    if not path.exists():
        known = ", ".join(files)
        raise UsageError(f"no recipe {name!r}: neither a file nor one of those shipped ({known})")
    overrides = overrides or []
    stages = [read_yaml(path)]
    for override in overrides:
        stages.append(_overridden(stages[-1], override, example))
    try:
        return model.model_validate(stages[-1])
    except ValidationError as error:
        found = [_errors(model, stage) for stage in stages]
        lines = []
        for item in to_tell(found[-1]):
            at_fault = _origin(item, found, overrides)
            place = str(path) if at_fault is None else _typed(at_fault, options or {})
            lines.append(f"{place}: {_describe(model, item)}")
        raise UsageError("\n".join(dict.fromkeys(lines))) from error


def _overridden(data: dict[str, Any], override: str, example: str) -> dict[str, Any]:
    """Copy the fields and apply one ``field.path=value``."""
    where, equals, text = override.partition("=")
    if not equals or not where:
        hint = f", for example {example}" if example else ""
        raise UsageError(f"--set {override!r}: write field=value{hint}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {override!r}: {text!r} is not a YAML value") from None
    *parents, last = where.split(".")
    changed = deepcopy(data)
    target: Any = changed
    for part in parents:
        target = _step(target, part, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    elif isinstance(target, dict):
        target[last] = value
    else:
        raise UsageError(f"--set {override!r}: {'.'.join(parents)} is a value and has no fields")
    return changed


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


def _errors(model: type[BaseModel], data: dict[str, Any]) -> list[ErrorDetails]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _origin(
    item: ErrorDetails, found: list[list[ErrorDetails]], overrides: list[str]
) -> str | None:
    """Find the override that an error comes from; None if it is the file's.

    ``found[i]`` holds the errors there were after ``i`` overrides. An override is at fault if it
    gave the wrong value itself, or if the error was not there before it.
    """
    loc = item["loc"]
    for i in reversed(range(len(overrides))):
        before, override = found[i], overrides[i]
        where = override.partition("=")[0].split(".")
        if [str(part) for part in loc[: len(where)]] == where:
            return override
        if not any(_same(item, other) for other in before):
            # A rule about several fields is checked only once each of them is right by itself,
            # so an override that put one right may merely have brought the file's error to light.
            hidden = any(
                len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in before
            )
            return None if hidden else override
    return None


def _typed(override: str, options: Mapping[str, str]) -> str:
    """Write an override as it was typed."""
    field = override.partition("=")[0]
    return options.get(field, f"--set {override!r}")


def _same(a: ErrorDetails, b: ErrorDetails) -> bool:
    return (a["loc"], a["type"], a["msg"]) == (b["loc"], b["type"], b["msg"])


def _describe(model: type[BaseModel], item: ErrorDetails) -> str:
    """Say which field is wrong, what is allowed and what was given."""
    field = ".".join(str(part) for part in item["loc"]) or "recipe"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"no such field{_known_fields(model, item['loc'])}"
    elif item["type"] != "missing" and not isinstance(item["input"], dict):
        message += f" (got {item['input']!r})"
    return f"{field}: {message}"


def _known_fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Name the fields allowed where an unknown one was given, if that can be told."""
    here = [model]
    for part in loc[:-1]:
        annotations = [m.model_fields[part].annotation for m in here if part in m.model_fields]
        if annotations:  # else a list's number or a mapping's key: still the same model
            here = [found for annotation in annotations for found in _models(annotation)]
    names = dict.fromkeys(name for one in here for name in one.model_fields)
    return f"; fields here are {', '.join(names)}" if names else ""


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Find the models that a field's type names: ``Model``, ``list[Model]``, ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]
