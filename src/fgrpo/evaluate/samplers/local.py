"""Models in local folders, told from names on the hub."""

from __future__ import annotations

from pathlib import Path

from fgrpo.errors import UsageError


def refuse_missing(name: str, what: str = "model") -> None:
    """Refuse what looks like a path but is not there, before the hub is asked for it in vain.

    A name on the hub is ``owner/name``. A path begins with ``.``, ``/`` or ``~``, or has more
    slashes, or lies in a folder that there is.

    Raises
    ------
    UsageError
        If it is a path to nothing.
    """
    path = Path(name)
    owner, slash, rest = name.partition("/")
    told = name.startswith((".", "/", "~")) or "/" in rest
    if path.exists() or not (told or (slash and Path(owner).is_dir())):
        return
    if name.startswith("~"):
        raise UsageError(f"{what} {name!r} cannot be opened: write the home folder in full for ~")
    hub = "" if told else f"; for {name} of the hub work in a folder that has no {owner}"
    raise UsageError(f"{what} {name!r} cannot be opened: no such folder{hub}")
