"""Keys and values at fixed addresses: slots of rows that share a prompt, narrowed as rows end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fgrpo.lab.model import Decoder, KeysValues

# What a row costs a step besides its keys and values, in places whose reading takes as long:
# activations of about 30 kB a layer against 512 bytes a place (paper's sizes, bfloat16).
ROW_PLACES = 64


class CacheLayout(NamedTuple):
    """Shape of the caches: slots × width rows, row r in slot r // width."""

    slots: int
    """Each with the keys and values of one prompt; a prompt may be in several."""
    width: int
    shared: int
    """Places of a prompt, common to the rows of its slot."""
    places: int
    """Places of a row's own."""

    @property
    def rows(self) -> int:
        """Slots × width."""
        return self.slots * self.width

    @property
    def held(self) -> int:
        """Places in memory; each is 2 · KV heads · head size numbers a layer."""
        return self.slots * (self.shared + self.width * self.places)

    def work(self, length: int) -> int:
        """Cost of a step over the first ``length`` own places, in places read."""
        return self.slots * (self.shared + self.width * (length + ROW_PLACES))


class Move(NamedTuple):
    """How to come to a smaller layout."""

    layout: CacheLayout
    rollouts: Tensor
    """(rows,) rollout in each new row; −1 where none is."""
    row: Tensor
    """(rows,) old row of each new row; 0 where none is."""
    slot: Tensor
    """(slots,) old slot of each new slot's prompt; 0 where none is."""


def narrower(
    layout: CacheLayout, rollouts: Tensor, group_size: int, length: int, capacity: int
) -> Move | None:
    """Find the cheapest layout for the rollouts still going.

    Widths are powers of two, numbers of slots are rounded up to quarters of powers of two, so that
    few different layouts come up.

    Parameters
    ----------
    layout
        The present one.
    rollouts
        (rows,) the rollout going on in each row, on the CPU, ascending; −1 where none is. A
        group's rollouts are numbered one after the other.
    group_size
        Rollouts of a group.
    length
        Own places that the next steps read.
    capacity
        Most places to hold.

    Returns
    -------
    Move or None
        None where no layout takes at most 3/4 of the present work.
    """
    row = (rollouts >= 0).nonzero()[:, 0]
    going = rollouts[row]
    group = going // group_size
    counts = group.bincount()

    def at(width: int) -> CacheLayout:
        slots = int(((counts + width - 1) // width).sum())
        unit = max(1, 1 << slots.bit_length() >> 3)
        return layout._replace(slots=round_up(slots, unit), width=width)

    widths = [layout.width, *(1 << bits for bits in range((layout.width - 1).bit_length()))]
    fitting = [new for new in map(at, widths) if new.held <= capacity]
    best = min(fitting, key=lambda new: new.work(length), default=layout)
    if 4 * best.work(length) > 3 * layout.work(length):
        return None

    rank = torch.arange(len(row)) - (counts.cumsum(0) - counts)[group]
    slots = (counts + best.width - 1) // best.width
    slot = (slots.cumsum(0) - slots)[group] + rank // best.width
    to = slot * best.width + rank % best.width
    of_row = torch.zeros(best.rows, dtype=torch.long).index_copy_(0, to, row)
    of_slot = torch.zeros(best.slots, dtype=torch.long)
    of_slot[slot] = row // layout.width
    filled = torch.full((best.rows,), -1).index_copy_(0, to, going)
    return Move(best, filled, of_row, of_slot)


class Caches:
    """One flat buffer per layer, seen as [prompts of the slots | own places of the rows].

    Parameters
    ----------
    model
        Gives the sizes and the device.
    dtype
        Of keys and values.
    places
        Most that a layout may hold: the buffers take 2 · KV heads · head size · layers numbers for
        each.
    """

    def __init__(self, model: Decoder, dtype: torch.dtype, places: int) -> None:
        attention = model.layers[0].self_attn
        self.capacity = places
        self.kv_heads, self.head_size = attention.kv_heads, attention.head_size
        self._flat = [
            attention.k_proj.weight.new_zeros(
                2 * self.kv_heads * places * self.head_size, dtype=dtype
            )
            for _ in model.layers
        ]

    def prompts(self, layer: int, layout: CacheLayout) -> Tensor:
        """(2, KV heads, slots, shared, head size): keys, values."""
        count = layout.slots * layout.shared
        numbers = self._flat[layer][: 2 * self.kv_heads * count * self.head_size]
        return numbers.view(2, self.kv_heads, layout.slots, layout.shared, self.head_size)

    def own(self, layer: int, layout: CacheLayout) -> Tensor:
        """(2, KV heads, rows, places, head size): keys, values."""
        unit = 2 * self.kv_heads * self.head_size
        start, end = layout.slots * layout.shared * unit, layout.held * unit
        shape = (2, self.kv_heads, layout.rows, layout.places, self.head_size)
        return self._flat[layer][start:end].view(shape)

    def clear_own(self, layout: CacheLayout) -> None:
        """Zero the own places: one not yet reached has weight 0, and 0 · NaN would be NaN."""
        for layer in range(len(self._flat)):
            self.own(layer, layout).zero_()

    def fill(self, layout: CacheLayout, first: int, prompts: list[KeysValues]) -> None:
        """Copy the keys and values (slots, KV heads, shared, head size) of slots from ``first``."""
        for layer, parts in enumerate(prompts):
            for target, part in zip(self.prompts(layer, layout), parts, strict=True):
                target[:, first : first + len(part)].copy_(part.transpose(0, 1))

    def move(self, old: CacheLayout, move: Move, filled: int) -> None:
        """Take the rows' places so far, ``filled`` each, to a new layout in the same buffers."""
        device = self._flat[0].device
        row, slot = move.row.to(device), move.slot.to(device)
        for layer in range(len(self._flat)):  # one by one: that much memory is needed besides
            prompts = self.prompts(layer, old).index_select(2, slot)
            own = self.own(layer, old)[:, :, :, :filled].index_select(2, row)
            self.prompts(layer, move.layout).copy_(prompts)
            self.own(layer, move.layout)[:, :, :, :filled].copy_(own)


def round_up(number: int, unit: int) -> int:
    """Least multiple of ``unit`` that is not below ``number``."""
    return -(-number // unit) * unit
