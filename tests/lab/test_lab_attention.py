"""Shared-prompt attention against plain attention of whole sequences."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fgrpo.lab import attention
from fgrpo.lab.attention import Layout, shared_prompt_attention

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
GROUP = [0, 0, 1, 1, 1, 2]  # of each response
LENGTHS = [3, 5, 1, 4, 2, 0]  # a response may have none
PROMPT, HEADS, KV_HEADS = 7, 4, 2


def layout_of(device):
    """The layout of the responses above, token by token."""
    group_slot, response_slot, used = [], [], [0, 0, 0]
    group_width = max(8, 7, 0)
    for u, (group, length) in enumerate(zip(GROUP, LENGTHS, strict=True)):
        for step in range(length):
            group_slot.append(group * group_width + used[group])
            response_slot.append(u * 5 + step)
            used[group] += 1
    return Layout(
        torch.tensor(group_slot, device=device), 3, group_width,
        torch.tensor(response_slot, device=device), 6, 5,
    )  # fmt: skip


def plainly(q, k, v, prompt_k, prompt_v):
    """Each token's softmax over its group's prompt and its own response so far, one by one."""
    rows, at = [], 0
    for group, length in zip(GROUP, LENGTHS, strict=True):
        for step in range(length):
            own = slice(at - step, at + 1)
            heads = []
            for head in range(HEADS):
                kv = head * KV_HEADS // HEADS
                keys = torch.cat([prompt_k[group, kv], k[own, kv]])
                values = torch.cat([prompt_v[group, kv], v[own, kv]])
                weights = (keys @ q[at, head] / q.shape[-1] ** 0.5).softmax(0)
                heads.append(weights @ values)
            rows.append(torch.stack(heads))
            at += 1
    return torch.stack(rows)


def inputs(device, dtype, size=8):
    generator = torch.Generator().manual_seed(0)
    total = sum(LENGTHS)
    shapes = [
        (total, HEADS, size), (total, KV_HEADS, size), (total, KV_HEADS, size),
        (3, KV_HEADS, PROMPT, size), (3, KV_HEADS, PROMPT, size),
    ]  # fmt: skip
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) * 1.5 for shape in shapes]
    return [x.to(device, dtype).requires_grad_() for x in drawn]


@pytest.mark.parametrize("size", [4, 8, 64])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-10), (torch.float32, 2e-5), (torch.bfloat16, 0.06)],
    ids=["fp64", "fp32", "bf16"],
)
@pytest.mark.parametrize(
    ("device", "kernel"), [("cpu", None), ("cpu", "plain"), pytest.param("cuda", None, marks=CUDA)]
)
def test_output_and_gradients_are_those_of_plain_attention(
    device, kernel, dtype, tolerance, size, monkeypatch
):
    if kernel:
        monkeypatch.setattr(attention, "_kernel", lambda q: kernel)
    given = inputs(device, dtype, size)
    out = shared_prompt_attention(*given, layout_of(device))
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(device)
    gradients = torch.autograd.grad((out.double() * weights).sum(), given)

    exact = [x.detach().double().requires_grad_() for x in given]
    expected = plainly(*exact)
    expected_gradients = torch.autograd.grad((expected * weights).sum(), exact)
    assert out.dtype == dtype
    pairs = [(out, expected), *zip(gradients, expected_gradients, strict=True)]
    for ours, theirs in pairs:
        scale = float(theirs.detach().abs().max())
        assert scale > 0.5
        torch.testing.assert_close(ours.double(), theirs, atol=tolerance * scale, rtol=0)


def test_a_prompt_far_more_likely_than_the_past_and_the_reverse():
    """Parts whose log-sum-exp differ by hundreds join without overflow."""
    for factor in (30.0, -30.0):
        q, k, v, prompt_k, prompt_v = (x.detach() for x in inputs("cpu", torch.float64))
        k = factor * q[:, ::2]
        out = shared_prompt_attention(q, k, v, prompt_k, prompt_v, layout_of("cpu"))
        assert torch.isfinite(out).all()
        expected = plainly(q, k, v, prompt_k, prompt_v)
        torch.testing.assert_close(out, expected, atol=1e-10, rtol=0)


def test_no_response_token_at_all():
    empty = torch.zeros(0, dtype=torch.long)
    layout = Layout(empty, 3, 1, empty, 6, 1)
    q, k, v, prompt_k, prompt_v = inputs("cpu", torch.float32)
    out = shared_prompt_attention(q[:0], k[:0], v[:0], prompt_k, prompt_v, layout)
    assert out.shape == (0, HEADS, 8)
    gradients = torch.autograd.grad(out.sum(), [prompt_k, prompt_v])
    assert all(float(gradient.abs().max()) == 0 for gradient in gradients)


def test_one_group_of_one_response_is_causal_attention():
    generator = torch.Generator().manual_seed(2)
    q, k, v = torch.randn(3, 1, 4, 12, 8, generator=generator, dtype=torch.float64)
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=True)[0, :, 7:]
    own = torch.arange(5)
    out = shared_prompt_attention(
        *(x[0, :, 7:].transpose(0, 1) for x in (q, k, v)), k[:, :, :7], v[:, :, :7],
        Layout(own, 1, 5, own, 1, 5),
    )  # fmt: skip
    torch.testing.assert_close(out.transpose(0, 1), expected, atol=1e-12, rtol=0)
