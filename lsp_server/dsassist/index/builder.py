"""Collects the facts of one file while a language walks its syntax tree.

A language opens and closes scopes, binds symbols, reports occurrences and describes expressions. Names are looked up in
the scopes only when the walk is over, because a name may be bound after it is used.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from tree_sitter import Node

from dsassist.index.algebra import needed, renumbered
from dsassist.index.facts import Facts, Import, Occurrences, Scope, Sym
from dsassist.index.model import Kind, Mode, Op, Role, ScopeKind

__all__ = ["Builder", "Draft"]

_NAME, _GLOBAL = int(Op.NAME), int(Op.GLOBAL)
# Looking a member of an enumeration up takes as long as the rest of a line here.
_ATTRIBUTE, _KEYWORD, _IMPORT = int(Mode.ATTRIBUTE), int(Mode.KEYWORD), int(Mode.IMPORT)
_CLASS = int(ScopeKind.CLASS)
_TYPE_PARAMETER, _IMPORTED = int(Kind.TYPE_PARAMETER), int(Kind.IMPORT)
_DEFINITION = Role.DEFINITION
_HIGH = re.compile(rb"[\x80-\xff]+")
_PENDING = -(1 << 30)


class Draft:
    """A symbol while it is being collected."""

    __slots__ = (
        "annotation", "bodies", "doc_end", "doc_start", "end", "flags", "head_end", "kind", "name", "occurrence",
        "parameters", "scope", "start", "values",
    )  # fmt: skip

    def __init__(self, name: int, scope: int, kind: int, flags: int) -> None:
        self.name = name
        self.scope = scope
        self.kind = kind
        self.flags = flags
        self.occurrence = -1
        self.start = self.end = self.head_end = self.doc_start = self.doc_end = 0
        self.bodies: list[int] = []
        self.annotation = -1
        self.values: list[int] = []
        self.parameters: list[int] = []


class Builder:
    """The facts of one file in the making. ``class_names_nest``: a class's names are seen bare in its methods (Java,
    C++)."""

    def __init__(self, language: str, source: bytes, *, class_names_nest: bool = False) -> None:
        self.language = language
        self.source = source
        self.class_names_nest = class_names_nest
        self.name_ids: dict[bytes, int] = {}
        self.scope_kinds: list[int] = []
        self.scope_parents: list[int] = []
        self.scope_owners: list[int] = []
        self.scope_bases: list[tuple[int, ...]] = []
        self.scope_ranges: list[tuple[int, int]] = []
        self.scope = -1
        self.drafts: list[Draft] = []
        self.bound: dict[tuple[int, int], int] = {}
        self.occurrences: list[tuple[int, int, int, int, int]] = []
        self.exprs: list[tuple[Any, Any, Any]] = []
        self.expr_ids: dict[tuple[Any, Any, Any], int] = {}
        self.imports: dict[Import, int] = {}
        self.stars: list[int] = []
        self.exports: dict[str, tuple[int, int]] | None = None
        self.errors = 0
        self.extra: dict[str, Any] = {}
        self.redirects: dict[tuple[int, int], int] = {}
        """(scope, name) → the scope that really binds it (``global``, ``nonlocal``)."""
        self.earlier: Mapping[bytes, int] = {}
        """Where only a part of a file is read: names that the module has bound before it, and their kinds."""
        self.calls: list[tuple[int, int, tuple[int, ...], tuple[tuple[str, int], ...]]] = []
        """(byte, callee, arguments, named arguments) of every call, where a language is asked for them."""
        self.decorated: dict[int, int] = {}
        """Function → what its decorators make of it."""
        self.member_definitions: dict[int, int] = {}
        """Byte of an attribute's name → the symbol it defines."""

    def name(self, text: bytes) -> int:
        """The number of a name."""
        found = self.name_ids.get(text)
        if found is None:
            found = self.name_ids[text] = len(self.name_ids)
        return found

    def text(self, node: Node) -> bytes:
        """The bytes of a node (``Node.text`` is None after an edit)."""
        return self.source[node.start_byte : node.end_byte]

    # Scopes and symbols

    def open(self, kind: int, node: Node, owner: int = -1, bases: tuple[int, ...] = ()) -> int:
        """Enter a new scope."""
        index = len(self.scope_kinds)
        self.scope_kinds.append(kind)
        self.scope_parents.append(self.scope)
        self.scope_owners.append(owner)
        self.scope_bases.append(bases)
        self.scope_ranges.append((node.start_byte, node.end_byte))
        if owner >= 0:
            self.drafts[owner].bodies.append(index)
        self.scope = index
        return index

    def close(self) -> None:
        """Leave the scope."""
        self.scope = self.scope_parents[self.scope]

    def bind(self, name: int, kind: int, scope: int | None = None, flags: int = 0) -> int:
        """The symbol ``name`` of a scope, made if needed. A second binding keeps the first one's kind, adds flags."""
        where = self.scope if scope is None else scope
        where = self.redirects.get((where, name), where)
        index = self.bound.get((where, name))
        if index is None:
            index = self.bound[(where, name)] = len(self.drafts)
            self.drafts.append(Draft(name, where, kind, flags))
        else:
            draft = self.drafts[index]
            draft.flags |= flags
            if (draft.kind in _WEAK and kind not in _WEAK) or draft.kind == _IMPORTED:
                draft.kind = kind
        return index

    def module_kind(self, text: bytes) -> int | None:
        """The kind of a name of the module's scope, as far as the file has been read; None: it is not bound there."""
        index = self.bound.get((0, self.name(text)))
        return self.earlier.get(text) if index is None else self.drafts[index].kind

    def define(self, node: Node, kind: int, scope: int | None = None, flags: int = 0, role: int = 0) -> int:
        """Bind the name that ``node`` spells and report the occurrence."""
        start, end = node.start_byte, node.end_byte
        name = self.name(self.source[start:end])
        index = self.bind(name, kind, scope, flags)
        self.occurrences.append((start, name, _DEFINITION | role, index, self.scope))
        return index

    def extent(self, symbol: int, node: Node, head_end: int = -1, doc: tuple[int, int] = (0, 0)) -> Draft:
        """Record where a symbol's first definition lies; its signature ends at ``head_end``."""
        draft = self.drafts[symbol]
        if not draft.end:
            draft.start, draft.end = node.start_byte, node.end_byte
            draft.head_end = head_end if head_end >= 0 else node.end_byte
        if doc[1] and not draft.doc_end:
            draft.doc_start, draft.doc_end = doc
        return draft

    def value(self, symbol: int, expr: int) -> None:
        """Add a value that the symbol may have. -1 (unknown) is left out."""
        if expr >= 0:
            values = self.drafts[symbol].values
            if len(values) < 16 and expr not in values:
                values.append(expr)

    # Occurrences

    def read(self, node: Node, role: int = 0, scope: int | None = None) -> None:
        """A name that is looked up in the scopes."""
        start = node.start_byte
        name = self.name(self.source[start : node.end_byte])
        self.occurrences.append((start, name, role, _PENDING, self.scope if scope is None else scope))

    def read_at(self, start: int, text: bytes, role: int = 0) -> None:
        """As ``read``, for a name that is not a node of its own."""
        self.occurrences.append((start, self.name(text), role, _PENDING, self.scope))

    def attribute(self, node: Node, receiver: int, role: int = 0) -> None:
        """A member of the expression ``receiver`` (-1 where it is unknown)."""
        start = node.start_byte
        name = self.name(self.source[start : node.end_byte])
        self.occurrences.append((start, name, _ATTRIBUTE | role, receiver, self.scope))

    def attribute_at(self, start: int, text: bytes, receiver: int, role: int = 0) -> None:
        """As ``attribute``, for a name that is not a node of its own."""
        self.occurrences.append((start, self.name(text), _ATTRIBUTE | role, receiver, self.scope))

    def keyword(self, node: Node, callee: int) -> None:
        """The name of an argument in a call of ``callee``."""
        start = node.start_byte
        name = self.name(self.source[start : node.end_byte])
        self.occurrences.append((start, name, _KEYWORD, callee, self.scope))

    def imported(self, start: int, text: bytes, entry: int, role: int = 0) -> None:
        """A name inside an import that denotes what the entry denotes."""
        self.occurrences.append((start, self.name(text), _IMPORT | role, entry, self.scope))

    # Expressions and imports

    def expr(self, op: int, a: Any, b: Any = -1) -> int:
        """The number of an expression; equal ones share it."""
        key = (op, a, b)
        found = self.expr_ids.get(key)
        if found is None:
            found = self.expr_ids[key] = len(self.exprs)
            self.exprs.append(key)
        return found

    def name_expr(self, name: int, scope: int | None = None) -> int:
        """The value of a name as seen from a scope; resolved when the walk is over."""
        return self.expr(_NAME, self.scope if scope is None else scope, name)

    def on(self, op: int, base: int, b: Any = -1) -> int:
        """An operator over an expression; unknown stays unknown."""
        return -1 if base < 0 else self.expr(op, base, b)

    def union(self, parts: list[int]) -> int:
        """Any of several; unknown ones are left out."""
        known = list(dict.fromkeys(part for part in parts if part >= 0))
        if not known:
            return -1
        return known[0] if len(known) == 1 else self.expr(Op.UNION, tuple(known))

    def imports_entry(self, module: str, level: int = 0, name: str = "") -> int:
        """The number of an entry of the import table."""
        return self.imports.setdefault(Import(module, level, name), len(self.imports))

    # The end

    def _lookup(self, scope: int, name: int, memo: dict[tuple[int, int], int]) -> int:
        key = (scope, name)
        found = memo.get(key)
        if found is not None:
            return found
        bound, kinds, parents = self.bound, self.scope_kinds, self.scope_parents
        redirects = self.redirects
        at, first = scope, True
        result = -1 - scope
        while at >= 0:
            if redirects:
                at = redirects.get((at, name), at)
            symbol = bound.get((at, name))
            if symbol is not None and (
                first or self.class_names_nest or kinds[at] != _CLASS or self.drafts[symbol].kind == _TYPE_PARAMETER
            ):
                result = symbol
                break
            at, first = parents[at], False
        memo[key] = result
        return result

    def keep_needed(self) -> None:
        """Drop expressions that no occurrence, symbol or class asks for, and number the rest anew."""
        exprs = self.exprs
        roots = {ref for _, _, role, ref, _ in self.occurrences if 1 <= role & 7 <= 2}
        for _, callee, arguments, named in self.calls:
            roots.update((callee, *arguments, *(value for _, value in named)))
        roots.update(self.decorated.values())
        for draft in self.drafts:
            roots.add(draft.annotation)
            roots.update(draft.values)
        for bases in self.scope_bases:
            roots.update(bases)
        receivers: dict[int, int] = self.extra.get("receivers", {})
        roots.update(receivers.values())
        seen: dict[str, dict[int, tuple[tuple[int, str], ...]]] = {
            key: self.extra[key] for key in ("used", "labels") if key in self.extra
        }
        roots.update(expr for scopes in seen.values() for pairs in scopes.values() for expr, _ in pairs)
        is_needed = needed(exprs, roots)
        # Parts are always older than the whole, so one pass in order renumbers everything.
        new = [-1] * (len(exprs) + 1)
        kept: list[tuple[Any, Any, Any]] = []
        for at, item in enumerate(exprs):
            if is_needed[at]:
                new[at] = len(kept)
                kept.append(renumbered(item, new))
        self.exprs = kept
        self.occurrences = [
            (row[0], row[1], row[2], new[row[3]], row[4]) if 1 <= row[2] & 7 <= 2 else row for row in self.occurrences
        ]
        for draft in self.drafts:
            draft.annotation = new[draft.annotation]
            draft.values = [new[value] for value in draft.values]
        self.scope_bases = [tuple(new[base] for base in bases) for bases in self.scope_bases]
        if self.calls:
            self.extra["calls"] = [
                (at, new[callee], tuple(new[value] for value in arguments), tuple((n, new[v]) for n, v in named))
                for at, callee, arguments, named in self.calls
            ]
            self.extra["decorated"] = {symbol: new[expr] for symbol, expr in self.decorated.items()}
        if receivers:
            self.extra["receivers"] = {scope: new[expr] for scope, expr in receivers.items()}
        for key, scopes in seen.items():
            self.extra[key] = {
                scope: tuple((new[expr], name) for expr, name in pairs) for scope, pairs in scopes.items()
            }

    def finish(self) -> Facts:
        """Look every name up and give the facts."""
        memo: dict[tuple[int, int], int] = {}
        lookup = self._lookup
        exprs: list[tuple[Any, Any, Any]] = []
        self.keep_needed()
        for item in self.exprs:
            if item[0] == _NAME:
                symbol = lookup(item[1], item[2], memo)
                exprs.append((_NAME, symbol, -1) if symbol >= 0 else (_GLOBAL, item[2], item[1]))
            else:
                exprs.append((int(item[0]), item[1], item[2]))
        rows = sorted(self.occurrences, key=_start)
        starts: list[int] = []
        names: list[int] = []
        roles = bytearray()
        refs: list[int] = []
        members: list[int] = []
        drafts = self.drafts
        last = (-1, -1)
        for start, name, role, ref, scope in rows:
            if (start, role & 7) == last:
                continue  # a name reported twice, by a walk that recovers from a syntax error
            last = (start, role & 7)
            if ref == _PENDING:
                ref = lookup(scope, name, memo)
            if role & _DEFINITION:
                if role & 7 == _ATTRIBUTE:
                    members.append(len(starts))
                elif not role & 7 and drafts[ref].occurrence < 0:
                    drafts[ref].occurrence = len(starts)
            starts.append(start)
            names.append(name)
            roles.append(role & 255)
            refs.append(ref)
        for at in members:
            # Defined through a receiver (``self.x = …``): the walk bound them, the occurrence is an attribute.
            owner = self.member_definitions.get(starts[at], -1)
            if owner >= 0 and drafts[owner].occurrence < 0:
                drafts[owner].occurrence = at
        lengths, steps, columns = _positions(self.source, starts)
        texts = [text.decode("utf-8", "replace").replace("\n", " ") for text in self.name_ids]
        occurrences = Occurrences(texts, names, steps, columns, bytes(roles), refs, _wide(self.source, lengths))
        return Facts(
            self.language,
            lengths,
            occurrences,
            [
                Scope(int(kind), parent, owner, bases, *span)
                for kind, parent, owner, bases, span in zip(
                    self.scope_kinds,
                    self.scope_parents,
                    self.scope_owners,
                    self.scope_bases,
                    self.scope_ranges,
                    strict=True,
                )
            ],
            [_finished(draft) for draft in drafts],
            exprs,
            list(self.imports),
            tuple(self.stars),
            self.exports,
            self.errors,
            self.extra,
        )

    def define_member(self, node: Node, receiver: int, scope: int, kind: int, flags: int = 0) -> int:
        """A member bound through a receiver (``self.x = …``) in the class scope ``scope``."""
        start = node.start_byte
        name = self.name(self.source[start : node.end_byte])
        symbol = self.bind(name, kind, scope, flags)
        self.occurrences.append((start, name, Mode.ATTRIBUTE | _DEFINITION, receiver, self.scope))
        self.member_definitions[start] = symbol
        return symbol


