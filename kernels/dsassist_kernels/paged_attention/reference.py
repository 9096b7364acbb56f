"""The definition of attention over a paged cache, and of the cache's layout.

A page holds 64 tokens of one layer: keys ``[kv heads, head size, 64]`` after the rotary embedding, values ``[kv
heads, 64, head size]``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import quantize

__all__ = ["PAGE", "Scales", "attend", "gather", "rotate", "rotate_and_store"]

Scales = tuple[Tensor, Tensor]
"""Of int8 keys and of int8 values, [P, kv heads, 64] float32 each."""

PAGE = 64
"""Tokens a page."""

_QUERIES = 256


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of halves. ``x`` [T, H, D]; ``cos`` and ``sin`` [T, D / 2] (RoFormer, arXiv:2104.09864)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def rotate_and_store(
    qkv: Tensor,
    cos: Tensor,
    sin: Tensor,
    slots: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    scales: Scales | None = None,
    bounds: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.rotate_and_store``."""
    kv_heads, d = values.shape[1], values.shape[3]
    q, k, v = qkv.view(qkv.shape[0], -1, d).tensor_split((heads, heads + kv_heads), dim=1)
    page, place = slots // PAGE, slots % PAGE
    k = rotate(k, cos, sin)
    if scales is None:
        keys[page, :, :, place] = k.to(keys.dtype)
        values[page, :, place] = v.to(values.dtype)
    else:
        k = k if offset is None else k - offset
        keys[page, :, :, place], scales[0][page, :, place] = quantize(k, dim=-1)
        values[page, :, place], scales[1][page, :, place] = quantize(v, dim=-1)
    if bounds is not None:
        full = page[place == PAGE - 1]
        stored = keys[full].float() if scales is None else keys[full].float() * scales[0][full].unsqueeze(2)
        bounds[full] = torch.stack((stored.amin(-1), stored.amax(-1)), dim=2).to(bounds.dtype)
    return rotate(q, cos, sin)


def gather(
    keys: Tensor, values: Tensor, table: Tensor, tokens: int, scales: Scales | None = None
) -> tuple[Tensor, Tensor]:
    """The first ``tokens`` of the pages in ``table`` as [kv heads, tokens, D] keys and values; float32 from int8."""
    _, kv_heads, d, _ = keys.shape
    table = table.long()
    k, v = keys[table], values[table]
    if scales is not None:
        k, v = k * scales[0][table].unsqueeze(2), v * scales[1][table].unsqueeze(3)
    k = k.permute(1, 0, 3, 2).reshape(kv_heads, -1, d)
    v = v.permute(1, 0, 2, 3).reshape(kv_heads, -1, d)
    return k[:, :tokens], v[:, :tokens]


def attend(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    past: int,
    scales: Scales | None = None,
    lse: Tensor | None = None,
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.attend``; softmax in float32 or the inputs' wider type."""
    t, heads, d = q.shape
    k, v = gather(keys, values, table, past + t, scales)
    k = k.repeat_interleave(heads // k.shape[0], dim=0).to(q.dtype)
    v = v.repeat_interleave(heads // v.shape[0], dim=0).to(q.dtype)
    out = torch.empty_like(q)
    for at in range(0, t, _QUERIES):  # or the scores of a long prompt would fill the memory
        rows = slice(at, min(at + _QUERIES, t))
        scores = q[rows].transpose(0, 1) @ k.transpose(1, 2) * d**-0.5
        place = torch.arange(past + at, past + rows.stop, device=q.device)
        scores = scores.masked_fill(torch.arange(past + t, device=q.device) > place[:, None], -torch.inf)
        out[rows] = (scores.softmax(dim=-1) @ v).transpose(0, 1)
        if lse is not None:
            lse[rows] = scores.logsumexp(-1).T.to(lse.dtype)
    return out
