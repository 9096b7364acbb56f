"""The definition of attention over a paged cache, and of the cache's layout.

A page holds 64 tokens of one layer: keys ``[kv heads, head size, 64]`` after the rotary embedding, values ``[kv
heads, 64, head size]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PAGE", "attend", "gather", "rotate", "rotate_and_store"]

PAGE = 64
"""Tokens a page."""


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of halves. ``x`` [T, H, D]; ``cos`` and ``sin`` [T, D / 2] (RoFormer, arXiv:2104.09864)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rotate_and_store(
    qkv: Tensor, cos: Tensor, sin: Tensor, slots: Tensor, keys: Tensor, values: Tensor, heads: int
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.rotate_and_store``."""
    kv_heads, d = values.shape[1], values.shape[3]
    q, k, v = qkv.view(qkv.shape[0], -1, d).tensor_split((heads, heads + kv_heads), dim=1)
    page, place = slots // PAGE, slots % PAGE
    keys[page, :, :, place] = rotate(k, cos, sin).to(keys.dtype)
    values[page, :, place] = v.to(values.dtype)
    return rotate(q, cos, sin)


def gather(keys: Tensor, values: Tensor, table: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """The first ``tokens`` of the pages in ``table`` as [kv heads, tokens, D] keys and values."""
    _, kv_heads, d, _ = keys.shape
    k = keys[table].permute(1, 0, 3, 2).reshape(kv_heads, -1, d)
    v = values[table].permute(1, 0, 2, 3).reshape(kv_heads, -1, d)
    return k[:, :tokens], v[:, :tokens]


def attend(q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int) -> Tensor:
    """See ``dsassist_kernels.paged_attention.attend``; softmax in float32 or the inputs' wider type."""
    t, heads, d = q.shape
    k, v = gather(keys, values, table, past + t)
    k = k.repeat_interleave(heads // k.shape[0], dim=0).to(q.dtype)
    v = v.repeat_interleave(heads // v.shape[0], dim=0).to(q.dtype)
    scores = q.transpose(0, 1) @ k.transpose(1, 2) * d**-0.5
    visible = torch.arange(past + t, device=q.device) <= torch.arange(past, past + t, device=q.device)[:, None]
    weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=-1)
    out: Tensor = (weights @ v).transpose(0, 1)
    return out
