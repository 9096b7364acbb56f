"""Type variables: what they stand for on a receiver, in a call, in an alias."""

from __future__ import annotations

from dsassist.index.evaluate.questions import Entity, Questions, parts_of
from dsassist.index.model import Kind, Op, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.types import (
    Type,
    Types,
    join,
    replace,
)

__all__ = ["Generics"]


class Generics(Questions):
    """See the module's docstring."""

    def substituted(self, types: Types, receiver: Type | None, path: str) -> Types:
        """Type variables and the receiver's own type, replaced by what ``receiver`` says."""
        if receiver is None or not types:
            return types
        instance: Types
        class_: Types
        if receiver[0] in ("i", "c"):
            instance, class_ = (("i", *receiver[1:]),), (("c", *receiver[1:]),)
        elif receiver[0] in ("S", "Z"):
            instance, class_ = (("S", receiver[1], receiver[2]),), (("Z", receiver[1], receiver[2]),)
        elif receiver[0] == "K":
            known: dict[str, Types] = dict(receiver[1])
            return replace(types, lambda item: self.of_variable(item, known))
        else:
            return types
        variables: dict[str, Types] | None = None

        def change(item: Type) -> Types:
            nonlocal variables
            if item[0] == "S":
                return instance
            if item[0] == "Z":
                return class_
            if item[1] == "Self":
                return instance
            if variables is None:
                variables = self.variables(receiver)
            return variables.get(item[1], (item,))

        return replace(types, change)

    def of_variable(self, item: Type, known: dict[str, Types]) -> Types:
        """What a type variable is in a call: given, or what its default makes of the given ones (``D = T["x"]``)."""
        if item[0] != "v":
            return (item,)
        if item[1] in known:
            return known[item[1]]
        module = self.module(item[2]) if len(item) > 2 else None
        return (
            (self.member_of_variable(module, module.symbols[item[3]].annotation, known) or (item,))
            if module
            else (item,)
        )

    def member_of_variable(self, module: Module, expr: int, known: dict[str, Types]) -> Types:
        """Members of type variables, with those put in."""
        op, a, b = module.facts.expressions[expr] if expr >= 0 else (-1, -1, -1)
        if op == Op.ATTR:
            return self.member_types(self.member_of_variable(module, a, known), module.names[b], module.path)
        if op == Op.INSTANCE:
            return self.member_of_variable(module, a, known)
        return known.get(module.name(a), ()) if op == Op.NAME else ()

    def variables(self, receiver: Type) -> dict[str, Types]:
        """Type variables of a class and its bases, by name, as ``receiver``'s arguments say."""
        known: dict[str, Types] = {}
        arguments = receiver[3] if receiver[0] in ("i", "c") else ()
        self._gather(receiver[1], receiver[2], arguments, known, 0)
        return known

    def _gather(
        self, path: str, symbol: int, arguments: tuple[Types, ...], known: dict[str, Types], level: int
    ) -> None:
        module = self.module(path)
        if module is None or level > 6:
            return
        names: list[str] = []
        bases = self.base_types(module, symbol)
        for body in module.symbols[symbol].bodies:
            names += [
                name for name, at in module.members(body).items() if module.symbols[at].kind == Kind.TYPE_PARAMETER
            ]
        for explicit in (True, False):
            for base in bases:
                if (
                    base[0] in ("c", "x")
                    and (base[1].rpartition(".")[2] in ("Generic", "Protocol") if base[0] == "x" else False) == explicit
                ):
                    for types in base[3] if base[0] == "c" else base[2]:
                        names += [item[1] for item in types if item[0] == "v" and item[1] not in names]
        for name, types in zip(names, arguments, strict=False):
            known.setdefault(name, types)
        if level == 0:
            for body in module.symbols[symbol].bodies:
                for name, at in module.members(body).items():
                    if module.symbols[at].kind == Kind.TYPE_PARAMETER and module.symbols[at].values:
                        known.setdefault(
                            name, join(self.evaluate(module, value) for value in module.symbols[at].values)
                        )
        for base in bases:
            if base[0] == "c":
                inner = tuple(
                    join(known.get(item[1], (item,)) if item[0] == "v" else (item,) for item in types)
                    for types in base[3]
                )
                self._gather(base[1], base[2], inner, known, level + 1)

    def solved(self, path: str, symbol: int, types: Types, receiver: Type | None, first: int, caller: str) -> Types:
        """Type variables of a function from its first argument: ``def f(x: T) -> T``, ``def f(c: type[T]) -> T``."""
        module, other = self.module(path), self.module(caller)
        if module is None or other is None:
            return types
        parameters = module.symbols[symbol].parameters
        if receiver is not None and not module.symbols[symbol].flags & SymbolFlag.STATIC:
            parameters = parameters[1:]
        if not parameters or module.symbols[parameters[0]].annotation < 0:
            return types
        known: dict[str, Types] = {}
        actual = self.evaluate(other, first)
        for wanted in self.declared(module, module.symbols[parameters[0]].annotation):
            _match(wanted, actual, known)
        return replace(types, lambda item: known.get(item[1], (item,)) if item[0] == "v" else (item,))

    def expecting(self, callees: Types, wanted: Types) -> Types:
        """Functions, with what their type variables are where the result should be ``wanted``."""
        out: list[Type] = []
        for item in self.functions(callees):
            known: dict[str, Types] = {}
            if item[0] == "f" and item[3] is None:
                for kind in self.memo.ask(("r", item[1], item[2]), self._result, item[1], item[2]):
                    _match(kind, wanted, known)
            out.append((*item[:3], ("K", tuple(sorted(known.items())))) if known else item)
        return tuple(dict.fromkeys(out))

    def applied(self, callees: Types, module: Module, first: int) -> Types:
        """Functions, with what their type variables are where ``first`` is the first argument."""
        actual = self.evaluate(module, first)
        out: list[Type] = []
        for item in self.functions(callees):
            other = self.module(item[1]) if item[0] == "f" and (item[3] is None or item[3][0] == "K") else None
            parameters = other.symbols[item[2]].parameters if other is not None else ()
            known: dict[str, Types] = dict(item[3][1]) if other is not None and item[3] is not None else {}
            if other is not None and parameters and actual and other.symbols[parameters[0]].annotation >= 0:
                for wanted in self.declared(other, other.symbols[parameters[0]].annotation):
                    _match(wanted, actual, known)
            out.append((*item[:3], ("K", tuple(sorted(known.items())))) if known else item)
        return tuple(dict.fromkeys(out))

    def alias(self, module: Module, base: int, index: int) -> Types | None:
        """A generic alias with its arguments put in; None where ``base`` names no such thing."""
        op, a, b = module.facts.expressions[base] if base >= 0 else (-1, -1, -1)
        if module.language.name == "python" or index < 0:
            return None
        entities: tuple[Entity, ...] = ()
        if op == Op.NAME:
            entities = self.follow(module.path, a)
        elif op == Op.ATTR:
            for item in self.evaluate(module, a):
                entities += self.module_member(item, module.names[b], module.path) if item[0] == "m" else ()
        if len(entities) != 1 or entities[0][0] != "s":
            return None
        _, path, symbol = entities[0]
        other = self.module(path)
        sym = other.symbols[symbol] if other is not None else None
        if other is None or sym is None or sym.kind != Kind.TYPE or sym.annotation < 0:
            return None
        names = [other.name(at) for at in other.type_parameters(symbol)]
        arguments = [self.declared(module, part) for part in parts_of(module, index)]
        known = {name: types for name, types in zip(names, arguments, strict=False) if types}
        types = self.instances(self.evaluate(other, sym.annotation))
        return self.defaulted(other, symbol, types, known)

    def defaulted(self, module: Module, alias: int, types: Types, known: dict[str, Types]) -> Types:
        """An alias's types with its parameters put in: ``known`` ones, else what they are by default."""
        for parameter in module.type_parameters(alias):
            name = module.name(parameter)
            if name not in known and module.symbols[parameter].values:
                known[name] = join(self.evaluate(module, value) for value in module.symbols[parameter].values)
        if not known:
            return types
        return replace(types, lambda item: known.get(item[1]) or (item,) if item[0] == "v" else (item,))


def _match(wanted: Type, actual: Types, known: dict[str, Types]) -> None:
    if wanted[0] == "v":
        known.setdefault(wanted[1], actual)
    elif wanted[0] == "i" and wanted[3]:
        for item in actual:
            if item[:3] == wanted[:3]:
                for part, given in zip(wanted[3], item[3], strict=False):
                    for inner in part:
                        _match(inner, given, known)
    elif wanted[0] == "b" and wanted[2]:
        for item in actual:
            if item[0] == "b" and item[2]:
                for part, given in zip(wanted[2], item[2], strict=False):
                    for inner in part:
                        _match(inner, given, known)
