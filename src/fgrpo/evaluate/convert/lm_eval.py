"""lm-evaluation-harness: the ``samples_TASK_TIME.jsonl`` that ``--log_samples`` writes.

One line per document and filter::

    {"doc_id": 0, "target": "4", "resps": [["The answer is 4", …]], "filtered_resps": …,
     "filter": "strict", "metrics": ["exact_match"], "exact_match": 1.0, …}

``resps`` has a list for each request of the document; of a generative task there is one request,
and its list holds the ``repeats`` answers. Metrics are per document: with ``repeats`` above 1 most
tasks score one answer their filter chose, or (filter ``take_first_k``, metric ``exact_match``)
the mean over all. A list as long as the repeats is one score for each. Of a multiple-choice task
(a request for each choice) there is one answer, without text. Checked with files of lm-eval
0.4.13.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fgrpo.evaluate.convert.answers import Answers, Choice, field_of, pick, score, task_name
from fgrpo.evaluate.json_lines import json_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NAME = re.compile(r"samples_(?P<task>.+)_\d{4}-\d\d-\d\dT[\d.:-]+")


def read(path: Path, choice: Choice) -> Iterator[Answers]:
    """Yield the answers of a file's documents, as scored under one filter."""
    named = _NAME.fullmatch(path.stem)
    task = task_name(named["task"] if named else path.stem)
    if (chosen := _filter(path, choice)) is None:
        return
    for place, row in json_lines(path):
        if row.get("filter", "none") != chosen:
            continue
        metrics = field_of(row, "metrics", list, place)
        metric = pick("metric", "--metric", choice.metric, list(map(str, metrics)), place)
        texts = _texts(field_of(row, "resps", list, place))
        value = field_of(row, metric, object, place)
        values = value if isinstance(value, list) else [value]
        yield Answers(
            problem=f"{task}/{field_of(row, 'doc_id', (int, str), place)}",
            place=place,
            metric=metric,
            scores=tuple(score(one, place, metric) for one in values),
            texts=texts,
            target=row.get("target"),
        )


def _filter(path: Path, choice: Choice) -> str | None:
    """Choose among the filters of a file, if it has any lines; every document has one for each."""
    found = dict.fromkeys(str(row.get("filter", "none")) for _, row in json_lines(path))
    return pick("filter", "--filter", choice.filter, list(found), str(path)) if found else None


def _texts(responses: list[Any]) -> tuple[str | None, ...]:
    generated = len(responses) == 1 and isinstance(responses[0], list)
    if generated and all(isinstance(text, str) for text in responses[0]):
        return tuple(responses[0])
    return (None,)
