"""From expressions to types, across files: imports, members, method resolution order, results of calls.

One long file, because each of these asks all the others: cut apart, every part would import every other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dsassist.index.facts import OF_CLASS
from dsassist.index.languages import FileSet, Found, language_of
from dsassist.index.memo import Memo
from dsassist.index.model import TYPE_KINDS, Kind, Op, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.types import (
    CONTAINERS,
    MAPPINGS,
    TRANSPARENT,
    Type,
    Types,
    bounded,
    builtin_method,
    element,
    gather,
    join,
    replace,
)

__all__ = ["Entity", "Evaluator", "Member"]

Entity = tuple[Any, ...]
"""``("s", path, symbol)``, a module type ``("m", …)`` or an outside thing ``("x", dotted, ())``."""

Member = tuple[str, int]
"""A symbol anywhere: its file and its number there."""

_CALLABLE = frozenset({Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR})
_CLASSES = frozenset(TYPE_KINDS)
_PLAIN = frozenset({"int", "str", "float", "bool", "bytes", "bytearray", "complex", "object"})


class Evaluator:
    """Answers about types. ``load`` gives a file's module or None; ``files`` is the workspace. Answers are kept in
    ``memo``."""

    def __init__(self, files: FileSet, load: Callable[[str], Module | None]) -> None:
        self.files = files
        self._load = load
        self.memo = Memo()

    def module(self, path: str) -> Module | None:
        """The module, as something the current answer depends on."""
        self.memo.depend(path)
        return self._load(path)

    # Imports

    def found(self, path: str, entry: int, name: str | None = None) -> Found:
        """What an import's module is; with ``name``, its submodule of that name."""
        module = self._load(path)
        assert module is not None
        item = module.facts.imports[entry]
        if name is not None:
            item = item._replace(module=name)
        self.memo.depend("?" + _stem(item.module))
        return module.language.find_import(path, item, self.files)

    def entities(self, path: str, entry: int) -> tuple[Entity, ...]:
        """What an import's entry denotes, at the end of every chain of re-exports."""
        result: tuple[Entity, ...] = self.memo.ask(("I", path, entry), self._entities, path, entry)
        return result

    def _entities(self, path: str, entry: int) -> tuple[Entity, ...]:
        module = self.module(path)
        if module is None:
            return ()
        item = module.facts.imports[entry]
        if item.level < 0:
            return self.included(module, item.name)
        found = self.found(path, entry)
        if not item.name:
            return _as_module(found)
        if found.external:
            return (("x", f"{found.external}.{item.name}", ()),)
        if item.level == OF_CLASS:
            return self.of_class(found.files, item.module, item.name)
        if found.files:
            own = found.files == (path,)
            result = self.exported(found.files, item.name, skip=path if own else "")
            if result:
                return result
        submodule = module.language.submodule(item)
        return () if submodule is None else _as_module(self.found(path, entry, submodule))

    def of_class(self, files: tuple[str, ...], module: str, name: str) -> tuple[Entity, ...]:
        """A member of the class that an import names."""
        classes = self.exported(files, module.rpartition(".")[2])
        members = (self.class_member(item[1], item[2], name) for item in classes if item[0] == "s")
        return tuple(("s", *member) for found in members for member in found)

    def exported(self, files: tuple[str, ...], name: str, skip: str = "") -> tuple[Entity, ...]:
        """What a module exports under a name. ``skip``: a file whose own import of that name is being resolved."""
        result: tuple[Entity, ...] = self.memo.ask(("X", files, name, skip), self._exported, files, name, skip)
        return result

    def _exported(self, files: tuple[str, ...], name: str, skip: str) -> tuple[Entity, ...]:
        results: list[tuple[Entity, ...]] = []
        for path in files:
            module = self.module(path)
            if module is None:
                continue
            facts = module.facts
            if facts.exports is not None:
                pair = facts.exports.get(name)
                if pair is not None:
                    symbol, entry = pair
                    results.append(self.follow(path, symbol) if symbol >= 0 else self.entities(path, entry))
                    continue
            else:
                own = module.members(0).get(name)
                if own is not None and not (path == skip and module.symbols[own].kind == Kind.IMPORT):
                    results.append(self.follow(path, own))
                    continue
            for star in facts.stars:
                found = self.found(path, star)
                if found.files and found.files != (path,) and self.starred(found.files, name):
                    more = self.exported(found.files, name)
                    if more:
                        results.append(more)
                        break
        return gather(results)

    def included(self, module: Module, name: str) -> tuple[Entity, ...]:
        """What the files that a file includes say about one of its own names: its declaration in a header."""
        for star in module.facts.stars:
            found = self.found(module.path, star)
            if found.files and module.path not in found.files:
                entities = self.exported(found.files, name)
                if entities:
                    return entities
        return ()

    def starred(self, files: tuple[str, ...], name: str) -> bool:
        """Does a star import of the module bring the name?"""
        for path in files:
            module = self.module(path)
            if module is None:
                continue
            listed = module.facts.extra.get("all")
            if listed is not None and not module.facts.extra.get("all_open"):
                if name in listed:
                    return True
            elif name != "default" and not (name.startswith("_") and module.language.name == "python"):
                return True
        return False

    def follow(self, path: str, symbol: int) -> tuple[Entity, ...]:
        """What a symbol really is: itself, or where its imports lead."""
        module = self.module(path)
        if module is None:
            return ()
        sym = module.symbols[symbol]
        imports = [
            module.facts.expressions[value][1]
            for value in sym.values
            if module.facts.expressions[value][0] == Op.IMPORT
        ]
        if not imports:
            return (("s", path, symbol),)
        result: tuple[Entity, ...] = self.memo.ask(("F", path, symbol), self._follow, path, symbol, tuple(imports), sym)
        return result

    def _follow(self, path: str, symbol: int, imports: tuple[int, ...], sym: Any) -> tuple[Entity, ...]:
        parts = [self.entities(path, entry) for entry in imports]
        if sym.kind != Kind.IMPORT:
            parts.append((("s", path, symbol),))
        result = gather(parts)
        inside = tuple(item for item in result if item[0] != "x")
        return inside or result

    def as_types(self, entities: tuple[Entity, ...]) -> Types:
        """The values of entities."""
        return join(self.symbol_types(item[1], item[2]) if item[0] == "s" else (item,) for item in entities)

    # Symbols and expressions

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
        if sym.kind in _CALLABLE:
            return (("f", path, symbol, None),)
        if sym.kind == Kind.PROPERTY:
            return self.result(path, symbol, None, -1, path)
        if sym.kind == Kind.ENUM_MEMBER:
            owner = module.facts.scopes[sym.scope].owner
            return (("i", path, owner, ()),) if owner >= 0 else ()
        if sym.kind == Kind.TYPE_PARAMETER:
            return (("v", module.name(symbol), path, symbol) if sym.annotation >= 0 else ("v", module.name(symbol)),)
        if sym.kind == Kind.TYPE and sym.annotation >= 0:
            return self.evaluate(module, sym.annotation)
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
            return self.as_types(self.global_entities(module, module.names[a], b))
        if op == Op.SUBSCRIPT:
            alias = self.alias(module, a, b)
            return self.subscript(self.evaluate(module, a), module, b) if alias is None else alias
        if op == Op.ITERATE:
            return self.iterated(self.evaluate(module, a), module.path)
        if op == Op.ITEM:
            return join(_item(kind, b, self) for kind in self.evaluate(module, a))
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

    def siblings(self, module: Module) -> Sequence[str]:
        """Files that share the module's scope. Which these are depends on what is in the folder."""
        found = module.language.siblings(module.path, module.facts, self.files)
        if found:
            self.memo.depend("?" + (module.path.rpartition("/")[0].rpartition("/")[2] or "/"))
        return found

    def global_entities(self, module: Module, name: str, scope: int) -> tuple[Entity, ...]:
        """A bare name that its file does not bind: of the package, of a star import, of the language."""
        for sibling in self.siblings(module):
            other = self.module(sibling)
            if other is not None and sibling != module.path:
                symbol = other.members(0).get(name)
                if symbol is not None and other.symbols[symbol].kind != Kind.IMPORT:
                    return self.follow(sibling, symbol)
        if module.language.class_names_nest:
            at = module.enclosing_class(scope)
            while at >= 0:
                owner = module.facts.scopes[at].owner
                held = (("i", module.path, owner, ()),) if owner >= 0 else self._held(module, at)
                for item in held:
                    found = self.lookup(item, name, module.path)
                    if found:
                        return tuple(("s", *member) for member in found)
                at = module.enclosing_class(module.facts.scopes[at].parent)
            for entity in self._of_namespace(module, name, scope):
                return (entity,)
        for star in reversed(module.facts.stars):
            found_module = self.found(module.path, star)
            if module.facts.imports[star].level == OF_CLASS:
                entities = self.of_class(found_module.files, module.facts.imports[star].module, name)
                if entities:
                    return entities
                continue
            if found_module.files and self.starred(found_module.files, name):
                entities = self.exported(found_module.files, name)
                if entities:
                    return entities
        if module.language.builtin(name):
            return (("x", f"builtins.{name}", ()),)
        return ()

    def _of_namespace(self, module: Module, name: str, scope: int) -> tuple[Entity, ...]:
        """A name of a namespace that the code is in, from the parts of it that included files have."""
        scopes = module.facts.scopes
        while scope >= 0:
            owner = scopes[scope].owner
            if owner >= 0 and module.symbols[owner].kind == Kind.NAMESPACE:
                for item in self.symbol_types(module.path, owner):
                    found = self.lookup(item, name, module.path) if item[0] == "o" and item[1] != module.path else ()
                    if found:
                        return tuple(("s", *member) for member in found)
            scope = scopes[scope].parent
        return ()

    def _held(self, module: Module, scope: int) -> Types:
        """The type whose methods are in a scope outside of it."""
        expr = module.facts.extra.get("receivers", {}).get(scope)
        return self.instances(self.evaluate(module, expr)) if expr is not None else ()

    # Classes

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
            for body in module.symbols[owner].bodies:
                found = module.members(body).get(name)
                if found is not None:
                    return ((where, found),)
            extra = module.facts.extra.get("methods")
            if extra is not None:
                for file in (where, *self.siblings(module)):
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
        if tag == "v":
            held = self.bounds(item)
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

    def module_member(self, item: Type, name: str, seen_from: str) -> tuple[Entity, ...]:
        """What a module has under a name: a symbol, or a submodule."""
        files, folder = item[1], item[2]
        if files:
            own = self.exported(files, name, seen_from if files == (seen_from,) else "")
            if own:
                return own
        if folder is not None:
            self.memo.depend("?" + name)
            base = f"{folder}/{name}" if folder else name
            for candidate in (f"{base}/__init__.py", f"{base}.py", f"{base}.pyi"):
                if self.files.has(candidate):
                    return (("m", (candidate,), base if candidate.endswith("__init__.py") else None),)
            if self.files.is_folder(base):
                return (("m", (), base),)
        return ()

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
        if sym.kind in _CALLABLE:
            return (("f", path, symbol, receiver),)
        types = self.as_types(self.follow(path, symbol))
        if receiver[0] == "c" and self.is_enum(receiver[1], receiver[2]) and sym.kind == Kind.FIELD:
            return (("i", receiver[1], receiver[2], ()),)
        return self.substituted(types, receiver, path)

    def is_enum(self, path: str, symbol: int) -> bool:
        """Does the class derive from an enumeration of the standard library?"""
        for where, owner in self.ancestors(path, symbol)[0]:
            module = self.module(where)
            if module is not None and any(
                base[0] == "x" and base[1].rpartition(".")[2] in _ENUMS for base in self.base_types(module, owner)
            ):
                return True
        return False

    # Calls

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
        return (self._with(module, module.symbols[item[3]].annotation, known) or (item,)) if module else (item,)

    def _with(self, module: Module, expr: int, known: dict[str, Types]) -> Types:
        """Members of type variables, with those put in."""
        op, a, b = module.facts.expressions[expr] if expr >= 0 else (-1, -1, -1)
        if op == Op.ATTR:
            return self.member_types(self._with(module, a, known), module.names[b], module.path)
        if op == Op.INSTANCE:
            return self._with(module, a, known)
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
            if item[0] == "l" and len(item) > 3 and number < len(item[3]):
                out.append(self.substituted(self.declared(module, item[3][number]), receiver, path))
            elif item[0] == "f" and number < len(module.symbols[item[2]].parameters):
                parameter = module.symbols[item[2]].parameters[number]
                if module.symbols[parameter].annotation >= 0:
                    out.append(self.substituted(self.symbol_types(item[1], parameter), item[3], item[1]))
        return join(out)

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
        scopes = other.facts.scopes
        names = [
            other.name(at)
            for at, held in enumerate(other.symbols)
            if held.kind == Kind.TYPE_PARAMETER and scopes[held.scope][4:] == (sym.start, sym.end)
        ]
        arguments = [self.declared(module, part) for part in _parts(module, index)]
        known = {name: types for name, types in zip(names, arguments, strict=False) if types}
        types = self.instances(self.evaluate(other, sym.annotation))
        return replace(types, lambda item: known.get(item[1], (item,)) if item[0] == "v" else (item,))

    # Operators

    def subscript(self, bases: Types, module: Module, index: int) -> Types:
        """``a[b]``: of a class its type arguments, of an instance its element."""
        out: list[Types] = []
        for item in bases:
            tag = item[0]
            if tag in ("c", "x"):
                arguments = tuple(self.declared(module, part) for part in _parts(module, index))
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
                    parts = tuple(self.declared(module, part) for part in _parts(module, index))
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


