"""The transformers sampler: exact distributions, and what a sample depends on."""

import math
from collections import Counter

import numpy as np
import pytest
import tiny_models as tiny
import torch
from scipy.stats import chisquare
from transformers_draws import by_problem, distribution, ids, request, sampler, tokens_of

from fgrpo.evaluate.problem import Problem
from fgrpo.evaluate.runner import gaps, requests_for
from fgrpo.evaluate.samplers.base import SamplingSettings
from fgrpo.evaluate.samplers.drawing import Drawer, nucleus, stream
from fgrpo.records import RecordStore

pytestmark = pytest.mark.slow


# What is drawn


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.5, 0.8)])
def test_sequences_have_the_models_own_distribution(checkpoint, network, temperature, top_p):
    """All sequences of up to two tokens against their exact probabilities, by chi-square.

    The seed is fixed; a right sampler fails for one seed in a thousand.
    """
    settings = SamplingSettings(temperature, top_p, max_tokens=2, chat=False)
    prompt, draws = "a c e", 6000
    first = distribution(network, ids(prompt), temperature, top_p)
    exact = {(tiny.EOS,): first[tiny.EOS]}
    for token, chance in enumerate(first):
        if token != tiny.EOS and chance:
            then = distribution(network, [*ids(prompt), token], temperature, top_p)
            for other, more in enumerate(then):
                exact[token, other] = chance * more
    ((_, completions),) = sampler(checkpoint, settings, batch=draws).sample(
        [request(prompt, draws, seed=41)]
    )
    found = Counter(tokens_of(completion) for completion in completions)
    likely = [name for name, chance in exact.items() if chance * draws >= 5]
    seen = [found[name] for name in likely]
    chances = [exact[name] for name in likely]
    rest = 1 - sum(chances)
    if rest * draws >= 1:
        seen, chances = [*seen, draws - sum(seen)], [*chances, rest]
    assert len(likely) >= 10
    assert all(exact.get(name, 0) > 0 for name in found)
    total = sum(chances)
    assert chisquare(seen, [chance / total * sum(seen) for chance in chances]).pvalue > 1e-3


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 0.9), (0.0, 1.0)])
def test_log_probabilities_are_those_of_what_was_sampled(checkpoint, network, temperature, top_p):
    settings = SamplingSettings(temperature, top_p, max_tokens=8, chat=False)
    prompts = ["a", "b c d e f", "g h a"]
    asked = [request(text, 3, seed=7) for text in prompts]
    pairs = list(sampler(checkpoint, settings, batch=5).sample(asked))
    assert len(pairs) == 3
    for one, completions in pairs:
        for completion in completions:
            total, before = 0.0, ids(one.problem)
            for token in tokens_of(completion):
                if temperature:
                    chances = distribution(network, before, temperature, top_p)
                    total += math.log(chances[token])
                else:
                    assert token == distribution(network, before).argmax()
                before.append(token)
            assert completion.logprob == pytest.approx(total, abs=2e-5)


def test_greedy_completions_are_all_alike_and_certain(checkpoint):
    settings = SamplingSettings(0.0, max_tokens=5, chat=False)
    ((_, completions),) = sampler(checkpoint, settings).sample([request("a b", 4)])
    assert len(set(completions)) == 1
    assert completions[0].logprob == 0


def test_the_checkpoints_own_generation_settings_do_not_sneak_in(tmp_path, checkpoint):
    meddling = tiny.save(
        tmp_path, do_sample=True, top_k=1, temperature=0.01, repetition_penalty=9.0,
        no_repeat_ngram_size=1, min_new_tokens=6, suppress_tokens=[5, 6, 7], min_p=0.5,
        max_new_tokens=1, num_return_sequences=2,
    )  # fmt: skip
    asked = [request("a b c", 40, seed=3)]
    assert list(sampler(meddling).sample(asked)) == list(sampler(checkpoint).sample(asked))


# What a sample depends on


def test_a_sample_does_not_depend_on_the_batch(checkpoint):
    asked = [
        request(text, 5, seed=seed)
        for seed, text in enumerate(["a", "b c d e f g h i a b c", "d e", "f f f f f", "g"])
    ]
    alone = by_problem(sampler(checkpoint, batch=1).sample(asked))
    for batch, order in ((3, asked), (7, asked[::-1]), (64, asked)):
        together = by_problem(sampler(checkpoint, batch=batch).sample(order))
        assert together.keys() == alone.keys()
        for key, completions in alone.items():
            assert [one.text for one in together[key]] == [one.text for one in completions]
            for one, other in zip(together[key], completions, strict=True):
                assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
                assert (one.tokens, one.truncated) == (other.tokens, other.truncated)


