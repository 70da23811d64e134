"""The Python process of a page: its blocks run here one after the other and share their names.

Requests and replies are lines of JSON, on standard input and on the file descriptor given; what the
blocks print goes where the process prints.
"""

import json
import linecache
import os
import runpy
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
HELPERS = [str(TESTS), str(TESTS / "evaluate")]


@contextmanager
def _own_modules():
    """The tests' modules can be imported by the notes, and not by the blocks."""
    sys.path[:0] = HELPERS
    try:
        yield
    finally:
        for folder in HELPERS:
            sys.path.remove(folder)


def _run(names, request):
    """Run a block; its lines have the numbers they have on the page."""
    page, line, code = request["page"], request["line"], request["code"]
    padded = "\n" * (line - 1) + code
    linecache.cache[page] = (len(padded), None, padded.splitlines(keepends=True), page)
    exec(compile(padded, page, "exec"), names)


def _line(error, page, line):
    if isinstance(error, SyntaxError) and error.filename == page:
        return error.lineno
    own = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == page]
    return own[-1] if own else line


def _nothing(names, printed):
    pass


def main(replies):
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    names, held = {"__name__": "__main__"}, {}
    for text in requests:
        request, reply = json.loads(text), {}
        try:
            if "notes" in request:
                held = runpy.run_path(request["notes"])
                with _own_modules():
                    words = held.get("prepare", dict)() or {}
                names |= words
                reply["words"] = {name: str(word) for name, word in words.items()}
            elif "printed" in request:
                with _own_modules():
                    held.get("check", _nothing)(names, request["printed"])
            else:
                _run(names, request)
        except BaseException as error:  # sys.exit in a block, too
            traceback.print_exc()
            reply["line"] = _line(error, request.get("page"), request.get("line"))
            reply["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(replies, json.dumps(reply).encode() + b"\n")
