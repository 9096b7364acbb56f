"""A model in a Hugging Face folder: config.json, tokenizer.json, safetensors (one file, or several and an index).

No torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dsassist_model.config import (
    ARCHITECTURES,
    Architecture,
    ModelConfig,
    SpecialTokens,
    fim_from_vocabulary,
    is_end_of_generation,
    rope_scaling_from,
)
from dsassist_model.errors import BadModelFile
from dsassist_model.layout import expected_shapes

__all__ = ["HfModel", "open_hf_folder"]

_REMEDY = "Download the folder again."
_TOP_NAMES = {"model.embed_tokens": "embed", "model.norm": "norm", "lm_head": "head"}
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "gate",
    "mlp.up_proj": "up",
    "mlp.down_proj": "down",
}
_DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F64": np.dtype("<f8"),
}


@dataclass(frozen=True, slots=True)
class _Entry:
    data: NDArray[np.uint8]
    shape: tuple[int, ...]
    dtype: str


def open_hf_folder(path: Path | str) -> HfModel:
    """Open and check a Hugging Face folder. Reads headers only.

    Raises:
        BadModelFile: a file is missing, damaged or cut off, or the model is of an unsupported kind.
    """
    return HfModel(Path(path))


class HfModel:
    """See ``open_hf_folder``. The same protocol as ``GgufModel``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._config = _json(path / "config.json")
        self._entries = _entries(path)
        self.config = _model_config(path, self._config, self._entries)
        shapes = expected_shapes(self.config)
        for name, shape in shapes.items():
            entry = self._entries.get(name)
            if entry is None or entry.shape != shape:
                found = "is missing" if entry is None else f"has the shape {list(entry.shape)}"
                raise BadModelFile(f"{path}: tensor {name!r} {found}; expected {list(shape)}.", remedy=_REMEDY)
        extra = set(self._entries) - set(shapes) - {"head.weight"}
        if extra:
            raise BadModelFile(
                f"{path} has a tensor {min(extra)!r}, which no {self.config.architecture} model known here has."
            )
        self.names = tuple(shapes)
        """Canonical names of all tensors."""

    @cached_property
    def special(self) -> SpecialTokens:
        """Ends of generation, fill-in-the-middle tokens, chat template."""
        settings = _json(self.path / "tokenizer_config.json", optional=True)
        generation = _json(self.path / "generation_config.json", optional=True)
        added = {t["content"]: t["id"] for t in self._tokenizer["added_tokens"]}
        vocabulary = self._tokenizer["model"].get("vocab")
        if isinstance(vocabulary, dict):  # Code Llama's are ordinary tokens
            added |= {s: vocabulary[s] for s in ("▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>") if s in vocabulary}
        fim = fim_from_vocabulary(added)
        ends: set[Any] = {fim.pad, fim.repo_name, fim.file_sep}
        for source in (self._config, generation):
            value = source.get("eos_token_id")
            ends |= set(value) if isinstance(value, list) else {value}
        ends |= {i for spelling, i in added.items() if is_end_of_generation(spelling)}
        eos = tuple(sorted(i for i in ends if isinstance(i, int)))
        if not eos:
            raise BadModelFile(f"{self.path} names no token that ends an answer.", remedy=_REMEDY)
        bos = self._config.get("bos_token_id")
        bos = bos if isinstance(bos, int) else None
        return SpecialTokens(
            eos=eos,
            bos=bos,
            add_bos=settings.get("add_bos_token") is True and bos is not None,
            chat_template=self._chat_template(settings),
            fim=fim,
        )

    def tokenizer_json(self) -> str:
        """The folder's tokenizer. Added tokens count as special, but for runs of white space, which are ordinary text.

        Raises:
            BadModelFile: there is no ``tokenizer.json``, or it is damaged.
        """
        tokenizer = dict(self._tokenizer)
        tokenizer["added_tokens"] = [
            {**token, "special": not token["content"].isspace()} for token in tokenizer["added_tokens"]
        ]
        tokenizer["truncation"] = tokenizer["padding"] = None
        return json.dumps(tokenizer, ensure_ascii=False)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor by canonical name, ``[out, in]`` for matrices."""
        return self._entries[name].shape

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows ``start:stop`` of a tensor as fp32."""
        entry = self._entries[name]
        values = entry.data.view(_DTYPES[entry.dtype]).reshape(entry.shape)[start:stop]
        if entry.dtype == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return cast(NDArray[np.float32], values.astype(np.float32, copy=False))

    def kind(self, name: str) -> str:
        """What a tensor is stored as: ``BF16``."""
        return self._entries[name].dtype

    def levels(self, name: str, columns: int, start: int = 0, stop: int | None = None) -> None:
        """None: floating values lie on no levels (see ``convert.SourceModel``)."""

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """All tensors, whole, one at a time."""
        for name in self.names:
            yield name, self.read(name)

    @cached_property
    def _tokenizer(self) -> dict[str, Any]:
        tokenizer = _json(self.path / "tokenizer.json")
        added = tokenizer.setdefault("added_tokens", [])
        well_formed = isinstance(added, list) and all(
            isinstance(t, dict) and isinstance(t.get("content"), str) and isinstance(t.get("id"), int) for t in added
        )
        if not well_formed or not isinstance(tokenizer.get("model"), dict):
            raise BadModelFile(f"{self.path / 'tokenizer.json'} is damaged.", remedy=_REMEDY)
        return tokenizer

    def _chat_template(self, settings: Mapping[str, Any]) -> str | None:
        file = self.path / "chat_template.jinja"
        if file.is_file():
            return file.read_text(encoding="utf-8", errors="replace")
        template = settings.get("chat_template")
        if isinstance(template, list):  # several by name
            named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
            template = named.get("default")
        return template if isinstance(template, str) else None


