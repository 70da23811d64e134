r"""F-GRPO in TRL, from a model's name to a trained model: sums that a verifier checks.

    python examples/trl_quickstart.py                # one GPU; Qwen2.5-0.5B-Instruct of the hub
    python examples/trl_quickstart.py --model FOLDER --use_cpu --max_steps 2 \
        --gradient_accumulation_steps 1 --max_completion_length 8    # any model: does it run?

Every field of TRL's GRPOConfig is an option, and so are the focal weight's: --focal_gamma 0 is
plain GRPO. Needs pip install '.[trl]'.
"""

import random
from dataclasses import dataclass, field

from datasets import Dataset
from trl import TrlParser

from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from fgrpo.verify.rewards import trl_reward

ASK = "What is {}? Think step by step and put the final answer in \\boxed{{}}."
SHOWN = ("groups_solved_all", "groups_solved_none", "groups_mixed", "weight_mean")
DEFAULTS = {  # 32 prompts a step, 8 completions of each
    "output_dir": "runs/trl-quickstart",
    "max_steps": 100,
    "num_generations": 8,
    "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 16,
    "logging_steps": 1,
}


@dataclass
class Options:
    """What is not TRL's."""

    model: str = field(
        default="Qwen/Qwen2.5-0.5B-Instruct", metadata={"help": "Name on the hub, or folder."}
    )


def sums(number, rng):
    """Make problems of three numbers, with their answers."""
    for _ in range(number):
        a, b, c = (rng.randrange(10, 1000) for _ in range(3))
        prompt = [{"role": "user", "content": ASK.format(f"{a} + {b} - {c}")}]
        yield {"prompt": prompt, "answer": str(a + b - c)}


def main():
    """Train, and say what the groups were like."""
    parser = TrlParser((Options, FocalGRPOConfig))
    parser.set_defaults(**DEFAULTS)
    options, settings = parser.parse_args_and_config()
    trainer = FocalGRPOTrainer(  # GRPOTrainer, if it were not for the weight
        model=options.model,
        reward_funcs=trl_reward("maths", column="answer"),
        args=settings,
        train_dataset=Dataset.from_list(list(sums(2000, random.Random(0)))),
    )
    trainer.train()
    trainer.save_model()
    for row in (row for row in trainer.state.log_history if "reward" in row):
        shares = ", ".join(f"{name} {row[f'focal/{name}']:.2f}" for name in SHOWN)
        print(f"step {row['step']}: reward {row['reward']:.2f}, {shares}")
    print(f"γ = {settings.focal_gamma}; the trained model is in {settings.output_dir}")


if __name__ == "__main__":
    main()
