"""A training from arguments to a saved model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer
from trl import get_peft_config, get_quantization_config

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.prompts import PromptSettings, prompts_for
from fgrpo.files import make_folder, write_text
from fgrpo.integrations.trl import FocalGRPOTrainer
from fgrpo.provenance import provenance
from fgrpo.train.arguments import batches_of, parse
from fgrpo.train.checkpoints import checkpoint_for
from fgrpo.train.data import REFERENCE, Prompts, has_splits, load_prompts, training_set
from fgrpo.train.preflight import preflight
from fgrpo.verify.rewards import trl_reward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

    from fgrpo.train.arguments import TrainArguments

PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "datasets", "vllm")
SUMMARY = "train.json"


def train(arguments: Sequence[str], command: str) -> None:
    """Train as the arguments say, and save the model in ``output_dir``.

    Parameters
    ----------
    arguments
        See `fgrpo.train.arguments.parse`.
    command
        What the user typed, for the record.

    Raises
    ------
    UsageError
        If something asked for does not fit; before a model is loaded, where it can be told.
    """
    script, training, model = parse(arguments)
    output = Path(training.output_dir)
    checkpoint = checkpoint_for(training.resume_from_checkpoint, output)
    batches = batches_of(training)
    prompts = _load(script, script.dataset_name, script.dataset_train_split)
    verifier = script.verifier or prompts.verifier or "maths"
    reward = trl_reward(verifier, column=REFERENCE, decode=json.loads)
    correct = f"{verifier}; correct from {training.focal_threshold:g} on"
    if checkpoint is None and training.resume_from_checkpoint in ("true", "latest"):
        _say(f"no checkpoint in {output} yet: starting from the beginning")
    _say(preflight(script.method, training, batches, correct))
    tokenizer = _tokenizer(training, model)
    settings = _prompt_settings(script, training, model.model_name_or_path, tokenizer)
    data = _dataset(script, prompts, settings, tokenizer)
    evaluation = None
    if training.do_eval:
        evaluation = _dataset(script, _held_out(script, verifier), settings, tokenizer)
    # Also with max_steps: without one whole generation TRL would train nothing, and say nothing.
    updates = batches.updates(len(data), training.num_train_epochs)
    if training.max_steps > 0:
        updates = training.max_steps
    # A verifier that cannot be imported is told by its first answer: before a model is loaded.
    reward([""], [""], **{REFERENCE: data[:1][REFERENCE]})
    how = "chat template" if settings.chat else "plain text"
    _say(f"\n{'data':12}{prompts.describe()}")
    _say(f"{'prompts':12}{how}, system prompt {settings.system!r}")
    _say(f"{'length':12}{updates:,} updates; at most {training.max_completion_length} new tokens\n")
    if _is_main():
        about = {
            **provenance(command, str(training.device), PACKAGES),
            "data": prompts.describe(),
            "verifier": verifier,
            "prompts": {"chat": settings.chat, "system": settings.system},
            "updates": updates,
            "settings": {**vars(script), **training.to_sanitized_dict()},
        }
        _note(output, about)
    trainer = _trainer(training, model, reward, data, evaluation, tokenizer)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(training.output_dir)
    if training.push_to_hub:
        trainer.push_to_hub(dataset_name=script.dataset_name)
    saved = f"{model.model_name_or_path} --adapter {output}" if model.use_peft else output
    _say(f"Saved in {output}. What it gained and lost: fgrpo evaluate --model {saved} …")


def _note(output: Path, about: dict[str, Any]) -> None:
    """Add a start of the training to ``train.json``; a resumed one has several."""
    make_folder(output)
    path = output / SUMMARY
    starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    write_text(path, json.dumps([*starts, about], indent=1, default=str) + "\n")


def _trainer(
    training: Any,
    model: Any,
    reward: Any,
    data: Dataset,
    evaluation: Dataset | None,
    tokenizer: Any,
) -> FocalGRPOTrainer:
    training.model_init_kwargs = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(training.model_init_kwargs or {}),
    }
    return FocalGRPOTrainer(
        model=model.model_name_or_path,
        reward_funcs=reward,
        args=training,
        train_dataset=data,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        quantization_config=get_quantization_config(model),
        peft_config=get_peft_config(model),
    )


def _held_out(script: TrainArguments, verifier: str) -> Prompts:
    name = script.eval_dataset_name or script.dataset_name
    split = script.dataset_test_split
    same = (
        name == script.dataset_name or Path(name).resolve() == Path(script.dataset_name).resolve()
    )
    if same and (split == script.dataset_train_split or not has_splits(name)):
        raise UsageError(
            f"{name} has no split to evaluate on beside the one trained on: name another data set "
            "with --eval_dataset_name, or leave out --eval_strategy"
        )
    prompts = _load(script, name, split)
    named = script.verifier or prompts.verifier or "maths"
    if named != verifier:
        raise UsageError(
            f"{name} is checked by {named}, the data trained on by {verifier}: evaluate on data of "
            "the same verifier, or name one for both with --verifier"
        )
    return prompts


def _load(script: TrainArguments, name: str, split: str) -> Prompts:
    return load_prompts(
        name,
        split=split,
        config=script.dataset_config,
        revision=script.dataset_revision if name == script.dataset_name else None,
        prompt_column=script.prompt_column,
        answer_column=script.answer_column,
    )


def _tokenizer(training: Any, model: Any) -> Any:
    # A field of one or the other, by TRL's version.
    trust = getattr(training, "trust_remote_code", getattr(model, "trust_remote_code", False))
    name = model.model_name_or_path
    try:
        return AutoTokenizer.from_pretrained(
            name,
            revision=model.model_revision,
            trust_remote_code=trust,
            padding_side="left",
            truncation_side="left",
        )
    except (OSError, ValueError) as error:
        what = "a folder without a tokenizer" if Path(name).is_dir() else "no folder here"
        text = " ".join(str(error).split())
        raise RunError(f"{name}: {what}, and not to be had from the hub ({text:.200})") from error


def _prompt_settings(
    script: TrainArguments, training: Any, name: str, tokenizer: Any
) -> PromptSettings:
    """Choose as ``fgrpo evaluate`` does, so that a trained model is asked as it was trained."""
    settings = prompts_for(name, system=script.system_prompt, chat=script.use_chat_template)
    if settings.chat and not tokenizer.chat_template:
        if script.use_chat_template:
            raise UsageError(
                f"{name}: its tokenizer has no chat template; leave out --use_chat_template"
            )
        settings = PromptSettings(settings.system, None, chat=False)
    if settings.chat and settings.thinking is not None:
        given = training.chat_template_kwargs or {}
        training.chat_template_kwargs = {"enable_thinking": settings.thinking, **given}
    return settings


def _dataset(
    script: TrainArguments, prompts: Prompts, settings: PromptSettings, tokenizer: Any
) -> Dataset:
    def count(prompt: Any) -> int:
        if isinstance(prompt, str):
            return len(tokenizer(prompt)["input_ids"])
        text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return training_set(prompts, settings, count, script.max_prompt_tokens)


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(text: str) -> None:
    if _is_main():
        print(text, flush=True)
