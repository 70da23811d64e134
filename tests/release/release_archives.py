"""Building the wheel and the sdist from copies of the tree."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What lies about in a checkout that was worked in, and what never belongs to a release.
LITTER = (
    ".env",
    "notes.txt",
    "build/lib/fgrpo/old.py",
    "dist/fgrpo-0.0.1.tar.gz",
    "docs/runs/plan/report.html",
    "runs/maze-small/summary.json",
    "src/fgrpo.egg-info/PKG-INFO",
    "src/fgrpo/__pycache__/errors.cpython-311.pyc",
    "src/fgrpo/simulation/kernel.one_step-1.py311.nbi",
    "src/fgrpo/simulation/kernel.one_step-1.py311.1.nbc",
    "tests/__pycache__/conftest.cpython-311.pyc",
)
_NOT_COPIED = ("__pycache__", "build", "dist", "runs", "site")


@dataclass(frozen=True)
class Built:
    """The tree without litter, both archives, and the names of the files in them.

    Those of the sdist are without its top folder.
    """

    tree: Path
    wheel: Path
    sdist: Path
    in_wheel: frozenset[str]
    in_sdist: frozenset[str]

    def read(self, ending: str) -> str:
        """Return the one file of the wheel whose name ends so."""
        (name,) = (name for name in self.in_wheel if name.endswith(ending))
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.read(name).decode()


def copy_tree(to: Path, tree: Path = ROOT) -> Path:
    """Copy what a build could see, without environments and caches."""

    def skip(folder: str, names: list[str]) -> set[str]:
        hidden = {name for name in names if name.startswith(".")} - {".gitignore", ".ci"}
        return {*hidden, *_NOT_COPIED} & {*names}

    shutil.copytree(tree, to, ignore=skip)
    return to


def build(tree: Path, out: Path, *options: str) -> None:
    """Build with the tools that are installed, as ``make dist`` does."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), *options]
    environment = {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [*command, str(tree)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
