"""A file's facts with the tables that resolution needs, made when first asked for."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from dsassist.index.facts import Facts, Sym
from dsassist.index.languages import by_name, is_wide
from dsassist.index.model import Kind, Op

if TYPE_CHECKING:
    from dsassist.index.languages.base import Language

__all__ = ["Module"]


class Module:
    """One file as resolution sees it."""

    __slots__ = (
        "_by_name",
        "_members",
        "_objects",
        "_parameters",
        "_paths",
        "_second",
        "_starts",
        "_symbols_by_path",
        "facts",
        "names",
        "path",
        "symbols",
    )

    def __init__(self, path: str, facts: Facts) -> None:
        self.path = path
        self.facts = facts
        self.names = facts.occurrences.names
        self.symbols: list[Sym] = facts.symbols
        self._members: list[dict[str, int]] | None = None
        self._paths: dict[int, str] = {}
        self._by_name: dict[str, list[int]] | None = None
        self._objects: dict[int, int] | None = None
        self._second: dict[int, str] | None = None
        self._parameters: dict[tuple[int, ...], list[int]] | None = None
        self._symbols_by_path: dict[str, int] | None = None
        self._starts: list[int] | None = None

    @property
    def language(self) -> Language:
        """Its language, which is loaded for it."""
        return by_name(self.facts.language)

    @property
    def is_wide(self) -> bool:
        """Has its language ``wide_references``?"""
        return is_wide(self.facts.language)

    @property
    def starts(self) -> list[int]:
        """The byte at which each line begins, and the end."""
        if self._starts is None:
            self._starts = list(accumulate(self.facts.line_lengths, initial=0))
        return self._starts

    def members(self, scope: int) -> dict[str, int]:
        """The names bound in a scope."""
        if self._members is None:
            tables: list[dict[str, int]] = [{} for _ in self.facts.scopes]
            names = self.names
            for index, symbol in enumerate(self.symbols):
                tables[symbol.scope][names[symbol.name]] = index
            self._members = tables
        return self._members[scope]

    def name(self, symbol: int) -> str:
        """The name of a symbol."""
        return self.names[self.symbols[symbol].name]

    def named(self, name: str) -> list[int]:
        """The symbols of a name."""
        if self._by_name is None:
            self._by_name = {}
            for index, symbol in enumerate(self.symbols):
                self._by_name.setdefault(self.names[symbol.name], []).append(index)
        return self._by_name.get(name, [])

    def scope_path(self, scope: int) -> str:
        """A stable name for a scope: ``Class.method``, ``f#1`` for a second definition of ``f``, ``f.<0>`` for a
        nameless one."""
        if scope <= 0:
            return ""
        found = self._paths.get(scope)
        if found is None:
            item = self.facts.scopes[scope]
            if item.owner >= 0:
                bodies = self.symbols[item.owner].bodies
                found = self._plain(item.owner)
                # The bodies of a class are one namespace; those of a function defined twice are two.
                if len(bodies) > 1 and bodies[0] != scope and item.kind != 1:
                    found += f"#{bodies.index(scope)}"
            elif item.kind == 1 and (held := self._method_scopes().get(scope)) is not None:
                found = held
            elif item.kind == 1 and (variable := self._object_scopes().get(scope)) is not None:
                found = self._plain(variable)
            else:
                order = 0
                for other in range(item.parent + 1, scope):
                    if self.facts.scopes[other].parent == item.parent and self.facts.scopes[other].owner < 0:
                        order += 1
                above = self.scope_path(item.parent)
                found = f"{above}.<{order}>" if above else f"<{order}>"
            self._paths[scope] = found
        return found

    def _method_scopes(self) -> dict[int, str]:
        """Scopes that hold methods written outside their type, by the type's name."""
        held: dict[str, tuple[int, ...]] = self.facts.extra.get("methods", {})
        return {scope: name for name, scopes in held.items() for scope in scopes}

    def _object_scopes(self) -> dict[int, int]:
        """Scopes of object literals, by the variable beside them that holds each first."""
        if self._objects is None:
            self._objects = {}
            expressions, scopes = self.facts.expressions, self.facts.scopes
            for index, symbol in enumerate(self.symbols):
                held = expressions[symbol.values[0]] if symbol.values else (-1, -1, -1)
                if held[0] == Op.OBJECT and scopes[held[1]].parent == symbol.scope:
                    self._objects.setdefault(held[1], index)
        return self._objects

    def type_parameters(self, symbol: int) -> list[int]:
        """Those of a generic alias, in order."""
        if self._parameters is None:
            self._parameters = {}
            for index, held in enumerate(self.symbols):
                if held.kind == Kind.TYPE_PARAMETER:
                    self._parameters.setdefault(self.facts.scopes[held.scope][4:], []).append(index)
        return self._parameters.get((self.symbols[symbol].start, self.symbols[symbol].end), [])

    def qualified(self, symbol: int) -> str:
        """The path of a symbol inside its file: ``Class.method``; ``Class.method#2`` for the second of one name, where
        methods are written outside their type."""
        if self._second is None:
            self._second = self._seconds() if self.facts.extra.get("methods") else {}
        return self._plain(symbol) + self._second.get(symbol, "")

    def _seconds(self) -> dict[int, str]:
        met: dict[str, int] = {}
        marks: dict[int, str] = {}
        for index in range(len(self.symbols)):
            path = self._plain(index)
            count = met[path] = met.get(path, 0) + 1
            if count > 1:
                marks[index] = f"#{count}"
        return marks

    def _plain(self, symbol: int) -> str:
        above = self.scope_path(self.symbols[symbol].scope)
        return f"{above}.{self.name(symbol)}" if above else self.name(symbol)

    def by_qualified(self, path: str) -> int:
        """The symbol with that path, or -1."""
        for index in reversed(self.named(path.rpartition(".")[2])):
            if self.qualified(index) == path:
                return index
        # A name with a dot in it, the second of one name, or none.
        if self._symbols_by_path is None:
            self._symbols_by_path = {self.qualified(index): index for index in range(len(self.symbols))}
        return self._symbols_by_path.get(path, -1)

    def enclosing_class(self, scope: int) -> int:
        """The nearest class scope around a scope, itself included, or -1."""
        scopes = self.facts.scopes
        while scope >= 0:
            if scopes[scope].kind == 1:
                return scope
            scope = scopes[scope].parent
        return -1
