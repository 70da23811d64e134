"""docs/trl.md, at the size of a toy."""

import json
from pathlib import Path

REPLACED = [
    (r"^((?:accelerate .*)?fgrpo train .*--output_dir.*)$", r"\1 {training}"),
    (r"--num_processes 8", "--num_processes 1 --cpu"),
    (r"Qwen/Qwen2.5-0.5B-Instruct", "tiny-model"),
    (r"size=64", "size=6"),
    (r"--samples 256 --max-tokens 256", "--samples 4 --max-tokens 8"),
    (
        r'"runs/script", focal_gamma=0.5',
        r"\g<0>, use_cpu=True, bf16=False, max_steps=2, max_completion_length=8",
    ),
]


def prepare():
    from docs_check import small

    small.model("tiny-model")
    return {"training": f"--model_name_or_path tiny-model {small.TRAINING}"}


def check(names, printed):
    runs = Path("runs")
    assert (runs / "comparison" / "report.html").exists()
    assert (runs / "f-grpo-against-grpo").exists()
    gammas = {
        name: json.loads((runs / name / "train.json").read_text())[0]["settings"]["focal_gamma"]
        for name in ("grpo", "f-grpo", "lora", "eight")
    }
    assert gammas == {"grpo": 0.0, "f-grpo": 0.5, "lora": 1.0, "eight": 0.5}, gammas
    assert (runs / "lora" / "adapter_config.json").exists()
    assert "recipes/trl/qwen2.5-7b-f-cispo.yaml" in printed
    # Hand-computed: two of four right, sample variance 1/3, g = √(1/2); three of four, 1/4, √(1/4).
    first, last = (1 / 2) ** 0.5 * (1 / 2) / (1 / 3) ** 0.5, (1 / 4) ** 0.5 * (-3 / 4) / (1 / 2)
    advantages = names["advantages"]
    assert abs(advantages[0] - first) < 1e-5, advantages
    assert abs(advantages[7] - last) < 1e-5, advantages
    assert names["trainer"].args.focal_gamma == 0.5
