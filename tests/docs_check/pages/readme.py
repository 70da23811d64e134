"""README.md."""

from pathlib import Path

REPLACED = [
    (r"^(fgrpo train .*)$", r"\1 {training} --output_dir runs/one"),
    (r"--gradient_accumulation_steps 2$", "{training} --output_dir runs/many"),
    (r"--num_processes 8", "--num_processes 1 --cpu"),
    (r"^python -m verl(\S+) \.\.\.", r"{verl}/python -m verl\1 --cfg job"),
    (r"^(fgrpo run [^#\n]*?)( *#.*)?$", r"\1 {mazes}"),
    (r" --list {mazes}", " --list"),
    (r"Qwen/Qwen2.5-7B", "guesser"),
    (r"--samples 256", "--samples 16 --max-tokens 2 {tables}"),
    (r"(fgrpo rare-nll .*)$", r"\1 --share 0.2"),
    (
        r"^(fgrpo simulate) .*",
        r"\1 --steps 2 --group-sizes 8 512 --actions 2000 --correct 200 --out runs/two",
    ),
]
NOT_RUN = {
    r"^python3 -m venv": "`make docs-check` makes the environment",
    r"^fgrpo reproduce --scale medium": "an hour or two; the line above it makes some of the items",
    r"^make demo": "minutes long: `fgrpo run maze-small` at its size; below it runs small",
    r"^make test": "CI runs it beside this",
}


def prepare():
    import numpy as np
    import yaml

    from docs_check import small
    from fgrpo.recipes import load

    small.model("tiny-model")
    for number, folder in enumerate(("guesser", "runs/grpo")):
        small.guesser(folder, seed=number)
    small.questions("sums.jsonl")
    small.records("A.jsonl", seed=0)
    small.records("B.jsonl", right=0.4, seed=1)
    recipe = Path(load.__file__).parent / "maze-small.yaml"
    Path("my-recipe.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(recipe.read_text()) | {"name": "mine"})
    )
    return {
        "rewards": np.repeat([1.0, 0.0, 1.0], [3, 5, 8]),
        "training": f"--model_name_or_path tiny-model {small.TRAINING}",
        "mazes": small.MAZES,
        "tables": "--data aime24=sums.jsonl --data math500=sums.jsonl",
    }


def check(names, printed):
    import numpy as np

    # Hand-computed: X = 3 of N = 8, so g = √(5/8); mean 3/8, sample variance 8·(3/8)(5/8)/7.
    weight, deviation = (5 / 8) ** 0.5, (15 / 56) ** 0.5
    advantages = names["advantages"]
    assert isinstance(advantages, np.ndarray)
    np.testing.assert_allclose(advantages[0], weight * (5 / 8) / (deviation + 1e-6))
    np.testing.assert_array_equal(advantages[8:], 0)
    assert "adv_estimator: f_grpo" in printed
    assert "focal_gamma: 0.5" in printed
    assert Path("runs/n16/report.html").exists()
    assert Path("trained.jsonl").read_text().count("aime24/01") == 1
