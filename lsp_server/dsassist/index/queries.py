"""Outlines, searches by name, and what is known not to exist."""

from __future__ import annotations

from dsassist.index.answer import Target
from dsassist.index.facts import Facts, Sym
from dsassist.index.lookup import dotted
from dsassist.index.model import (
    TYPE_KINDS,
    Kind,
    Mode,
    Role,
    SymbolInfo,
)
from dsassist.index.module import Module
from dsassist.index.types import Types
from dsassist.index.uses import Uses

__all__ = ["Queries"]


class Queries(Uses):
    """See the module's docstring."""

    def document_symbols(self, path: str) -> tuple[SymbolInfo, ...]:
        """The symbols of a file, containers first. Locals of functions are left out, but for functions and classes.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            self._known(path)
            module = self._module(path)
            assert module is not None
            found = [
                self._symbol_info(module, index, texts=False)
                for index, sym in enumerate(module.symbols)
                if _in_outline(module.facts, sym)
            ]
            return tuple(sorted(found, key=lambda info: (info.extent.line, info.extent.column, -info.extent.end_line)))

    def find_symbols(self, name: str) -> tuple[tuple[Target, SymbolInfo], ...]:
        """Symbols by name, qualified name (``Class.method``) or dotted path (``package.module.Class``), best first."""
        last = name.replace("::", ".").rpartition(".")[2]
        with self._reading():
            paths = {self._paths[file] for file in self._store.files_with(last, defined=True) if file in self._paths}
            paths.update(path for path, overlay in self._overlays.items() if last in overlay.definitions)
            found = []
            for path in sorted(paths):
                module = self._module(path)
                for index, sym in enumerate(module.symbols if module is not None else ()):
                    assert module is not None
                    if (
                        module.name(index) != last
                        or sym.kind in (Kind.IMPORT, Kind.PARAMETER)
                        or module.facts.scopes[sym.scope].kind == 2
                    ):
                        continue
                    target = module.qualified(index)
                    head, mark, count = target.rpartition("#")
                    qualified = head if mark and count.isdigit() else target
                    # A file is a module in most languages; in Go and Java its folder is the package.
                    above = f"{path.rpartition('/')[0]}."
                    spellings = (f"{dotted(path)}.{qualified}", f"{dotted(above)}.{qualified}", f"{path}:{qualified}")
                    if any(item == name or item.endswith(f".{name}") for item in spellings):
                        found.append(((path, target), self._symbol_info(module, index)))
            return tuple(found)

    def missing_member(self, path: str, line: int, column: int) -> bool:
        """Is the member named at a position known not to exist on its receiver, whose every member is known?"""
        with self._reading():
            view, index = self._at(path, line, column)
            if (
                index < 0
                or view.occurrences.role[index] & 7 != Mode.ATTRIBUTE
                or view.occurrences.role[index] & Role.DEFINITION
            ):
                return False
            module = self._module(path)
            assert module is not None
            ref = view.occurrences.ref[index]
            types = self._resolver.evaluate(module, ref) if ref >= 0 else ()
            name = view.occurrences.names[view.occurrences.name[index]]
            if not types or name.startswith("__"):
                return False
            return self._all_lack(types, name, path)

    def lacks_member(self, path: str, line: int, receiver: str, member: str) -> bool:
        """Is ``member`` known not to exist on the variable ``receiver`` as it is seen from a line?

        For code that is not written yet: the variable is looked up in the scopes around the line. False wherever
        something is not known: the file, the variable, its type, or one of the type's members.
        """
        with self._reading():
            view, module = self._view(path), self._module(path)
            if view is None or module is None or member.startswith("__"):
                return False
            lengths = module.facts.line_lengths
            start = sum(lengths[:line])
            best, size = -1, 0
            for index in view.positions(receiver):
                ref = view.occurrences.ref[index]
                if view.occurrences.role[index] & 7 != Mode.NAME or ref < 0:
                    continue
                scope = module.symbols[ref].scope
                region = module.facts.scopes[scope]
                length = region.end - region.start
                if scope and not self._reaches(module, scope, start):
                    continue
                # the innermost scope that binds it is the one that counts
                if best < 0 or (scope and (not module.symbols[best].scope or length < size)):
                    best, size = ref, length
            types = self._resolver.symbol_types(path, best) if best >= 0 else ()
            return bool(types) and self._all_lack(types, member, path)

    def _reaches(self, module: Module, scope: int, line: int) -> bool:
        """Is the line that begins at a byte in the scope, or where the scope would go on if something were written?"""
        region = module.facts.scopes[scope]
        if region.start <= line <= region.end:
            return True
        source = self._text(module.path)
        if line < region.start or region.owner < 0 or source[region.end : line].strip():
            return False
        head = module.symbols[region.owner].start
        outer = head - (source.rfind(b"\n", 0, head) + 1)
        end = source.find(b"\n", line)
        text = source[line : end if end >= 0 else len(source)]
        return len(text) - len(text.lstrip()) > outer

    def _all_lack(self, types: Types, name: str, path: str) -> bool:
        """Has none of ``types`` a member ``name``, and is every member of each known?"""
        for item in types:
            if item[0] == "m" and item[1]:
                if self._resolver.module_member(item, name, path) or self._dynamic(item[1]):
                    return False
            elif item[0] in ("i", "c", "S", "Z"):
                if self._resolver.lookup(item, name, path) or not self._resolver.surely_not(item):
                    return False
                if self._resolver.class_member(item[1], item[2], "__getattr__") or self._resolver.class_member(
                    item[1], item[2], "__getattribute__"
                ):
                    return False
            else:
                return False
        return True


def _in_outline(facts: Facts, sym: Sym) -> bool:
    if sym.kind in (Kind.IMPORT, Kind.PARAMETER, Kind.LABEL, Kind.TYPE_PARAMETER) or not sym.end:
        return False
    if facts.scopes[sym.scope].kind == 1 and facts.scopes[sym.scope].owner < 0 and sym.kind == Kind.FIELD:
        return False  # a key of an object literal
    return facts.scopes[sym.scope].kind <= 1 or sym.kind in TYPE_KINDS | {Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR}
