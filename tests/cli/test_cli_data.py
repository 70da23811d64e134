"""``fgrpo data`` as its user meets it."""

import json
import subprocess
import sys
from functools import partial

import pytest

from fgrpo.evaluate.prompts import SYSTEM
from tiny_llm import byte_tokenizer

pytestmark = pytest.mark.slow

ROWS = [
    {"problem": "1 + 1?", "answer": "2"},
    {"problem": "1 + 1?", "answer": "2"},
    {"problem": "1 + 2?", "answer": "3"},
    {"problem": "2 + 2?", "answer": "4"},
    {"problem": "2 + 2?", "answer": "5"},
    {"problem": "long " * 300, "answer": "1"},
    {"problem": "3 + 3?", "answer": ""},
]


@pytest.fixture
def fgrpo(tmp_path, monkeypatch, command_line):
    """Run ``fgrpo data`` in a folder of its own, on a terminal of any width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return partial(command_line, "data")


@pytest.fixture
def files(tmp_path):
    """A tokenizer and a table; the options that name them."""
    byte_tokenizer().save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return ["deepscaler", "--tokenizer", "./tiny", "--from", "rows.jsonl"]


def cells(said, name):
    """Return the number in the table's row of that name."""
    (line,) = [line for line in said.splitlines() if name in line]
    return line.rstrip("│ ").split()[-1]


def test_it_counts_what_it_leaves_out_and_says_how_to_go_on(fgrpo, files, tmp_path):
    code, said, progress = fgrpo(*files, "--out", "made", "--validation", 1)
    assert code in (0, None)
    for name, count in (
        ("read", "7"),
        ("without a problem or an answer", "-1"),
        ("longer than 1,024 tokens", "-1"),
        ("repeated, with the same answer", "-1"),
        ("with different answers (1 problem)", "-2"),
        ("kept", "2"),
        ("held out for validation", "1"),
    ):
        assert cells(said, name) == count, name
    assert "counting tokens: 6/6" in progress
    assert "comparing answers: 1/1" in progress
    assert "made: written" in said
    assert "The paper" not in said  # another table than the paper's
    assert (
        "verl: data.train_files=made/verl/train.parquet "
        "data.val_files=made/verl/validation.parquet data.max_prompt_length=1024\n"
    ) in said
    assert (
        "TRL:  fgrpo train --dataset_name made/trl/train.parquet --prompt_column prompt …\n" in said
    )
    about = json.loads((tmp_path / "made" / "summary.json").read_text())
    assert about["settings"]["system_prompt"] == SYSTEM
    assert about["made"]["command"].startswith("fgrpo data deepscaler --tokenizer ./tiny")
    code, said, _ = fgrpo(*files, "--out", "made", "--validation", 1)
    assert code in (0, None)
    assert "made: was there already, and is the same" in said


def test_options_reach_the_tables_and_the_advice(fgrpo, files, tmp_path):
    (tmp_path / "tiny").rename(tmp_path / "qwen3-0.6b")
    files[2] = "./qwen3-0.6b"
    options = ["--validation", 0, "--system-prompt", "none", "--max-prompt-tokens", 2000]
    _, said, _ = fgrpo(*files, *options, "--out", "made here")
    assert cells(said, "kept") == "3"
    assert (
        "verl: 'data.train_files=made here/verl/train.parquet' data.val_files=FILE "
        "data.max_prompt_length=2000 +data.apply_chat_template_kwargs.enable_thinking=False\n"
    ) in said
    assert "--dataset_name 'made here/trl/train.parquet' --prompt_column prompt" in said
    assert said.rstrip().endswith("--system_prompt none …")
    options = ["--validation", 1, "--system-prompt", "Think.", "--seed", 3]
    fgrpo(*files, *options, "--out", "other")
    about = json.loads((tmp_path / "other" / "summary.json").read_text())
    assert about["settings"]["system_prompt"] == "Think."
    assert about["settings"]["seed"] == 3


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (["--from", "none.jsonl"], 2, ["none.jsonl: no such file"]),
        (["--from", "other.csv"], 2, ["other.csv: row 1", "no column 'problem'", "question, ans"]),
        (["--from", "empty.json"], 2, ["empty.json: has no rows"]),
        (["--from", "tiny"], 2, ["tiny: not a folder that datasets saved"]),
        (["--revision", "abc"], 2, ["--revision", "leave it out with --from"]),
        (["--tokenizer", "./none"], 1, ["./none: no such folder"]),
        (["--tokenizer", "a/b"], 1, ["a/b: no folder here, and not to be had from the hub"]),
        (["--out", "."], 2, ["not empty, and not made by this command", "--out"]),
        ([], 2, ["2 of 7 problems are left", "--validation 256"]),
        (["--validation", "-1"], 2, ["--validation"]),
        (["--max-prompt-tokens", "0"], 2, ["--max-prompt-tokens"]),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(fgrpo, files, tmp_path, change, code, told):
    (tmp_path / "other.csv").write_text("question,answer\n1+1,2\n")
    (tmp_path / "empty.json").write_text("[]")
    found, _, said = fgrpo(*files, "--out", "made", *change)
    assert found == code
    assert all(part in said for part in told), said
    assert "Traceback" not in said
    if said.startswith("fgrpo: "):
        assert len([line for line in said.splitlines() if line.startswith("fgrpo: ")]) == 1
    assert not (tmp_path / "made").exists()


def test_the_hub_out_of_reach_is_told(fgrpo, files):
    code, _, said = fgrpo(*files[:3], "--revision", "0" * 40, "--out", "made")
    assert code == 1
    assert "agentica-org/DeepScaleR-Preview-Dataset: could not be loaded from the hub" in said
    assert "pass it with --from FILE" in said


@pytest.mark.parametrize("name", ["transformers", "datasets", "math_verify"])
def test_a_missing_package_is_named_with_what_brings_it(name, tmp_path):
    code = (
        "import sys, importlib.util as util\n"
        "find = util.find_spec\n"
        f"util.find_spec = lambda name, *a: None if name == {name!r} else find(name, *a)\n"
        "from fgrpo.cli import main\n"
        f"sys.argv = ['fgrpo', 'data', 'deepscaler', '--tokenizer', 'x', '--out', 'made']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    needed = name.replace("_", "-")
    assert done.stderr == (
        f"fgrpo: fgrpo data needs {needed}: pip install '.[trl]' in the folder of fgrpo's source, "
        "or '.[verl]'\n"
    )


def test_help_shows_an_example_and_loads_nothing_heavy(fgrpo):
    _, said, _ = fgrpo("--help")
    assert "deepscaler" in said
    _, said, _ = fgrpo("deepscaler", "--help")
    assert "fgrpo data deepscaler --tokenizer Qwen/Qwen2.5-7B --out data/deepscaler" in said
    assert "39,202" in said
    code = (
        "import sys, contextlib, io\n"
        "from fgrpo.cli import main\n"
        "sys.argv = ['fgrpo', 'data', 'deepscaler', '--help']\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()\n"
        "print([n for n in ('torch', 'scipy', 'datasets', 'transformers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
