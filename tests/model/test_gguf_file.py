from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind

from dsassist_model.errors import BadModelFile
from dsassist_model.gguf_file import open_gguf
from dsassist_model.tokenizer import Tokenizer


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
def test_reads_back_every_tensor_and_the_configuration(
    tmp_path: Path, tiny: Any, architecture: str, tied: bool
) -> None:
    model = tiny(architecture, tied=tied)
    opened = open_gguf(model.write_gguf(tmp_path / "m.gguf"))
    config = opened.config
    assert (config.architecture, config.num_layers, config.num_heads, config.num_kv_heads) == (architecture, 2, 4, 2)
    assert (config.hidden_size, config.intermediate_size, config.head_dim) == (64, 96, 16)
    assert config.tie_embeddings is tied
    assert config.qkv_bias is (architecture == "qwen2")
    assert config.vocab_size == len(model.vocab)
    tensors = dict(opened.tensors())
    assert set(tensors) == set(model.arrays)
    for name, expected in model.arrays.items():
        assert tensors[name].dtype == np.float32
        np.testing.assert_array_equal(tensors[name], expected, err_msg=name)


def test_blocks_of_rows_equal_the_whole(tmp_path: Path, tiny: Any) -> None:
    opened = open_gguf(tiny("llama").write_gguf(tmp_path / "m.gguf", kind=Kind.Q8_0))
    for name in ("embed.weight", "layers.1.q.weight", "layers.0.down.weight", "layers.0.attn_norm.weight"):
        whole = opened.read(name)
        np.testing.assert_array_equal(np.concatenate([opened.read(name, 0, 17), opened.read(name, 17)]), whole)


@pytest.mark.parametrize("kind", [Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1])
def test_dequantizes(tmp_path: Path, tiny: Any, kind: Kind) -> None:
    model = tiny()
    opened = open_gguf(model.write_gguf(tmp_path / "m.gguf", kind=kind))
    for name, array in opened.tensors():
        error = np.abs(array - model.arrays[name]).max()
        assert error < 0.15 * np.abs(model.arrays[name]).max(), name


def test_special_tokens_and_tokenizer(tmp_path: Path, tiny: Any) -> None:
    model = tiny()
    opened = open_gguf(model.write_gguf(tmp_path / "m.gguf"))
    ids = {text: i for i, text in enumerate(model.vocab)}
    assert opened.special.fim.prefix == ids["<|fim_prefix|>"]
    assert opened.special.fim.middle == ids["<|fim_middle|>"]
    assert opened.special.fim.suffix == ids["<|fim_suffix|>"]
    assert opened.special.fim.supported
    assert set(opened.special.eos) == {ids["<|im_end|>"], ids["<|endoftext|>"]}
    assert not opened.special.add_bos
    tokenizer = Tokenizer.from_json(opened.tokenizer_json(), opened.special)
    assert tokenizer.encode("def x") == [ids["def"], ids["Ġx"]]
    assert tokenizer.encode("return") == [ids["return"]]


def test_metadata_names_tokens_that_are_spelled_otherwise(tmp_path: Path, tiny: Any) -> None:
    model = tiny()
    path = model.write_gguf(
        tmp_path / "m.gguf",
        changes={
            "tokenizer.ggml.token_type": [1] * len(model.vocab),
            "tokenizer.ggml.fim_pre_token_id": 1,
            "tokenizer.ggml.fim_mid_token_id": 2,
            "tokenizer.ggml.fim_suf_token_id": 3,
        },
    )
    fim = open_gguf(path).special.fim
    assert (fim.prefix, fim.middle, fim.suffix) == (1, 2, 3)


def test_a_sliding_window_caps_the_context(tmp_path: Path, tiny: Any) -> None:
    path = tiny("llama").write_gguf(tmp_path / "m.gguf", changes={"llama.attention.sliding_window": 128})
    assert open_gguf(path).config.max_context == 128


