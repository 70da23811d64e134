"""The policy: a Qwen2-style decoder in plain PyTorch, with Hugging Face parameter names.

Four ways through the same layers:

- `Decoder.forward`: whole sequences (supervised training);
- `Decoder.score`: groups of responses, each group's prompt once (reinforcement learning);
- `Decoder.prefill`: prompts once per group, keeping their keys and values (sampling);
- `Decoder.decode`: one more token for any number of rows, each attending to the prompt of its
  group, which is not copied, and to its own tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fgrpo.lab.attention import Layout, shared_prompt_attention

if TYPE_CHECKING:
    from fgrpo.lab.settings import ModelSettings

RMS_NORM_EPS = 1e-6
ROPE_THETA = 1e6
INIT_STD = 0.02


class KeysValues(NamedTuple):
    """Keys and values of one layer, each (rows, KV heads, tokens, head size)."""

    keys: Tensor
    values: Tensor


class Rows(NamedTuple):
    """Where decoded rows lie: rows are sorted by group and padded to the largest group.

    ``slot[r] = group(r) · width + (rank of r in its group)``.
    """

    slot: Tensor
    groups: int
    width: int

    @classmethod
    def of(cls, group: Tensor, groups: int) -> Rows:
        """Lay out rows whose group numbers (non-decreasing) are given."""
        counts = torch.bincount(group, minlength=groups)
        first = torch.cumsum(counts, 0) - counts
        rank = torch.arange(len(group), device=group.device) - first[group]
        width = int(counts.max())
        return cls(group * width + rank, groups, width)


class Attention(nn.Module):
    """Grouped-query attention with rotary positions and biased query, key and value."""

    def __init__(self, config: ModelSettings) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_size = config.hidden_size // self.heads
        kv_size = self.kv_heads * self.head_size
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, kv_size)
        self.v_proj = nn.Linear(config.hidden_size, kv_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def queries(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, S, hidden) → (B, heads, S, head size)."""
        q = self.q_proj(x).view(*x.shape[:2], self.heads, self.head_size).transpose(1, 2)
        return rotate(q, rotation)

    def keys_values(self, x: Tensor, rotation: Tensor) -> KeysValues:
        """(B, S, hidden) → keys and values (B, KV heads, S, head size)."""
        shape = (*x.shape[:2], self.kv_heads, self.head_size)
        k = self.k_proj(x).view(shape).transpose(1, 2)
        v = self.v_proj(x).view(shape).transpose(1, 2)
        return KeysValues(rotate(k, rotation), v)

    def attend(self, q: Tensor, kv: KeysValues) -> Tensor:
        """Causal attention of the last S_q ≥ 1 tokens of whole sequences: (B, S_q, hidden)."""
        projected: Tensor = self.o_proj(self._causal(q, kv))
        return projected

    def attend_groups(self, q: Tensor, kv: KeysValues, groups: int, layout: Layout) -> Tensor:
        """Attention of (1, heads, tokens, head size): all groups' prompts, then all responses.

        Of each prompt there may be the last tokens' queries alone.
        """
        own = len(layout.group_slot)
        flat = [(x[0, :, : x.shape[2] - own], x[0, :, x.shape[2] - own :]) for x in (q, *kv)]

        def by_prompt(x: Tensor) -> Tensor:
            return x.reshape(len(x), groups, -1, x.shape[-1]).transpose(0, 1)

        prompt_q, prompt_k, prompt_v = (by_prompt(prompt) for prompt, _ in flat)
        own_q, own_k, own_v = (x.transpose(0, 1) for _, x in flat)
        of_prompts = self._causal(prompt_q, KeysValues(prompt_k, prompt_v))
        of_responses = shared_prompt_attention(own_q, own_k, own_v, prompt_k, prompt_v, layout)
        attended = torch.cat([of_prompts.flatten(0, 1), of_responses.flatten(1)])
        projected: Tensor = self.o_proj(attended)
        return projected

    def _causal(self, q: Tensor, kv: KeysValues) -> Tensor:
        repeats = self.heads // self.kv_heads
        k = kv.keys.repeat_interleave(repeats, 1)
        v = kv.values.repeat_interleave(repeats, 1)
        asked, length = q.shape[2], k.shape[2]
        mask = None
        if 1 < asked < length:  # the kernels' own causal mask is for squares
            mask = torch.ones(asked, length, dtype=torch.bool, device=q.device)
            mask = mask.tril(length - asked)
        out = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=asked == length
        )
        merged: Tensor = out.transpose(1, 2).flatten(2)
        return merged

    def attend_prompt_and_own(
        self, q: Tensor, prompt: KeysValues, own: KeysValues, rows: Rows
    ) -> Tensor:
        """One query per row over [prompt of its group | own tokens], without copying prompts.

        The two parts are softmaxed apart and joined by their log-sum-exp, which is exact.
        """
        n, kv, repeats = q.shape[0], self.kv_heads, self.heads // self.kv_heads
        q = q.reshape(n, kv, repeats, self.head_size) * self.head_size**-0.5

        padded = q.new_zeros(rows.groups * rows.width, kv, repeats, self.head_size)
        padded[rows.slot] = q
        padded = padded.view(rows.groups, rows.width, kv, repeats, self.head_size)
        padded = padded.transpose(1, 2).flatten(2, 3)  # (groups, kv, width·repeats, head size)
        scores = (padded @ prompt.keys.transpose(-1, -2)).float()
        prompt_out = scores.softmax(-1).to(q.dtype) @ prompt.values
        prompt_lse = scores.logsumexp(-1)

        def unpad(x: Tensor) -> Tensor:
            split = x.reshape(rows.groups, kv, rows.width, repeats, *x.shape[3:])
            return split.transpose(1, 2).flatten(0, 1)[rows.slot]

        scores = (q @ own.keys.transpose(-1, -2)).float()
        own_out = scores.softmax(-1).to(q.dtype) @ own.values
        share = torch.sigmoid(unpad(prompt_lse) - scores.logsumexp(-1)).to(q.dtype)[..., None]
        out = share * unpad(prompt_out) + (1 - share) * own_out
        projected: Tensor = self.o_proj(out.reshape(n, 1, -1))
        return projected


