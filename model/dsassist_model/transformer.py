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

from dsassist_kernels import native
from dsassist_kernels.layer_stack import LayerStack, LayerTensors, available
from dsassist_kernels.packed_head import SplitHead
from dsassist_kernels.packed_linear import cheap_rows
from dsassist_kernels.paged_attention import FEW_QUERIES, PAGE, rotate_and_store
from dsassist_kernels.paged_attention.reference import rotate
from dsassist_kernels.rms_norm import rms_norm
from dsassist_model.config import ModelConfig
from dsassist_model.kv_pool import KVPool
from dsassist_model.linear import (
    Composed,
    Embedding,
    FloatEmbedding,
    FloatLinear,
    Int8Embedding,
    Int8Linear,
    Int8Mlp,
    Linear,
    Mlp,
    Norm,
    PackedEmbedding,
    PackedLinear,
    PackedMlp,
    Sublayer,
    dequantize,
)
from dsassist_model.long_context import Far, LayerPages, LongContext
from dsassist_model.memory import in_huge_pages

__all__ = ["Segment", "Transformer"]


@dataclass(slots=True)
class Segment:
    """Consecutive tokens of one sequence. ``table`` [pages] int32 on the device covers ``past + len(tokens)``
    tokens."""

    tokens: Sequence[int]
    past: int
    """Tokens of the sequence that are in the table's pages already."""
    table: Tensor
    outputs: int = 1
    """For how many of the last tokens the hidden state is wanted; 0 only fills the cache."""
    last: bool = True
    """Whether the prompt ends here, or more of it follows in a later pass."""
    start: int | None = None
    """Position of the first token in the text; None for ``past``. More than that where pages were given back."""
    far: Callable[[int], Far | None] | None = None
    """What stands for those pages in a layer."""
    asked: Tensor | None = None
    """[pages] float32, counts how often a page's keys were chosen."""

    @property
    def position(self) -> int:
        """Of the first token in the text."""
        return self.past if self.start is None else self.start


@dataclass(slots=True)
class Layer:
    """One decoder layer: norms are part of what follows them."""

    qkv: Sublayer
    out: Sublayer
    mlp: Sublayer


