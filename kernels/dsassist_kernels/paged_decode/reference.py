"""The definition: one softmax over the tokens of the chosen pages."""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_kernels.kv_int8 import dequantize_pages
from dsassist_kernels.paged_attention.reference import PAGE
from dsassist_kernels.paged_decode.selection import Pages

__all__ = ["decode"]


def decode(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    lengths: Tensor,
    pages: Pages,
    scales: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """See ``dsassist_kernels.paged_decode``; in the type of ``q``."""
    batch, heads, d = q.shape
    kv_heads = keys.shape[1]
    out = torch.empty_like(q)
    for b in range(batch):
        for h in range(kv_heads):
            count = int(pages.counts[b])
            place = pages.places[b, h if pages.places.shape[1] > 1 else 0, :count].long()
            page = table[b, place].long()
            k, v = keys[page, h], values[page, h]
            if scales is None:
                k, v = k.to(q.dtype), v.to(q.dtype)
            else:
                k = dequantize_pages(k, scales[0][page, h], token_dim=-1, dtype=q.dtype)
                v = dequantize_pages(v, scales[1][page, h], token_dim=-2, dtype=q.dtype)
            token = (place[:, None] * PAGE + torch.arange(PAGE, device=q.device)).flatten()
            seen = token < lengths[b]
            group = slice(h * heads // kv_heads, (h + 1) * heads // kv_heads)
            scores = (q[b, group] @ k.transpose(0, 1).reshape(d, -1)[:, seen]) * d**-0.5
            out[b, group] = scores.softmax(-1) @ v.reshape(-1, d)[seen]
    return out
