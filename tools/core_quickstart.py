"""Use an installed fgrpo, without any extra, as the README shows; run by tools/release_check.py.

Every expected number was worked out by hand. The working directory is filled with what it writes.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fgrpo
from fgrpo import theory
from fgrpo.records import Record, RecordStore


def main() -> None:
    """Try everything; the first thing that is wrong ends it."""
    assert "site-packages" in fgrpo.__file__, f"not the installed package: {fgrpo.__file__}"
    assert find_spec("torch") is None, "the core must not install torch"
    numbers()
    commands()


def numbers() -> None:
    """Compare a few functions with arithmetic done by hand."""
    # One right of four: mean 1/4, deviation of the sample 1/2, weight (3/4)^1.
    advantages = fgrpo.focal_advantages([1.0, 0.0, 0.0, 0.0], 4, gamma=1.0, epsilon=0.0)
    assert np.allclose(advantages, [1.125, -0.375, -0.375, -0.375]), advantages
    assert fgrpo.focal_weight(0.75, gamma=0.5) == 0.5
    # Of 4 samples 1 is right: a draw of 1 finds it in 1 of 4 cases, of 2 in 1 − 3/6.
    assert np.allclose(fgrpo.pass_at_k(n=4, c=1, k=[1, 2, 4]), [0.25, 0.5, 1.0])
    # Two draws, half of them right, a fifth of those rare: 0.9² − 0.4² − 0.5².
    missed = theory.tail_miss_probability(success_rate=0.5, tail_mass=0.1, group_size=2)
    assert np.isclose(missed, 0.81 - 0.16 - 0.25), missed


def commands() -> None:
    """Run what needs no extra."""
    write_records("a.jsonl", right=2)
    write_records("b.jsonl", right=6)
    assert run("--version").strip() == fgrpo.__version__
    table = run("compare", "a.jsonl", "b.jsonl")
    assert {"25.0", "75.0", "+50.0"} <= set(table.split()), table
    run("compare", "a.jsonl", "b.jsonl", "--out", "comparison")
    assert "data:image/svg+xml" in Path("comparison/report.html").read_text(encoding="utf-8")
    # Half are right, a tenth of those rare: with 2 draws 0.95² − 0.45² − 0.5².
    assert "45.0%" in run("plan", "--success", "0.5", "--rare", "0.1")
    assert Path("runs/plan/report.html").is_file()
    assert "maze-small" in run("run", "--list")
    run("doctor")
    asked = subprocess.run(
        [sys.executable, "-m", "fgrpo", "run", "maze-small"], capture_output=True, text=True
    )
    assert asked.returncode != 0, "a run needs an extra"
    assert "[lab]" in asked.stderr, asked.stderr


def write_records(name: str, right: int) -> None:
    """Write 10 problems of 8 samples, of which so many are right."""
    with RecordStore.open(name, meta={"model": name}) as store:
        for problem in range(10):
            for sample in range(8):
                store.append(Record(problem=f"p{problem}", sample=sample, correct=sample < right))


def run(*arguments: str) -> str:
    """Run ``fgrpo`` and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "fgrpo", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, f"fgrpo {' '.join(arguments)}: {done.stdout}{done.stderr}"
    assert not done.stderr, f"fgrpo {' '.join(arguments)} warns: {done.stderr}"
    return done.stdout


if __name__ == "__main__":
    main()
