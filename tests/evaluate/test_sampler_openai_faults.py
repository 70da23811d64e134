"""The openai sampler against a server on loopback that misbehaves to order."""

import random
from dataclasses import replace
from itertools import pairwise

import faulty_server as faults
import pytest
from faulty_server import prompt_of, serving, text_of
from openai_calls import ask, expected, requests, sampler, texts

from fgrpo.errors import RunError
from fgrpo.evaluate.samplers.base import Request, SamplingSettings

pytestmark = pytest.mark.usefixtures("openai_key")


# Faults that pass


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(429),
        faults.status(429, Retry_After="0"),
        faults.status(408),
        faults.status(409),
        faults.status(500),
        faults.status(503),
        faults.status(599),
        faults.cut_body,
        faults.drop,
        faults.malformed,
        faults.empty,
        faults.no_choices,
        faults.error_with_success_status,
        faults.web_page,
        faults.aborted,
    ],
)
def test_a_fault_is_tried_again(fault):
    check_two_tries_more(fault)


def test_a_time_out_is_tried_again():
    check_two_tries_more(faults.late(30), timeout=0.8)


def check_two_tries_more(fault, **options):
    asked = requests(1)
    found, usage, calls = ask(faults.then_answer(fault, fault), asked, **options)
    assert found == expected(asked)
    assert (len(calls), usage.failures, usage.answers) == (3, 2, 1)
    assert calls[0].body == calls[2].body


def test_slow_and_mislabelled_answers_are_answers():
    asked = requests(2)
    assert ask(faults.late(0.3), asked)[0] == expected(asked)
    assert ask(faults.plain_type, asked)[0] == expected(asked)


@pytest.mark.parametrize("plan", [faults.doubled, faults.surplus])
def test_choices_too_many_are_dropped(plan):
    asked = requests(3, count=4)
    found, _, calls = ask(plan, asked)
    assert found == expected(asked)
    assert len(calls) == 3


@pytest.mark.parametrize("most", [1, 2, 3])
def test_choices_too_few_are_asked_for_with_other_seeds(most):
    asked = requests(2, count=5)
    found, _, calls = ask(faults.at_most(most), asked, concurrency=1)
    assert found == expected(asked)
    seeds = [call.body["seed"] for call in calls if prompt_of(call.body) == "What is 1?"]
    assert seeds == list(range(1000, 1005, most))


def test_a_choice_missing_among_others_is_asked_for_with_its_own_seed():
    asked = requests(1, count=4)
    found, _, calls = ask(faults.then_answer(faults.gap), asked)
    assert found == expected(asked)
    assert [(call.body["seed"], call.body["n"]) for call in calls] == [(0, 4), (1, 1)]


@pytest.mark.parametrize("chunk", [1, 4, 16])
def test_samples_do_not_depend_on_the_calls_they_are_in(chunk):
    messages = ({"role": "user", "content": "?"},)
    whole = Request("toy/0", messages, 0, 16, 5_000_000_000)
    parts = [
        Request(f"from {first}", messages, first, chunk, whole.seed + first)
        for first in range(0, 16, chunk)
    ]
    found, _, _ = ask(faults.at_most(3), parts)
    joined = [text for part in parts for text in found[part.problem]]
    assert joined == [text_of("?", (whole.seed + i) % 2**31) for i in range(16)]


@pytest.mark.parametrize("plan", [faults.answer, faults.stop_left_in])
@pytest.mark.parametrize("chat", [True, False])
def test_stop_texts_are_sent_and_nothing_behind_them_is_kept(plan, chat):
    asked = requests(4)
    settings = SamplingSettings(chat=chat, stop=("7", "b1"))
    found, _, (call, *_) = ask(plan, asked, settings=settings)
    assert call.body["stop"] == ["7", "b1"]
    full = expected(asked)
    assert found != full
    assert found == {
        name: [min((text.partition("7")[0], text.partition("b1")[0]), key=len) for text in texts]
        for name, texts in full.items()
    }


def test_no_stop_text_is_sent_unasked():
    assert "stop" not in ask(faults.answer, requests(1))[2][0].body


def test_retry_after_is_waited_for():
    plan = faults.then_answer(faults.status(429, Retry_After="1"))
    _, _, calls = ask(plan, requests(1))
    assert 0.99 < calls[1].time - calls[0].time < 3


