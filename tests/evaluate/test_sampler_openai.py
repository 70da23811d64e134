"""The openai sampler: what is sent and what comes back, keys, usage errors."""

import logging

import faulty_server as faults
import pytest
from faulty_server import prompt_of, serving, text_of
from openai_calls import KEY, ask, expected, requests, sampler

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Request, SamplingSettings
from fgrpo.evaluate.samplers.openai import NEUTRAL

pytestmark = pytest.mark.usefixtures("openai_key")


# What is sent, and what comes back


def test_every_request_gets_its_own_completions():
    asked = requests(20, count=3)
    found, usage, calls = ask(faults.answer, asked)
    assert found == expected(asked)
    assert len(calls) == 20
    assert (usage.prompt_tokens, usage.completion_tokens) == (20 * 7, 20 * 15)
    assert (usage.answers, usage.failures) == (20, 0)


def test_a_chat_call_holds_the_settings():
    settings = SamplingSettings(0.6, 0.95, 123, thinking=False)
    _, _, (call,) = ask(faults.answer, requests(1), settings=settings)
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "What is 0?"}],
        "n": 2,
        "seed": 0,
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 123,
        "chat_template_kwargs": {"enable_thinking": False},
        **NEUTRAL,
    }


def test_a_plain_call_joins_the_messages():
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"})
    asked = [Request("toy/0", messages, 0, 1, 5)]
    with serving(faults.answer) as servers:
        one = sampler(servers, SamplingSettings(chat=False, thinking=True), extra={"stop": ["\n"]})
        ((_, (completion,)),) = one.sample(asked)
        (call,) = servers[0].calls
    assert call.path == "/v1/completions"
    assert call.body["prompt"] == "Be brief.\n\n2+2?"
    assert call.body["stop"] == ["\n"]
    assert not {"messages", "chat_template_kwargs", "top_k"} & set(call.body)
    assert completion.text == text_of("Be brief.\n\n2+2?", 5)


def test_seeds_stay_below_two_to_the_31():
    asked = [Request("toy/0", ({"role": "user", "content": "?"},), 0, 1, 7 * 2**40 + 11)]
    _, _, (call,) = ask(faults.answer, asked)
    assert call.body["seed"] == 11


def test_tokens_and_log_probabilities_are_exact_or_unknown():
    def plan(call):
        choices = call.choices()
        for choice in choices:
            if call.body.get("logprobs"):
                choice["logprobs"] = {"content": [{"logprob": -0.5}, {"logprob": -0.25}]}
        choices[0]["finish_reason"] = "length"
        call.send(call.reply(choices))

    def first(settings=None, count=2, **options):
        with serving(plan) as servers:
            ((_, completions),) = sampler(servers, settings, **options).sample(requests(1, count))
        assert [one.truncated for one in completions] == [True] + [False] * (count - 1)
        assert completions[0].finish_reason == "length"
        return completions[0].tokens, completions[0].logprob

    assert first() == (None, None)
    assert first(count=1) == (5, None)
    assert first(logprobs=True) == (2, -0.75)
    assert first(SamplingSettings(temperature=0.6), logprobs=True) == (2, None)
    assert first(SamplingSettings(top_p=0.9), logprobs=True) == (2, None)


def test_greedy_completions_are_asked_for_once():
    found, _, (call,) = ask(faults.answer, requests(1, 3), settings=SamplingSettings(0.0))
    assert call.body["n"] == 1
    assert found == {"toy/0": [text_of("What is 0?", 0)] * 3}


