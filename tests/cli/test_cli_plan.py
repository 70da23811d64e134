"""``fgrpo plan`` as its user meets it: refusals, exit codes, files and help."""

import json
import subprocess
import sys

import pytest
import typer
from plan_command import HALF, TRL, pilot

from fgrpo.cli import app
from fgrpo.plan import write

# --- refusals ---


BAD = [
    ("", "nothing to plan for"),
    ("--success 0", "--success 0.0: must lie between 0 and 1"),
    ("--success 0.3 1", "--success 1.0: must lie between 0 and 1"),
    ("--success nan", "--success nan: must"),
    ("--success 1e-12", "--success 1e-12: must be at least 1e-09"),
    ("--success high", "--success high: "),
    ("--success 0.3 0.3", "--success 0.3 0.3: name each rate once"),
    ("--success", "--success is given without a value"),
    ("--success 0.3 --pilot PILOT", "--success and --pilot: give one of them"),
    ("--success 0.3 --rare 1", "--rare 1.0: must lie between 0 and 1"),
    ("--success 0.3 --rare 0.1 -0.1", "--rare -0.1: must"),
    ("--success 0.3 --rare nan", "--rare nan: must"),
    ("--success 0.3 --rare 0.1 --rare-mass 0.1", "--rare and --rare-mass: give one of them"),
    ("--success 0.3 0.4 --rare-mass 0.1", "--rare-mass needs one --success"),
    ("--pilot PILOT --rare-mass 0.1", "--rare-mass needs one --success"),
    ("--success 0.3 --rare-mass 0.3", "--rare-mass 0.3: must be below the success rate 0.3"),
    ("--success 0.3 --rare-mass 0", "--rare-mass 0.0: must lie between 0 and 1"),
    ("--success 0.3 --group-sizes 4 1", "--group-sizes 1: must be at least 2"),
    ("--success 0.3 --group-sizes 4 many", "--group-sizes 4 many: "),
    ("--success 0.3 --group-sizes 9999999", "--group-sizes 9999999: must be at most 1,000,000"),
    ("--success 0.3 --gammas -1", "--gammas -1.0: must be a number of at least 0"),
    ("--success 0.3 --gammas inf", "--gammas inf: must"),
    ("--success 0.3 --target 0", "--target 0.0: must lie between 0 and 1"),
    ("--success 0.3 --target 1", "--target 1.0: must lie between 0 and 1"),
    ("--success 0.3 --level 1", "--level 1.0: must lie between 0 and 1"),
    ("--success 0.3 --budget 1", "--budget 1: must be at least 4"),
    ("--success 0.3 --budget 99999999999", "--budget 99999999999: must be at most"),
    ("--success 0.3 --budget few", "--budget few: "),
    ("--success 0.3 --min-prompts 4", "--min-prompts needs --budget"),
    ("--success 0.3 --budget 64 --min-prompts 17", "--min-prompts 17: must be at most 16"),
    ("--success 0.3 --budget 64 --min-prompts 0", "--min-prompts 0: must be at least 1"),
    ("--success 0.3 --seed -1", "--seed -1: "),
    ("--success 0.3 --out PILOT", "p.jsonl: not a folder"),
    ("--success 0.3 --solutions text", "--solutions needs --pilot"),
    ("--success 0.3 --benchmark aime", "--benchmark needs --pilot"),
    ("--success 0.3 more", "more"),
    ("--pilot missing.jsonl", "missing.jsonl: cannot be read"),
    ("--pilot EMPTY", "empty.jsonl: holds no records"),
    ("--pilot BROKEN", "broken.jsonl:2: expected one JSON record: NaN is not a finite number"),
    ("--pilot FOLDER", "a folder without records.jsonl"),
    ("--pilot PILOT --solutions words", "--solutions words: must be text or answer"),
    ("--pilot PILOT --solutions text", "p.jsonl holds no texts"),
    ("--pilot PILOT --benchmark b", "--benchmark b: "),
    ("--pilot NAMED --benchmark b", "named.jsonl holds maths"),
    ("--rare 0.1 --trainer trl --per-device 4 --group-size 4", "--rare needs --success or --pi"),
    ("--out x --trainer trl --per-device 4 --group-size 4", "--out needs --success or --pilot"),
    ("--trainer nemo", "--trainer nemo: must be trl or verl"),
    ("--trainer trl --group-size 4", "--trainer trl needs --per-device"),
    ("--trainer verl --group-size 4 --prompts 4", "--trainer verl needs --mini-batch"),
    ("--trainer verl --group-size 4 --mini-batch 4", "--trainer verl needs --prompts"),
    ("--trainer trl --per-device 4", "--trainer needs --group-size where nothing recommends one"),
    ("--trainer trl --per-device 4 --gpus 8 --group-size 4", "--gpus is for --trainer verl"),
    ("--trainer trl --per-device 4 --dynamic --group-size 4", "--dynamic is for --trainer verl"),
    ("--trainer trl --per-device 0 --group-size 4", "--per-device 0: must be at least 1"),
    ("--trainer trl --per-device 4 --group-size 0", "--group-size 0: must be at least 1"),
    ("--success 0.3 --processes 4", "--processes is for --trainer trl"),
    ("--success 0.3 --group-size 4", "--group-size is of the batches that --trainer checks"),
]


