"""What other files can see of a file, and which names of it two versions disagree about.

An entry is a symbol with all that its type depends on, written with numbers from a table that both versions share, so
that equal entries are equal integers. A name is touched when an entry of that name differs, or when an entry mentions a
touched name. Whoever mentions no touched name, and reads nothing that does, keeps its links.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from dsassist.index.algebra import children
from dsassist.index.facts import Facts
from dsassist.index.model import Kind, Op, Role
from dsassist.index.module import Module

__all__ = ["Entries", "touched_by_part", "touched_names"]

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
    changed = _changed(old, new, known)
    return None if changed is None else _with_mentioning(changed, old, new)


def touched_by_part(before: Facts, after: Facts, whole: Facts) -> frozenset[str] | None:
    """As ``touched_names``, where only a part of a file has changed, whose facts alone were ``before`` and are
    ``after``, and those of the whole are ``whole`` now."""
    changed = _changed(before, after, None)
    return None if changed is None else _with_mentioning(changed, before, whole)


def _changed(old: Facts, new: Facts, known: Entries | None) -> set[str] | None:
    """The names of entries that differ; None: any name."""
    if old.language != new.language or _frame(old) != _frame(new):
        return None
    before = known if known is not None else Entries(old)
    after = Entries(new, before)
    changed = {
        name.rpartition(".")[2]
        for name in before.values.keys() | after.values.keys()
        if before.values.get(name) != after.values.get(name)
    }
    return changed | _exported_differently(old, new, before, after)


def _with_mentioning(changed: set[str], *versions: Facts) -> frozenset[str] | None:
    """These names and all that are made of them; None: any name."""
    if not all(_is_alone(facts, name) for name in changed for facts in versions):
        modules = [Module("", facts) for facts in versions]
        before = -1
        while len(changed) > before:
            before = len(changed)
            for module in modules:
                changed |= _mentioning(module, changed)
    if any(name in _IMPLIED or name.startswith("__") for name in changed):
        return None
    return frozenset(changed)


def _mentioning(module: Module, wanted: set[str]) -> set[str]:
    """The names of entries that mention one of the wanted names, straight or through a local variable."""
    facts, symbols, names = module.facts, module.symbols, module.names
    scopes = facts.scopes
    numbers = {number for number, name in enumerate(names) if name in wanted}
    locals_found: set[int] = set()
    found: set[str] = set()
    while True:
        marked = bytearray(len(facts.expressions))
        for at, (op, a, b) in enumerate(facts.expressions):
            if op == _NAME:
                marked[at] = a in locals_found or symbols[a].name in numbers
            elif op == _GLOBAL:
                marked[at] = a in numbers
            elif op == _IMPORT:
                marked[at] = facts.imports[a].name in wanted
            elif op in _OF_SCOPE:
                marked[at] = module.scope_path(a).rpartition(".")[2] in wanted
            else:
                marked[at] = (op == _ATTR and b in numbers) or any(marked[part] for part in children((op, a, b)))
        before = len(locals_found)
        for index, symbol in enumerate(symbols):
            if not (
                (symbol.annotation >= 0 and marked[symbol.annotation])
                or any(marked[value] for value in symbol.values)
                or any(symbols[parameter].name in numbers for parameter in symbol.parameters)
                or any(base >= 0 and marked[base] for at in symbol.bodies for base in scopes[at].bases)
            ):
                continue
            if scopes[symbol.scope].kind <= 1 or symbol.kind == Kind.PARAMETER:
                found.add(names[symbol.name])
            else:
                locals_found.add(index)
        if len(locals_found) == before:
            return found


def _is_alone(facts: Facts, name: str) -> bool:
    """Does the file have the name nowhere, or only where it is defined? Then nothing in it can mention it."""
    places = facts.occurrences.named(name)
    return not places or (len(places) == 1 and bool(facts.occurrences.role[places[0]] & Role.DEFINITION))


def _frame(facts: Facts) -> Any:
    """What decides about every name."""
    return (
        [tuple(facts.imports[star]) for star in facts.stars],
        facts.exports is None,
        sorted((key, repr(value)) for key, value in facts.extra.items() if key not in ("all", "labels")),
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

    def _parts(self, index: int) -> list[int]:
        """The expressions of an entry, kinds apart."""
        symbol, scopes = self._module.symbols[index], self._module.facts.scopes
        return [symbol.annotation, -1, *symbol.values, -1, *(base for at in symbol.bodies for base in scopes[at].bases)]

    def _add(self, index: int) -> None:
        module = self._module
        symbol = module.symbols[index]
        qualified = module.qualified(index)
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
