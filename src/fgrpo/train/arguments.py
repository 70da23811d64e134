"""What ``fgrpo train`` can be told, read by TRL's own parser from YAML and the command line."""

from __future__ import annotations

import argparse
import difflib
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_type_hints

from trl import ModelConfig, TrlParser

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOConfig
from fgrpo.plan.batches.trl import TrlBatch
from fgrpo.train.batches import require_whole_groups
from fgrpo.train.methods import METHODS
from fgrpo.train.recipe import as_words, check_shapes, read_recipe, recipe_path
from fgrpo.verify.registry import choices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


@dataclass
class TrainArguments:
    """Data, verifier and method; names are TRL's where TRL has one."""

    dataset_name: str = field(
        default="",
        metadata={
            "help": "Data set of the hub, a local file (JSON lines, JSON, CSV, Parquet, or a "
            "folder that datasets saved), or reasoning-gym:TASK:setting=value:…"
        },
    )
    dataset_config: str | None = field(
        default=None, metadata={"help": "Configuration of a data set of the hub."}
    )
    dataset_revision: str | None = field(
        default=None, metadata={"help": "Commit of a data set of the hub; default the current one."}
    )
    dataset_train_split: str = field(
        default="train", metadata={"help": "Split of the data set to train on."}
    )
    dataset_test_split: str = field(
        default="test",
        metadata={"help": "Split to evaluate on, if eval_strategy is not no."},
    )
    eval_dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Another data set to evaluate on, as in dataset_name; default the test split "
            "of dataset_name."
        },
    )
    prompt_column: str = field(
        default="problem",
        metadata={"help": "Column with the prompt: a text, or messages with role and content."},
    )
    answer_column: str = field(
        default="answer",
        metadata={"help": "Column with the reference that answers are checked by."},
    )
    max_prompt_tokens: int | None = field(
        default=None, metadata={"help": "Leave out prompts of more tokens than this."}
    )
    system_prompt: str | None = field(
        default=None,
        metadata={
            "help": "System prompt; none for none. Default: that of fgrpo evaluate, which asks "
            "for the answer in a box."
        },
    )
    use_chat_template: bool | None = field(
        default=None,
        metadata={
            "help": "Put prompts by the model's chat template, or as plain text. Default: as "
            "fgrpo evaluate does, by the model's name; plain text for a tokenizer without one."
        },
    )
    verifier: str | None = field(
        default=None,
        metadata={
            "help": f"What judges answers: {choices()}. Default: the data set's own, or maths."
        },
    )
    method: str = field(
        default="grpo",
        metadata={
            "help": "The paper's loss and bounds; TRL's own settings, if given, come first.",
            "choices": list(METHODS),
        },
    )

    def __post_init__(self) -> None:
        if self.max_prompt_tokens is not None and self.max_prompt_tokens < 1:
            raise UsageError(f"max_prompt_tokens={self.max_prompt_tokens}: take at least 1")


class _OneLine:
    """Mixin for a parser: its errors are one line."""

    def error(self, message: str) -> Any:
        """Raise instead of printing how it is used."""
        raise UsageError(message)


class Parser(_OneLine, TrlParser):  # type: ignore[misc]
    """TRL's parser, whose errors are one line."""


class _First(_OneLine, argparse.ArgumentParser):
    """A parser of the few words that decide how the others are read."""


@dataclass
class TrainingConfig(FocalGRPOConfig):
    """`FocalGRPOConfig`, whose refusal of a group size says which ones fit."""

    def __post_init__(self) -> None:
        if self.max_completion_length is not None and self.max_completion_length < 1:
            raise UsageError(f"max_completion_length={self.max_completion_length}: take at least 1")
        if self.max_steps == 0 or (self.max_steps < 0 and self.num_train_epochs <= 0):
            raise UsageError(
                f"max_steps={self.max_steps} and num_train_epochs={self.num_train_epochs:g}: "
                "there is nothing to train; make one of them more than 0"
            )
        batches_of(self)
        try:
            super().__post_init__()
        except ValueError as error:
            if "bf16/gpu" in str(error):  # names one of the two fields that it takes
                raise UsageError(
                    "no GPU that knows bfloat16: on a processor add --use_cpu true --bf16 false"
                ) from error
            raise
        if self.scale_rewards not in ("group", "batch", "none"):
            raise UsageError(f"scale_rewards={self.scale_rewards!r}: choose group, batch or none")


