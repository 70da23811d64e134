"""``fgrpo import`` as its user meets it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from fgrpo.records import read_counts

DATA = Path(__file__).parents[1] / "evaluate" / "data"
LOG = DATA / "inspect_ai" / "sums.eval"


@pytest.fixture
def fgrpo(command_line):
    return partial(command_line, "import")


def test_import_writes_records_and_says_what_they_hold(fgrpo, tmp_path):
    out = tmp_path / "base.jsonl"
    code, said, _ = fgrpo("inspect-ai", LOG, "--metric", "match", "--out", out)
    assert code in (0, None)
    assert said == f"{out}: 3 problems, n = 3, 3 of 9 answers right (33.3%), from 1 file\n"
    counts = read_counts(out)
    assert dict(zip(counts.problems, counts.c.tolist(), strict=True)) == {
        "sums/sum-1": 2,
        "sums/sum-2": 1,
        "sums/3": 0,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tensorboard", LOG], ["tensorboard", "lm-eval, lighteval, inspect-ai, verl"]),
        (["inspect-ai", LOG], ["sums.eval", "choose one score with --metric", "match, includes"]),
        (["inspect-ai", LOG, "--mean", "--texts"], ["--mean", "--verifier"]),
        (["inspect-ai", LOG, "--threshold", "nan"], ["--threshold nan", "finite"]),
        (["inspect-ai", LOG, "--mean", "--threshold", "0.5"], ["exclude each other"]),
        (["inspect-ai", LOG, "--verifier", "exact", "--metric", "match"], ["--verifier"]),
        (["verl", DATA / "verl"], ["30.jsonl:2: answers of step 30, but of step 20"]),
        (["verl", "none.jsonl"], ["none.jsonl", "No such file"]),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(fgrpo, tmp_path, arguments, told):
    code, _, said = fgrpo(*arguments, "--out", tmp_path / "out.jsonl")
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert all(part in said for part in told), said
    assert list(tmp_path.iterdir()) == []


def test_texts_are_judged_anew_by_a_verifier(fgrpo, tmp_path):
    out = tmp_path / "base.jsonl"
    _, said, _ = fgrpo("verl", DATA / "verl" / "20.jsonl", "--verifier", "exact", "--out", out)
    assert "2 of 6 answers right" in said
    assert read_counts(out).c.tolist() == [2, 0]


def test_without_pyarrow_it_says_what_to_install(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['pyarrow'] = None\n"
        "from fgrpo.cli import main\n"
        f"sys.argv = ['fgrpo', 'import', 'inspect-ai', {str(LOG)!r}, '--metric', 'match', "
        f"'--out', {str(tmp_path / 'o')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install '.[evaluate]' in the folder of fgrpo's source" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_of_converters_loads_nothing_heavy():
    code = (
        "import sys, fgrpo.evaluate.convert\n"
        "print([n for n in ('pyarrow', 'torch', 'transformers', 'datasets', 'inspect_ai') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
