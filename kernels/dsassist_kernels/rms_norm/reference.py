"""The definition of the root-mean-square norm (arXiv:1910.07467)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["rms_norm"]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """See ``dsassist_kernels.rms_norm``."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + eps) * weight
