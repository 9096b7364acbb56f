"""A model in a GGUF file: its configuration, its tokenizer, and its tensors as fp32 under our own names. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from dsassist_model.config import ARCHITECTURES, Architecture, ModelConfig, SpecialTokens
from dsassist_model.errors import BadModelFile
from dsassist_model.gguf_header import GgufHeader, TensorInfo, read_header
from dsassist_model.gguf_tokenizer import build_tokenizer_json, special_tokens
from dsassist_model.layout import expected_shapes

__all__ = ["GgufModel", "open_gguf"]

_REMEDY = "Download it again, or take another file of the model."

_LAYER_NAMES = {
    "attn_norm": "attn_norm",
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_norm": "ffn_norm",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
_TOP_NAMES = {"token_embd.weight": "embed.weight", "output_norm.weight": "norm.weight", "output.weight": "head.weight"}
_ROPE_FACTORS = "rope_freqs.weight"

_CODES = {
    GGMLQuantizationType.Q4_0: slice(2, 18),
    GGMLQuantizationType.Q4_1: slice(4, 20),
    GGMLQuantizationType.Q5_0: slice(2, 22),
    GGMLQuantizationType.Q5_1: slice(4, 24),
    GGMLQuantizationType.Q8_0: slice(2, 34),
    GGMLQuantizationType.Q4_K: slice(16, 144),
    GGMLQuantizationType.Q5_K: slice(16, 176),
    GGMLQuantizationType.Q6_K: slice(0, 192),
}
"""The bytes of a block that hold the values' integers; the others hold scales (ggml-common.h)."""


def open_gguf(path: Path | str) -> GgufModel:
    """Open and check a GGUF file. Reads the header only; tensors are read when asked for.

    Raises:
        BadModelFile: it is no GGUF file, is damaged or cut off, or holds a model of an unsupported kind.
    """
    return GgufModel(read_header(Path(path)))


