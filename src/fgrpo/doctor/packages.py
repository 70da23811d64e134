"""What is needed against what is installed, by metadata alone: nothing is imported."""

from __future__ import annotations

from collections import deque
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from fgrpo.doctor.finding import Finding, Status
from fgrpo.doctor.requirements import joined, requirements, spelled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.requirements import Requirement


def installed(name: str) -> str | None:
    """Return the version of a distribution: None without one, empty if its metadata tells none."""
    try:
        told = metadata.metadata(name).get_all("Version")
    except metadata.PackageNotFoundError:
        return None
    except FileNotFoundError:  # newer Pythons, of what a broken installation left
        told = None
    return str(told[0]) if told else ""


def satisfies(version: str, requirement: Requirement) -> bool | None:
    """Say whether a version will do; None if it is not a version by Python's rules."""
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return None


def check(requirement: Requirement) -> Finding:
    """Say whether a package is there in a version that will do."""
    name, wanted = requirement.name, spelled(requirement.specifier)
    fix = f"pip install '{name}{wanted or ''}'"
    found = installed(name)
    if found is None:
        if place := found_without_metadata(name):
            text = f"from {place}, which was not installed: its version is not known"
            return Finding(name, Status.NOTE, text, None, wanted)
        return Finding(name, Status.MISSING, "", None, wanted, fix)
    if not found:
        text = "half installed: its metadata tells no version"
        again = fix.replace("install ", "install --force-reinstall ", 1)
        return Finding(name, Status.BROKEN, text, None, wanted, again)
    match satisfies(found, requirement):
        case None:
            return Finding(name, Status.NOTE, "no version that can be compared", found, wanted)
        case True:
            return Finding(name, Status.OK, "", found, wanted)
    return Finding(name, Status.MISMATCHED, "", found, wanted, fix)


def found_without_metadata(name: str) -> Path | None:
    """Return where a package lies that can be imported but was not installed (``PYTHONPATH``)."""
    module = name.replace("-", "_")
    spec = find_spec(module) if module.isidentifier() else None
    # Any folder of that name would be a package without an origin.
    return Path(spec.origin).parent if spec and spec.origin else None


class _Need(NamedTuple):
    by: str
    requirement: Requirement
    depth: int


def needed_below(direct: Sequence[Requirement], aside: Iterable[str] = ()) -> list[Finding]:
    """Say what packages that are installed need in their turn and do not have.

    It is a fault where a package of `direct` needs it, and a note where one further down or of
    the distributions ``aside`` does: images and lock files that work often overrule such needs.
    """
    needs = list(_needs(direct, aside))
    everything = joined([*direct, *(need.requirement for need in needs)])
    together = {canonicalize_name(each.name): spelled(each.specifier) for each in everything}
    findings: list[Finding] = []
    named = set()
    for need in needs:
        name = canonicalize_name(need.requirement.name)
        if name in named and need.depth > 1:
            continue
        fix = f"pip install '{need.requirement.name}{together[name] or ''}'"
        if finding := _unmet(need, fix):
            named.add(name)
            findings.append(finding)
    return findings


def _needs(direct: Sequence[Requirement], aside: Iterable[str]) -> Iterator[_Need]:
    """Walk from these requirements down, breadth first, as far as packages are installed."""
    waiting = deque((each.name, extra, 1) for each in direct for extra in ("", *each.extras))
    waiting.extend((name, "", 2) for name in aside)
    seen = set()
    while waiting:
        name, extra, depth = waiting.popleft()
        version = installed(name)
        if not version or (canonicalize_name(name), extra) in seen:
            continue
        seen.add((canonicalize_name(name), extra))
        for requirement in requirements(name, extra):
            yield _Need(f"{name} {version}", requirement, depth)
            waiting.extend(
                (requirement.name, more, depth + 1) for more in ("", *requirement.extras)
            )


def _unmet(need: _Need, fix: str) -> Finding | None:
    name = need.requirement.name
    version = installed(name)
    if version is None and found_without_metadata(name):
        return None
    if version is not None and satisfies(version, need.requirement) is not False:
        return None
    fault = Status.BROKEN if version is None else Status.MISMATCHED
    status = fault if need.depth == 1 else Status.NOTE
    text = f"{'not there, but ' if version is None else ''}needed by {need.by}"
    return Finding(name, status, text, version, spelled(need.requirement.specifier), fix)


def module_of(name: str) -> str | None:
    """Return the module to import to see whether a distribution works; None if it has none."""
    distribution = metadata.distribution(name)
    told = (distribution.read_text("top_level.txt") or "").split()
    modules = told or sorted(
        {
            file.parts[0].removesuffix(".py")
            for file in distribution.files or ()
            if len(file.parts) > 1 or file.suffix == ".py"
        }
    )
    public = [each for each in modules if each.isidentifier() and not each.startswith("_")]
    for each in public:
        if _plain(each) == _plain(name):
            return each
    if public:
        return public[0]
    return guess if find_spec(guess := canonicalize_name(name).replace("-", "_")) else None


def _plain(name: str) -> str:
    return canonicalize_name(name).replace("-", "")


def hidden_by(name: str, module: str, origin: str | None) -> Path | None:
    """Return what ``import`` finds instead of an installed package: a file of the current folder.

    None where it is the package itself, or where that is installed as a link to its source.
    """
    distribution = metadata.distribution(name)
    own = {file.parts[0] for file in distribution.files or ()} & {module, f"{module}.py"}
    if not own or not origin:
        return None
    place = Path(origin).resolve()
    homes = (Path(str(distribution.locate_file(each))).resolve() for each in own)
    if any(place.is_relative_to(home) for home in homes):
        return None
    return place.parent if place.name == "__init__.py" else place
