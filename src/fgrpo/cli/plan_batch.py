"""The batch settings that ``fgrpo plan`` is given, and what it prints of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fgrpo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fgrpo.plan import TrlBatch, VerlBatch
    from fgrpo.plan.batches.batch import BatchFacts
    from fgrpo.plan.batches.check import BatchCheck

_FIELDS = {
    "--processes": "processes",
    "--per-device": "per_device",
    "--accumulation": "accumulation",
    "--steps-per-generation": "steps_per_generation",
    "--iterations": "iterations",
    "--prompts": "train_batch",
    "--mini-batch": "mini_batch",
    "--micro-batch": "micro_batch",
    "--log-prob-micro-batch": "log_prob_micro_batch",
    "--dynamic": "dynamic",
    "--gpus": "gpus_per_node",
    "--nodes": "nodes",
    "--epochs": "epochs",
}
_NEEDED = {"trl": ("--per-device",), "verl": ("--prompts", "--mini-batch")}
_GPUS = 8  # of a node, unless told
_LOG_PROB = "log_prob_micro_batch_size_per_gpu"


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Batch settings as given, by option; None where they are not.

    Attributes
    ----------
    trainer
        ``trl`` or ``verl``; None: nothing is checked.
    group_size
        N; None for the recommended one.
    trl, verl
        The options of each.
    """

    trainer: str | None
    group_size: int | None
    trl: Mapping[str, Any]
    verl: Mapping[str, Any]

    def validate(self) -> None:
        """Refuse what can be refused before anything is computed.

        Raises
        ------
        UsageError
            If the trainer is unknown, or an option is missing, belongs to the other trainer or is
            no number of at least 1.
        """
        if self.trainer not in (None, *_NEEDED):
            raise UsageError(f"--trainer {self.trainer}: must be trl or verl")
        for owner, options in (("trl", self.trl), ("verl", self.verl)):
            given = [option for option, value in options.items() if value is not None]
            if given and self.trainer != owner:
                raise UsageError(f"{given[0]} is for --trainer {owner}")
        if self.trainer is None:
            if self.group_size is not None:
                raise UsageError(
                    "--group-size is of the batches that --trainer checks; the rows of the tables "
                    "are --group-sizes"
                )
            return
        for option in _NEEDED[self.trainer]:
            if self._given[option] is None:
                raise UsageError(f"--trainer {self.trainer} needs {option}")
        for option, value in {"--group-size": self.group_size, **self._given}.items():
            if value is not None and value < 1:
                raise UsageError(f"{option} {value}: must be at least 1")

    @property
    def _given(self) -> Mapping[str, Any]:
        return self.trl if self.trainer == "trl" else self.verl

    def check(self, recommended: int | None, budget: int | None) -> BatchCheck:
        """Judge the batch.

        Parameters
        ----------
        recommended
            Group size, where none was given.
        budget
            Rollouts a step that were planned for, if any.
        """
        from fgrpo.plan import check

        size = recommended if self.group_size is None else self.group_size
        if size is None:
            raise UsageError("--trainer needs --group-size where nothing recommends one")
        checked = check(self._batch(size))
        notes = list(checked.notes)
        if checked.facts is not None:
            if self._log_prob_as_micro:
                notes.append(f"{_LOG_PROB}={self.verl['--micro-batch']} too: verl wants it set.")
            rollouts = checked.facts.rollouts_per_step
            if recommended not in (None, size):
                notes.append(f"The batch has groups of {size}; recommended are {recommended}.")
            if budget not in (None, rollouts):
                notes.append(
                    f"The batch has {rollouts:,} rollouts a step; the plan is for a budget of "
                    f"{budget:,}."
                )
        return replace(checked, notes=tuple(notes))

    @property
    def _log_prob_as_micro(self) -> bool:
        given = self.verl
        return (
            given["--micro-batch"] is not None
            and given["--log-prob-micro-batch"] is None
            and given["--dynamic"] is None
        )

    def _batch(self, size: int) -> TrlBatch | VerlBatch:
        from fgrpo.plan import TrlBatch, VerlBatch

        given = {
            _FIELDS[option]: value for option, value in self._given.items() if value is not None
        }
        if self.trainer == "trl":
            return TrlBatch(group_size=size, **given)
        if self._log_prob_as_micro:
            given["log_prob_micro_batch"] = given["micro_batch"]
        return VerlBatch(group_size=size, **{"gpus_per_node": _GPUS, **given})

    def blocks(self, checked: BatchCheck) -> list[str]:
        """Return what to print of the verdict, a line or more each."""
        if self.trainer == "trl":
            name = _several("TRL with", self.trl["--processes"] or 1, "process", "processes")
        else:
            count = (self.verl["--gpus"] or _GPUS) * (self.verl["--nodes"] or 1)
            name = _several("verl on", count, "GPU", "GPUs")
        if checked.facts is not None:
            said = [f"This batch is valid for {name}: {_facts(checked.facts)}."]
        elif len(checked.problems) == 1:
            said = [f"This batch is not valid for {name}: {checked.problems[0]}."]
        else:
            said = [
                f"This batch is not valid for {name}:",
                *(f"- {text}" for text in checked.problems),
            ]
        said += [f"Note: {text}" for text in checked.notes]
        if checked.suggestions:
            said += ["Nearest valid settings:", *(f"- {one.change}" for one in checked.suggestions)]
        return said


def _several(start: str, count: int, one: str, more: str) -> str:
    return f"{start} {count:,} {one if count == 1 else more}"


def _facts(facts: BatchFacts) -> str:
    updates = f"{facts.updates_per_step:g} update{'s' * (facts.updates_per_step != 1)} a step"
    if facts.updates_per_step < 1:
        updates = f"an update every {1 / facts.updates_per_step:g} steps"
    return (
        f"{facts.prompts_per_step:,} prompt{'s' * (facts.prompts_per_step != 1)} × "
        f"{facts.group_size} = {facts.rollouts_per_step:,} rollouts a step, {updates}, each of "
        f"{facts.rollouts_per_update:,} rollouts ({facts.prompts_per_update:g} prompts)"
    )
