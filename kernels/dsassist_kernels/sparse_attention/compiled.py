"""Attention of many queries in our own compiled kernel: for processors with AVX512-BF16 and without matrix tiles.

Keys and values of a layer are packed once, straight from the cache's pages; then blocks are chosen and attended, or
everything is. Products are of bfloat16, sums and the softmax of float32. Nothing is gathered: a group of 16 tokens is
the finest that can be left out, and every query head may have blocks of its own.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.sparse_attention.selection import BLOCK, DENSE, Selection, Sparsity

__all__ = ["Packed", "attend", "pack", "pack_pages", "select", "supports"]

GROUP = 16
"""Tokens a group of the packed form."""

LARGEST_HEAD = 256

_SOURCE = Path(__file__).with_name("cpu.c")


def _library() -> ctypes.CDLL | None:
    return native.compiled(_SOURCE)


def supports(q: Tensor) -> bool:
    """Whether this kernel exists on the machine and has the type and head size of ``q`` [..., D]."""
    d = q.shape[-1]
    if q.device.type != "cpu" or q.dtype != torch.float32 or d % 32 or d > LARGEST_HEAD:
        return False
    lib = _library()
    return lib is not None and bool(lib.available())


@dataclass(frozen=True, slots=True)
class Packed:
    """One layer's keys and values of one sequence in pairs of bfloat16."""

    keys: Tensor
    """[Hkv, groups, D × 8] int32, the mean key subtracted: softmax does not see it, and less is rounded away."""
    values: Tensor
    """[Hkv, groups, D × 8] int32."""
    mean: Tensor
    """[Hkv, D] float32, the mean key."""
    tokens: int


def pack_pages(
    keys: Tensor, values: Tensor, table: Tensor, tokens: int, scales: tuple[Tensor, Tensor] | None = None
) -> Packed:
    """The first ``tokens`` tokens of the pages in ``table`` [N] int32: ``keys`` [P, Hkv, D, 64] and ``values``
    [P, Hkv, 64, D], float32, or int8 with ``scales``, two of [P, Hkv, 64]."""
    _, kv_heads, d, _ = keys.shape
    table = table.to(torch.int32).contiguous()
    return _pack(keys, values, table, scales, (0, d, 0, d), kv_heads, d, tokens)


def pack(k: Tensor, v: Tensor) -> Packed:
    """``k`` and ``v`` [Hkv, N, D] float32 with rows of stride one."""
    kv_heads, tokens, d = k.shape
    k, v = (x if x.stride(2) == 1 else x.contiguous() for x in (k, v))
    return _pack(k, v, None, None, (k.stride(0), k.stride(1), v.stride(0), v.stride(1)), kv_heads, d, tokens)


def _pack(
    keys: Tensor,
    values: Tensor,
    table: Tensor | None,
    scales: tuple[Tensor, Tensor] | None,
    strides: tuple[int, int, int, int],
    kv_heads: int,
    d: int,
    tokens: int,
) -> Packed:
    lib = _required()
    groups = -(-tokens // GROUP)
    packed_keys, packed_values = (torch.empty(kv_heads, groups, d * 8, dtype=torch.int32) for _ in "kv")
    mean = torch.empty(kv_heads, d)
    key_scale, value_scale = scales or (None, None)
    tensors = map(native.pointer, (keys, values, key_scale, value_scale, table))
    sizes = map(ctypes.c_int64, (*strides, kv_heads, d, tokens))
    outputs = map(native.pointer, (packed_keys, packed_values, mean))
    lib.pack(*tensors, ctypes.c_int(scales is not None), *sizes, *outputs)
    return Packed(packed_keys, packed_values, mean, tokens)


def select(q: Tensor, packed: Packed, past: int, sparsity: Sparsity) -> Selection:
    """Blocks for ``q`` [T, Hq, D] at positions ``past`` … of ``packed``; as ``selection.select``, but for every query
    head alone and in blocks of ``sparsity.fine`` keys."""
    lib = _required()
    t, heads, d = q.shape
    kv_heads, tokens, block = packed.keys.shape[0], packed.tokens, sparsity.fine
    q = _rows(q)
    rows = -(-tokens // BLOCK) - past // BLOCK
    cap = sparsity.cap(tokens) * BLOCK // block
    width = cap + 2  # what must be read may be a block or two more where rows begin inside of one
    indices = torch.empty(heads, rows, width, dtype=torch.int32)
    counts = torch.empty(heads, rows, dtype=torch.int32)
    captured = torch.empty(heads, rows)
    tensors = map(native.pointer, (q, packed.keys, indices, counts, captured))
    forced = (block, sparsity.fine_stride, sparsity.sink * block, sparsity.window * BLOCK)
    limits = (cap, sparsity.candidates * sparsity.cap(tokens))
    sizes = map(ctypes.c_int64, (q.stride(0), q.stride(1), t, heads, kv_heads, d, past, heads, width, *forced, *limits))
    shown = (sparsity.mass, sparsity.fine_need, sparsity.fine_mass, sparsity.before)
    shares = map(ctypes.c_float, (*shown, d**-0.5))
    if lib.select_blocks(*tensors, *sizes, *shares):
        raise MemoryError(f"no memory to choose blocks of {tokens} tokens")
    low = captured.mean(1, keepdim=True) < sparsity.floor
    last = torch.arange(rows) >= rows - sparsity.dense_tail
    return Selection(indices[None], counts.masked_fill(low | last, DENSE)[None], block)


def attend(
    q: Tensor, packed: Packed, past: int, selection: Selection | None = None, lse: Tensor | None = None
) -> Tensor:
    """``q`` [T, Hq, D] over the chosen blocks of ``packed``, or over everything → [T, Hq, D]; ``lse`` [T, Hq] float32
    receives the logarithm of the sum of exponentials of the scores."""
    lib = _required()
    t, heads, d = q.shape
    q = _rows(q)
    out = torch.empty(t, heads, d)
    indices, counts, lists, width, block = None, None, heads, 0, BLOCK
    if selection is not None:
        indices, counts = selection.indices[0].contiguous(), selection.counts[0].contiguous()
        lists, width, block = indices.shape[0], indices.shape[2], selection.block
    tensors = map(native.pointer, (q, packed.keys, packed.values, indices, counts, out, lse))
    strides = (q.stride(0), q.stride(1), out.stride(0), out.stride(1))
    shape = (t, heads, packed.keys.shape[0], d, past, lists, width, block)
    if lib.attend_blocks(*tensors, *map(ctypes.c_int64, (*strides, *shape)), ctypes.c_float(d**-0.5)):
        raise MemoryError(f"no memory for the sums of {t} queries")
    if lse is not None:  # the kernel's scores lack what the mean key adds
        group = heads // packed.keys.shape[0]
        lse += torch.einsum("tkgd,kd->tkg", q.reshape(t, -1, group, d), packed.mean).reshape(t, heads) * d**-0.5
    return out


def _rows(q: Tensor) -> Tensor:
    return q if q.stride(2) == 1 else q.contiguous()


def _required() -> ctypes.CDLL:
    lib = _library()
    if lib is None:
        raise OSError("the compiled attention kernel is not at hand: ask supports() first")
    return lib
