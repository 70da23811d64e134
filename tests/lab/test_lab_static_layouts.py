"""Layouts of the static cache: narrower ones as rollouts end."""

from __future__ import annotations

import pytest
import torch
from static_rollouts import seeded

from fgrpo.lab.static_cache import CacheLayout, narrower


@pytest.mark.parametrize("seed", range(30))
def test_a_narrower_layout_holds_every_rollout_once_beside_its_prompt(seed):
    generator = seeded(seed)
    groups, size = 40, [1, 3, 8, 32][seed % 4]
    layout = CacheLayout(groups, size, 20, 64)
    rollouts = torch.arange(groups * size)
    slot_group = torch.arange(groups)
    moved = 0
    for length in range(8, 64, 8):
        over = torch.rand(len(rollouts), generator=generator) < 0.25
        rollouts = rollouts.masked_fill(over, -1)
        if (rollouts < 0).all():
            break
        move = narrower(layout, rollouts, size, length, layout.held)
        if move is None:
            continue
        new = move.layout
        assert new.held <= layout.held
        assert new.work(length) <= 0.75 * layout.work(length)
        there = move.rollouts >= 0
        assert sorted(move.rollouts[there].tolist()) == sorted(rollouts[rollouts >= 0].tolist())
        assert torch.equal(rollouts[move.row][there], move.rollouts[there])
        slot_group = slot_group[move.slot]
        of_row = slot_group.repeat_interleave(new.width)
        assert torch.equal(of_row[there], move.rollouts[there] // size)
        assert len(move.slot) == new.slots
        layout, rollouts, moved = new, move.rollouts, moved + 1
    assert moved


def test_a_layout_stays_while_little_would_be_saved():
    layout = CacheLayout(8, 4, 20, 64)
    rollouts = torch.arange(32)
    assert narrower(layout, rollouts, 4, 32, layout.held) is None
    # One of each group is over: rows of width 2 or 1 would need more prompts, and no less rows.
    one_over = rollouts.masked_fill(rollouts % 4 == 0, -1)
    assert narrower(layout, one_over, 4, 32, layout.held) is None
    half_over = rollouts.masked_fill(rollouts % 4 < 2, -1)
    move = narrower(layout, half_over, 4, 32, layout.held)
    assert move is not None
    assert move.layout == layout._replace(width=2)
    assert narrower(layout, half_over, 4, 32, move.layout.held - 1) is None  # it must fit
