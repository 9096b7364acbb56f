"""The decoder: embedding, layers of grouped-query attention and gated feed-forward, norm, head. Reads top to bottom.

A forward pass takes pieces of several sequences at once (``Segment``): their tokens are laid end to end in
``[T, hidden]``, everything but attention works on rows, and attention goes segment by segment over the paged cache.
A decoded row's result does not depend on which other rows share the pass, so batching and drafts do not change what is
generated. How a prompt is cut into chunks can change its last bits (``long_context`` chooses attention by length).

Covers the qwen2 and llama architectures: they differ in ``qkv_bias`` and ``tie_embeddings``, which the configuration
tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsassist_kernels.paged_attention import PAGE, rotate_and_store
from dsassist_kernels.rms_norm import rms_norm
from dsassist_model.config import ModelConfig
from dsassist_model.linear import (
    Embedding,
    FloatEmbedding,
    FloatLinear,
    Int8Embedding,
    Int8Linear,
    Int8Mlp,
    Linear,
    Mlp,
    dequantize,
)
from dsassist_model.long_context import LongContext
from dsassist_model.memory import in_huge_pages

__all__ = ["KVPool", "Segment", "Transformer"]


@dataclass(slots=True)
class Segment:
    """Consecutive tokens of one sequence. ``table`` [pages] int32 on the device covers ``past + len(tokens)``
    tokens."""

    tokens: Sequence[int]
    past: int
    """Tokens of the sequence that are in the cache already."""
    table: Tensor
    outputs: int = 1
    """For how many of the last tokens the hidden state is wanted."""
    last: bool = True
    """Whether the prompt ends here, or more of it follows in a later pass."""


class KVPool:
    """Pages of all layers: ``keys`` [L, P, kv heads, D, 64], ``values`` [L, P, kv heads, 64, D]."""

    def __init__(self, config: ModelConfig, pages: int, device: torch.device, dtype: torch.dtype) -> None:
        heads, d = config.num_kv_heads, config.head_dim
        # not zeroed: a page is mapped when it is first written, so an unused budget costs no memory
        self.keys = torch.empty(config.num_layers, pages, heads, d, PAGE, device=device, dtype=dtype)
        self.values = torch.empty(config.num_layers, pages, heads, PAGE, d, device=device, dtype=dtype)
        self.pages = pages

    @staticmethod
    def bytes_per_page(config: ModelConfig, dtype: torch.dtype) -> int:
        """Bytes of one page over all layers."""
        return 2 * config.num_layers * config.num_kv_heads * config.head_dim * PAGE * dtype.itemsize


@dataclass(slots=True)
class Layer:
    """One decoder layer's weights."""

    attn_norm: Tensor
    qkv: Linear
    out: Linear
    ffn_norm: Tensor
    mlp: Linear


