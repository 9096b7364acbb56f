"""The facts of an edited file from those it had before: only the top-level statements around the edit are read again.

Their lines are taken out of the old text and of the new one, and each of the two is read as a file of its own. What the
old one says has to be what the old facts have there, and both have to parse alone as they do in their file; then the
one's facts take the place of the other's. Symbols, scopes and occurrences get the numbers that a reading of the whole
file gives them; names, imports and expressions may get others, which nothing depends on. Wherever anything is unusual,
the file has to be read as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from dsassist.index.algebra import needed, renumbered
from dsassist.index.facts import Facts, Occurrences, Scope, Sym
from dsassist.index.languages import language_of
from dsassist.index.languages.base import ReadsParts
from dsassist.index.model import Mode, Op
from dsassist.index.parts import Edited, Parts, Unusual, expect, module_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Edited", "Splice", "spliced"]

_NAME, _GLOBAL, _IMPORTED, _ATTR = int(Op.NAME), int(Op.GLOBAL), int(Op.IMPORT), int(Op.ATTR)
_OF_SCOPE = frozenset({Op.SELF, Op.CLASS_OF_SCOPE, Op.SUPER, Op.OBJECT})
_OF_EXPRESSION = tuple(mode in (Mode.ATTRIBUTE, Mode.KEYWORD) for mode in range(8))
"""By mode: is a reference an expression?"""
_PLAIN_EXTRA = frozenset({"all", "all_open", "package"})
"""What is kept beside the facts and refers to none of their numbers."""
_GONE = -(1 << 40)


class Splice(NamedTuple):
    """Facts, and what parts of them were read anew, alone, before and after."""

    facts: Facts
    before: Facts
    after: Facts


def spliced(path: str, old: Facts, edited: Edited) -> Splice | None:
    """The facts of the edited text, ``old`` being those of the one before; None where it has to be read as a whole."""
    language = language_of(path)
    if not isinstance(language, ReadsParts) or not old.extra.keys() <= _PLAIN_EXTRA:
        return None
    try:
        parts = Parts(language, path, old, edited)
        return Splice(_Joined(old, parts).facts(), parts.before, parts.after)
    except (Unusual, RecursionError):
        return None


class _Numbers(NamedTuple):
    """What the numbers of some facts become. The lists end with -1, which -1 (nothing) then is mapped to."""

    names: Sequence[int]
    scopes: list[int]
    symbols: list[int]
    entries: Sequence[int]
    expressions: list[int]
    bound: dict[int, int]
    """Names that these facts have not bound in the module's scope, and the other ones have, with their symbols."""
    occurrences_from: int
    more_occurrences: int
    bytes_from: int
    more_bytes: int

    def expression(self, item: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """One whose parts have their new numbers already."""
        op, a, b = renumbered(item, self.expressions)
        if op == _NAME:
            a = self.symbols[a]
            expect(a != _GONE)
        elif op == _GLOBAL:
            symbol = self.bound.get(self.names[a], -1)
            return (_NAME, symbol, -1) if symbol >= 0 else (op, self.names[a], self.scopes[b])
        elif op == _IMPORTED:
            a = self.entries[a]
        elif op == _ATTR:
            b = self.names[b]
        elif op in _OF_SCOPE:
            a = self.scopes[a]
            expect(a != _GONE)
        return op, a, b

    def references(self, occurrences: Occurrences, here: slice) -> Iterator[int]:
        """Those of some occurrences."""
        for name, role, ref in zip(occurrences.name[here], occurrences.role[here], occurrences.ref[here], strict=True):
            mode = role & 7
            if mode == Mode.NAME:
                if ref >= 0:
                    ref = self.symbols[ref]
                    expect(ref != _GONE)
                    yield ref
                else:
                    yield self.bound.get(self.names[name], -1 - self.scopes[-1 - ref])
            else:
                yield self.entries[ref] if mode == Mode.IMPORT else self.expressions[ref]

    def scope(self, scope: Scope) -> Scope:
        """A scope, moved."""
        parent, owner = self.scopes[scope.parent], self.symbols[scope.owner]
        expect(parent != _GONE and owner != _GONE)
        expressions = self.expressions
        bases = tuple([expressions[base] for base in scope.bases])
        return Scope(scope.kind, parent, owner, bases, self._byte(scope.start), self._byte(scope.end))

    def symbols_of(self, rows: Iterable[Sym]) -> Iterator[Sym]:
        """Symbols, moved. Most have neither bodies nor values nor parameters."""
        names, scopes, symbols, expressions, where = (
            self.names, self.scopes, self.symbols, self.expressions, self._byte,
        )  # fmt: skip
        since, more = self.occurrences_from, self.more_occurrences
        for (
            name, scope, kind, flags, at, start, end, head, doc, doc_end, bodies, annotation, values, parameters,
        ) in rows:  # fmt: skip
            if bodies:
                bodies = tuple([scopes[body] for body in bodies])
                expect(_GONE not in bodies)
            if parameters:
                parameters = tuple([symbols[parameter] for parameter in parameters])
                expect(_GONE not in parameters)
            yield Sym(
                names[name],
                scopes[scope],
                kind,
                flags,
                at + more if at >= since else at,
                where(start) if end else start,
                where(end) if end else end,
                where(head) if end else head,
                where(doc) if doc_end else doc,
                where(doc_end) if doc_end else doc_end,
                bodies,
                expressions[annotation],
                tuple([expressions[value] for value in values]) if values else values,
                parameters,
            )

    def _byte(self, at: int) -> int:
        return at + self.more_bytes if at >= self.bytes_from else at


class _Joined:
    """Old facts with a part of them replaced."""

    def __init__(self, old: Facts, parts: Parts) -> None:
        self._old, self._parts, self._part = old, parts, parts.after
        lines, names = old.occurrences.line, old.occurrences.names
        self._occurrences = bisect_left(lines, parts.first), bisect_left(lines, parts.last)
        expect(self._same_occurrences(parts.before.occurrences))
        inside = [at for at, scope in enumerate(old.scopes) if at and parts.start <= scope.start < parts.end]
        self._scopes = self._run(inside, len(parts.before.scopes) - 1, old.scopes, 1)
        gone, (low, high) = module_names(parts.before), self._scopes
        inside = [
            at
            for at, symbol in enumerate(old.symbols)
            if low <= symbol.scope < high or (not symbol.scope and names[symbol.name] in gone)
        ]
        self._symbols = self._run(inside, len(parts.before.symbols), old.symbols, 0)
        self._names = {name: number for number, name in enumerate(names)}
        self._entries = {entry: number for number, entry in enumerate(old.imports)}

    def _same_occurrences(self, part: Occurrences) -> bool:
        """Does the part, read alone, say what the whole says there?"""
        old, here, first = self._old.occurrences, slice(*self._occurrences), self._parts.first
        return (
            list(old.column[here]) == list(part.column)
            and old.role[here] == part.role
            and [line - first for line in old.line[here]] == part.line
            and [old.names[name] for name in old.name[here]] == [part.names[name] for name in part.name]
        )

    def _run(self, inside: list[int], count: int, rows: Sequence[Scope | Sym], least: int) -> tuple[int, int]:
        """Numbers that have to follow one another; where there are none, the place where they would be."""
        expect(len(inside) == count)
        if inside:
            expect(inside[-1] - inside[0] == count - 1)
            return inside[0], inside[-1] + 1
        at = next((at for at in range(least, len(rows)) if rows[at].start >= self._parts.end), len(rows))
        return at, at

    def facts(self) -> Facts:
        """The new ones."""
        old, parts, part = self._old, self._parts, self._part
        of_old, of_part = self._numbers()
        start, end = self._occurrences
        before, here, after = slice(0, start), slice(None), slice(end, None)
        # Expressions: what only the old part has used is dropped. Parts stay older than the whole.
        expressions = self._expressions(of_old, of_part)
        low, high = self._scopes
        scopes = [
            *map(of_old.scope, old.scopes[:low]),
            *map(of_part.scope, part.scopes[1:]),
            *map(of_old.scope, old.scopes[high:]),
        ]
        root = parts.root
        scopes[0] = scopes[0]._replace(start=root.start_byte, end=root.end_byte)
        low, high = self._symbols
        symbols = [
            *of_old.symbols_of(old.symbols[:low]),
            *of_part.symbols_of(part.symbols),
            *of_old.symbols_of(old.symbols[high:]),
        ]
        was, now = old.occurrences, part.occurrences
        lines = [*was.line[before], *(line + parts.first for line in now.line)]
        lines += [line + parts.more_lines for line in was.line[after]]
        occurrences = Occurrences(
            list(self._names),
            [*was.name[before], *(of_part.names[name] for name in now.name), *was.name[after]],
            [line - above for above, line in pairwise([0, *lines])],
            [*was.column[before], *now.column, *was.column[after]],
            was.role[before] + now.role + was.role[after],
            [*of_old.references(was, before), *of_part.references(now, here), *of_old.references(was, after)],
            self._wide(),
        )
        lengths = [
            *old.line_lengths[: parts.first],
            *part.line_lengths[: parts.new_last - parts.first],
            *old.line_lengths[parts.last :],
        ]
        errors = old.errors - parts.before.errors + part.errors
        return Facts(
            old.language, lengths, occurrences, scopes, symbols, expressions, list(self._entries), old.stars,
            old.exports, errors, old.extra,
        )  # fmt: skip

    def _numbers(self) -> tuple[_Numbers, _Numbers]:
        """Of the old facts and of the part; what expressions become is not known yet."""
        old, parts, part = self._old, self._parts, self._part
        names = [self._names.setdefault(name, len(self._names)) for name in part.occurrences.names]
        entries = [self._entries.setdefault(entry, len(self._entries)) for entry in part.imports]
        low, high = self._scopes
        kept = range(low + len(part.scopes) - 1, len(old.scopes) - high + low + len(part.scopes) - 1)
        scopes = [*range(low), *[_GONE] * (high - low), *kept, -1]
        part_scopes = [0, *range(low, low + len(part.scopes) - 1), -1]
        low, high = self._symbols
        kept = range(low + len(part.symbols), len(old.symbols) - high + low + len(part.symbols))
        symbols = [*range(low), *[_GONE] * (high - low), *kept, -1]
        part_symbols = [*range(low, low + len(part.symbols)), -1]
        bound = {names[symbol.name]: low + at for at, symbol in enumerate(part.symbols) if not symbol.scope}
        outside = {symbol.name: symbols[at] for at, symbol in enumerate(old.symbols) if not symbol.scope}
        for at in range(low, high):
            if not old.symbols[at].scope:
                del outside[old.symbols[at].name]
                symbols[at] = bound.get(old.symbols[at].name, _GONE)
        (start, end), count = self._occurrences, len(part.occurrences.name)
        of_old = _Numbers(
            range(len(self._names)), scopes, symbols, range(len(self._entries)), [], bound,
            end, count - (end - start), parts.end, parts.more_bytes,
        )  # fmt: skip
        of_part = _Numbers(names, part_scopes, part_symbols, entries, [], outside, 0, start, 0, parts.start)
        return of_old, of_part

    def _expressions(self, of_old: _Numbers, of_part: _Numbers) -> list[tuple[Any, Any, Any]]:
        """Those of both, whose new numbers are told to both."""
        old, part = self._old, self._part
        roots: set[int] = set()
        was, (start, end) = old.occurrences, self._occurrences
        for here in (slice(0, start), slice(end, None)):
            roots.update(
                ref for role, ref in zip(was.role[here], was.ref[here], strict=True) if _OF_EXPRESSION[role & 7]
            )
        low, high = self._symbols
        for symbols in (old.symbols[:low], old.symbols[high:]):
            for symbol in symbols:
                roots.add(symbol.annotation)
                roots.update(symbol.values)
        low, high = self._scopes
        for scopes in (old.scopes[:low], old.scopes[high:]):
            for scope in scopes:
                roots.update(scope.bases)
        expressions: list[tuple[Any, Any, Any]] = []
        is_needed = needed(old.expressions, roots)
        for numbers, items, wanted in ((of_old, old.expressions, is_needed), (of_part, part.expressions, None)):
            numbers.expressions.extend([-1] * (len(items) + 1))
            for at, item in enumerate(items):
                if wanted is None or wanted[at]:
                    numbers.expressions[at] = len(expressions)
                    expressions.append(numbers.expression(item))
        return expressions

    def _wide(self) -> dict[int, tuple[tuple[int, int, int], ...]]:
        was, now, parts = self._old.occurrences.wide, self._part.occurrences.wide, self._parts
        return {
            **{line: marks for line, marks in was.items() if line < parts.first},
            **{line + parts.first: marks for line, marks in now.items()},
            **{line + parts.more_lines: marks for line, marks in was.items() if line >= parts.last},
        }
