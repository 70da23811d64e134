"""A training from arguments to a saved model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trl import get_peft_config, get_quantization_config

from fgrpo.errors import UsageError
from fgrpo.integrations.trl import FocalGRPOTrainer
from fgrpo.integrations.trl.settings import FocalSettings
from fgrpo.provenance import provenance
from fgrpo.train.arguments import batches_of, parse
from fgrpo.train.checkpoints import asks_for_last, checkpoint_for, steps_done, take_model
from fgrpo.train.data import REFERENCE, Prompts, has_splits, load_prompts
from fgrpo.train.notes import check_same, masked, note
from fgrpo.train.preflight import preflight
from fgrpo.train.prompting import (
    evaluate_options,
    load_tokenizer,
    make_dataset,
    prompt_settings,
)
from fgrpo.verify.rewards import trl_reward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset

    from fgrpo.evaluate.prompts import PromptSettings
    from fgrpo.train.arguments import TrainArguments

PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "datasets", "vllm")


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
    FocalSettings.of(training).columns([reward.__name__])
    if checkpoint is None and asks_for_last(training.resume_from_checkpoint):
        _say(f"no checkpoint in {output} yet: starting from the beginning")
    correct = f"{verifier}; correct from {training.focal_threshold:g} on"
    _say(preflight(script.method, training, model, batches, correct))
    chosen = {
        **vars(script),
        "verifier": verifier,
        **vars(model),
        **training.to_sanitized_dict(),
    }
    if checkpoint is not None:
        check_same(output, chosen)
    tokenizer = load_tokenizer(training, model)
    settings = prompt_settings(script, training, model.model_name_or_path, tokenizer)
    data = make_dataset(script, prompts, settings, tokenizer)
    evaluation = None
    if training.do_eval:
        evaluation = make_dataset(script, _held_out(script, verifier), settings, tokenizer)
    # Also with max_steps: without one whole generation TRL would train nothing, and say nothing.
    updates = batches.updates(len(data), training.num_train_epochs)
    if training.max_steps > 0:
        updates = training.max_steps
    # A verifier that cannot be imported is told by its first answer: before a model is loaded.
    reward([""], [""], **{REFERENCE: data[:1][REFERENCE]})
    how = "chat template" if settings.chat else "plain text"
    _say(f"\n{'data':12}{prompts.describe()}")
    _say(f"{'prompts':12}{how}, system prompt: {settings.system or 'none'}")
    _say(f"{'length':12}{updates:,} updates; at most {training.max_completion_length} new tokens\n")
    if checkpoint is not None and steps_done(checkpoint) >= updates:
        # TRL would make one more update.
        _say(f"{checkpoint} has all {updates:,} updates: nothing is left to train")
        if _is_main():
            take_model(checkpoint, output)
    else:
        if _is_main():
            about = {
                **provenance(masked(command), str(training.device), PACKAGES),
                "data": prompts.describe(),
                "prompts": {
                    "chat": settings.chat,
                    "system": settings.system,
                    "thinking": settings.thinking,
                },
                "updates": updates,
                "settings": chosen,
            }
            note(output, about)
        _train(script, training, model, tokenizer, reward, data, evaluation, checkpoint)
    _say(f"Saved in {output}. What it gained and lost:\n  {_next(model, output, settings)}")


def _train(
    script: TrainArguments,
    training: Any,
    model: Any,
    tokenizer: Any,
    reward: Any,
    data: Dataset,
    evaluation: Dataset | None,
    checkpoint: str | None,
) -> None:
    options = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **(training.model_init_kwargs or {}),
    }
    # Fields and arguments that TRL has moved about between its versions.
    if hasattr(model, "trust_remote_code"):
        options["trust_remote_code"] = model.trust_remote_code
    if (quantization := get_quantization_config(model)) is not None:
        options["quantization_config"] = quantization
    training.model_init_kwargs = options
    trainer = FocalGRPOTrainer(
        model=model.model_name_or_path,
        reward_funcs=reward,
        args=training,
        train_dataset=data,
        eval_dataset=evaluation,
        processing_class=tokenizer,
        peft_config=get_peft_config(model),
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(training.output_dir)
    if training.push_to_hub:
        trainer.push_to_hub(dataset_name=script.dataset_name)
    # No trainer.end(): with gloo, freeing the trainer after its process group now and then hangs.


def _next(model: Any, output: Path, settings: PromptSettings) -> str:
    """Return the command that evaluates the model as it was trained."""
    name = model.model_name_or_path if model.use_peft else str(output)
    adapter = f" --adapter {output}" if model.use_peft else ""
    asked = evaluate_options(settings, name)
    return f"fgrpo evaluate --model {name}{adapter}{asked} --benchmark NAME --out FOLDER"


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
    same = name == script.dataset_name
    return load_prompts(
        name,
        split=split,
        config=script.dataset_config if same else None,
        revision=script.dataset_revision if same else None,
        prompt_column=script.prompt_column,
        answer_column=script.answer_column,
    )


def _is_main() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _say(text: str) -> None:
    if _is_main():
        print(text, flush=True)
