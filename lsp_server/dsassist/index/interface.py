"""What other files can see of a file, and which names of it two versions disagree about.

An entry is a symbol with all that its type depends on, written with numbers from a table that both versions share, so
that equal entries are equal integers. A name is touched when an entry of that name differs, or when an entry mentions a
touched name. Whoever mentions no touched name, and reads nothing that does, keeps its links.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from dsassist.index.builder import children
from dsassist.index.facts import Facts
from dsassist.index.model import Kind, Op
from dsassist.index.module import Module

__all__ = ["touched_names"]

_Numbers = dict[Hashable, int]

_IMPLIED = frozenset({"constructor", "new", "operator", "call", "iterator", "next"})
"""Members that the code which uses them does not name, besides Python's ``__…__``."""


def touched_names(old: Facts, new: Facts) -> frozenset[str] | None:
    """The names through which another file may see that ``new`` took the place of ``old``; None: any name."""
    if old.language != new.language or _frame(old) != _frame(new):
        return None
    numbers: _Numbers = {}
    before, after = _Entries(old, numbers), _Entries(new, numbers)
    touched = {
        name.rpartition(".")[2]
        for name in before.values.keys() | after.values.keys()
        if before.values.get(name) != after.values.get(name)
    }
    touched |= _exported_differently(old, new, before, after)
    if not touched:
        return frozenset()
    mentions: dict[str, set[str]] = {}
    for entries in (before, after):
        for name, mentioned in entries.mentions.items():
            for other in mentioned:
                mentions.setdefault(other, set()).add(name.rpartition(".")[2])
    stack = list(touched)
    while stack:
        for name in mentions.get(stack.pop(), ()):
            if name not in touched:
                touched.add(name)
                stack.append(name)
    if any(name in _IMPLIED or name.startswith("__") for name in touched):
        return None
    return frozenset(touched)


def _frame(facts: Facts) -> Any:
    """What decides about every name."""
    return (
        [tuple(facts.imports[star]) for star in facts.stars],
        facts.exports is None,
        sorted((key, repr(value)) for key, value in facts.extra.items() if key != "all"),
    )


def _exported_differently(old: Facts, new: Facts, before: _Entries, after: _Entries) -> set[str]:
    listed = set(old.extra.get("all", ())) ^ set(new.extra.get("all", ()))
    if ("all" in old.extra) != ("all" in new.extra):
        listed |= {name.partition(".")[0] for name in before.values.keys() | after.values.keys()}
    ours, theirs = before.exports(), after.exports()
    return listed | {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


class _Entries:
    """The entries of one version, by qualified name."""

    def __init__(self, facts: Facts, numbers: _Numbers) -> None:
        self._module = Module("", facts)
        self._numbers = numbers
        self._expressions: dict[int, tuple[int, frozenset[str]]] = {}
        self.values: dict[str, list[int]] = {}
        self.mentions: dict[str, set[str]] = {}
        scopes = facts.scopes
        seen = {
            index
            for index, symbol in enumerate(facts.symbols)
            if scopes[symbol.scope].kind <= 1 or symbol.kind == Kind.PARAMETER
        }
        self._todo = sorted(seen, reverse=True)
        self._seen = seen
        while self._todo:
            self._add(self._todo.pop())
        for values in self.values.values():
            values.sort()

    def exports(self) -> dict[str, Any]:
        """What each exported name is."""
        module = self._module
        return {
            name: (
                module.qualified(symbol) if symbol >= 0 else "",
                tuple(module.facts.imports[entry]) if entry >= 0 else (),
            )
            for name, (symbol, entry) in (module.facts.exports or {}).items()
        }

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _add(self, index: int) -> None:
        module = self._module
        symbol = module.symbols[index]
        qualified = module.qualified(index)
        mentioned: set[str] = {module.name(parameter) for parameter in symbol.parameters}
        parts: list[int] = []
        bases = [base for body in symbol.bodies for base in module.facts.scopes[body].bases]
        for expr in (symbol.annotation, -1, *symbol.values, -1, *bases):
            number, names = self._render(expr) if expr >= 0 else (-1, frozenset[str]())
            parts.append(number)
            mentioned |= names
        key = (
            qualified,
            symbol.kind,
            symbol.flags,
            tuple(parts),
            tuple(module.name(parameter) for parameter in symbol.parameters),
            tuple(module.scope_path(body) for body in symbol.bodies),
        )
        self.values.setdefault(qualified, []).append(self._number(key))
        self.mentions.setdefault(qualified, set()).update(mentioned)

    def _render(self, expr: int) -> tuple[int, frozenset[str]]:
        """An expression's number, and the names that it mentions."""
        found = self._expressions.get(expr)
        if found is None:
            found = self._expressions[expr] = self._rendered(expr)
        return found

    def _rendered(self, expr: int) -> tuple[int, frozenset[str]]:
        module = self._module
        op, a, b = module.facts.expressions[expr]
        if op == Op.NAME:
            if a not in self._seen:  # a local: what it is counts as well
                self._seen.add(a)
                self._todo.append(a)
            return self._number((op, module.qualified(a))), frozenset({module.name(a)})
        if op == Op.GLOBAL:
            name, path = module.names[a], module.scope_path(module.enclosing_class(b))
            return self._number((op, name, path)), frozenset({name})
        if op == Op.IMPORT:
            entry = module.facts.imports[a]
            return self._number((op, tuple(entry))), frozenset({entry.name})
        if op in (Op.SELF, Op.CLASS_OF_SCOPE, Op.SUPER, Op.OBJECT):
            path = module.scope_path(a)
            return self._number((op, path, b)), frozenset({path.rpartition(".")[2]})
        parts = [self._render(part) for part in children((op, a, b))]
        names = frozenset().union(*(names for _, names in parts)) if parts else frozenset[str]()
        detail: Any = ""
        if op == Op.ATTR:
            detail = module.names[b]
            names |= {detail}
        elif op == Op.BUILTIN:
            detail = (a, tuple(part < 0 for part in b))
        elif op in (Op.ITEM, Op.ARGUMENT, Op.GIVEN):
            detail = b
        elif op == Op.SIGNATURE:
            detail = (a < 0, tuple(part < 0 for part in b))
        elif op in (Op.UNION, Op.TUPLE):
            detail = tuple(part < 0 for part in a)
        return self._number((op, detail, tuple(number for number, _ in parts))), names