def batches_of(training: Any) -> TrlBatch:
    """Return the arithmetic of a `FocalGRPOConfig`, before or after TRL has completed it.

    Raises
    ------
    UsageError
        If a generation does not hold whole groups.
    """
    if training.num_generations is None:
        raise UsageError("num_generations is empty: take at least 2")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    steps = training.steps_per_generation
    if steps is None and training.generation_batch_size is not None:
        at_once = training.per_device_train_batch_size * processes
        steps, rest = divmod(training.generation_batch_size, max(at_once, 1))
        if rest or not steps:
            raise UsageError(
                f"generation_batch_size={training.generation_batch_size}: take a multiple of "
                f"{at_once} ({training.per_device_train_batch_size} per device × {processes} "
                f"{'process' if processes == 1 else 'processes'})"
            )
    return require_whole_groups(
        TrlBatch(
            group_size=training.num_generations,
            per_device=training.per_device_train_batch_size,
            processes=processes,
            accumulation=training.gradient_accumulation_steps,
            steps_per_generation=steps,
            iterations=training.num_iterations,
        )
    )


_CLASSES = (TrainArguments, TrainingConfig, ModelConfig)


def make_parser() -> Parser:
    """Return the parser of `TrainArguments`, `FocalGRPOConfig` and TRL's ``ModelConfig``."""
    return Parser(_CLASSES, prog="fgrpo train")


def parse(arguments: Sequence[str]) -> tuple[TrainArguments, Any, Any]:
    """Read the command line.

    What is given there comes first, then the ``--config`` file, then the method's preset, then
    TRL's defaults.

    Parameters
    ----------
    arguments
        As in ``sys.argv``, without program and subcommand.

    Returns
    -------
    TrainArguments, FocalGRPOConfig, trl.ModelConfig

    Raises
    ------
    UsageError
        For an unknown or wrong field, a missing recipe, or batches without whole groups.
    """
    first = _First(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    first.add_argument("--method")
    known, rest = first.parse_known_args(list(arguments))
    parser = make_parser()
    if rest and not rest[0].startswith("-"):
        hint = f"; did you mean --config {rest[0]}?" if rest[0].endswith((".yaml", ".yml")) else ""
        raise UsageError(f"{rest[0]}: belongs to no --field{hint}")
    options = [word.partition("=")[0] for word in rest if word.startswith("--")]
    _check_names(options, parser._option_string_actions, "")
    config: dict[str, Any] = {}
    if known.config is not None:
        path = recipe_path(known.config)
        config = read_recipe(path)
        hints = {name: hint for one in _CLASSES for name, hint in get_type_hints(one).items()}
        _check_names(config, hints, f"{path}: ")
        check_shapes(config, hints, path)
    given = {*config, *(option.lstrip("-").replace("-", "_") for option in options)}
    for name, what in (("dataset_name", "data set"), ("model_name_or_path", "model")):
        if name not in given:
            raise UsageError(f"which {what}? give --{name}")
    method = known.method or config.get("method", "grpo")
    if known.method is not None:
        rest += ["--method", known.method]
    parser.set_defaults_with_config(**METHODS.get(str(method), {}))
    try:
        script, training, model, stray = parser.parse_args_into_dataclasses(
            [*as_words(config, parser), *rest],
            return_remaining_strings=True,
            look_for_args_file=False,
        )
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(" ".join(str(error).split())) from error
    if stray:
        raise UsageError(f"{' '.join(stray)}: belongs to no --field")
    if not script.dataset_name:
        raise UsageError("--dataset_name is empty: which data set?")
    lora = sorted(name for name in given if name.startswith("lora_"))
    if lora and not model.use_peft:
        raise UsageError(
            f"{lora[0]} is given without --use_peft true: all weights would be trained"
        )
    _check_installed(training)
    if training.n_gpu > 1:
        raise UsageError(
            f"{training.n_gpu} GPUs are visible to one process: use  accelerate launch "
            f"--num_processes {training.n_gpu} -m fgrpo train …, or set CUDA_VISIBLE_DEVICES=0"
        )
    return script, training, model


def _check_installed(training: Any) -> None:
    """Refuse what needs a package that is not there, before a model is loaded."""
    wanted = [name for name in ("wandb", "trackio") if name in training.report_to]
    if training.use_vllm:
        wanted.append("vllm")
    for name in wanted:
        if find_spec(name) is None:
            raise UsageError(f"{name} is asked for, but not installed: pip install {name}")
    boards = ("tensorboard", "tensorboardX")
    if "tensorboard" in training.report_to and not any(map(find_spec, boards)):
        raise UsageError("report_to tensorboard needs a package: pip install tensorboard")


def _check_names(names: Iterable[str], known: Collection[str], before: str) -> None:
    for name in names:
        if name not in known:
            spelled = [one for one in known if "-" not in one.lstrip("-")]  # TRL takes both
            near = difflib.get_close_matches(name, spelled, n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"{before}{name}: no such field{hint} (see fgrpo train --help_all)")