@pytest.mark.parametrize(("line", "told"), BAD)
def test_what_cannot_be_planned_is_refused_in_one_line(command_line, written, tmp_path, line, told):
    pilot(tmp_path / "p.jsonl", {"a": 1, "b": 3}, 4)
    pilot(tmp_path / "named.jsonl", {"maths/a": 1}, 4)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    header = (tmp_path / "p.jsonl").read_text().splitlines()[0]
    (tmp_path / "broken.jsonl").write_text(
        f'{header}\n{{"problem": "a", "sample": 0, "correct": true, "logprob": NaN}}\n'
    )
    names = {"PILOT": "p.jsonl", "NAMED": "named.jsonl", "EMPTY": "empty.jsonl"}
    names |= {"BROKEN": "broken.jsonl", "FOLDER": "."}
    words = [str(tmp_path / names[word]) if word in names else word for word in line.split()]
    code, out, err = command_line("plan", *words)
    assert (code, out) == (2, ""), (out, err)
    assert len(err.splitlines()) == 1
    assert err.startswith("fgrpo: ")
    assert told in err
    assert written.plan is None


def test_interrupted_it_says_so_and_prints_nothing_else(command_line, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "write_plan", interrupted)
    assert command_line("plan", *HALF) == (130, "", "\nStopped.\n")


# --- files and help ---


def test_the_files_hold_the_plan_the_batch_and_the_command(command_line, tmp_path):
    code, out, err = command_line(
        "plan", *HALF, *TRL, "--group-size", 4, "--budget", 512, "--out", tmp_path / "plan"
    )
    assert (code, err) == (0, "")
    page = tmp_path / "plan" / "report.html"
    assert f"Page: {page}\n" in out
    assert page.is_file()
    made = json.loads((tmp_path / "plan" / "plan.json").read_text())
    assert made["made_by"]["command"].startswith("fgrpo plan --success 0.5 --rare 0.5")
    assert "the plan is for a budget of 512" in json.dumps(made["batch"])
    assert not list(tmp_path.rglob("*.tmp"))


def test_help_lists_every_option_and_loads_nothing_heavy():
    code = (
        "import sys, contextlib\n"
        "from fgrpo.cli import main\n"
        "sys.argv = ['fgrpo', 'plan', '--help']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()\n"
        "print([n for n in ('torch', 'scipy', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    options = typer.main.get_command(app).commands["plan"].params
    assert len(options) > 25
    listed = done.stdout.split()
    for option in options:
        assert option.opts[0] in listed
        assert option.help
