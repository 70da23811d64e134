"""What ``python tests/docs_check`` does."""

import argparse
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from .blocks import ROOT, PageError, name_of, pages
from .notes import check_all, file_of, plan, read
from .run import BlockError, Ran, run_page
from .table import table

# With `--install`, one after the other in an environment that has what each of them installs and
# no more. The others follow together when all that they install is there.
IN_TURN = ("docs/quick-start.md", "docs/trl.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/docs_check")
    parser.add_argument("pages", nargs="*", type=Path, help="pages; all of them if none is named")
    parser.add_argument("--install", action="store_true", help="run the pages' installation too")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs-check")
    parser.add_argument("--jobs", type=int, default=2, help="pages at a time")
    asked = parser.parse_args()
    if asked.install and find_spec("fgrpo"):
        print(
            f"docs-check: --install: {sys.prefix} has fgrpo already; `make docs-check` makes an"
            " environment without it",
            file=sys.stderr,
        )
        return 2
    try:
        check_all()
        wanted = [page.resolve() for page in asked.pages] or pages()
        steps = {page: plan(page, read(file_of(page))) for page in wanted}
    except (PageError, OSError) as error:
        print(f"docs-check: {error}", file=sys.stderr)
        return 2
    wanted = [page for page in wanted if steps[page]]
    first = [page for page in wanted if asked.install and name_of(page) in IN_TURN]
    first.sort(key=lambda page: IN_TURN.index(name_of(page)))
    rest = [page for page in wanted if page not in first]
    ran = [_run(page, asked.out, install=True) for page in first]
    if asked.install:
        _install(
            dict.fromkeys(one for page in rest for step in steps[page] for one in step.installs)
        )
    with ThreadPoolExecutor(asked.jobs) as executor:
        ran += executor.map(lambda page: _run(page, asked.out), rest)
    done = [one for one in ran if one]
    print(f"\n{table(done, installed=asked.install)}")
    if len(done) < len(ran):
        print(f"\n{len(ran) - len(done)} of {len(ran)} pages failed; all output: {asked.out}/*.log")
    return int(len(done) < len(ran))


def _run(page: Path, out: Path, *, install: bool = False) -> Ran | None:
    """Run a page; None if it failed."""
    name = name_of(page)
    try:
        ran = run_page(
            page,
            read(file_of(page)),
            out.resolve() / name.removesuffix(".md").replace("/", "-"),
            install=install,
        )
    except (BlockError, PageError) as error:
        print(f"FAILED {error}", flush=True)
        return None
    print(f"{name}: {ran.seconds:.0f} s", flush=True)
    return ran


def _install(commands: list[str]) -> None:
    for command in dict.fromkeys(commands):
        print(f"$ {command}", flush=True)
        words = shlex.split(command, comments=True)
        quiet = {"PIP_QUIET": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, env={**os.environ, **quiet}, check=True
        )
