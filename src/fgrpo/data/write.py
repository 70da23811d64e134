"""The folder that a data set is written to: tables for verl and TRL, and ``summary.json``."""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_bytes, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fgrpo.data.clean import Problem

SUMMARY = "summary.json"
SCHEMA_VERSION = 1
_NAME = "fgrpo_data"


def put(problem: Problem, system: str | None) -> list[dict[str, str]]:
    """Put a problem as messages."""
    user = {"role": "user", "content": problem.text}
    return [user] if system is None else [{"role": "system", "content": system}, user]


def tables(
    parts: Mapping[str, Sequence[Problem]], source: str, system: str | None
) -> dict[str, bytes]:
    """Make the tables of both trainers, as Parquet files.

    verl's have the columns ``data_source``, ``prompt``, ``ability``, ``reward_model`` (``style``
    and ``ground_truth``) and ``extra_info`` (``split``, and as ``index`` the row of the source,
    from 0); TRL's ``prompt`` and ``answer``. The same problems give the same bytes with the same
    version of pyarrow.

    Parameters
    ----------
    parts
        Problems by the name of their split; a split without any has no table.
    source
        Goes to ``data_source``.
    system
        System prompt, if any.

    Returns
    -------
    dict
        Contents by name, as ``verl/train.parquet``.
    """
    import pyarrow as pa

    text = pa.string()
    messages = pa.list_(pa.struct([("role", text), ("content", text)]))
    verl = pa.schema(
        [
            ("data_source", text),
            ("prompt", messages),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct([("split", text), ("index", pa.int64())])),
        ]
    )
    trl = pa.schema([("prompt", messages), ("answer", text)])
    found = {}
    for split, problems in parts.items():
        if not problems:
            continue
        prompts = [put(problem, system) for problem in problems]
        found[f"verl/{split}.parquet"] = _parquet(
            verl,
            (
                {
                    "data_source": source,
                    "prompt": prompt,
                    "ability": "math",
                    "reward_model": {"style": "rule", "ground_truth": problem.answer},
                    "extra_info": {"split": split, "index": problem.index},
                }
                for problem, prompt in zip(problems, prompts, strict=True)
            ),
        )
        found[f"trl/{split}.parquet"] = _parquet(
            trl,
            (
                {"prompt": prompt, "answer": problem.answer}
                for problem, prompt in zip(problems, prompts, strict=True)
            ),
        )
    return found


def _parquet(schema: Any, rows: Iterable[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer)
    return buffer.getvalue()


def check_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder that holds something else, or data made with other settings.

    Raises
    ------
    UsageError
        Which says what stands in the way.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: a file; choose a folder with --out")
    if not any(folder.iterdir()):
        return
    before = _read(folder).get("settings")
    if not isinstance(before, dict):
        raise UsageError(
            f"{folder}: not empty, and not made by this command; choose another folder with --out"
        )
    for key, now in settings.items():
        if before.get(key) != now:
            raise UsageError(
                f"{folder}: holds data made with {key} = {before.get(key)!r:.80}, now it is "
                f"{now!r:.80}; choose another folder with --out, or delete this one"
            )


def write_folder(folder: Path, files: Mapping[str, bytes], summary: Mapping[str, Any]) -> bool:
    """Write the files, and last of all ``summary.json``.

    A folder that `check_folder` let pass is written to again only if it is not complete.

    Parameters
    ----------
    folder
        Made if missing.
    files
        Contents by name.
    summary
        With ``settings``, ``source``, ``tokenizer`` and ``counts``; gets the files' SHA-256, and
        ``complete`` once all are there.

    Returns
    -------
    bool
        Whether anything was written: False if all is there already.

    Raises
    ------
    UsageError
        If the folder is complete and this is something else: source, tokenizer or the packages
        that write the tables are not the same any more.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    content = {_NAME: SCHEMA_VERSION, "complete": False, **summary, "files": digests}
    before = _read(folder)
    if before.get("complete"):
        for key in ("source", "tokenizer", "counts", "files"):
            if before.get(key) != content.get(key):
                raise UsageError(
                    f"{folder}: holds data of the same settings with other {key}: something has "
                    "changed since; choose another folder with --out, or delete this one"
                )
        if all(_digest(folder / name) == digest for name, digest in digests.items()):
            return False
    make_folder(folder)
    # First, so that a run that was killed on the way can be made again.
    write_text(folder / SUMMARY, _json(content))
    for name, data in files.items():
        path = folder / name
        make_folder(path.parent)
        write_bytes(path, data)
    write_text(folder / SUMMARY, _json(content | {"complete": True}))
    return True


def _read(folder: Path) -> dict[str, Any]:
    """Read the summary in a folder; empty if there is none of ours."""
    path = folder / SUMMARY
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError:
        return {}
    ours = isinstance(found, dict) and found.get(_NAME) == SCHEMA_VERSION
    return dict(found) if ours else {}


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