class Transformer:
    """A loaded model. ``tensors`` are a converted file's (see ``convert``); on a CPU they are used as they are,
    memory-mapped."""

    def __init__(
        self, config: ModelConfig, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype | None = None
    ) -> None:
        """``dtype`` None runs the file's own scheme (CPU only); a floating type dequantizes to it."""
        self.config, self.device = config, device
        self.dtype = dtype or torch.float32
        # a model that was asked for in one type computes everything in it: it is what others are compared with
        own = LongContext.for_machine(device, self.dtype, config.head_dim, config.num_layers)
        self.long_context = own if dtype is None else LongContext(dtype=dtype)
        self._as_stored = dtype is None
        self._tensors, self._split_head = tensors, None
        if dtype is None and device.type == "cpu":
            self._split_head = _split(tensors)
            left = [] if self._split_head is None else ["head.packed"]
            self._tensors = _placed(config, {n: t for n, t in tensors.items() if n not in left})
        self.bytes_per_token = _bytes_per_token(config, tensors, self._split_head)
        """Of the weights as they are stored, those that a greedily decoded token has to read."""
        self.embed = self._embedding()
        if self._split_head is None:
            self.head = self.embed.head() if config.tie_embeddings else self._linear("head")
        self.norm = self._norm("norm")
        self.layers = [self._layer(f"layers.{i}") for i in range(config.num_layers)]
        frequencies = torch.tensor(config.inverse_frequencies, dtype=torch.float64)
        angles = torch.arange(config.max_context, dtype=torch.float64)[:, None] * frequencies[None, :]
        self.cos, self.sin = angles.cos().to(device, self.dtype), angles.sin().to(device, self.dtype)
        self.key_offset = self._key_offset()
        self.cheap_rows = cheap_rows() if self._has("embed.packed") else _CHEAP_ROWS[device.type == "cpu"]
        """Rows of a pass that take hardly longer than one; drafts are as long as that."""
        self._tensors = {}  # the layers hold what they use

    def new_pool(self, pages: int, dtype: torch.dtype | None = None) -> KVPool:
        """An empty cache of ``pages`` × 64 tokens, in the model's type or in ``dtype`` (int8)."""
        return KVPool(self.config, pages, self.device, dtype or self.dtype, self.key_offset)

    @torch.inference_mode()
    def forward(self, segments: Sequence[Segment], pool: KVPool, check: Callable[[], None] | None = None) -> Tensor:
        """Run ``segments``, write their keys and values, return the wanted hidden states [sum of outputs, hidden],
        normed.

        ``check`` is called between layers; what it raises ends the pass. The cache's places of these segments are
        then undefined.
        """
        tokens = torch.tensor([t for s in segments for t in s.tokens], device=self.device)
        positions = torch.cat(
            [torch.arange(s.position, s.position + len(s.tokens), device=self.device) for s in segments]
        )
        slots = torch.cat([_slots(s) for s in segments])
        cos, sin = self.cos[positions], self.sin[positions]
        x = self.embed(tokens)
        if len(segments) == 1 and len(tokens) <= FEW_QUERIES and (stack := self._stack(segments[0], pool)):
            if check is not None:
                check()
            (s,) = segments
            x = stack(x, cos, sin, slots, s.table, s.past, chosen=self.long_context.chosen_pages(s.past + len(tokens)))
            return rms_norm(x[len(tokens) - s.outputs :], *self.norm)
        heads = self.config.num_heads
        for i, layer in enumerate(self.layers):
            if check is not None:
                check()
            pages = pool.layer(i)
            qkv = layer.qkv(x)
            q = rotate_and_store(
                *(qkv, cos, sin, slots, pages.keys, pages.values, heads),
                scales=pages.scales,
                bounds=pages.bounds,
                offset=pages.offset,
            )
            mixed, start = [], 0
            for s in segments:
                end = start + len(s.tokens)
                far = s.far(i) if s.far else None
                own = q if len(segments) == 1 else q[start:end]
                piece = self.long_context.attend(i, own, pages, s.table, s.past, last=s.last, far=far, asked=s.asked)
                mixed.append(piece.reshape(end - start, -1))
                start = end
            if i + 1 == len(self.layers):  # from here on only the wanted rows matter
                wanted = _wanted(segments, self.device)
                if not len(wanted):
                    return x[:0]
                x, mixed = x[wanted], [torch.cat(mixed)[wanted]]
            x = layer.out(mixed[0] if len(mixed) == 1 else torch.cat(mixed), x)
            x = layer.mlp(x, x)
        return rms_norm(x, *self.norm)

    @torch.inference_mode()
    def logits(self, hidden: Tensor, *, greedy: bool = False) -> Tensor:
        """``hidden`` [N, hidden] → [N, vocabulary] float32. With ``greedy``, only those that may be a row's largest are
        exact, where that is cheaper; the others are near."""
        if self._split_head is not None:
            return self._split_head(hidden, everything=not greedy)
        return self.head(hidden).float()

    def _stack(self, segment: Segment, pool: KVPool) -> LayerStack | None:
        """The layers in one call, where they all are packed and nothing but pages is attended to."""
        if segment.far is not None or not native.enabled():
            return None
        if pool.stack is None:
            layers = [self._layer_tensors(i, pool.layer(i)) for i in range(len(self.layers))]
            found = [layer for layer in layers if layer is not None and available(layer)]
            if len(found) < len(layers):
                return None
            pool.stack = LayerStack(found)
        return pool.stack

    def _layer_tensors(self, i: int, pages: LayerPages) -> LayerTensors | None:
        layer = self.layers[i]
        if not isinstance(layer.qkv, PackedLinear) or not isinstance(layer.out, PackedLinear):
            return None
        if not isinstance(layer.mlp, PackedMlp) or layer.qkv.norm is None or layer.mlp.norm is None:
            return None
        return LayerTensors(
            qkv=layer.qkv.weight,
            qkv_bias=layer.qkv.bias,
            qkv_norm=layer.qkv.norm,
            qkv_eps=layer.qkv.eps,
            out=layer.out.weight,
            out_bias=layer.out.bias,
            gate_up=layer.mlp.gate_up,
            down=layer.mlp.down,
            mlp_norm=layer.mlp.norm,
            mlp_eps=layer.mlp.eps,
            keys=pages.keys,
            values=pages.values,
            scales=pages.scales,
            bounds=pages.bounds,
            offset=pages.offset,
            chooses=self.long_context.may_choose(i) and pages.bounds is not None,
        )

    def _key_offset(self) -> Tensor | None:
        """What a key is on average whatever the token, [L, kv heads, D]: its bias, turned to places of a long prompt.
        Components that turn slowly keep nearly all of it, and in some models it is many times the rest."""
        kv, d = self.config.num_kv_heads, self.config.head_dim
        cos, sin = (table.float().mean(0, keepdim=True) for table in (self.cos, self.sin))
        parts = []
        for i in range(self.config.num_layers):
            bias = self._tensors.get(f"layers.{i}.qkv.bias")
            if bias is None:
                return None
            heads = bias.to(self.device, torch.float32).view(-1, d)[-2 * kv : -kv]
            parts.append(rotate(heads[None], cos, sin)[0])
        return torch.stack(parts)

    def _layer(self, name: str) -> Layer:
        mlp: Sublayer
        before = self._norm(f"{name}.ffn_norm")
        if self._has(f"{name}.gate_up.packed") and self._has(f"{name}.down.packed"):
            mlp = PackedMlp(self._tensors, name, before)
        elif self._has(f"{name}.gate_up.scale") and self._has(f"{name}.down.scale"):
            mlp = Composed(Int8Mlp(self._tensors, name), before)
        else:
            mlp = Composed(Mlp(self._linear(f"{name}.gate_up"), self._linear(f"{name}.down")), before)
        return Layer(
            qkv=self._sublayer(f"{name}.qkv", self._norm(f"{name}.attn_norm")), out=self._sublayer(f"{name}.o"), mlp=mlp
        )

    def _sublayer(self, name: str, norm: Norm | None = None) -> Sublayer:
        if self._has(f"{name}.packed"):
            return PackedLinear(self._tensors, name, norm)
        return Composed(self._linear(name), norm)

    def _linear(self, name: str) -> Linear:
        if self._has(f"{name}.packed"):
            return PackedLinear(self._tensors, name)
        if self._has(f"{name}.scale"):
            # rounding the input of attention to one digit costs as much agreement with float32 as all weights together;
            # the output projection and the head are small or read for few rows, where the second digit is nearly free
            return Int8Linear(self._tensors, name, digits=2)
        bias = self._tensors.get(f"{name}.bias")
        weight = dequantize(self._tensors, name, self.device, self.dtype)
        return FloatLinear(weight, None if bias is None else bias.to(self.device, self.dtype))

    def _embedding(self) -> Embedding:
        if self._has("embed.packed"):
            return PackedEmbedding(self._tensors)
        if self._has("embed.scale"):
            return Int8Embedding(self._tensors)
        return FloatEmbedding(dequantize(self._tensors, "embed", self.device, self.dtype))

    def _has(self, name: str) -> bool:
        return self._as_stored and name in self._tensors

    def _norm(self, name: str) -> Norm:
        return Norm(self._tensors[f"{name}.weight"].to(self.device, self.dtype), self.config.rms_norm_eps)


