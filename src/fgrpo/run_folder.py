"""A run folder: claimed by one recipe, with a note of every start; resumed, or started over.

A run folder holds at least::

    recipe.yaml         the resolved recipe
    environment.json    versions, machine and command of every start
    lock                held by the process at work
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from fgrpo.errors import RunError, UsageError
from fgrpo.files import locked, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic import BaseModel

    RecipeT = TypeVar("RecipeT", bound=BaseModel)

RECIPE_FILE = "recipe.yaml"
ENVIRONMENT_FILE = "environment.json"
LOCK_FILE = "lock"
_LONGEST_DIFFERENCE = 200  # characters told of one field
PAGE_FILE = "report.html"  # written at the end of a run, so never without its recipe


@contextmanager
def opened(
    folder: Path, recipe: BaseModel, irrelevant: set[str], *, fresh: bool = False
) -> Iterator[None]:
    """Make a run folder this recipe's own; until the block ends nobody else works in it.

    Parameters
    ----------
    folder
        The run folder; made if missing.
    recipe, irrelevant
        As for `claim`.
    fresh
        Empty the folder first.

    Raises
    ------
    UsageError
        If the folder belongs to another recipe, cannot be written, or, if it is to be emptied,
        holds something that no run made.
    RunError
        If another process works in it.
    """
    make_run_folder(folder, fresh=fresh)
    with locked(folder / LOCK_FILE):
        if fresh:
            _read_recipe(folder, type(recipe))
            clear(folder)
        claim(folder, recipe, irrelevant)
        yield


def make_run_folder(folder: Path, *, fresh: bool = False) -> None:
    """Make a run folder, or refuse with the remedy; one to be emptied is checked first.

    Raises
    ------
    UsageError
        If it cannot be written, or `check_run_folder` refuses it.
    """
    try:
        if fresh:
            check_run_folder(folder)
        if (folder / PAGE_FILE).exists() and not (folder / RECIPE_FILE).exists():
            raise UsageError(
                f"{folder} holds another command's {PAGE_FILE}; choose another with --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{error.filename}: cannot be written ({error.strerror}); choose another with --out"
        ) from error


def claim(folder: Path, recipe: BaseModel, irrelevant: set[str]) -> None:
    """Mark the folder as this recipe's, or refuse with the differences.

    Parameters
    ----------
    folder
        The run folder.
    recipe
        What is about to run there.
    irrelevant
        Fields of the recipe that change no result, and so may differ.

    Raises
    ------
    UsageError
        If the folder belongs to another recipe, or to one that this version cannot read.
    """
    path = folder / RECIPE_FILE
    if not path.exists():
        resolved = recipe.model_dump(mode="json")
        write_text(path, yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True))
        return
    there = _read_recipe(folder, type(recipe)) or recipe
    found = differences(
        there.model_dump(mode="json", exclude=irrelevant),
        recipe.model_dump(mode="json", exclude=irrelevant),
    )
    if found:
        raise UsageError(
            f"{folder} was made by another recipe: {'; '.join(found)}. "
            "Choose another folder with --out, or start over with --fresh"
        )


def _read_recipe(folder: Path, kind: type[RecipeT]) -> RecipeT | None:
    """Read the recipe of a folder, None if it has none; refuse one of another kind of run."""
    path = folder / RECIPE_FILE
    try:
        # Read as a recipe, so that a field added since has its default there too.
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the model's, or bytes not UTF-8
        raise UsageError(
            f"{path}: of another command or version; choose another folder with --out, or delete "
            "this one by hand"
        ) from error


def note_start(folder: Path, made_by: dict[str, Any]) -> None:
    """Add a start to the folder's notes.

    Parameters
    ----------
    folder
        The run folder.
    made_by
        What `fgrpo.provenance.provenance` returns.

    Raises
    ------
    UsageError
        If the run was begun on another device, where the same work ends in other numbers.
    RunError
        If the notes are damaged.
    """
    path = folder / ENVIRONMENT_FILE
    try:
        starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    except ValueError as error:
        raise RunError(f"{path}: not JSON ({error}); delete it to go on") from error
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        raise RunError(f"{path}: not a list of the run's starts; delete it to go on")
    if starts and (begun_on := starts[0].get("device")) != made_by["device"]:
        raise UsageError(
            f"{folder} was begun on {begun_on}: go on with --device {begun_on}, "
            "or start over with --fresh"
        )
    write_text(path, json.dumps([*starts, made_by], indent=2) + "\n")


def check_run_folder(folder: Path) -> None:
    """Refuse to delete what no run made.

    Raises
    ------
    UsageError
        If there is something in the folder, but no recipe.
    """
    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names - {LOCK_FILE} and RECIPE_FILE not in names:
        raise UsageError(f"{folder} is not a run folder (it has no {RECIPE_FILE}); not deleted")


def clear(folder: Path) -> None:
    """Empty a run folder, except for the lock that is held; the recipe goes last.

    So a folder whose clearing was cut short is still a run folder.
    """
    for path in sorted(folder.iterdir(), key=lambda path: path.name == RECIPE_FILE):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def differences(there: Any, here: Any, field: str = "") -> list[str]:
    """List the fields that differ, as 'field is value there, value here', if that is short."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = [*there, *(key for key in here if key not in there)]
        pairs = [(str(key), there.get(key), here.get(key)) for key in keys]
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(there, here, strict=True))]
    else:
        told = f"{field} is {there!r} there, {here!r} here"
        if len(told) > _LONGEST_DIFFERENCE:
            told = f"{field} differs"
        return [] if there == here else [told]
    return [
        line
        for key, a, b in pairs
        for line in differences(a, b, f"{field}.{key}" if field else key)
    ]
