"""``fgrpo compare`` of several arms and benchmarks: what is printed, written and refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from fgrpo.cli import app
from fgrpo.records import Record, RecordStore

pytestmark = pytest.mark.slow

N = 8


def fgrpo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fgrpo", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def records(path: Path, correct: dict[str, int], n: int = N) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with RecordStore.open(path) as store:
        for problem, c in correct.items():
            store.extend(Record(problem, i, i < c, truncated=c == 0) for i in range(n))
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run in this process, which is faster; return what is printed, on one line."""
    app(list(map(str, ("compare", *arguments))), standalone_mode=False)
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    base = {f"math/{i:02d}": 1 + i % 5 for i in range(24)} | {f"aime/{i}": i % 3 for i in range(8)}
    rl = {p: 0 if c < 3 else 8 for p, c in base.items()}
    focal = {p: min(8, c + 1) for p, c in base.items()}
    arms = {"base": base, "rl": rl, "focal": focal}
    return [records(tmp_path / name / "records.jsonl", c).parent for name, c in arms.items()]


def test_three_evaluation_folders(folders: list[Path], tmp_path: Path) -> None:
    done = fgrpo("compare", *folders, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    lines = [line.replace("│", " ").split() for line in done.stdout.splitlines()]
    # math pass@1: base (1·5 + 2·5 + 3·5 + 4·5 + 5·4) / 24 / 8 = 70/192 = 36.5%; rl 14/24 = 58.3%.
    start = lines.index(["math:", "24", "problems,", "n", "=", "8"])
    table = lines[start:]
    assert ["pass@1", "base", "36.5"] in table
    assert next(row for row in table if row[:1] == ["rl"])[:3] == ["rl", "58.3", "+21.9"]
    text = " ".join(done.stdout.split())
    assert "macro average: 32 problems" in text
    assert text.count("→ rl against base (macro average of 2 benchmarks): ") == 1
    assert text.count("→ focal against base") == 1
    assert "Surest losses: aime/2 (2/8 → 0/8), aime/5 (2/8 → 0/8), math/01 (2/8 → 0/8) …" in text
    assert "×" in text
    assert (tmp_path / "out/report.html").exists()
    assert (tmp_path / "out/comparison.json").exists()
    again = fgrpo("compare", *folders, "--out", tmp_path / "out")
    assert again.stdout == done.stdout


def test_two_arms_on_one_benchmark_tell_curves_and_losses_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = records(tmp_path / "a.jsonl", {f"p{i}": 1 + i % 4 for i in range(12)})
    b = records(tmp_path / "b.jsonl", {f"p{i}": 8 * (i % 4 == 3) for i in range(12)})
    text = told(capsys, a, b, "--out", tmp_path / "out")
    assert "Noise covered: generations" in text
    # pass@1 31.25% against 25%: B is behind from the start.
    assert "pass@k of B against A: no crossing: never ahead up to k = 8" in text
    assert "Of 12 problems 9 that A solved at least once were lost (" in text
    assert "Warning: b and a differ in the share of samples that were cut off" in text
    assert "75.0% against 0.0% on these problems." in text
    assert "report.html" in text
    assert (tmp_path / "out/pass_at_k.csv").exists()


def test_names_seeds_and_k(
    folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = records(tmp_path / "x=1.jsonl", dict.fromkeys(_problems(), 4))
    names = ("--name", "SFT", "--name", "GRPO", "--name", "GRPO=new")
    text = told(capsys, *folders, *names, "--also", f"GRPO=new={again}", "--k", 2)
    assert f"GRPO=new: {folders[2]}/records.jsonl and 1 more" in text
    assert "→ GRPO against SFT" in text
    assert "pass@2" in text
    assert "pass@8" not in text
    assert "over problems and training seeds" in text


def _problems() -> list[str]:
    return [f"math/{i:02d}" for i in range(24)] + [f"aime/{i}" for i in range(8)]


def test_common_and_missing_benchmarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = records(tmp_path / "a.jsonl", {f"m/{i}": 1 for i in range(9)} | {"gone/1": 1})
    b = records(tmp_path / "b.jsonl", {f"m/{i}": 2 for i in range(1, 10)})
    refused = fgrpo("compare", a, b)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "'m/0'" in refused.stderr
    assert "--common to compare the 8 that all hold" in refused.stderr
    text = told(capsys, a, b, "--common")
    assert "(8 problems, n = 8)" in text
    assert "Note: gone is left out: missing from b." in text
    assert "Note: m: 2 of 10 problems are left out" in text


def test_m_gives_the_noise_of_the_generations_of_each_benchmark(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    text = told(capsys, *folders[:2], "--m", 4, "--k", 1)
    assert text.count("Noise covered: generations") == 2
    assert "aime, B is rl:" in text
    assert "Noise covered" not in told(capsys, *folders[:2], "--k", 1)


def test_several_k_follow_one_flag(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    several = told(capsys, *folders[:2], "--k", 1, 4, 8)
    assert several == told(capsys, "--k", 1, "--k", 4, "--k", 8, *folders[:2])
    assert "pass@4" in several


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["base"], "one set of records given"),
        (["base", "rl", "base"], "given twice"),
        (["base", "rl", "--also-b", "rl/records.jsonl"], "given twice"),
        (["base", "rl", "focal", "--also-b", "x"], "--also-b is for two arms"),
        (["base", "rl", "--also", "grpo=x"], "NAME one of base, rl"),
        (["base", "rl", "--name", "a"], "1 names for 2 arms"),
        (["base", "rl", "focal", "--m", "4"], "--m is for two arms"),
        (["base", "rl", "--k", "9"], "base/records.jsonl has 8 of 'aime/0'"),
        (["base", "empty"], "empty: a folder without records.jsonl"),
        (["base", "rl", "--out", "base"], "--out"),
    ],
)
def test_bad_usage_is_refused(folders: list[Path], arguments: list[str], error: str) -> None:
    root = folders[0].parent
    (root / "empty").mkdir()
    here = {"base", "rl", "focal", "empty", "rl/records.jsonl"}
    line = [str(root / part) if part in here else part for part in arguments]
    with pytest.raises(ValueError, match=error):
        app(["compare", *line], standalone_mode=False)


def test_tables_fit_into_80_columns_and_tell_long_names_apart(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    runs = [f"Qwen2.5-7B-GRPO-gamma{g}-seed1-step200-final" for g in ("0.0", "0.5")]
    names = [part for name in ("base", *runs) for part in ("--name", name)]
    lines = fgrpo("compare", *folders, *names).stdout.splitlines()
    rows = [line for line in lines if line.startswith(" " * 6) and "mma0." in line]
    assert len(rows) == 2 * 2 * 3  # arms × k × (two benchmarks and the macro average)
    assert sum("mma0.0" in row for row in rows) == sum("mma0.5" in row for row in rows) == 6
    assert max(map(len, rows)) <= 80
    intervals = [row for row in rows if " to " in row]
    assert len(intervals) == len(rows)
    assert all(row.count("…") == 2 for row in rows)  # the name's own ends: no number is cut
    assert any("8 problems are few" in line for line in lines)
    monkeypatch.setenv("COLUMNS", "40")
    assert fgrpo("compare", *folders, *names).stdout.splitlines() == lines


def test_two_arms_are_named_beside_their_letters(tmp_path: Path) -> None:
    a, b = (records(tmp_path / f"{x}.jsonl", {f"p{i}": i % 4 for i in range(8)}) for x in "ab")
    text = " ".join(fgrpo("compare", a, b, "--name", "base", "--name", "rl").stdout.split())
    assert f"A: base, {a} (8 problems, n = 8) B: rl, {b} (8 problems" in text
