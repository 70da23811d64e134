"""The files of a sweep's report, each complete or not at all; the same sweep, the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fgrpo.files import make_folder, write_bytes
from fgrpo.run_folder import PAGE_FILE
from fgrpo.simulation.result import load_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from fgrpo.simulation.result import Sweep

SUMMARY_FILE, TABLES, FIGURES = "summary.json", "tables", "figures"


def write_sweep(folder: Path) -> Sweep:
    """Write the report of a finished sweep into its folder.

    Writes ``report.html`` (self-contained), ``summary.json``, ``tables/final.csv`` and
    ``tail_miss.csv``, and ``figures/*.svg`` and ``.png``. The same folder gives the same bytes.

    Parameters
    ----------
    folder
        The run folder of `fgrpo.simulation.sweep.run_sweep`.

    Returns
    -------
    Sweep
        What was read.

    Raises
    ------
    RunError
        If a piece of the sweep is missing or damaged, or a file cannot be written; names it.
    """
    # Imported here: matplotlib takes its time, and importing this module should not.
    from fgrpo.simulation.page import render_page
    from fgrpo.simulation.pictures import pictures
    from fgrpo.simulation.tables import csv_tables, summary

    sweep = load_sweep(folder)
    drawn = pictures(sweep)
    text = {f"{TABLES}/{name}": table for name, table in csv_tables(sweep).items()}
    text[SUMMARY_FILE] = (
        json.dumps(summary(sweep), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    text[PAGE_FILE] = render_page(sweep, drawn)
    files = {name: content.encode() for name, content in text.items()}
    for figure in drawn.all:
        files |= figure.files(FIGURES)
    for part in (TABLES, FIGURES):
        make_folder(folder / part)
    for name, content in files.items():
        write_bytes(folder / name, content)
    return sweep
