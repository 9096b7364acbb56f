"""Layers in each weight scheme. A scheme pairs what a converted file holds with the modules that run it.

``int8``: int8 rows with float32 scales, W8A8 (``dsassist_kernels.int8_linear``).
``float``: plain matrices in one floating type; float32 is the yardstick that quality is measured against, bfloat16
runs on GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels.int8_linear import int8_linear
from dsassist_kernels.int8_mlp import int8_mlp

__all__ = ["Embedding", "FloatEmbedding", "FloatLinear", "Int8Embedding", "Int8Linear", "Int8Mlp", "Linear", "Mlp"]


class Linear(Protocol):
    """``x`` [T, in] → [T, out]."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Embedding(Protocol):
    """Token ids [T] → [T, hidden]; tied models use its rows as the output head too."""

    def __call__(self, tokens: Tensor) -> Tensor: ...

    def head(self) -> Linear: ...


class Int8Linear:
    """Weight [out, in] int8, scale [out], bias [out] or None."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, digits: int = 1) -> None:
        self.weight, self.scale, self.digits = tensors[f"{name}.weight"], tensors[f"{name}.scale"], digits
        self.bias = tensors.get(f"{name}.bias")

    def __call__(self, x: Tensor) -> Tensor:
        return int8_linear(x, self.weight, self.scale, self.bias, digits=self.digits)


class FloatLinear:
    """Weight [out, in] and bias [out] or None, in one floating type."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class Int8Mlp:
    """Gated feed-forward with both products in INT8."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        self.gate_up, self.gate_up_scale = tensors[f"{name}.gate_up.weight"], tensors[f"{name}.gate_up.scale"]
        self.down, self.down_scale = tensors[f"{name}.down.weight"], tensors[f"{name}.down.scale"]

    def __call__(self, x: Tensor) -> Tensor:
        return int8_mlp(x, self.gate_up, self.gate_up_scale, self.down, self.down_scale)


class Mlp:
    """Gated feed-forward from two linear layers; ``gate_up`` gives the gate's half first."""

    def __init__(self, gate_up: Linear, down: Linear) -> None:
        self.gate_up, self.down = gate_up, down

    def __call__(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Int8Embedding:
    """Rows in int8 with a scale each."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self.weight, self.scale = tensors["embed.weight"], tensors["embed.scale"]

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.weight[tokens].float() * self.scale[tokens][:, None]

    def head(self) -> Linear:
        return Int8Linear(self._tensors, "embed")


class FloatEmbedding:
    """Rows in a floating type."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.weight[tokens]

    def head(self) -> Linear:
        return FloatLinear(self.weight)


def dequantize(tensors: Mapping[str, Tensor], name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The floating matrix of ``name``, from either scheme's tensors, on ``device``."""
    weight = tensors[f"{name}.weight"].to(device)
    scale = tensors.get(f"{name}.scale")
    return weight.to(dtype) if scale is None else (weight.float() * scale.to(device)[:, None]).to(dtype)
