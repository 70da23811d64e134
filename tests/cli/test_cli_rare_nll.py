"""``fgrpo rare-nll`` as its user meets it, killed now and then."""

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "evaluate"))
from nll_models import save

from fgrpo.cli import main
from fgrpo.records import Record, RecordStore

pytestmark = pytest.mark.slow

PROBLEMS, SAMPLES = 8, 12


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two models, records with texts, and prompts."""
    folder = tmp_path_factory.mktemp("made")
    save(folder / "base", 0)
    save(folder / "trained", 1)
    rng = random.Random(0)
    with RecordStore.open(folder / "base.jsonl") as store:
        for p in range(PROBLEMS):
            store.extend(
                Record(f"toy/{p}", s, s % 4 > 0, text="".join(rng.choices("abc 123", k=p + s)))
                for s in range(SAMPLES)
            )
    (folder / "prompts.jsonl").write_text(
        "".join(
            json.dumps({"id": f"toy/{p}", "messages": [{"role": "user", "content": f"{p}?"}]})
            + "\n"
            for p in range(PROBLEMS)
        )
    )
    return folder


def command(made, out, *more):
    return [
        *(sys.executable, "-m", "fgrpo", "rare-nll", str(made / "base.jsonl")),
        *("--prompts", str(made / "prompts.jsonl"), "--base-model", str(made / "base")),
        *("--model", f"grpo={made / 'trained'}", "--out", str(out)),
        *("--share", "0.2", "--batch", "1", "--dtype", "float32", "--device", "cpu", *more),
    ]


def fgrpo(line):
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def refused(line, monkeypatch, capsys):
    """Run the command line in this process, and return what it says on its way out."""
    monkeypatch.setattr("sys.argv", ["fgrpo", *line[3:]])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("fgrpo: ")]
    assert len(told) == 1
    return told[0]


@pytest.fixture(scope="module")
def whole(made):
    done = fgrpo(command(made, made / "whole"))
    assert done.returncode == 0, done.stderr
    return done


def test_it_prints_the_change_and_a_verdict(made, whole):
    text = whole.stdout
    assert text.startswith("15 rarest of 72 right answers, of ")
    assert "ranked by NLLs computed here: not every right answer has a recorded" in text
    (result,) = json.loads((made / "whole" / "rare_nll.json").read_text())["results"]
    cells = [
        "grpo",
        "base",
        *(f"{result[name]:.3f}" for name in ("reference_nll", "model_nll")),
        f"{result['difference']:+.3f}",
    ]
    (row,) = (line for line in text.splitlines() if "│ grpo" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")][:5] == cells
    assert "→ grpo: against base, the NLL of the 15 rare right answers of" in text
    assert result["verdict"] in text
    made_by = json.loads((made / "whole" / "rare_nll.json").read_text())["made"]
    assert made_by["command"].startswith("fgrpo rare-nll ")
    assert made_by["packages"]["transformers"]


def test_killed_it_goes_on_and_gives_the_same(made, whole, tmp_path):
    out, kills, rng = tmp_path / "killed", 0, random.Random(1)
    for attempt in range(4):
        with subprocess.Popen(
            command(made, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            if attempt < 1:
                before = lines(out)
                deadline = time.monotonic() + 60
                while lines(out) < before + 5 and time.monotonic() < deadline:
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.01))
                process.send_signal(signal.SIGKILL)
            status = process.wait()
        kills += status == -signal.SIGKILL
        if status == 0:
            break
    assert kills >= 1
    for name in ("rare_nll.csv", "trajectories.jsonl"):
        found, expected = (numbers(folder / name) for folder in (out, made / "whole"))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for label, count in (("base", 72), ("grpo", 15)):
        records = (out / f"nll-{label}.jsonl").read_text().splitlines()[1:]
        keys = {(row["problem"], row["sample"]) for row in map(json.loads, records)}
        assert len(records) == len(keys) == count


def lines(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("nll-*.jsonl"))


def numbers(path):
    if path.suffix == ".csv":
        with path.open() as file:
            (row,) = csv.DictReader(file)
        return [float(value) for name, value in row.items() if name not in ("model", "reference")]
    rows = map(json.loads, path.read_text().splitlines())
    return [value for row in rows for value in (int(row["problem"][4:]), *row["nll"].values())]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--model", "grpo=x"], "there is another 'grpo'"),
        (["--model", "nothing"], "LABEL=PATH"),
        (["--share", "1.5"], "--share 1.5"),
        (["--base-model", "no/such-folder"], "'no/such-folder' cannot be opened"),
        (["--prompts", "none.jsonl"], "none.jsonl: cannot be read"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(made, tmp_path, change, told, monkeypatch, capsys):
    assert told in refused(command(made, tmp_path / "out", *change), monkeypatch, capsys)


def test_results_of_another_model_are_not_mixed(made, whole, tmp_path, monkeypatch, capsys):
    out = shutil.copytree(made / "whole", tmp_path / "out")
    told = refused(command(made, out, "--no-chat"), monkeypatch, capsys)
    assert "chat is True in the file, given False" in told


def test_without_transformers_it_says_what_to_install(tmp_path):
    code = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'transformers' else find(name, *a)\n"
        "from fgrpo.cli import main\n"
        "sys.argv = 'fgrpo rare-nll x --base-model b --model a=c --out o'.split()\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install '.[transformers]' in the folder of fgrpo's source" in done.stderr
