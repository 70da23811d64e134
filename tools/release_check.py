"""Install the built wheel and sdist where nothing else is, and use them as a newcomer would.

    python tools/release_check.py dist

Tried is every Python of `PYTHONS` that is found on PATH and starts; which were not found is said.
The packages that pip chooses today are installed, not the pinned ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13")
TOOLS = Path(__file__).parent.resolve()
QUICK_START = TOOLS / "core_quickstart.py"
# A user's program: mypy must know the types, and refuse the last line.
TYPED = """\
from fgrpo.records import Record
right: bool = Record(problem="p", sample=0, correct=True).correct
wrong: str = Record(problem="p", sample=0, correct=True).correct
"""


def main() -> None:
    """Check each archive in the folder; leave with a code that tells whether all went well."""
    folder = Path(sys.argv[1]).resolve()
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    found = {wanted: python for wanted in PYTHONS if (python := interpreter(wanted))}
    with tempfile.TemporaryDirectory() as scratch:
        for wanted, python in found.items():
            use(python, wheel, Path(scratch) / wanted)
            print(f"Python {wanted}: {wheel.name} installs and works")
        if not found:
            sys.exit(f"none of Python {', '.join(PYTHONS)} is on PATH")
        first = next(iter(found))
        use(found[first], sdist, Path(scratch) / "sdist")
        print(f"Python {first}: {sdist.name} installs and works")
        types(Path(scratch) / first)
        print("mypy finds the types")
    missing = [wanted for wanted in PYTHONS if wanted not in found]
    print(f"Not tried, as not on PATH: {', '.join(missing)}" if missing else "All were tried")


def interpreter(wanted: str) -> str | None:
    """Return the first interpreter on PATH that is this version and starts."""
    for place in os.get_exec_path():
        path = Path(place) / f"python{wanted}"
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        if path.is_file() and os.access(path, os.X_OK):
            done = subprocess.run([path, "-c", code], capture_output=True, text=True)
            if done.returncode == 0 and done.stdout.strip() == wanted:
                return str(path)
    return None


def use(python: str, archive: Path, folder: Path) -> None:
    """Install an archive into an environment of its own, outside the checkout, and use it."""
    run([python, "-m", "venv", folder / "env"], folder.parent)
    own = folder / "env/bin/python"
    run([own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", archive], folder)
    run([own, "-m", "pip", "check"], folder)
    run([own, "-W", "error", "-c", "import fgrpo"], folder)
    work = folder / "work"
    work.mkdir()
    # -I: neither the script's folder nor anything of this user is on the path.
    run([own, "-I", QUICK_START], work)


def types(folder: Path) -> None:
    """Have mypy look at a program that uses the installed package."""
    program = folder / "typed.py"
    program.write_text(TYPED)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        folder / "cache",
    ]
    done = subprocess.run(
        [*command, "--python-executable", folder / "env/bin/python", program],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    if len(errors) != 1 or "typed.py:3:" not in errors[0]:
        sys.exit(f"mypy: one error in line 3 was expected\n{done.stdout}{done.stderr}")


def run(command: list[str | Path], folder: Path) -> None:
    """Run a command there, without what this environment would add; leave if it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
