"""Tiny experiments as programs, and what of their folders must be equal bit for bit."""

import hashlib
import json
import sys
from pathlib import Path

import yaml

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
    "train": {"steps": 12, "prompts_per_step": 4, "group_size": 8, "learning_rate": 1e-3},
    "arms": [
        {"name": "grpo"},
        {"name": "f-dapo", "gamma": 1, "method": "dapo", "minibatches": 2, "epochs": 2},
    ],
    "seeds": [0, 1],
    "evaluation": {"problems": 2, "samples": 32, "every": 5},
    "checkpoint_every": 4,
}
SMALLEST = {
    **RECIPE,
    "sft": {**RECIPE["sft"], "steps": 8},
    "train": {**RECIPE["train"], "steps": 4, "micro_batch_tokens": 64},
    "seeds": [0],
    "evaluation": {"problems": 2, "samples": 8, "every": 2},
}


def command(folder: Path, *more: str) -> list[str]:
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    out = ["--out", str(folder / "runs" / "tiny")]
    return [sys.executable, "-m", "fgrpo", "run", str(recipe), *out, *more]


def contents(folder: Path) -> dict[str, str]:
    """Hash what must be equal bit for bit: weights, records; not the seconds in the metrics."""
    kept = [*folder.rglob("*.safetensors"), *folder.rglob("records/*.jsonl")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
    }


def results(folder: Path) -> dict[str, object]:
    """Return all that must be equal bit for bit: `contents`, and the metrics without times."""
    found: dict[str, object] = dict(contents(folder))
    for path in folder.rglob("metrics.jsonl"):
        steps = [json.loads(line) for line in path.read_text().splitlines()]
        found[str(path.relative_to(folder))] = [
            {name: value for name, value in step.items() if not name.startswith("seconds")}
            for step in steps
        ]
    return found
