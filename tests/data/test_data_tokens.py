"""How long prompts are."""

import pytest
from tokenizers.processors import TemplateProcessing

from fgrpo.data.tokens import COUNTING, count_tokens
from tiny_llm import byte_tokenizer


@pytest.mark.filterwarnings("error")
def test_counts_are_those_of_the_whole_prompt_in_order(caplog):
    words = byte_tokenizer()
    # A token before every text, which the template has no part in.
    start = ("<|endoftext|>", words.convert_tokens_to_ids("<|endoftext|>"))
    words.backend_tokenizer.post_processor = TemplateProcessing(
        f"{start[0]} $A", special_tokens=[start]
    )
    assert len(words("abc")["input_ids"]) == 4
    texts = ["ab€" * (n % 7) for n in range(1200)]
    prompts = [[{"role": "user", "content": text}] for text in texts]
    prompts[5] = [{"role": "user", "content": "a" * 2000}]  # longer than the model's context
    seen = []
    found = count_tokens(words, prompts, {}, lambda *told: seen.append(told))
    # <|im_start|> user ↵ … <|im_end|> ↵ <|im_start|> assistant ↵
    expected = [1 + 5 + 5 * (n % 7) + 2 + 1 + 10 for n in range(1200)]
    expected[5] += 2000 - 25
    assert found == expected
    assert [told[1:] for told in seen] == [(512, 1200), (1024, 1200), (1200, 1200)]
    assert {told[0] for told in seen} == {COUNTING}
    assert not caplog.records
    assert count_tokens(words, [], {}, lambda *_: None) == []
