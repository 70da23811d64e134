"""One arm with one seed, by TRL with the focal weight; goes on at the last whole checkpoint."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback

from fgrpo.files import make_folder, write_text
from fgrpo.integrations.trl import FocalGRPOConfig, FocalGRPOTrainer
from llm.budget import Budget, OutOfTimeError
from llm.checkpoints import WHOLE, last_checkpoint, longest_step, remove_checkpoints, step_of
from llm.items import exact_reward, training_rows
from llm.model import model_folder
from llm.settings import Pace, Settings

_START = 20.0  # seconds that loading TRL and the model are expected to take
_FIRST_SAVE = 10.0


class Keeper(TrainerCallback):
    """Saves at intervals, stops before the budget ends, removes checkpoints no longer needed."""

    def __init__(self, budget: Budget, save_every: int, begun: int, step: float) -> None:
        self._budget, self._save_every, self._last = budget, save_every, begun
        self._step, self._save = step, _FIRST_SAVE
        self._clock = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._clock = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.monotonic()
        self._step, self._clock = max(self._step, now - self._clock), now
        if state.global_step == state.max_steps:
            return  # the finished model is saved at once
        stop = not self._budget.allows(1.5 * self._step + 2 * self._save)
        control.should_training_stop = stop
        if stop or state.global_step - self._last >= self._save_every:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir)
        new = folder / f"checkpoint-{state.global_step}"
        (new / WHOLE).touch()
        self._last = state.global_step
        self._save = time.monotonic() - self._clock
        print(f"  step {state.global_step} of {state.max_steps}", flush=True)
        remove_checkpoints(folder, keep=new)


def train(
    folder: Path,
    target: Path,
    settings: Settings,
    pace: Pace,
    budget: Budget,
    arm: tuple[float, int],
) -> None:
    """Train an arm that is not finished, until ``target`` holds ``model`` and ``log.json``.

    Raises
    ------
    OutOfTimeError
        If the budget ends before; the next call goes on.
    """
    gamma, seed = arm
    make_folder(target)
    begun = last_checkpoint(target)
    at = step_of(begun) if begun else 0
    remove_checkpoints(target, keep=begun)
    step = longest_step(target.parent)
    if not budget.allows(_START + step + _FIRST_SAVE):
        raise OutOfTimeError(f"step {at} of {settings.steps}")
    tokenizer = AutoTokenizer.from_pretrained(model_folder(folder), padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(model_folder(folder), dtype=torch.float32)
    trainer = FocalGRPOTrainer(
        model=network,
        processing_class=tokenizer,
        reward_funcs=exact_reward,
        args=_configuration(target, settings, pace, gamma, seed),
        # In the order of the file: every arm of a seed sees the same questions at the same step.
        train_dataset=Dataset.from_list(training_rows(folder, seed)),
        callbacks=[Keeper(budget, pace.save_every, at, step)],
    )
    trainer.remove_callback(PrinterCallback)  # its figures are in the log
    trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    if trainer.state.global_step < settings.steps:
        raise OutOfTimeError(f"step {trainer.state.global_step} of {settings.steps}")
    _finish(trainer, target)


def _configuration(
    target: Path, settings: Settings, pace: Pace, gamma: float, seed: int
) -> FocalGRPOConfig:
    """Return GRPO as the paper runs it: token mean, no KL, one update for each batch."""
    return FocalGRPOConfig(
        output_dir=str(target),
        focal_gamma=gamma,
        num_generations=settings.group,
        per_device_train_batch_size=pace.micro_batch,
        gradient_accumulation_steps=settings.rollouts // pace.micro_batch,
        max_steps=settings.steps,
        max_completion_length=settings.max_tokens,
        temperature=1.0,
        loss_type="dapo",  # in TRL: the mean over all tokens of the batch
        epsilon=0.2,
        beta=0.0,
        scale_rewards="group",
        shuffle_dataset=False,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=settings.steps // 10,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=settings.device == "cuda",
        use_cpu=settings.device == "cpu",
        gradient_checkpointing=False,
        dataloader_pin_memory=settings.device == "cuda",
        seed=seed,
        save_strategy="no",  # the callback says when
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )


def _finish(trainer: FocalGRPOTrainer, target: Path) -> None:
    """Keep the log and the model; drop what only going on would need."""
    write_text(target / "log.json", json.dumps(trainer.state.log_history, indent=1) + "\n")
    temporary = target / "model.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    trainer.save_model(str(temporary))
    temporary.rename(target / "model")
    remove_checkpoints(target)
