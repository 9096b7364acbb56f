"""The definition of block-sparse attention, and dense attention over a cached past."""

from __future__ import annotations

import torch
from torch import Tensor

from dsassist_kernels.sparse_attention.selection import BLOCK, DENSE, Selection

__all__ = ["attend", "visible"]


def visible(selection: Selection, past: int, tokens: int) -> Tensor:
    """[B, lists, T, past + T]: which key each query sees, as a mask."""
    batch, kv_heads, rows, width = selection.indices.shape
    first, device = past // BLOCK, selection.indices.device
    blocks = -(-tokens // selection.block)
    used = torch.arange(width, device=device) < selection.counts.unsqueeze(-1)
    # unused places point behind the last block, into a column that is cut off
    spot = torch.where(used, selection.indices, blocks).long()
    read = torch.zeros(batch, kv_heads, rows, blocks + 1, dtype=torch.bool, device=device)
    read = read.scatter_(-1, spot, torch.ones_like(spot, dtype=torch.bool))[..., :blocks]
    read = read | (selection.counts.unsqueeze(-1) == DENSE)
    position = torch.arange(past, tokens, device=device)
    per_query = read[:, :, position // BLOCK - first]
    per_key = per_query[..., torch.arange(tokens, device=device) // selection.block]
    return per_key & (torch.arange(tokens, device=device) <= position[:, None])


def attend(q: Tensor, k: Tensor, v: Tensor, selection: Selection, past: int) -> Tensor:
    """See ``dsassist_kernels.sparse_attention.attend``; everything in the inputs' type, float64 in tests."""
    group = q.shape[1] // k.shape[1]
    mask = visible(selection, past, k.shape[2])
    mask = mask.repeat_interleave(q.shape[1] // mask.shape[1], dim=1)
    keys, values = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = q @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5
    out: Tensor = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1) @ values
    return out
