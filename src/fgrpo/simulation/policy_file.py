"""A policy as a CSV file: the columns logit, correct and, if several are alike, count."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgrpo.errors import UsageError
from fgrpo.simulation.policy import MOST_ACTIONS, Policy

if TYPE_CHECKING:
    from fgrpo.simulation.settings import PolicySettings

_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def make_policy(settings: PolicySettings) -> Policy:
    """Make the policy that the settings describe, or read it from the file that they name.

    Raises
    ------
    UsageError
        If the file cannot be read or a line is wrong; names file, line and value.
    """
    if (path := settings.logits) is not None:
        if not path.is_absolute() and not path.exists():
            raise UsageError(
                f"{path}: cannot be read: no such file in {Path.cwd()}, from where a relative path "
                "is taken"
            )
        return read_policy(path)
    return Policy.anchored(
        settings.actions,
        settings.correct,
        anchor=settings.anchor_logit,
        others=settings.correct_logit,
        wrong=settings.wrong_logit,
    )


def read_policy(path: Path) -> Policy:
    """Read a policy from a CSV file.

    Parameters
    ----------
    path
        The file. Its first line names the columns ``logit``, ``correct`` (0 or 1) and, if wanted,
        ``count`` (actions alike, default 1).

    Raises
    ------
    UsageError
        If the file cannot be read or a line is wrong; names file, line and value.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = sorted(reader.fieldnames or ())
            if names not in (["correct", "logit"], ["correct", "count", "logit"]):
                raise UsageError(
                    f"{path}:1: the columns must be logit, correct and, if wanted, count; found "
                    f"{', '.join(reader.fieldnames or ['none'])}"
                )
            rows = [_row(line, f"{path}:{reader.line_num}") for line in reader]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file ({error})") from error
    # Equal actions form one class, wherever their lines stand.
    counts: dict[tuple[float, bool], int] = {}
    for logit, correct, count in rows:
        counts[logit, correct] = counts.get((logit, correct), 0) + count
    try:
        return Policy(
            np.array([logit for logit, _ in counts]),
            np.array([correct for _, correct in counts], dtype=bool),
            np.array(list(counts.values()), dtype=np.int64),
        )
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def write_policy(policy: Policy) -> str:
    """Return the text of a file from which `read_policy` reads the policy."""
    lines = ["logit,correct,count"]
    for logit, correct, size in zip(policy.logits, policy.correct, policy.sizes, strict=True):
        lines.append(f"{float(logit)!r},{int(correct)},{size}")
    return "\n".join(lines) + "\n"


def _row(line: dict[str, str | None], place: str) -> tuple[float, bool, int]:
    logit, correct, count = line.get("logit"), line.get("correct"), line.get("count", "1")
    if None in line or None in (logit, correct, count):
        raise UsageError(f"{place}: has another number of values than there are columns")
    try:
        number = float(logit or "")
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise UsageError(f"{place}: logit {logit!r} is not a finite number")
    truth = _TRUTH.get((correct or "").strip().lower())
    if truth is None:
        raise UsageError(f"{place}: correct {correct!r} must be 0 or 1")
    size = (count or "").strip()
    # The length first: int refuses a number of thousands of digits.
    if not size.isdecimal() or len(size) > 20 or not 1 <= int(size) <= MOST_ACTIONS:
        raise UsageError(
            f"{place}: count {count!r} must be a whole number from 1 to {MOST_ACTIONS:,}"
        )
    return number, truth, int(size)
