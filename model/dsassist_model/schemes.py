"""Quantization schemes: what a weight matrix becomes in a converted file, the offline half of the kernels.

A scheme works on blocks of rows, so that the largest matrix need never be whole in memory. Norms and biases are
always float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dsassist_kernels.int8_linear import quantize_weight
from dsassist_model.errors import BadModelFile

__all__ = ["SCHEMES", "Part", "Scheme", "scheme"]


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor that a weight matrix becomes. Its first dimension runs over the matrix's rows."""

    dtype: torch.dtype
    shape: tuple[int, ...]


class Scheme(Protocol):
    """How one weight matrix ``X.weight`` [N, K] is stored, as tensors ``X.<part>``."""

    name: str
    group_size: int
    """Columns that share a scale; 0 is all of them."""

    def parts(self, rows: int, columns: int) -> Mapping[str, Part]:
        """The tensors for a matrix of this shape."""
        ...

    def quantize(self, block: Tensor) -> Mapping[str, Tensor]:
        """The same parts for a block of rows, float32 [n, K]."""
        ...


class Int8:
    """Symmetric int8 by output channel: ``X.weight`` int8 [N, K] and ``X.scale`` float32 [N]."""

    name = "int8"
    group_size = 0

    def parts(self, rows: int, columns: int) -> Mapping[str, Part]:
        """See ``Scheme``."""
        return {"weight": Part(torch.int8, (rows, columns)), "scale": Part(torch.float32, (rows,))}

    def quantize(self, block: Tensor) -> Mapping[str, Tensor]:
        """See ``Scheme``."""
        weight, scale = quantize_weight(block)
        return {"weight": weight, "scale": scale}


class Unquantized:
    """float32 as it is: ``X.weight`` [N, K]. For proofs and for a GPU; never written to disk."""

    name = "none"
    group_size = 0

    def parts(self, rows: int, columns: int) -> Mapping[str, Part]:
        """See ``Scheme``."""
        return {"weight": Part(torch.float32, (rows, columns))}

    def quantize(self, block: Tensor) -> Mapping[str, Tensor]:
        """See ``Scheme``."""
        return {"weight": block}


SCHEMES: Mapping[str, Scheme] = {"int8": Int8(), "none": Unquantized()}


def scheme(name: str) -> Scheme:
    """The scheme called ``name``.

    Raises:
        BadModelFile: there is none, as when a newer dsassist wrote the file.
    """
    if name not in SCHEMES:
        raise BadModelFile(f"The quantization {name!r} is not known.", remedy=f"Known are {', '.join(SCHEMES)}.")
    return SCHEMES[name]
