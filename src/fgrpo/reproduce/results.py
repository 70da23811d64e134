"""What was made, kept on disk: a JSON file and pictures for each item and scale."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fgrpo.errors import RunError
from fgrpo.files import make_folder, write_bytes, write_text
from fgrpo.reproduce.item import Claim, Finding, Table
from fgrpo.reproduce.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fgrpo.reproduce.item import Item, Made

IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that lies beside the results: its files' name without ending, and its words."""

    name: str
    title: str
    caption: str
    alt: str


@dataclass(frozen=True, slots=True)
class Result:
    """An item as it was made; the other attributes are those of `fgrpo.reproduce.item.Made`.

    Attributes
    ----------
    command
        What makes it again.
    made_by
        Of `fgrpo.provenance.provenance`.
    """

    command: str
    made_by: Mapping[str, Any]
    scale: str
    ours: str
    paper: str
    claims: tuple[Claim, ...]
    tables: tuple[Table, ...]
    figures: tuple[Picture, ...]
    notes: tuple[str, ...]


def save_result(
    folder: Path, item: Item, scale: str, made: Made, made_by: Mapping[str, Any], command: str
) -> None:
    """Write an item's JSON file and pictures into ``folder``; the JSON file comes last."""
    make_folder(folder / IMAGES)
    stem = _stem(item, scale)
    pictures = []
    for figure in made.figures:
        name = figure.name.replace(item.name, stem)
        write_bytes(folder / IMAGES / f"{name}.svg", figure.svg)
        write_bytes(folder / IMAGES / f"{name}.png", figure.png)
        pictures.append(Picture(name, figure.title, figure.caption, figure.alt))
    result = Result(
        command,
        made_by,
        made.scale,
        made.ours,
        made.paper,
        made.claims,
        made.tables,
        tuple(pictures),
        made.notes,
    )
    text = json.dumps(asdict(result), indent=2, ensure_ascii=False)
    write_text(folder / f"{stem}.json", text + "\n")


def load_result(folder: Path, item: Item) -> Result | None:
    """Return an item at the largest scale that was made, None if it was not.

    Raises
    ------
    RunError
        If its file is damaged.
    """
    for scale in reversed(SCALES):
        path = folder / f"{_stem(item, scale)}.json"
        if path.exists():
            return _read(path)
    return None


def picture_bytes(folder: Path, picture: Picture, of: Result) -> bytes:
    """Return the PNG file of a picture.

    Raises
    ------
    RunError
        If it is not there.
    """
    path = folder / IMAGES / f"{picture.name}.png"
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read ({error.strerror}); make it again: {of.command}"
        ) from error


def _stem(item: Item, scale: str) -> str:
    return f"{item.name}-{scale}" if item.needs else item.name


def _read(path: Path) -> Result:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Result(
            **{
                **told,
                "claims": tuple(
                    Claim(one["text"], one["ours"], Finding(one["finding"]))
                    for one in told["claims"]
                ),
                "tables": tuple(
                    Table(one["title"], tuple(one["head"]), tuple(map(tuple, one["rows"])))
                    for one in told["tables"]
                ),
                "figures": tuple(Picture(**one) for one in told["figures"]),
                "notes": tuple(told["notes"]),
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: damaged, or of another version; delete it to go on") from error
