"""The documentation's commands have the options they are given, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from fgrpo.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["fgrpo"] and "--help" not in words:
                    yield pytest.param(words[1:], id=f"{page.name}: {' '.join(words)[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_of_the_documentation_parse(words):
    command, name, arguments = typer.main.get_command(app), "fgrpo", words
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    with command.make_context(name, arguments) as context:
        assert context.params


def test_python_of_the_evaluation_page_does_what_it_says():
    page = (ROOT / "docs" / "evaluate.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec(block, names)
    assert [(one.outcome.name, one.reason) for one in names["verdicts"]] == [
        ("CORRECT", ""),
        ("UNVERIFIABLE", "time-out"),
    ]
