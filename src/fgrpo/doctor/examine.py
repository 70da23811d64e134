"""All that is checked, the slow of it at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

import fgrpo
from fgrpo.doctor import accelerator, machine, trl, verl, workers
from fgrpo.doctor.finding import FAULTS, Finding, Report, Section, Status
from fgrpo.doctor.packages import check, hidden_by, installed, module_of, needed_below
from fgrpo.doctor.parts import Part, choose
from fgrpo.doctor.process import Answer, ask
from fgrpo.doctor.requirements import extras, requirements
from fgrpo.errors import to_install

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from packaging.requirements import Requirement

_DEVICES, _WORKERS = "look accelerator", "look workers"
_VERIFIER = "math-verify"


@dataclass(slots=True)
class _Plan:
    """What is known of one part before anything is imported, and the steps that are to tell more.

    Parameters
    ----------
    part
        The part.
    needs
        The packages it needs.
    findings
        About them.
    steps
        What to do in a process of its own.
    """

    part: Part
    needs: list[Requirement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)


def examine(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    watch: Callable[[Collection[str]], None] = lambda _: None,
) -> Report:
    """Look at the environment.

    Parameters
    ----------
    names
        Parts to look at; all of them if none is named.
    quick
        Whether to read metadata only, and import nothing.
    watch
        Called with the names of the parts that are still being tried, whenever these change.

    Raises
    ------
    UsageError
        If there is no such part.
    """
    plans = [_plan(part) for part in choose(names)]
    answers: dict[str, Answer] = {}
    if not quick:
        _add_steps(plans)
        answers = _ask_all({plan.part.name: plan.steps for plan in plans if plan.steps}, watch)
    system = Section("system", findings=[machine.python()])
    if (told := machine.offline()) and any(plan.part.hub for plan in plans):
        system.findings.append(told)
    if _DEVICES in answers:
        found = accelerator.finding(installed("torch"), answers[_DEVICES], accelerator.hardware())
        system.findings.extend([found] if found else [])
    sections = [_section(plan, answers) for plan in plans]
    return Report(fgrpo.__version__, system, sections, named=bool(names))


def _plan(part: Part) -> _Plan:
    try:
        offered = not part.extra or part.extra in extras("fgrpo")
        needs = requirements("fgrpo", part.extra) if offered else []
    except metadata.PackageNotFoundError:
        text = "it runs from a folder that was not installed: what it needs is not known"
        return _Plan(part, findings=[Finding("fgrpo", Status.MISSING, text, fix=part.fix)])
    if not offered:
        text = "the installed fgrpo has no such extra: it is older than this command"
        name = f"fgrpo[{part.extra}]"
        return _Plan(part, findings=[Finding(name, Status.MISSING, text, fix=part.fix)])
    meant = bool(part.main and installed(part.main))
    spared = {each.name for each in requirements("fgrpo", part.spared)} if part.spared else set()
    found = [_of_part(check(each), part, meant=meant, spared=each.name in spared) for each in needs]
    engines = [each for each in verl.ENGINES if installed(each)] if part.name == "verl" else []
    return _Plan(part, needs, [*found, *needed_below(needs, engines)])


def _of_part(finding: Finding, part: Part, *, meant: bool, spared: bool) -> Finding:
    """Name the whole part as the fix; where it was meant to be there, its absence is a fault."""
    if finding.status is not Status.MISSING:
        return finding
    if meant and spared:
        text = f"not there: needed for the rewards of fgrpo[{part.spared}] only"
        fix = to_install(part.spared)
        return replace(finding, status=Status.NOTE, text=text, fix=fix)
    if meant:
        text = f"not there, but {part.main} needs it"
        return replace(finding, status=Status.BROKEN, text=text, fix=part.fix)
    # Its extras and TRL's want different versions of the same packages.
    apart = "in an environment of its own: " if part.name == "verl" and installed("trl") else ""
    return replace(finding, fix=f"{apart}{part.fix}")


def _add_steps(plans: Iterable[_Plan]) -> None:
    """Have every package that is there imported once, by the first part that needs it."""
    seen: set[str] = set()
    for plan in plans:
        for need in plan.needs:
            name = canonicalize_name(need.name)
            if name in seen:
                continue
            seen.add(name)
            if installed(name) and (module := module_of(name)):
                plan.steps.append(f"import {module}")
                plan.steps.extend([_DEVICES] if name == "torch" else [])
            if name == _VERIFIER:  # without it there are other verifiers, in the same workers
                plan.steps.append(_WORKERS)
        if plan.part.name == "verl":
            plan.steps.extend(f"import {each}" for each in verl.ENGINES if installed(each))
        if plan.part.last and find_spec(plan.part.last_needs):
            plan.steps.append(plan.part.last)


def _ask_all(
    steps: Mapping[str, Sequence[str]], watch: Callable[[Collection[str]], None]
) -> dict[str, Answer]:
    """Do the steps of all parts at once, each part's in a process of its own."""
    answers: dict[str, Answer] = {}
    stop = threading.Event()
    with ThreadPoolExecutor(max(1, len(steps))) as threads:
        running = {threads.submit(ask, each, stop): name for name, each in steps.items()}
        try:
            watch(list(running.values()))
            for done in as_completed(list(running)):
                del running[done]
                answers |= done.result()
                watch(list(running.values()))
        finally:
            stop.set()
    return answers