def test_a_sample_depends_on_its_seed_alone(checkpoint):
    one = sampler(checkpoint)

    def texts(asked):
        ((_, completions),) = one.sample([asked])
        return [completion.text for completion in completions]

    whole = texts(request("a b", 6, seed=5))
    assert texts(request("a b", 2, first=70, seed=8)) == whole[3:5]
    assert texts(request("a b", 6, seed=99)) != whole
    assert len(set(whole)) > 3


def test_the_size_of_requests_changes_nothing(tmp_path, checkpoint):
    asked = [Problem(f"toy/{text}", text, "exact", "") for text in ("a", "b c d e f", "g h")]
    messages = {one.id: ({"role": "user", "content": one.prompt},) for one in asked}

    def drawn(chunk):
        with RecordStore.open(tmp_path / f"{chunk}.jsonl", meta={}) as store:
            found = gaps(store, asked, 21, chunk)
        pairs = sampler(checkpoint, batch=8).sample(requests_for(found, asked, messages, 3))
        return {
            (request.problem, request.first + i): completion
            for request, completions in pairs
            for i, completion in enumerate(completions)
        }

    one, *others = (drawn(chunk) for chunk in (1, 4, 16))
    assert len(one) == 3 * 21
    for other in others:
        assert {name: c.text for name, c in other.items()} == {n: c.text for n, c in one.items()}
        for name, completion in other.items():
            assert completion.logprob == pytest.approx(one[name].logprob, abs=1e-5)
            assert completion.tokens == one[name].tokens


def test_another_run_draws_the_same(checkpoint):
    asked = [request("a b", 6, seed=2**62 + 5), request("c", 3, seed=1)]
    torch.manual_seed(1)
    first = list(sampler(checkpoint).sample(asked))
    torch.manual_seed(2)
    assert list(sampler(checkpoint).sample(asked)) == first


def test_streams_are_independent_of_each_other():
    seeds = [start + i for start in (0, 2**40, 2**63) for i in range(27)]
    draws = np.array([stream(seed).random(200) for seed in seeds])
    worst = np.abs(np.corrcoef(draws) - np.eye(81)).max()
    assert worst < 5 / math.sqrt(200)
    assert len(np.unique(draws)) == draws.size
    assert (stream(2**40).random(200) == draws[27]).all()


# The drawing by itself


class Fixed:
    """A stream that always gives the same number."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


def draw(probs, number, temperature=1.0, top_p=1.0):
    drawer = Drawer([Fixed(number)], (), temperature, top_p)
    forced = drawer(None, torch.tensor([probs]).log())
    ((tokens, logprob, ended),) = drawer.results()
    assert not ended
    assert forced.argmax().item() == tokens[0]
    assert forced.isfinite().sum() == 1
    return tokens[0], logprob


@pytest.mark.parametrize(
    ("number", "token"),
    [(0.0, 1), (0.2499, 1), (0.25, 2), (0.7499, 2), (0.75, 4), (1 - 2**-53, 4)],
)
def test_a_number_picks_its_stretch_of_the_distribution(number, token):
    probs = [0.0, 0.25, 0.5, 0.0, 0.25, 0.0]
    assert draw(probs, number) == (token, pytest.approx(math.log(probs[token])))


def test_tiny_chances_are_drawn_too():
    probs = [1.0, *[1e-9] * 1000]
    assert draw(probs, 1 - 0.5e-6 / (1 + 1e-6))[0] == pytest.approx(501, abs=1)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p():
    probs = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.25, 0.25, 0.25, 0.25]])
    kept = [(nucleus(probs, top_p) > 0).int().tolist() for top_p in (0.05, 0.4, 0.41, 0.71, 0.95)]
    assert [rows[0] for rows in kept] == [
        [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 1],
    ]  # fmt: skip
    assert [rows[1] for rows in kept] == [
        [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1],
    ]  # fmt: skip


def test_the_nucleus_is_taken_after_the_temperature():
    probs = [0.5, 0.3, 0.2]
    token, logprob = draw(probs, 0.999, temperature=0.5, top_p=0.7)
    assert (token, logprob) == (1, pytest.approx(math.log(0.09 / 0.34)))
