"""The definition of the gated feed-forward layer in INT8."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels.int8_linear.reference import int8_linear

__all__ = ["int8_mlp"]


def int8_mlp(x: Tensor, gate_up: Tensor, gate_up_scale: Tensor, down: Tensor, down_scale: Tensor) -> Tensor:
    """See ``dsassist_kernels.int8_mlp``."""
    gate, up = int8_linear(x, gate_up, gate_up_scale).chunk(2, dim=-1)
    return int8_linear(F.silu(gate) * up, down, down_scale, digits=2)
