"""lighteval: the ``details_TASK_TIME.parquet`` that ``--save-details`` writes.

One row per document, three structures::

    doc: {"id": "0", "task_name": "sums|0", "choices": ["4"], "gold_index": 0, …}
    model_response: {"text": ["4", …], "output_tokens": [[17, …], …], …}
    metric: {"em": 1, "f1": 1.0} or {"pass@k:k=1&n=4": 0.25} …

Metrics are per document. With several samples, ``avg@n`` and ``pass@k`` with k = 1 are means over
them; which samples were right is not told. An answer that filled the document's
``generation_size`` counts as truncated. Checked with files of lighteval 0.13.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError, to_install
from fgrpo.evaluate.convert.answers import Answers, Choice, field_of, pick, score, task_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COLUMNS = ("doc", "model_response", "metric")


def read(path: Path, choice: Choice) -> Iterator[Answers]:
    """Yield the answers of a file's documents."""
    for number, row in enumerate(_rows(path), start=1):
        place = f"{path}: row {number}"
        doc, response, metrics = (field_of(row, name, dict, place) for name in _COLUMNS)
        found = [name for name, value in metrics.items() if value is not None]
        metric = pick("metric", "--metric", choice.metric, found, place)
        texts = field_of(response, "text", list, place)
        values = metrics[metric] if isinstance(metrics[metric], list) else [metrics[metric]]
        # The number of few-shot examples, behind a bar, is no part of the task's name.
        task = field_of(doc, "task_name", str, place).partition("|")[0]
        yield Answers(
            problem=f"{task_name(task)}/{field_of(doc, 'id', (str, int), place)}",
            place=place,
            metric=metric,
            scores=tuple(score(value, place, metric) for value in values),
            texts=tuple(texts) or (None,),
            target=_gold(doc),
            details=_details(response.get("output_tokens"), doc.get("generation_size"), len(texts)),
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the file's rows, a few hundred in memory at a time."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise UsageError(
            f"lighteval's parquet files need pyarrow: {to_install('evaluate')}"
        ) from error
    try:
        with ParquetFile(path) as file:
            missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise UsageError(
                    f"{path}: expected columns {', '.join(_COLUMNS)}; found "
                    f"{', '.join(file.schema_arrow.names)}"
                )
            for batch in file.iter_batches(batch_size=256, columns=list(_COLUMNS)):
                yield from batch.to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path}: expected a parquet file ({error})") from error


def _gold(doc: dict[str, Any]) -> Any:
    """Return the right choice, or the list of them."""
    choices, index = doc.get("choices") or [], doc.get("gold_index")
    if isinstance(index, list):
        golds = [choices[i] for i in index if 0 <= i < len(choices)]
        return golds[0] if len(golds) == 1 else golds
    return choices[index] if isinstance(index, int) and 0 <= index < len(choices) else None


def _details(tokens: Any, limit: Any, n: int) -> tuple[dict[str, Any], ...]:
    if not isinstance(tokens, list) or len(tokens) != n:
        return ()
    counts = [len(one) for one in tokens]
    return tuple(
        {"tokens": count, "truncated": bool(limit) and count >= limit} if count else {}
        for count in counts
    )
