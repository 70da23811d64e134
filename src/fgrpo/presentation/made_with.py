"""What made a run, as rows of name and value for its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def environment_rows(starts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """List versions, machine and command; several starts of a run show what differed.

    Parameters
    ----------
    starts
        The notes of `fgrpo.run_folder.note_start`.
    """

    def row(name: str, value: Callable[[Mapping[str, Any]], Any]) -> tuple[str, str]:
        found = dict.fromkeys(str(one) for one in map(value, starts) if one not in (None, ""))
        return name, "; ".join(found) or "not recorded"

    return [
        row("Command", lambda start: start.get("command")),
        row("Started", lambda start: start.get("started")),
        row("fgrpo", lambda start: start.get("fgrpo")),
        row("Commit", lambda start: start.get("commit")),
        row("Python", lambda start: start.get("python")),
        row("Packages", _packages),
        row("System", lambda start: start.get("platform")),
        row("Processor", _processor),
        row("Device", lambda start: start.get("device")),
    ]


def _packages(start: Mapping[str, Any]) -> str:
    packages = start.get("packages")
    known = packages.items() if isinstance(packages, dict) else ()
    return ", ".join(f"{name} {version}" for name, version in known if version)


def _processor(start: Mapping[str, Any]) -> str:
    parts = [str(start["processor"])] if start.get("processor") else []
    if start.get("cores"):
        parts.append(f"{start['cores']} cores")
    return ", ".join(parts)
