"""The options of a call, and the recipe they make."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from fgrpo.cores import cores
from fgrpo.errors import UsageError
from fgrpo.lab.model import Decoder
from fgrpo.lab.settings import ModelSettings, Recipe
from fgrpo.lab.sft import train_base
from fgrpo.lab.weights import load_model
from fgrpo.maze import VOCAB_SIZE

# Of the paper's 3.9M parameters.
MODEL = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
}
TRL_BATCH = 32  # rollouts of one backward pass: TRL's fastest of those tried


@dataclass(frozen=True)
class Options:
    """One call."""

    recipe: Recipe
    reward: str
    model: Path | None
    folder: Path
    device: torch.device
    threads: int
    repeats: int
    warm_up: int
    trl_batch: int
    json: Path | None

    @property
    def rollouts(self) -> int:
        arm = self.recipe.arms[0]
        return arm.prompts_per_step * arm.group_size

    @property
    def steps(self) -> int:
        return self.warm_up + self.repeats

    @property
    def length(self) -> int:
        """Tokens of the longest prompt and response."""
        return self.recipe.maze.prompt_tokens + self.recipe.maze.response_cap


def parse(arguments: list[str], description: str) -> Options:
    """Read the command line; exits with code 2 where it cannot be read."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--size", type=int, default=9, help="rows and columns of a maze")
    add("--prompts", type=int, default=32, help="mazes of a step")
    add("--group-size", type=int, default=8, help="rollouts of a maze, N")
    add("--gamma", type=float, default=0.0, help="focal exponent of both engines")
    add(
        "--reward",
        choices=["maze", "coin"],
        default="maze",
        help="coin: half of all responses are right, for a base model too weak for mazes",
    )
    add("--model", type=Path, help="folder of a saved model; without one, a base model is trained")
    add("--folder", type=Path, default=Path("runs/lab-step"), help="keeps trained base models")
    add("--sft-steps", type=int, default=200, help="steps that train the base model")
    for name, value in MODEL.items():
        add("--" + name.replace("_", "-"), type=int, default=value, help="of the base model")
    add("--precision", choices=["fp32", "bf16"], default="fp32")
    add("--device", choices=["cpu", "cuda"], default="cpu")
    add("--threads", type=int, default=cores(), help="of each engine on its turn")
    add("--repeats", type=int, default=5, help="timed steps of each engine")
    add("--warm-up", type=int, default=1, help="steps of each engine before those")
    add("--trl-batch", type=int, help=f"rollouts of a backward pass of TRL; {TRL_BATCH} if it fits")
    add("--json", type=Path, help="file for the figures")
    given = parser.parse_args(arguments)
    for name in ("repeats", "warm_up", "threads", "trl_batch"):
        value = getattr(given, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} is {value}; give 1 or more")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: PyTorch finds no GPU here; leave it out for the processor")
    rollouts = given.prompts * given.group_size
    batch = given.trl_batch or math.gcd(rollouts, TRL_BATCH)
    recipe = _recipe(given)
    if rollouts % batch:
        raise UsageError(
            f"--trl-batch {batch} does not divide the {rollouts} rollouts of a step "
            "(--prompts times --group-size)"
        )
    return Options(
        recipe=recipe,
        reward=given.reward,
        model=given.model,
        folder=given.folder,
        device=torch.device(given.device),
        threads=given.threads,
        repeats=given.repeats,
        warm_up=given.warm_up,
        trl_batch=batch,
        json=given.json,
    )


def _recipe(given: argparse.Namespace) -> Recipe:
    try:
        return Recipe.model_validate(
            {
                "name": "lab-step",
                "maze": {"size": given.size},
                "model": {name: getattr(given, name) for name in MODEL},
                "sft": {
                    "steps": given.sft_steps,
                    "batch_size": 32,
                    "learning_rate": 1e-3,
                    "schedule": "linear",
                    "warmup_steps": 20,
                },
                "train": {
                    "group_size": given.group_size,
                    "prompts_per_step": given.prompts,
                    "gamma": given.gamma,
                    "learning_rate": 1e-4,
                    "steps": given.warm_up + given.repeats,
                },
                "arms": [{"name": "grpo"}],
                # Two mazes held out, so that the smallest size has some left to train on.
                "evaluation": {"problems": 2},
                "precision": given.precision,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        place = " ".join(str(part) for part in first["loc"])
        value = "" if isinstance(first["input"], dict) else f" {first['input']!r}"
        raise UsageError(f"{place}{value}: {first['msg']}") from None


def base_folder(options: Options) -> Path:
    """Return the folder of the weights both start from, trained first where none is given."""
    if options.model is not None:
        return options.model
    folder = options.folder / f"base-{options.recipe.sft_hash}"
    steps = options.recipe.sft.steps
    every = max(1, steps // 10)

    def tell(done: int, text: str) -> None:
        if done % every == 0:
            print(f"base model: step {done} of {steps}, {text}", flush=True)

    train_base(options.recipe, folder, options.device, tell)
    return folder


def open_base(folder: Path, options: Options) -> Decoder:
    """Open the base model on the device; refuse one that cannot read the task's mazes."""
    model = load_model(folder, options.device)
    if model.vocab_size != VOCAB_SIZE:
        raise UsageError(
            f"--model {folder}: its vocabulary has {model.vocab_size} tokens, the mazes' "
            f"{VOCAB_SIZE}; give a model that the lab trained"
        )
    return model


def shape(model: Decoder) -> dict[str, int]:
    """Return the sizes of the model that was measured."""
    return {name: getattr(model.config, name) for name in ModelSettings.model_fields}
