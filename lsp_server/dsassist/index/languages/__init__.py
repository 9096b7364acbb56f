"""The languages that the index knows. Adding one: a module with the ``Language`` protocol, and its line below.

A language and its grammar are loaded when a file of it is read: whoever only looks up what is stored needs neither.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsassist.index.languages.base import Language

__all__ = ["GRAMMARS", "all_languages", "by_name", "is_source", "is_wide", "language_of"]

_LANGUAGES = {
    "python": ("python", "Python", (".py", ".pyi", ".pyw")),
    "typescript": ("ecma", "Ecma", (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")),
    "go": ("go", "Go", (".go",)),
    "rust": ("rust", "Rust", (".rs",)),
    "java": ("java", "Java", (".java",)),
    "c": ("c", "C", (".c",)),
    "cpp": ("c", "Cpp", (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".h", ".ipp", ".inl")),
}
"""By name: module, class, and the extensions that the class declares."""
_WIDE = frozenset({"typescript"})
"""Those with ``wide_references``."""
GRAMMARS = (
    "tree_sitter", "tree_sitter_python", "tree_sitter_typescript", "tree_sitter_javascript", "tree_sitter_go",
    "tree_sitter_rust", "tree_sitter_java", "tree_sitter_c", "tree_sitter_cpp",
)  # fmt: skip
"""Packages that decide what a file's syntax tree looks like."""
_BY_EXTENSION = {extension: name for name, (_, _, extensions) in _LANGUAGES.items() for extension in extensions}


@functools.cache
def by_name(name: str) -> Language:
    """A language by its name.

    Raises:
        KeyError: there is none.
    """
    module, kind, _ = _LANGUAGES[name]
    made: Language = getattr(import_module(f"{__name__}.{module}"), kind)()
    return made


@functools.cache
def all_languages() -> tuple[Language, ...]:
    """Every language, in a fixed order."""
    return tuple(by_name(name) for name in _LANGUAGES)


def is_wide(name: str) -> bool:
    """Has the language of that name ``wide_references``?"""
    return name in _WIDE


def _name_of(path: str) -> str | None:
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return None if dot <= 0 else _BY_EXTENSION.get(name[dot:].lower())


def is_source(path: str) -> bool:
    """Is it, by its extension, in one of our languages?"""
    return _name_of(path) is not None


def language_of(path: str) -> Language | None:
    """The language of a file by its extension, None where it is not ours."""
    name = _name_of(path)
    return None if name is None else by_name(name)
