"""A tiny random model, and prompts of which it solves some always, some never."""

import pandas as pd

from tiny_llm import save_tiny

LENGTH = 8  # tokens, which are bytes
PROMPTS = 4  # a step
# How many of its characters must be printable ASCII, about a third of what a random model writes.
ASKED = (0, 2, 3, 4, 3, 5, 4, 9)


def save_task(folder):
    """Save the model and 16 prompts in verl's schema; return the folder."""
    folder.mkdir(parents=True)
    save_tiny(folder / "model")
    rows = [
        {
            "data_source": "readable",
            "prompt": [{"role": "user", "content": f"Question {index}"}],
            "ability": "none",
            "reward_model": {"style": "rule", "ground_truth": str(asked)},
            "extra_info": {"index": index},
        }
        for index, asked in enumerate(ASKED * 2)
    ]
    pd.DataFrame(rows).to_parquet(folder / "train.parquet")
    pd.DataFrame(rows[:PROMPTS]).to_parquet(folder / "validation.parquet")
    return folder
