"""The transformers sampler: exact distributions, on tiny random models made here."""

import math
from collections import Counter
from dataclasses import replace
from itertools import count as count_from

import numpy as np
import pytest
import tiny_models as tiny
import torch
from scipy.stats import chisquare

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.problem import Problem
from fgrpo.evaluate.runner import gaps, requests_for
from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Request, SamplingSettings
from fgrpo.evaluate.samplers.drawing import Drawer, nucleus, stream
from fgrpo.records import RecordStore

pytestmark = pytest.mark.slow

PLAIN = SamplingSettings(max_tokens=6, chat=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def network():
    return tiny.model()


def sampler(checkpoint, settings=PLAIN, **options):
    return make_sampler("transformers", checkpoint, settings, device="cpu", **options)


def request(text, count=1, first=0, seed=0, problem=None):
    return Request(problem or text, ({"role": "user", "content": text},), first, count, seed)


def ids(text):
    return [tiny.VOCABULARY.index(word) for word in text.split()]


def distribution(network, tokens, temperature=1.0, top_p=1.0):
    """Next token's probabilities after one unpadded sequence, in double precision."""
    with torch.no_grad():
        logits = network(torch.tensor([tokens])).logits[0, -1].double().numpy() / temperature
    probs = np.exp(logits - logits.max())
    probs /= probs.sum()
    kept, mass = [], 0.0
    for token in sorted(range(len(probs)), key=lambda token: -probs[token]):
        if mass >= top_p:
            break
        kept.append(token)
        mass += probs[token]
    inside = np.zeros_like(probs)
    inside[kept] = probs[kept] / mass
    return inside


def tokens_of(completion):
    """The drawn tokens, which the texts of this vocabulary show; the end token too."""
    tokens = ids(completion.text)
    return tuple(tokens if completion.truncated else [*tokens, tiny.EOS])


def by_problem(pairs):
    return {(asked.problem, asked.first): completions for asked, completions in pairs}


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


# Ends and lengths


def test_a_completion_ends_with_an_end_token_or_at_the_limit(checkpoint):
    settings = SamplingSettings(max_tokens=12, chat=False)
    ((_, completions),) = sampler(checkpoint, settings).sample([request("a b", 60)])
    ended = [one for one in completions if not one.truncated]
    assert 5 < len(ended) < 60
    for one in completions:
        words = len(one.text.split())
        assert "<eos>" not in one.text
        assert (one.tokens, one.finish_reason) == (
            (12, "length") if one.truncated else (words + 1, "stop")
        )
    assert max(one.tokens for one in ended) < 13


def test_any_of_several_end_tokens_ends(tmp_path, checkpoint):
    network = tiny.model(ends=[tiny.EOT, 7])
    path = tiny.save(tmp_path, network, tiny.tokenizer(special=True))
    settings = SamplingSettings(max_tokens=30, chat=False)
    one = sampler(path, settings)
    assert one._ends == {tiny.EOT, 7, tiny.EOS}
    ((_, completions),) = one.sample([request("a b", 50)])
    for completion in completions:
        assert not {tiny.VOCABULARY[7], "<eot>", "<eos>", "<pad>"} & set(completion.text.split())
    assert sum(not completion.truncated for completion in completions) > 40


def test_a_completion_ends_where_the_context_does(tmp_path):
    path = tiny.save(tmp_path, tiny.model(context=10))
    settings = SamplingSettings(max_tokens=50, chat=False)
    asked = [request("a b c", 20), request("a b c d e f g", 20), request("c d e", 20)]
    pairs = by_problem(sampler(path, settings, batch=8).sample(asked))
    for (text, _), completions in pairs.items():
        room = 10 - len(text.split())
        assert {one.tokens for one in completions if one.truncated} == {room}
        assert all(one.tokens <= room for one in completions)


def test_a_prompt_longer_than_the_context_is_named(tmp_path):
    path = tiny.save(tmp_path, tiny.model(context=10))
    with pytest.raises(UsageError, match=r"toy/1: the prompt has 10 tokens, .* context 10"):
        list(sampler(path).sample([request(" ".join("abcdefghia"), problem="toy/1")]))


def test_an_empty_prompt_is_named(checkpoint):
    with pytest.raises(UsageError, match="toy/1: the prompt is empty"):
        list(sampler(checkpoint).sample([request("", problem="toy/1")]))


@pytest.mark.parametrize("batch", [1, 7])
def test_a_completion_ends_with_the_token_that_completes_a_stop_text(checkpoint, network, batch):
    """Against what the same samples are without stop texts."""
    free = SamplingSettings(max_tokens=12, chat=False)
    stopping = sampler(checkpoint, replace(free, stop=("f", "h d")), batch=batch)
    asked = [request(text, 12, seed=5) for text in ("a b", "c d e f g")]
    without = by_problem(sampler(checkpoint, free).sample(asked))
    stopped = by_problem(stopping.sample(asked))
    ended = 0
    for (prompt, first), completions in stopped.items():
        for one, full in zip(completions, without[prompt, first], strict=True):
            tokens = tokens_of(full)
            words = full.text.split()
            texts = [" ".join(words[:i]) for i in range(1, len(words) + 1)]
            hit = next((text for text in texts if "f" in text or "h d" in text), None)
            if hit is None:
                assert (one.text, one.tokens, one.truncated) == (
                    full.text, full.tokens, full.truncated,
                )  # fmt: skip
            else:
                ended += 1
                tokens = tokens[: len(hit.split())]
                assert one.text == hit.removesuffix("f").removesuffix("h d")
                assert (one.tokens, one.finish_reason) == (len(tokens), "stop")
                assert not one.truncated
            before, total = ids(prompt), 0.0
            for token in tokens:
                total += math.log(distribution(network, before)[token])
                before.append(token)
            assert one.logprob == pytest.approx(total, abs=2e-5)
    assert 5 < ended < 24
    used = sum(one.tokens for completions in stopped.values() for one in completions)
    assert stopping.usage.completion_tokens == used


def test_a_stop_text_with_the_last_token_is_no_truncation(checkpoint):
    settings = SamplingSettings(0.0, max_tokens=4, chat=False)
    ((_, (full,)),) = sampler(checkpoint, settings).sample([request("a b")])
    assert (full.tokens, full.truncated) == (4, True)
    settings = replace(settings, stop=(" " + full.text.split()[-1],))
    ((_, (one,)),) = sampler(checkpoint, settings).sample([request("a b")])
    assert (one.text, one.tokens, one.truncated) == (full.text[: -len(settings.stop[0])], 4, False)


def test_nothing_more_is_drawn_when_every_row_has_met_its_stop_text(checkpoint):
    settings = SamplingSettings(max_tokens=50, chat=False, stop=tuple(tiny.WORDS))
    one = sampler(checkpoint, settings)
    steps = []
    one._model.register_forward_hook(lambda *_: steps.append(1))
    ((_, completions),) = one.sample([request("a b", 6)])
    assert {completion.truncated for completion in completions} == {False}
    assert len(steps) == 1 + max(completion.tokens for completion in completions) < 12


def test_an_empty_stop_text_is_refused():
    with pytest.raises(UsageError, match="stop text must not be empty"):
        SamplingSettings(stop=("a", ""))


# Prompts


@pytest.fixture(scope="module")
def chatting(tmp_path_factory):
    words = tiny.tokenizer(tiny.TEMPLATE, bos=True, special=True)
    return tiny.save(tmp_path_factory.mktemp("chatting"), words=words)


@pytest.mark.parametrize(
    ("settings", "prompt"),
    [
        (SamplingSettings(), "<bos> a b c i"),
        (SamplingSettings(thinking=True), "<bos> a b c g i"),
        (SamplingSettings(thinking=False), "<bos> a b c h i"),
        (SamplingSettings(chat=False, thinking=True), "<bos> a b c"),
    ],
)
def test_a_prompt_goes_through_the_template_once(chatting, settings, prompt):
    messages = ({"role": "system", "content": "a"}, {"role": "user", "content": "b c"})
    one = sampler(chatting, settings)
    assert one._prepare(Request("x", messages, 0, 1, 0)).prompt == ids(prompt)


def test_an_end_token_put_behind_plain_text_is_left_out(tmp_path):
    path = tiny.save(tmp_path, words=tiny.tokenizer(bos=True, eos=True))
    assert sampler(path)._prepare(request("b c")).prompt == ids("<bos> b c")


def test_chat_without_template_says_what_to_do(checkpoint):
    with pytest.raises(UsageError, match="--no-chat"):
        list(sampler(checkpoint, SamplingSettings()).sample([request("a")]))


def test_a_template_that_refuses_says_why(tmp_path):
    words = tiny.tokenizer("{{ raise_exception('no system role') }}")
    path = tiny.save(tmp_path, words=words)
    with pytest.raises(UsageError, match="no system role"):
        list(sampler(path, SamplingSettings()).sample([request("a")]))


# Checkpoints


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's
def test_an_adapter_changes_the_distribution(tmp_path, checkpoint, network):
    import peft

    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(5)
    adapted = peft.get_peft_model(tiny.model(), config)
    adapted.save_pretrained(tmp_path)
    asked = [request("a b c", 20, seed=3)]
    one = sampler(checkpoint, adapter=str(tmp_path))
    ((_, completions),) = one.sample(asked)
    ((_, without),) = sampler(checkpoint).sample(asked)
    assert [c.text for c in completions] != [c.text for c in without]
    assert one.describe()["adapter"] == str(tmp_path)
    total, before = 0.0, ids("a b c")
    for token in tokens_of(completions[0]):
        total += math.log(distribution(adapted, before)[token])
        before.append(token)
    assert completions[0].logprob == pytest.approx(total, abs=2e-5)


def test_a_missing_checkpoint_or_adapter_is_named_in_one_line(tmp_path, checkpoint):
    nowhere = str(tmp_path / "nowhere")
    for options in ({"checkpoint": nowhere}, {"checkpoint": checkpoint, "adapter": nowhere}):
        with pytest.raises(UsageError, match="nowhere") as caught:
            sampler(**options)
        assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(tmp_path):
    path = tiny.save(tmp_path)
    torch.save(tiny.model().state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be opened"):
        sampler(path)


def test_weights_cut_short_are_refused(tmp_path):
    path = tiny.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match="cannot be opened"):
        sampler(path)


def test_a_missing_device_is_named(checkpoint):
    with pytest.raises(UsageError, match="cannot be opened on cuda:99"):
        make_sampler("transformers", checkpoint, PLAIN, device="cuda:99")


@pytest.mark.parametrize(
    ("options", "complaint"), [({"batch": 0}, "batch"), ({"dtype": "float7"}, "float7")]
)
def test_options_out_of_range_are_refused(checkpoint, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        sampler(checkpoint, **options)


def test_the_description_names_model_precision_and_versions(checkpoint):
    described = sampler(checkpoint, dtype="bfloat16").describe()
    assert described["model"] == checkpoint
    assert (described["dtype"], described["device"]) == ("bfloat16", "cpu")
    assert described["torch"] == torch.__version__


def test_scores_that_are_not_numbers_are_an_error(tmp_path):
    network = tiny.model()
    network.lm_head.weight.data[6] = torch.nan
    path = tiny.save(tmp_path, network)
    for temperature in (0.0, 1.0):
        settings = SamplingSettings(temperature, max_tokens=3, chat=False)
        with pytest.raises(RunError, match=r"toy/1: .*not numbers"):
            list(sampler(path, settings).sample([request("a", problem="toy/1")]))


# Flow


def test_requests_are_drawn_as_they_are_needed(checkpoint):
    drawn = []

    def endless():
        for i in count_from():
            drawn.append(i)
            yield request("a b", 2, seed=i, problem=f"toy/{i}")

    answers = sampler(checkpoint, batch=4).sample(endless())
    seen = [next(answers)[0].problem for _ in range(20)]
    assert seen == [f"toy/{i}" for i in range(20)]
    assert len(drawn) <= 20 + 4 * 4 / 2


def test_a_long_prompt_is_not_put_off_for_ever(checkpoint):
    def asked():
        yield request(" ".join("abcdefghi" * 3), problem="long")
        for i in count_from():
            yield request("a", problem=f"short/{i}")

    answers = sampler(checkpoint, batch=2).sample(asked())
    assert "long" in [next(answers)[0].problem for _ in range(3)]


def test_what_was_used_is_counted(checkpoint):
    one = sampler(checkpoint, batch=3)
    pairs = list(one.sample([request("a b", 4), request("c d e", 2)]))
    assert one.usage.prompt_tokens == 2 + 3
    assert one.usage.completion_tokens == sum(c.tokens for _, found in pairs for c in found)
    assert (one.usage.answers, one.usage.failures) == (2, 0)


def test_a_request_for_nothing_gets_nothing(checkpoint):
    asked = [request("a", 0), request("b", 1)]
    assert [len(completions) for _, completions in sampler(checkpoint).sample(asked)] == [0, 1]


def test_a_closed_sampler_has_let_go_of_the_model(checkpoint):
    one = sampler(checkpoint)
    one.close()
    one.close()
    assert not [value for value in vars(one).values() if isinstance(value, torch.nn.Module)]


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
