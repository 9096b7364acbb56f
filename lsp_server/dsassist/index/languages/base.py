"""What a language is to the index. A new one is a folder or file here and a line in ``languages/__init__.py``.

A language does two things. ``extract`` walks one syntax tree and reports to a ``Builder``: where names are bound and
used,
and what the types of receivers depend on. ``find_import`` says which files of a workspace an import may mean.
Everything
else (storage, links, queries, editing) is shared and knows no language by name.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import tree_sitter
from tree_sitter import Node, Parser, Tree

from dsassist.index.facts import Facts, Import

__all__ = ["FileSet", "Found", "Language", "ReadsParts", "TellsCalls", "by_kind", "make_parser"]


class FileSet(Protocol):
    """The files of a workspace, as paths with ``/`` relative to its root."""

    def has(self, path: str) -> bool:
        """Is it an indexed file?"""
        ...

    def is_folder(self, path: str) -> bool:
        """Does it hold an indexed file, at any depth?"""
        ...

    def in_folder(self, path: str, suffixes: tuple[str, ...]) -> Sequence[str]:
        """Files directly in the folder, sorted."""
        ...

    def named(self, name: str) -> Sequence[str]:
        """Files whose last part is ``name``, sorted."""
        ...

    def text(self, path: str) -> str | None:
        """The content of a configuration file (``go.mod``, ``tsconfig.json``), None where there is none."""
        ...

    def includers(self, header: str) -> Sequence[str]:
        """C and C++ files that include something whose last part is ``header``, sorted."""
        ...

    def folders_with(self, name: str) -> Sequence[str]:
        """Folders that hold a configuration file of that name, the deepest first."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """What an import may mean."""

    files: tuple[str, ...] = ()
    """Files that together are the module. Empty: a folder, or nothing."""
    folder: str | None = None
    """A folder whose files and folders are members (a namespace package)."""
    external: str = ""
    """The dotted name of something outside the workspace."""


class Language(Protocol):
    """One language."""

    @property
    def name(self) -> str:
        """Lower case; also what files' facts are marked with."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]:
        """With their dots, lower case."""
        ...

    @property
    def class_names_nest(self) -> bool:
        """Are a class's members seen without a receiver inside it?"""
        ...

    @property
    def wide_references(self) -> bool:
        """Do references of a member include what it overrides and what overrides it, and those of a symbol its aliases?

        As the reference tools of each language have it.
        """
        ...

    def version(self) -> str:
        """Changes with the grammar; a stored index of another version is built anew."""
        ...

    def parser(self, path: str) -> Parser:
        """A parser for that file (TypeScript has two grammars)."""
        ...

    def extract(self, path: str, source: bytes, tree: Tree) -> Facts:
        """The facts of one file. Must not depend on ``path`` beyond its extension."""
        ...

    def find_import(self, path: str, entry: Import, files: FileSet) -> Found:
        """What ``entry``'s module means in the file ``path``."""
        ...

    def submodule(self, entry: Import) -> str | None:
        """The module that ``entry``'s name is where its module exports no such name, None where that cannot be."""
        ...

    def siblings(self, path: str, facts: Facts, files: FileSet) -> Sequence[str]:
        """Other files that share the module scope (Go and Java packages)."""
        ...

    def builtin(self, name: str) -> bool:
        """Is the bare name the language's own?"""
        ...


@runtime_checkable
class TellsCalls(Protocol):
    """A language whose calls can be followed through values."""

    def parser(self, path: str) -> Parser:
        """As in ``Language``."""
        ...

    def extract_calls(self, source: bytes, tree: Tree) -> Facts:
        """Facts with every call and its arguments, under ``extra["calls"]``; see ``flow``."""
        ...


@runtime_checkable
class ReadsParts(Protocol):
    """A language whose top-level statements can be read without one another; see ``splice``."""

    def parser(self, path: str) -> Parser:
        """As in ``Language``."""
        ...

    def builtin(self, name: str) -> bool:
        """As in ``Language``."""
        ...

    def declares_outside(self, text: bytes) -> bool:
        """Whether a text, or a line of one, may declare a name of the module's scope without giving it a value."""
        ...

    def extract_part(self, source: bytes, tree: Tree, earlier: Mapping[bytes, int]) -> Facts:
        """The facts of some statements. ``earlier``: what those before them have bound in the module's scope, with its
        kind. What a statement says must not depend on others but for that, and only where a name is built in or an
        import."""
        ...


def by_kind(language: tree_sitter.Language, names: Iterable[str]) -> dict[int, str]:
    """Node kind numbers of the names that the grammar has, each mapped to its name."""
    found = {}
    for name in names:
        for named in (True, False):
            kind = language.id_for_node_kind(name, named)
            if kind:
                found[kind] = name
    return found


@functools.cache
def make_parser(language: tree_sitter.Language) -> Parser:
    """One parser a grammar and process."""
    return Parser(language)


def count_errors(root: Node, limit: int = 1000) -> int:
    """Syntax errors under ``root``; walks only where there are some."""
    if not root.has_error:
        return 0
    count, stack = 0, [root]
    while stack and count < limit:
        node = stack.pop()
        if node.is_error or node.is_missing:
            count += 1
        stack.extend(child for child in node.children if child.has_error)
    return count


def within(names: Collection[str], dotted: str) -> bool:
    """Is the first part of a dotted name one of ``names``?"""
    return dotted.partition(".")[0] in names
