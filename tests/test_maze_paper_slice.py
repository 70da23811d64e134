"""benchmarks/maze_paper_gpu.sh: slices that are cut, killed, spoilt, and add up to one run."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "maze_paper_gpu.sh"
MOST_PARTS = 8
STEPS = 40
RECIPE = {
    "name": "tiny",
    "maze": {"size": 5, "max_response_tokens": 10},
    "model": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 32,
    },
    "sft": {"steps": 30, "batch_size": 16, "learning_rate": 1e-2},
    "train": {"steps": STEPS, "prompts_per_step": 4, "group_size": 8, "learning_rate": 1e-3},
    "arms": [{"name": "grpo"}, {"name": "f-grpo", "gamma": 1}],
    "seeds": [0],
    "evaluation": {"problems": 2, "samples": 32, "every": 20},
    "checkpoint_every": 3,
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the script needs GNU tools"),
    pytest.mark.xdist_group("slices"),
]


def begin(folder, *options, **environment):
    """Start a slice, in a process group of its own."""
    return subprocess.Popen(
        ["bash", str(SCRIPT), str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "DEVICE": "cpu", "PYTHON": sys.executable, **environment},
    )


def finish(process):
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def in_slice(folder, *options, **environment):
    return finish(begin(folder, *options, **environment))


def last_line(said):
    return said.splitlines()[-1]


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def unpacked(folder):
    """What the parts in DIR hold, read without the script."""
    names = list(files(folder))
    (kind,) = {re.fullmatch(r"slice-\d{4}\.tar\.(zst|gz)\.(.*)", name)[1] for name in names}
    packed = b"".join(files(folder).values())
    if kind == "zst":
        packed = subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        members = [one for one in archive.getmembers() if one.isfile()]
        return {one.name: archive.extractfile(one).read() for one in members}


def results(contents):
    """What must be equal byte for byte: weights, records, metrics but for their seconds."""
    kept = {}
    for name, content in contents.items():
        if name.endswith("metrics.jsonl"):
            lines = [json.loads(line) for line in content.splitlines()]
            for line in lines:
                for timed in [key for key in line if key.startswith("seconds")]:
                    del line[timed]
            kept[name] = lines
        elif "/records/" in name or name.endswith("/model.safetensors"):
            kept[name] = hashlib.sha256(content).hexdigest()
    return kept


def test_slices_add_up_to_one_uninterrupted_run(tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    folder, work = tmp_path / "carried", tmp_path / "work"
    options = {"RECIPE": str(recipe), "PART_BYTES": "500000"}

    # Cut by the time limit, before much happened; the work folder goes, DIR has what is needed.
    code, said = in_slice(folder, TMPDIR=str(tmp_path), SLICE_SECONDS="2", **options)
    assert code == 0, said
    assert last_line(said).endswith("more to do: run this again")
    assert "runs/tiny/recipe.yaml" in unpacked(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml", "carried"}

    # Cut by a signal, in the middle of the first arm and past a checkpoint.
    running = begin(folder, WORK=str(work), **options)
    state = work / "runs" / "tiny" / "arms" / "grpo" / "seed-0" / "state.safetensors"
    end = time.monotonic() + 60
    while not state.exists():
        assert running.poll() is None, running.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGTERM)
    code, said = finish(running)
    assert code == 130, said
    saved = int(re.search(r", grpo/seed-0 (\d+); more to do: run", last_line(said))[1])
    assert 0 < saved < STEPS
    held = unpacked(folder)
    stated = held["runs/tiny/arms/grpo/seed-0/state.safetensors"]
    header = json.loads(stated[8 : 8 + int.from_bytes(stated[:8], "little")])
    assert json.loads(header["__metadata__"]["training"])["step"] == saved
    assert not [name for name in held if name.endswith(("lock", ".tmp"))]

    # A folder with a run in it is not unpacked over.
    before = files(folder)
    code, said = in_slice(folder, WORK=str(work), **options)
    assert (code, files(folder)) == (1, before)
    assert f"WORK={work} holds runs already" in last_line(said)

    # Options go to fgrpo; what it refuses changes nothing.
    code, said = in_slice(folder, "--set", "train.steps=3", **options)
    assert (code, files(folder)) == (2, before)
    assert "train.steps" in last_line(said)

    code, said = in_slice(folder, **options)
    assert code == 0, said
    assert last_line(said).endswith(" f-grpo/seed-0 done, grpo/seed-0 done; finished")
    assert f"{len(files(folder))} of at most 8 files" in last_line(said)
    assert all(len(part) <= 500000 for part in files(folder).values())

    whole = tmp_path / "whole" / "runs"
    fgrpo_run = [sys.executable, "-m", "fgrpo", "run"]
    subprocess.run(
        [*fgrpo_run, str(recipe), "--out", str(whole / "tiny"), "--workers", "1"],
        check=True,
        capture_output=True,
    )
    paths = [path for path in whole.rglob("*") if path.is_file()]
    expected = results({str(p.relative_to(whole.parent)): p.read_bytes() for p in paths})
    found = results(unpacked(folder))
    assert found == expected
    assert len([name for name in found if "/records/" in name]) == 1 + 2 * 2
    assert len(found["runs/tiny/arms/f-grpo/seed-0/metrics.jsonl"]) == STEPS


# From here on a stand-in for fgrpo, so that what is tested is the carrying.

STAND_IN = """#!{bash}
while (($#)); do
  if [[ $1 == --out ]]; then out=$2; fi
  if [[ $1 == --grow ]]; then size=$2; fi
  shift
done
mkdir -p "$out"
cd "$out"
touch recipe.yaml slices
{sha256sum} --quiet --check sum || [[ ! -e sum ]] || exit 2
wc -l < slices >> "$HERE/found"
echo done >> slices
head -c "${{size:-100000}}" /dev/urandom > payload
{sha256sum} payload slices > sum
touch "$HERE/ran"
exit "${{CODE:-0}}"
"""

# A tool that counts its calls and, at a given one, takes the whole process group with it: what
# the machine's going away does.
DEADLY = """#!{bash}
if [[ -e $HERE/ran ]]; then
  echo "${{0##*/}}" >> "$HERE/calls"
  if (($(wc -l < "$HERE/calls") > KILL_AFTER)); then touch "$HERE/killed"; kill -KILL 0; fi
fi
exec {tool} "$@"
"""
TOOLS = ("tar", "split", "sha256sum", "sync", "mv", "mkdir", "rm", "rmdir", "zstd", "gzip", "cat")


def executable(path, text, **places):
    path.write_text(text.format(bash=shutil.which("bash"), **places))
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def carried(tmp_path):
    """Return a folder for the parts and a function that runs a slice with the stand-in."""
    stand_in = executable(tmp_path / "python", STAND_IN, sha256sum=shutil.which("sha256sum"))
    folder = tmp_path / "carried"
    common = {
        "PYTHON": stand_in,
        "HERE": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "PART_BYTES": "30000",
    }

    def run(*options, **environment):
        (tmp_path / "ran").unlink(missing_ok=True)
        return in_slice(folder, *options, **{**common, **environment})

    def found():
        """How many slices each start found done; one with a torn run folder exits 2."""
        path = tmp_path / "found"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    return folder, run, found


def test_a_kill_at_any_moment_of_storing_leaves_the_old_or_the_new(carried, tmp_path):
    folder, run, found = carried
    deadly = tmp_path / "deadly"
    deadly.mkdir()
    for tool in filter(shutil.which, TOOLS):
        executable(deadly / tool, DEADLY, tool=shutil.which(tool))
    path = f"{deadly}:{os.environ['PATH']}"
    assert run(PART_BYTES="60000")[0] == 0
    for calls in range(60):  # each goes on from what the last left
        for left in ("calls", "killed"):
            (tmp_path / left).unlink(missing_ok=True)
        code, said = run(PATH=path, KILL_AFTER=str(calls), PART_BYTES="60000")
        if not (tmp_path / "killed").exists():
            break
        assert code == -signal.SIGKILL, said
    assert code == 0, said
    # The old until the last part has its name, the new from then on.
    outcomes = [after - before for before, after in pairwise(found()[1:])]
    assert outcomes == sorted(outcomes)
    assert outcomes.count(0) >= 8
    assert outcomes.count(1) >= 4  # also while old and new are both there
    # Nothing of the killed slices stays.
    (number,) = {name.split(".")[0] for name in files(folder)}
    assert re.fullmatch(r"slice-\d{4}", number)
    assert len(files(folder)) == 2
    assert unpacked(folder)["runs/maze-paper/slices"] == b"done\n" * (found()[-1] + 1)


def test_parts_that_differ_from_the_run_do_not_replace_the_old(carried, tmp_path):
    folder, run, _ = carried
    run()
    before = files(folder)
    faulty = tmp_path / "faulty"
    faulty.mkdir()
    executable(faulty / "split", '#!{bash}\ntr 0 1 | {split} "$@"\n', split=shutil.which("split"))
    code, said = run(PATH=f"{faulty}:{os.environ['PATH']}")
    assert code != 0
    assert files(folder) == before
    assert f"not stored: {folder} holds the last slice, and the run lies in" in last_line(said)
    (folder / ".new").mkdir()
    (folder / ".new" / "999").write_text("left by a kill")
    code, said = run()
    assert code == 0, said


def test_a_set_with_a_part_missing_is_told_unless_another_is_whole(carried):
    folder, run, found = carried
    run()
    first = files(folder)
    run()
    second = files(folder)
    next(iter(sorted(folder.iterdir()))).unlink()
    code, said = run()
    assert code == 1
    assert f"{folder}: slice 2 lacks parts and no other is whole; copy them here" in said
    assert found() == [0, 1]
    for name, content in first.items():
        (folder / name).write_bytes(content)
    code, said = run()
    assert code == 0
    assert f"{folder}: slice 2 is not whole; going on from slice 1" in said
    assert found() == [0, 1, 1]
    assert not set(files(folder)) & {*first, *second}


@pytest.mark.parametrize("size", ["100000", "60000"])
def test_slices_of_two_machines_in_one_folder_are_told(size, carried):
    folder, run, found = carried
    run()
    first = files(folder)
    run("--grow", size)
    other = files(folder)
    for path in folder.iterdir():
        path.unlink()
    for name, content in first.items():
        (folder / name).write_bytes(content)
    run()
    for name, content in other.items():
        (folder / name).write_bytes(content)
    before = files(folder)
    code, said = run()
    assert code == 1
    assert f"{folder}: two machines wrote slice 2, and slice-0002." in last_line(said)
    assert files(folder) == before
    assert found() == [0, 1, 1]


def test_a_run_of_another_recipe_is_not_begun_in_a_folder(carried):
    folder, run, found = carried
    run()
    before = files(folder)
    code, said = run(RECIPE="maze-small")
    assert code == 1
    assert "another recipe than maze-small (runs/maze-paper/recipe.yaml): name" in last_line(said)
    assert files(folder) == before
    assert found() == [0]


@pytest.mark.parametrize("spoil", ["flip", "cut"])
def test_a_corrupt_part_is_named(spoil, carried, tmp_path):
    folder, run, found = carried
    run()
    part = sorted(folder.iterdir())[1]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content) if spoil == "flip" else part.read_bytes()[:-1])
    before = files(folder)
    code, said = run()
    assert code == 1
    assert last_line(said).startswith(f"maze_paper_gpu: {part}: corrupt")
    assert files(folder) == before
    assert found() == [0]
    assert not list(tmp_path.glob("tmp.*"))


def test_what_does_not_fit_is_refused_and_nothing_is_lost(carried, tmp_path):
    folder, run, _ = carried
    run()
    before = files(folder)
    code, said = run("--grow", str(9 * 30000))
    assert code == 1
    assert "this slice takes more than 8 parts of 30000 bytes" in said
    assert files(folder) == before
    work = re.search(r"the run lies in (\S+)$", last_line(said))[1]
    assert (Path(work) / "runs" / "maze-paper" / "slices").read_text() == "done\n" * 2
    code, said = run("--grow", str(7 * 30000))  # 8 parts: as many as there may be
    assert code == 0, said
    assert len(files(folder)) == MOST_PARTS


@pytest.mark.parametrize(
    ("code", "stored", "told"),
    [
        (1, True, "failed; what it had saved is kept"),
        (2, False, ""),
        (127, False, ""),
        (137, True, "more to do"),
    ],
)
def test_the_status_of_the_run_is_passed_on(code, stored, told, carried):
    folder, run, _ = carried
    run()
    before = files(folder)
    status, said = run(CODE=str(code))
    assert status == (0 if code == 137 else code)
    assert (files(folder) != before) == stored
    assert told in last_line(said)


def test_only_one_slice_at_a_time_works_in_a_folder(carried):
    folder, run, found = carried
    if not shutil.which("flock"):
        pytest.skip("without flock nothing guards a folder")
    run()
    holder = subprocess.Popen(
        ["flock", str(folder), "-c", "echo held; read _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    code, said = run()
    holder.communicate("\n")
    assert code == 1
    assert "another slice is at work here" in said
    assert found() == [0]
    assert run()[0] == 0


def test_without_zstd_gzip_does(carried, tmp_path):
    folder, run, found = carried
    tools = tmp_path / "tools"
    tools.mkdir()
    needed = {*TOOLS, "bash", "env", "timeout", "grep", "head", "tr", "cut", "wc", "numfmt"}
    for tool in {*needed, "mktemp", "basename", "touch", "flock"} - {"zstd"}:
        if place := shutil.which(tool):
            (tools / tool).symlink_to(place)
    for _ in range(2):
        code, said = run(PATH=str(tools))
        assert code == 0, said
    assert found() == [0, 1]
    assert all(".tar.gz." in name for name in files(folder))
    assert unpacked(folder)["runs/maze-paper/slices"] == b"done\n" * 2


@pytest.mark.parametrize("seconds", ["0", "9m", "-1"])
def test_a_limit_that_is_none_is_refused(seconds, carried):
    folder, run, _ = carried
    code, said = run(SLICE_SECONDS=seconds)
    assert code == 1
    assert f"SLICE_SECONDS '{seconds}': a whole number from 1" in said
    assert not folder.exists()


@pytest.mark.parametrize("option", ["--fresh", "--out", "--out=elsewhere", "--list", "--help"])
def test_options_that_would_lose_what_is_carried_are_refused(option, carried):
    folder, run, found = carried
    assert run()[0] == 0
    before = files(folder)
    code, said = run(option)
    assert code == 1
    assert f"{option} is not for a slice" in last_line(said)
    assert found() == [0]
    assert files(folder) == before


def test_a_slice_whose_output_nobody_reads_is_stored(tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    process = begin(tmp_path / "carried", RECIPE=str(recipe))
    process.stdout.close()
    assert process.wait(timeout=120) in (0, 1)  # the run may fail for want of a reader
    assert "runs/tiny/recipe.yaml" in unpacked(tmp_path / "carried")
