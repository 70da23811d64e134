"""Mismatches with TRL that no metadata tells."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

import fgrpo
from fgrpo.doctor.finding import Finding, Status
from fgrpo.doctor.packages import installed, satisfies
from fgrpo.doctor.requirements import extras, requirements, spelled

_MIXIN = Path(fgrpo.__file__).parent / "integrations" / "trl" / "mixin.py"
_NEEDS_TRITON = SpecifierSet("==1.15.*")


def supported() -> str:
    """Return the tested range, as ``SUPPORTED_TRL`` has it, without importing what is beside it."""
    for statement in ast.parse(_MIXIN.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == (
            "SUPPORTED_TRL"
        ):
            return str(ast.literal_eval(statement.value))
    raise AssertionError(f"{_MIXIN} has no SUPPORTED_TRL")


def findings() -> list[Finding]:
    """Judge the TRL that is installed."""
    found = installed("trl")
    try:
        version = Version(found or "")
    except InvalidVersion:
        return []
    results = []
    first, last = supported().split(" to ")
    if version.release[: len(Version(last).release)] > Version(last).release:
        results.append(
            Finding(
                "trl",
                Status.NOTE,
                "newer than what fgrpo was tested with; a trainer it does not fit says so at once",
                found,
                supported(),
                f"pip install 'trl>={first},<={last}.*'",
            )
        )
    if _NEEDS_TRITON.contains(version, prereleases=True) and find_spec("triton") is None:
        results.append(
            Finding(
                "triton",
                Status.MISMATCHED,
                f"not there, and without it TRL {found} stops at its first training step",
                None,
                None,
                "pip install 'trl>=0.29,<2,!=1.15.*'",
            )
        )
    if vllm := _vllm():
        results.append(vllm)
    return results


def _vllm() -> Finding | None:
    """Compare the vLLM that is there with what TRL's extra asks for."""
    found = installed("vllm")
    if not found or "vllm" not in extras("trl"):
        return None
    for requirement in requirements("trl", "vllm"):
        if requirement.name == "vllm" and satisfies(found, requirement) is False:
            wanted = spelled(requirement.specifier)
            text = "for --use_vllm true"
            return Finding("vllm", Status.NOTE, text, found, wanted, f"pip install 'vllm{wanted}'")
    return None
