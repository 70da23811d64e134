"""Run the blocks of a page."""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .blocks import ROOT, Block, PageError, name_of
from .notes import Notes, Step, fill, plan

SECONDS = 600  # for a block
VERL = ROOT / ".venv-verl" / "bin"
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
# On the first line, as the page's lines follow under their own numbers.
_PRELUDE = (
    "set -eEo pipefail; trap '{ echo $LINENO > \"$FAILED_AT\"; } 2>/dev/null' ERR; "
    "PS4='+ $LINENO: '; set -x"
)
_SESSION = (
    "import sys; sys.path.append({!r}); import docs_check.session as s; sys.path.pop(); s.main({})"
)


class BlockError(Exception):
    """A block failed."""


@dataclass(frozen=True)
class Ran:
    """A page that ran to its end."""

    page: Path
    steps: list[Step]
    seconds: float


def run_page(page: Path, notes: Notes, folder: Path, *, install: bool = False) -> Ran:
    """Run a page in ``folder``, which is emptied first.

    ``install`` runs the installation that the page shows, too, in the runner's environment.
    """
    started = time.monotonic()
    steps = plan(page, notes)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder), _Page(page, notes, _fresh(folder)) as running:
        prepared = False
        for step in steps:
            if install and not notes.python:
                for command in step.installs:
                    running.shell(Block("sh", step.block.line, command), ROOT)
            if step.empty:
                continue
            if not prepared:  # it may need what was installed just now
                running.prepare()
                prepared = True
            running.block(step)
        if prepared:
            running.check()
    return Ran(page, steps, time.monotonic() - started)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for another check of this page."""
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fresh(folder: Path) -> Path:
    """Make it anew; it has the examples, as a clone does."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    if (ROOT / "examples").exists():
        shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def python_of(notes: Notes) -> Path:
    """Find the interpreter of a page."""
    if not notes.python:
        return Path(sys.executable)
    python = ROOT / f".venv-{notes.python}" / "bin" / "python"
    if not python.exists():
        raise PageError(f"{python} is missing: `make .venv-{notes.python}/.installed` makes it")
    return python


class _Page:
    """A page under way: its log, its Python process and the environment of its commands."""

    def __init__(self, page: Path, notes: Notes, folder: Path) -> None:
        self.page, self.notes, self.folder = page, notes, folder
        self.python = python_of(notes)
        self.log = folder.with_name(folder.name + ".log")
        self.words = {"root": ROOT, "verl": VERL}
        path = f"{self.python.parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, **SETTINGS, "PATH": path}

    def __enter__(self) -> "_Page":
        self.log.unlink(missing_ok=True)
        self.output = self.log.open("a+b", buffering=0)  # the commands write to it, too
        self.replies, theirs = os.pipe()
        program = _SESSION.format(str(ROOT / "tests"), theirs)
        self.session = self._start([self.python, "-c", program], pass_fds=(theirs,))
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        if self.session.stdin:
            self.session.stdin.close()
        try:
            self.session.wait(10)
        except subprocess.TimeoutExpired:
            _kill(self.session)
        os.close(self.replies)
        self.output.close()

    def prepare(self) -> None:
        if self.notes.file:
            reply = self._ask({"notes": str(self.notes.file)})
            self._refuse(reply, f"{self.notes.file.name}: prepare()", 0)
            self.words = {**self.words, **reply["words"]}

    def check(self) -> None:
        printed = self.log.read_text(encoding="utf-8", errors="replace")
        end = self.output.seek(0, os.SEEK_END)
        if self.notes.file:
            reply = self._ask({"printed": printed})
            self._refuse(reply, f"{self.notes.file.name}: check()", end)

    def block(self, step: Step) -> None:
        block = Block(step.block.language, step.block.line, fill(step.code, self.words))
        if block.language == "sh":
            self.shell(block, self.folder)
            return
        begin = self.output.seek(0, os.SEEK_END)
        request = {"page": name_of(self.page), "line": block.line, "code": block.code}
        reply = self._ask(request)
        self._refuse(reply, f"{name_of(self.page)}:{reply.get('line')}", begin)

    def shell(self, block: Block, folder: Path) -> None:
        begin = self.output.seek(0, os.SEEK_END)
        script = self.folder.with_name(self.folder.name + ".sh")
        failed_at = script.with_suffix(".at")
        failed_at.write_text(str(block.line))
        script.write_text(_PRELUDE + "\n" * (block.line - 1) + block.code, encoding="utf-8")
        more = {"FAILED_AT": str(failed_at)}
        process = self._start(["bash", script], cwd=folder, more=more)
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
            code = None
        place = f"{name_of(self.page)}:{failed_at.read_text().strip()}"
        script.unlink()
        failed_at.unlink()
        if code is None:
            raise BlockError(f"{place}: not finished after {SECONDS} s\n{self._tail(begin)}")
        if code:
            raise BlockError(f"{place}: exit code {code}\n{self._tail(begin)}")

    def _start(self, words, *, cwd=None, more=None, pass_fds=()):
        return subprocess.Popen(
            words,
            cwd=cwd or self.folder,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL if more else subprocess.PIPE,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
        )

    def _ask(self, request):
        self.session.stdin.write(json.dumps(request).encode() + b"\n")
        self.session.stdin.flush()
        answer, deadline = b"", time.monotonic() + SECONDS
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([self.replies], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                _kill(self.session)
                return {"error": f"not finished after {SECONDS} s", "line": request.get("line")}
            piece = os.read(self.replies, 65536)
            if not piece:
                code = self.session.wait()
                return {"error": f"Python ended with {code}", "line": request.get("line")}
            answer += piece
        return json.loads(answer)

    def _refuse(self, reply, place, begin):
        if "error" in reply:
            raise BlockError(f"{place}: {reply['error']}\n{self._tail(begin)}")

    def _tail(self, begin):
        self.output.seek(begin)
        return self.output.read().decode(errors="replace")[-3000:].strip()


def _kill(process):
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
