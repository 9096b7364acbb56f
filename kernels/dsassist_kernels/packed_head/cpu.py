"""The split head on a CPU: compiled code or nothing."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.packed_linear import ROWS, TILE, Format, tile_bytes
from dsassist_kernels.packed_linear.cpu import activation_bytes

__all__ = ["head_scores", "split"]

_SOURCE = Path(__file__).with_name("cpu.c")


def split(packed: Tensor) -> tuple[Tensor, ...] | None:
    """See ``dsassist_kernels.packed_head.SplitHead``; None where it cannot be split."""
    lib = native.compiled(_SOURCE)
    if lib is None or packed.shape[2] != tile_bytes(Format(8)):
        return None
    blocks, tiles = packed.shape[:2]
    parts = [torch.empty(blocks, tiles, tile_bytes(Format(4)), dtype=torch.uint8) for _ in range(2)]
    norms = [torch.empty(blocks * ROWS) for _ in range(2)]
    sizes = map(ctypes.c_int64, (blocks * ROWS, tiles * TILE))
    failed = lib.split_head(*map(native.pointer, (packed, *parts, *norms)), *sizes)
    return None if failed else (*parts, *norms)


def head_scores(x: Tensor, parts: tuple[Tensor, ...], everything: bool) -> Tensor:
    """See ``dsassist_kernels.packed_head.SplitHead``; float32 in and out."""
    lib = native.compiled(_SOURCE)
    assert lib is not None
    x = x.contiguous()
    blocks = parts[0].shape[0]
    m, n, k = x.shape[0], blocks * ROWS, x.shape[1]
    y = torch.empty(m, n)
    scratch = torch.empty(activation_bytes(m, k), dtype=torch.uint8)
    more = torch.empty(8 * blocks + -(-m // ROWS) * ROWS * (k // 32) * 4, dtype=torch.uint8)
    tensors = map(native.pointer, (x, *parts, y, scratch, more))
    if m and lib.head_scores(*tensors, *map(ctypes.c_int64, (m, n, k, everything))):
        raise MemoryError("no memory for a block of weights")
    return y
