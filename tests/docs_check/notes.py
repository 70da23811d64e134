"""What is noted about a page: see the package."""

import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .blocks import Block, PageError, blocks, commands, installs, name_of, pages, runs_nothing

FOLDER = Path(__file__).parent / "pages"
_KNOWN = {"REPLACED", "NOT_RUN", "PYTHON", "prepare", "check"}


@dataclass(frozen=True)
class Notes:
    """What is noted about a page; ``file`` holds its ``prepare`` and ``check``."""

    replaced: list[tuple[str, str]] = field(default_factory=list)
    not_run: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    file: Path | None = None


@dataclass(frozen=True)
class Step:
    """A block as it runs. ``left_out`` are its commands that do not, each with the reason."""

    block: Block
    code: str
    left_out: list[tuple[str, str]]
    installs: list[str]
    changed: bool

    @property
    def empty(self) -> bool:
        return runs_nothing(self.code)


def file_of(page: Path) -> Path:
    """Where the notes on a page are, if there are any."""
    name = name_of(page).removeprefix("docs/").removesuffix(".md").lower()
    return FOLDER / (re.sub(r"\W", "_", name) + ".py")


def read(file: Path) -> Notes:
    """Read notes; none if there is no such file."""
    if not file.exists():
        return Notes()
    held = runpy.run_path(str(file))
    unknown = {name for name in held if name.isupper()} - _KNOWN
    if unknown:
        raise PageError(f"{file.name}: {', '.join(sorted(unknown))}: not known; see docs_check")
    not_run = held.get("NOT_RUN", {})
    for pattern, reason in not_run.items():
        if not (isinstance(reason, str) and reason.strip()):
            raise PageError(f"{file.name}: NOT_RUN {pattern!r}: say why it is not run")
    return Notes(held.get("REPLACED", []), not_run, held.get("PYTHON", ""), file)


def plan(page: Path, notes: Notes) -> list[Step]:
    """Apply the notes to a page, and find out whether each of them is about something."""
    stale = {f"NOT_RUN {pattern!r}" for pattern in notes.not_run}
    stale |= {f"REPLACED {pattern!r}" for pattern, _ in notes.replaced}
    steps = []
    for block in blocks(page):
        parts = list(commands(block.code)) if block.language == "sh" else [block.code]
        code, left_out, installed = "", [], []
        for part in parts:
            patterns = [one for one in notes.not_run if re.search(one, part, re.MULTILINE)]
            stale -= {f"NOT_RUN {one!r}" for one in patterns}
            if patterns:
                left_out.append((part.strip(), notes.not_run[patterns[0]]))
            elif block.language == "sh" and installs(part):
                installed.append(part.strip())
            code += re.sub(r"[^\n]", "", part) if patterns or part.strip() in installed else part
        kept = code
        for pattern, replacement in notes.replaced:
            code, times = re.subn(pattern, replacement, code, flags=re.MULTILINE)
            if times:
                stale.discard(f"REPLACED {pattern!r}")
            if code.count("\n") != kept.count("\n"):
                raise PageError(
                    f"{name_of(page)}:{block.line}: REPLACED {pattern!r} changes the number of"
                    " lines; errors would name wrong ones"
                )
        steps.append(Step(block, code, left_out, installed, code != kept))
    if stale:
        raise PageError(f"{name_of(page)}: nothing there matches {', '.join(sorted(stale))}")
    return steps


def check_all() -> None:
    """Refuse notes that are stale, on a page or as a whole."""
    own = {file_of(page): page for page in pages()}
    lost = sorted(file.name for file in FOLDER.glob("*.py") if file not in own)
    if lost:
        raise PageError(f"pages/: no page belongs to {', '.join(lost)}")
    for file, page in own.items():
        plan(page, read(file))


def fill(code: str, words: Mapping[str, object]) -> str:
    """Put words in place of ``{names}``; other braces stay."""
    for name, word in words.items():
        code = code.replace("{" + name + "}", str(word))
    return code
