"""Attention of one new token a sequence over a paged cache, of all pages or of the most promising ones.

Pools are those of ``dsassist_kernels.paged_attention``, in a floating type or in INT8 (``dsassist_kernels.kv_int8``).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dsassist_kernels.paged_attention.reference import PAGE
from dsassist_kernels.paged_decode import cpu, reference
from dsassist_kernels.paged_decode.selection import Pages, choose, page_bounds
from dsassist_kernels.sparse_attention import HeadSizeError

__all__ = ["BUDGET", "Backend", "Pages", "backend_for", "choose", "page_bounds", "paged_decode"]

BUDGET = 4096
"""Tokens that a query reads when pages are chosen; sequences up to here are read whole."""

Backend = Literal["reference", "cpu", "triton"]

_GPU_HEAD_SIZES = (64, 128)


def backend_for(q: Tensor) -> Backend:
    """``triton`` on a CUDA device for head sizes it has, ``cpu`` on a CPU, ``reference`` for all else."""
    if q.device.type == "cpu":
        return "cpu"
    return "triton" if q.device.type == "cuda" and q.shape[-1] in _GPU_HEAD_SIZES else "reference"


def paged_decode(
    q: Tensor,
    keys: Tensor,
    values: Tensor,
    table: Tensor,
    lengths: Tensor,
    *,
    bounds: Tensor | None = None,
    budget: int = BUDGET,
    scales: tuple[Tensor, Tensor] | None = None,
    pages: Pages | None = None,
    backend: Backend | None = None,
) -> Tensor:
    """``q`` [B, Hq, D] over each sequence's cached tokens, its own among them → [B, Hq, D].

    ``keys`` [P, Hkv, D, 64] and ``values`` [P, Hkv, 64, D]; ``table`` [B, N] int32 pages and ``lengths`` [B] int32
    tokens of each sequence, at least one. With ``bounds`` (``page_bounds``), sequences of more than ``budget`` tokens
    read only the pages of highest bounds; without, all. ``scales``, two of [P, Hkv, 64], for INT8 pools. ``pages``
    overrides the choice.

    Raises ``HeadSizeError`` where ``backend`` names a kernel that cannot compute D, ``ValueError`` for shapes that do
    not belong together.
    """
    if q.dim() != 3 or keys.dim() != 4 or keys.shape[2:] != (q.shape[2], PAGE) or q.shape[1] % keys.shape[1]:
        raise ValueError(f"{[*q.shape]} queries do not belong to pages of {[*keys.shape[1:]]}")
    if values.shape[2:] != (PAGE, q.shape[2]) or table.shape[0] != q.shape[0] or lengths.shape != q.shape[:1]:
        raise ValueError(f"values {[*values.shape]}, table {[*table.shape]} or lengths {[*lengths.shape]} do not fit")
    if budget < PAGE:
        raise ValueError(f"a budget of {budget} tokens is less than a page of {PAGE}")
    chosen = pages or choose(q, bounds, table, lengths, budget)
    named = backend or backend_for(q)
    if named == "triton":
        if q.shape[-1] not in _GPU_HEAD_SIZES:
            raise HeadSizeError(f"the Triton kernel has head sizes {_GPU_HEAD_SIZES}, not {q.shape[-1]}")
        # imports the triton package, which exists on Linux only
        from dsassist_kernels.paged_decode.triton import decode as decode_on_gpu

        return decode_on_gpu(q, keys, values, table, lengths, chosen, scales)
    if named == "cpu":
        return cpu.decode(q, keys, values, table, lengths, chosen, scales)
    return reference.decode(q, keys, values, table, lengths, chosen, scales)
