"""What verl's trainer knows of a batch and does not tell its advantage estimator."""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fgrpo.errors import RunError

FOCAL_TRAINER = (
    "trainer.v1.trainer_mode=focal_sync, with "
    "VERL_USE_EXTERNAL_MODULES=fgrpo.integrations.verl.trainer (docs/verl.md)"
)
"""How to get a trainer that tells what verl's own do not."""

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor


@dataclass(frozen=True)
class Step:
    """The computation of a batch's advantages, in a ``focal_*`` trainer.

    Parameters
    ----------
    keys
        ``{uid}_{session}_{output}`` of each row, in the order of the rows.
    partition
        Their partition of the transfer queue.
    metrics
        Where the estimator leaves what is to be logged.
    """

    keys: Sequence[str]
    partition: str
    metrics: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[Step]:
        """Make this the current step."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def reward_values(self, name: str) -> list[float]:
        """Return what the reward function returned as ``name``, for each row.

        Raises
        ------
        RunError
            If it did not, or returned no number.
        """
        found = []
        for key, fields in zip(self.keys, self._fetch("extra_fields"), strict=True):
            values = getattr(fields, "data", fields).get("reward_extra_info") or {}
            if name not in values:
                there = ", ".join(sorted(values)) or "nothing beside the score"
                raise RunError(
                    f"focal_success={name}: the reward function did not return it for rollout "
                    f"{key}, but {there}"
                )
            found.append(_number(values[name], name, key))
        return found

    def old_log_probs(self) -> Tensor:
        """Return (n_rows, response_length) log-probabilities under the policy that sampled."""
        padded: Tensor = self._fetch("old_log_probs").to_padded_tensor(0.0)
        return padded

    def _fetch(self, name: str) -> Any:
        import transfer_queue

        return transfer_queue.kv_batch_get(
            keys=list(self.keys), partition_id=self.partition, select_fields=[name]
        )[name]


def _number(value: Any, name: str, key: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise RunError(
            f"focal_success={name}: the reward function returned {value!r} for rollout {key}, "
            "which no threshold can judge; return a number"
        )
    return number


_current: ContextVar[Step | None] = ContextVar("fgrpo_verl_step", default=None)


def current_step() -> Step | None:
    """Return the step in progress; None in verl's own trainers."""
    return _current.get()
