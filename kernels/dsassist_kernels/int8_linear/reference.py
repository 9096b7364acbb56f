"""The definition of the INT8 linear layer (W8A8): per-output-channel weights, per-token activations."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["int8_linear", "quantize_rows", "quantize_weight"]


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight`` [N, K] float → int8 [N, K] and float32 scales [N], symmetric, by the largest magnitude of each row."""
    return quantize_rows(weight.float())


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` [M, K] → int8 [M, K] and scales [M] in x's dtype: ``q = round(x / s)``, ``s = max|row| / 127`` (1 for a
    zero row)."""
    top = x.abs().amax(dim=-1)
    scale = torch.where(top > 0, top / 127, torch.ones_like(top))
    return torch.round(x / scale[:, None]).to(torch.int8), scale


def int8_linear(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x`` [M, K] float, ``weight`` [N, K] int8, ``scale`` [N], ``bias`` [N] → [M, N] in x's dtype."""
    q, sx = quantize_rows(x)
    # float64 holds every int32 exactly, so this is the exact integer product
    product = q.double() @ weight.double().t()
    y = product.to(x.dtype) * (sx[:, None] * scale.to(x.dtype)[None, :])
    return y if bias is None else y + bias.to(x.dtype)
