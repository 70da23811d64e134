"""Tiny policies and hand-made rollouts for the tests of the lab."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
import yaml
from lab_runs import SMALLEST, command, contents, results
from torch import Tensor

from fgrpo.lab.model import Decoder
from fgrpo.lab.sampling import Rollouts
from fgrpo.lab.settings import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOCAB, PAD, EOS = 8, 0, 1


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Decoder]:
    """Make a policy far from its initial state: no bias 0, no norm 1, attention that matters."""

    def make(
        hidden: int = 16,
        layers: int = 2,
        heads: int = 4,
        kv_heads: int = 2,
        intermediate: int = 24,
        vocab: int = VOCAB,
        seed: int = 0,
        spread: float = 0.45,
    ) -> Decoder:
        settings = ModelSettings(
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            intermediate_size=intermediate,
        )
        model = Decoder(settings, vocab)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("norm.weight"):
                    parameter.uniform_(0.6, 1.4, generator=generator)
                else:
                    parameter.normal_(0.0, spread, generator=generator)
        return model

    return make


@pytest.fixture
def set_uniforms(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], None]:
    """Make `sample` use given random numbers, (T, rollouts)."""

    def use(uniforms: Tensor) -> None:
        def rand(*shape: int, **_: object) -> Tensor:
            assert shape == tuple(uniforms.shape)
            return uniforms.clone()

        monkeypatch.setattr(torch, "rand", rand)

    return use


def separate_logprobs(
    model: Decoder, prompt: Tensor, response: Tensor, temperature: float
) -> Tensor:
    """Log-probabilities (length,) of one response: one plain pass over prompt and response."""
    logits = model(torch.cat([prompt, response])[None])[0]
    rows = [
        (logits[len(prompt) - 1 + t] / temperature).log_softmax(-1) for t in range(len(response))
    ]
    return torch.stack([row[token] for row, token in zip(rows, response, strict=True)])


@pytest.fixture(scope="session")
def separate() -> Callable[[Decoder, Tensor, Tensor, float], Tensor]:
    return separate_logprobs


class Batch(NamedTuple):
    """Rollouts with advantages."""

    rollouts: Rollouts
    advantages: Tensor


# Per group, the distinct responses and which of them each of the five rollouts said. Group 1 is
# inactive. A response ends with EOS or has all five tokens.
RESPONSES = [
    ([[3, 4, EOS], [3, 4, 5, 6, 7], [EOS]], [0, 1, 0, 2, 0]),
    ([[2, EOS], [4, 4, 4, 4, EOS]], [0, 1, 1, 0, 0]),
    ([[3, 4, EOS], [7, 7, 7, 7, 7]], [1, 1, 1, 1, 0]),
    ([[5, 2, EOS], [2, 5, EOS], [2, EOS], [6, PAD, 3, EOS], [2, 2, 2, 2, 2]], [4, 3, 2, 1, 0]),
]
REWARDS = [[1, 0, 1, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 0, 0, 1]]


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """Make four groups of five: duplicates, five lengths, an inactive group, ratios off 1."""

    def make(
        model: Decoder,
        *,
        temperature: float = 1.0,
        noise: float = 0.5,
        prompt_length: int = 6,
        seed: int = 0,
    ) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        groups, size, longest = len(RESPONSES), 5, 5
        prompts = torch.randint(2, model.vocab_size, (groups, prompt_length), generator=generator)
        tokens = torch.full((groups, size, longest), PAD)
        logprobs = torch.zeros(groups, size, longest)
        lengths = torch.zeros(groups, size, dtype=torch.long)
        for g, (distinct, said) in enumerate(RESPONSES):
            with torch.no_grad():
                # Drawn once for each distinct response: equal responses were equally likely.
                old = [
                    separate_logprobs(model, prompts[g], torch.tensor(response), temperature)
                    + noise * torch.randn(len(response), generator=generator)
                    for response in distinct
                ]
            for n, which in enumerate(said):
                length = len(distinct[which])
                tokens[g, n, :length] = torch.tensor(distinct[which])
                logprobs[g, n, :length] = old[which]
                lengths[g, n] = length
        truncated = (lengths == longest) & (tokens[:, :, -1] != EOS)
        rewards = torch.tensor(REWARDS, dtype=torch.float32)
        advantages = rewards - rewards.mean(1, keepdim=True)
        advantages *= torch.tensor([1.0, 1.0, 1.7, 0.6])[:, None]
        rollouts = Rollouts(
            prompts, tokens, logprobs, torch.zeros_like(logprobs), lengths, truncated
        )
        return Batch(rollouts, advantages)

    return make


@pytest.fixture(scope="session")
def uninterrupted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the tiny recipe as a program that nothing disturbs; return the folder of its runs."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(command(folder), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def uninterrupted(uninterrupted_folder: Path) -> dict[str, str]:
    return contents(uninterrupted_folder / "runs")


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Make the results of one job at a time on one core."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(SMALLEST))

    def one_core() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})

    line = [*command(folder)[:4], str(folder / "recipe.yaml"), "--workers", "1"]
    out = folder / "runs" / "tiny"
    subprocess.run([*line, "--out", str(out)], check=True, capture_output=True, preexec_fn=one_core)
    found = results(folder / "runs")
    assert len(found["tiny/arms/f-dapo/seed-0/metrics.jsonl"]) == 4
    assert sum(name.endswith("model.safetensors") for name in found) == 3
    return found
