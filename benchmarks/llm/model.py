"""Any model as a checkpoint folder in float32, whose completions end with the line."""

import shutil
import sys
from pathlib import Path
from typing import Any

from fgrpo.evaluate.samplers.checkpoint import end_tokens, generation_settings, load_checkpoint
from llm.items import training_rows
from llm.settings import TINY, Settings


def model_folder(folder: Path) -> Path:
    return folder / "model"


def prepare(folder: Path, settings: Settings) -> None:
    """Write the base model once: opened, dequantised, told where completions end."""
    target = model_folder(folder)
    if target.exists():
        return
    if settings.model == TINY:
        network, tokenizer = _tiny(training_rows(folder, settings.seeds[0]))
    else:
        network, tokenizer = _open(settings.model)
    # Training and evaluation both end at the end tokens of the checkpoint.
    ends = end_tokens(network, tokenizer) | line_ends(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    network.generation_config = generation_settings(
        eos_token_id=sorted(ends), pad_token_id=tokenizer.pad_token_id
    )
    temporary = target.with_name("model.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    network.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    temporary.rename(target)


def line_ends(tokenizer: Any) -> frozenset[int]:
    """Return the tokens that are white space with an end of line in it."""
    tokens = range(len(tokenizer))
    texts = tokenizer.batch_decode([[token] for token in tokens])
    return frozenset(
        token
        for token, text in zip(tokens, texts, strict=True)
        if "\n" in text and not text.strip()
    )


def _open(model: str) -> tuple[Any, Any]:
    path, gguf_file = Path(model), None
    if path.suffix.lower() == ".gguf":
        model, gguf_file = str(path.parent), path.name
    network, tokenizer = load_checkpoint(model, gguf_file=gguf_file, dtype="float32", device="cpu")
    if getattr(network.config, "quantization_config", None) is not None:
        # The weights are plain numbers by now; with this left, they could not be saved.
        del network.config.quantization_config
    network.hf_quantizer = None
    return network, tokenizer


def _tiny(rows: list[dict[str, str]]) -> tuple[Any, Any]:
    """Return the tests' random model after a few steps on right answers.

    Without them no answer would be right, and training would change nothing.
    """
    import torch

    sys.path.append(str(Path(__file__).parents[2] / "tests"))
    from tiny_llm import byte_tokenizer, tiny_model

    network, tokenizer = tiny_model("llama"), byte_tokenizer(chat=False)
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for step in range(40):
        batch = [rows[i % len(rows)] for i in range(8 * step, 8 * step + 8)]
        asked = [tokenizer(row["prompt"])["input_ids"] for row in batch]
        texts = [f"{row['prompt']} {row['answer']}\n" for row in batch]
        inputs = tokenizer(texts, return_tensors="pt", padding=True)
        labels = inputs["input_ids"].clone()
        for i, tokens in enumerate(inputs["attention_mask"].sum(1).tolist()):
            labels[i, : labels.shape[1] - tokens + len(asked[i])] = -100
        optimizer.zero_grad()
        network(**inputs, labels=labels).loss.backward()
        optimizer.step()
    return network.eval(), tokenizer
