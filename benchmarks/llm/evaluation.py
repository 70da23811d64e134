"""Records of one model on the held-out questions, by ``fgrpo.evaluate``, within the budget."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fgrpo.evaluate.prompts import PromptSettings
from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Completion, Request, Sampler, SamplingSettings
from fgrpo.evaluate.session import Evaluation, evaluate
from fgrpo.records import read_counts
from fgrpo.verify import VerifierPool
from llm.budget import Budget, OutOfTimeError
from llm.items import held_out_file
from llm.settings import Pace, Settings

_START = 20.0  # seconds that opening the model and a first batch are expected to take
_SEED = 0
_POOL_SECONDS = 10.0


class WithinBudget:
    """A sampler that asks for one batch at a time, and for none that would come too late."""

    def __init__(self, sampler: Sampler, budget: Budget, requests: int) -> None:
        self._sampler, self._budget, self._requests = sampler, budget, requests
        self.usage = sampler.usage
        self.describe, self.close = sampler.describe, sampler.close

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, list[Completion]]]:
        waiting, longest = iter(requests), 0.0
        while self._budget.allows(1.5 * longest) and (
            batch := list(islice(waiting, self._requests))
        ):
            started = time.monotonic()
            yield from self._sampler.sample(batch)
            longest = max(longest, time.monotonic() - started)


def evaluate_model(
    folder: Path,
    target: Path,
    model: Path,
    settings: Settings,
    pace: Pace,
    budget: Budget,
    about: dict[str, Any],
) -> None:
    """Sample and judge what the folder ``target`` lacks.

    Raises
    ------
    OutOfTimeError
        If the budget ends before; the next call goes on.
    """
    wanted = settings.items * settings.samples
    if (found := _samples(target)) >= wanted:
        return
    if not budget.allows(_START):
        raise OutOfTimeError(f"{found} of {wanted} samples")
    chunk = min(settings.samples, pace.eval_batch)
    how = SamplingSettings(max_tokens=settings.max_tokens, chat=False, stop=("\n",))
    asked = Evaluation(
        benchmarks=[str(held_out_file(folder, settings))],
        samples=settings.samples,
        prompts=PromptSettings(system=None, chat=False),
        identity={
            "model": target.name,
            "temperature": how.temperature,
            "top_p": how.top_p,
            "max_tokens": how.max_tokens,
            "stop": list(how.stop),
            "system": None,
            "chat": False,
            "dtype": settings.dtype,
            "seed": _SEED,
        },
        seed=_SEED,
        chunk=chunk,
    )

    def sampler() -> WithinBudget:
        opened = make_sampler(
            "transformers",
            str(model),
            how,
            dtype=settings.dtype,
            device=settings.device,
            batch=pace.eval_batch,
        )
        return WithinBudget(opened, budget, max(1, pace.eval_batch // chunk))

    evaluate(
        asked,
        target,
        sampler,
        lambda: VerifierPool(seconds=_POOL_SECONDS),
        about_run=about,
        about_pool={"seconds": _POOL_SECONDS, "unsafe_scorers": False},
        warn=lambda text: print(f"note: {text}"),
    )
    if (found := _samples(target)) < wanted:
        raise OutOfTimeError(f"{found} of {wanted} samples")


def _samples(target: Path) -> int:
    path = target / "records.jsonl"
    return int(read_counts(path).n.sum()) if path.exists() else 0
