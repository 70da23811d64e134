"""Sampling on a GPU: fixed addresses, a captured step per token, one look from the host a segment.

What `fgrpo.lab.sampling.sample` does, one row per rollout. A step is a function of tensors on the
device alone, so on CUDA it is captured once per shape and replayed without Python. After every
segment the host counts the rollouts still going: none, and sampling ends; few enough, and the rows
are gathered into a smaller layout.

The last token of the prompt is fed as the first step's, so that every step is the same; keys and
values of the tokens before it are held once per group, or a few times after rows were gathered.

Memory, for R = `MOST_ROWS` rows: caches of 2 · KV heads · head size · layers · (R · T + G · P)
numbers, which stay for the next call. With 4 layers, 2 KV heads of 64 and T = 180 in bfloat16 that
is 6.2 GB; gathering takes another 3/4 of one layer's share for a moment. Activations of a step take
about 30 kB a row: 0.5 GB.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from fgrpo.lab.graphs import Graphs
from fgrpo.lab.sampling import Options, Rollouts, autocast, distribution, draw
from fgrpo.lab.static_cache import CacheLayout, Caches, Move, narrower, round_up
from fgrpo.lab.static_decoder import StaticDecoder

if TYPE_CHECKING:
    from fgrpo.lab.model import Decoder

MOST_ROWS = 16_384
PREFILL_TOKENS = 65_536
SEGMENT = 16
# Own places are attended in multiples of this, so that few shapes are captured.
BUCKET = 32


@torch.no_grad()
def sample_static(
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
    """Draw ``group_size`` responses to each prompt; see `fgrpo.lab.sampling.sample`.

    The random numbers come from the device's own generator, seeded by ``generator``: they differ
    from those of `sample`, and between devices.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    uniforms = torch.rand(
        max_tokens,
        len(prompts) * group_size,
        generator=torch.Generator(prompts.device).manual_seed(seed),
        device=prompts.device,
        dtype=torch.float64,
    )
    options = Options(max_tokens, eos, pad, temperature)
    return sample_with(model, prompts, uniforms, options, precision)


