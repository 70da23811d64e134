"""Virtual environments made for ``fgrpo doctor``.

Each holds this source with the metadata of pyproject.toml, some real packages, and stand-ins for
others in whatever version and state a test asks for.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import tomllib
import venv
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement

from fgrpo import __version__

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PARTS = ["core", *(name for name in EXTRAS if name != "dev")]
# What commands are made of; scipy and matplotlib are not, and slow to import.
REAL = ["jinja2", "numpy", "packaging", "pydantic", "pyyaml", "rich", "typer"]
TORCH = """
class version:
    cuda, hip = {cuda!r}, None
class Sum:
    def sum(self): return self
    def item(self):
        if {fails!r}: raise RuntimeError({fails!r})
def ones(*_, **__): return Sum()
class cuda:
    device_count = staticmethod(lambda: 2)
    get_device_name = staticmethod(lambda _: "NVIDIA H100")
    @staticmethod
    def is_available():
        if {warns!r}:
            import warnings
            warnings.warn({warns!r})
        return {usable!r}
class backends:
    class mps:
        is_available = staticmethod(lambda: {mps!r})
"""


def torch(cuda=None, usable=False, fails="", warns="", mps=False):
    return TORCH.format(cuda=cuda, usable=usable, fails=fails, warns=warns, mps=mps)


class Environment:
    def __init__(self, folder, real=REAL):
        self.folder = folder
        venv.create(folder / "env", symlinks=True)
        (self.site,) = (folder / "env" / "lib").glob("python*/site-packages")
        self.work = folder / "work"
        self.bin = folder / "bin"
        self.work.mkdir()
        self.bin.mkdir()
        for name in real:
            self.link(name)
        (self.site / "fgrpo.pth").write_text(str(ROOT / "src"))
        lines = [f"Requires-Dist: {line}" for line in PROJECT["dependencies"]]
        for extra, needs in EXTRAS.items():
            lines += [f"Provides-Extra: {extra}"]
            lines += [f'Requires-Dist: {line}; extra == "{extra}"' for line in needs]
        lines += [f"Requires-Python: {PROJECT['requires-python']}"]
        self.metadata("fgrpo", __version__, lines)
        plugins = PROJECT["entry-points"]["verl.plugins"]
        text = "".join(f"{name} = {value}\n" for name, value in plugins.items())
        self.info("fgrpo").joinpath("entry_points.txt").write_text(f"[verl.plugins]\n{text}")
        for line in PROJECT["dependencies"]:
            if Requirement(line).name not in real:
                self.add(line)

    def link(self, name, seen=()):
        """Take a real package, and all it needs that is there, from where the tests run."""
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return
        for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            place, real = self.site / top, Path(found.locate_file(top)).resolve()
            if place.exists():
                continue
            if real.suffix == ".dist-info":
                shutil.copytree(real, place)
            elif real.is_dir():
                place.symlink_to(real)  # gigabytes, and never written to here
            else:
                shutil.copy(real, place)
        for line in found.requires or ():
            need = Requirement(line)
            if need.name not in seen and (not need.marker or need.marker.evaluate({"extra": ""})):
                self.link(need.name, (*seen, need.name))

    def info(self, name):
        (found,) = self.site.glob(f"{name.replace('-', '_')}-*.dist-info")
        return found

    def forget(self, name):
        for old in self.site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            assert not old.is_symlink()
            shutil.rmtree(old)

    def metadata(self, name, version, lines=()):
        self.forget(name)
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        folder.joinpath("METADATA").write_text("\n".join([*head, *lines, ""]))

    def add(self, line, version=None, code="", needs=()):
        """Put a stand-in there: by default of the oldest version that will do."""
        need = Requirement(line)
        known = (Requirement(each) for each in [*chain(*EXTRAS.values()), line])
        specifier = next(each for each in known if each.name == need.name).specifier
        lowest = [one.version for one in specifier if one.operator in (">=", "==")]
        module = need.name.replace("-", "_")
        if need.name == "torch" and not code:
            code = torch()
        if (self.site / module).is_symlink():
            (self.site / module).unlink()  # the link to the real one
        (self.site / f"{module}.py").write_text(code)
        lines = [f"Requires-Dist: {one}" for one in needs]
        self.metadata(need.name, version or (lowest or ["1.0"])[0], lines)
        self.info(need.name).joinpath("RECORD").write_text(f"{module}.py,,\n")

    def add_part(self, name):
        for line in EXTRAS[name]:
            if line.startswith("fgrpo["):
                self.add_part(line.removeprefix("fgrpo[").rstrip("]"))
            else:
                self.add(line)

    def remove(self, name):
        self.forget(name)
        (self.site / f"{name}.py").unlink()

    def script(self, name, text):
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def command(self, *arguments):
        python = self.folder / "env" / "bin" / "python"
        return [str(python), "-m", "fgrpo", "doctor", *arguments]

    def variables(self, **changes):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "VERL_", "CUDA_"))}
        kept["PATH"] = f"{self.bin}:/usr/bin:/bin"
        return {**kept, **changes}

    def run(self, *arguments, **changes):
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.work,
            env=self.variables(**changes),
        )

    def json(self, *arguments, **changes):
        done = self.run("--json", *arguments, **changes)
        assert done.stderr == ""
        report = json.loads(done.stdout)
        assert done.returncode == (0 if report["ok"] else 1)
        return report

    def about(self, part, name, *arguments, **changes):
        """The findings of one name in one part."""
        found = self.json(part, *arguments, **changes)["parts"][part]["findings"]
        return [finding for finding in found if finding["name"] == name]
