"""A model's tokenizer, and how long prompts are in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.errors import RunError, UsageError, cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fgrpo.data.clean import Show

COUNTING = "counting tokens"
_AT_ONCE = 512  # prompts given to the tokenizer, and between two reports of progress


def open_tokenizer(name: str, *, revision: str | None = None, trust: bool = False) -> Any:
    """Open a model's tokenizer, for sampling: it pads and cuts on the left.

    Parameters
    ----------
    name
        Of the model on the hub, or its folder.
    revision
        Branch, tag or commit on the hub.
    trust
        Whether code that comes with it may be run.

    Raises
    ------
    RunError
        If there is none, here or on the hub.
    """
    from transformers import AutoTokenizer

    if name.startswith((".", "/", "~")) and not Path(name).is_dir():
        raise RunError(f"{name}: no such folder")
    try:
        return AutoTokenizer.from_pretrained(
            name,
            revision=revision,
            trust_remote_code=trust,
            padding_side="left",
            truncation_side="left",
        )
    except (OSError, ValueError) as error:
        what = "a folder without a tokenizer" if Path(name).is_dir() else "no folder here"
        raise RunError(
            f"{name}: {what}, and not to be had from the hub ({cause(error)})"
        ) from error


def check_template(name: str, tokenizer: Any) -> None:
    """Refuse a tokenizer without a chat template, which both trainers need for messages.

    Raises
    ------
    UsageError
        If it has none.
    """
    if not tokenizer.chat_template:
        raise UsageError(
            f"{name}: its tokenizer has no chat template, by which verl and TRL put messages to a "
            "model; name the tokenizer of its instruct model, or give this one a template"
        )


def fingerprint(tokenizer: Any) -> str:
    """Return a digest of what makes a tokenizer's prompts: its vocabulary, rules and template."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = repr(sorted(tokenizer.get_vocab().items())) if backend is None else backend.to_str()
    text = f"{rules}\n{tokenizer.chat_template}"
    return hashlib.sha256(text.encode()).hexdigest()


def count_tokens(
    tokenizer: Any,
    prompts: Sequence[Sequence[Mapping[str, str]]],
    switches: Mapping[str, Any],
    show: Show,
) -> list[int]:
    """Count the tokens of prompts as verl's own filter does.

    Counted is all that the chat template makes of a prompt: the system prompt, the problem, the
    special tokens, and the opening of the answer.

    Parameters
    ----------
    tokenizer
        Has a chat template.
    prompts
        Messages.
    switches
        Passed to the template.
    show
        Told of progress.

    Raises
    ------
    UsageError
        If the template refuses the messages.
    """
    counts: list[int] = []
    for start in range(0, len(prompts), _AT_ONCE):
        part = [[dict(message) for message in one] for one in prompts[start : start + _AT_ONCE]]
        try:
            texts = tokenizer.apply_chat_template(
                part, tokenize=False, add_generation_prompt=True, **switches
            )
        except Exception as error:  # templates raise what they like
            raise UsageError(
                f"the chat template refuses the messages ({error}); if it knows no system prompt, "
                "use --system-prompt none"
            ) from error
        # Not verbose: a prompt longer than the model's context would be warned of.
        tokens = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        counts += map(len, tokens)
        show(COUNTING, len(counts), len(prompts))
    return counts
