"""Packed layers on a CPU: compiled code or nothing, since PyTorch has no operation that multiplies such weights."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.packed_linear.reference import ROWS, TILE, format_of_tile

__all__ = ["activation_bytes", "available", "cheap_rows", "library", "packed_linear", "packed_mlp", "rows"]

_SOURCE = Path(__file__).with_name("cpu.c")


def library() -> ctypes.CDLL | None:
    """The compiled operations of this module, for those that call them from C too; None where they may not be used."""
    lib = native.compiled(_SOURCE)
    if lib is not None:
        native.signatures(lib, packed_linear="pppppppiiiif", packed_mlp="pppppppiiiiif", packed_rows="pppiii")
    return lib


def available() -> bool:
    """Whether there is a compiled form. Without, packed weights run by the definition: right, and far too slow."""
    return native.compiled(_SOURCE) is not None


def cheap_rows() -> int:
    """Rows that take hardly longer than one: the arithmetic hides behind the reading of the weights."""
    lib = native.compiled(_SOURCE)
    return int(lib.cheap_rows()) if lib is not None else 1


def packed_linear(
    x: Tensor, packed: Tensor, bias: Tensor | None, norm: Tensor | None, eps: float, residual: Tensor | None
) -> Tensor:
    """See ``dsassist_kernels.packed_linear``; float32 in and out."""
    lib = library()
    assert lib is not None
    x = x.contiguous()
    residual = residual.contiguous() if residual is not None else None
    m, n, k = x.shape[0], packed.shape[0] * ROWS, x.shape[1]
    y, scratch = torch.empty(m, n), native.scratch(activation_bytes(m, k))
    tensors = map(native.address, (x, norm, packed, bias, residual, y, scratch))
    if m and lib.packed_linear(*tensors, m, n, k, format_of_tile(packed.shape[2]).lines, eps):
        raise MemoryError("no memory for a block of weights")
    return y


def packed_mlp(
    x: Tensor, gate_up: Tensor, down: Tensor, norm: Tensor | None, eps: float, residual: Tensor | None
) -> Tensor:
    """See ``dsassist_kernels.packed_linear``; float32 in and out."""
    lib = library()
    assert lib is not None
    x = x.contiguous()
    residual = residual.contiguous() if residual is not None else None
    m, k, i = x.shape[0], x.shape[1], down.shape[1] * TILE
    y, scratch = torch.empty(m, k), native.scratch(activation_bytes(m, k) + activation_bytes(m, i))
    tensors = map(native.address, (x, norm, gate_up, down, residual, y, scratch))
    lines = (format_of_tile(each.shape[2]).lines for each in (gate_up, down))
    if m and lib.packed_mlp(*tensors, m, k, i, *lines, eps):
        raise MemoryError("no memory for blocks of weights")
    return y


def rows(packed: Tensor, index: Tensor) -> Tensor:
    """See ``dsassist_kernels.packed_linear``."""
    lib = library()
    assert lib is not None
    k = packed.shape[1] * TILE
    y, index = torch.empty(len(index), k), index.contiguous()
    tensors = map(native.address, (packed, index, y))
    lib.packed_rows(*tensors, len(index), k, format_of_tile(packed.shape[2]).lines)
    return y


def activation_bytes(m: int, k: int) -> int:
    """Scratch for ``m`` rows of ``k`` columns: panels of 16 rows of int8, a float and two int32 a group (packed.h)."""
    return -(-m // ROWS) * ROWS * (k + k // 32 * 12)
