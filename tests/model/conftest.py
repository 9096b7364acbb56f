"""Tiny models written on the spot, real ones from the user's own cache, user state in a folder of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

from dsassist_model import convert, store
from dsassist_model.engine import Engine, Handle, Piece, Request
from dsassist_model.store import ModelPlace
from dsassist_model.transformer import Transformer

Arrays = dict[str, NDArray[np.float32]]

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
MERGES = ("d e", "de f", "Ġ x", "r e", "re t", "u r", "ur n", "ret urn")
_GGUF_NAMES = {
    "attn_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
    "embed": "token_embd",
    "norm": "output_norm",
    "head": "output",
}
_HF_NAMES = {
    "attn_norm": "input_layernorm",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def vocabulary() -> list[str]:
    """256 byte letters as GPT-2 spells them, the merges' products, the special tokens."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(b) for b in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]
    return letters + [merge.replace(" ", "") for merge in MERGES] + list(SPECIALS)


def _random_blocks(shape: tuple[int, ...], kind: Kind) -> NDArray[np.uint8]:
    """A matrix of ``kind``, random but for its blocks' scales, which are small."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(shape[0])
    blocks = rng.integers(0, 256, (shape[0], shape[1] // values, size), dtype=np.uint8)
    scales = (rng.random((*blocks.shape[:2], 2)) / 1000).astype(np.float16).view(np.uint8)
    if kind is Kind.Q6_K:
        blocks[..., 208:210] = scales[..., :2]
    else:
        blocks[..., :4] = scales
    return blocks.reshape(shape[0], -1)


class TinyModel:
    """Shapes and random weights of a model of two layers, written as GGUF or as a Hugging Face folder."""

    def __init__(
        self, architecture: str = "qwen2", *, tied: bool = False, seed: int = 0, layers: int = 2, wide: bool = False
    ) -> None:
        """``wide``: columns enough for every way of packing."""
        self.architecture, self.tied, self.layers = architecture, tied, layers
        self.hidden, self.heads, self.kv_heads, self.head_dim, self.ffn = (
            (256, 4, 2, 64, 256) if wide else (64, 4, 2, 16, 96)
        )
        self.vocab = vocabulary()
        rng = np.random.default_rng(seed)
        self.arrays: Arrays = {}
        kv = self.kv_heads * self.head_dim

        def add(name: str, *shape: int) -> None:
            self.arrays[name] = (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

        add("embed.weight", len(self.vocab), self.hidden)
        for i in range(layers):
            for role, rows, columns in (
                ("q", self.hidden, self.hidden),
                ("k", kv, self.hidden),
                ("v", kv, self.hidden),
                ("o", self.hidden, self.hidden),
                ("gate", self.ffn, self.hidden),
                ("up", self.ffn, self.hidden),
                ("down", self.hidden, self.ffn),
            ):
                add(f"layers.{i}.{role}.weight", rows, columns)
                if architecture == "qwen2" and role in "qkv":
                    add(f"layers.{i}.{role}.bias", rows)
            for role in ("attn_norm", "ffn_norm"):
                self.arrays[f"layers.{i}.{role}.weight"] = rng.uniform(0.5, 1.5, self.hidden).astype(np.float32)
        self.arrays["norm.weight"] = np.ones(self.hidden, np.float32)
        if not tied:
            add("head.weight", len(self.vocab), self.hidden)

    def write_gguf(
        self,
        path: Path,
        *,
        kind: Kind = Kind.F32,
        other: dict[str, Kind] | None = None,
        changes: dict[str, Any] | None = None,
    ) -> Path:
        """``other`` kinds by a matrix's role; ``changes`` replaces metadata by key; None leaves a key out."""
        writer = gguf.GGUFWriter(str(path), self.architecture)
        a = self.architecture
        metadata: dict[str, Any] = {
            f"{a}.block_count": self.layers,
            f"{a}.context_length": 512,
            f"{a}.embedding_length": self.hidden,
            f"{a}.feed_forward_length": self.ffn,
            f"{a}.attention.head_count": self.heads,
            f"{a}.attention.head_count_kv": self.kv_heads,
            f"{a}.attention.layer_norm_rms_epsilon": 1e-6,
            f"{a}.rope.freq_base": 10000.0,
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "qwen2",
            "tokenizer.ggml.tokens": self.vocab,
            "tokenizer.ggml.token_type": [1] * (len(self.vocab) - len(SPECIALS)) + [3] * len(SPECIALS),
            "tokenizer.ggml.merges": list(MERGES),
            "tokenizer.ggml.eos_token_id": self.vocab.index("<|im_end|>"),
            "tokenizer.chat_template": TEMPLATE,
        } | (changes or {})
        for key, value in metadata.items():
            if isinstance(value, str):
                writer.add_string(key, value)
            elif isinstance(value, float):
                writer.add_float32(key, value)
            elif isinstance(value, list):
                writer.add_array(key, value)
            elif value is not None:
                writer.add_uint32(key, value)
        for name, array in self.arrays.items():
            *layer, role, ending = name.split(".")
            stem = f"blk.{layer[1]}.{_GGUF_NAMES[role]}" if layer else _GGUF_NAMES[role]
            if self.architecture == "llama" and role in ("q", "k"):
                # llama.cpp stores the rows of each head as pairs (0, d/2), (1, d/2 + 1), …
                array = array.reshape(-1, 2, self.head_dim // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
            kept = (other or {}).get(role, kind)
            if kept is Kind.F32 or array.ndim == 1:
                writer.add_tensor(f"{stem}.{ending}", np.ascontiguousarray(array))
            else:
                if kept in (Kind.Q4_K, Kind.Q5_K, Kind.Q6_K):  # which the library only reads
                    quantized = _random_blocks(array.shape, kept)
                else:
                    quantized = gguf.quantize(np.ascontiguousarray(array), kept)
                writer.add_tensor(f"{stem}.{ending}", quantized, raw_dtype=kept)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def write_hf(
        self, folder: Path, *, dtype: str = "F32", shards: int = 1, changes: dict[str, Any] | None = None
    ) -> Path:
        """``dtype`` F32 or BF16 (weights are cut to bf16 first, so that both say the same)."""
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "model_type": self.architecture,
            "vocab_size": len(self.vocab),
            "hidden_size": self.hidden,
            "intermediate_size": self.ffn,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "rope_theta": 10000.0,
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 512,
            "tie_word_embeddings": self.tied,
            "eos_token_id": self.vocab.index("<|im_end|>"),
            "hidden_act": "silu",
        } | (changes or {})
        (folder / "config.json").write_text(json.dumps(config))
        first = len(self.vocab) - len(SPECIALS)
        tokenizer = {
            "version": "1.0",
            "added_tokens": [
                {
                    "id": first + i,
                    "content": text,
                    "special": i % 2 == 0,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                }
                for i, text in enumerate(SPECIALS)
            ],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
            "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
            "model": {
                "type": "BPE",
                "vocab": {token: i for i, token in enumerate(self.vocab[:first])},
                "merges": list(MERGES),
            },
        }
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
        names = list(self.arrays)
        files = [f"model-{i}.safetensors" for i in range(shards)] if shards > 1 else ["model.safetensors"]
        weight_map: dict[str, str] = {}
        for i, file in enumerate(files):
            header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
            blobs, at = [], 0
            for name in names[i::shards]:
                *layer, role, ending = name.split(".")
                top = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
                stem = f"model.layers.{layer[1]}.{_HF_NAMES[role]}" if layer else top[role]
                array = self.arrays[name]
                blob = array.tobytes() if dtype == "F32" else (array.view(np.uint32) >> 16).astype("<u2").tobytes()
                header[f"{stem}.{ending}"] = {
                    "dtype": dtype,
                    "shape": array.shape,
                    "data_offsets": [at, at + len(blob)],
                }
                weight_map[f"{stem}.{ending}"] = file
                blobs.append(blob)
                at += len(blob)
            text = json.dumps(header).encode()
            (folder / file).write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))
        if shards > 1:
            (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        return folder


@pytest.fixture
def tiny() -> type[TinyModel]:
    """The class: ``tiny("llama", tied=True).write_gguf(path)``."""
    return TinyModel


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All user state in a folder of the test's own, with a path short enough for a socket."""
    path = tmp_path_factory.mktemp("h")
    monkeypatch.setenv("DSASSIST_HOME", str(path))
    return path


@pytest.fixture(scope="session")
def pulled() -> Callable[[str], ModelPlace]:
    """The place of a real model in the user's own cache, by catalog name. Take it before ``home`` moves the state."""

    def find(name: str) -> ModelPlace:
        place = store.resolve(name)
        if not place.pulled:
            pytest.fail(f"This test needs the model {name}. Run: dsassist model pull {name}")
        return place

    return find


@dataclass
class Asked:
    """One request under way."""

    pieces: list[Piece] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)
    handle: Handle | None = None

    def emit(self, piece: Piece) -> None:
        self.pieces.append(piece)
        if piece.last:
            self.done.set()

    def wait(self) -> Asked:
        assert self.done.wait(60), "the engine did not answer"
        return self

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def last(self) -> Piece:
        return self.pieces[-1]


class Engines:
    """Makes engines on one tiny random model, asks them, and stops them at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Engine] = []

    def make(self, *, context: int = 512, **options: Any) -> Engine:
        loaded = convert.load(self.path)
        # a random model says anything, ends too: it is not to stop before a test has seen what it came for
        loaded.tokenizer.special = replace(loaded.special, eos=())
        config = replace(loaded.config, max_context=context)
        engine = Engine(Transformer(config, loaded.tensors, torch.device("cpu")), loaded.tokenizer, **options)
        self._made.append(engine)
        return engine

    @staticmethod
    def ask(engine: Engine, prompt: list[int] | str, **options: Any) -> Asked:
        tokens = engine.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        asked = Asked()
        asked.handle = engine.submit(Request(tokens, **options), asked.emit)
        return asked

    def stop(self) -> None:
        for engine in self._made:
            engine.stop()


@pytest.fixture
def engines(home: Path, tmp_path: Path) -> Iterator[Engines]:
    """Engines on a tiny model of one layer, whose answers are random but repeatable."""
    made = Engines(TinyModel(layers=1, seed=3).write_gguf(tmp_path / "tiny.gguf"))
    yield made
    made.stop()
