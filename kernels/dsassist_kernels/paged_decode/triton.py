# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""One query a sequence on a GPU, split over the chosen pages so that a single long sequence fills the device.

Each program walks a share of the pages of one KV head for all of its query heads; the shares are merged exactly by
their maxima and sums. Lengths, tables and counts are read from device memory.
"""

from __future__ import annotations

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from dsassist_kernels.paged_attention.reference import PAGE
from dsassist_kernels.paged_decode.cpu import merge
from dsassist_kernels.paged_decode.selection import Pages

__all__ = ["decode"]

_SPLIT = 8  # pages a program


@triton.jit
def _decode(
    Q,
    K,
    V,
    KScale,
    VScale,
    Table,
    Lengths,
    Places,
    Counts,
    Part,
    Top,
    Total,
    width,
    chosen,
    place_heads,
    splits,
    scale,
    GROUP: tl.constexpr,
    KV: tl.constexpr,
    D: tl.constexpr,
    SIZE: tl.constexpr,
    SHARE: tl.constexpr,
    ROWS: tl.constexpr,
    INT8: tl.constexpr,
):
    split, kv, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    length = tl.load(Lengths + batch)
    count = tl.load(Counts + batch)
    row, dim, token = tl.arange(0, ROWS), tl.arange(0, D), tl.arange(0, SIZE)
    own = row < GROUP
    q = tl.load(Q + ((batch * KV + kv) * GROUP + row)[:, None] * D + dim[None, :], mask=own[:, None], other=0.0)
    acc = tl.zeros([ROWS, D], dtype=tl.float32)
    top = tl.full([ROWS], float("-inf"), dtype=tl.float32)
    total = tl.zeros([ROWS], dtype=tl.float32)
    begin = split * SHARE
    for i in range(begin, tl.minimum(begin + SHARE, count)):
        place = tl.load(Places + (batch * place_heads + tl.minimum(kv, place_heads - 1)) * chosen + i)
        page = tl.load(Table + batch * width + place).to(tl.int64) * KV + kv
        seen = place * SIZE + token < length
        k = tl.load(K + page * (D * SIZE) + dim[:, None] * SIZE + token[None, :], mask=seen[None, :], other=0)
        v = tl.load(V + page * (D * SIZE) + token[:, None] * D + dim[None, :], mask=seen[:, None], other=0)
        scores = tl.dot(q, k.to(q.dtype), input_precision="ieee") * scale
        if INT8:
            scores *= tl.load(KScale + page * SIZE + token, mask=seen, other=0.0)[None, :]
        scores = tl.where(seen[None, :], scores, float("-inf"))
        new = tl.maximum(top, tl.max(scores, 1))
        p = tl.exp(scores - new[:, None])
        fade = tl.exp(top - new)
        total = total * fade + tl.sum(p, 1)
        if INT8:
            p *= tl.load(VScale + page * SIZE + token, mask=seen, other=0.0)[None, :]
        acc = acc * fade[:, None] + tl.dot(p.to(q.dtype), v.to(q.dtype), input_precision="ieee")
        top = new
    spot = ((split * tl.num_programs(2) + batch) * KV + kv) * GROUP + row
    tl.store(Part + spot[:, None] * D + dim[None, :], acc, mask=own[:, None])
    tl.store(Top + spot, top, mask=own)
    tl.store(Total + spot, total, mask=own)


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
    batch, heads, d = q.shape
    kv_heads, chosen = keys.shape[1], pages.places.shape[2]
    splits = -(-chosen // _SPLIT)
    part = torch.empty(splits, batch, heads, d, device=q.device, dtype=torch.float32)
    top, total = (torch.empty(splits, batch, heads, 1, device=q.device, dtype=torch.float32) for _ in range(2))
    key_scale, value_scale = scales if scales is not None else (lengths, lengths)
    with torch.cuda.device(q.device) if q.is_cuda else contextlib.nullcontext():
        _decode[(splits, kv_heads, batch)](
            *(q.contiguous(), keys, values, key_scale, value_scale, table.contiguous(), lengths),
            *(pages.places.contiguous(), pages.counts, part, top, total),
            *(table.shape[1], chosen, pages.places.shape[1], splits, d**-0.5),
            GROUP=heads // kv_heads,
            KV=kv_heads,
            D=d,
            SIZE=PAGE,
            SHARE=_SPLIT,
            ROWS=max(16, triton.next_power_of_2(heads // kv_heads)),
            INT8=scales is not None,
            num_warps=4,
        )
    return merge(part, top, total).to(q.dtype)
