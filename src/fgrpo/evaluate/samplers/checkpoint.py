"""Opening language models and their tokenizers with transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import SafetensorError

from fgrpo.errors import UsageError, to_install
from fgrpo.evaluate.samplers.local import refuse_missing

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_checkpoint(
    model: str,
    *,
    adapter: str | None = None,
    revision: str | None = None,
    gguf_file: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
) -> tuple[Any, PreTrainedTokenizerBase]:
    """Open a causal language model, ready for evaluation, and its tokenizer.

    Weights are read from safetensors or GGUF files only, and no code of the checkpoint is run.

    Parameters
    ----------
    model
        Name on the hub, or folder.
    adapter
        LoRA adapter put on top: folder or name on the hub.
    revision
        Branch, tag or commit on the hub.
    gguf_file
        Name of a GGUF file in the repository or folder; its weights are unpacked.
    dtype
        ``float32``, ``bfloat16``, ``float16``, or ``auto`` for that of the checkpoint.
    device
        Such as ``cpu`` or ``cuda:0``; by default the first GPU if there is one.

    Raises
    ------
    UsageError
        If something of it cannot be found or opened.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise UsageError(f"no dtype {dtype!r}: choose auto, float32, bfloat16 or float16")
    refuse_missing(model)
    if adapter is not None:
        refuse_missing(adapter, "adapter")
    where: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    if gguf_file:
        where["gguf_file"] = gguf_file
    else:
        where["use_safetensors"] = True
    network: Any
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model, **where)
        network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype, **where)
        network.to(device)
    except ImportError as error:  # such as gguf, which only GGUF files need
        raise UsageError(f"model {model!r} needs another package: {_line(error)}") from error
    except (OSError, ValueError, RuntimeError, AssertionError, SafetensorError) as error:
        raise UsageError(f"model {model!r} cannot be opened on {device}: {_line(error)}") from error
    # What the checkpoint asks of `generate` (top_k, penalties …) must not reach the samples.
    ends = network.generation_config.eos_token_id
    network.generation_config = generation_settings(eos_token_id=ends)
    if adapter is not None:
        network = _with_adapter(network, adapter)
    return network.eval(), tokenizer


def _with_adapter(network: Any, adapter: str) -> Any:
    try:
        import peft
    except ImportError as error:
        raise UsageError(f"an adapter needs peft: {to_install('transformers')}") from error
    try:
        return peft.PeftModel.from_pretrained(network, adapter)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"adapter {adapter!r} cannot be put on: {_line(error)}") from error


def generation_settings(**settings: Any) -> Any:
    """Return settings for ``generate`` with nothing in them but these."""
    config: Any = transformers.GenerationConfig
    return config(**settings)


def end_tokens(network: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the tokens that end a completion: the model's own and its tokenizer's."""
    ends = network.generation_config.eos_token_id
    own = [ends] if isinstance(ends, int) else list(ends or [])
    return frozenset(token for token in [*own, tokenizer.eos_token_id] if token is not None)


def context_length(network: Any) -> int | None:
    """Return how many tokens the model can hold; None if its configuration does not say."""
    length = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    return int(length) if length else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