_CHEAP_ROWS = {True: 4, False: 16}
"""Of weights that are not packed, on a CPU and elsewhere."""


def _placed(config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that every token reads go to memory that is quick to read; an embedding of its own is looked up row by
    row, and stays in the file."""
    looked_up = {} if config.tie_embeddings else {n: t for n, t in tensors.items() if n.startswith("embed.")}
    return dict(in_huge_pages({n: t for n, t in tensors.items() if n not in looked_up})) | looked_up


def _bytes_per_token(config: ModelConfig, tensors: Mapping[str, Tensor], head: SplitHead | None) -> int:
    looked_up = () if config.tie_embeddings else ("embed.",)
    whole = [
        t for name, t in tensors.items() if not name.startswith(looked_up) and (head is None or name != "head.packed")
    ]
    return sum(t.numel() * t.element_size() for t in [*whole, *([] if head is None else [head.parts[0]])])


def _split(tensors: Mapping[str, Tensor]) -> SplitHead | None:
    head = SplitHead.of(tensors["head.packed"]) if "head.packed" in tensors else None
    if head is None:
        return None
    placed = in_huge_pages({str(number): part for number, part in enumerate(head.parts)})
    return SplitHead(tuple(placed.values()))


def _slots(segment: Segment) -> Tensor:
    positions = torch.arange(segment.past, segment.past + len(segment.tokens), device=segment.table.device)
    return segment.table[positions // PAGE].long() * PAGE + positions % PAGE


def _wanted(segments: Sequence[Segment], device: torch.device) -> Tensor:
    rows, start = [], 0
    for s in segments:
        start += len(s.tokens)
        rows.append(torch.arange(start - s.outputs, start, device=device))
    return torch.cat(rows)
