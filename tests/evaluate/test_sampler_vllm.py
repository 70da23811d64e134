"""The vllm sampler against a stand-in for vLLM's documented interface.

vLLM itself runs on no machine of the tests, so this shows what is asked of it and how its answers
are read, not that it works with it.
"""

import sys
from dataclasses import dataclass, field
from itertools import count as count_from
from types import ModuleType

import pytest

from fgrpo.errors import UsageError
from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Completion, Request, SamplingSettings, Usage


@dataclass
class SamplingParams:
    n: int
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    logprobs: int
    stop: list | None

    def __post_init__(self):
        assert self.temperature > 0 or self.n == 1, "n must be 1 when using greedy sampling"


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list
    cumulative_logprob: float | None
    finish_reason: str


@dataclass
class RequestOutput:
    outputs: list = field(default_factory=list)
    prompt_token_ids: list | None = None


class LLM:
    """Answers with the prompt and the seed, the choices in the wrong order."""

    made = ()

    def __init__(self, model, *, logprobs_mode, trust_remote_code, **engine):
        assert (logprobs_mode, trust_remote_code) == ("processed_logprobs", False)
        self.model, self.engine, self.calls = model, engine, []
        LLM.made = (*LLM.made, self)

    def generate(self, prompts, sampling_params, *, use_tqdm, lora_request=None):
        assert use_tqdm is False
        self.calls.append({"prompts": prompts, "params": sampling_params, "lora": lora_request})
        return [self._output(*pair) for pair in zip(prompts, sampling_params, strict=True)]

    def chat(
        self, messages, sampling_params, use_tqdm, lora_request=None, chat_template_kwargs=None
    ):
        prompts = ["|".join(f"{m['role']}:{m['content']}" for m in chat) for chat in messages]
        outputs = self.generate(
            prompts, sampling_params, use_tqdm=use_tqdm, lora_request=lora_request
        )
        self.calls[-1]["template"] = chat_template_kwargs
        return outputs

    def _output(self, prompt, params):
        choices = [
            CompletionOutput(
                i, f"{prompt} {params.seed + i}", [1, 2, 3], -1.5, "length" if i else "stop"
            )
            for i in range(params.n)
        ]
        return RequestOutput(choices[::-1], [4, 5, 6, 7])


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request")}
    modules["vllm"].LLM, modules["vllm"].SamplingParams = LLM, SamplingParams
    modules["vllm"].__version__ = "0.0.stand-in"
    modules["vllm.lora.request"].LoRARequest = LoRARequest
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "fgrpo.evaluate.samplers.vllm", raising=False)
    monkeypatch.setattr(LLM, "made", ())
    yield
    sys.modules.pop("fgrpo.evaluate.samplers.vllm", None)


def request(i, count=2):
    return Request(f"toy/{i}", ({"role": "user", "content": str(i)},), 0, count, 100 * i)


def test_chat_requests_carry_the_settings():
    settings = SamplingSettings(0.6, 0.95, 77, thinking=True)
    sampler = make_sampler("vllm", "some-model", settings, engine={"tensor_parallel_size": 2})
    answers = list(sampler.sample([request(1), request(2, 3)]))
    (llm,) = LLM.made
    (call,) = llm.calls
    assert llm.engine == {"revision": None, "dtype": "auto", "tensor_parallel_size": 2}
    assert call["template"] == {"enable_thinking": True}
    assert call["params"] == [
        SamplingParams(2, 100, 0.6, 0.95, 77, 0, None),
        SamplingParams(3, 200, 0.6, 0.95, 77, 0, None),
    ]
    assert sampler.usage == Usage(prompt_tokens=2 * 4, completion_tokens=5 * 3, answers=2)
    assert [asked.problem for asked, _ in answers] == ["toy/1", "toy/2"]
    assert answers[0][1] == [
        Completion("user:1 100", 3, truncated=False, logprob=-1.5, finish_reason="stop"),
        Completion("user:1 101", 3, truncated=True, logprob=-1.5, finish_reason="length"),
    ]


def test_plain_requests_carry_text_and_no_template():
    sampler = make_sampler("vllm", "m", SamplingSettings(chat=False, thinking=True))
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"})
    ((_, (completion,)),) = sampler.sample([Request("toy/0", messages, 0, 1, 9)])
    assert completion.text == "Be brief.\n\n2+2? 9"
    assert "template" not in LLM.made[0].calls[0]


def test_stop_texts_are_passed_on():
    sampler = make_sampler("vllm", "m", SamplingSettings(stop=("Question:", "\n\n")))
    list(sampler.sample([request(1)]))
    (params,) = LLM.made[0].calls[0]["params"]
    assert params.stop == ["Question:", "\n\n"]


def test_no_thinking_setting_leaves_the_template_alone():
    sampler = make_sampler("vllm", "m", SamplingSettings())
    list(sampler.sample([request(1)]))
    assert LLM.made[0].calls[0]["template"] is None


def test_an_adapter_is_enabled_and_named():
    sampler = make_sampler("vllm", "m", SamplingSettings(), adapter="some/adapter")
    list(sampler.sample([request(1)]))
    assert LLM.made[0].engine["enable_lora"] is True
    assert LLM.made[0].calls[0]["lora"].lora_path == "some/adapter"
    assert sampler.describe()["adapter"] == "some/adapter"


def test_a_path_to_nothing_is_refused():
    for options, what in (({}, "model"), ({"adapter": "./nope"}, "adapter")):
        with pytest.raises(UsageError, match=rf"^{what} './nope' cannot be opened"):
            make_sampler("vllm", "m" if options else "./nope", SamplingSettings(), **options)


def test_greedy_completions_are_drawn_once_and_repeated():
    sampler = make_sampler("vllm", "m", SamplingSettings(temperature=0.0))
    ((_, completions),) = sampler.sample([request(1, 3)])
    assert completions == [Completion("user:1 100", 3, logprob=0.0, finish_reason="stop")] * 3
    assert sampler.usage.completion_tokens == 3


def test_requests_are_drawn_in_lots():
    drawn = []

    def endless():
        for i in count_from():
            drawn.append(i)
            yield request(i, 4)

    answers = make_sampler("vllm", "m", SamplingSettings(), batch=10).sample(endless())
    seen = [next(answers)[0].problem for _ in range(6)]
    assert seen == [f"toy/{i}" for i in range(6)]
    assert len(drawn) == 6


def test_a_missing_vllm_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match="pip install vllm"):
        make_sampler("vllm", "m", SamplingSettings())


def test_an_unknown_sampler_is_named():
    with pytest.raises(UsageError, match=r"'magic': choose one of transformers, openai, vllm"):
        make_sampler("magic", "m", SamplingSettings())
