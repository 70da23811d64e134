"""``fgrpo doctor`` in environments made for it: what it finds, what it prints, its exit codes.

Each environment is a virtual environment of its own that holds this source with the metadata of
pyproject.toml, some real packages, and stand-ins for others in whatever version and state a test
asks for.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
import tomllib
import venv
from functools import partial
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fgrpo import __version__

pytestmark = pytest.mark.slow

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


@pytest.fixture
def bare(tmp_path):
    """The core, and nothing else."""
    return Environment(tmp_path)


@pytest.fixture
def lab(bare):
    bare.add_part("lab")
    return bare


# --- parts that are there, or not ----------------------------------------------------------------


def test_a_bare_installation_is_in_order(bare):
    done = bare.run()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == f"fgrpo {PROJECT['version']}"
    assert "verl: not installed (f_grpo in verl)" in lines
    start = lines.index("verl: not installed (f_grpo in verl)")
    assert lines[start + 1].startswith("  missing: ")
    assert "verl (==0.9.1)" in lines[start + 1]
    assert lines[start + 2] == "    fix: pip install '.[verl]' in the folder of fgrpo's source"
    assert lines[-2:] == ["ready: core", f"not installed: {', '.join(PARTS[1:])}"]
    assert done.stderr == ""


def test_every_extra_is_a_part_with_the_packages_of_pyproject(bare):
    def wanted(extra):
        for line in EXTRAS[extra] if extra else PROJECT["dependencies"]:
            if inner := re.fullmatch(r"fgrpo\[(.*)\]", line):
                yield from wanted(inner[1])
            else:
                yield Requirement(line).name, Requirement(line).specifier

    parts = bare.json("--quick")["parts"]
    assert list(parts) == PARTS
    for name, part in parts.items():
        found = {
            (finding["name"], frozenset((finding["supported"] or "").split(",")))
            for finding in part["findings"]
        }
        expected = {
            (package, frozenset(str(specifier).split(",")))
            for package, specifier in wanted("" if name == "core" else name)
        }
        assert found == expected


def test_a_part_asked_for_by_name_must_be_there(bare):
    done = bare.run("verl")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "not installed: verl"
    assert "lab" not in done.stdout
    assert bare.run("core").returncode == 0
    assert bare.run("core", "lab").returncode == 1


def test_a_part_that_is_there_is_ready(lab):
    done = lab.run("lab")
    assert done.returncode == 0
    assert "  torch 2.6 (>=2.6), safetensors 0.4.3 (>=0.4.3)" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "ready: lab"


def test_an_unknown_part_is_bad_usage(bare):
    done = bare.run("lab", "vllm")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"fgrpo: fgrpo has no part 'vllm'; it has {', '.join(PARTS)}\n"


def test_help_names_the_parts(bare):
    done = bare.run("--help", COLUMNS="200")
    assert ", ".join(PARTS) in done.stdout


def test_json_has_one_form(lab):
    lab.add("torch", "2.5")
    report = lab.json()
    assert set(report) == {"fgrpo", "ok", "system", "parts"}
    assert report["fgrpo"] == __version__
    assert report["ok"] is False
    for section in (report["system"], *report["parts"].values()):
        assert set(section) == {"state", "findings"}
        assert section["state"] in ("ready", "not installed", "unusable")
        for finding in section["findings"]:
            assert set(finding) == {"name", "status", "text", "found", "supported", "fix"}
            assert finding["status"] in ("ok", "note", "missing", "mismatched", "broken")
            if finding["status"] in ("missing", "mismatched", "broken"):
                assert finding["fix"]
    assert {
        "name": "torch",
        "status": "mismatched",
        "text": "",
        "found": "2.5",
        "supported": ">=2.6",
        "fix": "pip install 'torch>=2.6'",
    } in report["parts"]["lab"]["findings"]


def test_an_installation_older_than_the_command_says_so(bare):
    lines = [f"Requires-Dist: {line}" for line in PROJECT["dependencies"]]
    bare.metadata("fgrpo", "0.0.9", lines)
    ((finding),) = bare.json("verl")["parts"]["verl"]["findings"]
    assert finding["status"] == "missing"
    assert "older than this command" in finding["text"]
    assert finding["fix"] == "pip install '.[verl]' in the folder of fgrpo's source"


def test_a_source_folder_without_metadata_says_so(bare):
    info = bare.info("fgrpo")
    info.rename(info.with_suffix(".away"))
    report = bare.json("--quick")
    assert {part["state"] for part in report["parts"].values()} == {"not installed"}
    (finding,) = report["parts"]["core"]["findings"]
    assert "was not installed" in finding["text"]


# --- versions ------------------------------------------------------------------------------------


def test_an_unsupported_version_is_told_with_the_fix(lab):
    lab.add("torch", "2.5.1+cu124")
    done = lab.run()
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    start = lines.index("  mismatched: torch 2.5.1+cu124 (supported: >=2.6)")
    assert lines[start + 1] == "    fix: pip install 'torch>=2.6'"
    assert "unusable: lab, transformers, trl, verl" in lines


@pytest.mark.parametrize("version", ["2.6", "2.6.0+cpu", "2.13.0a0+git123", "10.0"])
def test_supported_versions(lab, version):
    lab.add("torch", version)
    (finding,) = lab.about("lab", "torch", "--quick")
    assert (finding["status"], finding["found"]) == ("ok", version)


def test_a_version_that_is_none_is_a_note(lab):
    lab.add("torch", "unknown")
    (finding,) = lab.about("lab", "torch", "--quick")
    assert finding["status"] == "note"
    assert lab.run("lab", "--quick").returncode == 0


def test_a_half_installed_package_is_broken(lab):
    lab.info("torch").joinpath("METADATA").unlink()
    (finding,) = lab.about("lab", "torch")
    assert finding["status"] == "broken"
    assert finding["fix"] == "pip install --force-reinstall 'torch>=2.6'"


def test_a_package_beside_the_environment_has_no_known_version(bare):
    bare.add("safetensors")
    (bare.folder / "other").mkdir()
    (bare.folder / "other" / "torch.py").write_text(torch())
    (finding,) = bare.about("lab", "torch", PYTHONPATH=str(bare.folder / "other"))
    assert finding["status"] == "note"
    assert str(bare.folder / "other") in finding["text"]


def test_what_a_package_needs_itself(lab):
    lab.add("torch", needs=["sympy>=1.13", "networkx", "left-out; extra == 'x'"])
    lab.add("sympy", "1.12", needs=["mpmath>=2"])
    lab.add("mpmath", "1.3")
    found = lab.json("lab")["parts"]["lab"]
    told = {(f["name"], f["status"], f["text"], f["fix"]) for f in found["findings"][2:]}
    assert told == {
        ("sympy", "mismatched", "needed by torch 2.6", "pip install 'sympy>=1.13'"),
        ("networkx", "broken", "not there, but needed by torch 2.6", "pip install 'networkx'"),
        ("mpmath", "note", "needed by sympy 1.12", "pip install 'mpmath>=2'"),
    }


def test_the_fix_satisfies_all_who_need_a_package(lab):
    lab.add("torch", needs=["sympy>=1.13"])
    lab.add("safetensors", needs=["sympy<1.14,!=1.13.1"])
    lab.add("sympy", "1.12")
    (finding,) = lab.about("lab", "sympy", "--quick")
    assert (finding["text"], finding["supported"]) == ("needed by torch 2.6", ">=1.13")
    assert finding["fix"] == "pip install 'sympy>=1.13,<1.14,!=1.13.1'"


def test_what_is_missing_further_down_is_no_fault(lab):
    lab.add("torch", needs=["sympy"])
    lab.add("sympy", "1.12", needs=["mpmath"])
    done = lab.run("lab")
    assert done.returncode == 0
    assert "  note: mpmath: not there, but needed by sympy 1.12" in done.stdout.splitlines()


# --- imports -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise ImportError('libcudart.so.13: not found')", "ImportError: libcudart.so.13: not"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV"),
        ("import os, sys\nsys.stderr.write('no\\nlicence\\n\\n')\nos._exit(3)", "code 3: licence"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("None.apply", "AttributeError: 'NoneType' object has no attribute 'apply'"),
    ],
)
def test_an_import_that_fails_is_found_and_the_others_are_judged(lab, code, told):
    lab.add("torch", code=code)
    report = lab.json()
    assert report["ok"] is False
    found = {finding["name"]: finding for finding in report["parts"]["lab"]["findings"]}
    assert found["torch"]["status"] == "broken"
    assert told in found["torch"]["text"]
    assert "python -c 'import torch'" in found["torch"]["fix"]
    assert found["safetensors"]["status"] == "ok"
    assert report["parts"]["core"]["state"] == "ready"


def test_what_an_import_prints_stays_out_of_the_output(lab):
    lab.add("torch", code="print('{'); import os; os.write(1, b'[')\n" + torch())
    assert lab.json("lab")["ok"] is True


def test_the_package_behind_a_failed_import_is_named(lab):
    code = (
        "try:\n    import weave.core\nexcept ImportError as e:\n    raise RuntimeError('no') from e"
    )
    lab.add("safetensors", "0.5", code=code)
    (finding,) = lab.about("lab", "safetensors")
    assert finding["text"] == "ModuleNotFoundError: No module named 'weave'"
    assert finding["fix"].startswith("pip install weave")


def test_a_reason_is_told_once(lab):
    lab.add("torch", code="raise ImportError('no libcudart')")
    lab.add("safetensors", "0.5", code="import torch")
    found = {f["name"]: f for f in lab.json("lab")["parts"]["lab"]["findings"]}
    assert found["torch"]["text"] == "ImportError: no libcudart"
    assert found["safetensors"]["text"] == "fails as torch does"


def test_a_file_that_hides_a_package_is_found(lab):
    (lab.work / "torch.py").write_text(torch())
    (finding,) = lab.about("lab", "torch")
    assert finding["status"] == "mismatched"
    assert str(lab.work / "torch.py") in finding["text"]


def test_quick_imports_nothing(lab):
    lab.add("torch", code="open('imported', 'w').close()\n" + torch())
    assert lab.run("--quick").returncode == 0
    assert not (lab.work / "imported").exists()
    assert lab.run("lab").returncode == 0
    assert (lab.work / "imported").exists()


def test_a_package_of_several_parts_is_imported_once(lab):
    lab.add_part("transformers")
    lab.add("torch", code="print('once', file=open('imported', 'a'))\n" + torch())
    report = lab.json("lab", "transformers")
    assert (lab.work / "imported").read_text() == "once\n"
    assert {part["state"] for part in report["parts"].values()} == {"ready"}


def test_interrupted_it_ends_at_once_with_what_it_started(lab):
    code = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    lab.add("torch", code=code)
    pid = lab.work / "pid"
    with subprocess.Popen(
        lab.command("lab"),
        cwd=lab.work,
        env=lab.variables(),
        stderr=subprocess.PIPE,
        text=True,
        # Started in the background, these tests ignore the signal, and so would what they start.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        _wait_for(lambda: pid.exists() and pid.read_text())
        process.send_signal(signal.SIGINT)
        try:
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.strip() == "Stopped."
    _wait_for(lambda: not Path(f"/proc/{pid.read_text()}").exists())


def _wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- devices -------------------------------------------------------------------------------------

SMI = "echo 'NVIDIA H100, 580.65'; echo 'NVIDIA H100, 580.65'"


@pytest.mark.parametrize(
    ("built", "smi", "changes", "status", "told"),
    [
        ({}, None, {}, "ok", "CPU build; no GPU here"),
        ({"cuda": "13.0"}, None, {}, "ok", "CUDA 13.0 build; no GPU here"),
        ({"mps": True}, None, {}, "ok", "Metal"),
        ({"cuda": "13.0", "usable": True}, SMI, {}, "ok", "2 × NVIDIA H100"),
        (
            {},
            SMI,
            {},
            "mismatched",
            "CPU build; it cannot use 2 × NVIDIA H100 (driver 580.65): install a build with CUDA",
        ),
        (
            {"cuda": "13.0", "warns": "driver too old"},
            SMI,
            {},
            "mismatched",
            "it cannot use 2 × NVIDIA H100 (driver 580.65): driver too old: update NVIDIA's driver",
        ),
        (
            {"cuda": "13.0"},
            SMI,
            {"CUDA_VISIBLE_DEVICES": ""},
            "note",
            "CUDA_VISIBLE_DEVICES='' leaves it none of 2 × NVIDIA H100",
        ),
        (
            {"cuda": "11.8", "usable": True, "fails": "no kernel image is available"},
            SMI,
            {},
            "mismatched",
            "a first computation on 2 × NVIDIA H100 failed: no kernel image",
        ),
        (
            {"cuda": "13.0", "usable": True, "fails": "CUDA out of memory"},
            SMI,
            {},
            "note",
            "out of memory",
        ),
        (
            {"cuda": "13.0"},
            "echo 'Driver/library version mismatch'; exit 18",
            {},
            "mismatched",
            "does not work: nvidia-smi: Driver/library version mismatch",
        ),
    ],
)
def test_torch_against_the_devices(lab, built, smi, changes, status, told):
    lab.add("torch", code=torch(**built))
    if smi:
        lab.script("nvidia-smi", smi)
    report = lab.json("lab", **changes)
    (finding,) = [f for f in report["system"]["findings"] if f["name"] == "torch"]
    assert finding["status"] == status
    assert told in f"{finding['text']}: {finding['fix']}"
    assert bool(finding["fix"]) == (status != "ok")
    assert report["ok"] == (status != "mismatched")


def test_devices_are_no_matter_to_parts_without_torch(lab):
    lab.script("nvidia-smi", SMI)
    names = [finding["name"] for finding in lab.json("core")["system"]["findings"]]
    assert names == ["Python"]


def test_offline_is_told_where_models_are_taken_from_the_hub(bare):
    changes = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "0"}
    findings = bare.json("evaluate", "--quick", **changes)["system"]["findings"]
    (finding,) = [finding for finding in findings if finding["name"] == "hub"]
    assert finding["status"] == "note"
    assert finding["fix"] == "unset HF_HUB_OFFLINE"
    assert "hub" not in str(bare.json("lab", "--quick", **changes)["system"])


# --- verifiers, TRL, verl ------------------------------------------------------------------------


def test_the_verifiers_are_tried(bare):
    for line in EXTRAS["verify"]:
        bare.link(Requirement(line).name)
    findings = bare.json("verify")["parts"]["verify"]["findings"]
    (worker,) = [finding for finding in findings if finding["name"] == "workers"]
    assert worker["status"] == "ok"
    assert worker["text"] == "maths told a right answer from a wrong one"
    (isolation,) = [finding for finding in findings if finding["name"] == "isolation"]
    assert isolation["status"] in ("ok", "note")


def test_verifiers_that_cannot_judge_are_a_fault_of_each_part_that_needs_them(bare):
    bare.add_part("evaluate")  # a math-verify with nothing in it
    report = bare.json("verify", "evaluate", "trl")
    for name in ("verify", "evaluate"):
        (worker,) = [f for f in report["parts"][name]["findings"] if f["name"] == "workers"]
        assert worker["status"] == "broken"
        assert "maths" in worker["text"]
    assert "workers" not in [f["name"] for f in report["parts"]["trl"]["findings"]]


def test_without_math_verify_the_workers_are_tried_with_another_verifier(bare):
    report = bare.json("verify")
    (worker,) = [f for f in report["parts"]["verify"]["findings"] if f["name"] == "workers"]
    assert worker["text"] == "exact told a right answer from a wrong one"
    assert report["parts"]["verify"]["state"] == "not installed"


@pytest.mark.parametrize(
    ("version", "triton", "expected"),
    [
        ("1.15.0", False, [("triton", "mismatched")]),
        ("1.15.0", True, []),
        ("1.14.2", False, []),
        ("1.16.3", False, []),
        ("1.17.0", False, [("trl", "note")]),
        ("0.29.0", False, []),
        ("0.28.0", False, []),
    ],
)
def test_what_is_known_of_trl(bare, version, triton, expected):
    bare.add_part("trl")
    bare.add("trl", version)
    if triton:
        bare.add("triton")
    findings = bare.json("trl", "--quick")["parts"]["trl"]["findings"]
    (row,) = [f for f in findings if f["name"] == "trl" and f["supported"] == ">=0.29,<2"]
    assert row["status"] == ("mismatched" if version == "0.28.0" else "ok")
    known = [(f["name"], f["status"]) for f in findings if f is not row and f["status"] != "ok"]
    assert known == expected


def test_an_integration_that_cannot_be_imported_is_a_fault(bare):
    bare.add_part("trl")
    for line in EXTRAS["verify"]:
        bare.remove(Requirement(line).name.replace("-", "_"))
        bare.link(Requirement(line).name)
    (finding,) = bare.about("trl", "fgrpo.integrations.trl")
    assert finding["status"] == "broken"
    assert "Error: " in finding["text"]
    assert finding["fix"].startswith("pip install transformers")
    bare.add("trl", "0.28.0")
    (finding,) = bare.about("trl", "fgrpo.integrations.trl")
    assert finding["fix"] == "put right what is above, and try again"


def test_the_trl_of_verls_extras_is_explained(bare):
    bare.add_part("verl")
    bare.add_part("trl")
    bare.metadata(
        "verl", "0.9.1", ["Provides-Extra: fsdp", 'Requires-Dist: trl==0.27.0; extra == "fsdp"']
    )
    bare.add("trl", "0.27.0")
    parts = bare.json("trl", "verl", "--quick")["parts"]
    for part in ("trl", "verl"):
        (note,) = [f for f in parts[part]["findings"] if "pinned by the extras fsdp" in f["text"]]
        assert (note["name"], note["found"], note["supported"]) == ("trl", "0.27.0", ">=0.29,<2")
    assert parts["trl"]["state"] == "unusable"
    assert parts["verl"]["state"] == "ready"


def add_verl(environment, code="ADV_ESTIMATOR_REGISTRY = {}", lines=()):
    environment.add_part("verl")
    (environment.site / "verl.py").unlink()
    folder = environment.site / "verl" / "trainer" / "ppo"
    folder.mkdir(parents=True)
    for inner in (folder, folder.parent, folder.parent.parent):
        (inner / "__init__.py").touch()
    (environment.site / "verl" / "__init__.py").write_text("__version__ = '0.9.1'")
    (folder / "core_algos.py").write_text(code)
    environment.metadata("verl", "0.9.1", lines)


def test_why_verl_passed_over_the_plugin_is_told(bare):
    add_verl(bare)  # without register_adv_est, so that the plugin fails
    (finding,) = bare.about("verl", "plugin")
    assert finding["status"] == "broken"
    assert "in silence: " in finding["text"]
    assert "Error: " in finding["text"]


def test_a_verl_that_cannot_be_imported_is_a_fault(bare):
    add_verl(bare, "raise ImportError('cannot import name X')")
    findings = bare.about("verl", "verl")
    assert [finding["status"] for finding in findings] == ["ok", "broken"]
    assert findings[1]["text"] == "ImportError: cannot import name X"


@pytest.mark.parametrize(
    ("policy", "told"),
    [("none", True), ("other", True), ("auto", False), ("Other, FGRPO ", False), ("NONE", True)],
)
def test_a_plugin_that_is_switched_off(bare, policy, told):
    add_verl(bare)
    found = bare.about("verl", "plugin", "--quick", VERL_USE_EXTERNAL_PLUGINS=policy)
    assert [f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps" in f["text"] for f in found] == [
        True
    ] * told


def test_a_plugin_that_the_installation_does_not_name(bare):
    add_verl(bare)
    bare.info("fgrpo").joinpath("entry_points.txt").unlink()
    (finding,) = bare.about("verl", "plugin", "--quick")
    assert finding["status"] == "mismatched"
    assert "no entry point" in finding["text"]


def test_what_verl_needs_without_saying_so(bare):
    add_verl(bare)
    bare.remove("fastapi")
    report = bare.json("--quick")
    assert report["parts"]["verl"]["state"] == "unusable"
    (finding,) = [f for f in report["parts"]["verl"]["findings"] if f["name"] == "fastapi"]
    assert finding["status"] == "broken"
    assert finding["text"] == "not there, but verl needs it"
    assert finding["fix"] == "pip install '.[verl]' in the folder of fgrpo's source"


def test_the_weight_in_verl_does_without_the_verifiers(bare):
    add_verl(bare)
    bare.forget("math-verify")
    (bare.site / "math_verify.py").unlink()
    report = bare.json("verl", "--quick")
    (finding,) = [f for f in report["parts"]["verl"]["findings"] if f["name"] == "math-verify"]
    assert finding["status"] == "note"
    assert finding["fix"] == "pip install '.[verify]' in the folder of fgrpo's source"
    assert report["parts"]["verl"]["state"] == "ready"


PINS = [
    *("Provides-Extra: vllm", 'Requires-Dist: vllm==0.24.0; extra == "vllm"'),
    *("Provides-Extra: sglang", 'Requires-Dist: sglang==0.5.12; extra == "sglang"'),
]


@pytest.mark.parametrize(
    ("version", "code", "expected"),
    [
        ("0.24.0", "", ("ok", "rollout engine", None)),
        ("0.23.0", "", ("note", "verl[vllm] pins another", "pip install 'vllm==0.24.0'")),
        ("0.24.0", "raise ImportError('torch ABI')", ("broken", "ImportError: torch ABI", "-c")),
        ("0.23.0", "raise ImportError('torch ABI')", ("broken", "ImportError: torch ABI", "-c")),
    ],
)
def test_the_rollout_engine(bare, version, code, expected):
    add_verl(bare, lines=PINS)
    bare.add("vllm", version, code)
    (finding,) = bare.about("verl", "vllm")
    status, text, fix = expected
    assert (finding["status"], finding["found"]) == (status, version)
    assert finding["supported"] == "==0.24.0"
    assert text in finding["text"]
    assert fix is None or fix in finding["fix"]


def test_what_a_rollout_engine_needs_is_no_fault(bare):
    add_verl(bare, lines=PINS)
    bare.add("vllm", "0.24.0", needs=["torch==2.11.0"])
    findings = bare.about("verl", "torch", "--quick")
    assert [(f["status"], f["text"]) for f in findings] == [
        ("ok", ""),
        ("note", "needed by vllm 0.24.0"),
    ]


@pytest.mark.parametrize("there", [False, True])
def test_attention_is_missed_beside_a_rollout_engine(bare, there):
    extra = "flash-attn-cu130torch211"
    lines = [f"Provides-Extra: {extra}", f'Requires-Dist: flash-attn==2.8.3; extra == "{extra}"']
    add_verl(bare, lines=[*PINS, *lines])
    assert bare.about("verl", "flash-attn", "--quick") == []
    bare.add("vllm", "0.24.0")
    if there:
        bare.add("flash_attn", "2.8.3")
    found = [(f["status"], f["fix"]) for f in bare.about("verl", "flash-attn", "--quick")]
    missed = [("note", "pip install --no-build-isolation 'flash-attn==2.8.3'")]
    assert found == ([] if there else missed)


def test_no_rollout_engine_is_a_note(bare):
    add_verl(bare, lines=PINS)
    (finding,) = bare.about("verl", "rollout engine", "--quick")
    assert finding["status"] == "note"
    assert finding["fix"] == (
        "pip install 'verl[vllm]==0.9.1' or pip install 'verl[sglang]==0.9.1'"
    )
    assert bare.run("verl", "--quick").returncode == 0


# --- what is printed -----------------------------------------------------------------------------


def test_a_narrow_terminal_wraps_all_but_what_is_to_be_copied(bare):
    bare.add("torch", "2.5")
    done = bare.run("--quick", COLUMNS="40", FORCE_COLOR="1")
    assert "\x1b[" in done.stdout
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).splitlines()
    shown = [line for line in plain if not line.startswith("    fix: ")]
    assert max(map(len, shown)) <= 40
    assert "    fix: pip install '.[transformers]' in the folder of fgrpo's source" in plain


def test_elsewhere_nothing_is_wrapped_or_coloured(bare):
    done = bare.run("--quick", COLUMNS="50")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) > 100


def test_the_command_itself_loads_nothing_heavy(lab):
    code = (
        "import sys, contextlib, io\n"
        "from fgrpo.cli import main\n"
        "sys.argv = ['fgrpo', 'doctor', 'lab']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()\n"
        "print([n for n in ('torch', 'scipy', 'matplotlib') if n in sys.modules])"
    )
    python = lab.command()[0]
    done = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, env=lab.variables()
    )
    assert done.stdout.strip() == "[]"


# --- the real packages ---------------------------------------------------------------------------


def test_the_environment_of_the_tests_is_ready(tmp_path):
    parts = ["lab", "verify", "evaluate", "transformers", "trl"]
    lines = chain(PROJECT["dependencies"], *(EXTRAS[part] for part in parts))
    names = {Requirement(line).name for line in lines} - {"fgrpo"}
    report = Environment(tmp_path, sorted({*names, *REAL})).json(*parts)
    found = {name: part["state"] for name, part in report["parts"].items()}
    assert found == dict.fromkeys(parts, "ready"), report
    assert report["system"]["findings"][0]["found"] == platform.python_version()
