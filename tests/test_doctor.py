"""The parts of ``fgrpo doctor`` that an environment of its own would test less sharply."""

import importlib.metadata
import os
import resource
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fgrpo.doctor import trl
from fgrpo.doctor.accelerator import hardware
from fgrpo.doctor.finding import Finding, Report, Section, Status
from fgrpo.doctor.machine import free_memory, open_files, shared_memory
from fgrpo.doctor.packages import module_of
from fgrpo.doctor.process import Answer, ask, one_line
from fgrpo.doctor.requirements import extras, requirements
from fgrpo.doctor.workers import findings
from fgrpo.verify.isolation import LAYERS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture
def distributions(tmp_path, monkeypatch):
    """A folder of distributions, found before all others."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name, *lines, version="1.0", files=(), top_level=None):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*head, *lines, ""]))
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        if top_level is not None:
            (folder / "top_level.txt").write_text(top_level)
        importlib.invalidate_caches()

    return add


def needs(distribution, extra=""):
    return {
        canonicalize_name(each.name): str(each.specifier)
        for each in requirements(distribution, extra)
    }


# --- metadata ------------------------------------------------------------------------------------


def test_extras_of_extras_markers_and_names_given_twice(distributions):
    distributions(
        "orchard",
        "Requires-Dist: ladder>=1",
        'Requires-Dist: sickle; python_version < "3"',
        'Requires-Dist: basket; python_version > "3"',
        "Provides-Extra: apple",
        'Requires-Dist: peeler>=2; extra == "apple"',
        'Requires-Dist: ladder>=3; extra == "apple"',
        "Provides-Extra: old-pear",
        'Requires-Dist: Orchard[apple]; extra == "old-pear"',
        'Requires-Dist: peeler<5; extra == "old_pear"',
        'Requires-Dist: scythe; extra == "old-pear" and python_version < "3"',
        "Provides-Extra: round",
        'Requires-Dist: orchard[trip]; extra == "round"',
        "Provides-Extra: trip",
        'Requires-Dist: orchard[round]; extra == "trip"',
        'Requires-Dist: horse[brown]>=1; extra == "trip"',
        'Requires-Dist: not a requirement at all; extra == "trip"',
    )
    assert needs("orchard") == {"ladder": ">=1", "basket": ""}
    assert needs("orchard", "apple") == {"peeler": ">=2", "ladder": ">=3"}
    assert needs("orchard", "old-pear") == {"peeler": "<5,>=2", "ladder": ">=3"}
    assert needs("orchard", "round") == {"horse": ">=1"}
    (horse,) = requirements("orchard", "round")
    assert horse.extras == {"brown"}
    assert extras("orchard") == {"apple", "old-pear", "round", "trip"}
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        requirements("meadow")


def test_extras_are_resolved_as_the_build_resolves_them(distributions, tmp_path):
    """Hatchling writes out what an extra names of its own project: an independent resolution."""
    code = (
        f"from hatchling.build import *; print(prepare_metadata_for_build_wheel({str(tmp_path)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    built = (tmp_path / done.stdout.split()[-1] / "METADATA").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    distributions(
        "written",
        *(
            f'Requires-Dist: {line.replace("fgrpo[", "written[")}; extra == "{extra}"'
            for extra, lines in project["optional-dependencies"].items()
            for line in lines
        ),
    )
    checked = 0
    for extra in project["optional-dependencies"]:
        expected = {}
        for line in built:
            if line.startswith("Requires-Dist: ") and line.endswith(f"extra == '{extra}'"):
                need = Requirement(line.removeprefix("Requires-Dist: "))
                expected[canonicalize_name(need.name)] = need.specifier
        found = {
            canonicalize_name(each.name): each.specifier for each in requirements("written", extra)
        }
        assert found == expected
        checked += len(found)
    assert checked > 30


@pytest.mark.parametrize(
    ("name", "files", "top_level", "module"),
    [
        ("transfer-queue", ["transferqueue/__init__.py"], None, "transferqueue"),
        ("TransferQueue", ["x.py"], "scripts\ntests\ntransfer_queue\n", "transfer_queue"),
        ("pyyaml2", ["_yaml2/__init__.py", "yaml2/__init__.py"], None, "yaml2"),
        ("sixth", ["sixth.py", "../../bin/sixth", "sixth-1.0.dist-info/RECORD"], None, "sixth"),
        ("no-code", [], None, None),
        ("json", [], None, "json"),  # installed as a link: found by its name
    ],
)
def test_the_module_of_a_distribution(distributions, name, files, top_level, module):
    distributions(name, files=files, top_level=top_level)
    assert module_of(name) == module


def test_the_range_of_trl_is_read_without_importing_it():
    code = (
        "import sys; from fgrpo.doctor.trl import supported; print(supported());"
        "print('trl' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "False False"
    mixin = pytest.importorskip("fgrpo.integrations.trl.mixin")
    assert done.stdout.splitlines()[0] == mixin.SUPPORTED_TRL == trl.supported()


# --- processes -----------------------------------------------------------------------------------


@pytest.fixture
def modules(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def add(**codes):
        for name, code in codes.items():
            (tmp_path / f"{name}.py").write_text(code)
        return [f"import {name}" for name in codes]

    return add


def test_a_step_that_takes_too_long_ends_and_the_rest_is_done(modules, tmp_path):
    slow = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    steps = modules(first="x = 1", slow=slow, last="import first")
    began = time.monotonic()
    answers = ask(steps, threading.Event(), seconds=10)
    assert time.monotonic() - began < 100
    assert {step: answer.error for step, answer in answers.items()} == {
        "import first": "",
        "import slow": "no end after 10 s",
        "import last": "",
    }
    assert answers["import last"].facts["origin"] == str(tmp_path / "last.py")
    pid = int((tmp_path / "pids").read_text())
    deadline = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_each_step_has_the_time_for_itself(modules):
    pause = "import time; time.sleep(4)"
    steps = modules(one=pause, two=pause, three=pause)  # together more than one may take
    answers = ask(steps, threading.Event(), seconds=10)
    assert [answer.error for answer in answers.values()] == ["", "", ""]


def test_a_process_that_ends_while_its_child_holds_the_pipe(modules):
    code = (
        "import os, subprocess, sys, time\n"
        "for fd in range(3, 20):\n"
        "    try: os.set_inheritable(fd, True)\n"
        "    except OSError: pass\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], close_fds=False)\n"
        "os._exit(7)"
    )
    began = time.monotonic()
    answers = ask(modules(gone=code, fine=""), threading.Event(), seconds=100)
    assert time.monotonic() - began < 90
    assert answers["import gone"].error == "ended with exit code 7"
    assert answers["import fine"].error == ""


def test_stopped_it_answers_for_what_was_done(modules):
    stop = threading.Event()
    threading.Timer(3, stop.set).start()
    began = time.monotonic()
    answers = ask(modules(slow="import time; time.sleep(600)", other=""), stop, seconds=600)
    assert time.monotonic() - began < 60
    assert answers == {}


def test_a_long_message_keeps_its_ends():
    text = one_line("begin\n  " + "x" * 1000 + "\tend", 50)
    assert text.startswith("begin xxx")
    assert text.endswith("xxx end")
    assert len(text) < 60
    assert one_line(" a \n b ") == "a b"


# --- the machine ---------------------------------------------------------------------------------


def proc(root, available=None, limit=None, used=None):
    (root / "proc").mkdir()
    if available is not None:
        text = f"MemTotal: 99 kB\nMemAvailable: {available // 1024} kB\n"
        (root / "proc" / "meminfo").write_text(text)
    group = root / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    for name, value in (("max", limit), ("current", used)):
        if value is not None:
            (group / f"memory.{name}").write_text(f"{value}\n")


GIB = 2**30


@pytest.mark.parametrize(
    ("available", "limit", "used", "expected"),
    [
        (8 * GIB, None, None, 8 * GIB),
        (8 * GIB, "max", GIB, 8 * GIB),
        (8 * GIB, 4 * GIB, GIB, 3 * GIB),
        (2 * GIB, 4 * GIB, GIB, 2 * GIB),
        (8 * GIB, GIB, 2 * GIB, 0),
        (None, None, None, None),
    ],
)
def test_free_memory(tmp_path, available, limit, used, expected):
    proc(tmp_path, available, limit, used)
    assert free_memory(tmp_path) == expected


def test_shared_memory_by_rays_own_rule(monkeypatch):
    """Ray puts 30% of free memory there, at most 10 GB of it if there is less room than that."""

    def there(room, free):
        class System:
            f_frsize, f_bavail = 4096, room // 4096

        monkeypatch.setattr(os, "statvfs", lambda _: System)
        return shared_memory(Path("/dev/shm"), free)

    found = there(64 * 2**20, 10 * GIB)  # a container's default
    assert found.status is Status.NOTE
    assert "has 0.06 GiB free; Ray wants 3.0 GiB" in found.text
    assert "--shm-size=4g" in found.fix
    assert there(3 * GIB, 10 * GIB) is None
    assert there(3 * GIB - 4096, 10 * GIB) is not None
    assert there(10**10 // 4096 * 4096 + 4096, 900 * GIB) is None
    assert there(10**10 - 4096 * 2, 900 * GIB) is not None


def test_a_system_without_shared_memory_has_nothing_to_tell(tmp_path):
    assert shared_memory(tmp_path / "none", GIB) is None


@pytest.mark.parametrize(
    ("soft", "hard", "told"),
    [
        (1024, 1024, 1024),
        (256, 4095, 4095),
        (1024, 4096, None),
        (1024, 1 << 20, None),
        (1024, resource.RLIM_INFINITY, None),
    ],
)
def test_open_files_as_far_as_ray_raises_them(soft, hard, told):
    found = open_files((soft, hard))
    assert (found is None) == (told is None)
    if found:
        assert f"at most {told};" in found.text


def test_nvidia_devices_on_the_bus_and_below_dev(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, vendor, kind in (
        ("0000:00:01.0", "0x10de", "0x040300"),  # the sound of an NVIDIA card
        ("0000:00:02.0", "0x8086", "0x030000"),
    ):
        folder = tmp_path / "sys/bus/pci/devices" / name
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    assert not hardware(tmp_path).on_bus
    (tmp_path / "sys/bus/pci/devices/0000:00:02.0/vendor").write_text("0x10de\n")
    assert hardware(tmp_path).on_bus
    assert hardware(tmp_path).devices == ()
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev" / name).touch()
    assert len(hardware(tmp_path).devices) == 2


# --- judgements ----------------------------------------------------------------------------------


def judged(outcomes=("correct", "wrong"), reasons=(), **layers):
    state = dict.fromkeys(LAYERS, "active") | layers
    facts = {
        "verifier": "maths",
        "outcomes": list(outcomes),
        "reasons": list(reasons),
        "layers": state,
    }
    return findings(Answer(facts))


def test_the_workers_must_judge_both_ways():
    assert [each.status for each in judged()] == [Status.OK, Status.OK]
    for outcomes in (("correct", "correct"), ("wrong", "wrong"), ("wrong", "correct")):
        (found,) = judged(outcomes)
        assert found.status is Status.BROKEN
    (found,) = judged(("unverifiable", "wrong"), ["time-out"])
    assert found.text.endswith("were judged unverifiable and wrong by maths (time-out)")
    (found,) = findings(Answer(error="RunError: no process"))
    assert (found.status, found.text) == (Status.BROKEN, "RunError: no process")


def test_a_layer_that_the_system_lacks_is_a_note():
    told, note = judged(namespaces="Operation not permitted")
    assert told.status is Status.OK
    assert note.status is Status.NOTE
    assert "without namespaces (Operation not permitted): " in note.text


@pytest.mark.parametrize(
    ("statuses", "state", "plain", "named"),
    [
        ([], "ready", True, True),
        (["ok", "note"], "ready", True, True),
        (["ok", "missing", "note"], "not installed", True, False),
        (["ok", "mismatched"], "unusable", False, False),
        (["broken", "missing"], "unusable", False, False),
    ],
)
def test_what_findings_add_up_to(statuses, state, plain, named):
    section = Section("x", findings=[Finding("y", Status(status)) for status in statuses])
    assert section.state.value == state
    assert Report("1", Section("system"), [section], named=False).ok is plain
    assert Report("1", Section("system"), [section], named=True).ok is named
    assert Report("1", section, [Section("x")], named=False).ok is plain