_WEAK = frozenset({Kind.VARIABLE, Kind.IMPORT, Kind.FIELD, Kind.PARAMETER})


def _finished(draft: Draft) -> Sym:
    return Sym(
        draft.name,
        draft.scope,
        int(draft.kind),
        int(draft.flags),
        draft.occurrence,
        draft.start,
        draft.end,
        draft.head_end,
        draft.doc_start,
        draft.doc_end,
        tuple(draft.bodies),
        draft.annotation,
        tuple(draft.values),
        tuple(draft.parameters),
    )


def _start(row: tuple[int, int, int, int, int]) -> int:
    return row[0]


def _positions(source: bytes, starts: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Line lengths, and of each start (ascending) how many lines it is below the one before, and its byte column."""
    lengths = [len(line) + 1 for line in source.split(b"\n")]
    lengths[-1] -= 1
    steps: list[int] = []
    columns: list[int] = []
    line = low = before = 0
    high = lengths[0]
    last = len(lengths) - 1
    for start in starts:
        while start >= high and line < last:
            line += 1
            low = high
            high += lengths[line]
        steps.append(line - before)
        before = line
        columns.append(start - low)
    return lengths, steps, columns


def _wide(source: bytes, lengths: list[int]) -> dict[int, tuple[tuple[int, int, int], ...]]:
    if source.isascii():
        return {}
    starts = list(accumulate(lengths, initial=0))
    found: dict[int, tuple[tuple[int, int, int], ...]] = {}
    for number in {bisect_right(starts, run.start()) - 1 for run in _HIGH.finditer(source)}:
        line = source[starts[number] : starts[number + 1]].decode("utf-8", "surrogateescape")
        marks: list[tuple[int, int, int]] = []
        column = over16 = over32 = 0
        for char in line:
            code = ord(char)
            size = 1 if code < 0x80 or 0xDC80 <= code <= 0xDCFF else 2 if code < 0x800 else 3 if code < 0x10000 else 4
            column += size
            if size > 1:
                over16 += size - (2 if size == 4 else 1)
                over32 += size - 1
                marks.append((column, over16, over32))
        if marks:
            found[number] = tuple(marks)
    return dict(sorted(found.items()))