class Transformer:
    """A loaded model. ``tensors`` are a converted file's (see ``convert``); on a CPU they are used as they are,
    memory-mapped."""

    def __init__(
        self, config: ModelConfig, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        """``dtype`` None runs the file's INT8 scheme (CPU only); a floating type dequantizes to it."""
        self.config, self.device = config, device
        self.dtype = dtype or torch.float32
        self.long_context = LongContext()
        self._tensors = in_huge_pages(tensors) if dtype is None and device.type == "cpu" else tensors
        self._quantized = dtype is None and "embed.scale" in tensors
        self.embed = self._embedding()
        self.head = self.embed.head() if config.tie_embeddings else self._linear("head")
        self.norm = self._vector("norm.weight")
        self.layers = [self._layer(f"layers.{i}") for i in range(config.num_layers)]
        frequencies = torch.tensor(config.inverse_frequencies, dtype=torch.float64)
        angles = torch.arange(config.max_context, dtype=torch.float64)[:, None] * frequencies[None, :]
        self.cos, self.sin = angles.cos().to(device, self.dtype), angles.sin().to(device, self.dtype)
        self._tensors = {}  # the layers hold what they use

    def new_pool(self, pages: int) -> KVPool:
        """An empty cache of ``pages`` × 64 tokens."""
        return KVPool(self.config, pages, self.device, self.dtype)

    @torch.inference_mode()
    def forward(self, segments: Sequence[Segment], pool: KVPool, check: Callable[[], None] | None = None) -> Tensor:
        """Run ``segments``, write their keys and values, return the wanted hidden states [sum of outputs, hidden],
        normed.

        ``check`` is called between layers; what it raises ends the pass. The cache's places of these segments are
        then undefined.
        """
        tokens = torch.tensor([t for s in segments for t in s.tokens], device=self.device)
        positions = torch.cat([torch.arange(s.past, s.past + len(s.tokens), device=self.device) for s in segments])
        slots = torch.cat([_slots(s) for s in segments])
        cos, sin = self.cos[positions], self.sin[positions]
        x = self.embed(tokens)
        heads = self.config.num_heads
        for i, layer in enumerate(self.layers):
            if check is not None:
                check()
            keys, values = pool.keys[i], pool.values[i]
            qkv = layer.qkv(self._normed(x, layer.attn_norm))
            q = rotate_and_store(qkv, cos, sin, slots, keys, values, heads)
            mixed, start = [], 0
            for s in segments:
                end = start + len(s.tokens)
                piece = self.long_context.attend(i, q[start:end], keys, values, s.table, s.past, last=s.last)
                mixed.append(piece.reshape(end - start, -1))
                start = end
            if i + 1 == len(self.layers):  # from here on only the wanted rows matter
                wanted = _wanted(segments, self.device)
                x, mixed = x[wanted], [torch.cat(mixed)[wanted]]
            x = x + layer.out(mixed[0] if len(mixed) == 1 else torch.cat(mixed))
            x = x + layer.mlp(self._normed(x, layer.ffn_norm))
        return self._normed(x, self.norm)

    @torch.inference_mode()
    def logits(self, hidden: Tensor) -> Tensor:
        """``hidden`` [N, hidden] → [N, vocabulary] float32."""
        return self.head(hidden).float()

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(x, weight, self.config.rms_norm_eps)

    def _layer(self, name: str) -> Layer:
        mlp: Linear
        if self._quantized:
            mlp = Int8Mlp(self._tensors, name)
        else:
            mlp = Mlp(self._linear(f"{name}.gate_up"), self._linear(f"{name}.down"))
        return Layer(
            attn_norm=self._vector(f"{name}.attn_norm.weight"),
            qkv=self._linear(f"{name}.qkv"),
            out=self._linear(f"{name}.o"),
            ffn_norm=self._vector(f"{name}.ffn_norm.weight"),
            mlp=mlp,
        )

    def _linear(self, name: str) -> Linear:
        if self._quantized:
            # rounding the input of attention to one digit costs as much agreement with float32 as all weights together;
            # the output projection and the head are small or read for few rows, where the second digit is nearly free
            return Int8Linear(self._tensors, name, digits=2)
        bias = self._tensors.get(f"{name}.bias")
        weight = dequantize(self._tensors, name, self.device, self.dtype)
        return FloatLinear(weight, None if bias is None else bias.to(self.device, self.dtype))

    def _embedding(self) -> Embedding:
        if self._quantized:
            return Int8Embedding(self._tensors)
        return FloatEmbedding(dequantize(self._tensors, "embed", self.device, self.dtype))

    def _vector(self, name: str) -> Tensor:
        return self._tensors[name].to(self.device, self.dtype)


def _slots(segment: Segment) -> Tensor:
    positions = torch.arange(segment.past, segment.past + len(segment.tokens), device=segment.table.device)
    return segment.table[positions // PAGE].long() * PAGE + positions % PAGE


def _wanted(segments: Sequence[Segment], device: torch.device) -> Tensor:
    rows, start = [], 0
    for s in segments:
        start += len(s.tokens)
        rows.append(torch.arange(start - s.outputs, start, device=device))
    return torch.cat(rows)