def _section(plan: _Plan, answers: Mapping[str, Answer]) -> Section:
    part = plan.part
    findings = [_tried(finding, answers) for finding in plan.findings]
    if _WORKERS in answers and _VERIFIER in {canonicalize_name(each.name) for each in plan.needs}:
        told = workers.findings(answers[_WORKERS])
        # Whole where they were tried; elsewhere only what keeps a part from working that is there.
        there = all(each.status is not Status.MISSING for each in findings)
        findings.extend(
            each for each in told if _WORKERS in plan.steps or (there and each.status in FAULTS)
        )
    answer = answers.get(part.last)
    if part.name == "trl":
        findings.extend([*trl.findings(), *verl.rivals()])
        if answer is not None and answer.error:
            broken = _broken("fgrpo.integrations.trl", "fgrpo.integrations.trl", answer)
            if any(finding.status in FAULTS for finding in findings):
                broken = replace(broken, fix="put right what is above, and try again")
            findings.append(broken)
    if part.name == "verl":
        findings.extend(_tried(finding, answers) for finding in verl.findings(answer))
    return Section(part.name, part.purpose, _once(findings))


def _tried(finding: Finding, answers: Mapping[str, Answer]) -> Finding:
    """Add what came of importing the package."""
    if not finding.found or finding.status not in (Status.OK, Status.NOTE):
        return finding
    module = module_of(finding.name) if installed(finding.name) else None
    answer = answers.get(f"import {module}")
    if module is None or answer is None:
        return finding
    if place := hidden_by(finding.name, module, answer.facts.get("origin")):
        text = f"in its stead, import here finds {place}"
        fix = f"rename {place.name}, or work in another folder"
        return replace(finding, status=Status.MISMATCHED, text=text, fix=fix)
    return _broken(finding.name, module, answer, finding) if answer.error else finding


def _broken(name: str, module: str, answer: Answer, finding: Finding | None = None) -> Finding:
    missing = (answer.facts.get("missing") or "").partition(".")[0]
    fix = f"python -c 'import {module}' shows the whole traceback"
    if missing and find_spec(missing) is None:
        fix = f"pip install {missing}, if that is what its package is called"
    elif finding is not None:
        fix += f"; pip install --force-reinstall '{name}=={finding.found}'"
    base = finding or Finding(name, Status.BROKEN)
    return replace(base, status=Status.BROKEN, text=answer.error, fix=fix)


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """Tell a reason once: what fails as something before it does refers to that."""
    told: dict[str, str] = {}
    found = []
    for finding in findings:
        if finding.status is Status.BROKEN and finding.found:
            first = told.setdefault(finding.text, finding.name)
            if first != finding.name:
                finding = replace(finding, text=f"fails as {first} does", fix=None)
        found.append(finding)
    return found
