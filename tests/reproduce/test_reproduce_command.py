"""``fgrpo reproduce``: items made, kept, and set on one page."""

import csv
import io
import re
import signal
from importlib.resources import files

import pytest

from fgrpo.cli import main
from fgrpo.cli.stopping import stoppable
from fgrpo.reproduce.catalogue import ITEMS
from fgrpo.reproduce.item import NOT_RUN

pytestmark = pytest.mark.slow

# What stands in which table, by the paper's own numbering.
LLM_TABLES = {
    "table-1": "methods",
    "table-2": "group_sizes",
    "table-3": "controls",
    "table-6": "gamma_sweep",
    "table-10": "group_sizes",
    "table-11": "controls",
    "table-12": "pass_at_k_curves",
    "table-13": "pass_at_k_curves",
    "table-14": "pass_at_k_curves",
    "rare-nll": "rare_nll",
}
MODELS = {
    "table-12": "Qwen2.5-7B",
    "table-13": "Qwen3-4B-Base",
    "table-14": "Llama-3.2-3B-Instruct",
}


@pytest.fixture
def reproduce(monkeypatch, capsys, tmp_path):
    """Run the command in an empty folder; return exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = exit_code(monkeypatch, arguments)
        return code, *capsys.readouterr()

    return run


def exit_code(patch, arguments):
    patch.setattr("sys.argv", ["fgrpo", "reproduce", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def section(page, name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)[1]


def test_the_list_names_every_item(reproduce):
    code, printed, _ = reproduce("--list")
    assert code == 0
    names = [line.split()[0] for line in printed.splitlines()]
    figures = ["1a", *range(2, 8)]
    tables = [1, 2, 3, 4, 6, 10, 11, 12, 13, 14]
    assert set(names) == {
        *(f"figure-{number}" for number in figures),
        *(f"table-{number}" for number in tables),
        "rare-nll",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--item", "figure-8"], "--item 'figure-8': must be one of figure-1a, figure-2, "),
        (["--scale", "huge"], "--scale 'huge': must be one of small, medium, paper"),
        (["--device", "tpu"], "--device 'tpu': must be cpu or cuda"),
        (["--item", "figure-4", "--device", "tpu"], "--device 'tpu': must be cpu or cuda"),
        (
            ["--item", "figure-4", "table-4", "--arms", "grpo-n8"],
            "--arms 'grpo-n8' matches no arm of maze-small: grpo, f-grpo-0.5, f-grpo-1",
        ),
        (["--item", "figure-4", "--arms", "grpo"], "--arms: none of these items trains"),
        (
            ["--item", "figure-4", "--page", "."],
            "--page .: is a folder; name a file, such as repro",
        ),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_made(reproduce, tmp_path, arguments, message):
    code, printed, error = reproduce(*arguments)
    assert (code, printed) == (2, "")
    assert message in error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def llm_page(tmp_path_factory):
    """The page with every language-model table made."""
    folder = tmp_path_factory.mktemp("llm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert exit_code(patch, ["--item", *LLM_TABLES]) == 0
    return folder / "runs" / "reproduction" / "reproduction.md"


@pytest.mark.parametrize("name", LLM_TABLES)
def test_a_language_model_table_shows_the_papers_numbers_alone(llm_page, name):
    text = section(llm_page.read_text(), name)
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and "---" not in line
    ]
    bodies = [row for row in rows if row[-1] != "ours"]
    assert bodies
    assert all(row[-1] == NOT_RUN and all(row) for row in bodies)
    assert f"Verdict: **{NOT_RUN}**" in text
    shown = sorted(
        number
        for row in bodies
        for cell in row[:-1]
        if re.fullmatch(r"[\d.]+( / [\d.]+)?", cell)
        for number in cell.split(" / ")
        if re.fullmatch(r"\d+\.\d{1,2}", number)
    )
    source = files("fgrpo.reproduce.paper").joinpath(f"{LLM_TABLES[name]}.csv").read_text()
    told = [
        row
        for row in csv.DictReader(io.StringIO(source))
        if row["model"] == MODELS.get(name, row["model"])
    ]
    if name in ("table-2", "table-3"):
        told = [row for row in told if row["benchmark"].endswith("_average")]
    if name in ("table-10", "table-11"):
        told = [row for row in told if not row["benchmark"].endswith("_average")]
    column = "delta_nll_rare" if name == "rare-nll" else "pass_at_k"
    expected = [row[column] for row in told]
    gammas = [cell for row in bodies for cell in row if cell in ("0.5",)]
    assert shown == sorted([*expected, *gammas])


def test_pictures_and_page_stand_together(llm_page):
    page = llm_page.read_text()
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", page)
    assert len(pictures) == len(LLM_TABLES)
    for words, path in pictures:
        assert words.startswith("The paper's numbers")
        assert (llm_page.parent / path).read_bytes().startswith(b"\x89PNG")


def test_the_page_counts_what_was_not_made(llm_page):
    page = llm_page.read_text()
    table = [line for line in page.splitlines() if line.startswith("| [")]
    assert len(table) == len(ITEMS)
    made = {re.match(r"\| \[([\w-]+)\]", line)[1] for line in table if "not made yet" not in line}
    assert made == set(LLM_TABLES)
    assert "Not made yet: `fgrpo reproduce --item figure-2`." in section(page, "figure-2")


def test_what_was_made_stays_on_the_page(reproduce, tmp_path):
    target = tmp_path / "docs" / "page.md"
    assert reproduce("--item", "figure-4")[0] == 0
    assert reproduce("--item", "rare-nll", "--page", target)[0] == 0
    page = target.read_text()
    assert "Verdict: **agrees**" in section(page, "figure-4")
    assert "0.67906" in section(page, "figure-4")
    assert NOT_RUN in section(page, "rare-nll")
    assert (tmp_path / "docs" / "images" / "reproduction" / "figure-4.png").exists()


def test_a_damaged_result_is_named(reproduce, tmp_path):
    assert reproduce("--item", "figure-4")[0] == 0
    path = tmp_path / "runs" / "reproduction" / "figure-4.json"
    path.write_text(path.read_text()[:-20])
    code, _, error = reproduce("--item", "rare-nll")
    assert code == 1
    assert "figure-4.json: damaged, or of another version; delete it to go on" in error


def test_a_missing_picture_is_named(reproduce, tmp_path):
    assert reproduce("--item", "figure-4")[0] == 0
    (tmp_path / "runs" / "reproduction" / "images" / "figure-4.png").unlink()
    code, _, error = reproduce("--item", "rare-nll")
    assert code == 1
    assert "figure-4.png: cannot be read (No such file or directory); make it again: fgrpo" in error


def test_a_place_that_cannot_be_written_is_told_first(reproduce, tmp_path):
    (tmp_path / "file").touch()
    for arguments in (["--out", "file"], ["--page", "file/page.md"]):
        code, printed, error = reproduce("--item", "figure-4", *arguments)
        assert (code, printed) == (1, "")
        assert error.startswith("fgrpo: file")
        assert "could not be written" in error


@pytest.fixture
def signals_as_before():
    """Put back what a stopped command leaves to the end of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a script's background
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals_as_before")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_during_a_run_ends_with_its_code(reproduce, monkeypatch, name):
    number = signal.Signals[name]

    def interrupted(*_, **__):
        with stoppable():
            signal.raise_signal(number)

    monkeypatch.setattr("fgrpo.cli.simulate.sweep_and_report", interrupted)
    code, printed, error = reproduce("--item", "figure-2")
    assert (code, printed) == (128 + number, "")
    assert error == "\nStopped. The same command goes on from here.\n"


def test_the_command_that_makes_an_item_again_has_its_arms():
    from fgrpo.cli.reproduce import _Runs

    runs = _Runs("paper", None, ["*-n8", "grpo-n4"], None, "cuda")
    again = {item.name: runs.command(item) for item in ITEMS}
    assert again["table-4"] == (
        "fgrpo reproduce --item table-4 --scale paper --arms '*-n8' grpo-n4 --device cuda"
    )
    assert again["figure-2"] == "fgrpo reproduce --item figure-2 --scale paper --device cuda"
    assert again["table-1"] == "fgrpo reproduce --item table-1"


def test_the_largest_scale_that_was_made_is_shown(reproduce, tmp_path):
    from fgrpo.provenance import provenance
    from fgrpo.reproduce.item import Made
    from fgrpo.reproduce.page import write_page
    from fgrpo.reproduce.results import save_result

    (item,) = (item for item in ITEMS if item.name == "table-4")
    for scale in ("medium", "small"):
        made = Made(scale=f"at {scale}", ours="ours", paper="theirs | or so")
        save_result(tmp_path, item, scale, made, provenance("test", "cpu"), "command")
    write_page(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "Scale: at medium." in page
    assert "at small" not in page
    assert r"theirs \| or so" in page
