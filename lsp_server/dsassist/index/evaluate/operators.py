"""What subscripts, loops and ``with`` make of a value."""

from __future__ import annotations

from dsassist.index.evaluate.questions import Questions, parts_of
from dsassist.index.model import Op
from dsassist.index.module import Module
from dsassist.index.types import (
    CONTAINERS,
    MAPPINGS,
    Types,
    bounded,
    element,
    join,
)

__all__ = ["Operators"]


class Operators(Questions):
    """See the module's docstring."""

    def subscript(self, bases: Types, module: Module, index: int) -> Types:
        """``a[b]``: of a class its type arguments, of an instance its element."""
        out: list[Types] = []
        for item in bases:
            tag = item[0]
            if tag in ("c", "x"):
                arguments = tuple(self.declared(module, part) for part in parts_of(module, index))
                if tag == "c":
                    out.append((("c", item[1], item[2], bounded(arguments)),))
                else:
                    out.append((("x", item[1], bounded(arguments)),))
            elif tag == "b":
                arguments = item[2]
                name = item[1].rpartition(".")[2]
                if index >= 0 and module.facts.expressions[index][:2] == (Op.BUILTIN, "slice"):
                    out.append((item,))
                elif not arguments and name in (CONTAINERS | MAPPINGS):
                    parts = tuple(self.declared(module, part) for part in parts_of(module, index))
                    out.append((("b", item[1], bounded(parts)),))
                elif name in MAPPINGS and len(arguments) > 1:
                    out.append(arguments[1])
                elif name in CONTAINERS and arguments:
                    out.append(arguments[0])
            elif tag == "t":
                out.append(join(item[1]))
            elif tag in ("i", "S"):
                for path, symbol in self.class_member(item[1], item[2], "__getitem__"):
                    out.append(self.called(self.bound(path, symbol, item), module, index))
        return join(out)

    def iterated(self, types: Types, caller: str, level: int = 0) -> Types:
        """What a loop over a value binds."""
        out: list[Types] = []
        for item in types:
            inner = element(item)
            if inner is not None:
                out.append(inner)
            elif item[0] in ("i", "S"):
                for path, symbol in self.class_member(item[1], item[2], "__iter__") or self.class_member(
                    item[1], item[2], "__aiter__"
                ):
                    result = self.result(path, symbol, item, -1, caller)
                    if level < 3:
                        more = [kind for kind in result if kind[:3] != item[:3]]
                        out.append(self.iterated(tuple(more), caller, level + 1))
                    if any(kind[:3] == item[:3] for kind in result):
                        for where, method in self.class_member(item[1], item[2], "__next__") or self.class_member(
                            item[1], item[2], "__anext__"
                        ):
                            out.append(self.result(where, method, item, -1, caller))
            elif item[0] == "c" and self.is_enum(item[1], item[2]):
                out.append((("i", *item[1:]),))
        return join(out)

    def entered(self, types: Types, caller: str) -> Types:
        """What ``with value as name`` binds."""
        out: list[Types] = []
        for item in types:
            if item[0] == "b" and item[1].rpartition(".")[2] in CONTAINERS:
                out.append(element(item) or ())
            elif item[0] in ("i", "S"):
                for path, symbol in self.class_member(item[1], item[2], "__enter__") or self.class_member(
                    item[1], item[2], "__aenter__"
                ):
                    out.append(self.result(path, symbol, item, -1, caller))
        return join(out)
