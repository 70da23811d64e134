"""What made a result: versions, commit, machine, command."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fgrpo
from fgrpo.cores import cores

PACKAGES = ("numpy", "scipy", "torch", "safetensors")


def provenance(
    command: str, device: str | None, packages: tuple[str, ...] = PACKAGES
) -> dict[str, Any]:
    """Describe this moment's program, machine and command.

    Parameters
    ----------
    command
        What the user typed.
    device
        Where the models run; None if another program knows.
    packages
        Distributions whose versions matter; one that is not installed is None.

    Returns
    -------
    dict
        Ready for JSON: ``fgrpo``, ``commit`` (None outside a checkout), ``python``,
        ``packages``, ``platform``, ``processor``, ``cores``, ``device``, ``command``, ``started``.
    """
    return {
        "fgrpo": fgrpo.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": cores(),
        "device": device,
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Name the checkout's commit, with a mark if it has changes; None for an installed package."""
    here = Path(fgrpo.__file__)
    try:
        # An installed package may lie inside another project's checkout: is it tracked there?
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()


def _processor() -> str:
    """Name the processor as the system does."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
