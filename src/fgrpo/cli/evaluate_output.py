"""What ``fgrpo evaluate`` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fgrpo.compare.levels import Level
    from fgrpo.evaluate.estimate import Cost
    from fgrpo.evaluate.runner import Tally
    from fgrpo.evaluate.table import Column

_CELL = 20  # columns of a terminal that "12.3 (10.1–14.5)" and its frame take


def progress_text(tally: Tally) -> str:
    """Say in a few words how it goes."""
    used = tally.usage
    parts = [f"{human(used.completion_tokens)} tokens"] if used.completion_tokens else []
    parts.append(f"{100 * tally.correct / max(1, tally.samples):.0f}% right")
    if tally.truncated:
        parts.append(f"{100 * tally.truncated / tally.samples:.0f}% cut off")
    if bad := sum(tally.unverifiable.values()):
        parts.append(f"{bad} unverifiable")
    if used.failures:
        parts.append(f"failed calls made again: {used.failures}")
    return ", ".join(parts)


def print_table(columns: Sequence[Column], folder: Path) -> None:
    """Print pass@k in percent with its interval, as many benchmarks side by side as fit."""
    console = Console(markup=False, highlight=False)
    width = max(1, (console.width - 6) // _CELL)
    for first in range(0, len(columns), width):
        console.print(_part(columns[first : first + width]))
    for column in columns:
        for line in _remarks(column):
            console.print(line, soft_wrap=True)
    console.print(
        "Percent, and 95% intervals over problems (other problems of the same kind); none with "
        "fewer than 6 problems, or where all have the same pass@k.\n"
        f"Records: {folder}",
        soft_wrap=True,
    )


def _part(columns: Sequence[Column]) -> Table:
    shown = Table("pass@k")
    for column in columns:
        samples = f"{column.problems} problems, n = {column.samples}"
        shown.add_column(f"{column.name}\n{samples}", justify="right")
    ks = sorted({level.k for column in columns for level in column.levels})
    for k in ks:
        found = [{level.k: level for level in column.levels}.get(k) for column in columns]
        shown.add_row(str(k), *map(_cell, found))
    return shown


def _cell(level: Level | None) -> str:
    if level is None:
        return ""
    if math.isnan(level.low) or level.low == level.high:
        return f"{100 * level.mean:.1f} (no interval)"
    return f"{100 * level.mean:.1f} ({100 * level.low:.1f}–{100 * level.high:.1f})"


def _remarks(column: Column) -> Iterable[str]:
    """Say how many samples ended early, or count as wrong without being found so."""
    found = column.quality
    shares = (
        (found.truncated, "were cut off at the length limit"),
        (found.timed_out, "ran into the verifier's time limit, and count as wrong"),
        (found.unverifiable, "could not be verified, and count as wrong"),
    )
    for share, words in shares:
        if share:
            yield (
                f"{column.name}: {round(share * found.samples)} of {found.samples} samples "
                f"({100 * share:.3g}%) {words}."
            )


def print_costs(costs: Sequence[Cost], *, texts: bool) -> None:
    """Print what is still to be sampled, and what that takes."""
    console = Console(markup=False, highlight=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)  # at 80 columns every digit has its place
    shown.add_column("benchmark", no_wrap=True)
    for name in ("problems", "samples", "missing", "tokens at most", "tokens expected", "disk"):
        shown.add_column(name, justify="right")
    for cost in costs:
        shown.add_row(
            cost.benchmark,
            str(cost.problems),
            str(cost.samples),
            f"{cost.missing:,}",
            human(cost.most_tokens),
            "unknown" if cost.tokens is None else human(cost.tokens),
            f"{human(cost.disk(texts=texts))}B",
        )
    expected = [cost.tokens for cost in costs]
    shown.add_section()
    shown.add_row(
        "in all",
        str(sum(cost.problems for cost in costs)),
        "",
        f"{sum(cost.missing for cost in costs):,}",
        human(sum(cost.most_tokens for cost in costs)),
        "unknown" if None in expected else human(sum(filter(None, expected))),
        f"{human(sum(cost.disk(texts=texts) for cost in costs))}B",
    )
    console.print(shown)
    console.print(
        "Tokens drawn, without the prompts'. Expected: missing samples as long as those drawn so "
        "far. Disk: for the expected tokens, else for the most.",
        soft_wrap=True,
    )


def print_list(rows: Iterable[dict[str, str]]) -> None:
    """Print the benchmarks there are."""
    console = Console(markup=False, highlight=False)
    shown = Table()
    for name in ("name", "problems", "verifier", "source", "licence"):
        shown.add_column(name, no_wrap=name == "name", overflow="fold")
    notes = []
    for row in rows:
        shown.add_row(*(row[key] for key in ("name", "problems", "verifier", "source", "licence")))
        if row["note"]:
            notes.append(f"{row['name']}: {row['note']}")
    console.print(shown)
    for note in notes:
        console.print(note, soft_wrap=True)
    console.print(
        "\nAlso reasoning-gym:TASK, and files of your own: JSON lines with problem, answer, and "
        "perhaps id and verifier.",
        soft_wrap=True,
    )


def human(number: float) -> str:
    """Write a large number with three digits and a letter: 10.7G."""
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{number / factor:.3g}{letter}"
    return f"{number:.0f}"
