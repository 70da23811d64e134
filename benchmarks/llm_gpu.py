"""GRPO against F-GRPO on a small pretrained model: did training narrow it, and less with γ?

    python benchmarks/llm_gpu.py --model MODEL --out runs/llm --budget 540
    python benchmarks/llm_gpu.py --toy --out runs/llm-toy

Trains one model on questions of reasoning-gym with every exponent and seed, by TRL, samples the
base model and every trained one on held-out questions, and compares them. `docs/llm.md` says what
comes out. Killed at any moment, or out of its budget, the same command goes on.
"""

import os
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from llm.budget import Budget, Journal, OutOfTimeError
from llm.settings import FIRST_REPORTED_SEED, Pace, Settings, arm_name, open_folder, parse

from fgrpo.errors import RunError, UsageError
from fgrpo.files import locked
from fgrpo.provenance import provenance

_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "reasoning-gym", "gguf", "numpy")


def main(arguments: list[str]) -> int:
    started = time.monotonic()
    try:
        folder, settings, pace = parse(arguments)
        open_folder(folder, settings)
        if min(settings.seeds) < FIRST_REPORTED_SEED:
            print(f"note: seeds below {FIRST_REPORTED_SEED} are for trying settings out")
        with locked(folder / "lock"):
            return _run(folder, settings, pace, Budget(pace.budget, started))
    except KeyboardInterrupt:
        print("stopped: the same command goes on")
        return 130
    except (UsageError, RunError) as error:
        print(f"llm_gpu.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def _run(folder: Path, settings: Settings, pace: Pace, budget: Budget) -> int:
    about = provenance(shlex.join(sys.argv), _hardware(settings.device), _PACKAGES)
    journal = Journal(folder / "sessions.json", about)
    stage = ""
    try:
        for stage, work in _stages(folder, settings, pace, budget, journal, about):
            if not budget.allows(0.0):
                raise OutOfTimeError("not begun")
            with journal.stage(stage):
                work()
            if pace.only_questions:
                print(f"questions are in {folder}; without --only-questions the rest follows")
                return 0
    except OutOfTimeError as reached:
        print(f"not finished: run again ({stage}: {reached})")
        return 0
    from llm.report import print_training

    print_training(folder)
    return 0


def _stages(
    folder: Path,
    settings: Settings,
    pace: Pace,
    budget: Budget,
    journal: Journal,
    about: dict[str, Any],
) -> list[tuple[str, Any]]:
    """List what is to be done, each part by itself able to see that it was done before."""
    from llm.evaluation import evaluate_model
    from llm.items import write_items
    from llm.model import model_folder, prepare
    from llm.report import BASE, EVALUATIONS, TRAINING, report

    def evaluation(name: str, model: Path) -> tuple[str, Any]:
        target = folder / EVALUATIONS / name
        return f"evaluate {name}", lambda: evaluate_model(
            folder, target, model, settings, pace, budget, about
        )

    def training(arm: tuple[float, int], target: Path) -> tuple[str, Any]:
        def work() -> None:
            if (target / "model").exists():
                return
            from llm.train import train  # loads TRL, which takes its time

            train(folder, target, settings, pace, budget, arm)

        return f"train {arm_name(*arm)}", work

    stages = [
        ("questions", lambda: write_items(folder, settings)),
        ("prepare", lambda: prepare(folder, settings)),
        evaluation(BASE, model_folder(folder)),
    ]
    for arm in settings.arms:
        target = folder / TRAINING / arm_name(*arm)
        stages += [training(arm, target), evaluation(arm_name(*arm), target / "model")]
    return [*stages, ("compare", lambda: report(folder, settings, journal))]


def _hardware(device: str) -> str:
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU here"
    return f"cpu ({platform.machine()})"


if __name__ == "__main__":
    # What other packages have to say of their own next versions, and their bars.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    sys.exit(main(sys.argv[1:]))