def test_waits_grow():
    plan = faults.then_answer(*[faults.status(500)] * 4)
    _, _, calls = ask(plan, requests(1), first_wait=0.05, longest_wait=10.0)
    gaps = [later.time - call.time for call, later in pairwise(calls)]
    for gap, least in zip(gaps, [0.05, 0.1, 0.2, 0.4], strict=True):
        assert least * 0.98 < gap < least + 1


def test_nothing_is_lost_or_doubled_under_random_faults():
    choose = random.Random(8)
    kinds = [
        faults.status(429, Retry_After="0.01"), faults.status(500), faults.status(503),
        faults.cut_body, faults.drop, faults.malformed, faults.empty, faults.doubled,
        faults.surplus, faults.at_most(1), faults.late(0.02), faults.late(5), faults.web_page,
    ]  # fmt: skip
    fates = [choose.choice(kinds) if choose.random() < 0.4 else None for _ in range(4000)]
    asked = requests(150, count=3)

    def plan(call):
        (fates[call.number % len(fates)] or faults.answer)(call)

    with serving(plan, plan, plan) as servers:
        one = sampler(servers, concurrency=8, timeout=0.5, tries=30)
        assert texts(one.sample(asked)) == expected(asked)
        assert one.usage.failures > 30
        assert all(server.calls for server in servers)


# Faults that do not pass


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
def test_a_refusal_ends_at_once_with_what_the_server_says(code):
    with serving(faults.status(code, "no such thing as this model")) as servers:
        with pytest.raises(RunError) as caught:
            list(sampler(servers, concurrency=1).sample(requests(30)))
        for part in (servers[0].url, str(code), "no such thing as this model", "toy/0"):
            assert part in str(caught.value)
        assert len(servers[0].calls) < 12
        assert ("OPENAI_API_KEY" in str(caught.value)) == (code in (401, 403))


def test_the_last_try_is_the_last():
    with serving(faults.status(503, "overloaded")) as servers:
        with pytest.raises(RunError) as caught:
            list(sampler(servers, tries=4).sample(requests(1)))
        for part in (servers[0].url, "503", "overloaded", "4 tries", "toy/0", "kept"):
            assert part in str(caught.value)
        assert len(servers[0].calls) == 4


def test_time_outs_end_with_a_remedy():
    with serving(faults.late(30)) as servers, pytest.raises(RunError, match=r"0\.1 s .*--timeout"):
        list(sampler(servers, tries=2, timeout=0.1).sample(requests(1)))


def test_what_is_finished_is_given_before_the_error():
    def plan(call):
        bad = prompt_of(call.body) == "What is 3?"
        (faults.status(400) if bad else faults.late(0.3))(call)

    found = []
    with serving(plan) as servers:
        answers = sampler(servers, concurrency=4).sample(requests(50))
        with pytest.raises(RunError, match="toy/3"):
            found.extend(request.problem for request, _ in answers)
    assert {"toy/0", "toy/1", "toy/2"} <= set(found)
    assert len(found) < 20


def test_after_a_refusal_no_other_call_is_tried_for_long():
    def plan(call):
        refused = prompt_of(call.body) == "What is 0?"
        (faults.late(0.2, faults.status(400)) if refused else faults.status(500))(call)

    with serving(plan) as servers:
        with pytest.raises(RunError, match="toy/0"):
            list(sampler(servers, first_wait=0.1, longest_wait=0.1).sample(requests(4)))
        assert len(servers[0].calls) < 16  # all tries would be 31


def test_a_redirect_is_not_followed():
    with serving(faults.answer) as (stranger,):
        plan = faults.status(307, Location=stranger.url + "/chat/completions")
        with serving(plan) as servers, pytest.raises(RunError, match=r"redirects to .*status 307"):
            list(sampler(servers).sample(requests(1)))
        assert not stranger.calls


def test_a_server_that_was_never_there_is_given_up_early():
    with serving(faults.answer) as (gone,):
        url = gone.url
    one = sampler([url], tries=50)
    with pytest.raises(RunError, match=r"no answer after 4 tries.*ConnectError"):
        list(one.sample(requests(1)))
    assert one.usage.failures == 4


def test_a_server_that_went_away_is_waited_for():
    with serving(faults.answer, faults.answer) as (first, second):
        one = sampler([first], tries=6)
        stream = one.sample(iter(requests(1)))
        next(stream)
        assert one.usage.answers == 1
        gone = second.url
    # Nobody listens at this address now; what answered before may come back.
    one._calls = replace(one._calls, urls=[gone])
    with pytest.raises(RunError, match="no answer after 6 tries"):
        list(one.sample(requests(1)))
