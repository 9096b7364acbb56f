"""Block-sparse attention on a CPU: chosen blocks gathered, PyTorch's fused attention over them.

One item is a block of queries of all heads of a group (7 × 128 rows at 7:1) against the blocks they share, so that a
gathered block is read by many rows. Rows of equal counts make one call, without padding. FlexAttention, compiled with a
C++ compiler, took 1.3× as long for the same blocks (16K tokens, 16 blocks a row, bfloat16 tiles).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from dsassist_kernels.sparse_attention import dense
from dsassist_kernels.sparse_attention.selection import BLOCK, DENSE, Selection

__all__ = ["attend"]

_GATHERED_AT_ONCE = 1 << 20  # elements of keys a call, so that they stay in the cache


def attend(q: Tensor, k: Tensor, v: Tensor, selection: Selection, past: int) -> Tensor:
    """See ``dsassist_kernels.sparse_attention.attend``."""
    batch, heads, t, _ = q.shape
    kv_heads = k.shape[1]
    group, front = heads // kv_heads, past % BLOCK
    out = torch.empty_like(q)
    counts = selection.counts.cpu()
    for b in range(batch):
        for h in range(kv_heads):
            own = slice(h * group, (h + 1) * group)
            query, target, count = q[b, own], out[b, own], counts[b, h]
            index = selection.indices[b, h]
            _whole_rows(query, k[b, h], v[b, h], target, index, count, front)
            # a short last block, or a first block that begins in the middle, is handled by itself
            for i in {0, len(count) - 1}:
                if not _is_whole(i, front, t) and count[i] != DENSE:
                    _one(query, k[b, h], v[b, h], target, index[i, : count[i]], i, past // BLOCK, front)
            for start, stop in _runs(count == DENSE):
                low, high = max(0, start * BLOCK - front), min(t, stop * BLOCK - front)
                keys, values = (x[b : b + 1, h : h + 1, : past + high] for x in (k, v))
                target[:, low:high] = dense.attend(query[None, :, low:high], keys, values, past + low)[0]
    return out


def _whole_rows(query: Tensor, k: Tensor, v: Tensor, target: Tensor, index: Tensor, counts: Tensor, front: int) -> None:
    """All rows of 128 queries of one KV head. Rows with other counts are written too, with anything."""
    group, t, d = query.shape
    skip, base = -front % BLOCK, 1 if front else 0
    rows = max(0, t - skip) // BLOCK
    if not rows:
        return
    place = slice(skip, skip + rows * BLOCK)
    # a row's queries side by side, so that picking rows copies long stretches
    queries = query[:, place].reshape(group, rows, BLOCK, d).transpose(0, 1).contiguous()
    results = torch.empty_like(queries)
    whole = k.shape[0] // BLOCK * BLOCK
    keys, values = (x[:whole].reshape(-1, BLOCK * d) for x in (k, v))
    mask = _diagonal(group, index.shape[1], query.dtype)
    by_count: dict[int, list[int]] = {}
    for i, count in enumerate(counts[base : base + rows].tolist()):
        if count != DENSE:
            by_count.setdefault(count, []).append(i)
    for count, items in by_count.items():
        step = max(1, _GATHERED_AT_ONCE // (count * BLOCK * d))
        for at in range(0, len(items), step):
            part = torch.tensor(items[at : at + step])
            chosen = index[part + base, :count].long().flatten()
            got, _ = dense.fused(
                queries[part].view(len(part), 1, group * BLOCK, d),
                keys.index_select(0, chosen).view(len(part), 1, count * BLOCK, d),
                values.index_select(0, chosen).view(len(part), 1, count * BLOCK, d),
                mask=mask[:, -count * BLOCK :],
            )
            results[part] = got.reshape(len(part), group, BLOCK, d)
    target[:, place] = results.transpose(0, 1).reshape(group, rows * BLOCK, d)


def _one(query: Tensor, k: Tensor, v: Tensor, target: Tensor, index: Tensor, row: int, first: int, front: int) -> None:
    """A row whose block of queries is not whole; keys end with the last query's own."""
    low, high = max(0, row * BLOCK - front), min(query.shape[1], (row + 1) * BLOCK - front)
    position = first * BLOCK + front + torch.arange(low, high)
    key = (index.long()[:, None] * BLOCK + torch.arange(BLOCK)).flatten()
    key = key[key <= position[-1]]
    hidden = torch.zeros(len(position), len(key), dtype=query.dtype)
    hidden.masked_fill_(key[None] > position[:, None], -torch.inf)
    group, _, d = query.shape
    rows = query[:, low:high].reshape(1, 1, -1, d)
    got, _ = dense.fused(rows, k[None, None, key], v[None, None, key], mask=hidden.repeat(group, 1))
    target[:, low:high] = got.reshape(group, -1, d)


@functools.lru_cache(maxsize=4)
def _diagonal(group: int, count: int, dtype: torch.dtype) -> Tensor:
    """[group × 128, count × 128]: nothing hidden but the future in the last block, which is the diagonal."""
    mask = torch.zeros(group * BLOCK, count * BLOCK, dtype=dtype)
    hidden = torch.full((BLOCK, BLOCK), -torch.inf, dtype=dtype).triu(1)
    mask[:, -BLOCK:] = hidden.repeat(group, 1)
    return mask


def _is_whole(row: int, front: int, t: int) -> bool:
    return row * BLOCK - front >= 0 and (row + 1) * BLOCK - front <= t


def _runs(flags: Tensor) -> list[tuple[int, int]]:
    """Stretches of true values: [start, stop)."""
    edges = torch.diff(flags.int(), prepend=torch.zeros(1, dtype=torch.int32), append=torch.zeros(1, dtype=torch.int32))
    starts = (edges == 1).nonzero().flatten().tolist()
    return list(zip(starts, (edges == -1).nonzero().flatten().tolist(), strict=True))
