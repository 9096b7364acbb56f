"""Small operations on values and calls."""

from __future__ import annotations

from collections.abc import Iterable

from _dsassist_probe.plain import Value

__all__ = ["call_text", "interleaved", "setups", "unique"]


def call_text(function: str, arguments: Iterable[tuple[str, str]]) -> str:
    """``function(value, name=value)`` from (name or "", code) pairs."""
    return f"{function}({', '.join(f'{name}={code}' if name else code for name, code in arguments)})"


def setups(values: Iterable[Value]) -> tuple[str, ...]:
    """The set-up lines of all ``values``, each once."""
    return tuple(dict.fromkeys(line for value in values for line in value.setup))


def unique(values: Iterable[Value]) -> list[Value]:
    """In the same order, each once."""
    return list(dict.fromkeys(values))


def interleaved(groups: list[list[Value]]) -> list[Value]:
    """The first of each group, then the second of each, and so on."""
    longest = max(map(len, groups), default=0)
    return unique([group[position] for position in range(longest) for group in groups if position < len(group)])
