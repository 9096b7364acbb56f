"""The definition of packed weights and of what is computed with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "BITS",
    "GROUP",
    "ROWS",
    "TILE",
    "bits_of_tile",
    "pack",
    "packed_linear",
    "packed_mlp",
    "quantize_groups",
    "rows",
    "tile_bytes",
    "unpack",
]

GROUP = 32
"""Columns that share a scale."""
ROWS = 16
"""Rows of a block."""
TILE = 64
"""Columns of a tile: two groups."""
BITS = (4, 5, 6, 8)
_LINE = 64
_STEPS = (1.04, 1.08, 1.13, 0.96, 0.92)


def tile_bytes(bits: int) -> int:
    """Bytes of 16 rows × 64 columns."""
    return _LINE * (9 + 2 * (bits - 4))


def bits_of_tile(size: int) -> int:
    """Bits a weight where a tile has ``size`` bytes.

    Raises:
        ValueError: no format has tiles of that size.
    """
    for bits in BITS:
        if size == tile_bytes(bits):
            return bits
    raise ValueError(f"packed weights have tiles of {', '.join(str(tile_bytes(b)) for b in BITS)} bytes, not {size}")


def quantize_weight(weight: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """``weight`` [N, K] → integers [N, K] in [-2^(bits-1), 2^(bits-1)) and float16 scales [N, K / 32].

    The value of largest magnitude is put on the lowest integer, whatever its sign, as GGUF's Q4_0 and Q5_0 do: what
    came from such a file is met exactly. Else a few steps beside that one are tried, and the one of least squared
    error is taken.
    """
    half = 1 << (bits - 1)
    x = weight.float().reshape(-1, GROUP)
    peak = x.gather(-1, x.abs().argmax(-1, keepdim=True))
    q, scales, least = _rounded(x, peak / -half, half)
    inexact = (least > 1e-9 * x.square().sum(-1, keepdim=True)).squeeze(-1).nonzero().squeeze(-1)
    x, peak = x[inexact], peak[inexact]
    best, scale, error = q[inexact], scales[inexact], least[inexact]
    for step in _STEPS:
        other, other_scale, other_error = _rounded(x, peak / -half * step, half)
        better = other_error < error
        best, scale = torch.where(better, other, best), torch.where(better, other_scale, scale)
        error = torch.where(better, other_error, error)
    q[inexact], scales[inexact] = best, scale
    return q.view(weight.shape), scales.view(weight.shape[0], -1)


def _rounded(x: Tensor, scale: Tensor, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, float16 scales and squared errors of groups [n, 32] at given scales [n, 1]."""
    scale = scale.half()
    step = scale.float()
    q = (x / torch.where(step == 0, torch.ones_like(step), step)).round_().clamp_(-half, half - 1)
    return q.to(torch.int8), scale, (q * step - x).square_().sum(-1, keepdim=True)


def pack(weight: Tensor, bits: int) -> Tensor:
    """``weight`` [N, K] float → uint8 [N / 16, K / 64, bytes]; the layout is told in cpu.c.

    Raises:
        ValueError: N is no multiple of 16 or K none of 64, or ``bits`` is not 4, 5, 6 or 8.
    """
    n, k = weight.shape
    if n % ROWS or k % TILE or bits not in BITS:
        raise ValueError(f"a weight of {n} × {k} cannot be packed in {bits} bits")
    q, scale = quantize_weight(weight, bits)
    blocks, tiles = n // ROWS, k // TILE
    u = (q.to(torch.int16) + (1 << (bits - 1))).to(torch.uint8)
    # [block, row, tile, group, t, column] → [block, tile, group, t, 4 row + column]
    v = u.view(blocks, ROWS, tiles, 2, 8, 4).permute(0, 2, 3, 4, 1, 5).reshape(blocks, tiles, 2, 8, _LINE)
    s = scale.view(blocks, ROWS, tiles, 2).permute(0, 2, 3, 1).contiguous().view(torch.uint8).view(blocks, tiles, _LINE)
    low = (v[:, :, :, :4] & 15) | (v[:, :, :, 4:] << 4)
    parts = [s, low.reshape(blocks, tiles, -1)]
    top = v >> 4
    if bits == 5:
        parts.append(_joined(top, 1).reshape(blocks, tiles, -1))
    elif bits == 6:
        parts.append(
            torch.stack((_joined(top[:, :, :, :4], 2), _joined(top[:, :, :, 4:], 2)), 3).reshape(blocks, tiles, -1)
        )
    elif bits == 8:
        parts.append((top[:, :, :, :4] | (top[:, :, :, 4:] << 4)).reshape(blocks, tiles, -1))
    return torch.cat(parts, -1)


