"""INT8 keys and values with one scale a token and head: a quarter of float32's memory, on any device.

A page's keys lie as [D, 64] and its values as [64, D] (``dsassist_kernels.paged_attention``); both have scales [64].
A query's score with a quantized key is the integer key's score times the key's scale, so nothing is dequantized.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dequantize_pages", "quantize", "quantize_pages"]


def quantize_pages(pages: Tensor, *, token_dim: int) -> tuple[Tensor, Tensor]:
    """``pages`` [..., D, 64] (``token_dim`` -1) or [..., 64, D] (-2) → int8 of that shape and scales [..., 64] float32.

    Rounded to nearest, so an element is off by at most half its token's scale. A token of zeros has scale 1.
    """
    return quantize(pages, dim=_other(token_dim))


def quantize(x: Tensor, *, dim: int) -> tuple[Tensor, Tensor]:
    """``x`` as int8 with one float32 scale for all of ``dim``, which the scales do not have."""
    top = x.float().abs().amax(dim, keepdim=True)
    scale = torch.where(top > 0, top / 127.0, 1.0)
    return (x.float() / scale).round().clamp(-127, 127).to(torch.int8), scale.squeeze(dim)


def dequantize_pages(pages: Tensor, scale: Tensor, *, token_dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The inverse of ``quantize_pages``."""
    return (pages.float() * scale.unsqueeze(_other(token_dim))).to(dtype)


def _other(token_dim: int) -> int:
    if token_dim not in (-1, -2):
        raise ValueError(f"tokens lie in a page's last dimension (-1) or the one before (-2), not {token_dim}")
    return -3 - token_dim
