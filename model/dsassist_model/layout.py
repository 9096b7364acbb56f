"""Names and shapes of a model's tensors, the same whatever file they came from. No torch."""

from __future__ import annotations

from dsassist_model.config import ModelConfig

__all__ = ["expected_shapes", "fused_sources"]


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model with ``config``, by canonical name; matrices are ``[out, in]``."""
    hidden, ffn = config.hidden_size, config.intermediate_size
    queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (config.vocab_size, hidden)}
    for i in range(config.num_layers):
        layer = f"layers.{i}"
        shapes[f"{layer}.attn_norm.weight"] = (hidden,)
        for name, rows in (("q", queries), ("k", keys), ("v", keys)):
            shapes[f"{layer}.{name}.weight"] = (rows, hidden)
            if config.qkv_bias:
                shapes[f"{layer}.{name}.bias"] = (rows,)
        shapes[f"{layer}.o.weight"] = (hidden, queries)
        shapes[f"{layer}.ffn_norm.weight"] = (hidden,)
        shapes[f"{layer}.gate.weight"] = (ffn, hidden)
        shapes[f"{layer}.up.weight"] = (ffn, hidden)
        shapes[f"{layer}.down.weight"] = (hidden, ffn)
    shapes["norm.weight"] = (hidden,)
    if not config.tie_embeddings:
        shapes["head.weight"] = (config.vocab_size, hidden)
    return shapes


def fused_sources(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Tensors of a converted model, before quantization → the canonical tensors whose rows they join, in order."""
    sources: dict[str, tuple[str, ...]] = {}
    for name in expected_shapes(config):
        stem, _, kind = name.rpartition(".")
        layer, _, role = stem.rpartition(".")
        if role in ("q", "gate"):
            fused, members = ("qkv", ("q", "k", "v")) if role == "q" else ("gate_up", ("gate", "up"))
            sources[f"{layer}.{fused}.{kind}"] = tuple(f"{layer}.{member}.{kind}" for member in members)
        elif role not in ("k", "v", "up"):
            sources[name] = (name,)
    return sources
