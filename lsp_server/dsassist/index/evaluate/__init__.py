"""From expressions to types, across files: imports, members, method resolution order, results of calls.

Each part asks all the others, through the questions that ``questions`` declares: ``names`` says what a name denotes,
``classes`` what members a value has, ``calls`` what calling it gives, ``generics`` what type variables stand for,
``operators`` what loops and subscripts make of it. Here they come together, in the walk over expressions.
"""

from __future__ import annotations

from typing import Any

from dsassist.index.evaluate.calls import Calls
from dsassist.index.evaluate.classes import Classes
from dsassist.index.evaluate.generics import Generics
from dsassist.index.evaluate.names import Names
from dsassist.index.evaluate.operators import Operators
from dsassist.index.evaluate.questions import FUNCTIONS, Entity, Member
from dsassist.index.model import TYPE_KINDS, Kind, Op
from dsassist.index.module import Module
from dsassist.index.types import CONTAINERS, TRANSPARENT, Type, Types, bounded, element, join

__all__ = ["Entity", "Evaluator", "Member"]

_CLASSES = frozenset(TYPE_KINDS)
_TYPE_VARIABLES = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})
_PARTS = frozenset({"Pick", "Omit", "Exclude", "Extract"})


class Evaluator(Names, Classes, Calls, Generics, Operators):
    """Answers about types. ``load`` gives a file's module or None; ``files`` is the workspace. Answers are kept in
    ``memo``."""

    def symbol_types(self, path: str, symbol: int) -> Types:
        """What a symbol's value is."""
        result: Types = self.memo.ask(("y", path, symbol), self._symbol_types, path, symbol)
        return result

    def _symbol_types(self, path: str, symbol: int) -> Types:
        module = self.module(path)
        if module is None:
            return ()
        sym = module.symbols[symbol]
        if sym.kind in _CLASSES:
            return (("c", path, symbol, ()),)
        if sym.kind in FUNCTIONS:
            return (("f", path, symbol, None),)
        if sym.kind == Kind.PROPERTY:
            return self.result(path, symbol, None, -1, path)
        if sym.kind == Kind.ENUM_MEMBER:
            owner = module.facts.scopes[sym.scope].owner
            return (("i", path, owner, ()),) if owner >= 0 else ()
        if sym.kind == Kind.TYPE_PARAMETER:
            return (("v", module.name(symbol), path, symbol) if sym.annotation >= 0 else ("v", module.name(symbol)),)
        if sym.kind == Kind.TYPE and sym.annotation >= 0:
            return self.defaulted(module, symbol, self.evaluate(module, sym.annotation), {})
        if sym.annotation >= 0:
            declared = self.declared(module, sym.annotation)
            if declared:
                return declared
            if sym.kind != Kind.PARAMETER or not sym.values:
                return ()
        types = join(self.evaluate(module, value) for value in sym.values)
        if any(item[0] == "b" and item[1].rpartition(".")[2] in _TYPE_VARIABLES for item in types):
            limited = any(item[0] == "b" and item[2] for item in types)
            return (("v", module.name(symbol), path, symbol) if limited else ("v", module.name(symbol)),)
        return types

    def declared(self, module: Module, expr: int) -> Types:
        """Instances of the type that an annotation names."""
        return self.instances(self.evaluate(module, expr))

    def instances(self, types: Types) -> Types:
        """What a name of these types, used as an annotation, stands for."""
        out: list[Types] = []
        for item in types:
            tag = item[0]
            if tag == "c":
                out.append((("i", *item[1:]),))
            elif tag == "Z":
                out.append((("S", *item[1:]),))
            elif tag == "x":
                name = item[1].rpartition(".")[2]
                if name in TRANSPARENT:
                    out.extend(item[2])
                elif name in _PARTS:
                    out.extend(item[2][:1])
                elif name in ("Type", "type"):
                    out.append(_classes(join(item[2])))
                elif name == "Self":
                    out.append((("v", "Self"),))
                elif name == "Coroutine":
                    out.extend(item[2][-1:])
                elif name in ("Tuple", "tuple"):
                    out.append(_tuple(item[2]))
                elif name == "Callable":
                    out.append((("b", item[1], ()),))
                elif name not in ("None", "Any", "object", "NoReturn", "Never"):
                    out.append((("b", item[1], item[2]),))
            elif tag in ("v", "o", "i", "b", "t", "l", "m", "S"):
                out.append((item,))
        return join(out)

    def evaluate(self, module: Module, expr: int) -> Types:
        """The types of an expression."""
        if expr < 0:
            return ()
        op, a, b = module.facts.expressions[expr]
        if op == Op.NAME:
            return self.name_types(module, a)
        if op == Op.SELF:
            return (("S", module.path, module.facts.scopes[a].owner),)
        result: Types = self.memo.ask(("e", module.path, expr), self._evaluate, module, op, a, b)
        return result

    def name_types(self, module: Module, symbol: int) -> Types:
        """A name bound in the module's file."""
        if module.symbols[symbol].kind in _CLASSES:
            return (("c", module.path, symbol, ()),)
        return self.as_types(self.follow(module.path, symbol))

    def _evaluate(self, module: Module, op: int, a: Any, b: Any) -> Types:
        self.memo.depend(module.path)
        if op == Op.ATTR:
            name = module.names[b]
            return self.member_types(self.evaluate(module, a), name, module.path)
        if op == Op.CALL:
            return self.called(self.evaluate(module, a), module, b)
        if op == Op.GLOBAL:
            return self.global_types(module, module.names[a], b)
        if op == Op.SUBSCRIPT:
            alias = self.alias(module, a, b)
            return self.subscript(self.evaluate(module, a), module, b) if alias is None else alias
        if op == Op.ITERATE:
            return self.iterated(self.evaluate(module, a), module.path)
        if op == Op.ITEM:
            return join(_item(kind, b) for kind in self.evaluate(module, a))
        if op == Op.AWAIT:
            return self.evaluate(module, a)
        if op == Op.UNION:
            return join(self.evaluate(module, part) for part in a)
        if op == Op.TUPLE:
            return _tuple(tuple(self.evaluate(module, part) for part in a))
        if op == Op.BUILTIN:
            return (("b", a, bounded(tuple(self.evaluate(module, part) for part in b))),)
        if op == Op.CLASS_OF_SCOPE:
            return (("Z", module.path, module.facts.scopes[a].owner),)
        if op == Op.SUPER:
            owner = module.facts.scopes[a].owner
            return (("U", module.path, owner, b),)
        if op == Op.INSTANCE or op == Op.NEW:
            return self.instances(_spread(self.evaluate(module, a)))
        if op == Op.MEMO:
            return self.evaluate(module, a) or self.evaluate(module, b)
        if op == Op.ARGUMENT:
            return self.expected(self.evaluate(module, a), b)
        if op == Op.GIVEN:
            return self.given(self.evaluate(module, a), b // 16, b % 16)
        if op == Op.EXPECTING:
            return self.expecting(self.evaluate(module, a), self.evaluate(module, b))
        if op == Op.APPLIED:
            return self.applied(self.evaluate(module, a), module, b)
        if op == Op.LITERAL:
            return (("b", f'"{a}"', ()),)
        if op == Op.MATCHING:
            return self.matching(self.evaluate(module, a), b, module.path)
        if op == Op.SIGNATURE:
            return (("l", module.path, a, b),)
        if op == Op.ENTER:
            return self.entered(self.evaluate(module, a), module.path)
        if op == Op.IMPORT:
            return self.as_types(self.entities(module.path, a))
        if op == Op.FUNCTION:
            return (("l", module.path, a),)
        if op == Op.OBJECT:
            return (("o", module.path, a),)
        if op == Op.DEREFERENCE:
            return self.evaluate(module, a)
        if op == Op.TYPE_OF:
            return self.evaluate(module, a)
        raise AssertionError(op)


def _tuple(items: tuple[Types, ...]) -> Types:
    return (("t", bounded(items)),)


def _classes(types: Types) -> Types:
    return tuple(("c", *item[1:]) if item[0] == "i" else ("Z", *item[1:]) if item[0] == "S" else item for item in types)


def _spread(types: Types) -> Types:
    """A tuple of classes is any of them (``except (A, B)``)."""
    return join(join(item[1]) if item[0] == "t" else (item,) for item in types)


def _item(item: Type, index: int) -> Types:
    if item[0] == "t":
        return item[1][index] if index < len(item[1]) else ()
    return element(item) or () if item[0] == "b" and item[1].rpartition(".")[2] in CONTAINERS else ()
