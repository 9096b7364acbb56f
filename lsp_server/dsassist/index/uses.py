"""Where a thing is used: references in all files, highlights in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dsassist.index.answer import Answer, Target
from dsassist.index.lookup import Lookup
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
    SymbolFlag,
    SymbolInfo,
)
from dsassist.index.state import View

__all__ = ["Uses"]

_FEW = 6
"""Files that are read without asking first whether they can have anything."""
_MOST_UNREAD = 16
"""Files that are read without leaving the turn to others: each takes a tenth of a millisecond."""
_LOCAL_LEVEL = Level.LEXICAL
_NOTHING: frozenset[int] = frozenset()


class Uses(Lookup):
    """See the module's docstring."""

    def definitions(self, path: str, line: int, column: int) -> tuple[SymbolInfo, ...]:
        """What the name at a position is defined as, wherever that is. Things outside the workspace are left out.

        Of what is only declared in a header, the definitions, where there are any.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            found: dict[Location, SymbolInfo] = {}
            for target in self._targets_at(path, line, column)[0]:
                info = self._info(target) if target[0] else None
                if info is None:
                    continue
                bodies = self._bodies(target) if info.flags & SymbolFlag.DECLARATION else ()
                for place in bodies:
                    found[place] = info._replace(location=place, extent=place)
                if not bodies:
                    found[info.location] = info
            return tuple(found.values())

    def _bodies(self, target: Target) -> tuple[Location, ...]:
        """Where a function that a header declares is written out."""
        found = []
        for item in self._references((target,), set(), False).references:
            module = self._module(item.location.path) if item.role & Role.DEFINITION else None
            if module is None or item.role & 7 == Mode.IMPORT:
                continue
            line, column = item.location.line, item.location.column
            at = sum(module.facts.line_lengths[:line])
            at += module.facts.occurrences.bytes_column(line, column, self.encoding)
            around = [scope.end for scope in module.facts.scopes if scope.kind == 2 and scope.start <= at < scope.end]
            if around and self._text(module.path)[around[-1] - 1 : around[-1]] == b"}":
                found.append(item.location)
        return tuple(found)

    def references(
        self, path: str, line: int, column: int, *, include_possible: bool = True, described: bool = True
    ) -> References:
        """Where the thing at a position is used, in all files, with how sure each answer is. ``described``: with the
        symbols themselves.

        Raises:
            WorkspaceError: the file is not in the index.
        """
        with self._reading():
            targets, _, name = self._targets_at(path, line, column)
            names = {name} if name else set()
            found = self._references(self._widened(targets), names, include_possible, described=described)
            return self._of_one_meaning(found, targets, path, line, column)

    def references_at_hand(self, path: str, line: int, column: int, *, unread: int = _MOST_UNREAD) -> References | None:
        """As ``references`` without possible ones and descriptions, where that takes no waiting: nobody else asks, and
        at most ``unread`` of the files to look into are not in memory. None where it would take longer.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._store.data_version() != self._data_version or path not in self._views:
                return None
            view, index = self._at(path, line, column)
            if index < 0:
                return self.references(path, line, column, include_possible=False, described=False)
            answer = self._answer(path, view, index) if view.links is not None else None
            if view.links is None or (paths := self._at_hand(path, view, index, answer, unread)) is None:
                return None
            targets = answer.targets if answer is not None else (self._own_target(path, view.occurrences.ref[index]),)
            name = view.occurrences.names[view.occurrences.name[index]]
            widened = self._widened(targets)
            known = {name: paths} if widened == targets else {}
            found = self._references(widened, {name}, False, known, described=False)
            return self._of_one_meaning(found, targets, path, line, column)
        finally:
            self._lock.release()

    def _at_hand(self, path: str, view: View, index: int, answer: Answer | None, unread: int) -> list[str] | None:
        """The files to look into, None where too many are to be read."""
        targets = answer.targets if answer is not None else (self._own_target(path, view.occurrences.ref[index]),)
        if not all(self._modules.holds(target[0]) for target in targets if target[0]):
            return None
        paths = self._where(view.occurrences.names[view.occurrences.name[index]], targets)
        missing = 0
        for other in paths:
            missing += other not in self._views
            if missing > unread:
                return None
        return paths

    def _of_one_meaning(
        self, found: References, targets: tuple[Target, ...], path: str, line: int, column: int
    ) -> References:
        """Where one name is a type and also, apart from it, a value: those of the one that was asked for."""
        if len(targets) != 1 or not targets[0][0]:
            return found
        module, view = self._module(targets[0][0]), self._view(targets[0][0])
        symbol = module.by_qualified(targets[0][1]) if module is not None and targets[0][1] else -1
        if module is None or view is None or symbol < 0 or not module.is_wide:
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
        return found._replace(references=kept)

    def references_to(self, targets: Sequence[Target], *, include_possible: bool = True) -> References:
        """As ``references``, for known targets."""
        with self._reading():
            return self._references(self._widened(tuple(targets)), set(), include_possible)

    def _widened(self, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        """With what members override and are overridden by, where the language's tools count these as references."""
        found = dict.fromkeys(targets)
        for path, qualified in targets:
            module = self._module(path) if path else None
            if module is None or not module.is_wide:
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
        if module is None or not module.is_wide:
            return set(), set()
        expressions, exports = module.facts.expressions, module.facts.exports or {}
        inside = {
            module.name(index)
            for index, symbol in enumerate(module.symbols)
            if any(expressions[value][0] == Op.IMPORT and expressions[value][1] in entries for value in symbol.values)
        }
        outside = {other for other, (_, entry) in exports.items() if entry in entries}
        return inside - {name}, outside - {name, "default", "="}

    def _references(
        self,
        targets: tuple[Target, ...],
        names: set[str],
        include_possible: bool,
        known: Mapping[str, list[str]] = MappingProxyType({}),
        *,
        described: bool = True,
    ) -> References:
        """``known``: files by name, where these have been worked out already."""
        briefs = [brief for target in targets if (brief := self._brief(target)) is not None]
        wanted = names | {name for name, _, _ in briefs}
        found: list[Reference] = []
        possible: list[Reference] = []
        local = bool(targets) and all(self._is_local(target) for target in targets)
        member = include_possible and any(
            kind not in (Kind.MODULE, Kind.TYPE_PARAMETER) and not self._is_local(target) for _, kind, target in briefs
        )
        names_left, done = sorted(wanted) if targets else [], set(wanted)
        while names_left:
            name = names_left.pop()
            if local:
                paths = sorted({target[0] for target in targets})
            else:
                paths = known.get(name) or (self._candidates(name) if include_possible else self._where(name, targets))
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
        if possible and briefs and all(kind == Kind.PARAMETER for _, kind, _ in briefs):
            # A parameter is named from outside by the keywords of calls, and by nothing else.
            named = any(self._takes_keywords(target) for target in targets)
            possible = [item for item in possible if named and item.role & 7 == Mode.KEYWORD]
        key = _by_place
        found.sort(key=key)
        mentions = tuple(item for item in found if item.is_mention)
        used = tuple(item for item in found if not item.is_mention) if mentions else tuple(found)
        infos = (self._info(target, texts=False) for target in targets) if described else ()
        symbols = tuple(info for info in infos if info is not None)
        return References(symbols, used, tuple(sorted(possible, key=key)), mentions, len(self._pending))

    def _where(self, name: str, targets: tuple[Target, ...]) -> list[str]:
        """Files in which the name may denote one of ``targets``: not those whose links are up to date and were made
        without reading the files of the targets."""
        paths = self._candidates(name)
        homes = {target[0] for target in targets}
        if len(paths) <= _FEW or any(not home or home.endswith("/") for home in homes):
            return paths
        unsure = homes | {path for _, path in self._store.unlinked()}
        for path, overlay in self._edits():
            unsure |= {path, *overlay.stale}
        readers = self._dependents(*homes)
        return [path for path in paths if path in readers or path in unsure]

    def _entries(self, path: str, name: str) -> set[int]:
        """The import entries that occurrences of a name denote in a file."""
        view = self._view(path)
        if view is None:
            return set()
        occurrences = view.occurrences
        return {occurrences.ref[at] for at in view.positions(name) if occurrences.role[at] & 7 == Mode.IMPORT}

    def _takes_keywords(self, target: Target) -> bool:
        """Is it a parameter of a function that other files can call?"""
        module = self._module(target[0])
        symbol = module.by_qualified(target[1]) if module is not None else -1
        if module is None or symbol < 0:
            return False
        owner = module.facts.scopes[module.symbols[symbol].scope].owner
        return owner >= 0 and module.facts.scopes[module.symbols[owner].scope].kind <= 1

    def _is_local(self, target: Target) -> bool:
        """Is it seen in its own file only?"""
        module = self._module(target[0]) if target[0] else None
        if module is None or not target[1]:
            return False
        symbol = module.by_qualified(target[1])
        if symbol < 0:
            return False
        sym = module.symbols[symbol]
        inner = module.facts.scopes[sym.scope].kind > 1 and not module.facts.is_container(sym.scope)
        return inner and sym.kind != Kind.PARAMETER

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
        links = view.links
        numbers = links.numbers(targets) if links is not None else _NOTHING
        here = any(target[0] == path for target in targets)
        if links is not None and possible is None and not numbers and not here:
            return  # the name is another thing in this file
        occurrences = view.occurrences
        positions = view.positions(name)
        if not positions:
            return
        own = {self._symbol_number(target) for target in targets if target[0] == path} if here else _NOTHING
        if links is not None:
            column, ref = links.column, occurrences.ref
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
                            links.level(value),
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

    def highlights(self, path: str, line: int, column: int) -> tuple[Reference, ...]:
        """Occurrences of the same thing in the same file; of the same name where nothing is known."""
        with self._reading():
            targets, _, name = self._targets_at(path, line, column)
            found: list[Reference] = []
            possible: list[Reference] = []
            if name:
                self._collect(targets, name, path, found, possible)
            return tuple(sorted(found or possible, key=_by_place))

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


def _is_neutral(role: int, path: str, target: Target) -> bool:
    """Is it an import, which takes a name with all its meanings?"""
    return role & 7 == Mode.IMPORT or bool(role & Role.DEFINITION and path != target[0])


def _may_be(role: int) -> bool:
    """Could an unresolved occurrence with that role be any member of its name?"""
    return role & 7 in (Mode.ATTRIBUTE, Mode.KEYWORD) or (role & 7 == Mode.IMPORT)


def _by_place(reference: Reference) -> Location:
    return reference.location
