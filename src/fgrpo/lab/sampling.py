"""Sampling a group of rollouts per prompt, computing nothing twice.

The prompt is processed once per group. While decoding, rollouts of a group that so far said the
same share one row: every distinct prefix is processed once, and each rollout draws its next token
from its row's distribution with its own random number. The rollouts are exactly those of
one-row-per-rollout sampling with the same random numbers, up to rounding; small policies, which
often repeat themselves, are sampled many times faster. On a GPU, where a step's kernels take less
time than the host needs to ask for them, `fgrpo.lab.static_sampling` samples instead.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fgrpo.lab.model import Decoder, KeysValues, Rows
from fgrpo.lab.shards import run_shards

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PART_OPERATIONS = 5e9  # take about a twentieth of a second


class Rollouts(NamedTuple):
    """Sampled responses to G prompts, N each, at most T tokens."""

    prompts: Tensor
    """(G, P) token ids."""
    tokens: Tensor
    """(G, N, T) token ids; `pad` after the end."""
    logprobs: Tensor
    """(G, N, T) log-probability of each token at the sampling temperature; 0 after the end."""
    entropies: Tensor
    """(G, N, T) entropy (nats) of the distribution each token was drawn from; 0 after the end."""
    lengths: Tensor
    """(G, N) tokens of each response, the end token counted."""
    truncated: Tensor
    """(G, N) True where T tokens passed without an end token."""

    @property
    def mask(self) -> Tensor:
        """(G, N, T) True on the tokens of the responses."""
        steps = torch.arange(self.tokens.shape[-1], device=self.tokens.device)
        return steps < self.lengths[..., None]


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Run matrix products in bfloat16 if asked to; statistics and weights stay float32."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def sample(
    model: Decoder,
    prompts: Tensor,
    group_size: int,
    *,
    max_tokens: int,
    eos: int,
    pad: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    precision: str = "fp32",
) -> Rollouts:
    """Draw ``group_size`` responses to each prompt.

    Parameters
    ----------
    model
        The policy.
    prompts
        (G, P) token ids, all of one length.
    group_size
        N ≥ 1.
    max_tokens
        T: a response is cut after so many tokens.
    eos, pad
        Token that ends a response; token that fills the rest.
    generator
        CPU generator of the random numbers, or of the seed of the GPU's.
    temperature
        Divides the logits; 0 takes the most likely token.
    precision
        ``"fp32"`` or ``"bf16"``.

    Returns
    -------
    Rollouts
        On the prompts' device.
    """
    if prompts.is_cuda:
        from fgrpo.lab.static_sampling import sample_static

        return sample_static(
            model,
            prompts,
            group_size,
            max_tokens=max_tokens,
            eos=eos,
            pad=pad,
            generator=generator,
            temperature=temperature,
            precision=precision,
        )
    count = len(prompts) * group_size
    uniforms = torch.rand(max_tokens, count, generator=generator, dtype=torch.float64)
    options = Options(max_tokens, eos, pad, temperature)

    def sample_part(part: slice) -> Rollouts:
        rows = slice(part.start * group_size, part.stop * group_size)
        return _sample(model, prompts[part], uniforms[:, rows], options, precision)

    drawn = run_shards(sample_part, _parts(model, prompts))
    return Rollouts(*(torch.cat(pieces) for pieces in zip(*drawn, strict=True)))


class Options(NamedTuple):
    """What a rollout is."""

    max_tokens: int
    eos: int
    pad: int
    temperature: float


def _parts(model: Decoder, prompts: Tensor) -> list[slice]:
    """Cut the groups into 1, 2 or 4 parts, each with work enough for a thread of its own.

    Whatever the number of threads: rounding depends on how rows go together.
    """
    operations = 2 * sum(p.numel() for p in model.parameters()) * prompts.numel()
    count = 4 if operations > 4 * PART_OPERATIONS else 2 if operations > 2 * PART_OPERATIONS else 1
    ends = [len(prompts) * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(ends) if a < b]


def _sample(
    model: Decoder, prompts: Tensor, uniforms: Tensor, options: Options, precision: str
) -> Rollouts:
    """Sample some groups in one thread; ``uniforms`` is (max_tokens, groups · group_size)."""
    max_tokens, eos, pad, temperature = options
    groups, prompt_length = prompts.shape
    device, count = prompts.device, uniforms.shape[1]
    group_size = count // groups
    tokens = torch.full((count, max_tokens), pad, device=device)
    logprobs = torch.zeros(count, max_tokens, device=device)
    entropies = torch.zeros(count, max_tokens, device=device)
    lengths = torch.full((count,), max_tokens, device=device)

    with torch.no_grad(), autocast(device, precision):
        logits, prompt_cache = model.prefill(prompts)
        own: list[KeysValues] | None = None
        group = torch.arange(groups, device=device)  # of each row
        active = torch.arange(count, device=device)  # rollouts still going
        row = active // group_size  # of each active rollout
        for t in range(max_tokens):
            log_p, entropy = distribution(logits, temperature)
            drawn = draw(log_p, row, uniforms[t, active])
            tokens[active, t] = drawn
            logprobs[active, t] = log_p[row, drawn]
            entropies[active, t] = entropy[row]

            going = drawn != eos
            lengths[active[~going]] = t + 1
            active, row, drawn = active[going], row[going], drawn[going]
            if len(active) == 0 or t + 1 == max_tokens:
                break
            # A row of the next step is a distinct (row, token) of this one.
            prefixes, row = torch.unique(row * model.vocab_size + drawn, return_inverse=True)
            parent = prefixes // model.vocab_size
            group = group[parent]
            if own is not None:
                own = [KeysValues(k[parent], v[parent]) for k, v in own]
            logits, own = model.decode(
                prefixes % model.vocab_size,
                prompt_length + t,
                prompt_cache,
                own,
                Rows.of(group, groups),
            )

    truncated = torch.zeros(count, dtype=torch.bool, device=device)
    truncated[active] = True

    def grouped(x: Tensor) -> Tensor:
        return x.view(groups, group_size, *x.shape[1:])

    return Rollouts(
        prompts,
        grouped(tokens),
        grouped(logprobs),
        grouped(entropies),
        grouped(lengths),
        grouped(truncated),
    )


def distribution(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Give log-probabilities (R, V) and entropies (R,) of the next token."""
    logits = logits.float()
    if temperature == 0:
        best = logits.argmax(-1, keepdim=True)
        return torch.full_like(logits, -torch.inf).scatter(1, best, 0.0), logits.new_zeros(
            len(logits)
        )
    log_p = (logits / temperature).log_softmax(-1)
    return log_p, -(log_p.exp() * log_p).sum(-1)


def draw(log_p: Tensor, row: Tensor, uniform: Tensor) -> Tensor:
    """Invert each row's cumulative distribution at the rollouts' uniform numbers in [0, 1)."""
    cumulative = log_p.double().exp().cumsum(-1)
    # Scaling by the sum, not 1, keeps rounding from drawing a token of probability 0.
    point = uniform * cumulative[row, -1]
    return (cumulative[row] <= point[:, None]).sum(-1).clamp_(max=log_p.shape[-1] - 1)
