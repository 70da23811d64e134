"""The options of a call, and the folder that holds one experiment."""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fgrpo.errors import UsageError
from fgrpo.files import make_folder, write_text

TINY = "tiny"
FILE = "settings.json"
# Seeds below this are for looking at settings; what is reported comes from others.
FIRST_REPORTED_SEED = 20

DEFAULTS = {
    "task": "gcd",
    "gammas": [0.0, 0.5, 1.0],
    "seeds": [20, 21, 22],
    "group": 8,
    "prompts": 32,
    "steps": 100,
    "learning_rate": 2e-6,
    "shots": 4,
    "max_tokens": 12,
    "items": 128,
    "samples": 256,
}
TOY = {
    "gammas": [0.0, 1.0],
    "seeds": [1, 2],
    "prompts": 4,
    "steps": 6,
    "learning_rate": 1e-3,
    "shots": 1,
    "max_tokens": 6,
    "items": 8,
    "samples": 8,
}
HELP = {
    "task": "questions of reasoning-gym",
    "gammas": "focal exponents; 0 is GRPO",
    "seeds": "training seeds, the same for every exponent",
    "group": "rollouts of a prompt, N",
    "prompts": "prompts of a step",
    "steps": "training steps of an arm",
    "learning_rate": "of AdamW; constant after a tenth of the steps",
    "shots": "solved questions before the one that is asked",
    "max_tokens": "longest completion",
    "items": "held-out questions",
    "samples": "completions of each held-out question",
}


@dataclass(frozen=True)
class Settings:
    """What must stay the same from call to call: it decides the results."""

    model: str
    task: str
    gammas: list[float]
    seeds: list[int]
    group: int
    prompts: int
    steps: int
    learning_rate: float
    shots: int
    max_tokens: int
    items: int
    samples: int
    device: str

    @property
    def dtype(self) -> str:
        """Precision of evaluation, and of training's products; weights train in float32."""
        return "bfloat16" if self.device == "cuda" else "float32"

    @property
    def rollouts(self) -> int:
        return self.prompts * self.group

    @property
    def arms(self) -> list[tuple[float, int]]:
        """Every (gamma, seed); one seed of all exponents before the next seed."""
        return [(gamma, seed) for seed in self.seeds for gamma in self.gammas]


@dataclass(frozen=True)
class Pace:
    """What may change from call to call: it decides how fast, and results only by rounding."""

    budget: float | None
    save_every: int
    micro_batch: int
    eval_batch: int
    only_questions: bool


def arm_name(gamma: float, seed: int) -> str:
    return f"gamma-{gamma:g}-seed-{seed}"


def parse(arguments: list[str]) -> tuple[Path, Settings, Pace]:
    """Read the command line; exits with code 2 where it cannot be read."""
    toy = "--toy" in arguments
    chosen = {**DEFAULTS, **(TOY if toy else {})}
    parser = argparse.ArgumentParser(
        description="GRPO against F-GRPO on a small pretrained model; run again until finished.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the experiment")
    parser.add_argument(
        "--model",
        required=not toy,
        default=TINY if toy else None,
        help="hub name, checkpoint folder or GGUF file",
    )
    parser.add_argument("--toy", action="store_true", help="small defaults, for a processor")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    for name, value in chosen.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, list):
            kind = type(value[0])
            parser.add_argument(flag, type=kind, nargs="+", default=value, help=HELP[name])
        elif name == "task":
            parser.add_argument(flag, choices=["gcd", "chain_sum"], default=value, help=HELP[name])
        else:
            parser.add_argument(flag, type=type(value), default=value, help=HELP[name])
    parser.add_argument(
        "--only-questions",
        action="store_true",
        help="end when they are written: a machine without reasoning-gym can do the rest",
    )
    parser.add_argument("--budget", type=float, help="seconds this call may take")
    parser.add_argument("--save-every", type=int, default=2 if toy else 50, help="in steps")
    parser.add_argument(
        "--micro-batch", type=int, default=8 if toy else 64, help="rollouts of one backward pass"
    )
    parser.add_argument(
        "--eval-batch", type=int, default=16 if toy else 1024, help="completions drawn at a time"
    )
    given = vars(parser.parse_args(arguments))
    settings = Settings(
        model=given["model"],
        device=_device(given["device"]),
        **{name: given[name] for name in chosen},
    )
    pace = Pace(**{name: given[name] for name in Pace.__dataclass_fields__})
    _check(settings, pace)
    return given["out"], settings, pace


def _device(given: str) -> str:
    if given != "auto":
        return given
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check(settings: Settings, pace: Pace) -> None:
    numbers = {**asdict(settings), **asdict(pace)}
    positive = ("prompts", "steps", "max_tokens", "items", "samples")
    for name in (*positive, "budget", "save_every", "micro_batch", "eval_batch"):
        if numbers[name] is not None and numbers[name] <= 0:
            raise UsageError(f"--{name.replace('_', '-')} is {numbers[name]}; give more than 0")
    if settings.group < 2 or settings.shots < 0:
        raise UsageError("--group must be at least 2, --shots at least 0")
    if min(settings.gammas) < 0 or not 0 < min(settings.seeds) <= max(settings.seeds) < 900:
        raise UsageError("--gammas must be at least 0, --seeds 1 to 899")
    for name in ("gammas", "seeds"):
        if len(set(numbers[name])) < len(numbers[name]):
            raise UsageError(f"--{name} names one twice")
    if settings.rollouts % pace.micro_batch:
        raise UsageError(
            f"--micro-batch {pace.micro_batch} does not divide the {settings.rollouts} rollouts "
            "of a step (--prompts times --group)"
        )


def open_folder(folder: Path, settings: Settings) -> None:
    """Begin a folder, or refuse one that was begun with other settings."""
    path = folder / FILE
    asked = asdict(settings)
    if path.exists():
        begun = json.loads(path.read_text())
        other = [
            f"{name} was {begun.get(name)!r}, now {asked.get(name)!r}"
            for name in sorted({*begun, *asked})
            if begun.get(name) != asked.get(name)
        ]
        if other:
            raise UsageError(f"{folder} was begun with other settings: {'; '.join(other)}")
        return
    if folder.exists() and {path.name for path in folder.iterdir()} - {f"{FILE}.tmp"}:
        raise UsageError(f"{folder} holds other files and no {FILE}; choose a new folder")
    make_folder(folder)
    write_text(path, json.dumps(asked, indent=2) + "\n")