def test_plain_completions_have_log_probabilities_too():
    def plan(call):
        assert call.body["logprobs"] == 1
        logprobs = {"tokens": ["a", "b", "c"], "token_logprobs": [-1.0, -2.0, -0.5]}
        call.send(call.reply([{**call.choice(0), "logprobs": logprobs}]))

    with serving(plan) as servers:
        one = sampler(servers, SamplingSettings(chat=False), logprobs=True)
        ((_, (completion,)),) = one.sample(requests(1, 1))
    assert (completion.tokens, completion.logprob) == (3, -3.5)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "4"}, "4"),
        ({"content": None}, ""),
        ({"content": "4", "reasoning_content": "two twos"}, "<think>two twos</think>4"),
        ({"content": "4", "reasoning": "two twos"}, "<think>two twos</think>4"),
        ({"content": None, "reasoning_content": "two tw"}, "<think>two tw"),
        ({"content": "a\ud800b\0c\u2028"}, "a\ud800b\0c\u2028"),
    ],
)
def test_a_message_becomes_text(message, text):
    def plan(call):
        call.send(call.reply([{"index": 0, "finish_reason": "stop", "message": message}]))

    with serving(plan) as servers:
        ((_, (completion,)),) = sampler(servers).sample(requests(1, 1))
    assert completion.text == text


def test_prompts_with_any_characters_arrive():
    prompt = "lone \ud83d surrogate, NUL \0, é, 日本"
    asked = [Request("toy/0", ({"role": "user", "content": prompt},), 0, 1, 5)]
    found, _, (call,) = ask(faults.answer, asked)
    assert prompt_of(call.body) == prompt
    assert found == expected(asked)


# Keys


def test_the_key_is_sent_and_seen_nowhere_else(caplog):
    caplog.set_level(logging.DEBUG)
    seen = []
    for code in (401, 500):
        with serving(faults.status(code, f"wrong key: {KEY}")) as servers:
            one = sampler(servers, tries=4)
            with pytest.raises(RunError) as caught:
                list(one.sample(requests(1)))
            assert servers[0].calls[0].headers["Authorization"] == f"Bearer {KEY}"
        assert "wrong key: ***" in str(caught.value)
        seen += [
            str(caught.value),
            repr(caught.value.__cause__),
            repr(one.describe()),
            repr(vars(one)),
        ]
    assert "it is asked again in" in caplog.text
    assert KEY not in "".join(seen) + caplog.text


def test_the_key_may_have_another_variable_or_be_absent(monkeypatch):
    monkeypatch.setenv("OTHER_KEY", "abc")
    assert (
        ask(faults.answer, requests(1), key_variable="OTHER_KEY")[2][0].headers["Authorization"]
        == "Bearer abc"
    )
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "Authorization" not in ask(faults.answer, requests(1))[2][0].headers


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-ключ", "sk a"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        sampler(["http://127.0.0.1:1/v1"])
    assert key not in str(caught.value)


# Usage errors


@pytest.mark.parametrize(
    "urls",
    [
        [],
        ["localhost:8000"],
        ["ftp://localhost/v1"],
        ["http:///v1"],
        ["http://a:99999999/v1"],
        ["http://me:secret@localhost/v1"],
        ["http://localhost/v1?key=secret"],
        ["http://localhost/v1", "http://localhost/v1/"],
    ],
)
def test_urls_that_cannot_be_used_are_refused(urls):
    with pytest.raises(UsageError, match=r"URL") as caught:
        sampler(urls)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("option", ["concurrency", "tries"])
def test_numbers_out_of_range_are_refused(option):
    with pytest.raises(UsageError, match=option):
        sampler(["http://localhost/v1"], **{option: 0})


def test_the_description_names_model_and_servers():
    described = sampler(["http://localhost:1/v1/", "https://b/v1"]).describe()
    assert described["model"] == "some-model"
    assert described["urls"] == ["http://localhost:1/v1", "https://b/v1"]


def test_the_default_time_out_leaves_time_for_long_completions():
    def seconds(tokens):
        one = make_sampler("openai", "m", SamplingSettings(max_tokens=tokens), urls=["http://a/v1"])
        return one._calls.timeout

    assert (seconds(100), seconds(32768)) == (600, 3276.8)
