"""A random language model of a few thousand weights with a byte-level tokenizer.

``python tests/tiny_llm.py FOLDER`` saves one as a checkpoint.
"""

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
FAMILIES = {
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}


def byte_tokenizer(chat=True):
    """One token a byte, and three special ones; ``chat`` gives it a ChatML template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>" if chat else "<|endoftext|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML if chat else None,
        model_max_length=512,
        padding_side="left",
    )


def tiny_model(family="qwen2", seed=0, hidden=32):
    """Two layers, one key-value head for two queries."""
    torch.manual_seed(seed)
    config, model = FAMILIES[family]
    words = byte_tokenizer()
    return model(
        config(
            vocab_size=len(words),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def save_tiny(folder, family="qwen2", seed=0, chat=True):
    """Save a checkpoint with its tokenizer; return its path as text."""
    tiny_model(family, seed).save_pretrained(folder)
    byte_tokenizer(chat).save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    print(save_tiny(Path(sys.argv[1])))
