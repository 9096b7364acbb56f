"""The definition of the INT8 linear layer (W8A8): per-output-channel weights, per-token activations."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["int8_linear", "quantize_rows", "quantize_weight", "second_digit"]


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight`` [N, K] float → int8 [N, K] and float32 scales [N], symmetric, by the largest magnitude of each row."""
    return quantize_rows(weight.float())


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` [M, K] → int8 [M, K] and scales [M] in x's dtype: ``q = round(x / s)``, ``s = max|row| / 127`` (1 for a
    zero row)."""
    top = x.abs().amax(dim=-1)
    scale = torch.where(top > 0, top / 127, torch.ones_like(top))
    return torch.round(x / scale[:, None]).to(torch.int8), scale


def second_digit(x: Tensor, q: Tensor, scale: Tensor) -> Tensor:
    """What ``quantize_rows`` left over, [M, K] int8 in steps of ``scale / 254``: it is at most half a step of the
    first."""
    return torch.round((x / scale[:, None] - q) * 254).to(torch.int8)


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None, *, digits: int = 1) -> Tensor:
    """``x`` [M, K] float, ``weight`` [N, K] int8, ``scale`` [N], ``bias`` [N] → [M, N] in x's dtype."""
    q, sx = quantize_rows(x)
    step = sx[:, None] * scale.to(x.dtype)[None, :]
    # float64 holds every int32 exactly, so this is the exact integer product
    y = (q.double() @ weight.double().t()).to(x.dtype) * step
    if digits == 2:
        y = y + (second_digit(x, q, sx).double() @ weight.double().t()).to(x.dtype) * (step / 254)
    return y if bias is None else y + bias.to(x.dtype)
