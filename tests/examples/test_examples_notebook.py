"""The example notebook runs, prints what is stored with it, and says what it prints."""

import re
import zipfile
from itertools import product
from pathlib import Path

import pytest
from run_notebook import NOTEBOOK, executed, printed, stored

pytestmark = pytest.mark.slow

ARCHIVE = NOTEBOOK.parent / "data" / "maze-medium-n8.zip"


@pytest.fixture(scope="module")
def notebook():
    return stored()


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """Kinds of what a cell gave, the pieces in which it came aside."""
    return {
        output.get("name") or tuple(sorted(output.get("data", ()))) or output.output_type
        for output in cell.outputs
        if "font cache" not in output.get("text", "")  # matplotlib, on a new machine
    }


def test_every_cell_gives_what_is_stored(notebook):
    for cell, again in zip(code(notebook), code(executed()), strict=True):
        renew = "python tests/examples/run_notebook.py renews the outputs"
        assert printed(again) == printed(cell), renew
        assert kinds(again) == kinds(cell), renew
        assert "stderr" not in kinds(again)


def test_outputs_are_stored_and_small(notebook):
    assert sum(len(cell.outputs) > 0 for cell in code(notebook)) >= 10
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    text = NOTEBOOK.read_text()
    assert len(text) < 400_000
    assert not re.search(r"/tmp|/root|/home", text)  # of the machine it ran on


def test_the_words_hold_no_number_that_is_not_printed(notebook):
    shown = "\n".join(printed(cell) for cell in code(notebook))
    numbers = set(re.findall(r"\d+\.\d+|\d+%", shown))
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    words = words.replace("γ = 0.5", "γ").replace("95% intervals", "intervals")
    found = re.findall(r"\d+\.\d+|\d+%", words)
    assert len(found) >= 10
    assert set(found) - numbers == {"10%"}  # the rare share that is asked for


def test_the_records_are_all_of_those_arms():
    assert ARCHIVE.stat().st_size < 1 << 20
    arms = ("grpo-n8", "f-grpo-0.5-n8", "f-grpo-1-n8")
    expected = {f"{arm}/seed-{seed}.jsonl" for arm, seed in product(arms, range(30, 35))}
    with zipfile.ZipFile(ARCHIVE) as archive:
        assert set(archive.namelist()) == {"base.jsonl"} | expected
        for name in archive.namelist():
            header, _, rest = archive.read(name).partition(b"\n")
            assert rest.count(b"\n") == 128 * 256
            assert f'"arm": "{Path(name).parent.name or "base"}"'.encode() in header
            assert name == "base.jsonl" or f'"seed": {name[-8:-6]}'.encode() in header
