"""Write which packages each part of fgrpo installs, and under which licences.

    python tools/licences.py PYTHON VERL_PYTHON > docs/licences.md

``PYTHON`` is the interpreter of an environment with the extra ``dev``, ``VERL_PYTHON`` of one with
the extra ``verl``. What a part needs is followed through the metadata of what is installed there;
licences are what pip-licenses finds the packages to declare.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT = Path(__file__).parent.parent / "pyproject.toml"
CORE, VERL, DEV = "core", "verl", "dev"
COPYLEFT = re.compile(r"\b[AL]?GPL|\bMPL|\bMozilla|\bEPL|\bEclipse|\bCDDL|\bEUPL|\bGNU", re.I)
# Read by hand, as their metadata says nothing.
BY_HAND = {"zss": "none declared; its licence file is the text of BSD-3-Clause"}
HEAD = """\
# Licences of what is installed

fgrpo itself is under Apache-2.0. These packages are installed with it, at the versions of
`constraints.txt` (for verl, `constraints-verl.txt`), on Linux. The licence is what each package
declares of itself: not legal advice, and not an audit of what it carries inside. Wheels often
carry libraries: those of NumPy and SciPy name, in their own licence files, the GCC runtime under
GPL-3.0 with the GCC exception, which lets programs under any licence use it.
"""
TAIL = """
What other builds bring is not listed: PyTorch for NVIDIA GPUs installs `nvidia-*` packages under
NVIDIA's own terms. Models and data sets have licences of their own;
`fgrpo evaluate --list` names those of the benchmarks.

Written by `make licences`; do not edit.
"""


def main() -> None:
    """Print the page."""
    python, verl_python = sys.argv[1:]
    needs = parts()
    reached: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    declared: dict[str, str] = {}
    for each, chosen in ((python, needs.keys() - {VERL}), (verl_python, {VERL})):
        there = installed(each)
        declared = licences(each) | declared
        for part in chosen:
            for name in closure(needs[part], there):
                reached.setdefault(name, set()).add(part)
                names.setdefault(name, there[name].metadata["Name"])
    rows = {
        names[name]: (BY_HAND.get(name) or declared[name], found)
        for name, found in sorted(reached.items())
    }
    users = {name: row for name, row in rows.items() if row[1] != {DEV}}
    print(HEAD)
    print(_sentence(users) + "\n")
    print(_table(users, list(needs)))
    print("\nOnly contributors (`make setup`) also install:\n")
    print(_table({name: row for name, row in rows.items() if name not in users}, []))
    print(TAIL, end="")


def parts() -> dict[str, list[Requirement]]:
    """Return the requirements of the core and of each extra, as pyproject.toml has them."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = {
        name: [Requirement(text) for text in texts]
        for name, texts in project["optional-dependencies"].items()
    }

    def flat(needs: Iterable[Requirement]) -> list[Requirement]:
        found = []
        for need in needs:
            own = need.name == project["name"]
            found += [x for extra in need.extras for x in flat(extras[extra])] if own else [need]
        return found

    core = [Requirement(text) for text in project["dependencies"]]
    return {CORE: core} | {name: flat(needs) for name, needs in extras.items()}


def installed(python: str) -> dict[str, Distribution]:
    """Return what an environment holds, by canonical name."""
    code = "import sysconfig; print(*{sysconfig.get_path(x) for x in ('purelib', 'platlib')})"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found = distributions(path=done.stdout.split())
    return {canonicalize_name(each.metadata["Name"]): each for each in found}


def licences(python: str) -> dict[str, str]:
    """Return what each package of an environment declares, by canonical name."""
    command = [sys.executable, "-m", "piplicenses", f"--python={python}", "--format=json"]
    done = subprocess.run(
        [*command, "--from=mixed", "--with-system"], capture_output=True, text=True, check=True
    )
    return {
        canonicalize_name(each["Name"]): " ".join(each["License"].split())
        for each in json.loads(done.stdout)
    }


def closure(needs: Iterable[Requirement], there: dict[str, Distribution]) -> set[str]:
    """Return all that these requirements bring, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(needs)
    while waiting:
        need = waiting.pop()
        name, extras = canonicalize_name(need.name), frozenset(need.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in there:
            sys.exit(f"{need} is not installed: run make setup and make test-verl first")
        for text in there[name].requires or ():
            below = Requirement(text)
            asked = [{"extra": extra} for extra in ("", *extras)]
            if below.marker is None or any(below.marker.evaluate(each) for each in asked):
                waiting.append(below)
    return {name for name, _ in seen}


def _sentence(rows: dict[str, tuple[str, set[str]]]) -> str:
    """Name the copyleft ones."""
    found = [f"{name} ({licence})" for name, (licence, _) in rows.items() if _copyleft(licence)]
    unknown = [f"{name} ({licence})" for name, (licence, _) in rows.items() if _none(licence)]
    text = (
        f"**Copyleft**, in whole or in part: {', '.join(found)}. MPL-2.0 asks that changed files "
        "of theirs are published when they are passed on; it does not reach your code."
        if found
        else "None declares a copyleft licence."
    )
    strong = [one for one in found if re.search(r"GPL|GNU", one, re.I)]
    text += "" if strong else " None declares a licence of the GPL family."
    return text + (f" **Without a declared licence**: {', '.join(unknown)}." if unknown else "")


def _table(rows: dict[str, tuple[str, set[str]]], parts: list[str]) -> str:
    """Write the rows; what the core has all parts have, so that it stands alone."""
    head = ["package", "licence", "copyleft", "comes with"][: None if parts else 3]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, (licence, found) in rows.items():
        cells = [name, licence, "yes" if _copyleft(licence) else ""]
        if parts:
            among = [CORE] if CORE in found else [x for x in parts if x in found and x != DEV]
            cells.append(", ".join(among))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _copyleft(licence: str) -> bool:
    return bool(COPYLEFT.search(licence))


def _none(licence: str) -> bool:
    return licence == "UNKNOWN" or licence.startswith("none")


if __name__ == "__main__":
    main()
