"""The definition of packed weights and of what is computed with them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "FORMATS",
    "GROUP",
    "ROWS",
    "TILE",
    "Format",
    "Grid",
    "format_of_tile",
    "pack",
    "packed_linear",
    "packed_mlp",
    "quantize_groups",
    "rows",
    "tile_bytes",
    "unpack",
]

GROUP = 32
"""Columns of activations that share a scale."""
ROWS = 16
"""Rows of a block."""
TILE = 64
"""Columns of a tile: two groups."""
_LINE = 64
_STEPS = (1.04, 1.08, 1.13, 0.96, 0.92)


@dataclass(frozen=True)
class Format:
    """How weights are kept. Symmetric: ``(q - 2^(bits-1)) · scale``; with a base: ``q · scale + base``, q from 0."""

    bits: int
    base: bool = False
    """Whether every 32 columns have a base."""
    columns: int = 32
    """That share a scale: 32, or 16."""

    @functools.cached_property
    def lines(self) -> int:
        """Of 64 bytes in a tile of 16 rows × 64 columns: what the compiled code knows a format by (packed.h)."""
        return 9 + 2 * (self.bits - 4) + self.base + (self.columns == 16)


FORMATS = (
    Format(4),
    Format(4, base=True),
    Format(5),
    Format(5, base=True),
    Format(6),
    Format(6, columns=16),
    Format(8),
)
"""Those that there are: what GGUF's Q4_0, Q4_1 and Q4_K, Q5_0, Q5_1 and Q5_K, -, Q6_K and Q8_0 hold."""


class Grid(NamedTuple):
    """Where the values of a weight [N, K] lie exactly: float scales [N, K / columns] and, with a base, bases
    [N, K / 32]."""

    scale: Tensor
    base: Tensor | None = None


def tile_bytes(kept: Format) -> int:
    """Bytes of 16 rows × 64 columns."""
    return _LINE * kept.lines


@functools.cache
def format_of_tile(size: int) -> Format:
    """The format whose tiles have ``size`` bytes.

    Raises:
        ValueError: none has.
    """
    for kept in FORMATS:
        if size == tile_bytes(kept):
            return kept
    raise ValueError(f"packed weights have tiles of {', '.join(str(tile_bytes(f)) for f in FORMATS)} bytes, not {size}")