def test_linear_rope_scaling_divides_the_frequencies(tmp_path: Path, tiny: Any) -> None:
    scaling = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    config = open_gguf(tiny("llama").write_gguf(tmp_path / "m.gguf", changes=scaling)).config
    assert config.inverse_frequencies[0] == pytest.approx(0.25)
    assert config.inverse_frequencies[1] == pytest.approx(10000 ** (-1 / 8) / 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.architecture": "gemma9"}, "gemma9"),
        ({"qwen2.attention.head_count": 0}, "heads"),
        ({"qwen2.block_count": 3}, "layers.2"),
        ({"qwen2.embedding_length": 128}, "shape"),
        ({"qwen2.attention.layer_norm_rms_epsilon": None}, "layer_norm_rms_epsilon"),
        ({"qwen2.context_length": "many"}, "context_length"),
        ({"qwen2.rope.scaling.type": "yarn"}, "yarn"),
        ({"qwen2.rope.dimension_count": 8}, "rope.dimension_count"),
        ({"tokenizer.ggml.tokens": ["a"] * 900}, "900 tokens"),
    ],
)
def test_unsupported_or_contradictory_metadata(tmp_path: Path, tiny: Any, changes: dict[str, Any], words: str) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf", changes=changes)
    with pytest.raises(BadModelFile, match=words.replace(".", r"\.")) as caught:
        open_gguf(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokenizer.ggml.model": "llama"}, "'llama'"),
        ({"tokenizer.ggml.pre": "mystery"}, "mystery"),
        ({"tokenizer.ggml.merges": ["ab"]}, "no merge"),
        ({"tokenizer.ggml.tokens": None}, "no vocabulary"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "differ in number"),
    ],
)
def test_unsupported_tokenizers(tmp_path: Path, tiny: Any, changes: dict[str, Any], words: str) -> None:
    opened = open_gguf(tiny().write_gguf(tmp_path / "m.gguf", changes=changes))
    with pytest.raises(BadModelFile, match=words):
        opened.tokenizer_json()


def test_a_merge_of_unknown_tokens_is_refused(tmp_path: Path, tiny: Any) -> None:
    opened = open_gguf(tiny().write_gguf(tmp_path / "m.gguf", changes={"tokenizer.ggml.merges": ["zz yy"]}))
    with pytest.raises(BadModelFile, match="tokenizer is damaged"):
        Tokenizer.from_json(opened.tokenizer_json(), opened.special)


def test_a_tensor_of_another_architecture_is_refused(tmp_path: Path, tiny: Any) -> None:
    model = tiny("llama")
    path = model.write_gguf(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes().replace(b"blk.0.ffn_gate.weight", b"blk.0.ffn_what.weight"))
    with pytest.raises(BadModelFile, match="gate"):
        open_gguf(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"GG", "not a GGUF"),
        (b"PK\x03\x04" + bytes(100), "not a GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60), "cut off or damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(16), "None"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(BadModelFile, match=words) as caught:
        open_gguf(path)
    assert "m.gguf" in caught.value.message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadModelFile, match=r"no file .*m\.gguf"):
        open_gguf(tmp_path / "m.gguf")


def test_an_unknown_quantization_type(tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    data = bytearray(path.read_bytes())
    name = b"output_norm.weight"
    at = data.index(name) + len(name) + 4 + 8  # dimensions, one extent
    data[at : at + 4] = struct.pack("<I", 250)
    path.write_bytes(data)
    with pytest.raises(BadModelFile, match="quantization type 250"):
        open_gguf(path)


def test_a_quantization_type_without_a_reader(tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    data = bytearray(path.read_bytes())
    name = b"output_norm.weight"
    at = data.index(name) + len(name) + 4 + 8
    data[at : at + 4] = struct.pack("<I", Kind.I32)
    path.write_bytes(data)
    with pytest.raises(BadModelFile, match="I32"):
        open_gguf(path).read("norm.weight")


def test_every_truncation_is_named(tmp_path: Path, tiny: Any) -> None:
    data = tiny().write_gguf(tmp_path / "whole.gguf").read_bytes()
    path = tmp_path / "m.gguf"
    for size in [*range(0, 4000, 37), *range(4000, len(data) - 1, 9973), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(BadModelFile):
            open_gguf(path)


def test_bit_flips_never_end_in_a_traceback(tmp_path: Path, tiny: Any) -> None:
    data = tiny().write_gguf(tmp_path / "whole.gguf").read_bytes()
    header = data.index(b"output.weight") + 64  # the last of the header
    rng, path, refused = random.Random(0), tmp_path / "m.gguf", 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[rng.randrange(header)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            opened = open_gguf(path)
            Tokenizer.from_json(opened.tokenizer_json(), opened.special)
            for name in ("embed.weight", "layers.1.q.weight"):
                opened.read(name)
        except BadModelFile as error:
            refused += 1
            assert error.message
    assert refused > 100
