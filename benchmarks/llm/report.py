"""Comparisons by ``fgrpo compare``, and one summary of everything."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fgrpo.files import write_text
from llm.budget import Journal
from llm.settings import Settings, arm_name

EVALUATIONS, TRAINING, COMPARISONS = "evaluations", "training", "comparisons"
BASE = "base"
# Of the trainer's log, what the summary tells: means over the first and the last tenth of steps.
_LOGGED = (
    "reward",
    "completions/clipped_ratio",
    "focal/weight_mean",
    "focal/groups_mixed",
    "focal/groups_solved_all",
    "focal/update_scale",
)


def label(gamma: float) -> str:
    return f"F-GRPO {gamma:g}" if gamma else "GRPO"


def ks(samples: int) -> list[int]:
    """Return 1, 4, 16 … and the number of samples."""
    powers = (4**i for i in range(11))
    return sorted({k for k in powers if k < samples} | {samples})


def compare_commands(folder: Path, settings: Settings) -> dict[str, list[str]]:
    """Return the commands: every exponent against the base model, and against GRPO."""
    runs = {BASE: [BASE]}
    runs |= {label(g): [arm_name(g, seed) for seed in settings.seeds] for g in settings.gammas}
    commands = {"base": _command(folder, settings, runs, "base")}
    if 0 in settings.gammas and len(settings.gammas) > 1:
        first = {label(0): runs.pop(label(0))}
        del runs[BASE]
        commands["grpo"] = _command(folder, settings, first | runs, "grpo")
    return commands


def _command(folder: Path, settings: Settings, runs: dict[str, list[str]], name: str) -> list[str]:
    where = folder / EVALUATIONS
    words = ["compare", *(str(where / several[0]) for several in runs.values())]
    for one, several in runs.items():
        words += ["--name", one]
        for other in several[1:]:
            words += ["--also", f"{one}={where / other}"]
    for k in ks(settings.samples):
        words += ["--k", str(k)]
    return [*words, "--out", str(folder / COMPARISONS / name)]


def report(folder: Path, settings: Settings, journal: Journal) -> None:
    """Compare, print tables and verdicts, write ``summary.json``."""
    from fgrpo.cli import app

    (folder / COMPARISONS).mkdir(exist_ok=True)
    commands = compare_commands(folder, settings)
    found = {}
    for name, words in commands.items():
        print(f"\n$ {shlex.join(['fgrpo', *words])}\n", flush=True)
        app(words, standalone_mode=False)
        found[name] = json.loads((folder / COMPARISONS / name / "comparison.json").read_text())
    curves = found["base"]["benchmarks"][0]["curves"]
    summary = {
        "settings": asdict(settings),
        "items": json.loads((folder / "items" / "about.json").read_text()),
        "pass_at_k": {
            name: dict(zip(map(str, curve["k"]), curve["pass_at_k"], strict=True))
            for name, curve in curves.items()
        },
        "verdicts": {name: one["verdicts"] for name, one in found.items()},
        "warnings": [text for one in found.values() for text in one["warnings"] + one["notes"]],
        "training": {
            arm_name(*arm): _training(folder / TRAINING / arm_name(*arm) / "log.json")
            for arm in settings.arms
        },
        "commands": {name: shlex.join(["fgrpo", *words]) for name, words in commands.items()},
        "seconds": round(journal.seconds(), 1),
        "calls": journal.calls,
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")


def print_training(folder: Path) -> None:
    """Print how training went, arm by arm, and what it took."""
    summary = json.loads((folder / "summary.json").read_text())
    print(f"\n{'training':24}{'reward, first → last tenth':>28}{'mixed':>8}{'weight':>8}{'s':>8}")
    for name, one in summary["training"].items():
        reward = "{:.3f} → {:.3f}".format(*one["reward"])
        mixed, weight = one["focal/groups_mixed"][1], one["focal/weight_mean"][1]
        print(f"{name:24}{reward:>28}{mixed:>8.2f}{weight:>8.2f}{one['seconds']:>8.0f}")
    last = summary["calls"][-1]
    packages = ", ".join(f"{name} {text}" for name, text in last["packages"].items() if text)
    print(f"\n{summary['seconds']:.0f} s in {len(summary['calls'])} calls on {last['device']}")
    print(f"fgrpo {last['fgrpo']} ({last['commit']}), Python {last['python']}, {packages}")
    print(f"All of it: {folder / 'summary.json'}")


def _training(path: Path) -> dict[str, Any]:
    """Return means of the trainer's log over its first and last tenth, and its seconds."""
    steps = [line for line in json.loads(path.read_text()) if "reward" in line]
    tenth = max(1, len(steps) // 10)
    means: dict[str, Any] = {}
    for name in _LOGGED:
        for part in (steps[:tenth], steps[-tenth:]):
            values = [line[name] for line in part if name in line]
            means.setdefault(name, []).append(float(np.mean(values)) if values else None)
    return {**means, "seconds": sum(line["step_time"] for line in steps), "steps": len(steps)}
