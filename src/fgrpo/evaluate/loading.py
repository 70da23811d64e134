"""Loading a benchmark's problems, checked, and with a digest that tells when they change."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.benchmark import (
    Benchmark,
    GeneratedBenchmark,
    Question,
    RowError,
    Skipped,
    TableBenchmark,
)
from fgrpo.evaluate.benchmarks import OwnBenchmark, find
from fgrpo.evaluate.problem import Problem
from fgrpo.evaluate.rows import hub_rows, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class LoadedBenchmark:
    """A benchmark with its problems.

    Parameters
    ----------
    benchmark
        What was loaded.
    problems
        In the source's order.
    revision
        Commit of the dataset, or version of the program that made the problems; None for a
        user's file.
    digest
        SHA-256 of all problems, before ``limit``: see `digest_of`.
    skipped
        Number of rows left out, by reason.
    warnings
        Sentences for the user.
    """

    benchmark: Benchmark
    problems: list[Problem]
    revision: str | None
    digest: str
    skipped: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def load(
    name: str,
    *,
    data: Path | None = None,
    revision: str | None = None,
    limit: int | None = None,
) -> LoadedBenchmark:
    """Load a benchmark.

    Parameters
    ----------
    name
        A registered name, ``reasoning-gym:TASK`` with settings, or the path of the user's own
        file (see `fgrpo.evaluate.benchmarks.find`).
    data
        A local file, or a folder saved by ``datasets``, to be read instead of the hub. It may
        hold a part of the problems; the result then carries a warning.
    revision
        What an evaluation was begun with: the commit to load from the hub. For generated
        problems it must be the version that is installed.
    limit
        Take only the first so many problems.

    Returns
    -------
    LoadedBenchmark

    Raises
    ------
    UsageError
        If the name is unknown, an argument does not fit it, or a row is not as documented.
    RunError
        If the hub cannot be reached, or holds another number of problems than expected.
    """
    benchmark = find(name)
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}: take at least 1 problem")
    skipped: Counter[str] = Counter()
    warnings: list[str] = []
    if isinstance(benchmark, TableBenchmark):
        rows, revision = _rows(benchmark, data, revision)
        problems = _problems(benchmark, rows, skipped)
        warnings += _check_size(benchmark, problems, skipped, is_part=data is not None)
    elif isinstance(benchmark, GeneratedBenchmark):
        if data is not None:
            raise UsageError(f"{name}: its problems are generated; leave out --data")
        revision = _version(benchmark, revision)
        problems = benchmark.generate()
    else:
        raise TypeError(f"{name}: unknown kind of benchmark {type(benchmark).__name__}")
    _check_ids(problems)
    if skipped:
        left = sum(skipped.values())
        reasons = ", ".join(f"{reason} ({count})" for reason, count in sorted(skipped.items()))
        warnings.append(
            f"{benchmark.name}: {left} of {left + len(problems)} rows are left out: {reasons}"
        )
    return LoadedBenchmark(
        benchmark=benchmark,
        problems=problems[:limit],
        revision=revision,
        digest=digest_of(problems),
        skipped=dict(skipped),
        warnings=tuple(warnings),
    )


def digest_of(problems: Sequence[Problem]) -> str:
    """Return the SHA-256 of problems as canonical JSON; their order does not matter.

    Raises
    ------
    UsageError
        If a reference is not fit for JSON.
    """
    digest = hashlib.sha256()
    for problem in sorted(problems, key=lambda problem: problem.id):
        content = [problem.id, problem.prompt, problem.verifier, problem.reference]
        try:
            text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise UsageError(f"{problem.id}: its reference is not fit for JSON ({error})") from None
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _rows(
    benchmark: TableBenchmark, data: Path | None, revision: str | None
) -> tuple[Iterable[tuple[str, dict[str, Any]]], str | None]:
    if isinstance(benchmark, OwnBenchmark):
        if data is not None:
            raise UsageError(f"{benchmark.path}: is itself the file to read; leave out --data")
        return read_rows(benchmark.path), None
    if data is not None:
        return read_rows(data, benchmark.hub.split if benchmark.hub else None), None
    assert benchmark.hub is not None
    return hub_rows(benchmark.hub, revision, f"--data {benchmark.name}=FILE")


def _problems(
    benchmark: TableBenchmark,
    rows: Iterable[tuple[str, dict[str, Any]]],
    skipped: Counter[str],
) -> list[Problem]:
    problems = []
    for number, (place, row) in enumerate(rows, start=1):
        _check_columns(benchmark, place, row)
        try:
            question = benchmark.question(row)
            if isinstance(question, Skipped):
                skipped[question.reason] += 1
            else:
                problems.append(_problem(benchmark, question, number))
        except RowError as error:
            raise UsageError(f"{place}: {error}") from None
    return problems


def _problem(benchmark: Benchmark, question: Question, number: int) -> Problem:
    name = f"{benchmark.name}/{number if question.name is None else question.name}"
    try:
        f"{name}{question.prompt}".encode()
    except UnicodeEncodeError as error:
        raise RowError(f"holds a character that is half of one ({error.reason})") from None
    return Problem(
        id=name,
        prompt=question.prompt,
        verifier=question.verifier or benchmark.verifier,
        reference=question.reference,
    )


def _check_columns(benchmark: TableBenchmark, place: str, row: Mapping[str, Any]) -> None:
    for column, types in benchmark.columns.items():
        if column not in row:
            raise UsageError(
                f"{place}: expected the columns {', '.join(benchmark.columns)}, found "
                f"{', '.join(row) or 'none'}; {column} is missing"
            )
        value = row[column]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = " or ".join(kind.__name__ for kind in types)
            raise UsageError(
                f"{place}: expected {column} to be {wanted}, found "
                f"{'nothing' if value is None else f'{type(value).__name__} {value!r:.60}'}"
            )


def _check_size(
    benchmark: TableBenchmark, problems: list[Problem], skipped: Mapping[str, int], *, is_part: bool
) -> list[str]:
    """Compare the number of problems with the expected one; return warnings."""
    if not problems:
        left_out = f" ({sum(skipped.values())} rows are left out)" if skipped else ""
        raise UsageError(f"{benchmark.name}: no problems found{left_out}")
    if benchmark.size is None or len(problems) == benchmark.size:
        return []
    text = f"{benchmark.name}: {len(problems)} problems, where the benchmark has {benchmark.size}"
    if is_part:
        return [f"{text}; results are not comparable with those of the whole"]
    raise RunError(f"{text}: the dataset has changed; pass the file that is meant with --data")


def _check_ids(problems: list[Problem]) -> None:
    twice = [name for name, count in Counter(p.id for p in problems).items() if count > 1]
    if twice:
        raise UsageError(f"{twice[0]}: {len(twice)} ids occur more than once; make them unique")


def _version(benchmark: GeneratedBenchmark, revision: str | None) -> str:
    version = benchmark.version()
    if revision is not None and revision != version:
        raise UsageError(
            f"{benchmark.name}: was begun with {revision}, but {version} is installed, whose "
            "problems may differ; install that version, or begin a new folder"
        )
    return version
