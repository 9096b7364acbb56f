"""Linear and gated feed-forward layers with weights packed in 4, 5, 6 or 8 bits, activations in int8.

Activations have a scale for every 32 columns, weights for every 32 or 16 and perhaps a base beside it: an outlier costs
only its neighbours precision, and what a GGUF file holds is met on its own grid. On a CPU that leaves fewer bytes to
read a token than INT8 by row, and no second digit of the activations is needed.
The norm before a layer and the sum after it are part of the operation: for one token each would be a pass of its own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dsassist_kernels.packed_linear import cpu, reference
from dsassist_kernels.packed_linear.cpu import available, cheap_rows
from dsassist_kernels.packed_linear.reference import (
    FORMATS,
    ROWS,
    TILE,
    Format,
    Grid,
    format_of_tile,
    pack,
    tile_bytes,
    unpack,
)

__all__ = [
    "FORMATS",
    "ROWS",
    "TILE",
    "Format",
    "Grid",
    "available",
    "cheap_rows",
    "format_of_tile",
    "pack",
    "packed_linear",
    "packed_mlp",
    "rows",
    "tile_bytes",
    "unpack",
]

Backend = Literal["reference", "cpu"]


def packed_linear(
    x: Tensor,
    packed: Tensor,
    bias: Tensor | None = None,
    *,
    norm: Tensor | None = None,
    eps: float = 0.0,
    residual: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """``residual + norm(x) Wᵀ + bias``: ``x`` [M, K], ``packed`` [N / 16, K / 64, bytes] (see ``pack``), ``bias`` [N],
    ``residual`` [M, N] → [M, N] in x's dtype; ``norm`` [K] is the weight of a root-mean-square norm.

    The result of a row does not depend on the other rows. ``backend`` forces one (tests).

    Raises:
        ValueError: shapes that do not fit.
    """
    _check(x, packed)
    if (backend or _backend(x)) == "cpu":
        return cpu.packed_linear(x, packed, bias, norm, eps, residual)
    return reference.packed_linear(x, packed, bias, norm, eps, residual)


def packed_mlp(
    x: Tensor,
    gate_up: Tensor,
    down: Tensor,
    *,
    norm: Tensor | None = None,
    eps: float = 0.0,
    residual: Tensor | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """``residual + down(silu(gate(h)) · up(h))`` with ``h = norm(x)``, [M, K]; ``gate_up`` is [2 I, K] packed, 32
    rows of the gate and 32 of up in turn, ``down`` [K, I]. Otherwise as ``packed_linear``.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check(x, gate_up)
    if down.shape[1] * TILE * 2 != gate_up.shape[0] * ROWS or down.shape[0] * ROWS != x.shape[1]:
        raise ValueError(f"packed_mlp: {tuple(gate_up.shape)} and {tuple(down.shape)} do not fit together")
    if (backend or _backend(x)) == "cpu":
        return cpu.packed_mlp(x, gate_up, down, norm, eps, residual)
    return reference.packed_mlp(x, gate_up, down, norm, eps, residual)


def rows(packed: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` [T] int64, each within [0, N), of a packed matrix as float32 [T, K]: an embedding."""
    on_cpu = packed.device.type == index.device.type == "cpu" and available()
    return cpu.rows(packed, index) if on_cpu else reference.rows(packed, index)


def _check(x: Tensor, packed: Tensor) -> None:
    if x.dim() != 2 or packed.dim() != 3 or x.shape[1] != packed.shape[1] * TILE:
        raise ValueError(f"packed_linear: x {tuple(x.shape)} and weight {tuple(packed.shape)} do not fit")


def _backend(x: Tensor) -> Backend:
    return "cpu" if x.device.type == "cpu" and x.dtype == torch.float32 and available() else "reference"
