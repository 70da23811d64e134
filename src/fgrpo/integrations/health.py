"""Warnings about a run that cannot learn: cut completions, groups without signal."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fgrpo.integrations.groups import JudgedGroups

_LOG = logging.getLogger(__name__)
_BATCHES = 10
_GROUPS = 64  # fewer are often all dead by chance, even of prompts that are worth training on
_TRUNCATED = 0.5
_DEAD = 0.95


class Names(NamedTuple):
    """A trainer's names for the limit of a completion's length, N, and the deciding reward."""

    limit: str
    group_size: str
    reward: str


class Health:
    """Looks at the last generation batches, and warns once about each trouble.

    Parameters
    ----------
    names
        The trainer's own, for its user.
    limit
        Length at which a completion is cut, in tokens, if known.
    """

    def __init__(self, names: Names, limit: int | None) -> None:
        self._names = names
        self._limit = limit
        self._rates: deque[float] = deque(maxlen=_GROUPS)
        self._truncated: deque[float] = deque(maxlen=_BATCHES)
        self._equal: deque[bool] = deque(maxlen=_GROUPS)
        self._told: set[str] = set()

    def add(self, batch: JudgedGroups, truncated: float | None) -> None:
        """Take note of a batch.

        Parameters
        ----------
        batch
            Its groups.
        truncated
            Share of its completions that were cut, if known.
        """
        self._rates.extend(batch.success_rates)
        self._equal.extend(batch.equal)
        if truncated is not None:
            self._truncated.append(truncated)
        self._look_at_lengths()
        if len(self._rates) == _GROUPS:
            self._look_at_groups(batch)

    def _look_at_lengths(self) -> None:
        cut = float(np.mean(self._truncated)) if len(self._truncated) == _BATCHES else 0.0
        if cut > _TRUNCATED:
            self._warn(
                "truncated",
                f"{cut:.0%} of the completions of the last {_BATCHES} generation batches were cut "
                f"off ({self._names.limit}={self._limit}): such an answer is judged as it stands; "
                f"raise {self._names.limit}, or check that the model ends its answers",
            )

    def _look_at_groups(self, batch: JudgedGroups) -> None:
        rates = np.array(self._rates)
        solved, unsolved = float(np.mean(rates == 1)), float(np.mean(rates == 0))
        if solved + unsolved < _DEAD:
            return
        found = (
            f"of the last {_GROUPS} groups {solved:.0%} are all right and {unsolved:.0%} all wrong"
        )
        threshold = batch.settings.threshold
        if np.mean(self._equal) < _DEAD:
            self._warn(
                "threshold",
                f"{found} by focal_threshold={threshold:g}, though their rewards differ: is it the "
                f"right threshold, and {self._names.reward} the right one?",
            )
        elif solved > unsolved:
            self._warn("dead", f"{found}: the prompts are too easy for this model to learn from")
        else:
            self._warn(
                "dead",
                f"{found}: they tell nothing about what is right; check the reward, the prompt "
                f"format and focal_threshold={threshold:g}, take easier prompts or a larger "
                f"{self._names.group_size}",
            )

    def _warn(self, kind: str, text: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            _LOG.warning(text)
