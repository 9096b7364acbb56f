"""The two kinds of work that a build is made of. Both run in worker processes, and in the caller's for a few files."""

from __future__ import annotations

import os
import sqlite3
import stat
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsassist.index.facts import Facts, Occurrences, Scope, pack_meaning, unpack_meaning
from dsassist.index.hashing import blake2b
from dsassist.index.languages import language_of
from dsassist.index.linkset import LinkSet
from dsassist.index.module import Module
from dsassist.index.scan import Files
from dsassist.index.store import dependency_key

if TYPE_CHECKING:
    from tree_sitter import Tree

    from dsassist.index.resolve import Resolver

__all__ = [
    "Extracted",
    "Linker",
    "Modules",
    "digest",
    "empty_facts",
    "extract",
    "facts_of",
    "is_generated",
    "link",
    "read",
]

_LONGEST_LINE = 2_000
"""Bytes a line, on average, from which a file is taken for generated."""


class Extracted(NamedTuple):
    """The packed facts of a file on the disk."""

    path: str
    mtime: int
    size: int
    hash: bytes
    lines: int
    occurrences: bytes
    meaning: bytes
    names: list[str]
    definitions: list[str]


def digest(source: bytes) -> bytes:
    """Tells contents apart."""
    return blake2b(source, digest_size=16).digest()


def empty_facts(language: str) -> Facts:
    """Of a file in which nothing is looked for."""
    return Facts(language, [0], Occurrences([], [], [], [], b"", []), [Scope(0, -1, -1, (), 0, 0)], [], [], [])


def is_generated(source: bytes) -> bool:
    """Is it a program's output, in which nothing is looked for?"""
    return len(source) > 50_000 and len(source) > _LONGEST_LINE * (source.count(b"\n") + 1)


def facts_of(path: str, source: bytes, old: Tree | None = None) -> tuple[Facts, Tree | None]:
    """Parse and extract. ``old`` is an edited tree of an earlier version, to parse only what changed."""
    language = language_of(path)
    assert language is not None
    if is_generated(source):
        return empty_facts(language.name), None
    parser = language.parser(path)
    tree = parser.parse(source, old) if old is not None else parser.parse(source)
    try:
        return language.extract(path, source, tree), tree
    except RecursionError:
        return empty_facts(language.name), tree


def read(root: Path, path: str) -> tuple[bytes, int, int] | None:
    """A file's bytes, time and size, all of one moment; None where it cannot be read or is no regular file."""
    try:
        with (root / path).open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            return file.read(), status.st_mtime_ns, status.st_size
    except OSError:
        return None


def extract(root: Path, path: str) -> Extracted | None:
    """The facts of a file on the disk, None where it cannot be read."""
    content = read(root, path)
    if content is None:
        return None
    source, mtime, size = content
    facts, _ = facts_of(path, source)
    return Extracted(
        path, mtime, size, digest(source), facts.lines, facts.occurrences.pack(), pack_meaning(facts),
        sorted(facts.nonlocal_names()), sorted(facts.defined_names()),
    )  # fmt: skip


class Modules:
    """Modules by path, read when asked for, the last used kept."""

    def __init__(self, read_blobs: Callable[[str], tuple[bytes, bytes] | None], keep: int = 700) -> None:
        self._read = read_blobs
        self._keep = keep
        self._kept: OrderedDict[str, Module] = OrderedDict()

    def __call__(self, path: str) -> Module | None:
        """The module, None where there is no such file."""
        module = self._kept.get(path)
        if module is not None:
            self._kept.move_to_end(path)
            return module
        blobs = self._read(path)
        if blobs is None:
            return None
        module = self._kept[path] = Module(path, unpack_meaning(blobs[1], Occurrences.unpack(blobs[0])))
        if len(self._kept) > self._keep:
            self._kept.popitem(last=False)
        return module

    def facts(self, path: str) -> Facts | None:
        """The facts of a file that is in memory."""
        module = self._kept.get(path)
        return None if module is None else module.facts

    def holds(self, path: str) -> bool:
        """Is it in memory?"""
        return path in self._kept

    def put(self, module: Module) -> None:
        """Use this one from now on."""
        self._kept[module.path] = module

    def drop(self, path: str) -> None:
        """Read it anew the next time."""
        self._kept.pop(path, None)

    def clear(self) -> None:
        """Read all anew."""
        self._kept.clear()


def link(resolver: Resolver, module: Module) -> tuple[LinkSet, list[int]]:
    """The links of one file and the keys of what they were read from."""
    answers, deps = resolver.links(module)
    links = LinkSet.build(module.facts.occurrences, resolver.imported(module), answers)
    return links, [dependency_key(name) for name in resolver.memo.names(deps) if name != module.path]


class Linker:
    """Links files from a database that somebody else writes."""

    def __init__(
        self, root: Path, database: Path, paths: Iterable[tuple[int, str]], configuration: Iterable[str]
    ) -> None:
        from dsassist.index.resolve import Resolver

        self.db = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=20)
        self.ids = {path: file for file, path in paths}
        self.modules = Modules(self._blobs, keep=170)
        self.paths = {file: path for path, file in self.ids.items()}
        self.resolver = Resolver(Files(root, self.ids, set(configuration), self._users), self.modules)

    def _users(self, name: str) -> list[str]:
        row = self.db.execute("SELECT files FROM names WHERE name = ?", (name,)).fetchone()
        ids = array("I", row[0] if row is not None else b"")
        return sorted(self.paths[file] for file in ids if file in self.paths)

    def _blobs(self, path: str) -> tuple[bytes, bytes] | None:
        file = self.ids.get(path)
        if file is None:
            return None
        row: tuple[bytes, bytes] | None = self.db.execute(
            "SELECT occurrences, meaning FROM facts WHERE id = ?", (file,)
        ).fetchone()
        return row

    def link(self, path: str) -> tuple[bytes, list[int]] | None:
        """Packed links and dependency keys, None where the file is gone."""
        module = self.modules(path)
        if module is None:
            return None
        links, deps = link(self.resolver, module)
        return links.pack(), deps
