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
from dsassist.index.model import Kind, Op, Role
from dsassist.index.module import Module

__all__ = ["Entries", "touched_names"]

_NAME, _GLOBAL, _IMPORT, _ATTR, _BUILTIN = map(int, (Op.NAME, Op.GLOBAL, Op.IMPORT, Op.ATTR, Op.BUILTIN))
_OF_SCOPE = frozenset({Op.SELF, Op.CLASS_OF_SCOPE, Op.SUPER, Op.OBJECT})
_WITH_DETAIL = frozenset({Op.ITEM, Op.ARGUMENT, Op.GIVEN})
_OF_PARTS = frozenset({Op.UNION, Op.TUPLE})
_Numbers = dict[Hashable, int]

_IMPLIED = frozenset({"constructor", "new", "operator", "call", "iterator", "next"})
"""Members that the code which uses them does not name, besides Python's ``__…__``."""


def touched_names(old: Facts, new: Facts, known: Entries | None = None) -> frozenset[str] | None:
    """The names through which another file may see that ``new`` took the place of ``old``; None: any name. ``known``:
    the entries of ``old``, for who compares with it again."""
    if old.language != new.language or _frame(old) != _frame(new):
        return None
    before = known if known is not None else Entries(old)
    after = Entries(new, before)
    touched = {
        name.rpartition(".")[2]
        for name in before.values.keys() | after.values.keys()
        if before.values.get(name) != after.values.get(name)
    }
    touched |= _exported_differently(old, new, before, after)
    if not touched:
        return frozenset()
    if not all(_is_alone(facts, name) for name in touched for facts in (old, new)):
        mentions: dict[str, set[str]] = {}
        for entries in (before, after):
            for name, mentioned in entries.mentions().items():
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


def _is_alone(facts: Facts, name: str) -> bool:
    """Does the file have the name nowhere, or only where it is defined? Then nothing in it can mention it."""
    places = facts.occurrences.named(name)
    return not places or (len(places) == 1 and bool(facts.occurrences.role[places[0]] & Role.DEFINITION))


def _frame(facts: Facts) -> Any:
    """What decides about every name."""
    return (
        [tuple(facts.imports[star]) for star in facts.stars],
        facts.exports is None,
        sorted((key, repr(value)) for key, value in facts.extra.items() if key != "all"),
    )


def _exported_differently(old: Facts, new: Facts, before: Entries, after: Entries) -> set[str]:
    listed = set(old.extra.get("all", ())) ^ set(new.extra.get("all", ()))
    if ("all" in old.extra) != ("all" in new.extra):
        listed |= {name.partition(".")[0] for name in before.values.keys() | after.values.keys()}
    ours, theirs = before.exports(), after.exports()
    return listed | {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


class Entries:
    """The entries of one version, by qualified name; in the numbers of ``other``, which they can be compared with."""

    def __init__(self, facts: Facts, other: Entries | None = None) -> None:
        self._module = Module("", facts)
        self._numbers: _Numbers = {} if other is None else dict(other._numbers)
        self._expressions: dict[int, int] = {}
        self._added: list[int] = []
        self.values: dict[str, list[int]] = {}
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

    def mentions(self) -> dict[str, set[str]]:
        """The names that each entry mentions."""
        module = self._module
        known: dict[int, frozenset[str]] = {}
        found: dict[str, set[str]] = {}
        for index in self._added:
            mentioned = found.setdefault(module.qualified(index), set())
            mentioned.update(map(module.name, module.symbols[index].parameters))
            for expr in self._parts(index):
                if expr >= 0:
                    mentioned |= self._names(expr, known)
        return found

    def _parts(self, index: int) -> list[int]:
        """The expressions of an entry, kinds apart."""
        symbol, scopes = self._module.symbols[index], self._module.facts.scopes
        return [symbol.annotation, -1, *symbol.values, -1, *(base for at in symbol.bodies for base in scopes[at].bases)]

    def _add(self, index: int) -> None:
        module = self._module
        symbol = module.symbols[index]
        qualified = module.qualified(index)
        self._added.append(index)
        key = (
            qualified,
            symbol.kind,
            symbol.flags,
            tuple([self._render(expr) if expr >= 0 else -1 for expr in self._parts(index)]),
            tuple(map(module.name, symbol.parameters)),
            tuple(map(module.scope_path, symbol.bodies)),
        )
        self.values.setdefault(qualified, []).append(self._number(key))

    def _render(self, expr: int) -> int:
        """An expression's number."""
        found = self._expressions.get(expr)
        if found is None:
            found = self._expressions[expr] = self._rendered(expr)
        return found

    def _rendered(self, expr: int) -> int:
        module = self._module
        op, a, b = module.facts.expressions[expr]
        if op == _NAME:
            if a not in self._seen:  # a local: what it is counts as well
                self._seen.add(a)
                self._todo.append(a)
            return self._number((op, module.qualified(a)))
        if op == _GLOBAL:
            return self._number((op, module.names[a], module.scope_path(module.enclosing_class(b))))
        if op == _IMPORT:
            return self._number((op, tuple(module.facts.imports[a])))
        if op in _OF_SCOPE:
            return self._number((op, module.scope_path(a), b))
        detail: Any = ""
        if op == _ATTR:
            detail = module.names[b]
        elif op == _BUILTIN:
            detail = (a, tuple(part < 0 for part in b))
        elif op in _WITH_DETAIL:
            detail = b
        elif op == Op.SIGNATURE:
            detail = (a < 0, tuple(part < 0 for part in b))
        elif op in _OF_PARTS:
            detail = tuple(part < 0 for part in a)
        return self._number((op, detail, tuple(map(self._render, children((op, a, b))))))

    def _names(self, expr: int, known: dict[int, frozenset[str]]) -> frozenset[str]:
        """The names that an expression mentions."""
        found = known.get(expr)
        if found is None:
            module = self._module
            op, a, b = module.facts.expressions[expr]
            if op == _NAME:
                found = frozenset({module.name(a)})
            elif op == _GLOBAL:
                found = frozenset({module.names[a]})
            elif op == _IMPORT:
                found = frozenset({module.facts.imports[a].name})
            elif op in _OF_SCOPE:
                found = frozenset({module.scope_path(a).rpartition(".")[2]})
            else:
                own = (module.names[b],) if op == _ATTR else ()
                found = frozenset(own).union(*(self._names(part, known) for part in children((op, a, b))))
            known[expr] = found
        return found
