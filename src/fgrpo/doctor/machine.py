"""The machine: Python, memory, offline settings, and what Ray wants of it."""

from __future__ import annotations

import os
import platform
import resource
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from fgrpo.cores import cores
from fgrpo.doctor.finding import Finding, Status

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_TRUE = ("1", "on", "yes", "true")
# Ray's own numbers: ray/_private/ray_constants.py, services.py and worker.py of 2.60.
_STORE_SHARE, _STORE_BYTES = 0.3, 10**10
_FILES_RAISED, _FILES_LOW = 65536, 4096


def python() -> Finding:
    """Compare this Python with what fgrpo's metadata asks for."""
    found = platform.python_version()
    text = f"{platform.system()} {platform.machine()}, {cores()} cores"
    if memory := free_memory():
        text += f", {memory / 2**30:.1f} GiB of memory free"
    try:
        (wanted,) = metadata.metadata("fgrpo").get_all("Requires-Python") or (None,)
    except metadata.PackageNotFoundError:
        wanted = None
    if wanted is None or SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding("Python", Status.OK, text, found, wanted)
    fix = f"make an environment with Python {wanted}"
    return Finding("Python", Status.MISMATCHED, text, found, wanted, fix)


def offline() -> Finding | None:
    """Say whether Hugging Face's libraries are told to download nothing."""
    told = [name for name in _OFFLINE if os.environ.get(name, "").lower() in _TRUE]
    if not told:
        return None
    text = f"off ({', '.join(told)}): models and data sets come from the cache only"
    return Finding("hub", Status.NOTE, text, fix=f"unset {' '.join(told)}")


def free_memory(root: Path = Path("/")) -> int | None:
    """Return the bytes this process may take, also of its container's; None off Linux."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        table = dict(line.split(":", 1) for line in lines)
        free = int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    group = root / "sys/fs/cgroup"
    try:
        limit = int((group / "memory.max").read_text())  # "max" without one
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return max(0, min(free, limit - used))


def shared_memory(folder: Path = Path("/dev/shm"), free: int | None = None) -> Finding | None:
    """Say whether Ray's object store fits into shared memory; if not it goes to a slower place."""
    free = free_memory() if free is None else free
    try:
        system = os.statvfs(folder)
    except OSError:
        return None
    there = system.f_frsize * system.f_bavail
    if free is None or there >= (wanted := min(int(_STORE_SHARE * free), _STORE_BYTES)):
        return None
    text = (
        f"{folder} has {there / 2**30:.2f} GiB free; Ray wants {wanted / 2**30:.1f} GiB there for "
        "its objects, and else keeps them on disk; NCCL needs it too"
    )
    fix = f"free it, or start the container with --shm-size={-(-wanted * 11 // 10 // 2**30)}g"
    return Finding("shared memory", Status.NOTE, text, fix=fix)


def open_files(limits: tuple[int, int] | None = None) -> Finding | None:
    """Say whether Ray, which raises the soft limit as far as it may, has too few open files."""
    soft, hard = limits or resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        return None
    raised = max(soft, min(hard, _FILES_RAISED))
    if raised >= _FILES_LOW:
        return None
    text = f"at most {raised}; below {_FILES_LOW} Ray's connections may fail"
    return Finding("open files", Status.NOTE, text, fix="ulimit -n 8192")
