"""``fgrpo doctor verl`` where verl is: what it says against what verl itself does."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from packaging.specifiers import SpecifierSet

from fgrpo.doctor.verl import ESTIMATOR, PYTHONS
from fgrpo.integrations.verl.version import SUPPORTED_VERL

REGISTERED = (
    "import verl\n"
    "from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as registry\n"
    f"print({ESTIMATOR!r} in registry)"
)


def run(*line, **changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERL_")}
    environment = {**kept, **changes}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def doctor(*arguments, **changes):
    done = run(sys.executable, "-m", "fgrpo", "doctor", "--json", *arguments, **changes)
    return done.returncode, json.loads(done.stdout)


def about(report, name):
    (found,) = [f for f in report["parts"]["verl"]["findings"] if f["name"] == name]
    return found


def test_an_environment_with_verl_is_ready():
    code, report = doctor("verl")
    assert report["parts"]["verl"]["state"] == "ready", report
    assert code == 0
    assert about(report, "verl")["found"] == importlib.metadata.version("verl")
    assert about(report, "plugin")["status"] == "ok"
    supported = {f"=={version}" for version in SUPPORTED_VERL}
    assert set(about(report, "verl")["supported"].split(",")) == supported


@pytest.mark.parametrize(
    "changes",
    [
        {"VERL_USE_EXTERNAL_PLUGINS": "none"},
        {"VERL_USE_EXTERNAL_PLUGINS": "others"},
        {"VERL_USE_EXTERNAL_PLUGINS": " Others, FGRPO"},
        {
            "VERL_USE_EXTERNAL_PLUGINS": "none",
            "VERL_USE_EXTERNAL_MODULES": "fgrpo.integrations.verl",
        },
    ],
)
def test_whether_the_plugin_is_on_is_what_verl_makes_of_it(changes):
    done = run(sys.executable, "-c", REGISTERED, **changes)
    registered = done.stdout.split()[-1] == "True"
    code, report = doctor("verl", **changes)
    found = about(report, "plugin")
    assert found["status"] == ("ok" if registered else "mismatched")
    if not registered:
        assert code == 1
        policy = changes["VERL_USE_EXTERNAL_PLUGINS"]
        assert found["text"] == f"VERL_USE_EXTERNAL_PLUGINS={policy} keeps verl from loading it"
        assert found["fix"].startswith("unset VERL_USE_EXTERNAL_PLUGINS")


def test_an_estimator_of_the_same_name_is_told(tmp_path):
    """A plugin whose name comes first takes ours, and verl says nothing."""
    folder = tmp_path / "another-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[verl.plugins]\nanother = another\n")
    (tmp_path / "another.py").write_text(
        "from verl.trainer.ppo.core_algos import register_adv_est\n"
        "@register_adv_est('f_grpo')\n"
        "def other(*_, **__): ...\n"
    )
    code, report = doctor("verl", PYTHONPATH=str(tmp_path))
    found = about(report, "plugin")
    assert (code, found["status"]) == (1, "mismatched")
    assert found["text"] == "f_grpo is another one: another registered that name first"
    assert found["fix"].startswith("export VERL_USE_EXTERNAL_PLUGINS=fgrpo")
    code, report = doctor("verl", PYTHONPATH=str(tmp_path), VERL_USE_EXTERNAL_PLUGINS="fgrpo")
    assert (code, about(report, "plugin")["status"]) == (0, "ok")


def test_another_version_of_verl_is_refused(tmp_path):
    folder = tmp_path / "verl-0.9.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: verl\nVersion: 0.9.0\n")
    code, report = doctor("verl", PYTHONPATH=str(tmp_path))
    assert code == 1
    assert about(report, "verl")["status"] == "mismatched"
    assert about(report, "plugin")["status"] == "mismatched"
    assert "verl 0.9.0 is installed" in about(report, "plugin")["text"]


def test_the_versions_of_transformers_that_verl_takes(tmp_path):
    folder = tmp_path / "transformers-5.23.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 5.23.0\n")
    _, report = doctor("verl", "--quick", PYTHONPATH=str(tmp_path))
    found = about(report, "transformers")
    assert (found["status"], found["found"]) == ("mismatched", "5.23.0")
    assert found["text"] == f"needed by verl {importlib.metadata.version('verl')}"
    assert SpecifierSet(found["supported"]) == SpecifierSet(">=5.5.3,<5.11,!=5.6.0")


def test_the_pythons_of_verl():
    wanted = importlib.metadata.metadata("verl")["Requires-Python"]
    assert SpecifierSet(PYTHONS) == SpecifierSet(wanted)
