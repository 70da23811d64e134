"""Writes the help of every command into the page of the command line, from the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from fgrpo.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = "reference/cli.md"
MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Put the commands where the page says."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown.replace(MARK, "\n".join(command_lines(typer.main.get_command(app), "fgrpo")))


def command_lines(command: Any, name: str, parent: Any = None) -> Iterator[str]:
    """Write one command, or the commands of a group, as Markdown."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    if hasattr(command, "commands"):
        for inner, subcommand in command.commands.items():
            yield from command_lines(subcommand, inner, context)
        return
    path = context.command_path
    yield f"## {path}\n"
    yield "\n\n".join(map(_paragraph, command.help.split("\n\n"))) + "\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{path} {usage}\n```\n"
    panels: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        if parameter.name == "help":
            continue
        record = parameter.get_help_record(context)
        if record is None:  # hidden
            continue
        given = "Arguments" if parameter.param_type_name == "argument" else "Options"
        panel = getattr(parameter, "rich_help_panel", None) or given
        panels.setdefault(panel, []).append(_row(*record))
    for panel, rows in panels.items():
        yield f"| {panel} | |\n|---|---|"
        yield from rows
        yield ""


def _paragraph(text: str) -> str:
    """Return a paragraph of help; an example of the command becomes a block of code."""
    return f"```sh\n{text}\n```" if text.startswith("fgrpo ") else text


def _row(name: str, text: str) -> str:
    marks = "|*_<[`"  # of Markdown, which this text is not
    plain = "".join(f"&#{ord(letter)};" if letter in marks else letter for letter in text)
    return f"| `{name}` | {' '.join(plain.split())} |"
