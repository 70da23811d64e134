"""Calls of the openai sampler to servers on loopback, and what they must give."""

from faulty_server import serving, text_of

from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Request, SamplingSettings

KEY = "sk-not-to-be-seen-5519"
QUICK = {"first_wait": 0.01, "longest_wait": 0.05, "timeout": 20.0, "tries": 10}


def sampler(servers, settings=None, **options):
    urls = [server if isinstance(server, str) else server.url for server in servers]
    options = {**QUICK, "urls": urls, **options}
    return make_sampler("openai", "some-model", settings or SamplingSettings(), **options)


def requests(number, count=2):
    return [
        Request(f"toy/{i}", ({"role": "user", "content": f"What is {i}?"},), 3, count, 1000 * i)
        for i in range(number)
    ]


def expected(asked):
    return {
        one.problem: [text_of(one.messages[-1]["content"], one.seed + i) for i in range(one.count)]
        for one in asked
    }


def texts(pairs):
    """Texts by problem; fails if a request is answered twice."""
    found = {}
    for request, completions in pairs:
        assert request.problem not in found
        found[request.problem] = [completion.text for completion in completions]
    return found


def ask(plan, asked, **options):
    with serving(plan) as servers:
        one = sampler(servers, **options)
        return texts(one.sample(asked)), one.usage, servers[0].calls
