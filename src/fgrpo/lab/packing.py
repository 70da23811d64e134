"""Rollouts as training input: each prompt once, each distinct response once, no padding.

All tokens of a micro-batch lie in one row, the prompts first; only attention pads. Equal responses
of a group (which have equal advantages) are packed once and count as many times as they were
sampled. A response's last token predicts nothing and is left out. Loss and gradient are those of
separate sequences; only the work is shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from fgrpo.lab.attention import Layout

if TYPE_CHECKING:
    from fgrpo.lab.model import Decoder
    from fgrpo.lab.sampling import Rollouts

EVEN = 4  # several micro-batches come in multiples of so many: threads get equal shares


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


class MicroBatch(NamedTuple):
    """Some responses, and sizes the host needs to know."""

    responses: Responses
    groups: int
    inputs: int
    """M: response tokens that predict another."""
    group_width: int
    """Most inputs of a group, at least 1."""
    response_width: int
    """Most inputs of a response, at least 1."""


class Packed(NamedTuple):
    """A micro-batch as model input."""

    prompts: Tensor
    """(G', P), one of each group."""
    tokens: Tensor
    """(M,) response tokens that predict another."""
    steps: Tensor
    """(M,) place of each in its response."""
    layout: Layout
    source: Tensor
    """(U, T) row of the logits (`Decoder.score`) that predict this token; past an end, any."""


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
    group_size = rollouts.tokens.shape[1]
    active = (advantages != 0).any(1).repeat_interleave(group_size).nonzero()[:, 0]
    group = active // group_size
    tokens = rollouts.tokens.flatten(0, 1)[active]
    keyed = torch.cat([group[:, None], _words(tokens)], 1)
    _, which, weight = torch.unique(keyed, dim=0, return_inverse=True, return_counts=True)
    first = torch.empty(len(weight), dtype=torch.long, device=which.device)
    first[which] = torch.arange(len(which), device=which.device)  # any representative will do
    return Responses(
        tokens=tokens[first],
        lengths=rollouts.lengths.flatten()[active][first],
        group=group[first],
        weight=weight,
        advantage=advantages.flatten()[active][first],
        old_logprobs=rollouts.logprobs.flatten(0, 1)[active][first],
    )


def _words(tokens: Tensor) -> Tensor:
    """Four token ids, each below 2¹⁵, to a word: a quarter of the numbers to sort by."""
    short = torch.nn.functional.pad(tokens.to(torch.int16), (0, -tokens.shape[1] % 4))
    return short.contiguous().view(torch.int64)


def split(responses: Responses, prompt_length: int, most_tokens: int) -> list[MicroBatch]:
    """Cut into micro-batches of at most ``most_tokens`` tokens, about equally large.

    Groups of similar size go together, so that attention pads little. A group larger than the
    limit is cut between its responses, and its prompt processed with each part; a single response
    that exceeds it with its prompt goes alone.
    """
    inputs = [length - 1 for length in responses.lengths.tolist()]
    groups = responses.group.tolist()
    pieces: list[list[int]] = []  # responses of one group that go together
    sizes: list[int] = []
    for u, (group, size) in enumerate(zip(groups, inputs, strict=True)):
        fits = u > 0 and group == groups[u - 1] and sizes[-1] + size <= most_tokens
        if fits:
            pieces[-1].append(u)
            sizes[-1] += size
        else:
            pieces.append([u])
            sizes.append(prompt_length + size)
    return [
        _micro_batch(responses, sorted(u for piece in batch for u in pieces[piece]), inputs, groups)
        for batch in _deal(sizes, most_tokens)
    ]


def _deal(sizes: list[int], most: int) -> list[list[int]]:
    """Deal pieces to batches of about equal size, those of similar size together."""
    order, total = sorted(range(len(sizes)), key=sizes.__getitem__), sum(sizes)
    count = 1 if total <= most else -(-total // (most * EVEN)) * EVEN
    while True:
        batches: list[list[int]] = [[] for _ in range(count)]
        done = 0.0
        for piece in order:
            batches[int((done + sizes[piece] / 2) / total * count)].append(piece)
            done += sizes[piece]
        batches = [batch for batch in batches if batch]
        if all(len(batch) == 1 or sum(sizes[p] for p in batch) <= most for batch in batches):
            return batches
        count += EVEN


def _micro_batch(
    responses: Responses, chosen: list[int], inputs: list[int], groups: list[int]
) -> MicroBatch:
    of_group: dict[int, int] = {}
    for u in chosen:
        of_group[groups[u]] = of_group.get(groups[u], 0) + inputs[u]
    index = torch.tensor(chosen, device=responses.group.device)
    return MicroBatch(
        Responses(*(part[index] for part in responses)),
        groups=len(of_group),
        inputs=sum(of_group.values()),
        group_width=max(1, *of_group.values()),
        response_width=max(1, *(inputs[u] for u in chosen)),
    )


def pack(prompts: Tensor, batch: MicroBatch) -> Packed:
    """Lay out a micro-batch as model input.

    Parameters
    ----------
    prompts
        (G, P), of all groups that ``batch.responses.group`` may name.
    batch
        From `split`.
    """
    responses, device = batch.responses, prompts.device
    inputs = responses.lengths - 1
    new_group = torch.ones_like(responses.group)
    new_group[1:] = responses.group[1:] != responses.group[:-1]
    group = torch.cumsum(new_group, 0) - 1  # counted within the micro-batch
    chosen = torch.empty(batch.groups, dtype=torch.long, device=device)
    chosen[group] = responses.group

    first = torch.cumsum(inputs, 0) - inputs  # of each response, among the M
    before = torch.full((batch.groups,), batch.inputs, device=device)
    before.scatter_reduce_(0, group, first, "amin")  # the same of each group
    response = torch.arange(len(inputs), device=device)
    response = response.repeat_interleave(inputs, output_size=batch.inputs)
    place = torch.arange(batch.inputs, device=device)
    steps = place - first[response]
    layout = Layout(
        group_slot=(group * batch.group_width - before[group])[response] + place,
        groups=batch.groups,
        group_width=batch.group_width,
        response_slot=response * batch.response_width + steps,
        responses=len(inputs),
        response_width=batch.response_width,
    )
    # A response's first token is predicted by the prompt's last, the others by the one before.
    ahead = torch.arange(responses.tokens.shape[1], device=device)
    source = batch.groups - 1 + first[:, None] + ahead
    # Past an end every place reads another row: a GPU adds up gradients of equal places in turn.
    filler = torch.arange(source.numel(), device=device).view_as(source)
    filler %= batch.groups + batch.inputs
    source = torch.where(ahead < responses.lengths[:, None], source, filler)
    source[:, 0] = group
    return Packed(prompts[chosen], responses.tokens[response, steps], steps, layout, source)


def response_logprobs(
    model: Decoder, prompts: Tensor, batch: MicroBatch, temperature: float
) -> Tensor:
    """Return the log-probabilities (U, T) of the responses' tokens; past an end, anything."""
    packed = pack(prompts, batch)
    logits = model.score(packed.prompts, packed.tokens, packed.steps, packed.layout)
    log_p = (logits / temperature).log_softmax(-1)
    chosen: Tensor = log_p[packed.source, batch.responses.tokens]
    return chosen
