"""Rotary embedding and attention of few queries on a CPU, compiled; many queries go to PyTorch's fused attention."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.paged_attention import reference, sdpa

__all__ = ["FEW_QUERIES", "attend", "rotate_and_store"]

FEW_QUERIES = 32
"""Up to here each query is computed alone, which makes a draft's verification bitwise equal to decoding token by
token."""

LARGEST_HEAD = 256
"""The compiled kernel keeps a head's sums on the stack."""

_SOURCE = Path(__file__).with_name("cpu.c")


def _library() -> ctypes.CDLL | None:
    return native.compiled(_SOURCE)


def rotate_and_store(
    qkv: Tensor, cos: Tensor, sin: Tensor, slots: Tensor, keys: Tensor, values: Tensor, heads: int
) -> Tensor:
    """See ``dsassist_kernels.paged_attention.rotate_and_store``."""
    lib = _library()
    if lib is None or keys.dtype != torch.float32:
        return reference.rotate_and_store(qkv, cos, sin, slots, keys, values, heads)
    _, kv_heads, d, _ = keys.shape
    t = qkv.shape[0]
    q = torch.empty(t, heads, d)
    sizes = (ctypes.c_int64(value) for value in (t, heads, kv_heads, d))
    lib.rotate_and_store(*map(native.pointer, (qkv, cos, sin, slots, q, keys, values)), *sizes)
    return q


def attend(q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int) -> Tensor:
    """See ``dsassist_kernels.paged_attention.attend``."""
    lib = _library()
    t, heads, d = q.shape
    if t > FEW_QUERIES:
        return sdpa.attend(q, keys, values, table, past)
    if lib is None or keys.dtype != torch.float32 or d > LARGEST_HEAD:
        # one at a time, so that the result of a query does not depend on how many are asked
        rows = [sdpa.attend(q[i : i + 1], keys, values, table, past + i) for i in range(t)]
        return torch.cat(rows)
    q = q.contiguous()
    out = torch.empty_like(q)
    sizes = (ctypes.c_int64(value) for value in (t, heads, keys.shape[1], d, past))
    tensors = map(native.pointer, (q, keys, values, table, out))
    if lib.attend_few(*tensors, *sizes, ctypes.c_float(d**-0.5)):
        raise MemoryError(f"no memory for the scores of {past + t} tokens")
    return out
