"""Imports, exports and bare names: what a name denotes, at the end of every chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsassist.index.evaluate.questions import Entity, Questions
from dsassist.index.facts import OF_CLASS, Import
from dsassist.index.languages import is_source
from dsassist.index.languages.base import Found
from dsassist.index.model import Kind, Op
from dsassist.index.module import Module
from dsassist.index.types import (
    Type,
    Types,
    gather,
    join,
)

__all__ = ["Names"]

_HEADERS = (".h", ".hh", ".hpp", ".hxx", ".h++", ".ipp", ".inl")
_MOST_INCLUDERS = 24
"""Files that are asked for what a header may see through them."""


class Names(Questions):
    """See the module's docstring."""

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
            # ``module.exports = …``: what a file exports as a whole stands for the module, beside its other members.
            return gather([self.exported(found.files, "="), _as_module(found)])
        if found.external:
            return (("x", f"{found.external}.{item.name}", ()),)
        if item.level == OF_CLASS:
            return self.of_class(found.files, item.module, item.name)
        if found.files:
            circular = found.files == (path,) and self._binds(module, item.name, entry)
            result = self.exported(found.files, item.name, skip=path if circular else "")
            if result:
                return result
        submodule = module.language.submodule(item)
        result = () if submodule is None else _as_module(self.found(path, entry, submodule))
        return result or (() if found.files else self._in_line(module, item.module, item.name))

    def _in_line(self, module: Module, holder: str, name: str) -> tuple[Entity, ...]:
        """A name of a module that is written inside another one's file (``crate::outer::inner::name``)."""
        head, _, last = holder.rpartition("::")
        if not head:
            return ()
        self.memo.depend("?" + _stem(head))
        found = module.language.find_import(module.path, Import(head, 0, last), self.files)
        owners = self.exported(found.files, last) if found.files else self._in_line(module, head, last)
        members = (held for kind in self.as_types(owners) for held in self.lookup(kind, name, module.path))
        return gather(self.follow(*held) for held in members)

    @staticmethod
    def _binds(module: Module, name: str, entry: int) -> bool:
        """Is the module's own name what the entry binds?"""
        own = module.members(0).get(name, -1)
        expressions = module.facts.expressions
        return own >= 0 and any(expressions[value][:2] == (Op.IMPORT, entry) for value in module.symbols[own].values)

    def of_class(self, files: tuple[str, ...], module: str, name: str) -> tuple[Entity, ...]:
        """A member of the class that an import names."""
        classes = self.exported(files, module.replace("::", ".").rpartition(".")[2])
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
            if facts.includes:
                results.append(self._included_as(path, name, skip))
                continue
            if facts.exports is not None:
                pair = facts.exports.get(name)
                if pair is not None:
                    symbol, entry = pair
                    results.append(self.follow(path, symbol) if symbol >= 0 else self.entities(path, entry))
                    continue
                if "=" in facts.exports and name not in ("=", "default"):
                    whole = self.as_types(self.exported((path,), "="))
                    results += [(("s", *held),) for kind in whole for held in self.lookup(kind, name, path)]
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

    def _included_as(self, path: str, name: str, skip: str) -> tuple[Entity, ...]:
        """What a name is to whoever includes a file: of the file itself, or of the first that has it of those below."""
        for other in self.below(path):
            module = self.module(other)
            own = module.members(0).get(name) if module is not None else None
            if module is None or own is None or (other == skip and module.symbols[own].kind == Kind.IMPORT):
                continue
            return self.follow(other, own)
        return ()

    def below(self, path: str) -> tuple[str, ...]:
        """A file and all that it includes, at any depth, in the order in which a compiler meets them."""
        result: tuple[str, ...] = self.memo.ask(("B", path), self._below, path)
        return result

    def _below(self, path: str) -> tuple[str, ...]:
        met: dict[str, None] = {}
        stack = [path]
        while stack:
            here = stack.pop()
            module = self.module(here) if here not in met else None
            if module is None:
                continue
            met[here] = None
            for star in reversed(module.facts.stars):
                stack.extend(self.found(here, star).files)
        return tuple(met)

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

    def siblings(self, module: Module) -> Sequence[str]:
        """Files that share the module's scope. Which these are depends on what is in the folder."""
        found = module.language.siblings(module.path, module.facts, self.files)
        if found:
            self.memo.depend("?" + (module.path.rpartition("/")[0].rpartition("/")[2] or "/"))
        return found

    def global_entities(self, module: Module, name: str, scope: int) -> tuple[Entity, ...]:
        """A bare name that its file does not bind: of the package, of a star import, of the language."""
        return self._global(module, name, scope)[0]

    def global_types(self, module: Module, name: str, scope: int) -> Types:
        """Its types; of an inherited member, with the type variables that the class has given its bases."""
        entities, receiver = self._global(module, name, scope)
        if receiver is None:
            return self.as_types(entities)
        return join(self.bound(path, symbol, receiver) for _, path, symbol in entities)

    def _global(self, module: Module, name: str, scope: int) -> tuple[tuple[Entity, ...], Type | None]:
        """What the name denotes, and the class of which it is a member, if it is one."""
        for sibling in self.siblings(module):
            other = self.module(sibling)
            if other is not None and sibling != module.path:
                symbol = other.members(0).get(name)
                if symbol is not None and other.symbols[symbol].kind != Kind.IMPORT:
                    return self.follow(sibling, symbol), None
        if module.language.class_names_nest:
            at = module.enclosing_class(scope)
            while at >= 0:
                owner = module.facts.scopes[at].owner
                held = (("i", module.path, owner, ()),) if owner >= 0 else self._held(module, at)
                for item in held:
                    found = self.lookup(item, name, module.path)
                    if found:
                        return tuple(("s", *member) for member in found), item
                at = module.enclosing_class(module.facts.scopes[at].parent)
        return self._outside_classes(module, name, scope), None

    def _outside_classes(self, module: Module, name: str, scope: int) -> tuple[Entity, ...]:
        if module.language.class_names_nest:
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
        used = self._of_used(module, name, scope)
        if used:
            return used
        if module.language.builtin(name):
            return (("x", f"builtins.{name}", ()),)
        return self.seen_before(module, name)

    def _of_used(self, module: Module, name: str, scope: int) -> tuple[Entity, ...]:
        """A name that something shows in the scope: a namespace, or a member of one (C++'s ``using``); what is switched
        on, its constants (Java's ``case``)."""
        extra = module.facts.extra
        shown: list[dict[int, tuple[tuple[int, str], ...]]] = [extra[key] for key in ("used", "labels") if key in extra]
        while shown and scope >= 0:
            for scopes in shown:
                for expr, only in scopes.get(scope, ()):
                    for item in self.evaluate(module, expr) if only in ("", name) else ():
                        found = self.lookup(item, name, module.path)
                        if found:
                            return tuple(("s", *member) for member in found)
            scope = module.facts.scopes[scope].parent
        return ()

    def seen_before(self, module: Module, name: str) -> tuple[Entity, ...]:
        """A name that a header does not include anything for: its includers have seen it before."""
        if not module.facts.includes or not module.path.endswith(_HEADERS):
            return ()
        seen, around = {module.path}, [module.path]
        for path in around:
            header = path.rpartition("/")[2]
            self.memo.depend(f"<{header}")
            for includer in self.files.includers(header):
                if includer in seen or len(seen) > _MOST_INCLUDERS:
                    continue
                seen.add(includer)
                around.append(includer)
                entities = self.exported((includer,), name)
                if entities:
                    return entities
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


def _as_module(found: Found) -> tuple[Entity, ...]:
    if found.files or found.folder is not None:
        return (("m", found.files, found.folder),)
    return (("x", found.external, ()),) if found.external else ()


def _stem(module: str) -> str:
    """What a module's file or folder is called."""
    last = module.rstrip("/").replace("::", "/").rpartition("/")[2]
    return last.partition(".")[0] if "/" in module or is_source(last) else last.rpartition(".")[2]
