"""inspect-ai: its logs, ``.eval`` (a zip archive of JSON) or ``.json``.

A sample of a log is one epoch of one problem::

    {"id": "sum-1", "epoch": 1, "target": "4", "output": {"completion": "…", "choices": […],
     "usage": {…}}, "scores": {"match": {"value": "C", …}}, …}

Epochs are the samples of a problem. Scores ``C``, ``P``, ``I`` and ``N`` count 1, ½, 0 and 0, as in
inspect-ai's own ``value_to_float``; a score that is a dictionary has parts, named ``scorer.part``
in ``--metric``. A sample that ended in an error, was invalidated or has no score is unverifiable.
Archives are compressed with zstd, which Python's zipfile reads only from 3.14 on, so pyarrow
unpacks them; inspect-ai itself is not needed. Checked with logs of inspect-ai 0.3.285.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any, TypeAlias

from fgrpo.errors import UsageError, to_install
from fgrpo.evaluate.convert.answers import Answers, Choice, Score, field_of, pick, score, task_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Samples: TypeAlias = "Iterator[tuple[str, dict[str, Any]]]"

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_ZSTD = 93  # the zip format's number for it
_EPOCH = re.compile(r"samples/.*_epoch_(?P<epoch>\d+)\.json")
_LIMITS = ("max_tokens", "model_length")


def read(path: Path, choice: Choice) -> Iterator[Answers]:
    """Yield a log's answers, epoch by epoch."""
    header, samples = _archive(path) if zipfile.is_zipfile(path) else _document(path)
    spec = field_of(header, "eval", dict, str(path))
    task = task_name(field_of(spec, "task", str, str(path)))
    if (status := header.get("status")) != "success":
        choice.note(f"{path}: the log's status is {status!r}, so it may lack samples")
    metric: str | None = choice.metric
    for place, sample in samples:
        values = _values(sample)
        if values:
            metric = pick("score", "--metric", metric, list(values), place)
        output = field_of(sample, "output", dict, place)
        yield Answers(
            problem=f"{task}/{field_of(sample, 'id', (str, int), place)}",
            place=place,
            metric=metric or "score",
            scores=(_score(values[metric], place, metric) if values and metric else None,),
            texts=(_text(output, sample),),
            target=sample.get("target"),
            details=(_details(sample, output),),
            origin=f"model {spec.get('model')}",
        )


def _archive(path: Path) -> tuple[dict[str, Any], Samples]:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
    start = members.get("header.json") or members.get("_journal/start.json")
    if start is None:
        raise UsageError(f"{path}: expected an inspect-ai log, found a zip without header.json")
    header = _member(path, start)
    epochs = [
        (int(found["epoch"]), members[name])
        for name in members
        if (found := _EPOCH.fullmatch(name))
    ]

    def samples() -> Samples:
        for _, info in sorted(epochs, key=lambda pair: pair[0]):
            yield f"{path}: {info.filename}", _member(path, info)

    return header, samples()


def _member(path: Path, info: zipfile.ZipInfo) -> dict[str, Any]:
    """Read one file of an archive."""
    place = f"{path}: {info.filename}"
    try:
        if info.compress_type == _ZSTD:
            content = _unpack_zstd(path, info)
        else:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(info)
        value = json.loads(content)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"{place}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise UsageError(f"{place}: expected a JSON object")
    return value


def _unpack_zstd(path: Path, info: zipfile.ZipInfo) -> bytes:
    try:
        import pyarrow
    except ImportError as error:
        raise UsageError(
            f"{path}: unpacking it needs pyarrow: {to_install('evaluate')}; or convert it with  "
            "inspect log convert --to json"
        ) from error
    with path.open("rb") as file:
        file.seek(info.header_offset)
        fixed = file.read(30)  # the local header: its last two numbers are lengths (APPNOTE 4.3.7)
        name, extra = (int.from_bytes(fixed[at : at + 2], "little") for at in (26, 28))
        file.seek(name + extra, io.SEEK_CUR)
        packed = file.read(info.compress_size)
    with pyarrow.CompressedInputStream(pyarrow.py_buffer(packed), "zstd") as stream:
        content: bytes = stream.read()
    if len(content) != info.file_size:
        raise ValueError(f"{len(content)} bytes where the archive lists {info.file_size}")
    return content


def _document(path: Path) -> tuple[dict[str, Any], Samples]:
    try:
        log = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: expected an inspect-ai log, .eval or .json ({error})") from error
    if not isinstance(log, dict) or "eval" not in log:
        raise UsageError(f"{path}: expected an inspect-ai log, an object with a field 'eval'")
    samples = log.get("samples") or []
    places = [f"{path}: samples[{i}]" for i in range(len(samples))]
    ordered = sorted(zip(places, samples, strict=True), key=lambda pair: pair[1].get("epoch", 1))
    return log, iter(ordered)


def _values(sample: dict[str, Any]) -> dict[str, Any]:
    """List a sample's scores by name, those that are dictionaries by their parts."""
    found: dict[str, Any] = {}
    for name, entry in (sample.get("scores") or {}).items():
        value = entry.get("value") if isinstance(entry, dict) else None
        if isinstance(value, dict):
            found |= {f"{name}.{part}": one for part, one in value.items()}
        else:
            found[name] = value
    return found


def _score(value: Any, place: str, metric: str) -> Score:
    if isinstance(value, str):
        known = _LETTERS.get(value, _WORDS.get(value.lower()))
        if known is not None:
            return known
        try:
            value = float(value)
        except ValueError:
            raise UsageError(
                f"{place}: score {metric!r} is {value!r}, expected C, P, I, N or a number; choose "
                "another with --metric"
            ) from None
    return score(value, place, metric)


def _text(output: dict[str, Any], sample: dict[str, Any]) -> str:
    """Return the completion; a long one may lie among the sample's attachments."""
    text = output.get("completion") or ""
    if not isinstance(text, str):
        text = str(text)
    name = text.removeprefix("attachment://")
    attached = (sample.get("attachments") or {}).get(name) if name != text else None
    return text if attached is None else str(attached)


def _details(sample: dict[str, Any], output: dict[str, Any]) -> dict[str, Any]:
    choices, usage = output.get("choices") or [], output.get("usage") or {}
    reason = choices[0].get("stop_reason") if choices else None
    details: dict[str, Any] = {"truncated": reason in _LIMITS}
    if limit := sample.get("limit"):
        details["finish_reason"] = f"limit: {limit.get('type')}"
    elif reason not in ("stop", None, *_LIMITS):
        details["finish_reason"] = reason
    # Usage is that of the last call alone, so it counts the answer only if there was one call.
    calls = [one for one in sample.get("messages") or [] if one.get("role") == "assistant"]
    if len(calls) == 1 and isinstance(usage.get("output_tokens"), int):
        details["tokens"] = usage["output_tokens"]
    if error := sample.get("error"):
        details["unverifiable"] = f"error: {str(error.get('message', error))[:200]}"
    elif sample.get("invalidation"):
        details["unverifiable"] = "invalidated: the log says not to count this sample"
    return details
