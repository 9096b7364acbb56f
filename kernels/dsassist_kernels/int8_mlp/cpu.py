"""Gated feed-forward in INT8 on a CPU.

Half of an unfused prefill goes into passes over the middle, [T, 2 I] floats wide: scale, SiLU, multiply, find the
largest,
quantize. The compiled form does them in one pass a row, from int32 straight to int8.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels import native
from dsassist_kernels.int8_linear import cpu as linear

__all__ = ["int8_mlp"]

_SOURCE = Path(__file__).with_name("cpu.c")


def int8_mlp(x: Tensor, gate_up: Tensor, gate_up_scale: Tensor, down: Tensor, down_scale: Tensor) -> Tensor:
    """See ``dsassist_kernels.int8_mlp``; float32 in and out."""
    lib = native.compiled(_SOURCE)
    if lib is None:
        gate, up = linear.int8_linear(x, gate_up, gate_up_scale, None, 1).chunk(2, dim=-1)
        return linear.int8_linear(F.silu(gate).mul_(up), down, down_scale, None, 2)
    x = x.contiguous()
    m, k = x.shape
    i = down.shape[1]
    if m <= linear.FEW_ROWS:
        y, middle, h = torch.empty(m, k), torch.empty(m, 2 * i), torch.empty(m, i)
        q, s = torch.empty(2 * m, max(k, i), dtype=torch.int8), torch.empty(m)
        tensors = (x, gate_up, gate_up_scale, down, down_scale, y, middle, h, q, s)
        lib.int8_mlp_few(*map(native.pointer, tensors), ctypes.c_int64(m), ctypes.c_int64(k), ctypes.c_int64(i))
        return y
    q, s = linear.quantize_rows(x)
    acc = linear.product(q, gate_up)
    h8, hs = torch.empty(2 * m, i, dtype=torch.int8), torch.empty(m)
    if lib.swiglu_quantize(*map(native.pointer, (acc, s, gate_up_scale, h8, hs)), ctypes.c_int64(m), ctypes.c_int64(i)):
        raise MemoryError("no memory for one row of a feed-forward layer")
    y = torch.empty(m, k)
    acc = linear.product(h8, down)
    lib.dequantize(*map(native.pointer, (acc, hs, down_scale, None, y)), *(ctypes.c_int64(v) for v in (m, k, 2)))
    return y
