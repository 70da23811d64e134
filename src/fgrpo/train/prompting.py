"""How a model is asked in training: its tokenizer, chat template or plain text, system prompt."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from fgrpo.data.tokens import open_tokenizer
from fgrpo.errors import UsageError
from fgrpo.evaluate.prompts import PromptSettings, prompts_for
from fgrpo.train.data import Prompts, training_set

if TYPE_CHECKING:
    from datasets import Dataset

    from fgrpo.train.arguments import TrainArguments


def load_tokenizer(training: Any, model: Any) -> Any:
    """Load the model's tokenizer.

    Raises
    ------
    RunError
        If there is none, here or on the hub.
    """
    # A field of one or the other, by TRL's version.
    trust = getattr(training, "trust_remote_code", getattr(model, "trust_remote_code", False))
    return open_tokenizer(model.model_name_or_path, revision=model.model_revision, trust=trust)


def prompt_settings(
    script: TrainArguments, training: Any, name: str, tokenizer: Any
) -> PromptSettings:
    """Choose as ``fgrpo evaluate`` does by the model's name; the template's switches are set too.

    Raises
    ------
    UsageError
        If a chat template is asked for and there is none.
    """
    settings = prompts_for(name, system=script.system_prompt, chat=script.use_chat_template)
    if settings.chat and not tokenizer.chat_template:
        if script.use_chat_template:
            raise UsageError(
                f"{name}: its tokenizer has no chat template; leave out --use_chat_template"
            )
        settings = PromptSettings(settings.system, None, chat=False)
    switches = dict(training.chat_template_kwargs or {})
    if settings.chat and settings.thinking is not None:
        switches.setdefault("enable_thinking", settings.thinking)
        training.chat_template_kwargs = switches
    return PromptSettings(settings.system, switches.get("enable_thinking"), settings.chat)


def make_dataset(
    script: TrainArguments, prompts: Prompts, settings: PromptSettings, tokenizer: Any
) -> Dataset:
    """Put the prompts as TRL reads them, without those that are too long."""

    def count(prompt: Any) -> int:
        if isinstance(prompt, str):
            return len(tokenizer(prompt)["input_ids"])
        text = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return training_set(prompts, settings, count, script.max_prompt_tokens)


def evaluate_options(settings: PromptSettings, model: str) -> str:
    """Return the options by which ``fgrpo evaluate`` asks a model of that name in the same way."""
    usual = prompts_for(model)
    options = []
    if settings.chat != usual.chat:
        options.append("--chat" if settings.chat else "--no-chat")
    if settings.thinking != usual.thinking and settings.thinking is not None:
        options.append("--thinking" if settings.thinking else "--no-thinking")
    if settings.system != usual.system:
        options += ["--system", settings.system or "none"]
    return "".join(f" {shlex.quote(option)}" for option in options)
