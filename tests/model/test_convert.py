from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from dsassist_model import store
from dsassist_model.config import ModelConfig, SpecialTokens
from dsassist_model.convert import is_converted, load
from dsassist_model.errors import BadModelFile, ModelError, ModelNotPulled, UnknownModel
from dsassist_model.linear import dequantize
from dsassist_model.schemes import default


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("quantization", ["int8", "packed"])
def test_weights_are_close_and_fused(
    home: Path, tmp_path: Path, tiny: Any, architecture: str, tied: bool, quantization: str
) -> None:
    model = tiny(architecture, tied=tied)
    loaded = load(model.write_gguf(tmp_path / "m.gguf"), quantization=quantization)
    arrays = model.arrays
    expected = {
        "embed": arrays["embed.weight"],
        "layers.1.qkv": np.concatenate([arrays[f"layers.1.{r}.weight"] for r in "qkv"]),
        "layers.1.gate_up": np.concatenate([arrays[f"layers.1.{r}.weight"] for r in ("gate", "up")]),
        "layers.0.down": arrays["layers.0.down.weight"],
        "layers.0.o": arrays["layers.0.o.weight"],
    }
    if not tied:
        expected["head"] = arrays["head.weight"]
    for name, array in expected.items():
        exact = torch.from_numpy(array)
        if quantization == "packed" and exact.shape[0] % 16 == 0 and exact.shape[1] % 64 == 0 and "gate" not in name:
            assert loaded.tensors[f"{name}.packed"].dtype == torch.uint8
            stored = dequantize(loaded.tensors, name, torch.device("cpu"), torch.float32)
            assert float((stored - exact).norm() / exact.norm()) < 0.05, name
            continue
        weight, scale = loaded.tensors[f"{name}.weight"], loaded.tensors[f"{name}.scale"]
        assert weight.dtype == torch.int8
        assert scale.dtype == torch.float32
        error = (weight.float() * scale[:, None] - exact).abs().amax(dim=1)
        assert bool((error <= scale / 2 + 1e-7).all()), name
    assert ("head.weight" in loaded.tensors) is not tied
    assert ("layers.0.qkv.bias" in loaded.tensors) is (architecture == "qwen2")
    assert loaded.metadata["quantization"] == quantization
    assert loaded.metadata["source_sha256"] == store.file_sha256(tmp_path / "m.gguf")
    assert loaded.tokenizer.encode("def x") == [model.vocab.index("def"), model.vocab.index("Ġx")]
    assert loaded.special.fim.supported


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize(
    "kind", [Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K], ids=str
)
def test_what_a_file_has_quantized_is_kept_as_it_is(
    home: Path, tmp_path: Path, tiny: Any, architecture: str, kind: Kind
) -> None:
    path = tiny(architecture, wide=True).write_gguf(tmp_path / "m.gguf", kind=kind)
    source = load(path, quantization="none").tensors
    packed = load(path, quantization="packed").tensors
    for name in ("layers.0.qkv", "layers.1.o", "layers.0.gate_up", "layers.1.down"):
        stored = dequantize(packed, name, torch.device("cpu"), torch.float32)
        exact = source[f"{name}.weight"]
        # but for scales and bases, which are rounded to float16 where they were products of two numbers
        assert float((stored - exact).abs().max() / exact.abs().max()) < 6e-4, name
    smaller = {Kind.Q4_0: 9, Kind.Q5_0: 11, Kind.Q8_0: 17, Kind.Q6_K: 14, Kind.Q4_1: 10, Kind.Q4_K: 10}
    assert packed["layers.0.down.packed"].shape[2] == smaller.get(kind, 12) * 64


