"""Whether a trainer can cut its batches as asked, what comes of it, and what else is near."""

from fgrpo.plan.batches.batch import Batch, BatchFacts
from fgrpo.plan.batches.check import BatchCheck, check
from fgrpo.plan.batches.nearest import Suggestion, nearest
from fgrpo.plan.batches.trl import TrlBatch
from fgrpo.plan.batches.verl import VerlBatch

__all__ = [
    "Batch",
    "BatchCheck",
    "BatchFacts",
    "Suggestion",
    "TrlBatch",
    "VerlBatch",
    "check",
    "nearest",
]
