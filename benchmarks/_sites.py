"""Sites for completion: places in real packages whose line needs a name that another file defines."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _common import say

from dsassist.index import Index

__all__ = ["CURSORS", "Task", "WorkingCopy", "download", "draw", "read_tasks"]

CURSORS = ("name", "line", "any")
WORD = re.compile(r"[A-Za-z_]\w+")
_PIECE = re.compile(r"\w+|\s+|[^\w\s]")
_IMPORT = re.compile(r"\s*(from|import)\b")
_MOST_A_FILE = 4


@dataclass(frozen=True)
class Task:
    """One site: ``target`` is what stands between ``prefix`` and ``suffix``. ``line`` and ``character`` count from
    0."""

    package: str
    path: str
    line: int
    character: int
    prefix: str
    suffix: str
    target: str


def download(packages: tuple[str, ...], folder: Path) -> Path:
    """Fetch and unpack wheels, one folder a package; nothing is installed."""
    wheels = folder.parent / "wheels"
    for package in packages:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(wheels), package]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            say(f"{package} cannot be downloaded; it is left out")
    for wheel in sorted(wheels.glob("*.whl")):
        target = folder / wheel.name.partition("-")[0]
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
        for info in target.glob("*.dist-info"):
            shutil.rmtree(info)
    return folder


def read_tasks(path: Path) -> list[Task]:
    """Tasks from JSON lines, gzipped or not; keys that a task does not have are ignored."""
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    known = Task.__dataclass_fields__
    with opened(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return [Task(**{key: value for key, value in row.items() if key in known}) for row in rows]


def draw(index: Index, package: Path, rng: random.Random, count: int, cursor: str = "name") -> Iterator[Task]:
    """Up to ``count`` sites, at most four a file. The line has a name that occurs in the file nowhere else (but in an
    import, where the cursor is not right before it) and that another file of the package defines. ``cursor`` says
    where on the line it stands: right before the ``name``, at the beginning of the ``line``, or ``any`` where before
    the name."""
    files = [path for path in index.paths() if path.endswith(".py") and "test" not in path]
    rng.shuffle(files)
    found = 0
    for path in files:
        taken = 0
        for task in _of_file(index, package, path, rng, cursor):
            yield task
            found, taken = found + 1, taken + 1
            if found >= count:
                return
            if taken >= _MOST_A_FILE:
                break


def _of_file(index: Index, package: Path, path: str, rng: random.Random, cursor: str) -> Iterator[Task]:
    text = (package / path).read_text(encoding="utf-8", errors="replace")
    lines = text.split("\n")
    words = Counter(WORD.findall(text))
    if words.total() >= 20_000:
        return
    imported = {word for line in lines if _IMPORT.match(line) for word in WORD.findall(line)}
    often = 1 if cursor == "name" else 2
    places = [
        (number, match.start())
        for number, line in enumerate(lines)
        if number > 10 and not _IMPORT.match(line) and not line.lstrip().startswith("#")
        for match in WORD.finditer(line)
        if len(match[0]) >= 4 and words[match[0]] <= (often if match[0] in imported else 1)
    ]
    rng.shuffle(places)
    for number, character in places:
        line = lines[number]
        indent = len(line) - len(line.lstrip())
        starts = [piece.start() for piece in _PIECE.finditer(line) if indent <= piece.start() <= character]
        if cursor == "name" and character == indent:
            continue
        targets = index.targets_at(path, number, character)[0]
        if not any(target[0] and target[0] != path and target[1] for target in targets):
            continue
        at = {"name": character, "line": indent, "any": rng.choice(starts)}[cursor]
        start = sum(len(line) + 1 for line in lines[:number]) + at
        end = start - at + len(line)
        yield Task(package.name, path, number, at, text[:start], text[end:], text[start:end].rstrip())


class WorkingCopy:
    """A package as an editor and its disk have it before the line is written: sites are set up one after another."""

    def __init__(self, package: Path, folder: Path, cache: Path) -> None:
        self.root = folder / package.name
        shutil.copytree(package, self.root)
        self.index = Index.open(self.root, cache)
        self.index.update()

    def show(self, task: Task) -> bytes:
        """Have the disk without the line and the editor with what stands before the cursor; returns what the disk
        had."""
        file = self.root / task.path
        before = file.read_bytes() if file.exists() else b""
        head, tail = task.prefix[: task.prefix.rfind("\n") + 1], task.suffix.partition("\n")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(head + tail, encoding="utf-8")
        self.index.refresh([task.path])
        self.index.settle()
        self.index.set_overlay(task.path, head + tail)
        # as with the key before: what any question needs of other files is in memory then
        self.index.context_for(task.path, task.line, 0)
        self.index.at_cursor(task.path, task.line, head)
        self.index.set_overlay(task.path, task.prefix + task.suffix)
        return before

    def put_back(self, task: Task, before: bytes) -> None:
        """Undo ``show``."""
        self.index.close_overlay(task.path)
        (self.root / task.path).write_bytes(before)
        self.index.refresh([task.path])
