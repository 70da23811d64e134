"""The right answers of an evaluation or a record file, with their prompts and texts."""

from __future__ import annotations

import hashlib
import json
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fgrpo.errors import UsageError
from fgrpo.evaluate.folder import PROBLEMS, RECORDS, TEXTS, read_about, read_problems
from fgrpo.evaluate.samplers.base import SamplingSettings
from fgrpo.evaluate.texts import read_texts
from fgrpo.records import read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from fgrpo.evaluate.samplers.base import Messages


@dataclass(frozen=True, slots=True, eq=False)
class RightAnswers:
    """The right answers of a record file, one entry each, in its order.

    Attributes
    ----------
    names
        The problems' names.
    problem
        Index into ``names``; int32.
    sample
        Sample index; int32.
    tokens
        Recorded number of tokens, −1 if unknown; int32.
    logprob
        Recorded log-probability, NaN if unknown.
    truncated
        Whether the length limit ended it.
    """

    names: tuple[str, ...]
    problem: NDArray[np.int32]
    sample: NDArray[np.int32]
    tokens: NDArray[np.int32]
    logprob: NDArray[np.float64]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.problem)

    def name(self, i: int) -> tuple[str, int]:
        """Return problem and sample of one."""
        return self.names[self.problem[i]], int(self.sample[i])


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where right answers come from.

    Attributes
    ----------
    records
        The record file.
    texts
        File of texts; None: they are in the records.
    messages
        Each problem's chat messages.
    settings
        How the completions were drawn, as far as known.
    known
        Whether ``settings`` were recorded with the completions.
    right
        The right answers.
    """

    records: Path
    texts: Path | None
    messages: Mapping[str, Messages]
    settings: SamplingSettings
    known: bool
    right: RightAnswers

    @property
    def unchanged(self) -> bool:
        """Whether recorded log-probabilities are those of the texts under the model itself.

        They are not if the distribution was changed, or if they include a stop text.
        """
        found = self.settings
        return found.temperature == 1 and found.top_p == 1 and not found.stop

    def read(self, wanted: Iterable[int]) -> Iterator[tuple[int, Messages, str]]:
        """Yield (index, messages, text) of right answers, in the order of the file of texts.

        Raises
        ------
        UsageError
            At the end, if a text is missing.
        """
        right = self.right
        position = {name: i for i, name in enumerate(right.names)}
        left = {int(right.problem[i]) << 20 | int(right.sample[i]): i for i in wanted}
        for name, sample, text in self._texts():
            problem = position.get(name)
            if problem is None or (i := left.pop(problem << 20 | sample, None)) is None:
                continue
            yield i, self.messages[name], text
        if left:
            name, sample = right.name(next(iter(left.values())))
            raise UsageError(
                f"{self.texts or self.records}: no text for {len(left)} right answers, the first "
                f"sample {sample} of {name!r}; evaluate the base model with texts kept"
            )

    def _texts(self) -> Iterator[tuple[str, int, str]]:
        if self.texts is not None:
            yield from read_texts(self.texts)
            return
        for record in read_records(self.records):
            if record.text is not None:
                yield record.problem, record.sample, record.text

    def digest(self) -> str:
        """Name the source by its first right answer: it stays when samples are added later."""
        i, messages, text = next(self.read([0]))
        name = [*self.right.name(i), [dict(one) for one in messages], text]
        return hashlib.sha256(json.dumps(name).encode()).hexdigest()[:16]


def open_source(
    path: Path,
    *,
    prompts: Path | None = None,
    chat: bool | None = None,
    thinking: bool | None = None,
) -> Source:
    """Read which answers are right, and the prompts they answer.

    Parameters
    ----------
    path
        Folder of an evaluation, or record file.
    prompts
        JSON lines with ``id`` and ``messages``; default: the evaluation's.
    chat, thinking
        As in `SamplingSettings`, where the evaluation does not say or to overrule it.

    Raises
    ------
    UsageError
        Naming file and line, if something is missing or malformed.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    folder = path if path.is_dir() else None
    records = folder / RECORDS if folder else path
    texts = folder / TEXTS if folder else None
    about = read_about(folder) if folder else {}
    if prompts is None:
        if folder is None:
            raise UsageError(
                f"{path}: a record file holds no prompts; give them with --prompts, JSON lines "
                'like {"id": problem, "messages": [{"role": "user", "content": …}]}'
            )
        prompts = folder / PROBLEMS
    right = _right_answers(records)
    if not len(right):
        raise UsageError(f"{records}: no answer is right, so none is rare")
    settings = _settings(about.get("settings", {}), chat, thinking)
    return Source(
        records,
        texts if texts and texts.exists() else None,
        _messages(prompts, right.names),
        settings,
        bool(about),
        right,
    )


def _settings(
    recorded: Mapping[str, Any], chat: bool | None, thinking: bool | None
) -> SamplingSettings:
    """Take what an evaluation recorded, overruled by what was asked for."""
    names = ("temperature", "top_p", "chat", "thinking")
    found = {name: recorded[name] for name in names if recorded.get(name) is not None}
    found["stop"] = tuple(recorded.get("stop") or ())
    found |= {} if chat is None else {"chat": chat}
    found |= {} if thinking is None else {"thinking": thinking}
    return SamplingSettings(**found)


@dataclass(slots=True)
class _Columns:
    """Columns of `RightAnswers` on their way."""

    names: dict[str, int] = field(default_factory=dict)
    problem: array[int] = field(default_factory=lambda: array("i"))
    sample: array[int] = field(default_factory=lambda: array("i"))
    tokens: array[int] = field(default_factory=lambda: array("i"))
    logprob: array[float] = field(default_factory=lambda: array("d"))
    truncated: bytearray = field(default_factory=bytearray)


def _right_answers(records: Path) -> RightAnswers:
    columns = _Columns()
    for record in read_records(records):
        if record.correct:
            columns.problem.append(columns.names.setdefault(record.problem, len(columns.names)))
            columns.sample.append(record.sample)
            columns.tokens.append(-1 if record.tokens is None else record.tokens)
            columns.logprob.append(np.nan if record.logprob is None else record.logprob)
            columns.truncated.append(record.truncated)
    return RightAnswers(
        tuple(columns.names),
        np.array(columns.problem, np.int32),
        np.array(columns.sample, np.int32),
        np.array(columns.tokens, np.int32),
        np.array(columns.logprob, np.float64),
        np.frombuffer(bytes(columns.truncated), np.bool_),
    )


def _messages(path: Path, names: tuple[str, ...]) -> dict[str, Messages]:
    """Read the messages of these problems."""
    wanted = set(names)
    found: dict[str, Messages] = {
        row["id"]: tuple(
            {part: one[part] for part in ("role", "content")} for one in row["messages"]
        )
        for row in read_problems(path)
        if row["id"] in wanted
    }
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"{path}: no prompt for {len(missing)} problems, such as {missing[0]!r}")
    return found
