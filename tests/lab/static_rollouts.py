"""Random numbers for static sampling, and a view of the layouts it moves rollouts into."""

from __future__ import annotations

import torch

from fgrpo.lab.static_cache import Caches

PAD, EOS = 0, 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_prompts(groups, length, device, vocab=8, seed=0):
    return torch.randint(0, vocab, (groups, length), generator=seeded(seed)).to(device)


def random_uniforms(tokens, rollouts, device, seed=0):
    return torch.rand(tokens, rollouts, generator=seeded(seed), dtype=torch.float64).to(device)


def count_moves(monkeypatch):
    moves = []
    original = Caches.move
    monkeypatch.setattr(
        Caches, "move", lambda self, *a: moves.append((a[0], a[1].layout)) or original(self, *a)
    )
    return moves
