"""One fact about the environment, and what they add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What a finding means for the part it is about."""

    OK = "ok"
    NOTE = "note"
    MISSING = "missing"
    MISMATCHED = "mismatched"
    BROKEN = "broken"


class State(StrEnum):
    """Whether a part can be used."""

    READY = "ready"
    ABSENT = "not installed"
    UNUSABLE = "unusable"


FAULTS = frozenset({Status.MISMATCHED, Status.BROKEN})


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact.

    Parameters
    ----------
    name
        The package or thing it is about.
    status
        What it means.
    text
        What there is to say beyond the versions, in one line.
    found
        The version that is there.
    supported
        The versions that would do.
    fix
        The command that puts it right, or what to do.
    """

    name: str
    status: Status
    text: str = ""
    found: str | None = None
    supported: str | None = None
    fix: str | None = None


@dataclass(slots=True)
class Section:
    """The findings about one part, or about the machine."""

    name: str
    purpose: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def state(self) -> State:
        """Unusable with any fault, not installed if all that is wrong is that something misses."""
        statuses = {finding.status for finding in self.findings}
        if statuses & FAULTS:
            return State.UNUSABLE
        return State.ABSENT if Status.MISSING in statuses else State.READY

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"state": self.state.value, "findings": [asdict(each) for each in self.findings]}


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Parameters
    ----------
    fgrpo
        The version of fgrpo.
    system
        The machine.
    parts
        The parts that were looked at.
    named
        Whether these parts were asked for by name: then each must be there.
    """

    fgrpo: str
    system: Section
    parts: list[Section]
    named: bool

    @property
    def ok(self) -> bool:
        """Whether nothing installed has a fault, and whatever was asked for by name is there."""
        states = {section.state for section in (self.system, *self.parts)}
        return State.UNUSABLE not in states and not (self.named and State.ABSENT in states)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "fgrpo": self.fgrpo,
            "ok": self.ok,
            "system": self.system.as_dict(),
            "parts": {section.name: section.as_dict() for section in self.parts},
        }
