"""How much of the true attention the chosen blocks hold, on a real prompt."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from _long_context.prompts import SEGMENT, segments
from _long_context.quality import set_way
from dsassist_kernels.sparse_attention import DENSE, Selection, Sparsity, compiled, packs
from dsassist_model.convert import load
from dsassist_model.transformer import Transformer

__all__ = ["recall"]


@torch.inference_mode()
def recall(name: str, tokens: list[int], sparsity: Sparsity) -> dict[str, float]:
    """Share of each query's attention that falls into the blocks chosen for it: over all sparse layers, heads and
    queries of the prompt's last whole segment. Empty where another kernel runs, which does not tell."""
    loaded = load(name)
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    if not packs(torch.empty(0, loaded.config.head_dim)):
        return {}
    set_way(model, "sparse", sparsity)
    shares: list[Tensor] = []
    whole = compiled.attend
    start = len(tokens) - 2 * SEGMENT

    def watched(
        q: Tensor, packed: compiled.Packed, past: int, selection: Selection | None = None, *rest: Any
    ) -> Tensor:
        if selection is not None and past >= start:
            near, full = (torch.zeros(q.shape[:2]) for _ in "ab")
            whole(q, packed, past, selection, near)
            whole(q, packed, past, None, full)
            chosen = selection.counts[0].repeat_interleave(128, 1)[:, : q.shape[0]].T != DENSE
            shares.append((near - full).exp()[chosen])
        return whole(q, packed, past, selection, *rest)

    compiled.attend = watched
    try:
        pool = model.new_pool(-(-len(tokens) // 64))
        table = torch.arange(pool.pages, dtype=torch.int32)
        for segment in segments(tokens, table, SEGMENT, every=False)[:-1]:
            model.forward([segment], pool)
    finally:
        compiled.attend = whole
    found = torch.cat(shares).sort().values
    return {"captured_mass": float(found.mean()), "captured_mass_p10": float(found[len(found) // 10])}
