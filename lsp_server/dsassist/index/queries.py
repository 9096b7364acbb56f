"""Answers: definitions, references, symbols, callers.

Long, because every question shares the same few look-ups; ``rank``, ``rename``, ``syntax`` and ``graph`` build on it.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from dsassist.errors import PositionError, WorkspaceError
from dsassist.index.facts import Facts, Sym
from dsassist.index.model import (
    TYPE_KINDS,
    Kind,
    Level,
    Location,
    Mode,
    Op,
    Reference,
    References,
    Role,
    SymbolInfo,
)
from dsassist.index.module import Module
from dsassist.index.resolve import Target
from dsassist.index.state import State, View

__all__ = ["Queries"]

_LOCAL_LEVEL = Level.LEXICAL
_NOTHING: frozenset[int] = frozenset()


class Queries(State):
    """See the module's docstring. Positions are (line, column) from 0, columns in the index's unit."""

    # Positions

    def languages_path(self, path: str) -> bool:
        """Does the index know the file?"""
        with self._lock:
            return path in self._rows or path in self._overlays

    def _known(self, path: str) -> View:
        view = self._view(path)
        if view is None:
            raise WorkspaceError(
                f"{path} is not in the index.", remedy="It may be ignored, too large, or of another language."
            )
        return view

    def _at(self, path: str, line: int, column: int) -> tuple[View, int]:
        """The occurrence under or just before a position, -1 where there is none."""
        view = self._known(path)
        occurrences = view.occurrences
        at_byte = occurrences.bytes_column(line, column, self.encoding)
        low, high = bisect_left(occurrences.line, line), bisect_right(occurrences.line, line)
        best = -1
        for index in range(low, high):
            start = occurrences.column[index]
            end = start + len(occurrences.names[occurrences.name[index]].encode("utf-8"))
            if start <= at_byte <= end:
                best = index
                if at_byte < end:
                    break
        return view, best

    def _byte_location(self, module: Module, start: int, end: int) -> Location:
        """A range of bytes as a location."""
        starts = list(accumulate(module.facts.line_lengths, initial=0))
        first, last = bisect_right(starts, start) - 1, bisect_right(starts, end) - 1
        units = module.facts.occurrences.units
        return Location(
            module.path,
            first,
            units(first, start - starts[first], self.encoding),
            last,
            units(last, end - starts[last], self.encoding),
        )

    # Symbols

    def _info(self, target: Target, *, texts: bool = True) -> SymbolInfo | None:
        """A target as people see it, None where it is gone."""
        path, name = target
        if not path or path.endswith("/"):
            where = Location(path, 0, 0, 0, 0)
            return SymbolInfo((name or path.rstrip("/")).rpartition(".")[2], name, Kind.MODULE, where, where)
        module = self._module(path)
        if module is None:
            return None
        if not name:
            where = Location(path, 0, 0, 0, 0)
            return SymbolInfo(
                _module_name(path),
                "",
                Kind.MODULE,
                where,
                where,
                documentation=self._module_doc(module) if texts else "",
            )
        symbol = module.by_qualified(name)
        return self._symbol_info(module, symbol, texts=texts) if symbol >= 0 else None

    def _symbol_info(self, module: Module, symbol: int, *, texts: bool = True) -> SymbolInfo:
        sym = module.symbols[symbol]
        facts = module.facts
        location = (
            self._location(module.path, facts.occurrences, sym.occurrence)
            if sym.occurrence >= 0
            else self._byte_location(module, sym.start, sym.start)
        )
        extent = self._byte_location(module, sym.start, sym.end) if sym.end else location
        signature = documentation = ""
        if texts and sym.end:
            source = self._text(module.path)
            signature = _flat(source[sym.start : min(sym.head_end, sym.start + 2000)])
            documentation = _clean(source[sym.doc_start : sym.doc_end])
        container = module.scope_path(sym.scope).partition("#")[0]
        return SymbolInfo(
            module.name(symbol),
            module.qualified(symbol),
            Kind(sym.kind),
            location,
            extent,
            container,
            signature,
            documentation,
            sym.flags,
        )

    def _module_doc(self, module: Module) -> str:
        source = self._text(module.path)[:4000].lstrip()
        for quote in (b'"""', b"'''"):
            if source.startswith(quote) and quote in source[3:]:
                return _clean(source[: source.index(quote, 3) + 3])
        return ""

    def symbol(self, target: Target) -> SymbolInfo | None:
        """What a target is (path, qualified name), None where there is no such symbol now."""
        with self._reading():
            return self._info(target)

    def targets_at(self, path: str, line: int, column: int) -> tuple[tuple[Target, ...], Level, str]:
        """What the name at a position denotes, how sure that is, and the name; no targets where nothing is known.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            return self._targets_at(path, line, column)

    def _targets_at(self, path: str, line: int, column: int) -> tuple[tuple[Target, ...], Level, str]:
        view, index = self._at(path, line, column)
        if index < 0:
            return (), Level.POSSIBLE, ""
        name = view.occurrences.names[view.occurrences.name[index]]
        answer = self._answer(path, view, index)
        if answer is None:
            return (self._own_target(path, view.occurrences.ref[index]),), Level.LEXICAL, name
        return answer.targets, Level(answer.level), name

    def definitions(self, path: str, line: int, column: int) -> tuple[SymbolInfo, ...]:
        """What the name at a position is defined as, wherever that is. Things outside the workspace are left out.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            targets, _, _ = self._targets_at(path, line, column)
            found = (self._info(target) for target in targets if target[0])
            return tuple(info for info in found if info is not None)

    def declarations(self, path: str, line: int, column: int) -> tuple[Location, ...]:
        """Every place where what is at the position is bound or declared, imports of this file included."""
        with self._reading():
            targets, _, _ = self._targets_at(path, line, column)
            places: list[Location] = []
            for target in targets:
                places.extend(self._bindings(target))
            return tuple(dict.fromkeys(places))

    def _bindings(self, target: Target) -> list[Location]:
        module = self._module(target[0]) if target[0] else None
        if module is None:
            return []
        symbol = module.by_qualified(target[1]) if target[1] else -1
        if symbol < 0:
            return [Location(target[0], 0, 0, 0, 0)]
        occurrences = module.facts.occurrences
        places = []
        view = self._view(target[0])
        assert view is not None
        for index in view.positions(module.name(symbol)):
            if occurrences.role[index] & Role.DEFINITION and self._is(target, target[0], view, index):
                places.append(self._location(target[0], occurrences, index))
        return places

    def type_definitions(self, path: str, line: int, column: int) -> tuple[SymbolInfo, ...]:
        """The classes of the value at a position, where they are known and in the workspace."""
        with self._reading():
            view, index = self._at(path, line, column)
            module = self._module(path)
            if index < 0 or module is None:
                return ()
            answer = self._answer(path, view, index)
            targets = answer.targets if answer is not None else (self._own_target(path, view.occurrences.ref[index]),)
            found: dict[Target, None] = {}
            for target in targets:
                other = self._module(target[0]) if target[0] else None
                symbol = other.by_qualified(target[1]) if other is not None else -1
                if symbol < 0:
                    continue
                types = self._resolver.symbol_types(target[0], symbol)
                for item in types:
                    if item[0] == "f":
                        types = (*types, *self._resolver.result(item[1], item[2], item[3], -1, path))
                for item in types:
                    if item[0] in ("i", "c", "S", "Z"):
                        found[self._own_target(item[1], item[2])] = None
            infos = (self._info(target) for target in found)
            return tuple(info for info in infos if info is not None)

    # References

    def references(self, path: str, line: int, column: int, *, include_possible: bool = True) -> References:
        """Where the thing at a position is used, in all files, with how sure each answer is.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            targets, _, name = self._targets_at(path, line, column)
            found = self._references(self._widened(targets), {name} if name else set(), include_possible)
            return self._of_one_meaning(found, targets, path, line, column)

    def references_at_hand(self, path: str, line: int, column: int, *, unread: int = 4) -> References | None:
        """As ``references`` without possible ones, where that takes no waiting: nobody else asks, and at most
        ``unread`` of the files to look into are not in memory. None where it would take longer.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._store.data_version() != self._data_version or path not in self._views:
                return None
            view, index = self._at(path, line, column)
            if index >= 0 and (view.links is None or not self._at_hand(path, view, index, unread)):
                return None
            return self.references(path, line, column, include_possible=False)
        finally:
            self._lock.release()

    def _at_hand(self, path: str, view: View, index: int, unread: int) -> bool:
        answer = self._answer(path, view, index)
        files = {target[0] for target in answer.targets} if answer is not None else {path}
        if not all(self._modules.holds(file) for file in files if file):
            return False
        name = view.occurrences.names[view.occurrences.name[index]]
        missing = 0
        for path in self._candidates(name):
            missing += path not in self._views
            if missing > unread:
                return False
        return True

    def _of_one_meaning(
        self, found: References, targets: tuple[Target, ...], path: str, line: int, column: int
    ) -> References:
        """Where one name is a type and also, apart from it, a value: those of the one that was asked for."""
        if len(targets) != 1 or not targets[0][0]:
            return found
        module, view = self._module(targets[0][0]), self._view(targets[0][0])
        symbol = module.by_qualified(targets[0][1]) if module is not None and targets[0][1] else -1
        if module is None or view is None or symbol < 0 or not module.language.wide_references:
            return found
        if module.symbols[symbol].kind not in (Kind.INTERFACE, Kind.TYPE, Kind.CONSTANT, Kind.VARIABLE, Kind.FUNCTION):
            return found
        occurrences = module.facts.occurrences
        meanings = {
            bool(occurrences.role[at] & Role.TYPE)
            for at in view.positions(module.name(symbol))
            if occurrences.role[at] & 15 == Role.DEFINITION and occurrences.ref[at] == symbol
        }
        asked_view, index = self._at(path, line, column)
        role = asked_view.occurrences.role[index]
        if len(meanings) < 2 or _is_neutral(role, path, targets[0]):
            return found
        wanted = role & Role.TYPE
        kept = tuple(
            item
            for item in found.references
            if item.role & Role.TYPE == wanted or _is_neutral(item.role, item.location.path, targets[0])
        )
        return dataclasses.replace(found, references=kept)

    def references_to(self, targets: Sequence[Target], *, include_possible: bool = True) -> References:
        """As ``references``, for known targets."""
        with self._reading():
            return self._references(self._widened(tuple(targets)), set(), include_possible)

    def _widened(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """With what members override and are overridden by, where the language's tools count these as references."""
        found = dict.fromkeys(targets)
        for path, qualified in targets:
            module = self._module(path) if path else None
            if module is None or not module.language.wide_references:
                continue
            symbol = module.by_qualified(qualified)
            scope = module.facts.scopes[module.symbols[symbol].scope] if symbol >= 0 else None
            if scope is not None and scope.kind == 1 and scope.owner >= 0:
                members, _ = self._resolver.member_family(path, scope.owner, module.name(symbol), self._all_subtypes)
                found.update(dict.fromkeys(sorted(self._own_target(*member) for member in members)))
        return tuple(found)

    def _aliases(self, path: str, entries: set[int], name: str) -> tuple[set[str], set[str]]:
        """Other names that imports give a thing: in their own file, and for files that import it from there."""
        module = self._module(path)
        if module is None or not module.language.wide_references:
            return set(), set()
        expressions, exports = module.facts.expressions, module.facts.exports or {}
        inside = {
            module.name(index)
            for index, symbol in enumerate(module.symbols)
            if any(expressions[value][0] == Op.IMPORT and expressions[value][1] in entries for value in symbol.values)
        }
        outside = {other for other, (_, entry) in exports.items() if entry in entries}
        return inside - {name}, outside - {name, "default", "="}

    def _references(self, targets: tuple[Target, ...], names: set[str], include_possible: bool) -> References:
        infos = tuple(info for target in targets if (info := self._info(target, texts=False)) is not None)
        wanted = names | {info.name for info in infos}
        found: list[Reference] = []
        possible: list[Reference] = []
        local = bool(targets) and all(self._is_local(target) for target in targets)
        member = include_possible and any(
            info.kind not in (Kind.MODULE, Kind.PARAMETER, Kind.TYPE_PARAMETER) and not self._is_local(target)
            for info, target in zip(infos, targets, strict=False)
        )
        names_left, done = sorted(wanted) if targets else [], set(wanted)
        while names_left:
            name = names_left.pop()
            paths = sorted({target[0] for target in targets}) if local else self._candidates(name)
            for path in paths:
                before = len(found)
                self._collect(targets, name, path, found, possible if member else None)
                if any(item.role & 7 == Mode.IMPORT for item in found[before:]):
                    entries = self._entries(path, name)
                    inside, outside = self._aliases(path, entries, name)
                    for other in sorted(inside):
                        self._collect(targets, other, path, found, None)
                    names_left += sorted(outside - done)
                    done |= outside
        key = _by_place
        found.sort(key=key)
        mentions = tuple(item for item in found if item.is_mention)
        used = tuple(item for item in found if not item.is_mention) if mentions else tuple(found)
        return References(infos, used, tuple(sorted(possible, key=key)), mentions, len(self._pending))

    def _entries(self, path: str, name: str) -> set[int]:
        """The import entries that occurrences of a name denote in a file."""
        view = self._view(path)
        if view is None:
            return set()
        occurrences = view.occurrences
        return {occurrences.ref[at] for at in view.positions(name) if occurrences.role[at] & 7 == Mode.IMPORT}

    def _is_local(self, target: Target) -> bool:
        """Is it seen in its own file only?"""
        module = self._module(target[0]) if target[0] else None
        if module is None or not target[1]:
            return False
        symbol = module.by_qualified(target[1])
        if symbol < 0:
            return False
        sym = module.symbols[symbol]
        return module.facts.scopes[sym.scope].kind > 1 and sym.kind != Kind.PARAMETER

    def _collect(
        self,
        targets: tuple[Target, ...],
        name: str,
        path: str,
        found: list[Reference],
        possible: list[Reference] | None,
    ) -> None:
        """Add the occurrences of one file."""
        view = self._view(path)
        if view is None:
            return
        occurrences, links = view.occurrences, view.links
        numbers = links.numbers(targets[0]) if links is not None and targets else _NOTHING
        for target in targets[1:]:
            numbers |= links.numbers(target) if links is not None else _NOTHING
        here = any(target[0] == path for target in targets)
        if links is not None and possible is None and not numbers and not here:
            return  # the name is another thing in this file
        positions = view.positions(name)
        if not positions:
            return
        own = {self._symbol_number(target) for target in targets if target[0] == path} if here else _NOTHING
        if links is not None:
            column, ref, answers = links.column, occurrences.ref, links.answers
            for index in positions:
                value = column[index]
                if value == 0:
                    if ref[index] in own:
                        found.append(
                            Reference(self._location(path, occurrences, index), _LOCAL_LEVEL, occurrences.role[index])
                        )
                elif value in numbers:
                    found.append(
                        Reference(
                            self._location(path, occurrences, index),
                            Level(answers[value].level),
                            occurrences.role[index],
                        )
                    )
                elif value == 1 and possible is not None and _may_be(occurrences.role[index]):
                    possible.append(
                        Reference(self._location(path, occurrences, index), Level.POSSIBLE, occurrences.role[index])
                    )
            return
        wanted = set(targets)
        for index in positions:
            answer = self._answer(path, view, index)
            if answer is None:
                if occurrences.ref[index] in own:
                    found.append(
                        Reference(self._location(path, occurrences, index), _LOCAL_LEVEL, occurrences.role[index])
                    )
            elif not wanted.isdisjoint(answer.targets):
                found.append(
                    Reference(self._location(path, occurrences, index), Level(answer.level), occurrences.role[index])
                )
            elif possible is not None and not answer.known and _may_be(occurrences.role[index]):
                possible.append(
                    Reference(self._location(path, occurrences, index), Level.POSSIBLE, occurrences.role[index])
                )

    def _symbol_number(self, target: Target) -> int:
        module = self._module(target[0])
        return module.by_qualified(target[1]) if module is not None and target[1] else -2

    def _is(self, target: Target, path: str, view: View, index: int) -> bool:
        answer = self._answer(path, view, index)
        if answer is None:
            return path == target[0] and view.occurrences.ref[index] == self._symbol_number(target)
        return target in answer.targets

    def highlights(self, path: str, line: int, column: int) -> tuple[Reference, ...]:
        """Occurrences of the same thing in the same file; of the same name where nothing is known."""
        with self._reading():
            targets, _, name = self._targets_at(path, line, column)
            found: list[Reference] = []
            possible: list[Reference] = []
            if name:
                self._collect(targets, name, path, found, possible)
            return tuple(sorted(found or possible, key=_by_place))

    # Outlines and searches

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
                    qualified = module.qualified(index)
                    # A file is a module in most languages; in Go and Java its folder is the package.
                    above = f"{path.rpartition('/')[0]}."
                    dotted = (f"{_dotted(path)}.{qualified}", f"{_dotted(above)}.{qualified}", f"{path}:{qualified}")
                    if any(item == name or item.endswith(f".{name}") for item in dotted):
                        found.append(((path, qualified), self._symbol_info(module, index)))
            return tuple(found)

    # Classes

    def _subtypes(self, target: Target) -> tuple[Target, ...]:
        found: dict[Target, None] = {}
        for reference in self._references((target,), set(), False).references:
            if reference.role & Role.DEFINITION:
                continue
            path = reference.location.path
            module = self._module(path)
            assert module is not None
            for index, sym in enumerate(module.symbols):
                if sym.kind not in TYPE_KINDS or (path, module.qualified(index)) in found:
                    continue
                bases = self._resolver.base_types(module, index)
                if any(base[0] == "c" and self._own_target(base[1], base[2]) == target for base in bases):
                    found[(path, module.qualified(index))] = None
        return tuple(sorted(found))

    _known_subtypes: dict[Target, list[Target]] | None = None

    def _derived_changed(self) -> None:
        self._known_subtypes = None
        super()._derived_changed()

    def _all_subtypes(self, target: Target) -> list[Target]:
        if self._known_subtypes is None:
            self._known_subtypes = {}
        known = self._known_subtypes.get(target)
        if known is None:
            known = self._known_subtypes[target] = self._find_subtypes(target)
        return known

    def _find_subtypes(self, target: Target) -> list[Target]:
        seen: dict[Target, None] = {}
        stack = [target]
        while stack and len(seen) < 2000:
            for item in self._subtypes(stack.pop()):
                if item not in seen and item != target:
                    seen[item] = None
                    stack.append(item)
        return list(seen)

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

    def _dynamic(self, files: Iterable[str]) -> bool:
        """May the module have names that its text does not show?"""
        for path in files:
            module = self._module(path)
            if module is None or module.facts.stars or "__getattr__" in module.members(0):
                return True
        return False

    def facts_for(self, path: str) -> Facts:
        """A file's facts.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            self._known(path)
            module = self._module(path)
            assert module is not None
            return module.facts

    def paths(self) -> tuple[str, ...]:
        """Every indexed file."""
        with self._lock:
            return tuple(sorted(self._rows.keys() | self._overlays.keys()))

    def position(self, path: str, offset: int) -> tuple[int, int]:
        """A byte offset as (line, column).

        Raises:
            PositionError: outside the file.
        """
        facts = self.facts_for(path)
        starts = list(accumulate(facts.line_lengths, initial=0))
        if not 0 <= offset <= starts[-1]:
            raise PositionError(f"{path} has {starts[-1]} bytes; {offset} is outside.")
        line = min(bisect_right(starts, offset) - 1, len(facts.line_lengths) - 1)
        return line, facts.occurrences.units(line, offset - starts[line], self.encoding)


def _is_neutral(role: int, path: str, target: Target) -> bool:
    """Is it an import, which takes a name with all its meanings?"""
    return role & 7 == Mode.IMPORT or bool(role & Role.DEFINITION and path != target[0])


def _may_be(role: int) -> bool:
    """Could an unresolved occurrence with that role be any member of its name?"""
    return role & 7 in (Mode.ATTRIBUTE, Mode.KEYWORD) or (role & 7 == Mode.IMPORT)


def _in_outline(facts: Facts, sym: Sym) -> bool:
    if sym.kind in (Kind.IMPORT, Kind.PARAMETER, Kind.LABEL, Kind.TYPE_PARAMETER) or not sym.end:
        return False
    if facts.scopes[sym.scope].kind == 1 and facts.scopes[sym.scope].owner < 0 and sym.kind == Kind.FIELD:
        return False  # a key of an object literal
    return facts.scopes[sym.scope].kind <= 1 or sym.kind in TYPE_KINDS | {Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR}


def _module_name(path: str) -> str:
    parts = path.rpartition(".")[0].split("/")
    if parts[-1] in ("__init__", "index", "mod") and len(parts) > 1:
        parts.pop()
    return parts[-1]


def _dotted(path: str) -> str:
    parts = path.rpartition(".")[0].split("/")
    if parts[-1] in ("__init__", "index", "mod"):
        parts.pop()
    return ".".join(parts)


def _flat(text: bytes) -> str:
    """A signature on one line, without decorators' bodies."""
    return " ".join(text.decode("utf-8", "replace").split())


def _clean(text: bytes) -> str:
    """Documentation without its quotes or comment signs and common indentation."""
    raw = text.decode("utf-8", "replace").strip()
    for quote in ('"""', "'''", '"', "'"):
        start = raw.find(quote)
        if 0 <= start <= 2 and raw.endswith(quote) and len(raw) >= start + 2 * len(quote):
            raw = raw[start + len(quote) : -len(quote)]
            break
    else:
        raw = "\n".join(
            line.strip().lstrip("/*!").rstrip("*/").strip() if line.strip()[:1] in "/*" else line
            for line in raw.splitlines()
        )
    lines = raw.strip("\n").splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    cut = min(indents, default=0)
    return "\n".join([lines[0].strip(), *(line[cut:].rstrip() for line in lines[1:])]).strip() if lines else ""


def _by_place(reference: Reference) -> Location:
    return reference.location
