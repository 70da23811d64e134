"""A training begins only with batches of whole groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from fgrpo.plan.batches.trl import TrlBatch


def require_whole_groups(batch: TrlBatch) -> TrlBatch:
    """Return a batch that TRL accepts.

    Raises
    ------
    UsageError
        If a generation does not hold whole groups: says which group sizes fit.
    """
    problems = batch.problems()
    if not problems:
        return batch
    if batch.group_size < 2:
        raise UsageError(problems[0])
    fitting = [n for n in range(2, batch.completions + 1) if batch.completions % n == 0]
    raise UsageError(
        f"{problems[0]}: "
        + (f"take one of {', '.join(map(str, fitting))}, or " if fitting else "")
        + "change per_device_train_batch_size or the steps"
    )
