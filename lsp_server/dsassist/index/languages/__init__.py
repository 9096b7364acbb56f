"""The languages that the index knows. Adding one: a module with the ``Language`` protocol, and its line below."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from dsassist.index.languages.base import FileSet, Found, Language
from dsassist.index.languages.c import C, Cpp
from dsassist.index.languages.ecma import Ecma
from dsassist.index.languages.go import Go
from dsassist.index.languages.java import Java
from dsassist.index.languages.python import Python
from dsassist.index.languages.rust import Rust

__all__ = ["FileSet", "Found", "Language", "all_languages", "by_name", "language_of"]


@functools.cache
def all_languages() -> tuple[Language, ...]:
    """Every language, in a fixed order."""
    return (Python(), Ecma(), Go(), Rust(), Java(), C(), Cpp())


@functools.cache
def _by_extension() -> Mapping[str, Language]:
    return {extension: language for language in all_languages() for extension in language.extensions}


@functools.cache
def by_name() -> Mapping[str, Language]:
    """Languages by name."""
    return {language.name: language for language in all_languages()}


def language_of(path: str) -> Language | None:
    """The language of a file by its extension, None where it is not ours."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return None if dot <= 0 else _by_extension().get(name[dot:].lower())
