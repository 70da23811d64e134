"""PyTorch's build against the devices of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.doctor.finding import Finding, Status
from fgrpo.doctor.process import Answer, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BUILDS = 'PyTorch\'s page "Get started" has the command for your driver'
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # vendor, and class of graphics and compute devices, on PCI
_QUERY = ("--query-gpu=name,driver_version", "--format=csv,noheader")


def look() -> dict[str, Any]:
    """Tell what PyTorch was built for and what it can use (in a process of its own)."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    facts: dict[str, Any] = {
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "usable": usable,
        "devices": [],
        "mps": torch.backends.mps.is_available(),
        "said": one_line(str(said[-1].message)) if said else "",
        "error": "",
    }
    if usable:
        count = torch.cuda.device_count()
        facts["devices"] = [torch.cuda.get_device_name(index) for index in range(count)]
        try:
            # That a device is there does not mean that this build has code for it.
            torch.ones(2, device="cuda").sum().item()
        except RuntimeError as problem:
            facts["error"] = one_line(str(problem))
    return facts


@dataclass(frozen=True, slots=True)
class Hardware:
    """NVIDIA devices as the system has them, PyTorch aside.

    Parameters
    ----------
    devices
        Their names, from nvidia-smi.
    driver
        Its version.
    problem
        Why nvidia-smi could tell nothing, if it is there.
    on_bus
        Whether there is one on the PCI bus, with a driver or without.
    """

    devices: tuple[str, ...] = ()
    driver: str = ""
    problem: str = ""
    on_bus: bool = False


def hardware(root: Path = Path("/")) -> Hardware:
    """Ask the system, below ``root``, and nvidia-smi for NVIDIA devices."""
    on_bus = any(
        _read(vendor) == _NVIDIA and _read(vendor.with_name("class")).startswith(_DISPLAY)
        for vendor in root.glob("sys/bus/pci/devices/*/vendor")
    )
    program = shutil.which("nvidia-smi")
    if program is None:
        nodes = tuple(root.glob("dev/nvidia[0-9]*"))
        return Hardware(("NVIDIA device",) * len(nodes), on_bus=on_bus)
    try:
        done = subprocess.run(
            [program, *_QUERY], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return Hardware(problem=one_line(f"nvidia-smi: {problem}"), on_bus=on_bus)
    if done.returncode:
        said = done.stdout.strip() or done.stderr.strip() or f"exit code {done.returncode}"
        return Hardware(problem=one_line(f"nvidia-smi: {said}"), on_bus=on_bus)
    rows = [line.rpartition(", ") for line in done.stdout.splitlines() if line.strip()]
    return Hardware(tuple(row[0] for row in rows), rows[0][2] if rows else "", on_bus=on_bus)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def finding(version: str | None, answer: Answer, there: Hardware) -> Finding | None:
    """Judge what `look` answered by what `hardware` found; None if PyTorch cannot be imported."""
    if answer.error:
        return None
    facts = answer.facts
    build = _build(facts)

    def of(status: Status, text: str, fix: str | None = None) -> Finding:
        return Finding("torch", status, f"{build}; {text}", version, None, fix)

    if facts["usable"]:
        if not facts["error"]:
            return of(Status.OK, _count(facts["devices"]))
        text = f"a first computation on {_count(facts['devices'])} failed: {facts['error']}"
        if "out of memory" in facts["error"].lower():
            return of(Status.NOTE, text, "end what else uses the device")
        return of(Status.MISMATCHED, text, f"install a build for this device: {_BUILDS}")
    if facts["mps"]:
        return of(Status.OK, "Apple's GPU by Metal (MPS)")
    if there.problem:
        text = f"the NVIDIA driver does not work: {there.problem}"
        return of(Status.MISMATCHED, text, "restart the machine, or install its driver again")
    if there.devices:
        return _unused(of, facts, there)
    if there.on_bus:
        text = "an NVIDIA device is on the bus, without a driver here: all runs on the processor"
        return of(Status.NOTE, text, "install NVIDIA's driver; start a container with --gpus all")
    return of(Status.OK, "no GPU here: all runs on the processor")


def _unused(of: Callable[..., Finding], facts: dict[str, Any], there: Hardware) -> Finding:
    """Say why PyTorch does not use NVIDIA devices whose driver works."""
    text = f"it cannot use {_count(there.devices)}"
    if there.driver:
        text += f" (driver {there.driver})"
    if facts["cuda"] is None:
        return of(Status.MISMATCHED, text, f"install a build with CUDA: {_BUILDS}")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and not facts["said"]:
        text = f"CUDA_VISIBLE_DEVICES={hidden!r} leaves it none of {_count(there.devices)}"
        return of(Status.NOTE, text, "unset CUDA_VISIBLE_DEVICES")
    return of(
        Status.MISMATCHED,
        f"{text}: {facts['said']}" if facts["said"] else text,
        f"update NVIDIA's driver, or install a build for an older CUDA: {_BUILDS}",
    )


def _build(facts: dict[str, Any]) -> str:
    for name, key in (("CUDA", "cuda"), ("ROCm", "hip")):
        if facts[key]:
            return f"{name} {facts[key]} build"
    return "CPU build"


def _count(devices: Sequence[str]) -> str:
    return ", ".join(f"{number} × {name}" for name, number in Counter(devices).items())
