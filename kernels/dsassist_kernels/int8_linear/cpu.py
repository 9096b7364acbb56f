"""INT8 linear on a CPU.

Few rows are bound by reading the weights: compiled code reads each once and keeps all rows' sums in registers. Many
rows are
bound by arithmetic: PyTorch's ``_int_mm`` (oneDNN: VNNI, or AMX where there is one) does them, between passes that
quantize
and scale. Both give the same bits, because the integer product is exact and the scaling is the same expression.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.int8_linear import reference

__all__ = ["FEW_ROWS", "compiled", "int8_linear", "product", "quantize_rows"]

FEW_ROWS = 32
"""The most rows that the weight-reading kernel takes (its accumulators are sized for it)."""

_SOURCE = Path(__file__).with_name("cpu.c")


def compiled() -> ctypes.CDLL | None:
    """The compiled kernels, or None where there are none."""
    return native.compiled(_SOURCE)


def quantize_rows(x: Tensor, digits: int = 1) -> tuple[Tensor, Tensor]:
    """``x`` [M, K] float32 → int8 [digits × M, K], the first digits of all rows before the second ones, and scales
    [M]."""
    lib = compiled()
    if lib is None:
        q, s = reference.quantize_rows(x)
        return (torch.cat((q, reference.second_digit(x, q, s))) if digits == 2 else q), s
    m, k = x.shape
    q, s = torch.empty(digits * m, k, dtype=torch.int8), torch.empty(m)
    sizes = (ctypes.c_int64(value) for value in (m, k, digits))
    lib.quantize_rows(native.pointer(x), native.pointer(q), native.pointer(s), *sizes)
    return q, s


def product(q: Tensor, weight: Tensor) -> Tensor:
    """The integer product [M, N] int32 of ``q`` [M, K] and ``weight`` [N, K]."""
    # the transposed view is what oneDNN likes; a contiguous [K, N] copy is slower
    return torch._int_mm(q, weight.t())


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, digits: int) -> Tensor:
    """See ``dsassist_kernels.int8_linear``; float32 in and out."""
    x = x.contiguous()
    m, k = x.shape
    n = weight.shape[0]
    lib = compiled()
    y = torch.empty(m, n)
    if lib is not None and m <= FEW_ROWS:
        q, s = torch.empty(digits * m, k, dtype=torch.int8), torch.empty(m)
        tensors = map(native.pointer, (x, weight, scale, bias, y, q, s))
        lib.int8_linear_few(*tensors, *(ctypes.c_int64(value) for value in (m, n, k, digits)))
        return y
    q, s = quantize_rows(x, digits)
    acc = product(q, weight)
    if lib is not None:
        tensors = map(native.pointer, (acc, s, scale, bias, y))
        lib.dequantize(*tensors, *(ctypes.c_int64(value) for value in (m, n, digits)))
        return y
    step = s[:, None] * scale[None, :]
    torch.mul(acc[:m], step, out=y)
    if digits == 2:
        y += acc[m:] * (step / 254)
    return y if bias is None else y.add_(bias)
