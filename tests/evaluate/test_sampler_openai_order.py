"""The openai sampler: the order of its requests, their bounds, and several servers."""

import threading
import time
from itertools import count as count_from

import faulty_server as faults
import pytest
from faulty_server import prompt_of, serving
from openai_calls import ask, expected, requests, sampler, texts

pytestmark = pytest.mark.usefixtures("openai_key")


# Order and bounds


def test_concurrency_changes_nothing_but_the_order():
    asked = requests(60)

    def plan(call):
        first = prompt_of(call.body) == "What is 0?"
        (faults.late(1.0) if first else faults.answer)(call)

    alone = ask(faults.answer, asked, concurrency=1)[0]
    many = ask(plan, asked, concurrency=16)[0]
    assert next(iter(many)) != "toy/0"
    assert many == alone == expected(asked)


def test_a_server_has_at_most_its_share_at_a_time():
    with serving(faults.late(0.03), faults.late(0.03)) as servers:
        list(sampler(servers, concurrency=5).sample(requests(60)))
        assert [server.most_busy for server in servers] == [5, 5]
        assert min(len(server.calls) for server in servers) >= 20


def test_requests_are_drawn_as_they_are_needed():
    drawn = []

    def endless():
        for i in count_from():
            drawn.append(i)
            yield requests(1)[0]

    with serving(faults.answer) as servers:
        answers = sampler(servers, concurrency=4).sample(endless())
        for _ in range(10):
            next(answers)
        assert len(drawn) < 10 + 4 + 10
        answers.close()


def test_closing_early_drops_what_is_under_way():
    plan = faults.then_answer(faults.answer, *[faults.late(60)] * 50)
    with serving(plan) as servers:
        answers = sampler(servers, concurrency=4).sample(requests(20))
        next(answers)
        start = time.monotonic()
        answers.close()
        assert time.monotonic() - start < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "fgrpo-openai"]


def test_a_sampler_can_be_used_again():
    asked = requests(3)
    with serving(faults.answer) as servers:
        one = sampler(servers)
        assert texts(one.sample(asked)) == texts(one.sample(asked)) == expected(asked)
        assert list(one.sample([])) == []
        assert one.usage.answers == 6


# Several servers


def test_a_dead_server_is_left_alone():
    asked = requests(40)
    with serving(faults.answer) as (alive,), serving(faults.answer) as (gone,):
        dead = gone.url
        gone.server_close()
        one = sampler([dead, alive], concurrency=4, first_wait=0.2, longest_wait=5.0)
        assert texts(one.sample(asked)) == expected(asked)
        assert 3 <= one.usage.failures <= 20


def test_a_server_that_asks_for_rest_gets_it_and_the_others_go_on():
    asked = requests(40)
    with serving(faults.status(429, Retry_After="60"), faults.answer) as servers:
        start = time.monotonic()
        assert texts(sampler(servers, concurrency=2).sample(asked)) == expected(asked)
        assert time.monotonic() - start < 10
        assert len(servers[0].calls) <= 2
