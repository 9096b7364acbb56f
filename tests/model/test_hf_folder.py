from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsassist_model.config import rope_scaling_from
from dsassist_model.errors import BadModelFile
from dsassist_model.gguf_file import open_gguf
from dsassist_model.hf_folder import open_hf_folder
from dsassist_model.tokenizer import Tokenizer


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("shards", [1, 3])
def test_equals_the_gguf_of_the_same_model(tmp_path: Path, tiny: Any, architecture: str, shards: int) -> None:
    model = tiny(architecture, tied=True)
    folder = open_hf_folder(model.write_hf(tmp_path / "hf", shards=shards))
    file = open_gguf(model.write_gguf(tmp_path / "m.gguf"))
    assert json.loads(folder.config.to_json()) == pytest.approx(json.loads(file.config.to_json()))
    assert folder.special == file.special
    expected = dict(file.tensors())
    for name, array in folder.tensors():
        np.testing.assert_array_equal(array, expected[name])
    text = "def f():\n    return x<|fim_middle|>"
    ids = [Tokenizer.from_json(m.tokenizer_json(), m.special).encode(text) for m in (folder, file)]
    assert ids[0] == ids[1]


def test_bf16(tmp_path: Path, tiny: Any) -> None:
    model = tiny()
    for name, array in dict(open_hf_folder(model.write_hf(tmp_path / "hf", dtype="BF16")).tensors()).items():
        cut = (model.arrays[name].view(np.uint32) & 0xFFFF0000).view(np.float32)
        np.testing.assert_array_equal(array, cut)


def test_chat_template_files_win(tmp_path: Path, tiny: Any) -> None:
    folder = tiny().write_hf(tmp_path / "hf")
    (folder / "chat_template.jinja").write_text("hello")
    assert open_hf_folder(folder).special.chat_template == "hello"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"num_hidden_layers": 5}, "layers.2"),
        ({"hidden_size": "wide"}, "config.json"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"quantization_config": {"quant_method": "awq"}}, "already quantized"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ({"rope_scaling": {"rope_type": "linear"}}, "lacks a number"),
        ({"rms_norm_eps": -1.0}, "rms_norm_eps"),
        ({"num_key_value_heads": 3}, "evenly"),
    ],
)
def test_unsupported_or_damaged_configuration(tmp_path: Path, tiny: Any, changes: dict[str, Any], words: str) -> None:
    folder = tiny().write_hf(tmp_path / "hf", changes=changes)
    with pytest.raises(BadModelFile, match=words.replace(".", r"\.")):
        open_hf_folder(folder)


def test_missing_and_damaged_files(tmp_path: Path, tiny: Any) -> None:
    with pytest.raises(BadModelFile, match=r"no config\.json"):
        open_hf_folder(tmp_path)
    folder = tiny().write_hf(tmp_path / "hf")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(BadModelFile, match=r"tokenizer\.json cannot be read"):
        open_hf_folder(folder).tokenizer_json()
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    for damaged in (b"", data[:5], data[:300], data[:-1], b"\xff" * 8 + data[8:], data[:8] + b"x" + data[9:]):
        weights.write_bytes(damaged)
        with pytest.raises(BadModelFile, match=r"model\.safetensors"):
            open_hf_folder(folder)
    weights.unlink()
    with pytest.raises(BadModelFile, match=r"has no model\.safetensors"):
        open_hf_folder(folder)


def test_an_index_cannot_point_outside_the_folder(tmp_path: Path, tiny: Any) -> None:
    folder = tiny().write_hf(tmp_path / "hf", shards=2)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(BadModelFile, match="index"):
        open_hf_folder(folder)


def test_llama3_scaling_keeps_high_frequencies_and_divides_low_ones() -> None:
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    found = rope_scaling_from(scaling, head_dim=128, theta=500000.0)
    assert found is not None
    factors = found["factors"]
    assert factors[0] == 1.0
    assert factors[-1] == pytest.approx(8.0)
    assert list(factors) == sorted(factors)
    assert rope_scaling_from({"rope_type": "default"}, head_dim=64, theta=1e4) is None
