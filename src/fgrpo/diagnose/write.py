"""The files of a diagnosis, each complete or not at all; the same input gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fgrpo.diagnose.result import Diagnosis
    from fgrpo.diagnose.sentences import Verdict

JSON_FILE, PAGE_FILE, FIGURES = "comparison.json", "report.html", "figures"


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds other things than an earlier comparison."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder}: not a folder")
    if not folder.is_dir() or (folder / JSON_FILE).exists():
        return
    if {path.name for path in folder.iterdir()} - {FIGURES, f"{JSON_FILE}.tmp"}:  # cut short
        raise UsageError(
            f"--out {folder}: holds other files and no earlier comparison; choose a new folder"
        )


def write_comparison(found: Diagnosis, said: Sequence[Verdict], folder: Path) -> list[str]:
    """Write ``comparison.md`` and ``.json``, CSV tables, figures and the page ``report.html``.

    Parameters
    ----------
    found, said
        The diagnosis and its verdicts.
    folder
        Made if missing; figures of an earlier comparison are removed.

    Returns
    -------
    list of str
        The files, relative to the folder.

    Raises
    ------
    UsageError
        If the folder holds other things.
    RunError
        If a file cannot be written.
    """
    # Imported here: matplotlib takes its time, and a comparison on the terminal does without.
    from fgrpo.diagnose.export import comparison_json
    from fgrpo.diagnose.figures import overview_figures, scope_figures
    from fgrpo.diagnose.markdown import markdown
    from fgrpo.diagnose.page import render_page
    from fgrpo.diagnose.tables import csv_tables

    check_folder(folder)
    overview = overview_figures(found)
    figures = {scope: scope_figures(found, scope) for scope in found.scopes}
    files = {JSON_FILE: comparison_json(found, said), "comparison.md": markdown(found, said)}
    files |= csv_tables(found)
    files[PAGE_FILE] = render_page(found, said, overview, figures)
    contents = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    for figure in (*overview, *(one for several in figures.values() for one in several)):
        contents |= figure.files(FIGURES)
    make_folder(folder / FIGURES)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    for stale in (folder / FIGURES).iterdir():
        if f"{FIGURES}/{stale.name}" not in contents and stale.suffix in (".svg", ".png"):
            stale.unlink()
    return list(contents)
