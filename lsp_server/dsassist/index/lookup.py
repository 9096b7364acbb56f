"""Look-ups that every answer shares: what stands at a position, what it is, where it is bound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate

from dsassist.errors import PositionError, WorkspaceError
from dsassist.index.answer import Target
from dsassist.index.facts import Facts
from dsassist.index.model import (
    Kind,
    Level,
    Location,
    Role,
    SymbolInfo,
)
from dsassist.index.module import Module
from dsassist.index.state import State, View

__all__ = ["Lookup", "dotted"]


class Lookup(State):
    """Positions are (line, column) from 0, columns in the index's unit."""

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
        starts = module.starts
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

    def _brief(self, target: Target) -> tuple[str, Kind, Target] | None:
        """Name and kind of a target as ``_info`` has them, None where it is gone."""
        path, name = target
        if not path or path.endswith("/"):
            return (name or path.rstrip("/")).rpartition(".")[2], Kind.MODULE, target
        module = self._module(path)
        if module is None:
            return None
        if not name:
            return _module_name(path), Kind.MODULE, target
        symbol = module.by_qualified(name)
        return (module.name(symbol), Kind(module.symbols[symbol].kind), target) if symbol >= 0 else None

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

    def symbols_at(self, path: str, line: int, column: int) -> tuple[SymbolInfo, ...]:
        """What the name at a position denotes. Things outside the workspace are left out.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            found = (self._info(target) for target in self._targets_at(path, line, column)[0] if target[0])
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

    def _symbol_number(self, target: Target) -> int:
        module = self._module(target[0])
        return module.by_qualified(target[1]) if module is not None and target[1] else -2

    def _is(self, target: Target, path: str, view: View, index: int) -> bool:
        answer = self._answer(path, view, index)
        if answer is None:
            return path == target[0] and view.occurrences.ref[index] == self._symbol_number(target)
        return target in answer.targets

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


def _module_name(path: str) -> str:
    parts = path.rpartition(".")[0].split("/")
    if parts[-1] in ("__init__", "index", "mod") and len(parts) > 1:
        parts.pop()
    return parts[-1]


def dotted(path: str) -> str:
    """A file as a module's dotted name."""
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