_TYPE_VARIABLES = frozenset({"TypeVar", "ParamSpec", "TypeVarTuple"})
_ADDING = frozenset({"push", "unshift", "add", "includes", "fill"})
_PARTS = frozenset({"Pick", "Omit", "Exclude", "Extract"})
_EMPTY_BASES = frozenset({"object", "Generic", "Protocol", "ABC"})
_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "EnumMeta"})


def _as_module(found: Found) -> tuple[Entity, ...]:
    if found.files or found.folder is not None:
        return (("m", found.files, found.folder),)
    return (("x", found.external, ()),) if found.external else ()


def _stem(module: str) -> str:
    """What a module's file or folder is called."""
    last = module.rstrip("/").replace("::", "/").rpartition("/")[2]
    return last.partition(".")[0] if "/" in module or language_of(last) is not None else last.rpartition(".")[2]


def _tuple(items: tuple[Types, ...]) -> Types:
    return (("t", bounded(items)),)


def _classes(types: Types) -> Types:
    return tuple(("c", *item[1:]) if item[0] == "i" else ("Z", *item[1:]) if item[0] == "S" else item for item in types)


def _spread(types: Types) -> Types:
    """A tuple of classes is any of them (``except (A, B)``)."""
    return join(join(item[1]) if item[0] == "t" else (item,) for item in types)


def _open(item: Type) -> bool:
    """Does the type depend on the receiver or on type variables?"""
    tag = item[0]
    if tag in ("v", "S", "Z"):
        return True
    inner = item[3] if tag in ("c", "i") else item[2] if tag in ("x", "b") else item[1] if tag == "t" else ()
    return any(_open(part) for types in inner for part in types)


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


def _item(item: Type, index: int, evaluator: Evaluator) -> Types:
    if item[0] == "t":
        return item[1][index] if index < len(item[1]) else ()
    return element(item) or () if item[0] == "b" and item[1].rpartition(".")[2] in CONTAINERS else ()


def _parts(module: Module, index: int) -> tuple[int, ...]:
    if index < 0:
        return ()
    op, a, _ = module.facts.expressions[index]
    return tuple(a) if op == Op.TUPLE else (index,)


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
