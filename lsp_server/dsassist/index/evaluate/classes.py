"""Classes: method resolution order, members, and what a member is when it is taken from a value."""

from __future__ import annotations

from collections.abc import Callable

from dsassist.index.evaluate.questions import FUNCTIONS, Member, Questions
from dsassist.index.model import Kind
from dsassist.index.module import Module
from dsassist.index.types import (
    Type,
    Types,
    join,
    pointed,
)

__all__ = ["Classes"]

_EMPTY_BASES = frozenset({"object", "Generic", "Protocol", "ABC"})
_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "EnumMeta"})


class Classes(Questions):
    """See the module's docstring."""

    def ancestors(self, path: str, symbol: int) -> tuple[tuple[Member, ...], bool]:
        """The method resolution order of a class, itself first, and whether all of its bases are known."""
        result = self.memo.ask(("M", path, symbol), self._ancestors, path, symbol)
        return result or (((path, symbol),), True)

    def _ancestors(self, path: str, symbol: int) -> tuple[tuple[Member, ...], bool]:
        module = self.module(path)
        if module is None:
            return ((path, symbol),), False
        complete = True
        orders: list[list[Member]] = []
        direct: list[Member] = []
        for base in self.base_types(module, symbol):
            if base[0] == "c" and (base[1], base[2]) != (path, symbol):
                order, known = self.ancestors(base[1], base[2])
                complete = complete and known
                orders.append(list(order))
                direct.append((base[1], base[2]))
            elif base[0] != "x" or base[1].rpartition(".")[2] not in _EMPTY_BASES:
                complete = False
        return ((path, symbol), *_merge([*orders, direct])), complete

    def member_family(
        self, path: str, symbol: int, name: str, subtypes: Callable[[tuple[str, str]], list[tuple[str, str]]]
    ) -> tuple[set[Member], bool]:
        """Members of that name in a class, in all its bases, and in all classes derived from those that have it.

        The second result is false where a base is outside the workspace.
        """
        found: set[Member] = set()
        order, complete = self.ancestors(path, symbol)
        roots: set[Member] = set()
        for where, owner in order:
            own = self.own_member(where, owner, name)
            if own is not None:
                found.add(own)
                roots.add((where, owner))
        for where, owner in sorted(roots):
            module = self.module(where)
            if module is None:
                continue
            for other, qualified in subtypes((where, module.qualified(owner))):
                derived = self.module(other)
                at = derived.by_qualified(qualified) if derived is not None else -1
                if derived is not None and at >= 0:
                    own = self.own_member(other, at, name)
                    if own is not None and own not in found:
                        found.add(own)
                        complete = complete and self.ancestors(other, at)[1]
        return found, complete

    def own_member(self, path: str, symbol: int, name: str) -> Member | None:
        """A member that the class itself has."""
        module = self.module(path)
        if module is not None:
            for body in module.symbols[symbol].bodies:
                found = module.members(body).get(name)
                if found is not None:
                    return path, found
        return None

    def base_types(self, module: Module, symbol: int) -> Types:
        """The types of a class's bases; ``("?",)`` stands for an unknown one."""
        out: list[Type] = []
        for body in module.symbols[symbol].bodies:
            for base in module.facts.scopes[body].bases:
                out.extend(self.evaluate(module, base) or (("?",),))
        return tuple(dict.fromkeys(out))

    def class_member(self, path: str, symbol: int, name: str, skip_first: bool = False) -> tuple[Member, ...]:
        """The first member of that name along the method resolution order, with the class it was found in."""
        result: tuple[Member, ...] = self.memo.ask(
            ("k", path, symbol, name, skip_first), self._class_member, path, symbol, name, skip_first
        )
        return result

    def _class_member(self, path: str, symbol: int, name: str, skip_first: bool) -> tuple[Member, ...]:
        for where, owner in self.ancestors(path, symbol)[0][1 if skip_first else 0 :]:
            module = self.module(where)
            if module is None:
                continue
            bodies = module.symbols[owner].bodies
            own = next((found for body in bodies if (found := module.members(body).get(name)) is not None), -1)
            # A field and a method may share a name in Rust, where methods are written outside the type.
            outside = self._written_outside(module, owner, name) if own < 0 or self._is_field(module, own) else ()
            if own >= 0 or outside:
                return (*(((where, own),) if own >= 0 else ()), *outside)
        return ()

    @staticmethod
    def _is_field(module: Module, symbol: int) -> bool:
        return module.symbols[symbol].kind == Kind.FIELD

    def _written_outside(self, module: Module, owner: int, name: str) -> tuple[Member, ...]:
        """A method of that name in a block of methods apart from the type."""
        if module.facts.extra.get("methods") is None:
            return ()
        for file in (module.path, *self.siblings(module)):
            more = self.module(file)
            if more is None:
                continue
            for scope in more.facts.extra.get("methods", {}).get(module.name(owner), ()):
                found = more.members(scope).get(name)
                if found is not None:
                    return ((file, found),)
        return ()

    def lookup(self, item: Type, name: str, seen_from: str) -> tuple[Member, ...]:
        """The symbols that ``name`` denotes on a value of a type. Modules are ``module_member``'s."""
        tag = item[0]
        if tag in ("i", "c", "S", "Z"):
            return self.class_member(item[1], item[2], name)
        if tag == "U":
            return self.class_member(item[1], item[2], name, True)
        if tag in ("v", "b"):
            held = self.bounds(item) if tag == "v" else pointed(item)
            return tuple(dict.fromkeys(member for kind in held for member in self.lookup(kind, name, seen_from)))
        if tag == "o":
            module = self.module(item[1])
            found = module.members(item[2]).get(name) if module is not None else None
            return ((item[1], found),) if found is not None else ()
        return ()

    def bounds(self, item: Type) -> Types:
        """What a type variable is at least, empty where it has no bound."""
        module = self.module(item[2]) if len(item) > 2 else None
        if module is None:
            return ()
        sym = module.symbols[item[3]]
        if sym.annotation >= 0:
            return tuple(kind for kind in self.declared(module, sym.annotation) if kind[0] != "v")
        values = join(self.evaluate(module, value) for value in sym.values)
        return join(kind[2][0] for kind in values if kind[0] == "b" and kind[2])

    def member_types(self, owners: Types, name: str, seen_from: str) -> Types:
        """The types of a member of any of ``owners``."""
        out: list[Types] = []
        for item in owners:
            tag = item[0]
            if tag == "m":
                out.append(self.as_types(self.module_member(item, name, seen_from)))
            elif tag == "x":
                out.append((("x", f"{item[1]}.{name}", ()),))
            elif tag == "b":
                out.append((("B", item, name),))
                out.append(self.member_types(pointed(item), name, seen_from))
            elif name == "__class__" and tag in ("i", "S"):
                out.append((("c", *item[1:]),) if tag == "i" else (("Z", item[1], item[2]),))
            else:
                for path, symbol in self.lookup(item, name, seen_from):
                    out.append(self.bound(path, symbol, item))
        return join(out)

    def bound(self, path: str, symbol: int, owner: Type) -> Types:
        """The type of a member when it is taken from ``owner``."""
        module = self.module(path)
        if module is None:
            return ()
        sym = module.symbols[symbol]
        receiver: Type = owner
        if owner[0] == "U":
            receiver = ("Z" if owner[3] else "S", owner[1], owner[2])
        if sym.kind == Kind.PROPERTY:
            return self.result(path, symbol, receiver, -1, path)
        if sym.kind in FUNCTIONS:
            return (("f", path, symbol, receiver),)
        types = self.as_types(self.follow(path, symbol))
        if receiver[0] == "c" and self.is_enum(receiver[1], receiver[2]) and sym.kind == Kind.FIELD:
            return (("i", receiver[1], receiver[2], ()),)
        return self.substituted(types, receiver, path)

    def matching(self, types: Types, members: tuple[tuple[str, str], ...], seen_from: str) -> Types:
        """Of a union, the types that an object with such literals may be: ``{ type: "added", … }``."""
        kept = tuple(item for item in types if all(self._may_hold(item, *pair, seen_from) for pair in members))
        return kept or types

    def _may_hold(self, item: Type, name: str, text: str, seen_from: str) -> bool:
        held = self.member_types((item,), name, seen_from)
        literals = {kind[1] for kind in held if kind[0] == "b" and kind[1][:1] == '"'}
        return not literals or len(literals) < len(held) or f'"{text}"' in literals

    def is_enum(self, path: str, symbol: int) -> bool:
        """Does the class derive from an enumeration of the standard library?"""
        for where, owner in self.ancestors(path, symbol)[0]:
            module = self.module(where)
            if module is not None and any(
                base[0] == "x" and base[1].rpartition(".")[2] in _ENUMS for base in self.base_types(module, owner)
            ):
                return True
        return False


def _merge(orders: list[list[Member]]) -> list[Member]:
    """C3 linearization; where there is none, the first of what is left."""
    out: list[Member] = []
    lists = [list(order) for order in orders if order]
    while lists:
        for order in lists:
            head = order[0]
            if not any(head in other[1:] for other in lists):
                break
        else:
            head = lists[0][0]
        out.append(head)
        lists = [[item for item in order if item != head] for order in lists]
        lists = [order for order in lists if order]
    return out
