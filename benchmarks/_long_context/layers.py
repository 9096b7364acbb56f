"""What each layer loses by what is left out: one layer sparse at a time, the others dense."""

from __future__ import annotations

from typing import Any

import torch
from _common import say
from torch import Tensor

from _long_context.prompts import SEGMENT, segments
from _long_context.quality import set_way
from dsassist_kernels.sparse_attention import Sparsity
from dsassist_model.convert import load
from dsassist_model.long_context import LongContext, Way
from dsassist_model.transformer import Transformer

__all__ = ["layers"]


@torch.inference_mode()
def layers(name: str, tokens: list[int], sparsity: Sparsity, *, quick: bool) -> dict[str, Any]:
    """Kullback-Leibler divergence (nats a token) of the next tokens in the prompt's last segment from those of dense
    attention, by layer; every fourth layer where ``quick``. The smallest is about what any other rounding gives."""
    loaded = load(name)
    model = Transformer(loaded.config, loaded.tensors, torch.device("cpu"))
    set_way(model, "sparse", sparsity)
    context, chosen = model.long_context, -1
    context.middle = None

    def way(self: LongContext, layer: int, queries: int, seen: int) -> Way:
        if layer == chosen and seen == len(tokens):
            return "sparse"
        return "paged" if usual(self, layer, queries, seen) == "paged" else "dense"

    usual, LongContext.way = LongContext.way, way  # type: ignore[method-assign]
    pool = model.new_pool(-(-len(tokens) // 64))
    parts = segments(tokens, torch.arange(pool.pages, dtype=torch.int32), SEGMENT, every=True)

    def read() -> Tensor:
        hidden = model.forward([parts[-1]], pool)[1::4]
        return torch.cat([model.logits(rows) for rows in hidden.split(128)]).log_softmax(-1)

    found = []
    try:
        for part in parts[:-1]:
            model.forward([part], pool)
        exact = read()
        for layer in range(0, loaded.config.num_layers, 4 if quick else 1):
            chosen, context.read, context.visible = layer, 0, 0
            lost = float((exact.exp() * (exact - read())).sum(-1).mean())
            found.append(lost)
            say(f"  layer {layer:2d}: {lost:.5f} nats, {context.density:.0%} read")
    finally:
        LongContext.way = usual  # type: ignore[method-assign]
    return {"nats_lost_by_layer": found}