@torch.no_grad()
def sample_with(
    model: Decoder,
    prompts: Tensor,
    uniforms: Tensor,
    options: Options,
    precision: str = "fp32",
    segment: int = SEGMENT,
) -> Rollouts:
    """Draw responses with given random numbers in [0, 1): (T, groups · N), on the device."""
    groups, prompt_length = prompts.shape
    group_size = uniforms.shape[1] // groups
    chunks = -(-groups // max(1, MOST_ROWS // group_size))
    most = -(-groups // chunks)  # groups of a chunk, about as many in each
    rows = most * group_size
    layout = _layout(most, prompt_length, group_size, options)
    room = Room(
        layout.held, rows, options.max_tokens * (rows + 1), prompt_length + options.max_tokens
    )
    on_device = torch.cuda.device(prompts.device) if prompts.is_cuda else nullcontext()
    with on_device, torch.autocast(prompts.device.type, enabled=False):
        sampler = _sampler(model, prompts.device, precision, room)
        sampler.decoder.refresh(model)
        drawn = [
            sampler.sample(model, some, numbers, options, segment)
            for some, numbers in zip(
                torch.split(prompts, most), torch.split(uniforms, rows, 1), strict=True
            )
        ]
    tokens, logprobs, entropies = (
        torch.cat(parts).view(groups, group_size, -1) for parts in zip(*drawn, strict=True)
    )
    ends = tokens == options.eos
    ended = ends.any(-1)
    lengths = torch.where(ended, ends.int().argmax(-1) + 1, options.max_tokens)
    return Rollouts(prompts, tokens, logprobs, entropies, lengths, ~ended)


class Room(NamedTuple):
    """How large the buffers of a sampler are."""

    places: int
    """Of the caches."""
    rows: int
    outputs: int
    """(tokens + 1) · rows of what is drawn."""
    positions: int
    """Of prompt and response."""


class StaticSampler:
    """One model's buffers and captured steps in one precision, kept between calls."""

    def __init__(self, model: Decoder, precision: str, room: Room) -> None:
        device = model.model.embed_tokens.weight.device
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.room, self._precision = room, precision
        self.decoder = StaticDecoder(model, dtype, room.positions)
        self._caches = Caches(model, dtype, room.places)
        self._graphs = Graphs(device.type == "cuda")
        self._time = torch.zeros(1, dtype=torch.long, device=device)
        # Of each row: its newest token, its rollout, whether that has ended.
        self._newest, self._rollouts = torch.zeros(2, room.rows, dtype=torch.long, device=device)
        self._ended = torch.zeros(room.rows, dtype=torch.bool, device=device)
        # Of each time and rollout; a last column is for rows without one.
        self._uniforms = torch.zeros(room.outputs, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(room.outputs, dtype=torch.long, device=device)
        self._logprobs, self._entropies = torch.zeros(2, room.outputs, device=device)

    def sample(
        self,
        model: Decoder,
        prompts: Tensor,
        uniforms: Tensor,
        options: Options,
        segment: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, log-probabilities and entropies, (rollouts, T), of as many as fit at once."""
        count, group_size = uniforms.shape[1], uniforms.shape[1] // len(prompts)
        groups, prompt_length = prompts.shape
        layout = first = _layout(groups, prompt_length, group_size, options)
        self._start(model, prompts, uniforms, layout, options)
        rollouts = torch.arange(count)  # of each row
        done = 0
        while True:
            steps = min(segment, options.max_tokens - done)
            length = min(layout.places, round_up(done + steps, BUCKET))
            self._graphs.run(
                (layout, length, count, options),
                partial(self._step, layout, length, count, options),
                (self._time, self._newest, self._ended),
                steps,
            )
            done += steps
            if done == options.max_tokens:
                break
            rollouts = rollouts.masked_fill(self._ended[: layout.rows].cpu(), -1)
            if (rollouts < 0).all():
                break
            length = min(layout.places, round_up(done + segment, BUCKET))
            move = narrower(layout, rollouts, group_size, length, first.held)
            if move is not None:
                self._caches.move(layout, move, done)
                self._gather(move, count)
                layout, rollouts = move.layout, move.rollouts
        shape = (options.max_tokens, count + 1)
        used = options.max_tokens * (count + 1)
        tokens, logprobs, entropies = (
            drawn[:used].view(shape)[:, :count].t().contiguous()
            for drawn in (self._tokens, self._logprobs, self._entropies)
        )
        return tokens, logprobs, entropies

    def _start(
        self,
        model: Decoder,
        prompts: Tensor,
        uniforms: Tensor,
        layout: CacheLayout,
        options: Options,
    ) -> None:
        """Process the prompts but for their last tokens; all rows begin."""
        self._caches.clear_own(layout)
        if layout.shared:
            most = max(1, PREFILL_TOKENS // layout.shared)
            for i, some in enumerate(torch.split(prompts[:, :-1], most)):
                with autocast(prompts.device, self._precision):
                    _, caches = model.prefill(some)
                self._caches.fill(layout, i * most, caches)
        self._time.zero_()
        self._newest[: layout.rows].view(-1, layout.width).copy_(prompts[:, -1:])
        self._rollouts[: layout.rows].copy_(torch.arange(layout.rows))
        self._ended.zero_()
        used = options.max_tokens * (layout.rows + 1)
        numbers = self._uniforms[:used].view(options.max_tokens, -1)
        numbers[:, : layout.rows].copy_(uniforms)
        self._tokens[:used].fill_(options.pad)
        self._logprobs[:used].zero_()
        self._entropies[:used].zero_()

    def _step(self, layout: CacheLayout, length: int, count: int, options: Options) -> None:
        """One more token of every row. Nothing here may wait for the device: it is captured."""
        rows = layout.rows
        newest, ended = self._newest[:rows], self._ended[:rows]
        logits = self.decoder.step(newest, self._time, self._caches, layout, length)
        log_p, entropy = distribution(logits, options.temperature)
        at = self._time * (count + 1) + self._rollouts[:rows]
        row = torch.arange(rows, device=logits.device)
        drawn = draw(log_p, row, self._uniforms.index_select(0, at))
        drawn = drawn.masked_fill(ended, options.pad)
        logprob = log_p.gather(1, drawn[:, None])[:, 0].masked_fill(ended, 0.0)
        self._tokens.index_copy_(0, at, drawn)
        self._logprobs.index_copy_(0, at, logprob)
        self._entropies.index_copy_(0, at, entropy.masked_fill(ended, 0.0))
        newest.copy_(drawn)
        ended.logical_or_(drawn == options.eos)
        self._time.add_(1)

    def _gather(self, move: Move, count: int) -> None:
        """Bring the rows' states to a new layout."""
        rows = move.layout.rows
        newest = self._newest.index_select(0, move.row.to(self._newest.device))
        self._newest[:rows].copy_(newest)
        idle = move.rollouts < 0
        self._rollouts[:rows].copy_(move.rollouts.masked_fill(idle, count))
        self._ended[:rows].zero_()


_SAMPLERS: WeakKeyDictionary[Decoder, dict[tuple[torch.device, str], StaticSampler]] = (
    WeakKeyDictionary()
)


def _sampler(model: Decoder, device: torch.device, precision: str, room: Room) -> StaticSampler:
    """Give the model's sampler, made anew if it is too small."""
    kept = _SAMPLERS.setdefault(model, {})
    old = kept.pop((device, precision), None)
    if old is not None:
        larger = Room(*map(max, old.room, room))
        if larger == old.room:
            return kept.setdefault((device, precision), old)
        room, old = larger, None  # freed first: there may be no memory for both
    return kept.setdefault((device, precision), StaticSampler(model, precision, room))


def _layout(groups: int, prompt_length: int, group_size: int, options: Options) -> CacheLayout:
    """One slot per group; the own places a multiple of 8 numbers, as tensor cores want."""
    return CacheLayout(groups, group_size, prompt_length - 1, round_up(options.max_tokens, 8))
