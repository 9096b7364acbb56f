"""How a long prompt attends to what is cached: the one place that chooses between paged, dense and sparse attention.

Few queries and short sequences stay with the paged kernel. From ``gathered_from`` tokens on, a segment's pages are
gathered once a layer and computed in the type that is fastest on the machine; from ``sparse_from`` tokens on, layers
behind the first ``dense_layers`` read only chosen blocks. Prompts longer than a segment are read segment by segment,
each attending to the cached past.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from dsassist_kernels import paged_attention
from dsassist_kernels.paged_attention.reference import gather
from dsassist_kernels.sparse_attention import BLOCK, Sparsity, attend, compute_dtype, dense_attention, select

__all__ = ["LongContext", "Way"]

Way = Literal["paged", "dense", "sparse"]


@dataclass(slots=True)
class LongContext:
    """Settings of one model, and a record of what they did."""

    mode: Literal["auto", "dense"] = "auto"
    """``dense`` never leaves a key out."""
    sparsity: Sparsity = field(default_factory=Sparsity)
    dense_layers: int = 2
    """First layers that always read everything."""
    gathered_from: int = 2048
    """Tokens of past and segment from which pages are gathered."""
    sparse_from: int = 4096
    """Tokens from which leaving keys out is faster than reading all (measured: benchmarks/long_context.py)."""
    dtype: torch.dtype | None = None
    """Type of gathered attention; None for the machine's fastest."""
    read: int = 0
    """Blocks of keys that sparse layers read so far, over all heads."""
    visible: int = 0
    """Blocks that dense layers would have read in their place."""

    @classmethod
    def for_machine(cls, device: torch.device, dtype: torch.dtype) -> LongContext:
        """The settings for a model on ``device`` whose cache is in ``dtype``: where attention has a type that is
        faster than its own (bfloat16 with AMX), pages are worth gathering for any whole chunk of a prompt."""
        probe = torch.empty(0, device=device, dtype=dtype)
        return cls() if compute_dtype(probe) == dtype else cls(gathered_from=256)

    def way(self, layer: int, queries: int, tokens: int) -> Way:
        """What is run for ``queries`` new tokens of ``tokens`` in all. Depends on nothing else."""
        if queries < BLOCK or tokens < self.gathered_from:
            return "paged"
        if self.mode == "dense" or layer < self.dense_layers or tokens < self.sparse_from:
            return "dense"
        return "sparse"

    def attend(
        self, layer: int, q: Tensor, keys: Tensor, values: Tensor, table: Tensor, past: int, *, last: bool
    ) -> Tensor:
        """``q`` [T, heads, D] over one layer's pages → [T, heads, D]; see ``paged_attention.attend``.

        ``last`` says whether the prompt ends with this segment: then its last blocks read everything.
        """
        tokens = past + q.shape[0]
        way = self.way(layer, q.shape[0], tokens)
        if way == "paged":
            return paged_attention.attend(q, keys, values, table, past)
        dtype = self.dtype or compute_dtype(q)
        pages = table[: -(-tokens // paged_attention.PAGE)]
        k, v = (x[None].to(dtype) for x in gather(keys, values, pages, tokens))
        query = q.transpose(0, 1)[None].to(dtype)
        if way == "dense":
            return dense_attention(query, k, v, past)[0].transpose(0, 1).to(q.dtype)
        chosen = select(query, k, past, self.sparsity if last else self._inner)
        self._count(chosen.counts, past)
        return attend(query, k, v, chosen, past)[0].transpose(0, 1).to(q.dtype)

    @property
    def density(self) -> float:
        """Share of the blocks that sparse layers read since the start; 1 where none ran."""
        return self.read / self.visible if self.visible else 1.0

    @property
    def _inner(self) -> Sparsity:
        """The settings in the middle of a prompt, where no query is the last."""
        return replace(self.sparsity, dense_tail=0)

    def _count(self, counts: Tensor, past: int) -> None:
        if counts.is_cuda:  # would wait for the device
            return
        rows = (torch.arange(counts.shape[2]) + past // BLOCK + 1).expand_as(counts)
        self.read += int(torch.where(counts < 0, rows, counts).sum())
        self.visible += int(rows.sum())
