"""Where models lie on this machine, and what is there. No torch.

``models_dir()/NAME/`` holds ``source/FILE`` (as downloaded), ``SCHEME-vN/`` (converted: ``model.safetensors``,
``tokenizer.json`` and ``manifest.json``, which is written last), and partial downloads. The lock of a model is
``models_dir()/NAME.lock``, outside the folder, so that removing the model cannot remove a held lock.
A model given by path is converted into a folder named after its path, size and date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dsassist_model import catalog, paths
from dsassist_model.catalog import CatalogModel
from dsassist_model.errors import ModelError, ModelNotPulled, UnknownModel

__all__ = [
    "FORMAT_VERSION",
    "ModelPlace",
    "arriving",
    "converted_dir",
    "converted_manifest",
    "file_sha256",
    "lock",
    "read_manifest",
    "remove",
    "require_source",
    "resolve",
]

FORMAT_VERSION = 2
_SCHEMES = ("packed", "int8")
"""Of converted models; a higher one in the code makes older files be converted again."""


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A model, whether it is on this machine or not."""

    name: str
    folder: Path
    """Everything of it that dsassist wrote."""
    source: Path
    """The GGUF file or Hugging Face folder."""
    entry: CatalogModel | None
    """None for a model given by path."""

    @property
    def pulled(self) -> bool:
        """Whether the source is there. A download is moved to its place only after its hash was checked."""
        if self.entry is None:
            return self.source.exists()
        return self.source.is_file() and self.source.stat().st_size == self.entry.bytes


def resolve(name_or_path: str | Path) -> ModelPlace:
    """The place of a catalog model by name, or of a GGUF file or Hugging Face folder by path. Creates nothing.

    Raises:
        UnknownModel: neither a name of the catalog nor an existing path.
    """
    text = str(name_or_path)
    path = Path(text).expanduser()
    try:
        entry = catalog.find(text)
    except UnknownModel as error:
        if path.exists():
            return _local(path.resolve())
        looks_like_path = path.suffix == ".gguf" or os.sep in text
        message = f"There is no file or folder {path}." if looks_like_path else error.message
        raise UnknownModel(
            message, remedy=f"{'' if looks_like_path else error.remedy + ' '}A model can also be given as a path."
        ) from error
    folder = paths.models_dir() / entry.name
    return ModelPlace(entry.name, folder, folder / "source" / entry.file, entry)


def require_source(place: ModelPlace) -> Path:
    """The path of the model's source.

    Raises:
        ModelNotPulled: it is not there.
    """
    if not place.pulled:
        raise ModelNotPulled(
            f"The model {place.name} is not on this machine.", remedy=f"Run: dsassist model pull {place.name}"
        )
    return place.source


def converted_dir(place: ModelPlace, quantization: str) -> Path:
    """Folder of the converted model; it may not be there yet (``read_manifest`` tells)."""
    return place.folder / f"{quantization}-v{FORMAT_VERSION}"


def converted_manifest(place: ModelPlace) -> dict[str, Any] | None:
    """The manifest of the model's converted form, whichever scheme it was made in; None when there is none."""
    return next((found for name in _SCHEMES if (found := read_manifest(converted_dir(place, name))) is not None), None)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a converted model, or None when it is not there or its files are not whole.

    ``files`` maps names to ``{"bytes", "sha256"}``; only the sizes are compared here.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == facts["bytes"] for name, facts in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole else None


def _lock_file(place: ModelPlace) -> Path:
    return place.folder.parent / f"{place.folder.name}.lock"


@contextmanager
def lock(place: ModelPlace, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the model's lock against other processes. ``waiting`` is called once when another one holds it.

    Raises:
        ModelError: the folder of models cannot be written.
    """
    try:
        place.folder.parent.mkdir(parents=True, exist_ok=True)
        guard = FileLock(_lock_file(place))
        try:
            guard.acquire(timeout=0)
        except Timeout:
            if waiting:
                waiting()
            guard.acquire()
    except OSError as error:
        raise ModelError(
            f"{place.folder.parent} cannot be written: {error.strerror or error}.",
            remedy="Correct its permissions, or set DSASSIST_HOME to another folder.",
        ) from error
    try:
        yield
    finally:
        guard.release()


def arriving(place: ModelPlace) -> float | None:
    """Share of a model's file that has come, while a process of this machine downloads it; None when none does."""
    if place.entry is None or place.pulled or not place.folder.exists():
        return None
    guard = FileLock(_lock_file(place))
    try:
        guard.acquire(timeout=0)
    except Timeout:
        come = 0
        for part in place.source.parent.glob(f"{place.source.name}.*.part"):
            with suppress(OSError):  # it may get its last name, or be deleted, at any moment
                come = max(come, part.stat().st_size)
        return min(come / place.entry.bytes, 1.0)
    except OSError:
        return None
    guard.release()
    return None


def remove(place: ModelPlace) -> int:
    """Delete everything that dsassist wrote for a model and return the bytes freed. A user's own file is left alone."""
    if not place.folder.exists():
        return 0
    with lock(place):
        freed = sum(f.stat().st_size for f in place.folder.rglob("*") if f.is_file())
        shutil.rmtree(place.folder)
    return freed


def file_sha256(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hex. ``progress`` gets the bytes read so far."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            done += len(block)
            if progress:
                progress(done)
    return digest.hexdigest()


def _local(path: Path) -> ModelPlace:
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.is_file())
    facts = [(str(f), (status := f.stat()).st_size, status.st_mtime_ns) for f in files]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return ModelPlace(str(path), paths.models_dir() / f"local-{key}", path, None)
