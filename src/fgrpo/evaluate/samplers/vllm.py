"""Completions from a model in this process, by vLLM.

Written to vLLM's documented interface (0.11, which has ``logprobs_mode``) and tested with a
stand-in for it: not run against vLLM itself.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import vllm
from vllm.lora.request import LoRARequest

from fgrpo.errors import UsageError
from fgrpo.evaluate.samplers.base import Completion, Usage
from fgrpo.evaluate.samplers.local import refuse_missing
from fgrpo.evaluate.samplers.prompting import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fgrpo.evaluate.samplers.base import Request, SamplingSettings

_GREATEST_RANK = 64  # of LoRA adapters; vLLM reserves memory for it


class VLLMSampler:
    """Draws with vLLM's offline engine.

    Requests are handed over in lots of ``batch`` completions or a little more. vLLM draws
    completion i of a request with the seed ``request.seed + i``. Log-probabilities are those after
    temperature and top_p. At temperature 0, which vLLM allows one completion only, that one is
    repeated; its log-probability is then 0.

    Parameters
    ----------
    model
        Name on the hub, or folder.
    settings
        How completions are drawn.
    adapter, revision, dtype
        LoRA folder, commit, and precision.
    batch
        Completions handed over at a time; vLLM itself decides how many it draws at once.
    engine
        Further arguments of ``vllm.LLM``, such as ``tensor_parallel_size``.

    Attributes
    ----------
    usage : Usage
        Totals so far.
    """

    def __init__(
        self,
        model: str,
        settings: SamplingSettings,
        *,
        adapter: str | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        batch: int = 1024,
        engine: Mapping[str, Any] | None = None,
    ) -> None:
        if batch < 1:
            raise UsageError(f"batch must be at least 1, got {batch}")
        refuse_missing(model)
        if adapter is not None:
            refuse_missing(adapter, "adapter")
        self.usage = Usage()
        self._settings = settings
        self._greedy = settings.temperature == 0
        self._batch = batch
        self._adapter = LoRARequest("adapter", 1, adapter) if adapter else None
        lora = {"enable_lora": True, "max_lora_rank": _GREATEST_RANK} if adapter else {}
        self._about = {
            "sampler": "vllm",
            "model": model,
            "revision": revision,
            "adapter": adapter,
            "dtype": dtype,
            "engine": dict(engine or {}),
            "vllm": vllm.__version__,
        }
        self._llm: Any = vllm.LLM(
            model=model,
            revision=revision,
            dtype=dtype,
            trust_remote_code=False,
            logprobs_mode="processed_logprobs",
            **lora,
            **(engine or {}),
        )

    def sample(self, requests: Iterable[Request]) -> Iterator[tuple[Request, list[Completion]]]:
        """Answer requests, lot by lot."""
        backlog = iter(requests)
        while lot := self._lot(backlog):
            outputs = self._draw(lot)
            for request, output in zip(lot, outputs, strict=True):
                found = sorted(output.outputs, key=lambda one: one.index)
                self.usage.prompt_tokens += len(output.prompt_token_ids or ())
                self.usage.completion_tokens += sum(len(one.token_ids) for one in found)
                self.usage.answers += 1
                if self._greedy:
                    found *= request.count
                yield request, [self._completion(one) for one in found]

    def describe(self) -> dict[str, Any]:
        """Name model, precision, engine arguments and vLLM's version."""
        return dict(self._about)

    def close(self) -> None:
        """Let go of the engine."""
        self._llm = None

    def _lot(self, backlog: Iterator[Request]) -> list[Request]:
        lot: list[Request] = []
        rows = 0
        for request in backlog:
            lot.append(request)
            rows += request.count
            if rows >= self._batch:
                break
        return lot

    def _draw(self, lot: list[Request]) -> list[Any]:
        settings = self._settings
        params = [
            vllm.SamplingParams(
                n=1 if self._greedy else request.count,
                seed=request.seed,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                stop=list(settings.stop) or None,
                logprobs=0,
            )
            for request in lot
        ]
        how: dict[str, Any] = {"lora_request": self._adapter, "use_tqdm": False}
        if not settings.chat:
            texts = [plain_text(request.messages) for request in lot]
            return list(self._llm.generate(texts, params, **how))
        if settings.thinking is not None:
            how["chat_template_kwargs"] = {"enable_thinking": settings.thinking}
        chats = [[dict(message) for message in request.messages] for request in lot]
        return list(self._llm.chat(chats, params, **how))

    def _completion(self, output: Any) -> Completion:
        logprob = 0.0 if self._greedy else output.cumulative_logprob
        return Completion(
            text=output.text,
            tokens=len(output.token_ids),
            truncated=output.finish_reason == "length",
            logprob=None if logprob is None or not math.isfinite(logprob) else float(logprob),
            finish_reason=output.finish_reason,
        )