class Mlp(nn.Module):
    """SwiGLU feed-forward."""

    def __init__(self, config: ModelSettings) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(…, hidden) → (…, hidden)."""
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """Attention and feed-forward, each normalised before and added after."""

    def __init__(self, config: ModelSettings) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, RMS_NORM_EPS)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, RMS_NORM_EPS)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add the attention's output and the feed-forward's."""
        x = x + attended
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Backbone(nn.Module):
    """Embedding, layers and final norm: what Hugging Face calls ``model``."""

    def __init__(self, config: ModelSettings, vocab_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, RMS_NORM_EPS)


class Decoder(nn.Module):
    """The language model; ``state_dict`` has the names of ``Qwen2ForCausalLM``, tied embeddings.

    Parameters
    ----------
    config
        Sizes.
    vocab_size
        Number of token ids.
    """

    def __init__(self, config: ModelSettings, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.model = Backbone(config, vocab_size)

    @property
    def layers(self) -> list[Layer]:
        """The decoder layers, typed."""
        return list(self.model.layers)  # type: ignore[arg-type]  # ModuleList forgets the type

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all matrices from N(0, 0.02²); biases 0, norms 1."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, INIT_STD, generator=generator)
                else:
                    parameter.fill_(0.0 if name.endswith("bias") else 1.0)

    def forward(self, tokens: Tensor, logits_from: int = 0) -> Tensor:
        """Next-token logits of whole sequences.

        Parameters
        ----------
        tokens
            (B, S) token ids.
        logits_from
            First position whose logits are wanted; earlier positions skip the work of the last
            layer that only their own logits would need.

        Returns
        -------
        Tensor
            (B, S − logits_from, vocabulary) logits, at least float32.
        """
        x = self.model.embed_tokens(tokens)
        rotation = self.rotation(torch.arange(tokens.shape[1], device=x.device))
        for layer in self.layers:
            attention, h = layer.self_attn, layer.input_layernorm(x)
            kv = attention.keys_values(h, rotation)
            if logits_from and layer is self.layers[-1]:
                x, h, rotation = (part[..., logits_from:, :] for part in (x, h, rotation))
            x = layer.finish(x, attention.attend(attention.queries(h, rotation), kv))
        return self.logits(x)

    def score(self, prompts: Tensor, tokens: Tensor, steps: Tensor, layout: Layout) -> Tensor:
        """Next-token logits of responses, each group's prompt processed once.

        Parameters
        ----------
        prompts
            (G, P) token ids, one prompt for each group of ``layout``.
        tokens
            (M,) response tokens, in the order of groups and responses.
        steps
            (M,) place of each in its response, from 0.
        layout
            Group and response of each.

        Returns
        -------
        Tensor
            (G + M, vocabulary) logits: after each whole prompt, then after each response token.
        """
        groups, length = prompts.shape
        own = torch.arange(groups * length, groups * length + len(tokens), device=tokens.device)
        places = torch.arange(length, device=tokens.device).repeat(groups)
        x = self.model.embed_tokens(torch.cat([prompts.flatten(), tokens]))
        rotation = self.rotation(torch.cat([places, length + steps]))
        for layer in self.layers:
            attention, h = layer.self_attn, layer.input_layernorm(x)
            kv = attention.keys_values(h[None], rotation)
            if layer is self.layers[-1]:  # of a prompt only its last token goes on
                ends = torch.arange(length - 1, groups * length, length, device=tokens.device)
                kept = torch.cat([ends, own])
                x, h, rotation = x[kept], h[kept], rotation[kept]
            q = attention.queries(h[None], rotation)
            x = layer.finish(x, attention.attend_groups(q, kv, groups, layout))
        return self.logits(x)

    def prefill(self, prompts: Tensor) -> tuple[Tensor, list[KeysValues]]:
        """Process prompts (G, P): logits (G, vocabulary) for the first response token, caches."""
        x = self.model.embed_tokens(prompts)
        rotation = self.rotation(torch.arange(prompts.shape[1], device=x.device))
        caches = []
        for layer in self.layers:
            attention, h = layer.self_attn, layer.input_layernorm(x)
            kv = attention.keys_values(h, rotation)
            caches.append(kv)
            if layer is self.layers[-1]:  # only the last token goes on
                x, h, rotation = (part[..., -1:, :] for part in (x, h, rotation))
            x = layer.finish(x, attention.attend(attention.queries(h, rotation), kv))
        return self.logits(x[:, -1]), caches

    def decode(
        self,
        tokens: Tensor,
        position: int,
        prompt: list[KeysValues],
        own: list[KeysValues] | None,
        rows: Rows,
    ) -> tuple[Tensor, list[KeysValues]]:
        """One more token of every row.

        Parameters
        ----------
        tokens
            (R,) the rows' newest tokens.
        position
            Their position: prompt length + tokens before in the response.
        prompt
            Caches of `prefill`, per layer.
        own
            Per layer, keys and values of the rows' earlier response tokens; None at the first.
        rows
            Which group each row belongs to.

        Returns
        -------
        tuple
            Logits (R, vocabulary) and the caches with the new tokens.
        """
        x = self.model.embed_tokens(tokens)[:, None]
        rotation = self.rotation(torch.tensor([position], device=x.device))
        caches = []
        for i, layer in enumerate(self.layers):
            attention, h = layer.self_attn, layer.input_layernorm(x)
            kv = attention.keys_values(h, rotation)
            if own is not None:
                kv = KeysValues(
                    torch.cat([own[i].keys, kv.keys], 2), torch.cat([own[i].values, kv.values], 2)
                )
            caches.append(kv)
            q = attention.queries(h, rotation)
            x = layer.finish(x, attention.attend_prompt_and_own(q, prompt[i], kv, rows))
        return self.logits(x[:, 0]), caches

    def logits(self, x: Tensor) -> Tensor:
        """Apply the final norm and output matrix, in the weights' precision even in autocast."""
        with torch.autocast(x.device.type, enabled=False):
            weight = self.model.embed_tokens.weight
            return functional.linear(self.model.norm(x.to(weight.dtype)), weight)

    def rotation(self, positions: Tensor) -> Tensor:
        """Cosines and sines, (S, head size): first half cosine, second half sine."""
        half = self.config.hidden_size // self.config.num_attention_heads // 2
        exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / half
        angles = positions[..., None].float() * ROPE_THETA**-exponents
        return torch.cat([angles.cos(), angles.sin()], -1).to(self.model.embed_tokens.weight.dtype)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotary position embedding: turn the pairs (i, i + half) of x by their angles."""
    cos, sin = rotation.chunk(2, -1)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)
