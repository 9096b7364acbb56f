"""Who calls what, and which class stands above which."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from dsassist.index.flow import Edge, Flow
from dsassist.index.languages import language_of
from dsassist.index.languages.base import TellsCalls
from dsassist.index.model import (
    CALLABLE_KINDS,
    TYPE_KINDS,
    Call,
    Kind,
    Location,
    Mode,
    Reference,
    Role,
    SymbolFlag,
    SymbolInfo,
)
from dsassist.index.module import Module
from dsassist.index.queries import Queries
from dsassist.index.resolve import Target

__all__ = ["Hierarchy"]

_MOST_FILES = 25
"""Where more files than this mention a function, calls through values are looked for in its own file only."""


class Hierarchy(Queries):
    """See the module's docstring."""

    # Calls

    def callers(self, targets: Sequence[Target]) -> tuple[Call, ...]:
        """What calls any of the targets, with the places. Calls outside any function belong to the file. A call of a
        class is one of its constructor."""
        with self._reading():
            found: dict[Target, dict[Location, None]] = {}
            targets = self._as_declared(targets)
            classes = [held for target in targets if (held := self._constructed(target)) is not None]
            answer = self._references((*targets, *classes), set(), False)
            properties = any(info.kind == Kind.PROPERTY for info in answer.symbols)
            for reference in answer.references:
                if reference.is_call or (
                    properties and reference.role & 7 == Mode.ATTRIBUTE and not reference.is_write
                ):
                    found.setdefault(self._enclosing(reference.location), {})[reference.location] = None
            wanted = set(targets)
            for edge in self._flow(tuple(targets), answer.references):
                if edge.callee in wanted:
                    place = self._place(edge)
                    found.setdefault(self._enclosing(place), {})[place] = None
            return self._calls(found)

    def _defined_ones(self, targets: tuple[Target, ...]) -> Sequence[Target]:
        """Without declarations, where the definition is among the targets."""
        if len(targets) < 2:
            return targets
        infos = [self._info(target, texts=False) for target in targets]
        kept = [
            target
            for target, info in zip(targets, infos, strict=True)
            if info is None or not info.flags & SymbolFlag.DECLARATION
        ]
        return kept or targets

    def _as_declared(self, targets: Sequence[Target]) -> tuple[Target, ...]:
        """With what a header declares, of functions that a file of C writes out."""
        found = dict.fromkeys(targets)
        for path, qualified in targets:
            module = self._module(path) if path and qualified else None
            symbol = module.by_qualified(qualified) if module is not None else -1
            if module is not None and symbol >= 0 and module.facts.includes:
                same = (self._resolver.target(item) for item in self._resolver.follow(path, symbol))
                found.update(dict.fromkeys(target for target in same if target[0]))
        return tuple(found)

    def _written_out(self, target: Target) -> Target | None:
        """The one function of another file that a header's declaration stands for."""
        info = self._info(target, texts=False)
        if info is None or not info.flags & SymbolFlag.DECLARATION:
            return None
        for place in self._bodies(target):
            module = self._module(place.path)
            symbol = module.by_qualified(info.name) if module is not None and place.path != target[0] else -1
            if symbol >= 0:
                return place.path, info.name
        return None

    def _constructed(self, target: Target) -> Target | None:
        """The class whose constructor the target is."""
        module = self._module(target[0]) if target[0] else None
        symbol = module.by_qualified(target[1]) if module is not None else -1
        if module is None or symbol < 0:
            return None
        sym = module.symbols[symbol]
        owner = module.facts.scopes[sym.scope].owner if module.facts.scopes[sym.scope].kind == 1 else -1
        if owner < 0 or not (sym.kind == Kind.CONSTRUCTOR or module.name(symbol) in ("__init__", "__new__")):
            return None
        return self._own_target(target[0], owner)

    def callees(self, target: Target) -> tuple[Call, ...]:
        """What a function calls, with the places inside it; what a file calls outside of any function.

        Calls inside a function that is nested in another belong to the inner one.
        """
        with self._reading():
            written = self._written_out(target)
            if written is not None:
                return self.callees(written)
            module, view = self._module(target[0]), self._view(target[0])
            symbol = module.by_qualified(target[1]) if module is not None and target[1] else -1
            if module is None or view is None or (target[1] and symbol < 0):
                return ()
            found: dict[Target, dict[Location, None]] = {}
            occurrences = view.occurrences
            starts = self._starts(module)
            spans = [module.facts.scopes[body][4:6] for body in module.symbols[symbol].bodies] if target[1] else []
            for index, role in enumerate(occurrences.role):
                if not role & Role.CALL:
                    continue
                at = starts[occurrences.line[index]] + occurrences.column[index]
                if spans and not any(start <= at < end for start, end in spans):
                    continue
                place = self._location(target[0], occurrences, index)
                if self._enclosing(place) != target:
                    continue
                reply = self._answer(target[0], view, index)
                targets = reply.targets if reply is not None else (self._own_target(target[0], occurrences.ref[index]),)
                for item in self._defined_ones(targets):
                    if item[0] and self._is_called(item):
                        found.setdefault(item, {})[place] = None
            asked = self._references((target,), set(), False).references if target[1] else ()
            for edge in self._flow((target,), asked):
                if edge.path == target[0] and self._enclosing(place := self._place(edge)) == target:
                    found.setdefault(edge.callee, {})[place] = None
            return self._calls(found)

    def _is_called(self, target: Target) -> bool:
        """Does calling the name call the thing itself? A variable or parameter only holds what is called."""
        module = self._module(target[0])
        symbol = module.by_qualified(target[1]) if module is not None and target[1] else -1
        if module is None or symbol < 0:
            return False
        if not isinstance(module.language, TellsCalls):
            return True
        return module.symbols[symbol].kind in (*CALLABLE_KINDS, *TYPE_KINDS)

    # Calls through values

    def _flow(self, targets: Sequence[Target], references: Sequence[Reference]) -> list[Edge]:
        """The calls of the files in which the targets are mentioned."""
        own = [target[0] for target in targets if target[0]]
        if not any(self._calls_module(path) is not None for path in own):
            return []
        mentioned = dict.fromkeys(item.location.path for item in references)
        names = {name for target in targets if (name := target[1].rpartition(".")[2]) and not name.startswith("__")}
        unresolved = {path for name in names for path in self._candidates(name)}
        # Who imports the files may call what their functions hand out, and hand it on.
        importers = self._dependents(*own)
        unresolved |= importers
        if len(importers) <= _MOST_FILES:
            unresolved |= self._dependents(*importers)
        paths = dict.fromkeys([*own, *mentioned])
        if len(paths | dict.fromkeys(unresolved)) <= _MOST_FILES:
            paths |= dict.fromkeys(sorted(unresolved))
        elif len(paths) > _MOST_FILES:
            paths = dict.fromkeys(own)
        flow = Flow(self._files, self._module, self._calls_module, self._subclasses)
        return flow.run(paths)

    def _subclasses(self, member: tuple[str, int]) -> list[tuple[str, int]]:
        found = []
        for path, name in self._all_subtypes(self._own_target(*member)):
            module = self._module(path)
            symbol = module.by_qualified(name) if module is not None else -1
            if symbol >= 0:
                found.append((path, symbol))
        return found

    _call_modules: dict[str, Module] | None = None

    def _derived_changed(self) -> None:
        self._call_modules = None
        super()._derived_changed()

    def _calls_module(self, path: str) -> Module | None:
        """The file, read for a question about calls; None in a language without such questions."""
        if self._call_modules is None or len(self._call_modules) > 200:
            self._call_modules = {}
        found = self._call_modules.get(path)
        language = language_of(path)
        if found is None and isinstance(language, TellsCalls):
            source = self._text(path)
            found = Module(path, language.extract_calls(source, language.parser(path).parse(source)))
            self._call_modules[path] = found
        return found

    def _place(self, edge: Edge) -> Location:
        """Where an edge's call is."""
        module = self._calls_module(edge.path)
        assert module is not None
        starts = self._starts(module)
        line = bisect_right(starts, edge.at) - 1
        occurrences = module.facts.occurrences
        for index in range(bisect_left(occurrences.line, line), bisect_right(occurrences.line, line)):
            if occurrences.column[index] == edge.at - starts[line]:
                return self._location(edge.path, occurrences, index)
        return self._byte_location(module, edge.at, edge.at)

    @staticmethod
    def _starts(module: Module) -> list[int]:
        """The byte at which each line starts."""
        return module.starts

    def _calls(self, found: dict[Target, dict[Location, None]]) -> tuple[Call, ...]:
        calls = []
        for target, places in sorted(found.items()):
            info = self._info(target)
            if info is not None:
                calls.append(Call(info, tuple(sorted(places))))
        return tuple(calls)

    def _enclosing(self, place: Location) -> Target:
        """The innermost function or class around a place, else its file."""
        module = self._module(place.path)
        assert module is not None
        occurrences = module.facts.occurrences
        starts = self._starts(module)
        at = starts[place.line] + occurrences.bytes_column(place.line, place.column, self.encoding)
        best, size = -1, 1 << 62
        for scope in module.facts.scopes:
            if scope.owner >= 0 and scope.start <= at < scope.end and scope.end - scope.start < size:
                owner = module.symbols[scope.owner]
                name_at = (
                    starts[occurrences.line[owner.occurrence]] + occurrences.column[owner.occurrence]
                    if owner.occurrence >= 0
                    else -1
                )
                if name_at != at:
                    best, size = scope.owner, scope.end - scope.start
        return (place.path, module.qualified(best)) if best >= 0 else (place.path, "")

    # Classes

    def supertypes(self, target: Target) -> tuple[Target, ...]:
        """The direct bases of a class that are in the workspace."""
        with self._reading():
            module = self._module(target[0])
            symbol = module.by_qualified(target[1]) if module is not None else -1
            if module is None or symbol < 0:
                return ()
            bases = self._resolver.base_types(module, symbol)
            return tuple(self._own_target(base[1], base[2]) for base in bases if base[0] == "c")

    def subtypes(self, target: Target) -> tuple[Target, ...]:
        """Classes that name this one among their direct bases."""
        with self._reading():
            return self._subtypes(target)

    def implementations(self, path: str, line: int, column: int) -> tuple[SymbolInfo, ...]:
        """For a class its subclasses at any depth; for a method the methods that override it."""
        with self._reading():
            targets, _, _ = self._targets_at(path, line, column)
            found: dict[Target, None] = {}
            for target in targets:
                info = self._info(target, texts=False)
                if info is None or not target[0]:
                    continue
                if info.kind in TYPE_KINDS:
                    found.update(dict.fromkeys(self._all_subtypes(target)))
                elif info.container and info.kind in (*CALLABLE_KINDS, Kind.FIELD):
                    for subtype in self._all_subtypes((target[0], info.container)):
                        module = self._module(subtype[0])
                        if module is not None and module.by_qualified(f"{subtype[1]}.{info.name}") >= 0:
                            found[(subtype[0], f"{subtype[1]}.{info.name}")] = None
            infos = (self._info(target) for target in found)
            return tuple(info for info in infos if info is not None)
