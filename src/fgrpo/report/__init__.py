"""The report of a finished run: a page with figures, tables and a verdict for each arm.

Needs no PyTorch, except to draw the mazes that were lost.

- ``data.py``: the run folder, read and checked
- ``statistics.py``: pass@k with intervals, comparisons, problems lost and gained
- ``verdict.py``: which differences may be called so, and the sentences
- ``style.py``, ``panels.py``, ``figures.py``, ``training_figures.py``, ``mazes.py``: the pictures
- ``tables.py``: CSV files and ``summary.json``
- ``sweep.py``, ``sweep_numbers.py``, ``sweep_figures.py``, ``sweep_tables.py``: where arms differ
  in group size
- ``settings_table.py``, ``page.py``, ``template.html``: the page
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.files import make_folder, write_bytes
from fgrpo.run_folder import PAGE_FILE

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["write_report"]

# Files that not every report has.
SOMETIMES = (
    "figures/lost_maze_*",
    "figures/group_size*",
    "tables/group_sizes.*",
    "tables/deepest_points.csv",
)


def write_report(folder: Path, arms: Collection[str] | None = None) -> list[str]:
    """Write the report of a finished run into its folder.

    Writes ``report.html`` (self-contained), ``summary.json``, ``tables/*.csv`` and
    ``figures/*.svg`` and ``.png``, each complete or not at all; if arms differ in group size also
    ``tables/group_sizes.md``. The same folder gives the same bytes again.

    Parameters
    ----------
    folder
        The run folder.
    arms
        Names of the arms to report on; default all.

    Returns
    -------
    list of str
        The verdict, one line for each arm.

    Raises
    ------
    RunError
        If a piece of the run is missing or incomplete, or a file cannot be written; names it.
    """
    # Imported here: matplotlib takes its time, and importing this package should not.
    from fgrpo.report.data import load_run
    from fgrpo.report.figures import result_figures
    from fgrpo.report.mazes import lost_mazes
    from fgrpo.report.page import render_page
    from fgrpo.report.statistics import compute
    from fgrpo.report.style import palette
    from fgrpo.report.sweep import find_sweep
    from fgrpo.report.sweep_figures import sweep_figures
    from fgrpo.report.sweep_numbers import compute_sweep
    from fgrpo.report.sweep_tables import sweep_files
    from fgrpo.report.tables import csv_tables, summary
    from fgrpo.report.training_figures import training_figures
    from fgrpo.report.verdict import verdicts

    data = load_run(folder, arms)
    numbers = compute(data)
    said = verdicts(data, numbers)
    sweep = find_sweep(data)
    found = compute_sweep(data, numbers, sweep) if sweep else None
    styles = palette(data, sweep)
    figures = sweep_figures(found, styles) if found else []
    figures += result_figures(data, numbers, styles, sweep)
    figures += training_figures(data, styles, sweep)
    lost = lost_mazes(data)
    tables = csv_tables(data, numbers) | (sweep_files(found) if found else {})
    files = {f"tables/{name}": text.encode() for name, text in tables.items()}
    for figure in (*figures, *lost.figures):
        files |= figure.files("figures")
    files["summary.json"] = summary(data, numbers, said, found).encode()
    page = render_page(data, numbers, said, styles, figures, lost, found)
    files[PAGE_FILE] = page.encode()
    for part in ("tables", "figures"):
        make_folder(folder / part)
    for name, content in files.items():
        write_bytes(folder / name, content)
    for pattern in SOMETIMES:  # of an earlier report
        for stale in folder.glob(pattern):
            if stale.relative_to(folder).as_posix() not in files:
                stale.unlink()
    return [verdict.line for verdict in said]
