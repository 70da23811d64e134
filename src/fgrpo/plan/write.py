"""The files of a plan, each complete or not at all; the same plan gives the same bytes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_bytes
from fgrpo.run_folder import PAGE_FILE, RECIPE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from fgrpo.plan.batches import BatchCheck
    from fgrpo.plan.planning import Plan

JSON_FILE, TABLES, FIGURES = "plan.json", "tables", "figures"
# Names that a plan may leave behind and the next one, of other success rates, not write again.
_OWN_FIGURE = re.compile(
    r"((tail_miss|groups|unsampled)(_\d+)?|drain(_mixture)?|compare_rates_\d+|worst_size|pilot)"
    r"\.(svg|png)"
)
_OWN_TABLE = re.compile(r"pilot\.csv")


def write_plan(
    plan: Plan, folder: Path, *, made_by: dict[str, Any], batch: BatchCheck | None = None
) -> Path:
    """Write ``report.html``, ``plan.json``, ``tables/*.csv``, ``figures/*.svg`` and ``.png``.

    Parameters
    ----------
    plan
        What to write.
    folder
        Made if missing. Files of an earlier plan are overwritten, those that this plan has not
        are removed; other files stay.
    made_by
        What made it (`fgrpo.provenance.provenance`); on the page and in ``plan.json``.
    batch
        The checked batch settings of a trainer, if there are any.

    Returns
    -------
    Path
        The page, ``report.html``, which holds all its pictures.

    Raises
    ------
    UsageError
        If the folder is that of a run.
    RunError
        If a file cannot be written.
    """
    if (folder / RECIPE_FILE).exists():
        raise UsageError(
            f"{folder} is the folder of a run, not of a plan; choose another with --out"
        )
    # Imported here: matplotlib takes its time, and importing this module should not.
    from fgrpo.plan.page import render_page
    from fgrpo.plan.pictures import plan_pictures
    from fgrpo.plan.tables import batch_summary, csv_tables, summary

    pictures = plan_pictures(plan)
    content = {
        **summary(plan),
        "batch": None if batch is None else batch_summary(batch),
        "made_by": made_by,
    }
    files = {f"{TABLES}/{name}": text for name, text in csv_tables(plan).items()}
    files[JSON_FILE] = json.dumps(content, indent=1, allow_nan=False) + "\n"
    files[PAGE_FILE] = render_page(plan, pictures, made_by, batch)
    # Labels may hold what UTF-8 cannot: half of a surrogate pair.
    contents = {name: text.encode("utf-8", "replace") for name, text in files.items()}
    for figure in (figure for several in pictures.values() for figure in several):
        contents |= figure.files(FIGURES)
    for part, own in ((TABLES, _OWN_TABLE), (FIGURES, _OWN_FIGURE)):
        make_folder(folder / part)
        for path in (folder / part).iterdir():
            if own.fullmatch(path.name) and f"{part}/{path.name}" not in contents:
                path.unlink()
    for name, data in contents.items():  # the page last: it is there when all is
        if name != PAGE_FILE:
            write_bytes(folder / name, data)
    write_bytes(folder / PAGE_FILE, contents[PAGE_FILE])
    return folder / PAGE_FILE
