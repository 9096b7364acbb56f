"""One query a sequence on a CPU: the chosen pages gathered in pieces, each piece's result merged by its log-sum-exp."""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_kernels.paged_attention.reference import PAGE
from dsassist_kernels.paged_decode.selection import Pages

__all__ = ["decode", "merge"]

_PIECE = 64  # pages


def decode(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    lengths: Tensor,
    pages: Pages,
    scales: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """See ``dsassist_kernels.paged_decode``."""
    batch, _, d = q.shape
    kv_heads = keys.shape[1]
    head = torch.arange(kv_heads)[:, None]
    out = torch.empty_like(q)
    for b in range(batch):
        query = q[b].float().view(kv_heads, -1, d) * d**-0.5
        places = pages.places[b, :, : int(pages.counts[b])].expand(kv_heads, -1).long()
        parts, tops, totals = [], [], []
        for at in range(0, places.shape[1], _PIECE):
            piece = places[:, at : at + _PIECE]
            page = table[b].long()[piece]
            k, v = keys[page, head].float(), values[page, head].float()  # [Hkv, K, D, 64], [Hkv, K, 64, D]
            scores = torch.matmul(query[:, None], k)  # [Hkv, K, G, 64]
            if scales is not None:
                scores = scores * scales[0][page, head][:, :, None]
                v = v * scales[1][page, head].unsqueeze(-1)
            late = piece[:, :, None] * PAGE + torch.arange(PAGE) >= lengths[b]
            scores = scores.masked_fill(late[:, :, None], -torch.inf).transpose(1, 2).flatten(2)
            # places behind the end hold no numbers: a weight of zero would not hide a NaN
            v = v.masked_fill(late.unsqueeze(-1), 0.0).flatten(1, 2)
            top = scores.amax(-1, keepdim=True)
            weights = (scores - top).exp()
            parts.append(weights @ v)
            tops.append(top)
            totals.append(weights.sum(-1, keepdim=True))
        out[b] = merge(torch.stack(parts), torch.stack(tops), torch.stack(totals)).flatten(0, 1).to(q.dtype)
    return out


def merge(parts: Tensor, tops: Tensor, totals: Tensor) -> Tensor:
    """Exact softmax over all pieces: unnormalised ``parts`` [S, …, D], their maxima and sums [S, …, 1] → […, D]."""
    share = (tops - tops.amax(0)).exp()
    return (parts * share).sum(0) / (totals * share).sum(0)
