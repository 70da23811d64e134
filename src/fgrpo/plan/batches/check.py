"""The verdict on a batch, in one shape for every trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fgrpo.plan.batches.nearest import Suggestion, nearest

if TYPE_CHECKING:
    from fgrpo.plan.batches.batch import Batch, BatchFacts


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """Whether a trainer accepts its batch settings.

    Attributes
    ----------
    valid
        Whether it does.
    problems
        Why not: one line for each rule that is broken.
    notes
        What it accepts, and yet should be known.
    facts
        What comes of valid settings; None if they are not.
    suggestions
        The nearest valid settings, nearest first; empty if the asked ones are valid.
    """

    valid: bool
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    facts: BatchFacts | None
    suggestions: tuple[Suggestion, ...]


def check(batch: Batch) -> BatchCheck:
    """Judge batch settings by the rules of their trainer.

    Parameters
    ----------
    batch
        A `TrlBatch` or a `VerlBatch`.

    Returns
    -------
    BatchCheck
    """
    problems = batch.problems()
    if problems:
        return BatchCheck(False, problems, (), None, nearest(batch))
    return BatchCheck(True, (), batch.notes(), batch.facts(), ())
