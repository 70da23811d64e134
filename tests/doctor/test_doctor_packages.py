"""``fgrpo doctor``: versions of packages, and whether they can be imported."""

import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest
from doctor_environment import torch

pytestmark = pytest.mark.slow


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
