"""Attention of responses over [prompt of their group | own earlier tokens], prompts uncopied.

The two parts are computed by flash kernels, each with its own log-sum-exp, and joined exactly.
Backward needs no join: a flash kernel's gradient is right for its part of the keys once it is given
the output and the log-sum-exp of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from collections.abc import Callable

aten = torch.ops.aten


class Layout(NamedTuple):
    """Where M response tokens, in the order of groups and responses, lie in padded grids."""

    group_slot: Tensor
    """(M,) place in a grid of groups × ``group_width``."""
    groups: int
    group_width: int
    """Most response tokens of a group."""
    response_slot: Tensor
    """(M,) place in a grid of responses × ``response_width``."""
    responses: int
    response_width: int
    """Most tokens of a response."""


def shared_prompt_attention(
    q: Tensor, k: Tensor, v: Tensor, prompt_k: Tensor, prompt_v: Tensor, layout: Layout
) -> Tensor:
    """Attend from response tokens to the prompt of their group and to their own past.

    Parameters
    ----------
    q
        (M, heads, head size), with rotary positions, as are all keys.
    k, v
        (M, KV heads, head size).
    prompt_k, prompt_v
        (groups, KV heads, P, head size).
    layout
        Which group and response each of the M tokens belongs to.

    Returns
    -------
    Tensor
        (M, heads, head size).
    """
    apply: Callable[..., Tensor] = _SharedPromptAttention.apply
    return apply(q, k, v, prompt_k, prompt_v, layout)


class _SharedPromptAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        q, k, v, prompt_k, prompt_v, layout = inputs
        ctx.layout, ctx.kv_heads = layout, k.shape[1]
        over_prompt = (_by_group(q, layout, k.shape[1]), prompt_k, prompt_v)
        over_own = _by_response(q, k, v, layout)
        out_p, lse_p, ctx.kernel_p = attend(*over_prompt, causal=False)
        out_o, lse_o, ctx.kernel_o = attend(*over_own, causal=True)
        # Both parts back in the order of the tokens: (M, heads, head size) and (M, heads).
        out_p, lse_p = _from_groups(out_p, layout), _from_groups(lse_p[..., None], layout)[..., 0]
        out_o, lse_o = _from_responses(out_o, layout), _from_responses(lse_o, layout)
        lse = torch.logaddexp(lse_p, lse_o)
        out = out_p * (lse_p - lse).exp()[..., None] + out_o * (lse_o - lse).exp()[..., None]
        out = out.to(q.dtype)
        ctx.save_for_backward(*over_prompt, *over_own, out, lse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q_p, prompt_k, prompt_v, q_o, k, v, out, lse = ctx.saved_tensors
        layout, kv_heads, grad = ctx.layout, ctx.kv_heads, grads[0]

        # Padding gets log-sum-exp 0 and gradient 0, so it adds nothing.
        def grouped(x: Tensor) -> Tensor:
            return _by_group(x, layout, kv_heads)

        def alone(x: Tensor) -> Tensor:
            return _spread(x, layout.response_slot, layout.responses, layout.response_width)

        dq_p, dk_p, dv_p = _attend_backward(
            grouped(grad),
            q_p,
            prompt_k,
            prompt_v,
            grouped(out),
            grouped(lse[..., None])[..., 0],
            ctx.kernel_p,
            causal=False,
        )
        dq_o, dk_o, dv_o = _attend_backward(
            alone(grad),
            q_o,
            k,
            v,
            alone(out),
            alone(lse[..., None])[..., 0],
            ctx.kernel_o,
            causal=True,
        )
        dq = _from_groups(dq_p, layout) + _from_responses(dq_o, layout)
        shape = (len(out), kv_heads, out.shape[1] // kv_heads, out.shape[2])
        dk, dv = (_from_responses(part, layout).view(shape).sum(2) for part in (dk_o, dv_o))
        return dq, dk, dv, dk_p, dv_p, None


def _spread(x: Tensor, slot: Tensor, rows: int, width: int) -> Tensor:
    """(M, heads, D) → (rows, heads, width, D), zero where no token lies."""
    grid = x.new_zeros(rows * width, *x.shape[1:])
    return grid.index_copy_(0, slot, x).view(rows, width, *x.shape[1:]).transpose(1, 2)


def _by_group(x: Tensor, layout: Layout, kv_heads: int) -> Tensor:
    """(M, heads, D) → (groups, KV heads, heads per KV head · width, D)."""
    spread = _spread(x, layout.group_slot, layout.groups, layout.group_width)
    return spread.reshape(layout.groups, kv_heads, -1, x.shape[-1])


def _from_groups(x: Tensor, layout: Layout) -> Tensor:
    """Undo `_by_group`: (groups, KV heads, heads per KV head · width, D) → (M, heads, D)."""
    heads_first = x.reshape(layout.groups, -1, layout.group_width, x.shape[-1])
    return heads_first.transpose(1, 2).flatten(0, 1)[layout.group_slot]


def _by_response(q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
    """Lay out queries, keys and values, each (responses, heads, width, D)."""
    repeats = q.shape[1] // k.shape[1]
    place = (layout.response_slot, layout.responses, layout.response_width)
    return (
        _spread(q, *place),
        _spread(k, *place).repeat_interleave(repeats, 1),
        _spread(v, *place).repeat_interleave(repeats, 1),
    )


def _from_responses(x: Tensor, layout: Layout) -> Tensor:
    """(responses, heads, width, …) → (M, heads, …)."""
    return x.transpose(1, 2).flatten(0, 1)[layout.response_slot]


# --- one softmax over some keys -----------------------------------------------------------------


def _kernel(q: Tensor) -> Literal["cuda flash", "cpu flash", "plain"]:
    if not q.is_cuda:
        return "cpu flash"
    half = q.dtype in (torch.bfloat16, torch.float16)
    fits = q.shape[-1] % 8 == 0 and q.shape[-1] <= 256
    if half and fits and torch.cuda.get_device_capability(q.device) >= (8, 0):
        return "cuda flash"
    return "plain"


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool
) -> tuple[Tensor, Tensor, tuple[Any, ...]]:
    """Attention (B, heads, S, D), its log-sum-exp (B, heads, S), and what the kernel wants back."""
    kind = _kernel(q)
    if kind == "cuda flash":
        out, lse, *kernel = aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal)
        return out, lse, tuple(kernel[:6])
    if kind == "plain":
        scores = _scores(q, k, causal)
        return scores.softmax(-1).to(v.dtype) @ v, scores.logsumexp(-1), ()
    out, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal)
    return out, lse, ()


def _attend_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    lse: Tensor,
    kernel: tuple[Any, ...],
    *,
    causal: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values, given the output and log-sum-exp over all keys."""
    gradients: tuple[Tensor, Tensor, Tensor]
    kind = _kernel(q)
    if kind == "cuda flash":
        *lengths, seed, offset = kernel
        gradients = aten._scaled_dot_product_flash_attention_backward(
            grad, q, k, v, out, lse.contiguous(), *lengths, 0.0, causal, seed, offset
        )
    elif kind == "plain":
        probabilities = (_scores(q, k, causal) - lse[..., None]).exp().to(q.dtype)
        along = grad @ v.transpose(-1, -2) - (grad * out).sum(-1, keepdim=True)
        d_scores = probabilities * along * q.shape[-1] ** -0.5
        gradients = (
            d_scores @ k,
            d_scores.transpose(-1, -2) @ q,
            probabilities.transpose(-1, -2) @ grad,
        )
    else:
        gradients = aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, lse, 0.0, causal
        )
    return gradients


def _scores(q: Tensor, k: Tensor, causal: bool) -> Tensor:
    precise = torch.promote_types(q.dtype, torch.float32)
    scores: Tensor = (q @ k.transpose(-1, -2)).to(precise) * q.shape[-1] ** -0.5
    if causal:
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores.masked_fill_(ahead, -torch.inf)
    return scores
