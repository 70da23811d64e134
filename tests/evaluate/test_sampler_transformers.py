"""The transformers sampler: ends, prompts, checkpoints and flow, on tiny random models."""

import math
from dataclasses import replace
from itertools import count as count_from

import pytest
import tiny_models as tiny
import torch
from transformers_draws import PLAIN, by_problem, distribution, ids, request, sampler, tokens_of

from fgrpo.errors import RunError, UsageError
from fgrpo.evaluate.samplers import make_sampler
from fgrpo.evaluate.samplers.base import Request, SamplingSettings

pytestmark = pytest.mark.slow


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
