"""Files of another tool in, one record file out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fgrpo.errors import UsageError
from fgrpo.evaluate.convert import inspect_ai, lighteval, lm_eval, verl
from fgrpo.evaluate.convert.answers import Answers, Choice, Rule, to_records
from fgrpo.files import replace_file
from fgrpo.records import RecordStore

if TYPE_CHECKING:
    from fgrpo.records import Counts
    from fgrpo.verify import VerifierPool
    from fgrpo.verify.verdict import Verdict

Reader: TypeAlias = Callable[[Path, Choice], Iterator[Answers]]
# Tells of each of some answers whether it is right.
Judge: TypeAlias = "Callable[[Sequence[Answers]], list[list[Verdict]]]"

# Each format's reader, and the files to look for in a folder.
FORMATS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "lm-eval": (lm_eval.read, ("samples_*.jsonl",)),
    "lighteval": (lighteval.read, ("details_*.parquet",)),
    "inspect-ai": (inspect_ai.read, ("*.eval", "*.json")),
    "verl": (verl.read, ("*.jsonl",)),
}
_BLOCK = 500  # problems' answers judged and written at a time


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written: counts per problem, and how many answers could not be judged."""

    counts: Counts
    unverifiable: int
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def import_files(
    kind: str,
    paths: Sequence[Path],
    out: Path,
    *,
    metric: str | None = None,
    filter: str | None = None,
    rule: Rule = Rule(),  # noqa: B008  (immutable)
    verifier: str | None = None,
    pool: VerifierPool | None = None,
    texts: bool = False,
) -> Imported:
    """Write the answers in another tool's files as records.

    The answers to a problem are numbered 0, 1, … in the order of the files, and within a file in
    its order: several files of one task are more samples of its problems.

    Parameters
    ----------
    kind
        A key of `FORMATS`.
    paths
        Files, or folders that are searched for them.
    out
        The record file; must not exist. Written under another name and renamed when complete.
    metric, filter
        Which of the tool's scores says what is right, and (lm-eval) under which filter.
    rule
        How a score says it.
    verifier, pool
        Name of a verifier that judges the texts anew, in place of the scores, and where it runs.
    texts
        Whether the records keep the texts.

    Raises
    ------
    UsageError
        Naming file and line, if a file is not of that format or does not tell what is right, or
        if the files hold answers of different models.
    """
    if out.exists():
        raise UsageError(f"{out}: exists; choose another name with --out, or delete it")
    files = _files(paths, FORMATS[kind][1])
    notes: list[str] = []
    choice = Choice(metric, filter, notes.append)
    shared: dict[Path, tuple[Path, str]] = {}
    answers = _of_one_origin(_all(kind, files, choice, shared))
    if rule.mean:  # which answers are right is not known, so neither is what else is theirs
        answers = (replace(one, details=()) for one in answers)
    if (first := next(answers, None)) is None:
        raise UsageError(f"{', '.join(map(str, files))}: no answers found")
    meta = {
        "imported_from": kind,
        "files": [{"name": path.name, "sha256": digest} for path, digest in files.items()],
        "origin": first.origin,
        "metric": None if verifier else metric or first.metric,
        "filter": filter,
        "threshold": rule.threshold,
        "mean": rule.mean,
        "verifier": verifier,
    }
    judge = _scores_judge(rule) if verifier is None else _pool_judge(pool, verifier)
    temporary = out.with_name(out.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        with RecordStore.open(temporary, meta) as store:
            unverifiable = _write(chain([first], answers), store, judge, texts=texts)
            counts = store.counts()
        replace_file(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    folders = sorted({str(path.parent) for path in files})
    if first.origin is None and len(folders) > 1:
        notes.append(
            f"The files do not name their model and lie in {len(folders)} folders, such as "
            f"{folders[0]} and {folders[1]}: all are taken as samples of one model."
        )
    elif shared:
        path, (before, problem) = next(iter(shared.items()))
        notes.append(
            f"{before} and {path} both hold answers to {problem!r}: those of all files are taken "
            "as samples of one evaluation. Import the logs of another run into a file of its own."
        )
    return Imported(counts, unverifiable, tuple(files), tuple(notes))


def _all(
    kind: str, paths: Iterable[Path], choice: Choice, shared: dict[Path, tuple[Path, str]]
) -> Iterator[Answers]:
    """Read all files; note in ``shared`` which repeats which other file, and by what problem."""
    first: dict[str, Path] = {}
    for path in paths:
        for one in _read(kind, path, choice):
            if (before := first.setdefault(one.problem, path)) != path:
                shared.setdefault(path, (before, one.problem))
            yield one


def _read(kind: str, path: Path, choice: Choice) -> Iterator[Answers]:
    """Read a file, refusing one whose fields are of other kinds than its format's."""
    reader, _ = FORMATS[kind]
    place = str(path)
    try:
        for one in reader(path, choice):
            yield one
            place = f"{path}, after {one.place}"
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError) as error:
        raise UsageError(
            f"{place}: not as {kind} writes it ({type(error).__name__}: {error})"
        ) from error


def _of_one_origin(answers: Iterable[Answers]) -> Iterator[Answers]:
    """Refuse to mix the answers of different models."""
    first: Answers | None = None
    for one in answers:
        first = first or one
        if one.origin != first.origin:
            raise UsageError(
                f"{one.place}: answers of {one.origin}, but of {first.origin} in {first.place}; "
                "import each into a file of its own"
            )
        yield one


def _write(answers: Iterator[Answers], store: RecordStore, judge: Judge, *, texts: bool) -> int:
    """Judge and write block by block; return how many answers could not be judged."""
    numbers: Counter[str] = Counter()
    unverifiable = 0
    while block := list(islice(answers, _BLOCK)):
        records = [
            record
            for one, verdicts in zip(block, judge(block), strict=True)
            for record in to_records(one, verdicts, numbers, texts=texts)
        ]
        store.extend(records)
        unverifiable += sum(r.timed_out or r.unverifiable is not None for r in records)
    return unverifiable


def _scores_judge(rule: Rule) -> Judge:
    """Judge by the tool's own scores."""
    return lambda block: [rule.judge(answers) for answers in block]


def _pool_judge(pool: VerifierPool | None, verifier: str) -> Judge:
    """Judge texts against the tool's own right answers."""
    if pool is None:
        raise ValueError("a verifier needs a pool to run in")

    def judge(block: Sequence[Answers]) -> list[list[Verdict]]:
        for answers in block:
            if None in answers.texts or answers.target is None:
                missing = "text" if None in answers.texts else "right answer"
                raise UsageError(f"{answers.place}: has no {missing}, which --verifier needs")
        texts = [text or "" for answers in block for text in answers.texts]
        references = [answers.target for answers in block for _ in answers.texts]
        verdicts = iter(pool.verify(verifier, texts, references))
        return [[next(verdicts) for _ in answers.texts] for answers in block]

    return judge


def _files(paths: Sequence[Path], patterns: tuple[str, ...]) -> dict[Path, str]:
    """List the files with their digests; refuse one given twice, or a copy of another."""
    found: dict[Path, str] = {}
    seen: dict[str, Path] = {}
    for path in paths:
        for file in _search(path, patterns):
            try:
                with file.open("rb") as handle:
                    digest = hashlib.file_digest(handle, "sha256").hexdigest()
            except OSError as error:
                raise UsageError(f"{file}: cannot be read ({error.strerror})") from error
            if digest in seen:
                raise UsageError(
                    f"{file}: the same as {seen[digest]}; its answers would count twice"
                )
            found[file] = digest
            seen[digest] = file
    return found


def _search(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for pattern in patterns for file in path.rglob(pattern))
    if not files:
        raise UsageError(f"{path}: holds no {' or '.join(patterns)}")
    return files