def _json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if optional:
            return {}
        raise BadModelFile(
            f"{path.parent} is not a model: it has no {path.name}.",
            remedy="Give a GGUF file, or a folder with config.json, tokenizer.json and safetensors.",
        ) from error
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{path} cannot be read: {error}.", remedy=_REMEDY) from error
    if not isinstance(value, dict):
        raise BadModelFile(f"{path} is not a JSON mapping.", remedy=_REMEDY)
    return value


def _model_config(path: Path, config: Mapping[str, Any], entries: Mapping[str, _Entry]) -> ModelConfig:
    architecture = config.get("model_type")
    if architecture not in ARCHITECTURES:
        raise BadModelFile(
            f"{path} holds a model of the architecture {architecture!r}.",
            remedy=f"Supported are {' and '.join(ARCHITECTURES)}; `dsassist model list` names models that work.",
        )
    if config.get("quantization_config"):
        raise BadModelFile(
            f"{path} is already quantized, in a way that is not supported.",
            remedy="Give the original folder in bf16 or fp16, or a GGUF file.",
        )
    if config.get("hidden_act", "silu") != "silu":
        raise BadModelFile(f"{path}: the activation {config['hidden_act']!r} is not supported.")
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        head_dim = int(config.get("head_dim") or hidden // heads)
        rope = config.get("rope_parameters") or {}  # transformers 5 groups them
        theta = float(config.get("rope_theta") or rope.get("rope_theta") or 10_000.0)
        context = int(config["max_position_embeddings"])
        if config.get("use_sliding_window", architecture != "qwen2") and config.get("sliding_window"):
            context = min(context, int(config["sliding_window"]))  # equals plain attention up to there
        tied = bool(config.get("tie_word_embeddings", False))
        return ModelConfig(
            architecture=cast(Architecture, architecture),
            vocab_size=int(config["vocab_size"]),
            hidden_size=hidden,
            intermediate_size=int(config["intermediate_size"]),
            num_layers=int(config["num_hidden_layers"]),
            num_heads=heads,
            num_kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=head_dim,
            rope_theta=theta,
            rope_scaling=rope_scaling_from(config.get("rope_scaling") or rope, head_dim=head_dim, theta=theta),
            rms_norm_eps=float(config["rms_norm_eps"]),
            max_context=context,
            qkv_bias="layers.0.q.bias" in entries,
            tie_embeddings=tied,
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise BadModelFile(f"{path / 'config.json'} is damaged: {error!r}.", remedy=_REMEDY) from error


def _entries(path: Path) -> dict[str, _Entry]:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        names = _json(index).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(n, str) and Path(n).name == n for n in names.values()):
            raise BadModelFile(f"{index} is damaged.", remedy=_REMEDY)
        files = sorted(set(names.values()))
    else:
        files = ["model.safetensors"]
    entries: dict[str, _Entry] = {}
    for file in files:
        for name, entry in _read_safetensors(path / file).items():
            canonical = _canonical(name)
            if canonical:
                entries[canonical] = entry
    return entries


def _canonical(name: str) -> str | None:
    """Our name of a tensor; None for one that holds nothing that was learned."""
    stem, _, kind = name.rpartition(".")
    if kind == "inv_freq":
        return None
    if stem in _TOP_NAMES:
        return f"{_TOP_NAMES[stem]}.{kind}"
    parts = stem.split(".", 3)
    if len(parts) == 4 and parts[:2] == ["model", "layers"] and parts[2].isdecimal() and parts[3] in _LAYER_NAMES:
        return f"layers.{int(parts[2])}.{_LAYER_NAMES[parts[3]]}.{kind}"
    return name


def _read_safetensors(path: Path) -> dict[str, _Entry]:
    """The tensors of a safetensors file, mapped; every offset is compared with the file's size."""
    try:
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except FileNotFoundError as error:
        raise BadModelFile(f"{path.parent} has no {path.name}.", remedy=_REMEDY) from error
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{path} cannot be read: {error}.", remedy=_REMEDY) from error
    size = int.from_bytes(data[:8].tobytes(), "little") if len(data) >= 8 else len(data)
    if size > len(data) - 8:
        raise BadModelFile(f"{path} is cut off or not a safetensors file.", remedy=_REMEDY)
    entries: dict[str, _Entry] = {}
    try:
        header = json.loads(data[8 : 8 + size].tobytes())
        for name, facts in header.items():
            if name == "__metadata__":
                continue
            begin, end = facts["data_offsets"]
            shape = tuple(map(int, facts["shape"]))
            if facts["dtype"] not in _DTYPES:
                raise BadModelFile(
                    f"{path}: tensor {name!r} is of the type {facts['dtype']}.",
                    remedy="Give the original folder in bf16, fp16 or fp32, or a GGUF file.",
                )
            if end - begin != math.prod(shape) * _DTYPES[facts["dtype"]].itemsize or 8 + size + end > len(data):
                raise BadModelFile(f"{path} is cut off or damaged at tensor {name!r}.", remedy=_REMEDY)
            entries[name] = _Entry(data[8 + size + begin : 8 + size + end], shape, facts["dtype"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadModelFile(f"{path} is damaged: {error!r}.", remedy=_REMEDY) from error
    return entries
