"""Quantization schemes: what a weight matrix becomes in a converted file, the offline half of the kernels.

A scheme works on blocks of rows, so that the largest matrix need never be whole in memory. Norms and biases are
always float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from dsassist_kernels import packed_linear
from dsassist_kernels.int8_linear import quantize_weight
from dsassist_kernels.packed_linear import Format, Grid
from dsassist_model.errors import BadModelFile

__all__ = ["SCHEMES", "Levels", "Part", "Scheme", "default", "scheme"]


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor that a weight matrix becomes. Its first dimension runs over the matrix's rows."""

    dtype: torch.dtype
    shape: tuple[int, ...]


class Levels(NamedTuple):
    """Where a source's values lie, float32 [n, groups]: the lowest of a group, and the distance to the next."""

    low: Tensor
    step: Tensor


class Scheme(Protocol):
    """How one weight matrix ``X.weight`` [N, K] is stored, as tensors ``X.<part>``."""

    name: str
    group_size: int
    """Columns that share a scale; 0 is all of them."""

    def parts(self, matrix: str, rows: int, columns: int, kinds: Sequence[str] = ()) -> Mapping[str, Part]:
        """The tensors for the matrix called ``matrix`` (``layers.3.down``), of this shape. ``kinds`` are GGUF's names
        of what its members were stored as; anything else is floating."""
        ...

    def columns(self, parts: Mapping[str, Part], kinds: Sequence[str]) -> int:
        """How many columns share a level of the source that ``parts`` can keep as it is; 0 where there are none."""
        ...

    def quantize(self, block: Tensor, parts: Mapping[str, Part], levels: Levels | None = None) -> Mapping[str, Tensor]:
        """``parts`` of a matrix for a block of its rows, float32 [n, K]; n is a multiple of 64 but in the last."""
        ...

    def interleave(self, matrix: str, rows: int, columns: int) -> int:
        """Rows of each member that a fused matrix takes in turn; 0 for one member after the other."""
        ...


class Int8:
    """Symmetric int8 by output channel: ``X.weight`` int8 [N, K] and ``X.scale`` float32 [N]."""

    name = "int8"
    group_size = 0

    def parts(self, matrix: str, rows: int, columns: int, kinds: Sequence[str] = ()) -> Mapping[str, Part]:
        """See ``Scheme``."""
        return {"weight": Part(torch.int8, (rows, columns)), "scale": Part(torch.float32, (rows,))}

    def columns(self, parts: Mapping[str, Part], kinds: Sequence[str]) -> int:
        """See ``Scheme``."""
        return 0

    def quantize(self, block: Tensor, parts: Mapping[str, Part], levels: Levels | None = None) -> Mapping[str, Tensor]:
        """See ``Scheme``."""
        weight, scale = quantize_weight(block)
        return {"weight": weight, "scale": scale}

    def interleave(self, matrix: str, rows: int, columns: int) -> int:
        """See ``Scheme``."""
        return 0


