"""What a model is: its shape, its special tokens, and their round trip through a file's metadata. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from dsassist_model.errors import BadModelFile

__all__ = [
    "FimTokens",
    "ModelConfig",
    "SpecialTokens",
    "fim_from_vocabulary",
    "is_end_of_generation",
    "rope_scaling_from",
]

Architecture = Literal["qwen2", "llama"]
ARCHITECTURES: tuple[Architecture, ...] = ("qwen2", "llama")

_T = TypeVar("_T")

# A damaged header can hold any number; beyond these it is not a model that could be loaded at all.
_LARGEST = 1 << 24
_MOST_LAYERS = 1024


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The shape of a decoder-only transformer with grouped-query attention, rotary positions and a gated FFN."""

    architecture: Architecture
    vocab_size: int
    """Rows of the embedding; may be more than the tokenizer has tokens."""
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rope_theta: float
    rope_scaling: Mapping[str, Any] | None
    """None, or ``{"type": "factors", "factors": [...]}`` with ``head_dim / 2`` divisors of the rotary frequencies."""
    rms_norm_eps: float
    max_context: int
    qkv_bias: bool
    tie_embeddings: bool

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise BadModelFile(
                f"The architecture {self.architecture!r} is not supported.",
                remedy=f"Supported are {' and '.join(ARCHITECTURES)}; `dsassist model list` names models that work.",
            )
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "head_dim",
            "max_context",
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _LARGEST:
                raise BadModelFile(f"The model's {name} is {value!r}, which no model has.", remedy=_DAMAGED)
        if self.num_layers > _MOST_LAYERS:
            raise BadModelFile(f"The model has {self.num_layers} layers, which no model has.", remedy=_DAMAGED)
        if self.num_heads % self.num_kv_heads:
            raise BadModelFile(
                f"{self.num_heads} query heads cannot share {self.num_kv_heads} key heads evenly.", remedy=_DAMAGED
            )
        if self.head_dim % 2:
            raise BadModelFile(f"Rotary positions need an even head size, not {self.head_dim}.", remedy=_DAMAGED)
        for name in ("rope_theta", "rms_norm_eps"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
                raise BadModelFile(f"The model's {name} is {value!r}.", remedy=_DAMAGED)
        if self.rope_scaling is not None:
            factors = self.rope_scaling.get("factors")
            if self.rope_scaling.get("type") != "factors" or len(factors or ()) != self.head_dim // 2:
                raise BadModelFile(f"The rotary scaling {dict(self.rope_scaling)!r} is not supported.")

    @property
    def inverse_frequencies(self) -> tuple[float, ...]:
        """``head_dim / 2`` rotary frequencies in radians a position, scaling applied (half-split convention)."""
        half = self.head_dim // 2
        factors = self.rope_scaling["factors"] if self.rope_scaling else [1.0] * half
        return tuple(self.rope_theta ** (-i / half) / factors[i] for i in range(half))

    def to_json(self) -> str:
        """One line of JSON, for a file's metadata."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """The inverse of ``to_json``.

        Raises:
            BadModelFile: it is not such a JSON.
        """
        return _from_mapping(cls, _object(text, "model configuration"))


@dataclass(frozen=True, slots=True)
class FimTokens:
    """Token ids of the fill-in-the-middle format. All None for a model that was not trained for it."""

    prefix: int | None = None
    middle: int | None = None
    suffix: int | None = None
    pad: int | None = None
    repo_name: int | None = None
    file_sep: int | None = None

    @property
    def supported(self) -> bool:
        """Whether the model can fill in between a prefix and a suffix."""
        return self.prefix is not None and self.middle is not None and self.suffix is not None


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """What the tokenizer's file says beyond its vocabulary."""

    eos: tuple[int, ...]
    """Generation ends at any of these."""
    bos: int | None = None
    add_bos: bool = False
    """Whether a prompt starts with ``bos``."""
    chat_template: str | None = None
    """Jinja source."""
    fim: FimTokens = field(default_factory=FimTokens)

    def to_json(self) -> str:
        """One line of JSON, for a file's metadata."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SpecialTokens:
        """The inverse of ``to_json``.

        Raises:
            BadModelFile: it is not such a JSON.
        """
        values = _object(text, "special tokens")
        values["fim"] = _from_mapping(FimTokens, values.get("fim") or {})
        values["eos"] = tuple(values.get("eos") or ())
        return _from_mapping(cls, values)


_DAMAGED = "The file is damaged or of another kind: download it again."

# Spellings in use, most common first: Qwen, StarCoder and most others, DeepSeek-Coder, CodeGemma-like, Code Llama.
_FIM_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "prefix": ("<|fim_prefix|>", "<fim_prefix>", "<｜fim▁begin｜>", "<fim-prefix>", "▁<PRE>", "<PRE>"),
    "middle": ("<|fim_middle|>", "<fim_middle>", "<｜fim▁end｜>", "<fim-middle>", "▁<MID>", "<MID>"),
    "suffix": ("<|fim_suffix|>", "<fim_suffix>", "<｜fim▁hole｜>", "<fim-suffix>", "▁<SUF>", "<SUF>"),
    "pad": ("<|fim_pad|>", "<fim_pad>", "<fim-pad>"),
    "repo_name": ("<|repo_name|>", "<repo_name>", "<reponame>", "<|fim_repo|>"),
    "file_sep": ("<|file_sep|>", "<file_sep>"),
}
_END_SPELLINGS = frozenset(
    (
        "<|endoftext|>",
        "<|im_end|>",
        "<|eot_id|>",
        "<|end_of_text|>",
        "<|EOT|>",
        "<|end|>",
        "<｜end▁of▁sentence｜>",
        "</s>",
        "▁<EOT>",
        "<EOT>",
    )
)


def fim_from_vocabulary(special: Mapping[str, int]) -> FimTokens:
    """The fill-in-the-middle tokens among ``special``, a mapping of special tokens' spellings to ids.

    Names of repository and file separators count only beside the three that make filling-in possible: other models
    spell the same words for other purposes.
    """
    found = {role: next((special[s] for s in names if s in special), None) for role, names in _FIM_SPELLINGS.items()}
    tokens = FimTokens(**found)
    return tokens if tokens.supported else FimTokens()


def is_end_of_generation(spelling: str) -> bool:
    """Whether a special token of this spelling ends an answer in every model that has it."""
    return spelling in _END_SPELLINGS


def rope_scaling_from(scaling: Mapping[str, Any] | None, *, head_dim: int, theta: float) -> Mapping[str, Any] | None:
    """Rotary scaling as a Hugging Face ``config.json`` tells it, as divisors of the frequencies.

    ``linear`` divides all of them by ``factor``; ``llama3`` divides the low ones and blends between two wavelengths.

    Raises:
        BadModelFile: another kind (``yarn``, ``dynamic``, …), or one whose numbers are missing.
    """
    if not scaling:
        return None
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    half = head_dim // 2
    try:
        if kind == "default":
            return None
        if kind == "linear":
            return {"type": "factors", "factors": [float(scaling["factor"])] * half}
        if kind == "llama3":
            factor, low, high = (float(scaling[k]) for k in ("factor", "low_freq_factor", "high_freq_factor"))
            trained = float(scaling["original_max_position_embeddings"])
            factors = []
            for i in range(half):
                wavelength = 2 * math.pi * theta ** (i / half)
                blend = min(1.0, max(0.0, (trained / wavelength - low) / (high - low)))
                factors.append(1.0 / ((1 - blend) / factor + blend))
            return {"type": "factors", "factors": factors}
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise BadModelFile(f"The rotary scaling {dict(scaling)!r} lacks a number.", remedy=_DAMAGED) from error
    raise BadModelFile(
        f"The rotary scaling {kind!r} is not supported.", remedy="Supported are linear and llama3, or a model without."
    )


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise BadModelFile(f"The {what} in the file is not JSON: {error}.", remedy=_DAMAGED) from error
    if not isinstance(value, dict):
        raise BadModelFile(f"The {what} in the file is not a mapping.", remedy=_DAMAGED)
    return value


def _from_mapping(cls: type[_T], values: Mapping[str, Any]) -> _T:
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    try:
        return cls(**{name: value for name, value in values.items() if name in names})
    except TypeError as error:
        raise BadModelFile(f"The file's metadata is incomplete: {error}.", remedy=_DAMAGED) from error
