"""The arms of a diagnosis: which files they are, what they are called."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.errors import UsageError
from fgrpo.evaluate.folder import RECORDS
from fgrpo.records import Run, read_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One model, or one way of training: its label and its runs, one for each training seed."""

    label: str
    runs: tuple[Run, ...]

    def only(self, problems: Sequence[str]) -> Arm:
        """Return the part about these problems, in this order."""
        return Arm(self.label, tuple(run.only(problems) for run in self.runs))


def records_file(path: Path) -> Path:
    """Return the record file that was meant: the path itself, or that of an evaluation folder."""
    if not path.is_dir():
        return path
    if not (path / RECORDS).is_file():
        raise UsageError(
            f"{path}: a folder without {RECORDS}; give a record file or a folder that "
            "fgrpo evaluate made"
        )
    return path / RECORDS


def labels(paths: Sequence[Path]) -> list[str]:
    """Name arms after their files or folders, with as many folders above as tell them apart.

    ``a/records.jsonl`` and the folder ``a`` are both called a; ``x/base.jsonl`` base, or x/base
    beside ``y/base.jsonl``. Where nothing printable tells them apart, numbers do.
    """
    parts = [_parts(path) for path in paths]
    for depth in range(1, 1 + max(map(len, parts))):
        found = ["/".join(one[-depth:]) for one in parts]
        if len(set(found)) == len(found):
            return found
    found = [printable(str(path)) for path in paths]
    if len(set(found)) == len(found):
        return found
    return [f"{number}: {text}" for number, text in enumerate(found, start=1)]


def _parts(path: Path) -> list[str]:
    path = path.absolute()
    if path.name == RECORDS:
        path = path.parent
    elif path.suffix == ".jsonl":
        path = path.with_suffix("")
    return [printable(part) for part in path.parts[1:]] or ["root"]


def printable(text: str) -> str:
    """Replace what is not Unicode, as in file names of another encoding, and control characters."""
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded)


def read_arms(paths: Sequence[Sequence[Path]], names: Sequence[str] = ()) -> list[Arm]:
    """Read the arms.

    Parameters
    ----------
    paths
        For each arm the record files or evaluation folders of its runs.
    names
        What to call the arms; none at all for names made of the paths.

    Raises
    ------
    UsageError
        If a file cannot be read or is malformed, or names are missing, empty or repeated.
    """
    files = [[records_file(path) for path in runs] for runs in paths]
    chosen = list(map(printable, names))
    if names:
        _check_names(chosen, len(files))
    else:
        chosen = labels([runs[0] for runs in files])
    return [
        Arm(label, tuple(map(read_run, runs))) for label, runs in zip(chosen, files, strict=True)
    ]


def check_distinct(arms: Sequence[Arm]) -> None:
    """Refuse a record file that is given twice, under the same path or another."""
    seen: dict[tuple[int, int], Path] = {}
    for path in (run.path for arm in arms for run in arm.runs):
        found = path.stat()
        file = found.st_dev, found.st_ino
        if file in seen:
            same = "" if seen[file] == path else f" (it is the same file as {seen[file]})"
            raise UsageError(f"{path} is given twice{same}; each run counts once")
        seen[file] = path


def _check_names(names: Sequence[str], arms: int) -> None:
    if len(names) != arms:
        raise UsageError(f"{len(names)} names for {arms} arms; give --name once for each, in order")
    if not all(name.strip() for name in names):
        raise UsageError("--name must not be empty")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise UsageError(f"--name {name!r} is given {times} times; arms need different names")
