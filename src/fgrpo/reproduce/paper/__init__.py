"""The paper's numbers, as its tables have them; where they come from says ``SOURCE.md``."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Row = Mapping[str, Any]

NAMES = (
    "methods",
    "group_sizes",
    "controls",
    "maze",
    "gamma_sweep",
    "pass_at_k_curves",
    "rare_nll",
)
_WORDS = ("model", "base_method", "benchmark", "control")
_WHOLE = ("k", "group_size")


@cache
def paper_rows(name: str) -> tuple[Row, ...]:
    """Return the rows of one of the paper's tables, in the paper's order.

    Parameters
    ----------
    name
        One of `NAMES`.

    Returns
    -------
    tuple of dict
        Column name → text, whole number (``k``, ``group_size``) or number (``gamma``; ``pass_at_k``
        in percent; ``delta_nll_rare`` in nats per token).
    """
    if name not in NAMES:
        raise ValueError(f"name {name!r}: must be one of {', '.join(NAMES)}")
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(
        {column: _value(column, cell) for column, cell in row.items()}
        for row in csv.DictReader(text.splitlines())
    )


def _value(column: str, cell: str) -> str | int | float:
    if column in _WORDS:
        return cell
    return int(cell) if column in _WHOLE else float(cell)
