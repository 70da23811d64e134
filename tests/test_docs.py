"""The commands of the documentation have the options they are given."""

import shlex

import pytest
import typer

from docs_check.blocks import blocks, commands, name_of, pages
from fgrpo.cli import app


def shown():
    """Every ``fgrpo`` command of a shell block, alone on its line or in a pipe."""
    for page in pages():
        for block in blocks(page):
            for command in commands(block.code) if block.language == "sh" else ():
                line = shlex.shlex(
                    command.replace("\\\n", " "), posix=True, punctuation_chars=";|&<>"
                )
                line.whitespace_split = True
                words = []
                for word in [*line, ";"]:
                    if set(word) <= set(";|&<>"):
                        if "fgrpo" in words and "--help" not in words:
                            yield page, words[words.index("fgrpo") + 1 :]
                        words = []
                    else:
                        words.append(word)


PARAMETERS = [
    pytest.param(words, id=f"{name_of(page)}: {' '.join(words)[:60]}") for page, words in shown()
]


def test_commands_are_found_on_every_page():
    assert len(PARAMETERS) > 40
    assert {page.stem for page, _ in shown()} >= {"README", "evaluate", "group-size", "maze", "trl"}


@pytest.mark.parametrize("words", PARAMETERS)
def test_commands_of_the_documentation_parse(words):
    command, name, arguments = typer.main.get_command(app), "fgrpo", words
    while hasattr(command, "commands"):
        name, *arguments = arguments
        command = command.commands[name]
    with command.make_context(name, arguments) as context:
        assert context.params
