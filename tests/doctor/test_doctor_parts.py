"""``fgrpo doctor``: parts that are there or not, what is printed, its exit codes."""

import platform
import re
import subprocess
from itertools import chain

import pytest
from doctor_environment import EXTRAS, PARTS, PROJECT, REAL, Environment
from packaging.requirements import Requirement

from fgrpo import __version__

pytestmark = pytest.mark.slow


# --- parts that are there, or not ----------------------------------------------------------------


def test_a_bare_installation_is_in_order(bare):
    done = bare.run()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == f"fgrpo {__version__}"
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