class GgufModel:
    """See ``open_gguf``."""

    def __init__(self, header: GgufHeader) -> None:
        self._header = header
        self._infos = _canonical(header)
        self.config = _config(header, self._infos)
        shapes = expected_shapes(self.config)
        for name, shape in shapes.items():
            if name not in self._infos:
                raise BadModelFile(f"{header.path} lacks the tensor {name!r}.", remedy=_REMEDY)
            if self._infos[name].shape != shape:
                raise BadModelFile(
                    f"{header.path}: {name!r} has the shape {list(self._infos[name].shape)}, and its "
                    f"configuration asks for {list(shape)}.",
                    remedy=_REMEDY,
                )
        for name in self._infos:
            if name not in shapes:
                raise BadModelFile(
                    f"{header.path} has a tensor {name!r}, which no {self.config.architecture} model known here has.",
                    remedy="Take another model; `dsassist model list` names some.",
                )
        self.names = tuple(shapes)
        """Canonical names of all tensors."""

    @property
    def path(self) -> Path:
        """The file."""
        return self._header.path

    @cached_property
    def special(self) -> SpecialTokens:
        """Ends of generation, fill-in-the-middle tokens, chat template."""
        return special_tokens(self._header.metadata)

    def tokenizer_json(self) -> str:
        """The tokenizer in the ``tokenizers`` library's format.

        Raises:
            BadModelFile: the vocabulary is damaged or of an unsupported kind.
        """
        return build_tokenizer_json(self._header.metadata)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor by canonical name, ``[out, in]`` for matrices."""
        return self._infos[name].shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows ``start:stop`` of a tensor as fp32 (all of a vector), in the half-split rotary order."""
        return self._rows(name, start, stop, self._dequantized)

    def kind(self, name: str) -> str:
        """GGUF's name of what a tensor is stored as: ``Q5_0``."""
        return self._infos[name].kind.name

    def levels(
        self, name: str, columns: int, start: int = 0, stop: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """For rows ``start:stop`` of a matrix and every ``columns`` columns, the value of integers with no bit set and
        the distance from one integer to the next [rows, groups]; None for kinds that are not made so.

        The library's own dequantization tells them, of blocks whose integers were overwritten.
        """
        codes = _CODES.get(self._infos[name].kind)
        if codes is None:
            return None

        def of(byte: int) -> NDArray[np.float32]:
            def read(info: TensorInfo, start: int, stop: int) -> NDArray[np.float32]:
                return self._dequantized(info, start, stop, codes, byte)[:, ::columns]

            return self._rows(name, start, stop, read)

        if self._infos[name].kind is GGMLQuantizationType.Q8_0:  # signed bytes: the lowest integer is -128
            one = of(1)
            return -128 * one, one
        low, top = of(0), next((1 << digit) - 1 for digit in (4, 5, 6) if str(digit) in self.kind(name))
        return low, ((of(255) - low) / top).astype(np.float32)

    def _rows(
        self,
        name: str,
        start: int,
        stop: int | None,
        read: Callable[[TensorInfo, int, int], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        info = self._infos[name]
        if self.config.architecture == "llama" and name.rsplit(".", 2)[-2] in ("q", "k"):
            # Rows are permuted across a whole head: read them all, put them in order, then cut.
            heads = info.shape[0] // self.config.head_dim
            values = read(info, 0, info.shape[0])
            paired = values.reshape(heads, self.config.head_dim // 2, 2, -1)
            return np.ascontiguousarray(paired.swapaxes(1, 2)).reshape(values.shape)[start:stop]
        return read(info, start, info.shape[0] if stop is None else min(stop, info.shape[0]))

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """All tensors, whole, one at a time."""
        for name in self.names:
            yield name, self.read(name)

    def _dequantized(
        self, info: TensorInfo, start: int, stop: int, codes: slice | None = None, byte: int = 0
    ) -> NDArray[np.float32]:
        """Rows ``start:stop``; with ``codes``, as if these bytes of every block were ``byte``."""
        block, block_bytes = GGML_QUANT_SIZES[info.kind]
        row_bytes = math.prod(info.shape[1:]) // block * block_bytes if len(info.shape) > 1 else block_bytes // block
        raw = self._header.data[info.offset + start * row_bytes : info.offset + stop * row_bytes]
        shape = (stop - start, *info.shape[1:])
        if codes is not None:
            raw = raw.reshape(-1, block_bytes).copy()
            raw[:, codes] = byte
        try:
            values = dequantize(raw.reshape(shape[0], -1) if len(shape) > 1 else raw, info.kind)
        except NotImplementedError as error:
            raise BadModelFile(
                f"{self.path}: {info.name!r} is quantized as {info.kind.name}, which is not supported.",
                remedy="Q4_K_M, Q5_K_M, Q6_K, Q8_0 and F16 files are.",
            ) from error
        return values.astype(np.float32, copy=False).reshape(shape)


def _canonical(header: GgufHeader) -> dict[str, TensorInfo]:
    names: dict[str, TensorInfo] = {}
    for name, info in header.tensors.items():
        if name == _ROPE_FACTORS:
            continue
        canonical = _TOP_NAMES.get(name)
        if canonical is None and name.startswith("blk."):
            parts = name.split(".")
            if len(parts) == 4 and parts[1].isdecimal() and parts[2] in _LAYER_NAMES:
                canonical = f"layers.{int(parts[1])}.{_LAYER_NAMES[parts[2]]}.{parts[3]}"
        names[canonical or name] = info
    return names


def _config(header: GgufHeader, infos: Mapping[str, TensorInfo]) -> ModelConfig:
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    if architecture not in ARCHITECTURES:
        raise BadModelFile(
            f"{header.path} holds a model of the architecture {architecture!r}.",
            remedy=f"Supported are {' and '.join(ARCHITECTURES)}; `dsassist model list` names models that work.",
        )

    def number(name: str, kind: type[int] | type[float], default: float | None = None) -> Any:
        value = metadata.get(f"{architecture}.{name}", default)
        if value is None:
            raise BadModelFile(f"{header.path} lacks the key {architecture}.{name}.", remedy=_REMEDY)
        if not isinstance(value, kind):
            raise BadModelFile(f"{header.path} is damaged: {architecture}.{name} is {value!r}.", remedy=_REMEDY)
        return value

    heads, hidden = number("attention.head_count", int), number("embedding_length", int)
    if heads <= 0 or hidden <= 0:
        raise BadModelFile(f"{header.path} is damaged: {heads} heads of width {hidden}.", remedy=_REMEDY)
    head_dim = number("attention.key_length", int, hidden // heads)
    for name in ("attention.value_length", "rope.dimension_count"):
        if number(name, int, head_dim) != head_dim:
            raise BadModelFile(f"{header.path}: {architecture}.{name} other than the head size is not supported.")
    embedding = infos.get("embed.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise BadModelFile(f"{header.path} lacks the tensor 'token_embd.weight'.", remedy=_REMEDY)
    tokens = metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, list) and len(tokens) > embedding.shape[0]:
        raise BadModelFile(
            f"{header.path} is damaged: {len(tokens)} tokens, but {embedding.shape[0]} rows of embedding.",
            remedy=_REMEDY,
        )
    # Attention over a sliding window equals plain attention up to its length.
    context = min(number("context_length", int), number("attention.sliding_window", int, 0) or 1 << 62)
    return _named(
        header.path,
        architecture=cast(Architecture, architecture),
        vocab_size=embedding.shape[0],
        hidden_size=hidden,
        intermediate_size=number("feed_forward_length", int),
        num_layers=number("block_count", int),
        num_heads=heads,
        num_kv_heads=number("attention.head_count_kv", int, heads),
        head_dim=head_dim,
        rope_theta=number("rope.freq_base", float, 10_000.0),
        rope_scaling=_rope_scaling(header, architecture, head_dim),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon", float),
        max_context=context,
        qkv_bias="layers.0.q.bias" in infos,
        tie_embeddings="head.weight" not in infos,
    )


def _named(path: Path, **facts: Any) -> ModelConfig:
    """A configuration whose refusal names the file."""
    try:
        return ModelConfig(**facts)
    except BadModelFile as error:
        raise BadModelFile(f"{path}: {error.message}", remedy=error.remedy) from error


def _rope_scaling(header: GgufHeader, architecture: str, head_dim: int) -> Mapping[str, Any] | None:
    kind = header.metadata.get(f"{architecture}.rope.scaling.type", "none")
    if kind not in ("none", "linear"):
        raise BadModelFile(
            f"{header.path} asks for the rotary scaling {kind!r}, which is not supported.",
            remedy="Supported are linear and llama3, or a model without.",
        )
    factor = header.metadata.get(f"{architecture}.rope.scaling.factor", 1.0) if kind == "linear" else 1.0
    if not isinstance(factor, float) or not math.isfinite(factor) or factor <= 0:
        raise BadModelFile(f"{header.path} is damaged: a rotary scaling by {factor!r}.", remedy=_REMEDY)
    factors = [factor] * (head_dim // 2)
    info = header.tensors.get(_ROPE_FACTORS)
    if info is not None:
        raw = header.data[info.offset : info.offset + info.size]
        values = dequantize(raw, info.kind).astype(float).tolist()
        if len(values) != len(factors) or not all(math.isfinite(v) and v > 0 for v in values):
            raise BadModelFile(f"{header.path} is damaged: {_ROPE_FACTORS} does not fit.", remedy=_REMEDY)
        factors = [a * b for a, b in zip(factors, values, strict=True)]
    return None if all(f == 1.0 for f in factors) else {"type": "factors", "factors": factors}
