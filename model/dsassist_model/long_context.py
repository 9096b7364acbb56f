"""How a long prompt attends to what is cached: the one place that chooses between paged, dense and sparse attention.

Few queries and short sequences stay with the paged kernel. From ``gathered_from`` tokens on, a segment's pages are
gathered once a layer and computed in the type that is fastest on the machine; from ``sparse_from`` tokens on, layers
behind the first ``dense_layers`` read only chosen blocks. Prompts longer than a segment are read segment by segment,
each attending to the cached past.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from dsassist_kernels import paged_attention
from dsassist_kernels.paged_attention import PAGE
from dsassist_kernels.paged_attention.reference import gather
from dsassist_kernels.paged_decode import paged_decode
from dsassist_kernels.sparse_attention import (
    BLOCK,
    Selection,
    Sparsity,
    attend,
    compiled,
    compute_dtype,
    dense_attention,
    packs,
    select,
)

__all__ = ["Far", "LayerPages", "LongContext", "Way"]

Way = Literal["paged", "dense", "sparse"]

_MIDDLE = 0.36, 0.7
"""Of a model's layers: from where to where."""


@dataclass(frozen=True, slots=True)
class LayerPages:
    """One layer's part of the cache."""

    keys: Tensor
    """[P, kv heads, D, 64]"""
    values: Tensor
    """[P, kv heads, 64, D]"""
    scales: paged_attention.Scales | None = None
    """Of int8 pages, [P, kv heads, 64] each."""
    bounds: Tensor | None = None
    """[P, kv heads, 2, D] float32: least and largest components of the keys of full pages."""
    offset: Tensor | None = None
    """[kv heads, D] float32: what was subtracted from all int8 keys."""


@dataclass(frozen=True, slots=True)
class Far:
    """Pooled keys and values of one layer that stand for tokens whose pages were given back."""

    keys: Tensor
    """[kv heads, M, D] float32"""
    values: Tensor
    """[kv heads, M, D] float32"""
    tokens: int
    """Tokens that each stands for."""

    def merge(self, q: Tensor, near: Tensor, lse: Tensor) -> Tensor:
        """``near`` [T, heads, D], attention over the pages, whose sums of exponentials are ``lse`` [T, heads], with
        these besides."""
        t, heads, d = q.shape
        grouped = q.float().reshape(t, self.keys.shape[0], -1, d)
        scores = torch.einsum("tkgd,kmd->tkgm", grouped, self.keys) * d**-0.5 + math.log(self.tokens)
        own = torch.einsum("tkgm,kmd->tkgd", scores.softmax(-1), self.values).reshape(t, heads, d)
        share = torch.sigmoid(scores.logsumexp(-1).reshape(t, heads) - lse).unsqueeze(-1)
        return torch.lerp(near.float(), own, share).to(near.dtype)


