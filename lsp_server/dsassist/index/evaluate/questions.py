"""What the parts of the evaluator ask of one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsassist.index.languages.base import FileSet
from dsassist.index.memo import Memo
from dsassist.index.model import Kind, Op
from dsassist.index.module import Module
from dsassist.index.types import (
    Type,
    Types,
)

__all__ = ["FUNCTIONS", "Entity", "Member", "Questions", "parts_of"]

Entity = tuple[Any, ...]
"""``("s", path, symbol)``, a module type ``("m", …)`` or an outside thing ``("x", dotted, ())``."""

Member = tuple[str, int]
"""A symbol anywhere: its file and its number there."""

FUNCTIONS = frozenset({Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR})


class Questions:
    """Declares what one part answers and another asks.

    ``load`` gives a file's module or None; ``files`` is the workspace; answers are kept in ``memo``.
    """

    def __init__(self, files: FileSet, load: Callable[[str], Module | None]) -> None:
        self.files = files
        self._load = load
        self.memo = Memo()

    def module(self, path: str) -> Module | None:
        """The module, as something the current answer depends on."""
        self.memo.depend(path)
        return self._load(path)

    def follow(self, path: str, symbol: int) -> tuple[Entity, ...]:
        """See ``Names``."""
        raise NotImplementedError

    def as_types(self, entities: tuple[Entity, ...]) -> Types:
        """See ``Names``."""
        raise NotImplementedError

    def symbol_types(self, path: str, symbol: int) -> Types:
        """See ``Evaluator``."""
        raise NotImplementedError

    def declared(self, module: Module, expr: int) -> Types:
        """See ``Evaluator``."""
        raise NotImplementedError

    def instances(self, types: Types) -> Types:
        """See ``Evaluator``."""
        raise NotImplementedError

    def evaluate(self, module: Module, expr: int) -> Types:
        """See ``Evaluator``."""
        raise NotImplementedError

    def siblings(self, module: Module) -> Sequence[str]:
        """See ``Names``."""
        raise NotImplementedError

    def base_types(self, module: Module, symbol: int) -> Types:
        """See ``Classes``."""
        raise NotImplementedError

    def class_member(self, path: str, symbol: int, name: str, skip_first: bool = False) -> tuple[Member, ...]:
        """See ``Classes``."""
        raise NotImplementedError

    def lookup(self, item: Type, name: str, seen_from: str) -> tuple[Member, ...]:
        """See ``Classes``."""
        raise NotImplementedError

    def module_member(self, item: Type, name: str, seen_from: str) -> tuple[Entity, ...]:
        """See ``Names``."""
        raise NotImplementedError

    def member_types(self, owners: Types, name: str, seen_from: str) -> Types:
        """See ``Classes``."""
        raise NotImplementedError

    def bound(self, path: str, symbol: int, owner: Type) -> Types:
        """See ``Classes``."""
        raise NotImplementedError

    def is_enum(self, path: str, symbol: int) -> bool:
        """See ``Classes``."""
        raise NotImplementedError

    def functions(self, callees: Types) -> Types:
        """See ``Calls``."""
        raise NotImplementedError

    def called(self, callees: Types, module: Module, first: int) -> Types:
        """See ``Calls``."""
        raise NotImplementedError

    def result(self, path: str, symbol: int, receiver: Type | None, first: int, caller: str) -> Types:
        """See ``Calls``."""
        raise NotImplementedError

    def _result(self, path: str, symbol: int) -> Types:
        """See ``Calls``."""
        raise NotImplementedError

    def substituted(self, types: Types, receiver: Type | None, path: str) -> Types:
        """See ``Generics``."""
        raise NotImplementedError

    def solved(self, path: str, symbol: int, types: Types, receiver: Type | None, first: int, caller: str) -> Types:
        """See ``Generics``."""
        raise NotImplementedError

    def member_of_variable(self, module: Module, expr: int, known: dict[str, Types]) -> Types:
        """See ``Generics``."""
        raise NotImplementedError


def parts_of(module: Module, index: int) -> tuple[int, ...]:
    """The expressions between the brackets of ``a[b, c]``."""
    if index < 0:
        return ()
    op, a, _ = module.facts.expressions[index]
    return tuple(a) if op == Op.TUPLE else (index,)