def test_a_matrix_joined_of_several_kinds_is_not_coarser_than_they(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny(wide=True).write_gguf(tmp_path / "m.gguf", kind=Kind.Q5_0, other={"v": Kind.Q8_0, "up": Kind.Q6_K})
    packed = load(path, quantization="packed").tensors
    sizes = {name: packed[f"layers.0.{name}.packed"].shape[2] // 64 for name in ("qkv", "gate_up", "o")}
    assert sizes == {"qkv": 17, "gate_up": 13, "o": 11}


def test_gguf_and_hugging_face_convert_alike(home: Path, tmp_path: Path, tiny: Any) -> None:
    model = tiny("llama")
    from_file = load(model.write_gguf(tmp_path / "m.gguf")).tensors
    from_folder = load(model.write_hf(tmp_path / "hf", shards=2)).tensors
    assert from_file.keys() == from_folder.keys()
    for name, tensor in from_file.items():
        assert torch.equal(tensor, from_folder[name]), name


def test_unquantized_is_exact(home: Path, tmp_path: Path, tiny: Any) -> None:
    model = tiny()
    loaded = load(model.write_gguf(tmp_path / "m.gguf"), quantization="none")
    np.testing.assert_array_equal(loaded.tensors["layers.1.down.weight"].numpy(), model.arrays["layers.1.down.weight"])
    np.testing.assert_array_equal(loaded.tensors["layers.0.qkv.weight"][:64].numpy(), model.arrays["layers.0.q.weight"])
    assert not store.resolve(tmp_path / "m.gguf").folder.exists()


def test_a_second_load_converts_nothing(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf", kind=Kind.Q8_0)
    load(path)
    place = store.resolve(path)
    assert is_converted(place)
    calls: list[int] = []
    load(path, progress=lambda done, total: calls.append(done))
    assert calls == []


def test_a_changed_source_is_converted_anew(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny(seed=1).write_gguf(tmp_path / "m.gguf")
    first = load(path).tensors["layers.0.attn_norm.weight"]
    tiny(seed=2).write_gguf(path)
    assert not torch.equal(load(path).tensors["layers.0.attn_norm.weight"], first)


def test_metadata_survives_the_round_trip(home: Path, tmp_path: Path, tiny: Any) -> None:
    loaded = load(tiny().write_gguf(tmp_path / "m.gguf"))
    assert ModelConfig.from_json(loaded.config.to_json()) == loaded.config
    assert SpecialTokens.from_json(loaded.special.to_json()) == loaded.special
    with pytest.raises(BadModelFile, match="not JSON"):
        ModelConfig.from_json("{")
    with pytest.raises(BadModelFile, match="incomplete"):
        ModelConfig.from_json('{"architecture": "qwen2"}')


def _damage(folder: Path, how: str) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    if how == "cut off":
        path.write_bytes(data[: len(data) // 2])
    elif how == "missing tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "no manifest":
        (folder / "manifest.json").unlink()


@pytest.mark.parametrize("how", ["cut off", "missing tokenizer", "no manifest"])
def test_a_converted_model_that_is_not_whole_is_made_anew(home: Path, tmp_path: Path, tiny: Any, how: str) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    before = load(path, quantization="int8").tensors["layers.0.o.weight"].clone()
    _damage(store.converted_dir(store.resolve(path), "int8"), how)
    assert torch.equal(load(path, quantization="int8").tensors["layers.0.o.weight"], before)


def test_a_damaged_header_is_named(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    load(path)
    file = store.converted_dir(store.resolve(path), default()) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[9:20] = b"x" * 11
    file.write_bytes(data)
    with pytest.raises(BadModelFile, match=r"model\.safetensors is damaged") as caught:
        load(path)
    assert "Delete" in caught.value.remedy


def test_weights_that_are_not_finite_are_refused(home: Path, tmp_path: Path, tiny: Any) -> None:
    model = tiny()
    model.arrays["layers.1.down.weight"][3, 5] = np.nan
    path = model.write_gguf(tmp_path / "m.gguf")
    with pytest.raises(BadModelFile, match=r"layers\.1\.down"):
        load(path)
    assert not is_converted(store.resolve(path))
    assert list(store.resolve(path).folder.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(
    home: Path, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tiny().write_gguf(tmp_path / "m.gguf")
    with monkeypatch.context() as patch, pytest.raises(ModelError, match="No space left"):
        patch.setattr(os, "fsync", full)
        load(path)
    assert list(store.resolve(path).folder.iterdir()) == []
    assert load(path).tensors


def test_unknown_and_missing_models(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match=r"no model 'qwen2\.5-coder-0\.6b'") as caught:
        load("qwen2.5-coder-0.6b")
    assert "qwen2.5-coder-0.5b" in caught.value.remedy
    with pytest.raises(UnknownModel, match="no file or folder"):
        load(tmp_path / "none.gguf")
    with pytest.raises(ModelNotPulled) as missing:
        load("qwen2.5-coder-0.5b")
    assert "dsassist model pull qwen2.5-coder-0.5b" in missing.value.remedy
    with pytest.raises(BadModelFile, match="int3"):
        load("qwen2.5-coder-0.5b", quantization="int3")


def test_two_processes_convert_at_once(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    command = [sys.executable, "-m", "dsassist_model.convert", str(path)]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    folder = store.resolve(path).folder
    assert [f.name for f in folder.iterdir()] == [store.converted_dir(store.resolve(path), default()).name]


def test_a_killed_conversion_leaves_no_half_model(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny(layers=40).write_gguf(tmp_path / "m.gguf")
    command = [sys.executable, "-m", "dsassist_model.convert", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["total"] > 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    place = store.resolve(path)
    assert load(path).tensors
    assert [f.name for f in place.folder.iterdir()] == [store.converted_dir(store.resolve(path), default()).name]


def test_the_command_tells_errors_as_json(home: Path, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUFGGUF")
    command = [sys.executable, "-m", "dsassist_model.convert", str(tmp_path / "m.gguf")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    facts = json.loads(run.stdout.splitlines()[-1])
    assert run.returncode == 3
    assert "m.gguf" in facts["message"]
    assert facts["remedy"]


def test_removing_leaves_the_users_own_file(home: Path, tmp_path: Path, tiny: Any) -> None:
    path = tiny().write_gguf(tmp_path / "m.gguf")
    load(path)
    place = store.resolve(path)
    assert store.remove(place) > 0
    assert path.exists()
    assert not place.folder.exists()
    assert store.remove(place) == 0


@pytest.mark.model
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_real_model_loads_by_memory_map(pulled: Any) -> None:
    place = pulled("smollm2-135m")
    load(place.name)
    loaded = load(place.name)
    file = str(store.converted_dir(place, default()) / "model.safetensors")
    address = next(t for name, t in loaded.tensors.items() if name.startswith("layers.3.down.")).data_ptr()
    mapped = [line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if file in line]
    assert any(int(begin, 16) <= address < int(end, 16) for begin, end in mapped)
    assert len(loaded.tensors) == 2 + 30 * 6 if default() == "packed" else 303
