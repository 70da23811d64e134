"""Models under comparison, and the files that keep their NLLs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from fgrpo.errors import UsageError
from fgrpo.evaluate.samplers.checkpoint import end_tokens, load_checkpoint
from fgrpo.evaluate.samplers.local import refuse_missing
from fgrpo.records import Record, RecordError, RecordStore, read_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from transformers import PreTrainedTokenizerBase

    from fgrpo.evaluate.rare.source import Source

BASE = "base"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PIECE = 1 << 20  # bytes at either end of a weight file that go into its fingerprint


@dataclass(frozen=True)
class Model:
    """A model under comparison, opened when first needed.

    Parameters
    ----------
    label
        Its name in results and file names.
    name
        Folder, or name on the hub.
    adapter
        Folder of a LoRA adapter put on it.
    dtype, device
        As in `load_checkpoint`.
    """

    label: str
    name: str
    adapter: str | None = None
    dtype: str = "auto"
    device: str | None = None

    @cached_property
    def network(self) -> Any:
        """The network, with its adapter's layers in place."""
        network, _ = load_checkpoint(
            self.name, adapter=self.adapter, dtype=self.dtype, device=self.device
        )
        return network.get_base_model() if self.adapter else network

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; opening it does not open the network."""
        refuse_missing(self.name)
        tokenizers: Any = transformers.AutoTokenizer
        try:
            opened: PreTrainedTokenizerBase = tokenizers.from_pretrained(
                self.name, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UsageError(
                f"the tokenizer of {self.name!r} cannot be opened: {reason}"
            ) from error
        return opened

    @cached_property
    def end(self) -> int | None:
        """The token that ends a completion: the tokenizer's, else the lowest of the model's."""
        own: int | None = self.tokenizer.eos_token_id
        return (
            own if own is not None else min(end_tokens(self.network, self.tokenizer), default=None)
        )

    def close(self) -> None:
        """Free the network's memory."""
        if self.__dict__.pop("network", None) is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def identity(self) -> dict[str, Any]:
        """Name the weights, without loading them."""
        folders = [Path(self.name), *([Path(self.adapter)] if self.adapter else [])]
        return {
            "model": self.name,
            "adapter": self.adapter,
            "dtype": self.dtype,
            "fingerprint": [_fingerprint(folder) for folder in folders],
        }


def parse_model(given: str, base: Model) -> Model:
    """Read ``LABEL=PATH``; a folder with an ``adapter_config.json`` is put on the base model."""
    label, equals, path = given.partition("=")
    if not equals or not path or not _LABEL.fullmatch(label) or label == BASE:
        raise UsageError(
            f"--model {given!r}: must be LABEL=PATH, the label of letters, digits, '.', '_', '-' "
            f"and not {BASE!r}"
        )
    if (Path(path) / "adapter_config.json").is_file():
        return Model(label, base.name, path, base.dtype, base.device)
    return Model(label, path, None, base.dtype, base.device)


def parse_models(given: Sequence[str], base: Model) -> list[Model]:
    """Read several of them, all labels different."""
    models = [parse_model(one, base) for one in given]
    for i, model in enumerate(models):
        if model.label in [other.label for other in models[:i]]:
            raise UsageError(f"--model {given[i]!r}: there is another {model.label!r}")
    return models


def check_same_tokens(model: Model, base: Model) -> None:
    """Refuse a model whose tokenizer is not the base model's."""
    if model.adapter is None and model.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise UsageError(
            f"{model.label}: the tokenizer in {model.name} has other tokens than that in "
            f"{base.name}; their likelihoods cannot be compared"
        )


def _fingerprint(folder: Path) -> str | None:
    """Digest a folder's small files, and size and both ends of its weight files.

    None for a name on the hub.
    """
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors"):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            digest.update(file.read(_PIECE))
            file.seek(max(0, size - _PIECE))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _is_empty(path: Path) -> bool:
    """Tell whether a record file holds no records, or is not there."""
    return not path.exists() or next(read_records(path), None) is None


class NllFile:
    """A model's NLLs: a record file, so that a kill at any moment loses at most a batch.

    A record's ``logprob`` is ``−nll · tokens``.

    Parameters
    ----------
    path
        The file; made if missing.
    meta
        What the values depend on; a file made under other metadata is refused.
    source
        The right answers that keys are indices of.
    """

    def __init__(self, path: Path, meta: Mapping[str, Any], source: Source) -> None:
        self._right = source.right
        try:
            if _is_empty(path):  # begun, perhaps with a model that could not be opened
                path.unlink(missing_ok=True)
            self._store = RecordStore.open(path, meta)
        except RecordError as error:
            raise UsageError(
                f"{error}. The NLLs there are of another model, other prompts or settings: choose "
                "another folder with --out"
            ) from error
        self._path = path

    def __enter__(self) -> NllFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def missing(self, keys: Iterable[int]) -> list[int]:
        """List those that have no value yet."""
        return [i for i in keys if not self._store.has(*self._right.name(i))]

    def add(self, values: Iterable[tuple[int, int, float]]) -> None:
        """Append (key, tokens, nll)."""
        self._store.extend(
            Record(*self._right.name(i), correct=True, logprob=-nll * tokens, tokens=tokens)
            for i, tokens, nll in values
        )

    def read(self) -> Iterator[tuple[str, int, int, float]]:
        """Yield (problem, sample, tokens, nll)."""
        for record in read_records(self._path):
            if record.tokens and record.logprob is not None:
                yield record.problem, record.sample, record.tokens, -record.logprob / record.tokens
