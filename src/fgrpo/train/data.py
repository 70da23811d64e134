"""Prompts and references from the hub, a local file, or reasoning-gym."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError
from fgrpo.evaluate.benchmark import Hub
from fgrpo.evaluate.benchmarks import reasoning_gym
from fgrpo.evaluate.rows import FORMATS, hub_rows, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datasets import Dataset

    from fgrpo.evaluate.prompts import PromptSettings

REFERENCE = "reference"


@dataclass(frozen=True)
class Prompt:
    """One prompt to train on.

    Parameters
    ----------
    prompt
        A text, or a conversation as a list of messages.
    reference
        What the verifier compares with, ready for JSON.
    """

    prompt: str | list[dict[str, Any]]
    reference: Any


@dataclass
class Prompts:
    """The prompts of a data set, and what was left out.

    Parameters
    ----------
    prompts
        In the source's order.
    verifier
        The one the data name; None if they name none.
    source
        What was loaded, with its revision.
    dropped
        Numbers of rows left out, by reason.
    """

    prompts: list[Prompt]
    verifier: str | None
    source: str
    dropped: Counter[str] = field(default_factory=Counter)

    def describe(self) -> str:
        """Say how many there are, and what was left out."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.dropped.items())
        return f"{len(self.prompts):,} prompts of {self.source}" + (
            f" (left out: {reasons})" if reasons else ""
        )


def has_splits(name: str) -> bool:
    """Tell whether a data set may have several splits: one of the hub, or a folder saved so."""
    if (path := Path(name)).is_dir():
        return (path / "dataset_dict.json").exists()
    return not (name.startswith(reasoning_gym.PREFIX) or path.suffix.lower() in FORMATS)


def load_prompts(
    name: str,
    *,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    prompt_column: str = "problem",
    answer_column: str = "answer",
) -> Prompts:
    """Load prompts with their references.

    The same prompt with the same reference is taken once. A prompt that comes with different
    references is left out altogether: no answer to it could be judged.

    Parameters
    ----------
    name
        ``reasoning-gym:TASK`` with settings (see `fgrpo.evaluate.benchmarks.reasoning_gym`), a
        local file (JSON lines, JSON, CSV, Parquet, or a folder saved by ``datasets``), or a data
        set of the hub.
    split, config, revision
        Of a data set of the hub; ``split`` also of a saved folder.
    prompt_column, answer_column
        Columns of a table. A prompt is a text or a conversation; a column ``verifier``, if there,
        names the verifier and is the same in all rows.

    Raises
    ------
    UsageError
        If a column is missing, a row holds no prompt or reference, or nothing is left.
    RunError
        If the hub cannot be reached.
    """
    if name.startswith(reasoning_gym.PREFIX):
        task = reasoning_gym.single(name)
        found = [Prompt(problem.prompt, problem.reference) for problem in task.generate()]
        # Its references hold more than the answer, and one question may have several answers.
        return _cleaned(
            Prompts(found, task.verifier, f"{name} ({task.version()})"), conflicts=False
        )
    rows: Iterable[tuple[str, dict[str, Any]]]
    if (path := Path(name)).exists() or path.suffix.lower() in FORMATS:
        rows, source = read_rows(path, split), name
    else:
        rows, commit = hub_rows(Hub(name, split, config), revision, "--dataset_name FILE")
        source = f"{name} ({split}, {commit[:12]})"
    found, verifiers = [], set()
    for place, row in rows:
        found.append(_prompt(place, row, prompt_column, answer_column))
        verifiers.add(str(row["verifier"]) if row.get("verifier") else None)
    if len(verifiers) > 1:
        raise UsageError(
            f"{name}: its rows name several verifiers ({', '.join(sorted(map(str, verifiers)))}); "
            "train on one at a time"
        )
    return _cleaned(Prompts(found, next(iter(verifiers), None), source))


