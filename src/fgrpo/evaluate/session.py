"""One evaluation from benchmarks to records, resumed where it stopped."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fgrpo.compare.macro import benchmark_of
from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmark import TableBenchmark
from fgrpo.evaluate.benchmarks import find
from fgrpo.evaluate.estimate import Cost
from fgrpo.evaluate.folder import (
    ABOUT,
    PROBLEMS,
    RECORDS,
    TEXTS,
    keep_problems,
    known_revision,
    note_run,
    read_about,
)
from fgrpo.evaluate.loading import LoadedBenchmark, load
from fgrpo.evaluate.prompts import PromptSettings, messages_for
from fgrpo.evaluate.runner import Tally, gaps, requests_for, run
from fgrpo.files import make_folder
from fgrpo.records import RecordStore, read_records
from fgrpo.verify.isolation import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fgrpo.evaluate.samplers.base import Sampler
    from fgrpo.verify import VerifierPool

# What of a sampler's description changes the samples, beyond the evaluation's identity.
_DRAWS = ("sampler", "dtype", "revision", "extra")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is asked of a model.

    Parameters
    ----------
    benchmarks
        Names, or paths of files (see `fgrpo.evaluate.benchmarks.find`), all different.
    samples
        Completions n of each problem.
    prompts
        How problems become messages.
    identity
        What makes completions comparable: model, adapter, settings of sampling and prompts, seed;
        ready for JSON. A folder begun with another identity is refused.
    seed
        From which every sample's own seed is derived.
    chunk
        Most samples of a problem in one request.
    data
        Local files to read a benchmark from instead of the hub, by name.
    limit
        Only the first problems of each benchmark.
    texts
        Whether the completions' texts are kept.
    """

    benchmarks: Sequence[str]
    samples: int
    prompts: PromptSettings
    identity: Mapping[str, Any]
    seed: int = 0
    chunk: int = 16
    data: Mapping[str, Path] = field(default_factory=dict)
    limit: int | None = None
    texts: bool = True

    def load(self, folder: Path | None) -> list[LoadedBenchmark]:
        """Load the benchmarks, in the revisions that the folder was begun with.

        Raises
        ------
        UsageError, RunError
            If one is unknown, its data cannot be had or are not as documented.
        """
        about = read_about(folder) if folder else {}
        return [
            load(
                asked,
                data=self.data.get(name),
                revision=known_revision(about, name),
                limit=self.limit,
            )
            for asked, name in zip(self.benchmarks, self.names(), strict=True)
        ]

    def names(self) -> list[str]:
        """Return the names of the benchmarks.

        Raises
        ------
        UsageError
            If one is unknown or asked for twice, or data are given for another.
        """
        names = [find(name).name for name in self.benchmarks]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"benchmark {twice!r} is asked for twice; name it once")
        if unused := sorted(self.data.keys() - set(names)):
            raise UsageError(
                f"data are given for {unused[0]!r}, which is not among the benchmarks "
                f"{', '.join(names)}"
            )
        return names


def evaluate(
    asked: Evaluation,
    folder: Path,
    make_sampler: Callable[[], Sampler],
    make_pool: Callable[[], VerifierPool],
    *,
    about_run: Mapping[str, Any],
    about_pool: Mapping[str, Any],
    announce: Callable[[int], None] = lambda missing: None,
    progress: Callable[[Tally], None] = lambda tally: None,
    warn: Callable[[str], None] = lambda text: None,
) -> Tally:
    """Sample, verify and record what the folder lacks.

    Parameters
    ----------
    asked
        Benchmarks, number of samples, prompts.
    folder
        The evaluation's folder (`fgrpo.evaluate.folder`), new or begun.
    make_sampler, make_pool
        Called once, and only if anything is missing.
    about_run
        What made the results, for ``evaluation.json``; see `fgrpo.provenance.provenance`.
    about_pool
        The pool's limits, for the same.
    announce
        Called with the number of missing samples before sampling starts.
    progress
        Called after every write with what was done so far.
    warn
        Called with each sentence the user should read.

    Returns
    -------
    Tally
        What was done.

    Raises
    ------
    UsageError
        If the folder holds another evaluation, or benchmark data are not as documented.
    RunError
        If the folder is in use, a disk is full, or the sampler gives up. What was written stays.
    """
    loaded = asked.load(folder)
    for one in loaded:
        for text in one.warnings:
            warn(text)
    problems = [problem for one in loaded for problem in one.problems]
    messages = {problem.id: messages_for(problem, asked.prompts) for problem in problems}
    make_folder(folder)
    with RecordStore.open(folder / RECORDS, meta=asked.identity) as store:
        about = read_about(folder)
        if not store.counts().problems:  # nothing was drawn yet: what was asked may still change
            (folder / PROBLEMS).unlink(missing_ok=True)
        keep_problems(folder, problems, messages)
        benchmarks = {one.benchmark.name: _describe(one) for one in loaded}
        found = gaps(store, problems, asked.samples, asked.chunk)
        missing = sum(count for _, _, count in found)
        announce(missing)
        if not missing:
            return Tally()
        started = time.monotonic()
        tally = Tally()
        sampler = make_sampler()
        note = {**about_run, "sampler": sampler.describe(), "samples": asked.samples}
        note["verification"] = dict(about_pool)
        _warn_of_change(about, note["sampler"], warn)
        try:
            note_run(folder, about, asked.identity, benchmarks, note)
            with make_pool() as pool:
                run(
                    store,
                    folder / TEXTS if asked.texts else None,
                    requests_for(found, problems, messages, asked.seed),
                    problems,
                    sampler,
                    pool,
                    tally=tally,
                    progress=progress,
                )
                layers = pool.layers()
                note["verification"]["layers"] = layers
        finally:
            sampler.close()
            note["done"] = {**asdict(tally), "seconds": round(time.monotonic() - started, 3)}
            note_run(folder, about, asked.identity, benchmarks, note)
    _warn_of_missing(layers, warn)
    return tally