def quantize_weight(weight: Tensor, kept: Format, grid: Grid | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
    """``weight`` [N, K] → unsigned integers uint8 [N, K], float16 scales [N, K / columns] and bases [N, K / 32] or
    None.

    On a given grid, values are taken as they are. Without one, a symmetric format puts the value of largest magnitude
    on the lowest integer, whatever its sign, as GGUF's Q4_0 and Q5_0 do; a few steps beside that one are tried, and
    the one of least squared error is taken. With a base, the range of a group is divided evenly.
    """
    top = (1 << kept.bits) - 1
    x = weight.float().reshape(-1, kept.columns)
    if kept.base:
        if grid is None:
            low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
            grid = Grid((high - low) / top, low)
        assert grid.base is not None
        scale, base = grid.scale.half(), grid.base.half()
        q = (x - base.float().view(-1, 1)) / _divisor(scale)
        shape = weight.shape[0], -1
        return q.round_().clamp_(0, top).to(torch.uint8).view(weight.shape), scale.view(shape), base.view(shape)
    q, scale = _symmetric(x, 1 << (kept.bits - 1), None if grid is None else grid.scale.reshape(-1, 1).float())
    u = (q.to(torch.int16) + (1 << (kept.bits - 1))).to(torch.uint8)
    return u.view(weight.shape), scale.view(weight.shape[0], -1), None


def _divisor(scale: Tensor) -> Tensor:
    """Scales [...] as a column [n, 1], with 1 for those that are 0."""
    step = scale.float().view(-1, 1)
    return torch.where(step == 0, torch.ones_like(step), step)


def _symmetric(x: Tensor, half: int, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """Groups [n, columns] as integers in [-half, half), and float16 scales [n, 1]: the given ones, or found."""
    if scale is not None:
        q, scale, _ = _rounded(x, scale, half)
        return q, scale
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
    return q, scales


def _rounded(x: Tensor, scale: Tensor, half: int) -> tuple[Tensor, Tensor, Tensor]:
    """Integers, float16 scales and squared errors of groups [n, columns] at given scales [n, 1]."""
    scale = scale.half()
    q = (x / _divisor(scale)).round_().clamp_(-half, half - 1)
    return q.to(torch.int8), scale, (q * scale.float() - x).square_().sum(-1, keepdim=True)


def pack(weight: Tensor, kept: Format, grid: Grid | None = None) -> Tensor:
    """``weight`` [N, K] float → uint8 [N / 16, K / 64, bytes]; the layout is told in packed.h. ``grid``: where its
    values lie, if that is known.

    Raises:
        ValueError: N is no multiple of 16 or K none of 64, or there is no such format.
    """
    n, k = weight.shape
    if n % ROWS or k % TILE or kept not in FORMATS:
        raise ValueError(f"a weight of {n} × {k} cannot be packed in {kept.bits} bits")
    u, scale, base = quantize_weight(weight, kept, grid)
    blocks, tiles = n // ROWS, k // TILE
    # [block, row, tile, group, t, column] → [block, tile, group, t, 4 row + column]
    v = u.view(blocks, ROWS, tiles, 2, 8, 4).permute(0, 2, 3, 4, 1, 5).reshape(blocks, tiles, 2, 8, _LINE)
    low = (v[:, :, :, :4] & 15) | (v[:, :, :, 4:] << 4)
    parts = [_lines(scale, blocks, tiles)]
    if base is not None:
        parts.append(_lines(base, blocks, tiles))
    parts.append(low)
    top = v >> 4
    if kept.bits == 5:
        parts.append(_joined(top, 1))
    elif kept.bits == 6:
        parts.append(torch.stack((_joined(top[:, :, :, :4], 2), _joined(top[:, :, :, 4:], 2)), 3))
    elif kept.bits == 8:
        parts.append(top[:, :, :, :4] | (top[:, :, :, 4:] << 4))
    return torch.cat([part.reshape(blocks, tiles, -1) for part in parts], -1)


def _lines(numbers: Tensor, blocks: int, tiles: int) -> Tensor:
    """float16 of every group [N, groups] → their bytes in the tiles [blocks, tiles, bytes]."""
    placed = numbers.view(blocks, ROWS, tiles, -1).permute(0, 2, 3, 1).contiguous()
    return placed.view(torch.uint8).view(blocks, tiles, -1)


def _numbers(lines: Tensor) -> Tensor:
    """The inverse: [blocks, tiles, bytes] → float32 [blocks, 16, tiles, groups of a tile]."""
    placed = lines.contiguous().view(torch.float16).view(*lines.shape[:2], -1, ROWS)
    return placed.float().permute(0, 3, 1, 2)


def _joined(top: Tensor, width: int) -> Tensor:
    """Fields of ``width`` bits at dimension 3, first in the lowest bits."""
    joined = torch.zeros_like(top[:, :, :, 0])
    for t in range(top.shape[3]):
        joined |= top[:, :, :, t] << (width * t)
    return joined


def unpack(packed: Tensor) -> Tensor:
    """Packed weights → float32 [N, K]."""
    kept = format_of_tile(packed.shape[2])
    blocks, tiles = packed.shape[:2]
    scales = TILE // kept.columns * ROWS * 2
    start = scales + kept.base * _LINE
    low = packed[..., start : start + 8 * _LINE].reshape(blocks, tiles, 2, 4, _LINE)
    high = packed[..., start + 8 * _LINE :]
    v = torch.cat((low & 15, low >> 4), 3)
    if kept.bits == 5:
        planes = high.reshape(blocks, tiles, 2, _LINE)
        v = v | torch.stack([(planes >> t & 1) << 4 for t in range(8)], 3)
    elif kept.bits == 6:
        planes = high.reshape(blocks, tiles, 2, 2, _LINE)
        v = v | torch.stack([(planes[:, :, :, t // 4] >> 2 * (t % 4) & 3) << 4 for t in range(8)], 3)
    elif kept.bits == 8:
        planes = high.reshape(blocks, tiles, 2, 4, _LINE)
        v = v | torch.cat(((planes & 15) << 4, planes & 240), 3)
    offset = 0 if kept.base else 1 << (kept.bits - 1)
    q = (v.to(torch.int16) - offset).view(blocks, tiles, 2, 8, ROWS, 4).permute(0, 4, 1, 2, 3, 5)
    values = q.reshape(blocks, ROWS, tiles, -1, kept.columns) * _numbers(packed[..., :scales])[..., None]
    if kept.base:
        values += _numbers(packed[..., scales:start])[..., None]
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
