"""``fgrpo doctor``: what is missing or mismatched here, and how to put it right."""

from __future__ import annotations

import contextlib
import json
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from fgrpo.cli.stopping import stoppable
from fgrpo.doctor.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from rich.console import Console

    from fgrpo.doctor.finding import Finding, Report, Section

_STYLES = {
    "ready": "green",
    "not installed": "yellow",
    "unusable": "bold red",
    "note": "yellow",
    "missing": "yellow",
    "mismatched": "bold red",
    "broken": "bold red",
}


def doctor(
    parts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PART", help=f"{', '.join(PARTS)}; default all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare versions only; import nothing.")
    ] = False,
) -> None:
    """Check what is installed here against what each part of fgrpo needs.

    Versions are compared and packages imported, the verl plugin loaded, PyTorch's devices and the
    verifiers' isolation tried.

    Exit code 1 if something installed is mismatched or broken, or if a part that was asked for by
    name is not there; 0 otherwise.
    """
    from fgrpo.doctor.examine import examine

    with stoppable(""), _progress() as watch:
        report = examine(parts or (), quick=quick, watch=watch)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    raise typer.Exit(0 if report.ok else 1)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Collection[str]], None]]:
    """Show on a terminal what is still being tried."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking …") as status:
        yield lambda left: status.update(f"trying {', '.join(left)} …" if left else "…")


def _print(report: Report) -> None:
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    _say(console, f"fgrpo {report.fgrpo}")
    states: dict[str, list[str]] = {}
    for section in (report.system, *report.parts):
        _print_section(console, section)
    for section in report.parts:
        states.setdefault(section.state.value, []).append(section.name)
    _say(console, "")
    for state, names in states.items():
        _say(console, f"{state}: {', '.join(names)}", mark=state)


def _print_section(console: Console, section: Section) -> None:
    """Print what is there on a line, then each problem with its fix beneath it."""
    purpose = f" ({section.purpose})" if section.purpose else ""
    state = section.state.value
    _say(console, "")
    _say(console, f"{section.name}: {state}{purpose}", mark=state)
    fine = [finding for finding in section.findings if finding.status.value == "ok"]
    if brief := [_name(finding) for finding in fine if not finding.text]:
        _say(console, ", ".join(brief), "  ")
    for finding in fine:
        if finding.text:
            _say(console, f"{_name(finding)}: {finding.text}", "  ")
    rest = [finding for finding in section.findings if finding.status.value != "ok"]
    for (status, text, fix), found in groupby(rest, _alike):
        names = ", ".join(map(_name, found))
        _say(console, f"{status}: {names}{f': {text}' if text else ''}", "  ", status)
        if fix:
            console.print(f"    fix: {fix}", soft_wrap=True)  # to be copied: in one piece


def _alike(finding: Finding) -> tuple[str, str, str | None]:
    """Say which problems are told together: the same, with the same fix."""
    return finding.status.value, finding.text, finding.fix


def _name(finding: Finding) -> str:
    parts = [finding.name, finding.found or ""]
    if finding.supported:
        wanted = "supported: " if finding.found and finding.status.value != "ok" else ""
        parts.append(f"({wanted}{finding.supported})")
    return " ".join(filter(None, parts))


def _say(console: Console, text: str, indent: str = "", mark: str = "") -> None:
    """Print a paragraph, wrapped on a terminal only, and the first ``mark`` in it in colour."""
    from rich.text import Text

    line = f"{indent}{text}"
    if console.is_terminal:
        line = textwrap.fill(
            line,
            console.width,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    shown = Text(line)
    if mark:
        begin = line.index(mark)
        shown.stylize(_STYLES[mark], begin, begin + len(mark))
    console.print(shown, soft_wrap=True)
