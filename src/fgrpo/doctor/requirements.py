"""What a distribution needs, as its own metadata has it."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.specifiers import SpecifierSet


def requirements(distribution: str, extra: str = "") -> list[Requirement]:
    """Return what a distribution needs here, or what one of its extras adds.

    Parameters
    ----------
    distribution
        Its name; it must be installed.
    extra
        One of its extras; empty for what it needs in any case. Extras that this one names of the
        same distribution, as in ``fgrpo[evaluate]``, are resolved.

    Returns
    -------
    list of Requirement
        Those whose markers hold on this Python and system, one for each name: where one is named
        twice, what satisfies both.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it is not installed.
    """
    return joined(_lines(distribution, extra, set()))


def _lines(distribution: str, extra: str, seen: set[str]) -> Iterable[Requirement]:
    seen.add(canonicalize_name(extra))
    for line in metadata.requires(distribution) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # of an old release; pip would not read it either
        if not _applies(requirement, extra):
            continue
        if canonicalize_name(requirement.name) != canonicalize_name(distribution):
            yield requirement
            continue
        for other in sorted(requirement.extras):
            if canonicalize_name(other) not in seen:
                yield from _lines(distribution, other, seen)


def _applies(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    always = marker is None or marker.evaluate({"extra": ""})
    if marker is None or not extra:
        return always and not extra
    return marker.evaluate({"extra": extra}) and not always


def joined(wanted: Iterable[Requirement]) -> list[Requirement]:
    """Return one requirement for each name, which satisfies all of that name."""
    found: dict[str, Requirement] = {}
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        if name in found:
            earlier = found[name]
            found[name] = Requirement(str(earlier))
            found[name].specifier = earlier.specifier & requirement.specifier
            found[name].extras = earlier.extras | requirement.extras
        else:
            found[name] = requirement
    return list(found.values())


def spelled(specifier: SpecifierSet) -> str | None:
    """Write a range from its lower end to its upper; None if any version will do."""
    order = (">=", ">", "~=", "==", "===", "<", "<=", "!=")
    return ",".join(map(str, sorted(specifier, key=lambda s: order.index(s.operator)))) or None


def extras(distribution: str) -> set[str]:
    """Return the extras that a distribution offers, by their canonical names.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it is not installed.
    """
    offered = metadata.metadata(distribution).get_all("Provides-Extra") or ()
    return {canonicalize_name(name) for name in offered}
