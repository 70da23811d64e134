"""Warnings about a run that cannot learn: cut completions, groups without signal."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fgrpo.integrations.trl.batch import FocalBatch

_LOG = logging.getLogger(__name__)
_BATCHES = 10  # looked at together: a single batch may be unlucky
_GROUPS = 64  # enough groups to judge sooner
_TRUNCATED = 0.5
_DEAD = 0.95


class Health:
    """Looks at the last generation batches, and warns once about each trouble."""

    def __init__(self, max_completion_length: int | None) -> None:
        self._limit = max_completion_length
        self._batches: deque[tuple[FocalBatch, float | None]] = deque(maxlen=_BATCHES)
        self._told: set[str] = set()

    def add(self, batch: FocalBatch, truncated: float | None) -> None:
        """Take note of a batch, and of the share of its completions that were cut (if known)."""
        self._batches.append((batch, truncated))
        rates = np.concatenate([seen.success_rates for seen, _ in self._batches])
        if len(self._batches) < _BATCHES and len(rates) < _GROUPS:
            return
        cut = [share for _, share in self._batches if share is not None]
        if cut and np.mean(cut) > _TRUNCATED:
            self._warn(
                "truncated",
                f"{np.mean(cut):.0%} of the completions of the last {len(cut)} generation batches "
                f"were cut at max_completion_length={self._limit}: what they would have answered "
                "counts as wrong; raise max_completion_length, or check that the model ends its "
                "answers",
            )
        solved, unsolved = (np.mean(rates == rate) if len(rates) else 0.0 for rate in (1, 0))
        if solved + unsolved >= _DEAD:
            self._warn(
                "dead",
                f"{solved + unsolved:.0%} of the last {len(rates)} groups carry no signal: "
                f"{solved:.0%} are all right, {unsolved:.0%} all wrong; "
                + (
                    "the prompts are too easy for this model"
                    if solved > unsolved
                    else "check the reward, the prompt format and focal_threshold, take easier "
                    "prompts or a larger num_generations"
                ),
            )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            _LOG.warning(text)
