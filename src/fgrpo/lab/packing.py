"""Rollouts as training sequences: each prompt once, each distinct response once.

A group becomes one sequence [prompt | response 1 | response 2 | …]. The attention mask lets every
response see the prompt and itself; rotary positions restart after the prompt. Equal responses of a
group (which have equal advantages) are packed once and count as many times as they were sampled.
Loss and gradient are those of separate sequences; only the work is shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fgrpo.lab.model import Decoder
    from fgrpo.lab.sampling import Rollouts


class Responses(NamedTuple):
    """The distinct responses (U of them) of some groups."""

    tokens: Tensor
    """(U, T) token ids."""
    lengths: Tensor
    """(U,) tokens of each."""
    group: Tensor
    """(U,) group of each, non-decreasing."""
    weight: Tensor
    """(U,) how many rollouts said this."""
    advantage: Tensor
    """(U,) advantage of each."""
    old_logprobs: Tensor
    """(U, T) log-probabilities under the policy that sampled them."""

    @property
    def mask(self) -> Tensor:
        """(U, T) a token's weight in the loss: its response's, or 0 after the end."""
        steps = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return (steps < self.lengths[:, None]) * self.weight[:, None]

    def select(self, chosen: Tensor) -> Responses:
        """Keep the responses where ``chosen`` (U,) is True."""
        return Responses(*(part[chosen] for part in self))


class Packed(NamedTuple):
    """Some groups as model input: B sequences of S tokens, and where to read the U responses."""

    tokens: Tensor
    """(B, S)"""
    positions: Tensor
    """(B, S) rotary positions."""
    mask: Tensor
    """(B, S, S) True where a token sees another."""
    source: Tensor
    """(U, T) flat index (sequence · S + place) of the token whose logits predict this one."""


def distinct_responses(rollouts: Rollouts, advantages: Tensor) -> Responses:
    """Collect the distinct responses of the groups that carry a gradient.

    Parameters
    ----------
    rollouts
        Of G groups.
    advantages
        (G, N). A group whose advantages are all 0 adds nothing to the gradient and is left out.
        Equal responses of one group must have equal advantages.
    """
    groups, group_size, _ = rollouts.tokens.shape
    active = (advantages != 0).any(1).repeat_interleave(group_size)
    group = torch.arange(groups, device=advantages.device).repeat_interleave(group_size)[active]
    tokens = rollouts.tokens.flatten(0, 1)[active]
    keyed = torch.cat([group[:, None], tokens], 1)
    unique, which, weight = torch.unique(keyed, dim=0, return_inverse=True, return_counts=True)
    first = torch.empty(len(unique), dtype=torch.long, device=which.device)
    first[which] = torch.arange(len(which), device=which.device)  # any representative will do
    return Responses(
        tokens=unique[:, 1:],
        lengths=rollouts.lengths.flatten()[active][first],
        group=unique[:, 0],
        weight=weight,
        advantage=advantages.flatten()[active][first],
        old_logprobs=rollouts.logprobs.flatten(0, 1)[active][first],
    )


def split(responses: Responses, prompt_length: int, most_tokens: int) -> list[Responses]:
    """Cut into micro-batches of whole groups with at most ``most_tokens`` padded tokens each.

    Groups of similar packed length go together, so that little is padding. A single group larger
    than the limit gets a micro-batch of its own.
    """
    groups, index = torch.unique_consecutive(responses.group, return_inverse=True)
    packed = torch.zeros(len(groups), dtype=torch.long, device=index.device)
    packed.index_add_(0, index, responses.lengths)
    packed += prompt_length
    batches: list[list[int]] = []
    for place in torch.argsort(packed, stable=True).tolist():
        # Ascending order: the newest group is the longest of its batch.
        if batches and (len(batches[-1]) + 1) * int(packed[place]) <= most_tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    return [
        responses.select(torch.isin(index, torch.tensor(batch, device=index.device)))
        for batch in batches
    ]


def pack(prompts: Tensor, responses: Responses) -> Packed:
    """Lay out the groups of ``responses`` as model input.

    Parameters
    ----------
    prompts
        (G, P), of all groups that ``responses.group`` may name.
    responses
        Sorted by group.
    """
    device, prompt_length = prompts.device, prompts.shape[1]
    groups, sequence = torch.unique_consecutive(responses.group, return_inverse=True)
    lengths = responses.lengths
    ends = torch.cumsum(lengths, 0)
    counts = torch.bincount(sequence, minlength=len(groups))
    totals = torch.zeros_like(groups).index_add_(0, sequence, lengths)
    before = torch.cumsum(totals, 0) - totals  # response tokens of earlier sequences
    start = prompt_length + ends - lengths - before[sequence]  # place of each first token

    size = prompt_length + int(totals.max())
    tokens = torch.zeros(len(groups), size, dtype=torch.long, device=device)
    positions = torch.zeros_like(tokens)
    # Segment 0 is the prompt, 1 … its responses, −1 the padding.
    segment = torch.full_like(tokens, -1)
    tokens[:, :prompt_length] = prompts[groups]
    positions[:, :prompt_length] = torch.arange(prompt_length, device=device)
    segment[:, :prompt_length] = 0

    steps = torch.arange(responses.tokens.shape[1], device=device)
    inside = steps < lengths[:, None]
    place = (sequence * size + start)[:, None] + steps
    rank = torch.arange(len(lengths), device=device) - (torch.cumsum(counts, 0) - counts)[sequence]
    tokens.view(-1)[place[inside]] = responses.tokens[inside]
    positions.view(-1)[place[inside]] = (prompt_length + steps).expand_as(place)[inside]
    segment.view(-1)[place[inside]] = (rank + 1)[:, None].expand_as(place)[inside]

    order = torch.arange(size, device=device)
    same = segment[:, :, None] == segment[:, None, :]
    prompt_key = (segment == 0)[:, None, :]
    mask = (same | prompt_key) & (order[:, None] >= order)

    # A response's first token is predicted by the prompt's last, the others by the one before.
    source = (place - 1).clamp_(min=0)
    source[:, 0] = sequence * size + prompt_length - 1
    source[~inside] = 0
    return Packed(tokens, positions, mask, source)


def response_logprobs(
    model: Decoder, prompts: Tensor, responses: Responses, temperature: float
) -> Tensor:
    """Return the log-probabilities (U, T) of the responses' tokens; past an end, anything."""
    packed = pack(prompts, responses)
    first = prompts.shape[1] - 1
    logits = model(packed.tokens, packed.positions, packed.mask, logits_from=first)
    log_p = (logits.float() / temperature).log_softmax(-1)
    sequence, place = (
        packed.source // packed.tokens.shape[1],
        packed.source % packed.tokens.shape[1],
    )
    chosen: Tensor = log_p[sequence, (place - first).clamp(min=0), responses.tokens]
    return chosen
