"""Pairs of releases of a package, and what was written between them.

A pair is named ``KIND:NAME OLD NEW``. ``pip`` pairs are wheels and ``npm`` pairs are tarballs, both fetched by the
registry's own client and unpacked, never installed or run. A folder of pairs has one folder a package, which holds two
folders, ``old`` and ``new``.
"""

from __future__ import annotations

import difflib
import random
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from _common import SOURCE_SUFFIXES, say

__all__ = ["Hunk", "Pair", "download", "hunks", "in_folder"]

LARGEST = 120_000
"""Bytes of a file. Larger ones are generated more often than written."""
LONGEST_LINE = 160
_SKIPPED = {"node_modules", "dist", "build", "examples", "__pycache__", "vendor", "generated"}


@dataclass(frozen=True)
class Pair:
    """Two releases of one package, unpacked."""

    name: str
    old: Path
    new: Path


@dataclass(frozen=True)
class Hunk:
    """Lines that were written at one place of a file. ``before`` is the new file's text above them, ``below`` the old
    file's below; together they are the file while they are written."""

    path: str
    before: str
    lines: tuple[str, ...]
    starts: tuple[int, ...]
    """A line's first column that is typed: behind its indentation, or behind what it has in common with the line that
    it replaces."""
    below: str
    line: int
    """Of the first one, from 0."""


def in_folder(folder: Path) -> list[Pair]:
    """The pairs of a folder; what has not both sides is named and left out."""
    found = []
    for package in sorted(path for path in folder.iterdir() if path.is_dir()):
        pair = Pair(package.name, package / "old", package / "new")
        if pair.old.is_dir() and pair.new.is_dir():
            found.append(pair)
        else:
            say(f"{package.name}: needs two folders, old and new; it is left out")
    return found


def download(names: Sequence[str], folder: Path) -> list[Pair]:
    """Fetch and unpack. What is in ``folder`` already stays; what cannot be had is named and left out."""
    found = []
    for spec in names:
        kind, _, rest = spec.partition(":")
        name, *releases = rest.split()
        sides = []
        for release in releases:
            target = folder / name.replace("/", "+") / release
            if not target.is_dir() and not _fetch(kind, name, release, target):
                say(f"{name} {release} cannot be downloaded; it is left out")
                break
            sides.append(target)
        if len(sides) == 2:
            found.append(Pair(name, sides[0], sides[1]))
    return found


def _fetch(kind: str, name: str, release: str, target: Path) -> bool:
    store = target.with_name(target.name + ".download")
    store.mkdir(parents=True, exist_ok=True)
    if kind == "pip":
        wheel = ("--only-binary", ":all:", "--no-deps", "-q", "--disable-pip-version-check")
        command = [sys.executable, "-m", "pip", "download", *wheel, "--dest", ".", f"{name}=={release}"]
    else:
        command = ["npm", "pack", "--silent", f"{name}@{release}"]
    try:
        done = subprocess.run(command, cwd=store, check=False, capture_output=True, timeout=300).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        done = False
    unpacked = store / "unpacked"
    for file in [path for path in store.iterdir() if path.is_file()] if done else []:
        if file.suffix == ".whl":
            with zipfile.ZipFile(file) as wheel_file:
                wheel_file.extractall(unpacked)
        else:
            with tarfile.open(file) as archive:
                archive.extractall(unpacked, filter="data")
    if done and unpacked.is_dir():
        # what was built from the sources is not what anybody works in
        for built in [path for path in unpacked.rglob("*") if path.name in _SKIPPED and path.is_dir()]:
            shutil.rmtree(built, ignore_errors=True)
        unpacked.rename(target)
    shutil.rmtree(store)
    return target.is_dir()


def hunks(pair: Pair, rng: random.Random) -> Iterator[Hunk]:
    """What was written in source files that both releases have or that are new; files in an order drawn by ``rng``,
    the hunks of a file from top to bottom."""
    files = [
        file.relative_to(pair.new)
        for file in sorted(pair.new.rglob("*"))
        if file.suffix in SOURCE_SUFFIXES
        and not file.name.endswith((".d.ts", ".min.js"))
        and not _SKIPPED & set(file.relative_to(pair.new).parts)
        and file.is_file()
        and file.stat().st_size <= LARGEST
    ]
    rng.shuffle(files)
    for path in files:
        new = (pair.new / path).read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        old_file = pair.old / path
        old = old_file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n") if old_file.is_file() else ""
        if new != old and max(map(len, new.split("\n"))) <= LONGEST_LINE * 4:
            yield from _of_file(path.as_posix(), old.split("\n"), new.split("\n"))


def _of_file(path: str, old: list[str], new: list[str]) -> Iterator[Hunk]:
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        lines = new[j:j_end]
        if tag not in ("insert", "replace") or not any(line.strip() for line in lines):
            continue
        if max(map(len, lines)) > LONGEST_LINE:
            continue
        replaced = old[i:i_end]
        starts = [_start(line, replaced[n] if n < len(replaced) else "") for n, line in enumerate(lines)]
        before = "".join(line + "\n" for line in new[:j])
        below = "".join("\n" + line for line in old[i_end:])
        yield Hunk(path, before, tuple(lines), tuple(starts), below, j)


def _start(line: str, replaced: str) -> int:
    indent = len(line) - len(line.lstrip())
    common = next((n for n, (a, b) in enumerate(zip(line, replaced, strict=False)) if a != b), 0)
    while 0 < common < len(line) and (line[common - 1].isalnum() or line[common - 1] == "_") and line[common] != " ":
        common -= 1
    similar = common > indent and difflib.SequenceMatcher(None, line, replaced).ratio() > 0.5
    return common if similar else indent
