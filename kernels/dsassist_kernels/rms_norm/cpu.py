"""Root-mean-square norm on a CPU: one compiled pass, or PyTorch's."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels import native

__all__ = ["rms_norm"]

_SOURCE = Path(__file__).with_name("cpu.c")


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """See ``dsassist_kernels.rms_norm``; float32."""
    lib = native.compiled(_SOURCE)
    if lib is None:
        return F.rms_norm(x, weight.shape, weight, eps)
    x = x.contiguous()
    y = torch.empty_like(x)
    sizes = (ctypes.c_int64(value) for value in x.shape)
    lib.rms_norm(*map(native.pointer, (x, weight, y)), *sizes, ctypes.c_float(eps))
    return y
