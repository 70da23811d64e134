"""What the wheel says of itself, and the page of licences."""

import importlib.util
import re
from email.message import Message
from email.parser import Parser

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from release_archives import ROOT, Built

import fgrpo

pytestmark = [pytest.mark.xdist_group("release"), pytest.mark.slow]

CORE = {
    *("numpy", "packaging", "scipy", "pydantic", "pyyaml", "typer", "rich", "matplotlib"),
    "jinja2",
}
_UNNAMED = {"setuptools"}  # pip freeze leaves it out, PyTorch needs it


@pytest.fixture
def metadata(built: Built) -> Message:
    return Parser().parsestr(built.read(".dist-info/METADATA"))


def test_one_version(built: Built, metadata: Message) -> None:
    assert metadata["Version"] == fgrpo.__version__
    assert built.wheel.name == f"fgrpo-{fgrpo.__version__}-py3-none-any.whl"
    assert built.sdist.name == f"fgrpo-{fgrpo.__version__}.tar.gz"


def test_core_needs_nothing_heavy(metadata: Message) -> None:
    needs = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert {each.name for each in needs if not each.marker} == CORE
    assert all(each.marker is None or "extra ==" in str(each.marker) for each in needs)


def test_licence(built: Built, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert built.read("licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_commands_and_plugins(built: Built) -> None:
    entries = built.read("entry_points.txt")
    assert "fgrpo = fgrpo.cli:main" in entries
    assert "[verl.plugins]\nfgrpo = fgrpo.integrations.verl\n" in entries


def test_only_pythons_that_the_release_is_tried_on_are_named(metadata: Message) -> None:
    spec = importlib.util.spec_from_file_location("check", ROOT / "tools/release_check.py")
    assert spec is not None
    assert spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    start = "Programming Language :: Python :: "
    named = [text for text in metadata.get_all("Classifier", []) if text.startswith(start)]
    assert [text.removeprefix(start) for text in named] == list(check.PYTHONS)
    assert metadata["Requires-Python"] == f">={check.PYTHONS[0]}"


def test_licences_are_listed_of_all_that_is_pinned() -> None:
    page = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| ([^|]*) \|", page, re.M)
    listed = {canonicalize_name(name) for name, _ in rows} - {"package"}
    pins = [
        line
        for file in ("constraints.txt", "constraints-verl.txt")
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins), "neither paths nor builds"
    pinned = {canonicalize_name(line.partition("==")[0]) for line in pins}
    assert listed - _UNNAMED == pinned - _UNNAMED, "run make licences"
    assert all(licence.strip() not in ("", "UNKNOWN") for _, licence in rows)
