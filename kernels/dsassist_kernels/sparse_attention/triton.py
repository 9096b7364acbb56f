# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""Block-sparse attention on a GPU: one program a block of queries and head, walking its list of key blocks.

Lengths, counts and indices are read from device memory, so a captured CUDA graph replays at any length that fits the
grid it was captured with. The diagonal is the last block of every list and the only one that needs a mask.
"""

from __future__ import annotations

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from dsassist_kernels.sparse_attention.selection import BLOCK, Selection

__all__ = ["attend", "attend_into", "bounds_of"]

_LOG2_E = 1.4426950408889634


@triton.jit
def _step(acc, top, total, q, k, v, keep, scale, MASKED: tl.constexpr):
    # one step of the online softmax (arXiv:2205.14135) in powers of two
    scores = tl.dot(q, k, input_precision="ieee") * scale
    if MASKED:
        scores = tl.where(keep, scores, float("-inf"))
    new = tl.maximum(top, tl.max(scores, 1))
    # a row without a visible key so far has no maximum to subtract
    base = tl.where(new == float("-inf"), 0.0, new)
    p = tl.exp2(scores - base[:, None])
    fade = tl.exp2(top - base)
    acc = acc * fade[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
    return acc, new, total * fade + tl.sum(p, 1)


@triton.jit
def _forward(
    Q,
    K,
    V,
    Out,
    Index,
    Count,
    Bounds,
    stride_qb,
    stride_qh,
    stride_qt,
    stride_kb,
    stride_kh,
    stride_kn,
    stride_vb,
    stride_vh,
    stride_vn,
    stride_ob,
    stride_oh,
    stride_ot,
    max_rows,
    width,
    scale,
    GROUP: tl.constexpr,
    KV: tl.constexpr,
    D: tl.constexpr,
    M: tl.constexpr,
    STEP: tl.constexpr,
):
    # the longest lists belong to the last rows: they start first
    row = max_rows - 1 - tl.program_id(0)
    head, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    past = tl.load(Bounds + batch * 2)
    tokens = tl.load(Bounds + batch * 2 + 1)
    block = past // M + row
    if block * M < tokens:
        kv = head // GROUP
        place = (batch * KV + kv) * max_rows + row
        count = tl.load(Count + place)
        dense = count < 0
        steps = tl.where(dense, block + 1, count)
        rows = block * M + tl.arange(0, M)
        inside = (rows >= past) & (rows < tokens)
        dim, cols = tl.arange(0, D), tl.arange(0, STEP)
        query = Q + batch * stride_qb + head.to(tl.int64) * stride_qh
        q = tl.load(query + (rows - past)[:, None] * stride_qt + dim[None, :], mask=inside[:, None], other=0.0)
        key = K + batch * stride_kb + kv.to(tl.int64) * stride_kh + dim[:, None]
        value = V + batch * stride_vb + kv.to(tl.int64) * stride_vh + dim[None, :]
        acc = tl.zeros([M, D], dtype=tl.float32)
        top = tl.full([M], float("-inf"), dtype=tl.float32)
        total = tl.zeros([M], dtype=tl.float32)
        parts: tl.constexpr = M // STEP
        # one flat loop of unmasked loads, which the compiler can pipeline: before the diagonal all keys are there
        for i in range((steps - 1) * parts):
            number = tl.load(Index + place * width + i // parts, mask=count > 0, other=0)
            number = tl.where(dense, i // parts, number)
            at = number.to(tl.int64) * M + (i % parts) * STEP + cols
            k = tl.load(key + at[None, :] * stride_kn)
            v = tl.load(value + at[:, None] * stride_vn)
            acc, top, total = _step(acc, top, total, q, k, v, cols, scale, MASKED=False)
        for part in range(parts):
            at = block.to(tl.int64) * M + part * STEP + cols
            k = tl.load(key + at[None, :] * stride_kn, mask=at[None, :] < tokens, other=0.0)
            v = tl.load(value + at[:, None] * stride_vn, mask=at[:, None] < tokens, other=0.0)
            keep = at[None, :] <= rows[:, None]
            acc, top, total = _step(acc, top, total, q, k, v, keep, scale, MASKED=True)
        out = Out + batch * stride_ob + head.to(tl.int64) * stride_oh
        spot = out + (rows - past)[:, None] * stride_ot + dim[None, :]
        tl.store(spot, (acc / total[:, None]).to(Out.dtype.element_ty), mask=inside[:, None])


def bounds_of(batch: int, past: int, tokens: int, device: torch.device) -> Tensor:
    """[B, 2] int32: tokens before the first query, and all tokens, of every sequence."""
    return torch.tensor([[past, tokens]], dtype=torch.int32).expand(batch, 2).contiguous().to(device)


def attend(q: Tensor, k: Tensor, v: Tensor, selection: Selection, past: int) -> Tensor:
    """See ``dsassist_kernels.sparse_attention.attend``."""
    out = torch.empty_like(q)
    return attend_into(q, k, v, selection, bounds_of(q.shape[0], past, k.shape[2], q.device), out)


def attend_into(q: Tensor, k: Tensor, v: Tensor, selection: Selection, bounds: Tensor, out: Tensor) -> Tensor:
    """Ragged form, which never waits for the device.

    ``bounds`` [B, 2] int32 on the device says how much of each sequence's ``q`` [B, Hq, T, D] and ``k``, ``v``
    [B, Hkv, N, D] is there; the rest is neither read nor written.
    """
    batch, heads, _, d = q.shape
    kv_heads, rows = k.shape[1], selection.counts.shape[2]
    # the kernel walks the last dimension with stride one
    q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
    strides = [x.stride(i) for x in (q, k, v, out) for i in range(3)]
    with torch.cuda.device(q.device) if q.is_cuda else contextlib.nullcontext():
        _forward[(rows, heads, batch)](
            *(q, k, v, out, selection.indices.contiguous(), selection.counts.contiguous(), bounds),
            *strides,
            *(rows, selection.indices.shape[3], d**-0.5 * _LOG2_E),
            GROUP=heads // kv_heads,
            KV=kv_heads,
            D=d,
            M=BLOCK,
            STEP=64 if q.element_size() == 2 else 32,
            num_warps=4 if d == 64 else 8,
            num_stages=3,
        )
    return out
