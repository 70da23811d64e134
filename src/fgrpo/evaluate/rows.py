"""Rows of a table with their places, from a local file or from the hub."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from fgrpo.errors import RunError, UsageError, cause, to_install

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fgrpo.evaluate.benchmark import Hub

FORMATS = (".jsonl", ".json", ".csv", ".parquet")


def read_rows(path: Path, split: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the rows of a local file.

    Parameters
    ----------
    path
        JSON lines, a JSON array of objects, CSV with a header, Parquet, or a folder that
        ``Dataset.save_to_disk`` wrote.
    split
        Which split to take of a folder that has several.

    Yields
    ------
    (place, row)
        Where the row stands, for messages, and its values by column.

    Raises
    ------
    UsageError
        If the file is missing, is none of these, or cannot be read.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if path.is_dir():
        return _numbered(path, _saved_rows(path, split))
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"{path}: unknown format {path.suffix or '(no ending)'!r}; use one of "
            f"{', '.join(FORMATS)}, or a folder that datasets saved"
        )
    if suffix == ".parquet":
        return _numbered(path, _parquet_rows(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    if suffix == ".csv":
        return _numbered(path, _csv_rows(path, text))
    if text.lstrip().startswith("["):
        return _numbered(path, _json_rows(path, text))
    return _json_lines(path, text)


def hub_rows(
    hub: Hub, revision: str | None, option: str = "--data BENCHMARK=FILE"
) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Load the rows of a dataset of the hub.

    Parameters
    ----------
    hub
        Where it is.
    revision
        Commit to load; None takes the benchmark's own, or asks the hub for the current one.
    option
        How the user gives a file in its place.

    Returns
    -------
    rows, revision
        Rows with their places, and the commit they come from.

    Raises
    ------
    RunError
        If it cannot be reached or loaded: says what to do.
    UsageError
        If the ``datasets`` package is missing.
    """
    datasets = _datasets()
    commit = revision or hub.revision
    try:
        if commit is None:
            from huggingface_hub import HfApi

            commit = str(HfApi().dataset_info(hub.repo).sha)
        table = datasets.load_dataset(hub.repo, hub.config, split=hub.split, revision=commit)
        rows = table.to_list()
    except Exception as error:  # the hub's libraries raise of everything
        raise RunError(_unreachable(hub, error, option)) from error
    return list(_numbered(hub.repo, rows)), commit


def _unreachable(hub: Hub, error: Exception, option: str) -> str:
    part = f"split {hub.split}" + (f" of {hub.config}" if hub.config else "")
    terms = " (accept its terms there, then `hf auth login`)" if hub.gated else ""
    return (
        f"{hub.repo}: could not be loaded from the hub ({type(error).__name__}: {cause(error)}); "
        f"get its {part} from {hub.url}{terms} and pass it with {option}"
    )


def _numbered(
    source: Path | str, rows: Iterable[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        yield f"{source}: row {number}", row


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path}:{number}"
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{place}: not JSON ({error})") from None
            yield place, _object(place, row)


def _json_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON ({error})") from None
    for number, row in enumerate(rows, start=1):
        yield _object(f"{path}: row {number}", row)


def _object(place: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UsageError(
            f"{place}: expected an object of columns and values, found {type(row).__name__}"
        )
    return row


def _csv_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, row in enumerate(reader, start=1):
            if None in row:
                raise UsageError(f"{path}: row {number} has more cells than the header")
            yield {column: cell or None for column, cell in row.items()}  # empty: nothing there
    except csv.Error as error:
        raise UsageError(f"{path}: not CSV after line {reader.line_num} ({error})") from None


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    _datasets()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path}: not Parquet ({error})") from None
    return rows


def _saved_rows(path: Path, split: str | None) -> list[dict[str, Any]]:
    datasets = _datasets()
    try:
        table = datasets.load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: not a folder that datasets saved ({str(error).splitlines()[0]})"
        ) from None
    if isinstance(table, datasets.DatasetDict):
        if split not in table:
            raise UsageError(
                f"{path}: has the splits {', '.join(table)}, not {split!r}; "
                "save the one that is meant"
            )
        table = table[split]
    rows: list[dict[str, Any]] = table.to_list()
    return rows


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise UsageError(
            "benchmarks of the hub, Parquet files and saved datasets need the datasets package: "
            + to_install("evaluate")
        ) from None
    return datasets
