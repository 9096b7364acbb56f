"""Types, modules and callables in a few words: one line a member, as somebody who uses them needs to know it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dsassist.index.model import CALLABLE_KINDS, TYPE_KINDS, Kind, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.rank import Rank
from dsassist.index.types import Type, Types

__all__ = ["Outline", "Outlines"]

_LONGEST = 400
"""Characters of a signature."""
_LONGEST_VALUE = 24
"""Characters of a default that are shown beside a declared type."""
_MOST_MEMBERS = 400


@dataclass(frozen=True, slots=True)
class Outline:
    """A type, module or callable in a few words. ``members`` are one-line declarations, by name, in the order of the
    source, those of base classes after."""

    name: str
    head: str
    """The class's or function's declaration on one line; ``text`` of the receiver for a union of several."""
    path: str
    """Where it is defined, relative to the root."""
    members: tuple[tuple[str, str], ...] = ()
    complete: bool = False
    """Whether no other member exists."""


class Outlines(Rank):
    """See the module's docstring."""

    def _presented(self, path: str, symbol: int, name: str) -> Iterator[Outline]:
        """A symbol of another file as somebody who imports it needs to know it."""
        module = self._module(path)
        if module is None:
            return
        sym = module.symbols[symbol]
        if sym.kind in TYPE_KINDS:
            outline = self._outline(("c", path, symbol, ()), path)
            if self._resolver.is_enum(path, symbol) and outline is not None:
                yield outline
            else:
                made = self._constructor(("c", path, symbol, ()))
                if made is not None and outline is not None:
                    yield Outline(name, made.head, path, outline.members)
                elif outline is not None:
                    yield outline
        else:
            yield Outline(name, self._declaration(path, symbol), path)

    def _outlines(self, types: Types, seen_from: str) -> tuple[Outline, ...]:
        found: dict[tuple[str, str], Outline] = {}
        for item in types[:6]:
            for kind in self._resolver.bounds(item) if item[0] == "v" else (item,):
                outline = self._outline(kind, seen_from)
                if outline is not None and outline.members:
                    found.setdefault((outline.path, outline.name), outline)
        return tuple(found.values())

    def _outline(self, item: Type, seen_from: str) -> Outline | None:
        tag = item[0]
        if tag == "m":
            return self._module_outline(item, seen_from)
        if tag not in ("i", "c", "S", "Z", "U"):
            return None
        order, complete = self._resolver.ancestors(item[1], item[2])
        holder = self._module(item[1])
        if holder is None:
            return None
        if tag == "U":
            order = order[1:]
        members: dict[str, str] = {}
        # what the file at the cursor shows already comes last
        for path, owner in sorted(order, key=lambda member: member[0] == seen_from):
            for name, text in self._members_of(path, owner):
                if len(members) < _MOST_MEMBERS:
                    members.setdefault(name, text)
        sure = complete and "__getattr__" not in members and "__getattribute__" not in members
        if self._resolver.is_enum(item[1], item[2]):
            # its base is outside the workspace, and what it adds is known
            members |= {} if tag == "c" else {"name": "name: str", "value": "value"}
            sure = True
        shown = tuple(pair for pair in members.items() if not _is_dunder(pair[0]))
        return Outline(holder.name(item[2]), self._head(item[1], item[2]), item[1], shown, sure)

    def _module_outline(self, item: Type, seen_from: str) -> Outline | None:
        members: dict[str, str] = {}
        for path in item[1]:
            module = self._module(path)
            if module is None:
                continue
            for name, symbol in module.members(0).items():
                sym = module.symbols[symbol]
                if sym.flags & SymbolFlag.PRIVATE or name.startswith("_") or name in members:
                    continue
                if sym.kind != Kind.IMPORT:
                    members[name] = self._declaration(path, symbol)
                elif path.endswith(("__init__.py", "index.ts", "index.js")):
                    for entity in self._resolver.follow(path, symbol):
                        if entity[0] == "s" and name not in members:
                            members[name] = self._declaration(entity[1], entity[2])
        name = item[1][0] if item[1] else str(item[2])
        return Outline(name, "", item[1][0] if item[1] else "", tuple(members.items())) if members else None

    def _members_of(self, path: str, owner: int) -> Iterator[tuple[str, str]]:
        module = self._module(path)
        if module is None:
            return
        for where, scope in self._bodies_of(module, owner):
            symbols = where.symbols
            for name, symbol in sorted(where.members(scope).items(), key=lambda pair: symbols[pair[1]].start):
                if symbols[symbol].kind not in (Kind.IMPORT, Kind.PARAMETER, Kind.TYPE_PARAMETER):
                    yield name, self._declaration(where.path, symbol)

    def _bodies_of(self, module: Module, owner: int) -> Iterator[tuple[Module, int]]:
        for body in module.symbols[owner].bodies:
            yield module, body
        if module.facts.extra.get("methods") is not None:
            for file in (module.path, *self._resolver.siblings(module)):
                other = self._module(file)
                if other is not None:
                    for scope in other.facts.extra.get("methods", {}).get(module.name(owner), ()):
                        yield other, scope

    def _declaration(self, path: str, symbol: int) -> str:
        """A member or symbol on one line, as its language writes it, without its body."""
        module = self._module(path)
        if module is None:
            return ""
        sym, name = module.symbols[symbol], module.name(symbol)
        source = self._text(path)
        if sym.kind == Kind.PROPERTY:
            head = _flat(source[sym.start : min(sym.head_end, sym.start + 4 * _LONGEST)])
            result = head.rpartition("->")[2].strip(" :") if "->" in head else ""
            return _shortened(f"{name}: {result}" if result else name)
        if sym.kind in CALLABLE_KINDS:
            head = _flat(source[sym.start : min(sym.head_end, sym.start + 4 * _LONGEST)])
            return _shortened(_bare(head, name))
        if sym.kind in TYPE_KINDS:
            return _shortened(self._head(path, symbol))
        if not sym.end:
            return name
        text = _flat(source[sym.start : min(sym.end, sym.start + 2 * _LONGEST)])
        at = text.find(name)
        text = text[at:] if at >= 0 else name
        if sym.annotation < 0 and sym.kind == Kind.FIELD and (made := self._type_names(path, symbol)):
            return f"{name}: {made}"
        declared, equals, value = text.partition(" = ")
        return _shortened(declared if equals and sym.annotation >= 0 and len(value) > _LONGEST_VALUE else text, 80)

    def _type_names(self, path: str, symbol: int) -> str:
        """What a field without an annotation holds, where that is a class or a built-in type."""
        names: list[str] = []
        for item in self._resolver.symbol_types(path, symbol):
            module = self._module(item[1]) if item[0] in ("i", "S") else None
            if module is not None:
                names.append(module.name(item[2]))
            elif item[0] == "b":
                names.append(item[1].rpartition(".")[2])
            else:
                return ""
        return " | ".join(names) if len(names) <= 3 else ""

    def _head(self, path: str, symbol: int) -> str:
        module = self._module(path)
        if module is None:
            return ""
        sym = module.symbols[symbol]
        head = _flat(self._text(path)[sym.start : min(sym.head_end, sym.start + 4 * _LONGEST)])
        if head.startswith("@"):
            at = head.find(f"class {module.name(symbol)}")
            head = head[at:] if at >= 0 else head
        return _shortened(head)

    def _callables(self, callees: Types) -> Iterator[Outline]:
        for item in self._resolver.functions(callees):
            if item[0] == "f":
                module = self._module(item[1])
                if module is not None:
                    yield Outline(module.name(item[2]), self._declaration(item[1], item[2]), item[1])
            elif item[0] in ("c", "Z"):
                outline = self._constructor(item)
                if outline is not None:
                    yield outline

    def _constructor(self, item: Type) -> Outline | None:
        holder = self._module(item[1])
        if holder is None:
            return None
        name = holder.name(item[2])
        for method in ("__init__", "__new__", "constructor"):
            for path, symbol in self._resolver.class_member(item[1], item[2], method):
                head = self._declaration(path, symbol).replace(f"{method}(", f"{name}(", 1)
                return Outline(name, head.replace(" -> None", ""), path)
        fields = self._declared_fields(item)
        return Outline(name, f"{name}({', '.join(fields.values())})", item[1]) if fields else None

    def _declared_fields(self, item: Type) -> dict[str, str]:
        """A class's public fields that have a type, by name as they are declared, those of its bases first."""
        fields: dict[str, str] = {}
        for path, owner in reversed(self._resolver.ancestors(item[1], item[2])[0]):
            module = self._module(path)
            if module is None:
                continue
            for body in module.symbols[owner].bodies:
                for field, symbol in module.members(body).items():
                    sym = module.symbols[symbol]
                    if sym.kind in (Kind.FIELD, Kind.VARIABLE) and sym.annotation >= 0 and not field.startswith("_"):
                        fields.setdefault(field, self._declaration(path, symbol))
        return fields


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _flat(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())


def _bare(head: str, name: str) -> str:
    """A function's head without decorators, keywords and receiver."""
    head = head.replace("( ", "(").replace(", )", ")").replace(" )", ")")
    at = head.find(f"{name}(")
    bare = head[at:] if at >= 0 else head
    for receiver in ("self", "cls"):
        for ending in (", ", ")"):
            if bare.startswith(f"{name}({receiver}{ending}"):
                return f"{name}(" + bare[len(name) + 1 + len(receiver) + (2 if ending == ", " else 0) :]
    return bare


def _shortened(text: str, longest: int = _LONGEST) -> str:
    text = text.rstrip(" :{=")
    return text if len(text) <= longest else text[: longest - 1] + "…"
