"""The blocks of a page that can be run, and the commands of a block."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("sh", "python")
OTHER_NAMES = {"bash": "sh", "shell": "sh", "console": "sh", "py": "python", "pycon": "python"}
_FENCE = re.compile(r"^[ \t]*```([\w+-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
_INSTALLS = re.compile(r"\s*pip install (?:-\S+ [\w./]+ )*'?\.(?:\[[\w,]+\])?'?(?:\s|$)")


class PageError(Exception):
    """A page, or what is noted about it, is not in order."""


@dataclass(frozen=True)
class Block:
    """A block; ``line`` is that of its first line of code."""

    language: str
    line: int
    code: str


def pages() -> list[Path]:
    """Every page whose blocks are run, in the order of reading."""
    top = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
    below = [*sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    return [page for page in [*top, *below] if page.exists()]


def name_of(page: Path) -> str:
    """``docs/group-size.md``; a page from elsewhere by its name alone."""
    return str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name


def blocks(page: Path) -> list[Block]:
    """Find the blocks of a page in their order; refuse names of languages that would hide one."""
    text, found = page.read_text(encoding="utf-8"), []
    for fence in _FENCE.finditer(text):
        language, line = fence[1], text.count("\n", 0, fence.start(2)) + 1
        if language in OTHER_NAMES:
            raise PageError(
                f"{name_of(page)}:{line - 1}: ```{language}: write ```{OTHER_NAMES[language]}"
                " for what runs and ```text for what does not"
            )
        if language in LANGUAGES:
            found.append(Block(language, line, textwrap.dedent(fence[2])))
    return found


def commands(code: str) -> Iterator[str]:
    """Split a shell block; a command keeps its continued lines and its here-documents."""
    lines = iter(code.splitlines(keepends=True))
    for line in lines:
        command = line
        while command.rstrip("\n").endswith("\\"):
            command += next(lines, "")
        for end in _HEREDOC.findall(command):
            for line in lines:
                command += line
                if line.strip() == end:
                    break
        yield command


def installs(command: str) -> bool:
    """Whether a command installs the package from the clone."""
    return _INSTALLS.match(command) is not None


def runs_nothing(code: str) -> bool:
    """Whether only blank lines and comments are left."""
    return all(not line.strip() or line.lstrip().startswith("#") for line in code.splitlines())
