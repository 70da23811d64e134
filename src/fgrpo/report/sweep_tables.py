"""The tables of a sweep over group sizes: as rows of text, Markdown, CSV and for the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fgrpo.presentation.numbers import in_points, percent_cell
from fgrpo.presentation.tables import csv_text, markdown_table
from fgrpo.report.data import BASE
from fgrpo.report.verdict import HIGHER, LOWER, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fgrpo.compare.levels import Level
    from fgrpo.report.statistics import Contrast
    from fgrpo.report.sweep_numbers import Deepest, Point, SweepNumbers

NOTHING = "–"


class Cell(NamedTuple):
    """A value as text, its interval (empty if there is none), whether it is a difference."""

    value: str
    interval: str = ""
    marked: bool = False


class Table(NamedTuple):
    """Column names, and rows of as many cells; the first ``words`` columns are not numbers."""

    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int


def size_table(found: SweepNumbers) -> Table:
    """Pass@1 and pass@n of every group size and way of training, with the differences."""
    columns = ((f"pass@{k}, %", "against γ = 0, points") for k in found.ks)
    base = (cell for level in found.base for cell in (_level(level), Cell(NOTHING)))
    return Table(
        ("N", "trained with", *(name for pair in columns for name in pair)),
        ((Cell(NOTHING), Cell("base model"), *base), *map(_size_row, found.points)),
        words=2,
    )


def _size_row(point: Point) -> tuple[Cell, ...]:
    changes = [_change(one) for one in point.contrasts] or [Cell(NOTHING)] * len(point.levels)
    pairs = zip(map(_level, point.levels), changes, strict=True)
    cells = (cell for pair in pairs for cell in pair)
    return (Cell(str(point.size)), Cell(point.line.label), *cells)


def _level(level: Level) -> Cell:
    shown = [percent_cell(share) for share in level[1:] if share == share]
    return Cell(shown[0], "–".join(shown[1:]))


def _change(contrast: Contrast) -> Cell:
    low, high = contrast.deciding.interval
    return Cell(
        in_points(contrast.deciding.estimate),
        f"{in_points(low)} to {in_points(high)}" if low == low else "",
        judge(contrast) in (HIGHER, LOWER),
    )


def deepest_table(found: SweepNumbers) -> Table | None:
    """Lowest pass@n of every arm during training, and that at the end; None if none is known."""
    if not found.deepest:
        return None
    seeds = len(found.deepest[0].steps)
    own = ("mean of each seed's lowest, %", "at steps") if seeds > 1 else ()
    lowest = "lowest mean over seeds, %" if seeds > 1 else "lowest, %"
    return Table(
        ("arm", *own, lowest, "at step", "at the end, %"),
        tuple(_deepest_row(one) for one in found.deepest),
        words=1,
    )


def _deepest_row(one: Deepest) -> tuple[Cell, ...]:
    shown = [percent_cell(float(np.mean(one.lowest))), ", ".join(map(str, one.steps))]
    mean = (
        percent_cell(one.mean_lowest),
        str(one.mean_step),
        percent_cell(float(np.mean(one.final))),
    )
    own = shown if len(one.steps) > 1 else []
    return tuple(map(Cell, (one.arm.label, *own, *mean)))


def markdown_tables(found: SweepNumbers) -> str:
    """Write both tables as Markdown; differences called so are bold."""
    tables = [size_table(found), deepest_table(found)]
    return "\n".join(_markdown(table) for table in tables if table)


def _markdown(table: Table) -> str:
    rows = ([_text(cell) for cell in row] for row in table.rows)
    return markdown_table(table.head, rows, range(table.words, len(table.head)))


def _text(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.marked else cell.value
    return f"{value} ({cell.interval})" if cell.interval else value


def sweep_files(found: SweepNumbers) -> dict[str, str]:
    """Map file names to the contents of the tables; shares are in [0, 1], NaN is left empty."""
    files = {
        "group_sizes.csv": csv_text(_SIZE_FIELDS, _size_rows(found)),
        "group_sizes.md": markdown_tables(found),
    }
    if found.deepest:
        files["deepest_points.csv"] = csv_text(_DEEPEST_FIELDS, _deepest_rows(found.deepest))
    return files


_SIZE_FIELDS = (
    *("group_size", "method", "gamma", "arm", "k", "pass_at_k", "low", "high"),
    *("reference", "difference", "difference_low", "difference_high", "p", "judgement"),
)


def _size_rows(found: SweepNumbers) -> Iterable[Sequence[Any]]:
    for level in found.base:
        yield "", "", "", BASE, *level, *[""] * 6
    for point in found.points:
        settings = point.arm.settings
        place = (point.size, settings.method, settings.gamma, point.arm.name)
        for number, level in enumerate(point.levels):
            contrast = point.contrasts[number] if point.contrasts else None
            yield *place, *level, *_contrast_fields(contrast)


def _contrast_fields(contrast: Contrast | None) -> Sequence[Any]:
    if contrast is None:
        return [""] * 6
    one = contrast.deciding
    return contrast.a, one.estimate, *one.interval, one.p_value, judge(contrast)


_DEEPEST_FIELDS = ("arm", "group_size", "gamma", "of", "seed", "lowest", "step", "final")


def _deepest_rows(deepest: Iterable[Deepest]) -> Iterable[Sequence[Any]]:
    """Yield each seed's, the mean of these, and those of the mean over seeds."""
    for one in deepest:
        settings = one.arm.settings
        place = (one.arm.name, settings.group_size, settings.gamma)
        final = np.mean(one.final)
        for run, *values in zip(one.arm.runs, one.lowest, one.steps, one.final, strict=True):
            yield *place, "seed", run.seed, *values
        yield *place, "mean of seeds", "", np.mean(one.lowest), "", final
        yield *place, "mean curve", "", one.mean_lowest, one.mean_step, final


def sweep_entries(found: SweepNumbers) -> dict[str, Any]:
    """Return what the summary says of the sweep."""
    return {
        "group_sizes": [dict(zip(_SIZE_FIELDS, row, strict=True)) for row in _size_rows(found)],
        "deepest_points": [
            dict(zip(_DEEPEST_FIELDS, row, strict=True)) for row in _deepest_rows(found.deepest)
        ],
    }
