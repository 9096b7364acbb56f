"""Somebody at the keys: the difference between two versions of real files, as keystrokes with human timing.

An edit is one hunk of the difference. The cursor goes to its place in a file in which everything above is new and
everything below is old; what goes is deleted, what comes is typed, key by key, with an editor's indentation after
Enter, slips that are taken back, and pauses for thought at the ends of lines and words.
"""

from __future__ import annotations

import difflib
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _common import say

__all__ = ["Edit", "Key", "edits", "fetch_history", "keys"]

LONGEST_EDIT = 240
SHORTEST_EDIT = 60
"""Characters typed."""
KEY_SECONDS, KEY_SPREAD = 0.17, 0.45
"""Median between two keys, and sigma of its logarithm: 60 to 70 words a minute."""
THINK_SECONDS, THINK_SPREAD = 1.3, 0.4
THINKS_AT_LINE, THINKS_AT_WORD = 0.6, 0.25
"""How often a pause follows Enter, and what ends a word or begins an argument."""
SLIPS = 0.015
BACKSPACED = 12
"""Up to so many characters are deleted one by one; more are selected and deleted."""


@dataclass(frozen=True)
class Key:
    """One change of the text at the cursor."""

    wait: float
    """Seconds since the key before."""
    insert: str = ""
    delete: int = 0
    """Characters before the cursor that go."""
    think: float = 0.0
    """Seconds of thought after it; 0 for none."""


@dataclass(frozen=True)
class Edit:
    """``head`` and ``tail`` stand around ``old``, in whose place ``new`` comes."""

    path: str
    head: str
    old: str
    new: str
    tail: str


def fetch_history(name: str, old: str, new: str, folder: Path) -> Path:
    """Two releases of a package as PyPI has them, unpacked under ``folder`` and not installed.

    Raises:
        SystemExit: the index does not give them.
    """
    target = folder / f"{name}-{old}-{new}"
    for turn, version in (("1-old", old), ("2-new", new)):
        place = target / turn
        if place.is_dir():
            continue
        say(f"downloading {name} {version}")
        wheels = target / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", str(wheels), f"{name}=={version}"]
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"{name} {version} cannot be downloaded; give --source DIR instead.")
        [wheel] = wheels.glob(f"*-{version}-*.whl")
        part = target / f".{turn}"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(part, [n for n in archive.namelist() if n.endswith(".py")])
        part.rename(place)
    return target


def edits(folder: Path, rng: random.Random) -> Iterator[Edit]:
    """Edits in an order drawn by ``rng``.

    ``folder`` holds an older and a newer version, in the order of their names; or files without a history, of which
    whole runs of lines are then taken for new.

    Raises:
        SystemExit: there is nothing to type.
    """
    versions = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "wheels")))
    found = list(_history(*versions)) if len(versions) == 2 else []
    if not found:
        found = list(_without_history(folder, rng))
    if not found:
        raise SystemExit(f"{folder} has no edits that could be typed.")
    rng.shuffle(found)
    return iter(found)


def _history(older: Path, newer: Path) -> Iterator[Edit]:
    for path in sorted(newer.rglob("*.py")):
        name = path.relative_to(newer).as_posix()
        before = older / name
        if not before.exists():
            continue
        old, new = (_text(p).splitlines(keepends=True) for p in (before, path))
        for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if kind in ("replace", "insert"):
                edit = _edit(name, "".join(new[:c]), "".join(old[a:b]), "".join(new[c:d]), "".join(old[b:]))
                if edit is not None:
                    yield edit


def _without_history(folder: Path, rng: random.Random) -> Iterator[Edit]:
    for path in sorted(folder.rglob("*.py")):
        lines = _text(path).splitlines(keepends=True)
        for _ in range(len(lines) // 60):
            start, count = rng.randrange(len(lines)), rng.randrange(1, 7)
            end = min(start + count, len(lines))
            name = path.relative_to(folder).as_posix()
            edit = _edit(name, "".join(lines[:start]), "", "".join(lines[start:end]), "".join(lines[end:]))
            if edit is not None:
                yield edit


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")


def _edit(path: str, head: str, old: str, new: str, tail: str) -> Edit | None:
    """The edit without what both versions begin and end with; None where it is not for typing."""
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    end = 0
    while end < min(len(old), len(new)) - same and old[-1 - end] == new[-1 - end]:
        end += 1
    if not old and new.endswith("\n"):
        # a new line is opened above the next one: the line end is there before it is filled
        end = 1
    typed = new[same : len(new) - end]
    if not SHORTEST_EDIT <= len(typed) <= LONGEST_EDIT or not typed.isascii() or "\t" in typed:
        return None
    rest = new[len(new) - end :]
    return Edit(path, head + new[:same], old[same : len(old) - (end if old else 0)], typed, rest + tail)


def keys(edit: Edit, rng: random.Random) -> list[Key]:
    """What is pressed for ``edit``, the cursor standing behind ``old``."""
    found: list[Key] = []
    gone = len(edit.old)
    if gone > BACKSPACED:
        found.append(Key(0.4, delete=gone))
    else:
        found += [Key(_pace(rng), delete=1) for _ in range(gone)]
    at, text = 0, edit.new
    while at < len(text):
        piece = text[at]
        if piece == "\n" or (at == 0 and piece == " "):  # Enter, or a line begun: the editor indents it
            line = at + 1
            while line < len(text) and text[line] == " ":
                line += 1
            piece = text[at:line]
        elif rng.random() < SLIPS and piece.isalpha():
            found += [Key(_pace(rng), rng.choice("asdfghjklertui")), Key(0.3 + _pace(rng), delete=1)]
        at += len(piece)
        ends_word = piece[-1] in " (=.,[" and not piece.startswith("\n")
        chance = THINKS_AT_LINE if "\n" in piece else THINKS_AT_WORD if ends_word else 0.0
        think = _drawn(rng, THINK_SECONDS, THINK_SPREAD) if rng.random() < chance and at < len(text) else 0.0
        found.append(Key(_pace(rng), piece, think=min(think, 4.0)))
    return found


def _pace(rng: random.Random) -> float:
    return min(max(_drawn(rng, KEY_SECONDS, KEY_SPREAD), 0.05), 0.8)


def _drawn(rng: random.Random, median: float, spread: float) -> float:
    return rng.lognormvariate(0.0, spread) * median
