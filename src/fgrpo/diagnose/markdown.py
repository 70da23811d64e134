"""The diagnosis as Markdown that GitHub shows as tables."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from fgrpo.diagnose.cells import adjusted, changed_cells, quality_cells, rows
from fgrpo.diagnose.curves import crossing_words
from fgrpo.diagnose.sentences import changed_words, method_notes
from fgrpo.presentation.tables import markdown_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fgrpo.diagnose.changed import ChangedProblem
    from fgrpo.diagnose.result import Diagnosis, Scope
    from fgrpo.diagnose.sentences import Verdict

_LISTED = 20  # problems lost or gained listed here; all of them are in the CSV table
# What means something to GitHub: at any place, or (_ : @ #) only where it can begin something.
_SPECIAL = re.compile(r"([\\`*\[\]|~$]|(?<!\w)[_@]|_(?!\w)|[:#](?=[\w/]))")

_TAG = re.compile(r"<(?=[A-Za-z/!?])|&(?=[#A-Za-z])")


def plain(text: str) -> str:
    """Escape a text so that Markdown and HTML in it are shown and not obeyed, on one line."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(r"\\\1", _TAG.sub(lambda found: html.escape(found[0]), one_line))


def markdown(found: Diagnosis, said: Sequence[Verdict]) -> str:
    """Write the diagnosis as Markdown."""
    return "\n".join(_lines(found, said)) + "\n"


def _lines(found: Diagnosis, said: Sequence[Verdict]) -> Iterator[str]:
    yield f"# {plain(title(found))}"
    yield ""
    for verdict in said:
        yield f"**{plain(verdict.headline)}**"
        yield ""
        yield from (f"- {plain(detail)}" for detail in verdict.details)
        yield ""
    yield from (f"> **Warning:** {plain(text)}\n" for text in found.warnings)
    yield from (f"> Note: {plain(text)}\n" for text in found.notes)
    for scope in found.scopes:
        yield from _scope(found, scope)
    yield "## Samples"
    yield ""
    head = ("arm", "benchmark", "samples", "truncated", "timed out", "unverifiable", "mean tokens")
    yield from _table(
        head,
        (
            (label, scope.name, *quality_cells(scope.quality[place]))
            for scope in found.benchmarks
            for place, label in enumerate(found.labels)
        ),
        left=2,
    )
    yield "## How to read this"
    yield ""
    yield from (f"- {plain(note)}" for note in method_notes(found))
    yield ""
    yield from _files(found)


def title(found: Diagnosis) -> str:
    """Name the arms."""
    *others, last = found.labels[1:]
    against = f"{', '.join(others)} and {last}" if others else last
    return f"{against} compared with {found.labels[0]}"


def _scope(found: Diagnosis, scope: Scope) -> Iterator[str]:
    few, most = scope.samples
    samples = f"n = {few}" if few == most else f"n = {few} to {most}"
    yield f"## {plain(scope.name)}"
    yield ""
    yield f"{scope.problems} problems, {samples} samples of each."
    yield ""
    several = adjusted(found, scope)
    head = ("pass@k", "arm", "%", "difference, points", "95% interval", "p")
    yield from _table(
        (*head, *(["p adjusted"] if several else []), "verdict"),
        (
            (
                *(f"pass@{row.k}", row.arm, row.value.removesuffix("%")),
                *(row.difference, row.interval, row.p),
                *([row.adjusted] if several else []),
                f"{row.judgement}; {row.caveat}" if row.caveat else row.judgement,
            )
            for row in rows(found, scope)
        ),
        left=2,
    )
    for later, label in found.later:
        yield f"- {plain(label)}: {plain(crossing_words(scope.crossings[later]))}."
        yield f"- {plain(label)}: {plain(changed_words(scope, later, found.labels[0]))}"
    yield ""
    if scope.macro:
        return
    for later, label in found.later:
        for change in ("lost", "gained"):
            problems = getattr(scope.changed[later], change)
            if problems:
                yield from _changed(found.labels[0], label, change, problems)


def _changed(
    first: str, label: str, change: str, problems: Sequence[ChangedProblem]
) -> Iterator[str]:
    more = f", the {_LISTED} surest" if len(problems) > _LISTED else ""
    yield f"{change.capitalize()} by {plain(label)} ({len(problems)}{more}):"
    yield ""
    yield from _table(
        ("problem", f"{first}, right/samples", f"{label}, right/samples", "p by itself"),
        ((one.problem, *changed_cells(one)) for one in problems[:_LISTED]),
        left=1,
    )


def _files(found: Diagnosis) -> Iterator[str]:
    yield "Made from:"
    yield ""
    for arm in found.arms:
        for run in arm.runs:
            yield f"- {plain(arm.label)}: {plain(str(run.path))}"


def _table(head: Sequence[str], cells: Iterable[Sequence[str]], *, left: int) -> Iterator[str]:
    """Write a table; the first ``left`` columns and a verdict are words, the others numbers."""
    numbers = [i for i, name in enumerate(head) if i >= left and name != "verdict"]
    first, *rows = ([plain(cell) for cell in row] for row in (head, *cells))
    yield markdown_table(first, rows, numbers)
