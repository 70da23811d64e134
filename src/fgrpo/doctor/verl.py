"""Mismatches with verl that no metadata tells: the plugin, its engines, its rivals, Ray's needs."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet

from fgrpo.doctor.finding import Finding, Status
from fgrpo.doctor.machine import open_files, shared_memory
from fgrpo.doctor.packages import installed, satisfies
from fgrpo.doctor.process import one_line
from fgrpo.doctor.requirements import extras, requirements, spelled
from fgrpo.errors import to_install

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from fgrpo.doctor.process import Answer

ESTIMATOR = "f_grpo"
PLUGIN, GROUP = "fgrpo.integrations.verl", "verl.plugins"
POLICY, MODULES = "VERL_USE_EXTERNAL_PLUGINS", "VERL_USE_EXTERNAL_MODULES"
PYTHONS = "<3.13,>=3.10"  # of verl 0.9.1; once it is installed its metadata is asked
ENGINES = ("vllm", "sglang")


def look() -> dict[str, Any]:
    """Import verl as a run does, then the plugin by itself (in a process of its own)."""
    import verl
    from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

    facts = {
        "version": verl.__version__,
        "origin": verl.__file__,
        "registered": getattr(ADV_ESTIMATOR_REGISTRY.get(ESTIMATOR), "__module__", None),
        "error": "",
        "refused": "",
    }
    try:
        # Imports all of the plugin: why it fails, verl itself says at DEBUG only.
        from fgrpo.integrations.verl.version import check_version
    except Exception as problem:
        facts["error"] = one_line(f"{type(problem).__name__}: {problem}")
        return facts
    try:
        check_version()
    except Exception as problem:
        facts["refused"] = one_line(str(problem))
    return facts


def findings(answer: Answer | None) -> list[Finding]:
    """Judge what is installed beside verl, and what `look` answered, if it was asked."""
    if find_spec("verl") is None:
        return _no_python()
    return [
        *(_plugin(answer) if answer is not None else _entry_point()),
        *_engines(),
        *_attention(),
        *rivals(),
        *(finding for finding in (shared_memory(), open_files()) if finding),
    ]


def _no_python() -> list[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(PYTHONS).contains(here):
        return []
    fix = f"make an environment with Python {PYTHONS}"
    return [Finding("Python", Status.NOTE, "verl cannot be installed", here, PYTHONS, fix)]


def _entry_point() -> list[Finding]:
    """Say whether the installed fgrpo names its plugin, and whether verl is told to load it."""
    points = metadata.entry_points(group=GROUP, name="fgrpo")
    if PLUGIN not in {point.value for point in points}:
        text = f"the installed fgrpo has no entry point in {GROUP}: it is older than this command"
        fix = f"install fgrpo anew from its own folder, or export {MODULES}={PLUGIN}"
        return [Finding("plugin", Status.MISMATCHED, text, fix=fix)]
    policy = os.environ.get(POLICY, "auto")
    # As verl reads it: verl/__init__.py of 0.9.1.
    allowed = {name.strip() for name in policy.strip().lower().split(",")}
    if policy.strip().lower() != "auto" and "fgrpo" not in allowed:
        text = f"{POLICY}={policy} keeps verl from loading it"
        fix = f"unset {POLICY}, or name fgrpo in it, on every node"
        return [Finding("plugin", Status.MISMATCHED, text, fix=fix)]
    return []


def _plugin(answer: Answer) -> list[Finding]:
    if answer.error:
        fix = "python -c 'import verl.trainer.ppo.core_algos' shows the whole traceback"
        return [Finding("verl", Status.BROKEN, answer.error, installed("verl"), fix=fix)]
    facts = answer.facts
    if facts["registered"] and not facts["registered"].startswith(PLUGIN):
        text = f"{ESTIMATOR} is another one: {facts['registered']} registered that name first"
        fix = f"export {POLICY}=fgrpo on every node, or uninstall the other"
        return [Finding("plugin", Status.MISMATCHED, text, fix=fix)]
    if facts["error"]:
        text = f"verl passes over it in silence: {facts['error']}"
        fix = f"python -c 'import {PLUGIN}' shows the whole traceback"
        return [Finding("plugin", Status.BROKEN, text, fix=fix)]
    if not facts["registered"]:
        text = f"verl does not know {ESTIMATOR}, though {PLUGIN} can be imported"
        fix = f"export {MODULES}={PLUGIN} on every node"
        return _entry_point() or [Finding("plugin", Status.BROKEN, text, fix=fix)]
    if facts["refused"]:
        fix = to_install("verl")
        return [Finding("plugin", Status.MISMATCHED, facts["refused"], facts["version"], fix=fix)]
    return [Finding("plugin", Status.OK, f"verl knows {ESTIMATOR}")]


def _engines() -> list[Finding]:
    """Compare the rollout engines that are there with what verl's extras pin."""
    pinned = {}
    if installed("verl"):
        for engine in ENGINES:
            if engine in extras("verl"):
                needs = {each.name: each for each in requirements("verl", engine)}
                pinned[engine] = needs.get(engine)
    found = {engine: version for engine in ENGINES if (version := installed(engine))}
    if not found and not any(find_spec(engine) for engine in ENGINES):
        names = " or ".join(
            f"pip install 'verl[{engine}]=={installed('verl')}'" for engine in pinned
        )
        text = "none of vLLM and SGLang is here: verl can be imported, but samples nothing"
        return [Finding("rollout engine", Status.NOTE, text, fix=names or None)]
    return [_against_pin(engine, version, pinned.get(engine)) for engine, version in found.items()]


def _against_pin(engine: str, version: str, pin: Requirement | None) -> Finding:
    wanted = spelled(pin.specifier) if pin else None
    if pin is None or satisfies(version, pin) is not False:
        return Finding(engine, Status.OK, "rollout engine", version, wanted)
    text = f"rollout engine; verl[{engine}] pins another"
    fix = f"pip install '{engine}{wanted}'"
    return Finding(engine, Status.NOTE, text, version, wanted, fix)


def _attention() -> list[Finding]:
    """Miss FlashAttention where a rollout engine shows that models are to be trained."""
    if find_spec("flash_attn") or not any(map(installed, ENGINES)):
        return []
    pins = [
        each
        for extra in sorted(extras("verl"))
        for each in requirements("verl", extra)
        if each.name == "flash-attn"
    ]
    # Its build looks for torch, which an isolated one does not have.
    fix = f"pip install --no-build-isolation '{pins[0].name}{pins[0].specifier}'" if pins else None
    text = "not here, and verl loads models with it unless told otherwise"
    return [Finding("flash-attn", Status.NOTE, text, fix=fix)]


def rivals() -> list[Finding]:
    """Say where the TRL that is there is one that verl's extras pin and fgrpo cannot use."""
    trl = installed("trl")
    if not trl or not installed("verl"):
        return []
    ours = [each for each in requirements("fgrpo", "trl") if each.name == "trl"]
    if not ours or satisfies(trl, ours[0]) is not False:
        return []
    pinning = [
        extra
        for extra in sorted(extras("verl"))
        for each in requirements("verl", extra)
        if each.name == "trl" and satisfies(trl, each)
    ]
    if not pinning:
        return []
    text = (
        f"pinned by the extras {', '.join(pinning)} of verl, and not one that fgrpo train can use"
    )
    fix = "for both trainers make two environments, or install verl without these extras"
    return [Finding("trl", Status.NOTE, text, trl, spelled(ours[0].specifier), fix)]
