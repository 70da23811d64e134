"""The decoder's step for one token per row, on weights and caches at fixed addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fgrpo.lab.attention import attend
from fgrpo.lab.model import RMS_NORM_EPS

if TYPE_CHECKING:
    from fgrpo.lab.model import Decoder, Layer
    from fgrpo.lab.static_cache import CacheLayout, Caches


class LayerWeights(NamedTuple):
    """Of one layer; matrices that take the same input lie in one. The norms stay float32."""

    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor

    @classmethod
    def parts(cls, layer: Layer) -> list[list[Tensor]]:
        """Give the layer's parameters that each field packs, in the order of the fields."""
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        return [
            [layer.input_layernorm.weight],
            [projection.weight for projection in projections],
            [projection.bias for projection in projections],
            [attention.o_proj.weight],
            [layer.post_attention_layernorm.weight],
            [mlp.gate_proj.weight, mlp.up_proj.weight],
            [mlp.down_proj.weight],
        ]


class StaticDecoder:
    """A copy of a decoder's weights, and its step.

    Matrix products run in ``dtype``; residuals, norms, rotary positions, softmax and logits in
    float32, as `Decoder` has them under autocast.

    Parameters
    ----------
    model
        Gives the sizes and the device.
    dtype
        ``torch.float32`` or ``torch.bfloat16``.
    positions
        Most positions of prompt and response.
    """

    def __init__(self, model: Decoder, dtype: torch.dtype, positions: int) -> None:
        attention = model.layers[0].self_attn
        self.dtype, self.positions = dtype, positions
        self.heads, self.kv_heads = attention.heads, attention.kv_heads
        self.head_size = attention.head_size

        def packed(parts: list[Tensor], name: str) -> Tensor:
            kept = torch.float32 if name.endswith("norm") else dtype
            return torch.cat(parts).to(kept, copy=True)

        self._layers = [
            LayerWeights(*map(packed, LayerWeights.parts(layer), LayerWeights._fields))
            for layer in model.layers
        ]
        self._embedding = model.model.embed_tokens.weight.float().clone()
        self._norm = model.model.norm.weight.float().clone()

        # Queries, keys and values are turned in one go, values by the angle 0.
        rotation = model.rotation(torch.arange(positions, device=self._norm.device)).float()
        cos, sin = (part[:, None] for part in rotation.chunk(2, -1))
        turned = (-1, self.heads + self.kv_heads, -1)
        still = (positions, self.kv_heads, self.head_size)
        self._cos = torch.cat([torch.cat([cos, cos], -1).expand(turned), cos.new_ones(still)], 1)
        self._sin = torch.cat([torch.cat([-sin, sin], -1).expand(turned), sin.new_zeros(still)], 1)

    def refresh(self, model: Decoder) -> None:
        """Copy the model's present parameters to the fixed addresses."""
        for mine, layer in zip(self._layers, model.layers, strict=True):
            for target, parts in zip(mine, LayerWeights.parts(layer), strict=True):
                start = 0
                for part in parts:
                    target[start : start + len(part)].copy_(part)
                    start += len(part)
        self._embedding.copy_(model.model.embed_tokens.weight)
        self._norm.copy_(model.model.norm.weight)

    def step(
        self, tokens: Tensor, place: Tensor, caches: Caches, layout: CacheLayout, length: int
    ) -> Tensor:
        """Next-token logits (rows, vocabulary), float32, of one more token of every row.

        Parameters
        ----------
        tokens
            (rows,) newest tokens.
        place
            (1,) own place of each, on the device: its keys and values are written there.
        caches
            Prompts and own places.
        layout
            Their shape.
        length
            Own places to attend over, of which those after ``place`` are masked.
        """
        x = functional.embedding(tokens, self._embedding)
        cos = self._cos.index_select(0, place + layout.shared)
        sin = self._sin.index_select(0, place + layout.shared)
        ahead = torch.arange(length, device=x.device) > place
        bias = torch.zeros(length, dtype=self.dtype, device=x.device).masked_fill(ahead, -torch.inf)
        for i, weights in enumerate(self._layers):
            h = self._normed(x, weights.norm)
            qkv = functional.linear(h, weights.qkv, weights.qkv_bias)
            qkv = qkv.view(len(x), -1, self.head_size)
            # `model.rotate` with half as many kernels: x · [cos, cos] + swapped x · [−sin, sin].
            swapped = qkv.roll(self.head_size // 2, -1)
            qkv = torch.addcmul(qkv * cos, swapped, sin).to(self.dtype)
            q, kv = qkv[:, : self.heads], qkv[:, self.heads :]

            own = caches.own(i, layout)
            kv = kv.view(len(x), 2, self.kv_heads, 1, self.head_size).permute(1, 2, 0, 3, 4)
            own.index_copy_(3, place, kv)
            attended = self._attend(q, caches.prompts(i, layout), own[:, :, :, :length], bias)
            x = x + functional.linear(attended, weights.out)

            h = self._normed(x, weights.mlp_norm)
            gate, up = functional.linear(h, weights.gate_up).chunk(2, -1)
            x = x + functional.linear(functional.silu(gate) * up, weights.down)
        x = functional.rms_norm(x, self._norm.shape, self._norm, RMS_NORM_EPS)
        return functional.linear(x, self._embedding)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, weight.shape, weight, RMS_NORM_EPS).to(self.dtype)

    def _attend(self, q: Tensor, prompts: Tensor, own: Tensor, bias: Tensor) -> Tensor:
        """(rows, heads · head size) of q (rows, heads, head size) over [prompt | own places].

        The prompt's part is joined as if it were one more place: its log-sum-exp is the score, its
        output the value. That is exact.
        """
        kv, slots, repeats = self.kv_heads, prompts.shape[2], self.heads // self.kv_heads
        grid = (kv, slots, len(q) // slots * repeats)
        q = q.view(len(q), kv, repeats, -1).transpose(0, 1).contiguous()
        keys, values = (part.view(-1, *part.shape[2:]) for part in own)
        scale = self.head_size**-0.5
        scores = torch.baddbmm(bias, q.flatten(0, 1), keys.transpose(1, 2), alpha=scale)
        of_prompt, lse = self._over_prompts(q.view(*grid, -1), prompts)
        shares = torch.cat([scores.view(*grid, -1), lse[..., None]], -1).softmax(-1)
        own_shares = shares[..., :-1].to(self.dtype).reshape(scores.shape)
        of_own = (own_shares @ values).view(*grid, -1)
        out = torch.addcmul(of_own, shares[..., -1:], of_prompt).reshape(q.shape).transpose(0, 1)
        return out.to(self.dtype, memory_format=torch.contiguous_format).reshape(q.shape[1], -1)

    def _over_prompts(self, q: Tensor, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Attend over the slots' prompts: outputs and log-sum-exps.

        ``q`` is (KV heads, slots, queries, head size). A prompt of one token has no places
        here: it is fed as the first step's token.
        """
        if not prompts.shape[3]:
            return torch.zeros_like(q), q.new_full(q.shape[:3], -torch.inf, dtype=torch.float32)
        by_slot = (part.transpose(0, 1) for part in (q, *prompts))
        out, lse, _ = attend(*by_slot, causal=False)
        return out.transpose(0, 1), lse.transpose(0, 1)
