"""docs/llm.md, with the script's own toy model."""

from pathlib import Path

REPLACED = [
    (r"^python benchmarks/", "python {root}/benchmarks/"),
    (r"--model \S+ --out runs/llm --budget", "{toy} --out runs/llm --budget"),
    (r"--model \S+ --out runs/llm --device cuda", "{toy} --out runs/there"),
    (r"--toy --model \S+ --out runs/llm-gemma-toy", "--toy --device cpu --out runs/llm-gemma-toy"),
]
NOT_RUN = {
    r"^pip (wheel|download)": "wheels for another machine",
    r"^pip install --no-index": "on a machine without a network",
}


def prepare():
    return {"toy": "--toy --device cpu --seeds 20"}


def check(names, printed):
    for run in ("llm", "there", "llm-gemma-toy"):
        assert Path("runs", run, "summary.json").exists(), run
