"""Layers in each weight scheme. A scheme pairs what a converted file holds with the modules that run it.

``packed``: 5 and 6 bits a weight, a scale every 32 columns (``dsassist_kernels.packed_linear``).
``int8``: int8 rows with float32 scales, W8A8 (``dsassist_kernels.int8_linear``).
``float``: plain matrices in one floating type; float32 is the yardstick that quality is measured against, bfloat16
runs on GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dsassist_kernels.int8_linear import int8_linear
from dsassist_kernels.int8_mlp import int8_mlp
from dsassist_kernels.packed_linear import packed_linear, packed_mlp, rows, unpack
from dsassist_kernels.rms_norm import rms_norm

__all__ = [
    "Composed",
    "Embedding",
    "FloatEmbedding",
    "FloatLinear",
    "Int8Embedding",
    "Int8Linear",
    "Int8Mlp",
    "Linear",
    "Mlp",
    "Norm",
    "PackedEmbedding",
    "PackedLinear",
    "PackedMlp",
    "Sublayer",
    "dequantize",
]


class Linear(Protocol):
    """``x`` [T, in] → [T, out]."""

    def __call__(self, x: Tensor) -> Tensor: ...


class Sublayer(Protocol):
    """``x`` [T, in] → [T, out]; with ``residual`` [T, out], added to it."""

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor: ...


class Norm(NamedTuple):
    """A root-mean-square norm: its weight [hidden] and what is added under the root."""

    weight: Tensor
    eps: float


class Composed:
    """A sublayer made of separate operations: norm where there is one, ``inner``, sum."""

    def __init__(self, inner: Linear, norm: Norm | None = None) -> None:
        self.inner, self.norm = inner, norm

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        y = self.inner(x if self.norm is None else rms_norm(x, *self.norm))
        return y if residual is None else residual + y


class PackedLinear:
    """Packed weight, bias [out] or None, and the norm before it."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, norm: Norm | None = None) -> None:
        self.weight, self.bias = tensors[f"{name}.packed"], tensors.get(f"{name}.bias")
        self.norm = None if norm is None else norm.weight
        self.eps = 0.0 if norm is None else norm.eps

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return packed_linear(x, self.weight, self.bias, norm=self.norm, eps=self.eps, residual=residual)


class PackedMlp:
    """Gated feed-forward with both matrices packed, and the norm before it."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, norm: Norm | None = None) -> None:
        self.gate_up, self.down = tensors[f"{name}.gate_up.packed"], tensors[f"{name}.down.packed"]
        self.norm = None if norm is None else norm.weight
        self.eps = 0.0 if norm is None else norm.eps

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return packed_mlp(x, self.gate_up, self.down, norm=self.norm, eps=self.eps, residual=residual)


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


class PackedEmbedding:
    """Packed rows."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __call__(self, tokens: Tensor) -> Tensor:
        return rows(self._tensors["embed.packed"], tokens)

    def head(self) -> Linear:
        return PackedLinear(self._tensors, "embed")


class FloatEmbedding:
    """Rows in a floating type."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.weight[tokens]

    def head(self) -> Linear:
        return FloatLinear(self.weight)


def dequantize(tensors: Mapping[str, Tensor], name: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The floating matrix of ``name``, from any scheme's tensors, on ``device``; ``gate_up`` as gate, then up."""
    packed = tensors.get(f"{name}.packed")
    if packed is not None:
        weight = unpack(packed.to(device))
        if name.endswith(".gate_up"):
            weight = weight.view(-1, 2, 32, weight.shape[1]).transpose(0, 1).flatten(0, 2)
        return weight.to(dtype)
    weight = tensors[f"{name}.weight"].to(device)
    scale = tensors.get(f"{name}.scale")
    return weight.to(dtype) if scale is None else (weight.float() * scale.to(device)[:, None]).to(dtype)
