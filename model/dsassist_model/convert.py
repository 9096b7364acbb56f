"""Converts a model once into our own safetensors file, and loads that by memory map.

In the file: ``embed``, ``layers.{i}.{qkv,o,gate_up,down}`` and ``head`` (none when tied: the embedding serves both),
each quantized by the scheme, and norms and biases in float32. Metadata holds the format's version, the
configuration, the special tokens, the quantization and the source's hash, so nothing is guessed from a name.

``python -m dsassist_model.convert MODEL`` converts in a process of its own and prints a JSON object a line:
``{"done", "total"}`` in bytes, or at the end ``{"message", "remedy"}`` of an error.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dsassist_model import store
from dsassist_model.config import ModelConfig, SpecialTokens
from dsassist_model.errors import BadModelFile, ModelError
from dsassist_model.gguf_file import open_gguf
from dsassist_model.hf_folder import open_hf_folder
from dsassist_model.layout import expected_shapes, fused_sources
from dsassist_model.schemes import Levels, Part, Scheme, default, scheme
from dsassist_model.store import FORMAT_VERSION, ModelPlace
from dsassist_model.tokenizer import Tokenizer

__all__ = ["LoadedModel", "SourceModel", "convert", "is_converted", "load", "load_source", "open_source"]

_DTYPE_NAMES = {torch.float32: "F32", torch.int8: "I8", torch.uint8: "U8", torch.bfloat16: "BF16"}
_BLOCK_ELEMENTS = 1 << 23  # 32 MB of float32 at a time
_ALIGNMENT = 64

Progress = Callable[[int, int], None]


class SourceModel(Protocol):
    """What a GGUF file and a Hugging Face folder have in common."""

    config: ModelConfig

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    @property
    def special(self) -> SpecialTokens:
        """Special tokens."""
        ...

    def tokenizer_json(self) -> str:
        """The tokenizer, in the ``tokenizers`` library's format."""
        ...

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Rows of a canonical tensor as fp32."""
        ...

    def kind(self, name: str) -> str:
        """What a canonical tensor is stored as, in GGUF's names."""
        ...

    def levels(
        self, name: str, columns: int, start: int = 0, stop: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """The lowest value of every ``columns`` columns of rows of a quantized matrix, and the distance between
        neighbouring ones [rows, groups]; None for one that is not."""
        ...


class LoadedModel(NamedTuple):
    """A model ready to run. Tensors of a converted model are views of the mapped file: read-only by convention."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    tokenizer: Tokenizer
    special: SpecialTokens
    metadata: dict[str, str]


def open_source(path: Path) -> SourceModel:
    """A GGUF file, or a Hugging Face folder.

    Raises:
        BadModelFile: it is neither, or damaged, or unsupported.
    """
    return open_hf_folder(path) if path.is_dir() else open_gguf(path)


def load(model: str | Path, *, quantization: str | None = None, progress: Progress | None = None) -> LoadedModel:
    """Load a model by catalog name or path, converting it first when that was not done yet.

    ``quantization`` names one of ``schemes``; None is the one that runs best here.

    ``quantization="none"`` gives float32 from the source, without a file: slow to load, for proofs and GPUs.

    Raises:
        UnknownModel: no such name or path.
        ModelNotPulled: a catalog model that is not here.
        BadModelFile: its file is damaged or unsupported.
    """
    place = store.resolve(model)
    if quantization == "none":
        return load_source(open_source(store.require_source(place)))
    folder = store.converted_dir(place, scheme(quantization or default()).name)
    if store.read_manifest(folder) is None:
        convert(place, quantization=quantization, progress=progress)
    return _load_converted(folder)


def is_converted(place: ModelPlace, quantization: str | None = None) -> bool:
    """Whether ``load`` can map a file at once."""
    return store.read_manifest(store.converted_dir(place, quantization or default())) is not None


def convert(place: ModelPlace, *, quantization: str | None = None, progress: Progress | None = None) -> Path:
    """Write the converted model and return its folder; instant when it is there. Safe to kill and to run twice.

    Raises:
        ModelNotPulled: the source is not here.
        BadModelFile: the source is damaged or unsupported.
        ModelError: the disk is full or cannot be written.
    """
    source_path, chosen = store.require_source(place), scheme(quantization or default())
    folder = store.converted_dir(place, chosen.name)
    with store.lock(place):
        if store.read_manifest(folder) is not None:
            return folder
        source = open_source(source_path)
        place.folder.mkdir(parents=True, exist_ok=True)
        for stale in place.folder.glob(".converting-*"):  # of a killed conversion; the lock is ours
            shutil.rmtree(stale, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=".converting-", dir=place.folder))
        try:
            _write(source, chosen, _source_sha256(place), work, progress)
            if folder.exists():
                shutil.rmtree(folder)
            work.rename(folder)
        except OSError as error:
            raise ModelError(
                f"The converted model cannot be written to {place.folder}: {error.strerror or error}.",
                remedy="Free some space, or set DSASSIST_HOME to a folder on another disk.",
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return folder


def _write(source: SourceModel, chosen: Scheme, sha256: str, folder: Path, progress: Progress | None) -> None:
    tokenizer_json = source.tokenizer_json()
    Tokenizer.from_json(tokenizer_json, source.special)  # refuse a damaged one now, not at every load
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    kinds = {name: source.kind(name) for name in expected_shapes(source.config)}
    parts = _parts(source.config, chosen, kinds)
    # The format wants no gaps between tensors: widest type first keeps every one aligned.
    order = sorted(parts, key=lambda name: -parts[name].dtype.itemsize)
    offsets, total = {}, 0
    for name in order:
        offsets[name] = total
        total += math.prod(parts[name].shape) * parts[name].dtype.itemsize
    metadata = {
        "format": "dsassist",
        "format_version": str(FORMAT_VERSION),
        "config": source.config.to_json(),
        "special_tokens": source.special.to_json(),
        "quantization": chosen.name,
        "group_size": str(chosen.group_size),
        "source": source.path.name,
        "source_sha256": sha256,
        "source_kinds": json.dumps(kinds, separators=(",", ":")),
    }
    header = _header(metadata, parts, order, offsets)
    path, done = folder / "model.safetensors", 0
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + total)
        for name, at, tensor in _quantized(source, chosen):
            data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
            file.seek(len(header) + offsets[name] + at)
            file.write(data)
            done += len(data)
            if progress:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": store.file_sha256(folder / name)}
        for name in ("model.safetensors", "tokenizer.json")
    }
    manifest = {**metadata, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _header(
    metadata: Mapping[str, str], parts: Mapping[str, Part], order: list[str], offsets: Mapping[str, int]
) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    for name in order:
        part, begin = parts[name], offsets[name]
        end = begin + math.prod(part.shape) * part.dtype.itemsize
        header[name] = {
            "dtype": _DTYPE_NAMES[part.dtype],
            "shape": list(part.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _parts(config: ModelConfig, chosen: Scheme, kinds: Mapping[str, str]) -> dict[str, Part]:
    shapes = expected_shapes(config)
    parts: dict[str, Part] = {}
    for name, members in fused_sources(config).items():
        rows, columns = sum(shapes[m][0] for m in members), shapes[members[0]][1:]
        if columns:
            stem = name.removesuffix(".weight")
            stored = [kinds.get(member, "") for member in members]
            parts |= {f"{stem}.{kind}": part for kind, part in chosen.parts(stem, rows, columns[0], stored).items()}
        else:
            parts[name] = Part(torch.float32, (rows,))
    return parts


def _quantized(source: SourceModel, chosen: Scheme) -> Iterator[tuple[str, int, Tensor]]:
    """Names, byte offsets within the named tensor, and blocks of rows."""
    shapes = expected_shapes(source.config)
    for name, members in fused_sources(source.config).items():
        matrix, written = name.removesuffix(".weight"), dict[str, int]()
        rows, columns = sum(shapes[member][0] for member in members), shapes[members[0]][1:]
        kinds = [source.kind(member) for member in members]
        parts = chosen.parts(matrix, rows, columns[0], kinds) if columns else {}
        for block, *levels in _blocks(source, chosen, name, members, chosen.columns(parts, kinds) if columns else 0):
            named = {name: block}
            if columns:
                quantized = chosen.quantize(block, parts, Levels(*levels) if levels else None)
                named = {f"{matrix}.{part}": tensor for part, tensor in quantized.items()}
            for part, tensor in named.items():
                yield part, written.get(part, 0), tensor
                written[part] = written.get(part, 0) + tensor.numel() * tensor.element_size()


def _blocks(
    source: SourceModel, chosen: Scheme, name: str, members: tuple[str, ...], grouped: int
) -> Iterator[tuple[Tensor, ...]]:
    """The rows of a fused tensor in their order, some at a time; with ``grouped`` columns, their ``Levels`` too."""
    shapes = expected_shapes(source.config)
    columns = shapes[members[0]][1:]
    step = max(64, _BLOCK_ELEMENTS // math.prod(columns) // 64 * 64)
    total = sum(shapes[member][0] for member in members)
    turn = chosen.interleave(name.removesuffix(".weight"), total, *columns) if columns else 0
    if turn:  # members of one shape, some rows of each in turn
        for start in range(0, shapes[members[0]][0], step):
            each = [_read(source, member, start, start + step, grouped) for member in members]
            yield tuple(
                torch.stack([part.view(-1, turn, part.shape[-1]) for part in parts], dim=1).flatten(0, 2)
                for parts in zip(*each, strict=True)
            )
        return
    if not columns or ".q." in members[0]:
        # Whole heads are permuted together in some files: cutting those would read them again for each block.
        each = [_read(source, member, 0, shapes[member][0], grouped) for member in members]
        yield tuple(torch.cat(parts) for parts in zip(*each, strict=True))
        return
    for member in members:
        for start in range(0, shapes[member][0], step):
            yield _read(source, member, start, start + step, grouped)


def _read(source: SourceModel, member: str, start: int, stop: int, grouped: int) -> tuple[Tensor, ...]:
    values = source.read(member, start, stop)
    if not np.isfinite(values).all():
        raise BadModelFile(
            f"{source.path} is damaged: tensor {member!r} holds numbers that are not finite.",
            remedy="Download it again.",
        )
    levels = source.levels(member, grouped, start, stop) if grouped else None
    return tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in (values, *(levels or ())))


def load_source(source: SourceModel) -> LoadedModel:
    """The model in float32, in memory."""
    chosen = scheme("none")
    parts = _parts(source.config, chosen, {})
    tensors = {name: torch.empty(part.shape, dtype=part.dtype) for name, part in parts.items()}
    for name, at, block in _quantized(source, chosen):
        target = tensors[name].view(-1)
        begin = at // block.element_size()
        target[begin : begin + block.numel()] = block.reshape(-1)
    tokenizer = Tokenizer.from_json(source.tokenizer_json(), source.special)
    return LoadedModel(source.config, tensors, tokenizer, source.special, {"quantization": "none", "group_size": "0"})


def _load_converted(folder: Path) -> LoadedModel:
    path = folder / "model.safetensors"
    remedy = f"Delete {folder} and try again: it is made anew."
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise BadModelFile(f"{path} is damaged: {error}.", remedy=remedy) from error
    if metadata.get("format") != "dsassist" or "config" not in metadata or "special_tokens" not in metadata:
        raise BadModelFile(f"{path} was not written by dsassist.", remedy=remedy)
    config = ModelConfig.from_json(metadata["config"])
    special = SpecialTokens.from_json(metadata["special_tokens"])
    try:
        kinds = dict(json.loads(metadata.get("source_kinds", "{}")))
    except ValueError as error:
        raise BadModelFile(f"{path} is damaged: its metadata is not JSON.", remedy=remedy) from error
    expected = _parts(config, scheme(metadata.get("quantization", "")), kinds)
    for name, part in expected.items():
        if name not in tensors or tuple(tensors[name].shape) != part.shape or tensors[name].dtype != part.dtype:
            raise BadModelFile(f"{path} is damaged: tensor {name!r} is not as its metadata says.", remedy=remedy)
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json", special)
    return LoadedModel(config, tensors, tokenizer, special, metadata)


def _source_sha256(place: ModelPlace) -> str:
    if place.entry is not None:
        return place.entry.sha256  # compared with the file when it was pulled
    if place.source.is_dir():
        return ""
    return store.file_sha256(place.source)


def main() -> int:
    """See the module's docstring."""
    last = -1

    def tell(facts: Mapping[str, object]) -> None:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()

    def report(done: int, total: int) -> None:
        nonlocal last
        if done * 100 // total > last:
            last = done * 100 // total
            tell({"done": done, "total": total})

    try:
        convert(store.resolve(sys.argv[1]), progress=report)
    except ModelError as error:
        tell({"message": error.message, "remedy": error.remedy})
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
