"""Calls: what they give, and what a function that is handed to one gets."""

from __future__ import annotations

from dsassist.index.evaluate.questions import Member, Questions
from dsassist.index.model import Kind, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.types import (
    CONTAINERS,
    MAPPINGS,
    Type,
    Types,
    bounded,
    builtin_method,
    join,
)

__all__ = ["Calls"]

_PLAIN = frozenset({"int", "str", "float", "bool", "bytes", "bytearray", "complex", "object"})
_ADDING = frozenset({"push", "unshift", "add", "includes", "fill"})


class Calls(Questions):
    """See the module's docstring."""

    def functions(self, callees: Types) -> Types:
        """With the function in place of the type, where one name is an interface and a function."""
        return tuple(("f", item[1], item[2], None) if self._is_function(item) else item for item in callees)

    def _is_function(self, item: Type) -> bool:
        module = self.module(item[1]) if item[0] == "c" else None
        if module is None:
            return False
        sym = module.symbols[item[2]]
        return sym.kind == Kind.INTERFACE and (sym.annotation >= 0 or bool(sym.parameters))

    def called(self, callees: Types, module: Module, first: int) -> Types:
        """What calling any of ``callees`` gives; ``first`` is the first argument's expression or -1."""
        out: list[Types] = []
        for item in self.functions(callees):
            tag = item[0]
            if tag == "c":
                out.append((("i", *item[1:]),))
            elif tag == "Z":
                out.append((("S", *item[1:]),))
            elif tag == "f":
                out.append(self.result(item[1], item[2], item[3], first, module.path))
            elif tag == "l":
                other = self.module(item[1])
                if other is not None:
                    out.append(self.evaluate(other, item[2]))
            elif tag == "x":
                name = item[1].rpartition(".")[2]
                if name in CONTAINERS or name in MAPPINGS or name in _PLAIN or name[:1].isupper():
                    out.append((("b", item[1], item[2]),))
                elif item[1].rpartition(".")[0] in ("copy",) or name in ("deepcopy",):
                    out.append(self.evaluate(module, first))
            elif tag == "B":
                out.append(builtin_method(item[1], item[2]))
            elif tag in ("i", "S"):
                for path, symbol in self.class_member(item[1], item[2], "__call__") or self.class_member(
                    item[1], item[2], "()"
                ):
                    out.append(self.called(self.bound(path, symbol, item), module, first))
        return join(out)

    def result(self, path: str, symbol: int, receiver: Type | None, first: int, caller: str) -> Types:
        """The result of a function: declared, else what its simple returns give."""
        raw: Types = self.memo.ask(("r", path, symbol), self._result, path, symbol)
        if not raw or not any(_open(item) for item in raw):
            return raw
        replaced = self.substituted(raw, receiver, path)
        if first >= 0 and any(item[0] == "v" for item in replaced):
            replaced = self.solved(path, symbol, replaced, receiver, first, caller)
        return tuple(item for item in replaced if item[0] != "v" or len(item) > 2)

    def _result(self, path: str, symbol: int) -> Types:
        module = self.module(path)
        if module is None:
            return ()
        sym = module.symbols[symbol]
        if sym.annotation >= 0:
            return self.declared(module, sym.annotation)
        types = join(self.evaluate(module, value) for value in sym.values)
        if sym.flags & SymbolFlag.GENERATOR:
            return (("b", "Generator", bounded((types,))),)
        return types

    def expected(self, callees: Types, number: int) -> Types:
        """The declared type of a parameter of what is called."""
        out: list[Types] = []
        for item in self.functions(callees):
            members: tuple[Member, ...] = ()
            if item[0] == "f":
                members = ((item[1], item[2]),)
            elif item[0] in ("c", "Z"):
                members = self.class_member(item[1], item[2], "constructor")
            elif item[0] == "B" and item[2] in _ADDING and item[1][2]:
                out.append(item[1][2][-1])
            for path, symbol in members:
                module = self.module(path)
                parameters = module.symbols[symbol].parameters if module is not None else ()
                if (
                    module is not None
                    and number < len(parameters)
                    and module.symbols[parameters[number]].annotation >= 0
                ):
                    receiver = item[3] if item[0] == "f" else ("i", *item[1:])
                    out.append(self.substituted(self.symbol_types(path, parameters[number]), receiver, path))
        return join(out)

    def given(self, callees: Types, argument: int, number: int) -> Types:
        """What a function without types of its own gets as its parameter; see ``Op.GIVEN``."""
        if argument == 15:
            return self.of_signature(callees, number, None, "")
        out: list[Types] = []
        for item in self.functions(callees):
            members: tuple[Member, ...] = ()
            receiver: Type | None = None
            if item[0] == "f":
                members, receiver = ((item[1], item[2]),), item[3]
            elif item[0] == "c":
                members, receiver = self.class_member(item[1], item[2], "constructor"), ("i", *item[1:])
            for path, symbol in members:
                module = self.module(path)
                parameters = module.symbols[symbol].parameters if module is not None else ()
                if module is not None and argument < len(parameters):
                    annotation = module.symbols[parameters[argument]].annotation
                    out.append(self.of_signature(self.evaluate(module, annotation), number, receiver, path))
        return tuple(item for item in join(out) if item[0] != "v" or len(item) > 2)

    def of_signature(self, functions: Types, number: int, receiver: Type | None, path: str) -> Types:
        """The declared type of a parameter of function types and methods."""
        out: list[Types] = []
        for kind in functions:
            item = kind
            if kind[0] in ("i", "o"):
                item = next((("f", *member, kind) for member in self.lookup(kind, "()", path)), kind)
            module = self.module(item[1]) if item[0] in ("l", "f") else None
            if module is None:
                continue
            known = dict(receiver[1]) if receiver is not None and receiver[0] == "K" else {}
            if item[0] == "l" and len(item) > 3 and number < len(item[3]):
                # ``(part: T["key"]) => …``: of what T is in this call, not of what every T has.
                held = self.member_of_variable(module, item[3][number], known)
                if held:
                    out.append(held)
                    continue
                out.append(self.substituted(self.declared(module, item[3][number]), receiver, path))
            elif item[0] == "f" and number < len(module.symbols[item[2]].parameters):
                parameter = module.symbols[item[2]].parameters[number]
                if module.symbols[parameter].annotation >= 0:
                    out.append(self.substituted(self.symbol_types(item[1], parameter), item[3], item[1]))
        return join(out)


def _open(item: Type) -> bool:
    """Does the type depend on the receiver or on type variables?"""
    tag = item[0]
    if tag in ("v", "S", "Z"):
        return True
    inner = item[3] if tag in ("c", "i") else item[2] if tag in ("x", "b") else item[1] if tag == "t" else ()
    return any(_open(part) for types in inner for part in types)