@dataclass(slots=True)
class LongContext:
    """Settings of one model, and a record of what they did."""

    mode: Literal["auto", "dense"] = "auto"
    """``dense`` never leaves a key out."""
    sparsity: Sparsity = field(default_factory=Sparsity)
    few: int = BLOCK
    """Fewer new tokens than this are computed page by page."""
    dense_layers: int = 2
    """First layers that read everything …"""
    dense_until: int = 32_768
    """… of so many tokens; reading all of more costs more than all other layers."""
    middle: range | None = None
    """Layers that lose more than others by what is left out (measured: ``benchmarks/long_context.py --parts layers``):
    it is in the middle that heads look for where something was said before. None for all."""
    outer_need: float = 0.002
    """``Sparsity.fine_need`` of the other layers."""
    gathered_from: int = 2048
    """Tokens of past and segment from which pages are gathered."""
    sparse_from: int = 6144
    """Tokens from which leaving keys out is faster by more than it costs (measured: benchmarks/long_context.py)."""
    dtype: torch.dtype | None = None
    """Type of gathered attention; None for the machine's fastest way, which may be the compiled kernel."""
    decode_tokens: int = 4096
    """Tokens of the pages that a decoded token reads …"""
    decode_from: int = 8192
    """… where it sees at least so many (measured: benchmarks/long_context.py); 0 reads all, always."""
    decode_layers: int = 2
    """First layers in which a decoded token reads everything all the same."""
    read: int = 0
    """Keys that sparse layers read so far, a block of queries and list of blocks each."""
    visible: int = 0
    """Keys that dense layers would have read in their place."""

    @classmethod
    def for_machine(cls, device: torch.device, dtype: torch.dtype, head_dim: int, layers: int) -> LongContext:
        """The settings for a model of ``layers`` on ``device`` that computes in ``dtype``.

        Where attention has a way that is faster than that type's (bfloat16), keys are worth packing or gathering for
        any whole chunk of a prompt; where keys can be left out a few at a time, the first layers lose no more by it
        than others.
        """
        probe = torch.empty(0, head_dim, device=device, dtype=dtype)
        if packs(probe):
            middle = range(round(_MIDDLE[0] * layers), round(_MIDDLE[1] * layers))
            few = paged_attention.FEW_QUERIES + 1  # up to there, what a token gets must not depend on its neighbours
            return cls(gathered_from=256, few=few, dense_layers=0, middle=middle)
        return cls(gathered_from=256) if compute_dtype(probe) != dtype else cls()

    def way(self, layer: int, queries: int, tokens: int) -> Way:
        """What is run for ``queries`` new tokens of ``tokens`` in all. Depends on nothing else."""
        if queries < self.few or tokens < self.gathered_from:
            return "paged"
        first = layer < self.dense_layers and tokens <= self.dense_until
        if self.mode == "dense" or first or tokens < self.sparse_from or queries < BLOCK:
            return "dense"
        return "sparse"

    def attend(
        self,
        layer: int,
        q: Tensor,
        pages: LayerPages,
        table: Tensor,
        past: int,
        *,
        last: bool,
        far: Far | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """``q`` [T, heads, D] over one layer's pages → [T, heads, D]; see ``paged_attention.attend``.

        ``last`` says whether the prompt ends with this segment: then its last blocks read everything. ``far`` is
        attended to besides the pages; ``asked`` [pages] is added to where a page's keys were chosen.
        """
        way = self.way(layer, q.shape[0], past + q.shape[0])
        table = table[: -(-(past + q.shape[0]) // PAGE)]
        if far is None:
            return self._near(way, layer, q, pages, table, past, last=last, asked=asked, lse=None)
        parts, step = [], q.shape[0] if way != "paged" else paged_attention.FEW_QUERIES
        for at in range(0, q.shape[0], step):
            part = q[at : at + step]
            lse = torch.zeros(part.shape[:2], device=q.device)
            near = self._near(way, layer, part, pages, table, past + at, last=last, asked=asked, lse=lse)
            parts.append(far.merge(part, near, lse))
        return torch.cat(parts)

    def _near(
        self,
        way: Way,
        layer: int,
        q: Tensor,
        pages: LayerPages,
        table: Tensor,
        past: int,
        *,
        last: bool,
        asked: Tensor | None,
        lse: Tensor | None,
    ) -> Tensor:
        tokens = past + q.shape[0]
        if way == "paged":
            return self._paged(layer, q, pages, table, past, lse)
        sparsity = self._sparsity(layer, last=last)
        if self.dtype is None and packs(q):
            packed = self._packed(pages, table, tokens)
            chosen = compiled.select(q, packed, past, sparsity) if way == "sparse" else None
            if chosen:
                self._count(chosen, past, asked)
            return compiled.attend(q, packed, past, chosen, lse)
        if lse is not None:
            return self._paged(layer, q, pages, table, past, lse)
        dtype = self.dtype or compute_dtype(q)
        k, v = (x[None].to(dtype) for x in gather(pages.keys, pages.values, table, tokens, pages.scales))
        query = q.transpose(0, 1)[None].to(dtype)
        if way == "dense":
            return dense_attention(query, k, v, past)[0].transpose(0, 1).to(q.dtype)
        chosen = select(query, k, past, sparsity)
        self._count(chosen, past, asked)
        return attend(query, k, v, chosen, past)[0].transpose(0, 1).to(q.dtype)

    @staticmethod
    def _packed(pages: LayerPages, table: Tensor, tokens: int) -> compiled.Packed:
        if pages.keys.dtype in (torch.float32, torch.int8):
            return compiled.pack_pages(pages.keys, pages.values, table, tokens, pages.scales)
        k, v = gather(pages.keys, pages.values, table, tokens)
        return compiled.pack(k.float(), v.float())

    def _paged(self, layer: int, q: Tensor, pages: LayerPages, table: Tensor, past: int, lse: Tensor | None) -> Tensor:
        choice = None
        some = self.may_choose(layer) and self.chosen_pages(past + q.shape[0])[0]
        if some and pages.bounds is not None:
            choice = paged_attention.Choice(pages.bounds, self.decode_tokens, self.decode_from)
        if q.is_cuda and q.shape[0] == 1 and lse is None:
            tokens = torch.tensor([past + 1], dtype=torch.int32, device=q.device)
            bounds = choice.bounds if choice and past + 1 >= choice.start else None
            return paged_decode(
                *(q, pages.keys, pages.values, table[None], tokens),
                bounds=bounds,
                budget=self.decode_tokens,
                scales=pages.scales,
            )
        return paged_attention.attend(
            q, pages.keys, pages.values, table, past, scales=pages.scales, choice=choice, lse=lse
        )

    def may_choose(self, layer: int) -> bool:
        """Whether few queries of a layer may read chosen pages only."""
        return layer >= self.decode_layers

    def chosen_pages(self, tokens: int) -> tuple[int, int]:
        """How many pages a query reads that sees ``tokens``, and from how many tokens on that is so; zeros for all."""
        if not self.decode_from or self.mode == "dense" or tokens < self.decode_from:
            return 0, 0
        return self.decode_tokens // PAGE, self.decode_from

    @property
    def density(self) -> float:
        """Share of the blocks that sparse layers read since the start; 1 where none ran."""
        return self.read / self.visible if self.visible else 1.0

    def _sparsity(self, layer: int, *, last: bool) -> Sparsity:
        """The settings for a layer; in the middle of a prompt no query is the last."""
        outer = self.middle is not None and layer not in self.middle
        return replace(
            self.sparsity,
            dense_tail=self.sparsity.dense_tail if last else 0,
            fine_need=max(self.sparsity.fine_need, self.outer_need) if outer else self.sparsity.fine_need,
        )

    def _count(self, chosen: Selection, past: int, asked: Tensor | None) -> None:
        if chosen.counts.is_cuda:  # would wait for the device
            return
        read, visible = (int(x) * chosen.block for x in chosen.read(past))
        self.read += read
        self.visible += visible
        if asked is not None:
            place = chosen.indices.flatten().long() * chosen.block // PAGE
            asked += torch.bincount(place[place < len(asked)], minlength=len(asked))