def _joined(top: Tensor, width: int) -> Tensor:
    """Fields of ``width`` bits at dimension 3, first in the lowest bits."""
    joined = torch.zeros_like(top[:, :, :, 0])
    for t in range(top.shape[3]):
        joined |= top[:, :, :, t] << (width * t)
    return joined


def unpack(packed: Tensor) -> Tensor:
    """Packed weights → float32 [N, K]."""
    bits = bits_of_tile(packed.shape[2])
    blocks, tiles = packed.shape[:2]
    scale = packed[..., :_LINE].contiguous().view(torch.float16).view(blocks, tiles, 2, ROWS).float()
    low = packed[..., _LINE : 9 * _LINE].reshape(blocks, tiles, 2, 4, _LINE)
    high = packed[..., 9 * _LINE :]
    v = torch.cat((low & 15, low >> 4), 3)
    if bits == 5:
        planes = high.reshape(blocks, tiles, 2, _LINE)
        v = v | torch.stack([(planes >> t & 1) << 4 for t in range(8)], 3)
    elif bits == 6:
        planes = high.reshape(blocks, tiles, 2, 2, _LINE)
        v = v | torch.stack([(planes[:, :, :, t // 4] >> 2 * (t % 4) & 3) << 4 for t in range(8)], 3)
    elif bits == 8:
        planes = high.reshape(blocks, tiles, 2, 4, _LINE)
        v = v | torch.cat(((planes & 15) << 4, planes & 240), 3)
    q = (v.to(torch.int16) - (1 << (bits - 1))).view(blocks, tiles, 2, 8, ROWS, 4).permute(0, 4, 1, 2, 3, 5)
    values = q.reshape(blocks, ROWS, tiles, 2, GROUP) * scale.permute(0, 3, 1, 2)[..., None]
    return values.reshape(blocks * ROWS, tiles * TILE)


def rows(packed: Tensor, index: Tensor) -> Tensor:
    """See ``dsassist_kernels.packed_linear``."""
    blocks, places = torch.unique(index // ROWS, return_inverse=True)
    return unpack(packed[blocks])[places * ROWS + index % ROWS]


def quantize_groups(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` [M, K] → integers [M, K / 32, 32] in [-127, 127], as floats, and scales [M, K / 32]."""
    groups = x.view(x.shape[0], -1, GROUP)
    top = groups.abs().amax(-1)
    return torch.round(groups * torch.where(top > 1e-30, 127 / top, torch.zeros_like(top))[..., None]), top / 127


def packed_linear(
    x: Tensor, packed: Tensor, bias: Tensor | None, norm: Tensor | None, eps: float, residual: Tensor | None
) -> Tensor:
    """See ``dsassist_kernels.packed_linear``."""
    h = x if norm is None else F.rms_norm(x, x.shape[-1:], norm, eps)
    q, s = quantize_groups(h.float())
    y = (q * s[..., None]).flatten(1) @ unpack(packed).to(x.device).t()
    y = y if bias is None else y + bias
    return (y if residual is None else residual + y).to(x.dtype)


def packed_mlp(
    x: Tensor, gate_up: Tensor, down: Tensor, norm: Tensor | None, eps: float, residual: Tensor | None
) -> Tensor:
    """See ``dsassist_kernels.packed_linear``."""
    gate, up = packed_linear(x, gate_up, None, norm, eps, None).view(x.shape[0], -1, 2, GROUP).unbind(2)
    return packed_linear((F.silu(gate) * up).flatten(1), down, None, None, eps, residual)