class Packed:
    """4, 5, 6 and 8 bits a weight, scales every 32 or 16 columns (``dsassist_kernels.packed_linear``): ``X.packed``.

    What a GGUF file has quantized is kept as it is there, to the rounding of its scales to float16. For floating
    matrices and those joined of several kinds, the bits follow what Qwen2.5-Coder-0.5B loses by them
    (benchmarks/quality.py): eight where six changed one most likely token in a hundred. Matrices of an odd shape are
    stored as ``Int8`` does.
    """

    name = "packed"
    group_size = 32
    _bits: ClassVar[Mapping[str, int]] = {"gate_up": 5, "o": 5, "qkv": 8, "down": 8, "head": 8}
    _other_bits = 6
    _kinds: ClassVar[Mapping[str, Format]] = {
        "Q4_0": Format(4),
        "Q4_1": Format(4, base=True),
        "Q4_K": Format(4, base=True),
        "Q5_0": Format(5),
        "Q5_1": Format(5, base=True),
        "Q5_K": Format(5, base=True),
        "Q6_K": Format(6, columns=16),
        "Q8_0": Format(8),
    }
    _int8 = Int8()

    def parts(self, matrix: str, rows: int, columns: int, kinds: Sequence[str] = ()) -> Mapping[str, Part]:
        """See ``Scheme``."""
        if not self._fits(matrix, rows, columns):
            return self._int8.parts(matrix, rows, columns)
        size = packed_linear.tile_bytes(self._format(matrix.rpartition(".")[2], kinds))
        return {"packed": Part(torch.uint8, (rows // packed_linear.ROWS, columns // packed_linear.TILE, size))}

    def columns(self, parts: Mapping[str, Part], kinds: Sequence[str]) -> int:
        """See ``Scheme``."""
        kept = packed_linear.format_of_tile(parts["packed"].shape[2]) if "packed" in parts else None
        return kept.columns if kept is not None and {self._kinds.get(kind) for kind in kinds} == {kept} else 0

    def quantize(self, block: Tensor, parts: Mapping[str, Part], levels: Levels | None = None) -> Mapping[str, Tensor]:
        """See ``Scheme``."""
        if "packed" not in parts:
            return self._int8.quantize(block, parts)
        kept = packed_linear.format_of_tile(parts["packed"].shape[2])
        grid = None if levels is None else Grid(levels.step, levels.low if kept.base else None)
        return {"packed": packed_linear.pack(block, kept, grid)}

    def _format(self, role: str, kinds: Sequence[str]) -> Format:
        known = [self._kinds[kind] for kind in kinds if kind in self._kinds]
        if role != "head" and len(known) == len(kinds) > 0 and len(set(known)) == 1:
            return known[0]
        # a head of eight bits need not be read whole (``dsassist_kernels.packed_head``)
        return Format(max([self._bits.get(role, self._other_bits), *(kept.bits for kept in known)]))

    def interleave(self, matrix: str, rows: int, columns: int) -> int:
        """See ``Scheme``. 32 rows of the gate, then 32 of what it gates: one group of the columns of ``down``."""
        return 32 if matrix.endswith(".gate_up") and self._fits(matrix, rows, columns) else 0

    def _fits(self, matrix: str, rows: int, columns: int) -> bool:
        # the two products of a feed-forward layer go together: half the rows of the first are the columns of the second
        step = 2 * packed_linear.TILE if matrix.endswith(".gate_up") else packed_linear.ROWS
        return rows % step == 0 and columns % packed_linear.TILE == 0


class Unquantized:
    """float32 as it is: ``X.weight`` [N, K]. For proofs and for a GPU; never written to disk."""

    name = "none"
    group_size = 0

    def parts(self, matrix: str, rows: int, columns: int, kinds: Sequence[str] = ()) -> Mapping[str, Part]:
        """See ``Scheme``."""
        return {"weight": Part(torch.float32, (rows, columns))}

    def columns(self, parts: Mapping[str, Part], kinds: Sequence[str]) -> int:
        """See ``Scheme``."""
        return 0

    def quantize(self, block: Tensor, parts: Mapping[str, Part], levels: Levels | None = None) -> Mapping[str, Tensor]:
        """See ``Scheme``."""
        return {"weight": block}

    def interleave(self, matrix: str, rows: int, columns: int) -> int:
        """See ``Scheme``."""
        return 0


SCHEMES: Mapping[str, Scheme] = {"packed": Packed(), "int8": Int8(), "none": Unquantized()}


def default() -> str:
    """The scheme that runs best here: ``packed`` needs compiled kernels, ``int8`` runs on PyTorch alone."""
    return "packed" if packed_linear.available() else "int8"


def scheme(name: str) -> Scheme:
    """The scheme called ``name``.

    Raises:
        BadModelFile: there is none, as when a newer dsassist wrote the file.
    """
    if name not in SCHEMES:
        raise BadModelFile(f"The quantization {name!r} is not known.", remedy=f"Known are {', '.join(SCHEMES)}.")
    return SCHEMES[name]