def training_set(
    prompts: Prompts,
    settings: PromptSettings,
    count_tokens: Callable[[str | list[dict[str, Any]]], int] | None = None,
    max_tokens: int | None = None,
) -> Dataset:
    """Make the data set that TRL reads: columns ``prompt`` and ``reference`` (as JSON).

    Parameters
    ----------
    prompts
        What is asked; prompts that are too long move to its ``dropped``, where they are counted.
    settings
        With ``chat``, a prompt becomes a conversation that opens with the system prompt;
        otherwise a text of both, parted by a blank line.
    count_tokens, max_tokens
        Prompts of more tokens than this are left out.

    Raises
    ------
    UsageError
        If nothing is left, or a conversation is to be plain text.
    """
    from datasets import Dataset

    rows, kept = [], []
    for one in prompts.prompts:
        put = _put(one.prompt, settings)
        if max_tokens is not None and count_tokens is not None and count_tokens(put) > max_tokens:
            prompts.dropped[f"longer than {max_tokens} tokens"] += 1
            continue
        rows.append({"prompt": put, REFERENCE: json.dumps(one.reference)})
        kept.append(one)
    prompts.prompts = kept
    if not rows:
        raise UsageError(f"nothing to train on: {prompts.describe()}")
    return Dataset.from_list(rows)


def _prompt(place: str, row: dict[str, Any], prompt_column: str, answer_column: str) -> Prompt:
    for option, column in (("prompt_column", prompt_column), ("answer_column", answer_column)):
        if column not in row:
            raise UsageError(
                f"{place}: no column {column!r} among {', '.join(sorted(row)) or 'none'}; "
                f"name it with --{option}"
            )
    prompt, reference = row[prompt_column], row[answer_column]
    if not isinstance(prompt, (str, list)) or not prompt or _blank(prompt):
        raise UsageError(f"{place}: {prompt_column} is {prompt!r:.60}: give a text or messages")
    if isinstance(prompt, list) and not all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in prompt
    ):
        raise UsageError(
            f"{place}: {prompt_column} is a list, but not of messages with role and content"
        )
    if reference is None or _blank(reference) or reference != reference:
        raise UsageError(f"{place}: {answer_column} is {reference!r}: there is nothing to check by")
    if isinstance(reference, (int, float, Decimal)) and not isinstance(reference, bool):
        # A table with gaps has made its integers floats.
        whole = isinstance(reference, float) and reference.is_integer()
        reference = str(int(reference) if whole else reference)
    try:
        json.dumps(reference)
    except TypeError:
        raise UsageError(
            f"{place}: {answer_column} is a {type(reference).__name__}: give a text or a number"
        ) from None
    return Prompt(prompt, reference)


def _blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _cleaned(prompts: Prompts, conflicts: bool = True) -> Prompts:
    """Take each prompt once, and with ``conflicts`` none that has several references."""
    references: dict[str, set[str]] = {}
    keys = [json.dumps(one.prompt, sort_keys=True) for one in prompts.prompts]
    for key, one in zip(keys, prompts.prompts, strict=True):
        references.setdefault(key, set()).add(json.dumps(one.reference, sort_keys=True))
    kept = []
    taken: set[str] = set()
    for key, one in zip(keys, prompts.prompts, strict=True):
        if conflicts and len(references[key]) > 1:
            prompts.dropped["with conflicting answers"] += 1
        elif key in taken:
            prompts.dropped["repeated"] += 1
        else:
            taken.add(key)
            kept.append(one)
    prompts.prompts = kept
    return prompts


def _put(prompt: str | list[dict[str, Any]], settings: PromptSettings) -> Any:
    system = settings.system
    if isinstance(prompt, list):
        if not settings.chat:
            raise UsageError("a prompt is a conversation: it needs the model's chat template")
        has_system = prompt[0]["role"] == "system"
        before = [] if system is None or has_system else [{"role": "system", "content": system}]
        return [*before, *prompt]
    if settings.chat:
        messages = [] if system is None else [{"role": "system", "content": system}]
        return [*messages, {"role": "user", "content": prompt}]
    return prompt if system is None else f"{system}\n\n{prompt}"
