"""What runs in a process of its own: each step answers with a line of JSON.

``import MODULE``
    Import it; the answer tells from where.
``look NAME``
    Call ``look`` of the module ``fgrpo.doctor.NAME``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from importlib.util import find_spec
from typing import Any

from fgrpo.doctor.process import one_line


def main() -> None:
    """Do the steps that the command line names, then leave at once."""
    steps = sys.argv[1:]
    del sys.argv[1:]  # no business of what is imported
    answers = os.dup(1)
    os.dup2(2, 1)  # what is imported may print
    for step in steps:
        facts: dict[str, Any] = {}
        error = ""
        try:
            _do(step, facts)
        except BaseException as problem:  # an import may also call sys.exit
            while problem.__cause__ is not None:  # lazy packages hide the reason behind another
                problem = problem.__cause__
            error = one_line(f"{type(problem).__name__}: {problem}")
            if isinstance(problem, ModuleNotFoundError):
                facts["missing"] = problem.name
        os.write(answers, json.dumps([step, facts, error]).encode() + b"\n")
    os._exit(0)  # what was imported may hang at the end, which is no business of ours


def _do(step: str, facts: dict[str, Any]) -> None:
    kind, name = step.split()
    if kind == "look":
        facts |= importlib.import_module(f"fgrpo.doctor.{name}").look()
        return
    spec = find_spec(name.partition(".")[0])
    facts["origin"] = spec and spec.origin
    importlib.import_module(name)