def _warn_of_change(
    about: Mapping[str, Any], sampler: Mapping[str, Any], warn: Callable[[str], None]
) -> None:
    """Say what of the sampler is not as it was when samples were last drawn."""
    drawn = [run for run in about.get("runs", []) if run.get("done", {}).get("samples") != 0]
    before = drawn[-1].get("sampler", {}) if drawn else {}
    changed = [
        f"{name} {before[name]}, now {sampler[name]}"
        for name in _DRAWS
        if name in before and name in sampler and before[name] != sampler[name]
    ]
    if changed:
        warn(
            f"the samples in this folder were drawn in another way than those to come: "
            f"{'; '.join(changed)}; {ABOUT} tells which run did what"
        )


def _warn_of_missing(layers: Mapping[str, str], warn: Callable[[str], None]) -> None:
    missing = [f"{name} ({why})" for name, why in layers.items() if why != ACTIVE]
    if missing:
        warn(
            f"answers were verified without these layers of isolation: {'; '.join(missing)}; the "
            "others held"
        )


def costs(asked: Evaluation, folder: Path | None, max_tokens: int) -> list[Cost]:
    """Estimate what is missing, benchmark by benchmark; writes nothing.

    Nothing is fetched: benchmarks of the hub count with the number of problems they must have.
    Completions are expected to be as long as those of the same benchmark were; where records hold
    no tokens, as long as those of the runs before on average, by what their sampler counted.

    Parameters
    ----------
    asked
        Benchmarks and number of samples.
    folder
        The evaluation's folder; None or a folder that is not there yet holds nothing.
    max_tokens
        Length limit of a completion.
    """
    have: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    if folder and (folder / RECORDS).exists():
        for record in read_records(folder / RECORDS):
            name = benchmark_of(record.problem)
            have[name] += record.sample < asked.samples
            if record.tokens is not None:
                tokens[name] += record.tokens
                counted[name] += 1
    usual = _mean_tokens(read_about(folder)) if folder else None
    found = []
    for asked_for, name in zip(asked.benchmarks, asked.names(), strict=True):
        problems = _size(asked, folder, asked_for)
        missing = max(0, problems * asked.samples - have[name])
        mean = tokens[name] / counted[name] if counted[name] else usual
        found.append(Cost(name, problems, asked.samples, missing, max_tokens, mean))
    return found


def _mean_tokens(about: Mapping[str, Any]) -> float | None:
    """Return the mean length of the completions of all runs whose sampler counted tokens."""
    tokens = samples = 0
    for one in about.get("runs", []):
        done = one.get("done", {})
        if counted := done.get("usage", {}).get("completion_tokens"):
            tokens += counted
            samples += done["samples"]
    return tokens / samples if samples else None


def _size(asked: Evaluation, folder: Path | None, asked_for: str) -> int:
    """Return a benchmark's number of problems; loads it only if it is here, or its size unknown."""
    benchmark = find(asked_for)
    fetched = isinstance(benchmark, TableBenchmark) and benchmark.hub is not None
    if fetched and benchmark.name not in asked.data and benchmark.size is not None:
        return min(benchmark.size, asked.limit or benchmark.size)
    data = {name: path for name, path in asked.data.items() if name == benchmark.name}
    (one,) = replace(asked, benchmarks=[asked_for], data=data).load(folder)
    return len(one.problems)


def _describe(one: LoadedBenchmark) -> dict[str, Any]:
    return {
        "title": one.benchmark.title,
        "source": one.benchmark.source,
        "licence": one.benchmark.licence,
        "revision": one.revision,
        "digest": one.digest,
        "problems": len(one.problems),
        "skipped": dict(one.skipped),
    }
