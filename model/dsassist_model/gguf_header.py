"""The header of a GGUF file (specification: ggml/docs/gguf.md), read with every length checked against the file.

A damaged header can claim any length; nothing here allocates or loops by a number that was not compared
with what the file still holds.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from numpy.typing import NDArray

from dsassist_model.errors import BadModelFile

__all__ = ["GgufHeader", "TensorInfo", "read_header"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_REMEDY = "Download it again; `dsassist model verify` compares the hash of a pulled model."

# GGUF value type → struct code
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies. ``shape`` is row-major (``[N, K]``), ``offset`` counts from the start of the file."""

    name: str
    shape: tuple[int, ...]
    kind: GGMLQuantizationType
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the tensors' data, and the file itself, mapped."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]
    data: NDArray[np.uint8]
    """The whole file, memory-mapped."""


def read_header(path: Path) -> GgufHeader:
    """Read and check the header of ``path``.

    Raises:
        BadModelFile: it is no GGUF file, or a damaged, cut off or unsupported one.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise BadModelFile(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        reason = error.strerror if isinstance(error, OSError) else "it is empty"
        raise BadModelFile(f"{path} cannot be read: {reason}.") from error
    if mapped[:4] != _MAGIC:
        raise BadModelFile(
            f"{path} is not a GGUF file: it begins with {mapped[:4]!r} instead of {_MAGIC!r}.",
            remedy="Give a GGUF file or a Hugging Face folder.",
        )
    reader = _Reader(path, mapped)
    reader.at = 4
    version = reader.scalar("I")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        what = "big-endian" if swapped in _VERSIONS else f"of version {version}"
        raise BadModelFile(
            f"{path} is {what}; versions 2 and 3, little-endian, are supported.", remedy="Get a newer file."
        )
    count, pairs = reader.scalar("Q"), reader.scalar("Q")
    reader.need(count * 24 + pairs * 13)
    metadata: dict[str, Any] = {}
    for _ in range(pairs):
        key = reader.text()
        metadata[key] = reader.value(reader.scalar("I"))
    pending = [reader.tensor() for _ in range(count)]
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise BadModelFile(f"{path} asks for an alignment of {alignment!r}.", remedy=_REMEDY)
    start = -(-reader.at // alignment) * alignment
    data = np.frombuffer(mapped, dtype=np.uint8)
    tensors: dict[str, TensorInfo] = {}
    for name, shape, kind, offset in pending:
        size = _bytes_of(path, name, shape, kind)
        if offset % alignment or start + offset + size > len(data):
            raise BadModelFile(
                f"{path} is cut off or damaged: tensor {name!r} would end at byte {start + offset + size:,}, "
                f"and the file has {len(data):,}.",
                remedy=_REMEDY,
            )
        if name in tensors:
            raise BadModelFile(f"{path} is damaged: it holds tensor {name!r} twice.", remedy=_REMEDY)
        tensors[name] = TensorInfo(name, shape, kind, start + offset, size)
    return GgufHeader(path, metadata, tensors, data)


def _bytes_of(path: Path, name: str, shape: tuple[int, ...], kind: GGMLQuantizationType) -> int:
    block, block_bytes = GGML_QUANT_SIZES[kind]
    elements = 1
    for extent in shape:
        elements *= extent
    if not shape or shape[-1] % block:
        raise BadModelFile(f"{path} is damaged: {name!r} of shape {list(shape)} cannot be {kind.name}.", remedy=_REMEDY)
    return elements // block * block_bytes


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.end = path, data, 0, len(data)

    def need(self, size: int) -> None:
        if size > self.end - self.at:
            raise BadModelFile(
                f"{self.path} is cut off or damaged: byte {self.at:,} of {self.end:,} asks for {size:,} more.",
                remedy=_REMEDY,
            )

    def scalar(self, code: str) -> Any:
        size = struct.calcsize("<" + code)
        self.need(size)
        (value,) = struct.unpack_from("<" + code, self.data, self.at)
        self.at += size
        return value

    def text(self) -> str:
        size = self.scalar("Q")
        self.need(size)
        raw = self.data[self.at : self.at + size]
        self.at += size
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadModelFile(
                f"{self.path} is damaged: the text at byte {self.at - size:,} is not UTF-8.", remedy=_REMEDY
            ) from error

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            item, count = self.scalar("I"), self.scalar("Q")
            if item == _STRING:
                return self.texts(count)
            if item == _ARRAY and depth < 4:
                self.need(count * 12)
                return [self.value(item, depth + 1) for _ in range(count)]
            if item in _SCALARS:
                dtype = np.dtype("<" + np.dtype(_SCALARS[item]).str[1:])
                self.need(count * dtype.itemsize)
                values = np.frombuffer(self.data, dtype, count, self.at).tolist()
                self.at += count * dtype.itemsize
                return values
        elif kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        raise BadModelFile(
            f"{self.path} is damaged: there is no value type {kind} (at byte {self.at:,}).", remedy=_REMEDY
        )

    def texts(self, count: int) -> list[str]:
        # A vocabulary has hundreds of thousands: the loop is written out for speed.
        self.need(count * 8)
        data, at, end, unpack, texts = self.data, self.at, self.end, struct.Struct("<Q").unpack_from, []
        for _ in range(count):
            if at + 8 > end:
                break
            (size,) = unpack(data, at)
            at += 8
            if size > end - at:
                break
            texts.append(data[at : at + size])
            at += size
        if len(texts) != count:
            self.at = at
            self.need(end)
        try:
            decoded = [raw.decode("utf-8") for raw in texts]
        except UnicodeDecodeError as error:
            raise BadModelFile(
                f"{self.path} is damaged: a list of texts before byte {at:,} is not UTF-8.", remedy=_REMEDY
            ) from error
        self.at = at
        return decoded

    def tensor(self) -> tuple[str, tuple[int, ...], GGMLQuantizationType, int]:
        name, dimensions = self.text(), self.scalar("I")
        if dimensions > 4:
            raise BadModelFile(f"{self.path} is damaged: {name!r} has {dimensions} dimensions.", remedy=_REMEDY)
        shape = tuple(reversed([self.scalar("Q") for _ in range(dimensions)]))
        kind, offset = self.scalar("I"), self.scalar("Q")
        try:
            return name, shape, GGMLQuantizationType(kind), offset
        except ValueError as error:
            raise BadModelFile(
                f"{self.path}: tensor {name!r} has the quantization type {kind}, which is not supported.",
                remedy="Q4_K_M, Q5_K_M, Q6_K, Q8_0 and F16 files are.",
            ) from error
