"""Tables as CSV and as Markdown, and values as JSON has them."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


def csv_text(header: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Write a table as CSV, floats in full, NaN left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        cells = (float(cell) if isinstance(cell, float) else cell for cell in row)
        writer.writerow(
            "" if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells
        )
    return text.getvalue()


def csv_of_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows that all have the same names, in the same order, as CSV; at least one."""
    return csv_text(list(rows[0]), (row.values() for row in rows))


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()
) -> str:
    """Write a table as Markdown, the columns at the places ``numbers`` to the right.

    Cells stand as they are: what means something to Markdown is the caller's to escape.
    """
    marks = ["---:" if place in numbers else "---" for place in range(len(head))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *rows))


def plain(value: Any) -> Any:
    """Turn arrays, tuples and NumPy's numbers into what JSON has; what is not finite into None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
