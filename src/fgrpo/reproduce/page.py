"""The page: every item with its command, its scale, ours, the paper's, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.files import make_folder, write_bytes, write_text
from fgrpo.presentation.tables import markdown_table
from fgrpo.reproduce.catalogue import ITEMS
from fgrpo.reproduce.item import verdict
from fgrpo.reproduce.results import IMAGES, load_result, picture_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fgrpo.reproduce.item import Item, Table
    from fgrpo.reproduce.results import Result

_HEAD = """# Reproduction

Every figure and table of the F-GRPO paper (arXiv 2602.06717) that can be made with this package,
each by one command, beside the paper's numbers (`fgrpo/reproduce/paper/SOURCE.md` says where they
are from). The language-model runs need 16 GPUs and were not made: their tables show the paper's
numbers, and say so in the place of ours.

A verdict counts claims: statements of the paper, put so that numbers can decide.

- A claim about theory, where chance has no part, holds in every case or *disagrees*.
- A claim about the simulation in several cases *agrees* if it holds in all of them and *disagrees*
  if it holds in none; our means decide, without a test.
- A claim about the maze goes by significance at 5%, the differences with their 95% intervals beside
  it. Said of every case, it *agrees* if all are significant and *disagrees* if one is so to the
  contrary. Said of most cases, it takes more than half of them either way.

What is neither is *undecided*. A verdict is about the scale that was run, not about the paper's.

This page was written by `fgrpo reproduce`, of all results in its folder; the command of any item
writes it again. `fgrpo reproduce --list` tells what there is.
"""
PAGE_NAME = "reproduction.md"
_LONG = 12  # rows; longer tables are folded


def write_page(folder: Path, page: Path) -> None:
    """Write the page of all results in ``folder``.

    Its pictures are copied to ``images/reproduction/`` beside it, unless it lies in ``folder``.

    Raises
    ------
    RunError
        If a result is damaged, a picture is missing, or something cannot be written.
    """
    results = [(item, load_result(folder, item)) for item in ITEMS]
    pictures = {
        f"{picture.name}.png": picture_bytes(folder, picture, result)
        for _, result in results
        if result
        for picture in result.figures
    }
    images = page.parent / IMAGES
    if page.parent.resolve() != folder.resolve():
        images /= "reproduction"
        make_folder(images)
        for name, content in pictures.items():
            write_bytes(images / name, content)
    write_text(page, render_page(results, images.relative_to(page.parent).as_posix()))


def render_page(results: Iterable[tuple[Item, Result | None]], images: str) -> str:
    """Return the page as Markdown; ``images`` is where its pictures lie, as links have it."""
    results = list(results)
    summary = [
        (
            f"[{item.name}](#{item.name})",
            f"`{_command(item, result)}`",
            *((result.scale, result.ours, result.paper) if result else ("–", "not made yet", "–")),
            verdict(result.claims) if result else "not made yet",
        )
        for item, result in results
    ]
    head = ("item", "command", "scale", "ours", "paper", "verdict")
    parts = [_HEAD, _markdown(head, summary)]
    parts += [_section(item, result, images) for item, result in results]
    return "\n".join(parts)


def _section(item: Item, result: Result | None, images: str) -> str:
    # The name alone, so that the link from the table above holds.
    lines = [f"## {item.name}", "", f"**{item.title}**", ""]
    if result is None:
        return "\n".join([*lines, f"Not made yet: `{_command(item, result)}`.", ""])
    lines += [f"Scale: {result.scale}. Verdict: **{verdict(result.claims)}**.", ""]
    if result.claims:
        rows = [(one.text, one.ours, str(one.finding)) for one in result.claims]
        lines += [_markdown(("claim", "ours", "finding"), rows)]
    for picture in result.figures:
        lines += [f"![{picture.alt}]({images}/{picture.name}.png)", "", picture.caption, ""]
    lines += [_folded(table) for table in result.tables]
    lines += [f"{note}\n" for note in result.notes]
    start = result.made_by
    commit = f", commit {start['commit']}" if start["commit"] else ""
    lines.append(
        f"Made by `{result.command}` (fgrpo {start['fgrpo']}{commit}, {start['started'][:10]}, "
        f"{start['cores']} cores of {start['processor']}).\n"
    )
    return "\n".join(lines)


def _command(item: Item, result: Result | None) -> str:
    return result.command if result else f"fgrpo reproduce --item {item.name}"


def _folded(table: Table) -> str:
    text = _markdown(table.head, table.rows)
    if len(table.rows) <= _LONG:
        return f"{table.title}:\n\n{text}"
    summary = f"<summary>{table.title} ({len(table.rows)} rows)</summary>"
    return f'<details markdown="1">\n{summary}\n\n{text}\n</details>\n'


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(head, ([cell.replace("|", r"\|") for cell in row] for row in rows))
