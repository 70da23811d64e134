"""``fgrpo import``: other tools' results as records."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fgrpo.evaluate.convert import Imported
    from fgrpo.verify import VerifierPool


def import_records(
    kind: Annotated[
        str, typer.Argument(metavar="FORMAT", help="lm-eval, lighteval, inspect-ai or verl.")
    ],
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="The tool's files, or folders that hold them."),
    ],
    out: Annotated[Path, typer.Option(help="The record file to write.")],
    metric: Annotated[
        str | None, typer.Option(help="The score that says what is right, if there are several.")
    ] = None,
    filter_name: Annotated[
        str | None, typer.Option("--filter", help="lm-eval's answer filter, if there are several.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="From this score on an answer is right; default: 1 is.")
    ] = None,
    mean: Annotated[
        bool,
        typer.Option(
            "--mean",
            help="Take one score of several answers as the share of right ones; the records then "
            "tell how many are right, not which.",
        ),
    ] = False,
    verifier: Annotated[
        str | None,
        typer.Option(help="Judge the texts again with this verifier, say maths or exact."),
    ] = None,
    texts: Annotated[bool, typer.Option("--texts", help="Keep the texts in the records.")] = False,
) -> None:
    """Write other tools' results as records, for fgrpo compare.

    Several files of one task are more samples of its problems.

    fgrpo import lm-eval out/samples_aime24_*.jsonl --metric exact_match --out base.jsonl

    fgrpo import inspect-ai logs/ --out base.jsonl --texts
    """
    from fgrpo.evaluate.convert import FORMATS, Rule, import_files

    if kind not in FORMATS:
        raise UsageError(f"format {kind!r}: must be one of {', '.join(FORMATS)}")
    _check_together(metric, threshold, verifier, mean=mean, texts=texts)
    with stoppable("The same command begins again."), _pool(verifier) as pool:
        done = import_files(
            kind,
            paths,
            out,
            metric=metric,
            filter=filter_name,
            rule=Rule(threshold=threshold, mean=mean),
            verifier=verifier,
            pool=pool,
            texts=texts,
        )
    _tell(done, out)


def _check_together(
    metric: str | None, threshold: float | None, verifier: str | None, *, mean: bool, texts: bool
) -> None:
    """Refuse options that exclude each other."""
    if mean and texts:
        raise UsageError(
            "--mean does not tell which answers are right, so their texts cannot be kept: leave "
            "out --texts, or judge the texts with --verifier"
        )
    if verifier and (mean or metric or threshold is not None):
        raise UsageError("--verifier judges anew: leave out --metric, --mean and --threshold")
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"--threshold {threshold}: must be a finite number")
    if mean and threshold is not None:
        raise UsageError("--mean and --threshold exclude each other")


def _pool(verifier: str | None) -> AbstractContextManager[VerifierPool | None]:
    if verifier is None:
        return nullcontext()
    from fgrpo.verify import VerifierPool

    return VerifierPool()


def _tell(done: Imported, out: Path) -> None:
    """Say what was written, and what about it to know."""
    counts = done.counts
    n, c = int(counts.n.sum()), int(counts.c.sum())
    samples = "–".join(str(one) for one in sorted({int(counts.n.min()), int(counts.n.max())}))
    files = f"{len(done.files)} file{'s' * (len(done.files) != 1)}"
    print(
        f"{out}: {len(counts.problems)} problems, n = {samples}, {c} of {n} answers right "
        f"({100 * c / n:.1f}%), from {files}"
    )
    if done.unverifiable:
        print(f"{done.unverifiable} answers could not be judged and count as not right")
    for note in done.notes:
        print(note)
