"""Reading the lab's recipes."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from fgrpo.errors import UsageError
from fgrpo.lab.settings import Recipe
from fgrpo.recipes.load import load

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def load_recipe(name: str, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe of the lab, as `fgrpo.recipes.load.load` does."""
    return load(Recipe, name, overrides, example="arms.0.gamma=0.5", to_tell=_without_the_inherited)


def choose_arms(recipe: Recipe, patterns: list[str]) -> list[str]:
    """Return the names of the arms that match a pattern like ``*-n8``, in the recipe's order.

    Raises
    ------
    UsageError
        If a pattern matches none.
    """
    names = [arm.name for arm in recipe.arms]
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"--arms {pattern!r} matches no arm of {recipe.name}: {', '.join(names)}"
            )
    return [name for name in names if any(fnmatch.fnmatchcase(name, p) for p in patterns)]


def _without_the_inherited(items: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out what the arms inherit: what is wrong in train is told once, there."""
    shared = {item["loc"][1:] for item in items if item["loc"][:1] == ("train",)}
    return [item for item in items if item["loc"][:1] != ("arms",) or item["loc"][2:] not in shared]
