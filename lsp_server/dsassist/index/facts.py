"""What one file says, independent of every other file, and its packed form.

A packed file is two blobs: its occurrences (small columns, read by every query) and its meaning (scopes, symbols,
expressions, imports; read when something is resolved). Both are ``marshal`` under ``zlib``, whose checksum is what
tells
a damaged blob from a good one. Nothing in them depends on the file's path or on any other file.
"""

from __future__ import annotations

import marshal
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

from dsassist.errors import IndexingError
from dsassist.index.model import Encoding, Kind

__all__ = [
    "OF_CLASS",
    "SCHEMA",
    "Facts",
    "Import",
    "Occurrences",
    "Scope",
    "Sym",
    "narrow",
    "pack",
    "pack_meaning",
    "places_of",
    "unpack",
    "unpack_meaning",
    "widen",
]

SCHEMA = 8
"""Raised whenever the packed form or the meaning of a fact changes; an index with another number is built anew."""


OF_CLASS = 64
"""The level of an import that takes members of a class (Java's ``import static``)."""

_FEW = 3
"""Lines that are asked of a file before all are worked out."""
_INCLUDING = frozenset({"c", "cpp"})
_NOT_SEARCHED = frozenset({Kind.PARAMETER, Kind.IMPORT, Kind.TYPE_PARAMETER, Kind.LABEL})


class Scope(NamedTuple):
    """A region in which names are bound."""

    kind: int
    parent: int
    owner: int
    """The symbol whose body this is, or -1."""
    bases: tuple[int, ...]
    """Expressions of the base classes, in order."""
    start: int
    end: int


class Sym(NamedTuple):
    """A name bound in a scope, with all its definitions in that scope."""

    name: int
    scope: int
    kind: int
    flags: int
    occurrence: int
    """Index of its first definition among the occurrences."""
    start: int
    end: int
    """Bytes of the whole first definition."""
    head_end: int
    """Where the signature ends."""
    doc_start: int
    doc_end: int
    """Bytes of the documentation, equal where there is none."""
    bodies: tuple[int, ...]
    """Scopes that its definitions open."""
    annotation: int
    """Expression of the declared type (a function's declared result), or -1."""
    values: tuple[int, ...]
    """Expressions assigned to it (a function's results)."""
    parameters: tuple[int, ...]
    """Symbols of the parameters of its first definition."""


class Import(NamedTuple):
    """An entry of the import table."""

    module: str
    level: int
    """Number of leading dots, in Python; ``OF_CLASS`` where ``name`` is a member of a class; otherwise 0."""
    name: str
    """What is taken from the module: empty for the module itself, ``*`` for everything."""


class Occurrences:
    """Every identifier of a file that means something, by position.

    ``steps`` are the lines as they are stored, each as its distance from the one before.
    """

    __slots__ = ("_asked", "_line", "column", "name", "names", "ref", "role", "steps", "wide")

    def __init__(
        self,
        names: list[str],
        name: Sequence[int],
        steps: Sequence[int],
        column: Sequence[int],
        role: bytes,
        ref: Sequence[int],
        wide: dict[int, tuple[tuple[int, int, int], ...]] | None = None,
    ) -> None:
        self.names = names
        """Distinct names; columns refer to them."""
        self.name = name
        self.steps = steps
        self.column = column
        """In bytes."""
        self.role = role
        self.ref = ref
        self.wide = wide or {}
        """For lines with non-ASCII text: (bytes up to and with a character, surplus over UTF-16 units, over code
        points)."""
        self._line: list[int] | None = None
        self._asked = 0

    @property
    def line(self) -> list[int]:
        """The line of each."""
        if self._line is None:
            self._line = list(accumulate(self.steps))
        return self._line

    def line_of(self, index: int) -> int:
        """The line of one. Few are asked of most files: then a sum takes less than all lines do."""
        if self._line is None and self._asked < _FEW:
            self._asked += 1
            return sum(self.steps[: index + 1])
        return self.line[index]

    def named(self, name: str) -> list[int]:
        """Numbers of the occurrences with that name, in order."""
        try:
            return places_of(self.name, self.names.index(name))
        except ValueError:
            return []

    def pack(self) -> bytes:
        """As a blob."""
        columns = tuple(narrow(column) for column in (self.name, self.steps, self.column, self.ref))
        return pack(("\n".join(self.names), columns, self.role, self.wide))

    @classmethod
    def unpack(cls, blob: bytes) -> Occurrences:
        """Of ``pack``'s result.

        Raises:
            IndexingError: the blob is damaged.
        """
        joined, columns, role, wide = unpack(blob)
        name, steps, column, ref = (widen(item) for item in columns)
        return cls(joined.split("\n"), name, steps, column, role, ref, wide)

    def units(self, line: int, column: int, encoding: Encoding) -> int:
        """A column of bytes in another unit."""
        marks = self.wide.get(line)
        if not marks or encoding == "utf-8":
            return column
        at = bisect_right(marks, column, key=lambda mark: mark[0]) - 1
        return column if at < 0 else column - marks[at][1 if encoding == "utf-16" else 2]

    def bytes_column(self, line: int, units: int, encoding: Encoding) -> int:
        """The inverse of ``units``."""
        marks = self.wide.get(line)
        if not marks or encoding == "utf-8":
            return units
        which = 1 if encoding == "utf-16" else 2
        at = bisect_right(marks, units, key=lambda mark: mark[0] - mark[which]) - 1
        return units if at < 0 else units + marks[at][which]


class Facts:
    """All facts of one file."""

    __slots__ = (
        "errors",
        "exports",
        "expressions",
        "extra",
        "imports",
        "language",
        "line_lengths",
        "occurrences",
        "scopes",
        "stars",
        "symbols",
    )  # fmt: skip

    def __init__(
        self,
        language: str,
        line_lengths: Sequence[int],
        occurrences: Occurrences,
        scopes: list[Scope],
        symbols: list[Sym],
        expressions: list[tuple[Any, Any, Any]],
        imports: list[Import],
        stars: tuple[int, ...] = (),
        exports: dict[str, tuple[int, int]] | None = None,
        errors: int = 0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.language = language
        self.line_lengths = line_lengths
        """Bytes of each line, its break included."""
        self.occurrences = occurrences
        self.scopes = scopes
        self.symbols = symbols
        self.expressions = expressions
        self.imports = imports
        self.stars = stars
        """Entries of the import table whose every name is visible here."""
        self.exports = exports
        """Names seen from outside, each with a symbol or -1 and an import entry or -1. None: every name of the module
        scope."""
        self.errors = errors
        """Syntax errors met."""
        self.extra = {} if extra is None else extra
        """What one language alone needs, such as Java's package."""

    @property
    def lines(self) -> int:
        """How many lines."""
        return len(self.line_lengths)

    def nonlocal_names(self) -> set[str]:
        """Names that may denote something of another file, or be denoted from one."""
        occurrences, symbols, scopes = self.occurrences, self.symbols, self.scopes
        found: set[int] = set()
        outer = {
            index
            for index, symbol in enumerate(symbols)
            if symbol.kind in (Kind.IMPORT, Kind.PARAMETER)
            or scopes[symbol.scope].kind <= 1
            or self.is_container(symbol.scope)
        }
        for name, role, ref in zip(occurrences.name, occurrences.role, occurrences.ref, strict=True):
            if role & 7 or ref < 0 or ref in outer:
                found.add(name)
        return {occurrences.names[index] for index in found} | {f"#{header}" for header in self.included()}

    @property
    def includes(self) -> bool:
        """Are its imports includes, which bring all that the included file has seen?"""
        return self.language in _INCLUDING

    def included(self) -> set[str]:
        """Last parts of what a C or C++ file includes. A header sees what its includers have seen before it."""
        return {self.imports[star].module.rpartition("/")[2] for star in self.stars} if self.includes else set()

    def defined_names(self) -> set[str]:
        """Names of symbols that a workspace-wide search should find."""
        names, scopes = self.occurrences.names, self.scopes
        methods = {scope for held in self.extra.get("methods", {}).values() for scope in held}
        return {
            names[s.name]
            for s in self.symbols
            if s.kind not in _NOT_SEARCHED
            and (s.scope == 0 or s.scope in methods or (scopes[s.scope].kind <= 3 and self.is_container(s.scope)))
        }

    def is_container(self, scope: int) -> bool:
        """Is it the scope of a class or of a namespace?"""
        owner = self.scopes[scope].owner
        return owner >= 0 and (self.scopes[scope].kind == 1 or self.symbols[owner].kind == Kind.NAMESPACE)


def pack_meaning(facts: Facts) -> bytes:
    """Everything but the occurrences, as a blob."""
    return pack(
        (
            facts.language,
            narrow(facts.line_lengths),
            _columns(facts.scopes, _SCOPE_TUPLES),
            _columns(facts.symbols, _SYMBOL_TUPLES),
            _columns(facts.expressions, frozenset(), mixed=True),
            [tuple(item) for item in facts.imports],
            facts.stars,
            facts.exports,
            facts.errors,
            facts.extra,
        )
    )


def unpack_meaning(blob: bytes, occurrences: Occurrences) -> Facts:
    """Of ``pack_meaning``'s result.

    Raises:
        IndexingError: the blob is damaged.
    """
    language, lengths, scopes, symbols, expressions, imports, stars, exports, errors, extra = unpack(blob)
    return Facts(
        language,
        widen(lengths),
        occurrences,
        _rows(scopes, Scope),
        _rows(symbols, Sym),
        _rows(expressions, tuple),
        [Import._make(item) for item in imports],
        stars,
        exports,
        errors,
        extra,
    )


_SCOPE_TUPLES = frozenset({3})
_SYMBOL_TUPLES = frozenset({10, 12, 13})


def _columns(rows: Sequence[tuple[Any, ...]], tuples: frozenset[int], mixed: bool = False) -> Any:
    """Rows as columns of small integers, which compress and load several times better than rows do.

    What is not an integer (``tuples``, or anything where ``mixed``) is kept beside its column by row number.
    """
    packed: list[tuple[tuple[str, bytes] | None, dict[int, Any]]] = []
    for index, column in enumerate(zip(*rows, strict=True)):
        others: dict[int, Any] = {}
        if index in tuples:
            others = {row: value for row, value in enumerate(column) if value}
            packed.append((None, others))
            continue
        if mixed and index:
            others = {row: value for row, value in enumerate(column) if type(value) is not int}
            column = tuple(0 if row in others else value for row, value in enumerate(column)) if others else column
        packed.append((narrow(column), others))
    return len(rows), packed


def _rows(packed: Any, kind: type[Any]) -> list[Any]:
    """Of ``_columns``'s result; ``kind`` is what a row is, a tuple."""
    count, columns = packed
    restored: list[Any] = []
    for narrow, others in columns:
        column: Any = [()] * count if narrow is None else widen(narrow)
        if others:
            column = list(column)
            for row, value in others.items():
                column[row] = value
        restored.append(column)
    rows = zip(*restored, strict=True)
    # Straight to the tuple: a row is what it was, and a name's own constructor takes three times as long.
    return list(rows if kind is tuple else map(partial(tuple.__new__, kind), rows))


def pack(value: Any) -> bytes:
    """Plain values as a blob; equal values have equal bytes."""
    # Version 2 has no back-references, so equal values have equal bytes whatever objects they share.
    return zlib.compress(marshal.dumps(value, 2), 1)


def unpack(blob: bytes) -> Any:
    """Of ``pack``'s result.

    Raises:
        IndexingError: the blob is damaged.
    """
    try:
        return marshal.loads(zlib.decompress(blob))
    except (zlib.error, ValueError, EOFError, TypeError) as error:
        raise IndexingError(f"A stored fact is damaged: {error}.", remedy="The index is built anew.") from error


def narrow(values: Sequence[int]) -> tuple[str, bytes]:
    """Integers in the smallest type that holds them."""
    low, high = (min(values), max(values)) if len(values) else (0, 0)
    if low >= 0:
        code = "B" if high < 1 << 8 else "H" if high < 1 << 16 else "I" if high < 1 << 32 else "Q"
    else:
        code = "h" if low >= -(1 << 15) and high < 1 << 15 else "i" if low >= -(1 << 31) and high < 1 << 31 else "q"
    return code, array(code, values).tobytes()


def widen(packed: tuple[str, bytes]) -> array[int]:
    """Of ``narrow``'s result."""
    values = array(packed[0])
    values.frombytes(packed[1])
    return values


def places_of(values: Sequence[int], wanted: int) -> list[int]:
    """Where a value stands in a column, in order. Of a packed one the bytes are searched, many times quicker than its
    numbers are made."""
    found: list[int] = []
    if not isinstance(values, array):
        return [at for at, value in enumerate(values) if value == wanted]
    size = values.itemsize
    try:
        pattern = array(values.typecode, (wanted,)).tobytes()
    except OverflowError:
        return found
    data = values.tobytes()
    at = data.find(pattern)
    while at >= 0:
        if at % size:
            at = data.find(pattern, at + 1)
        else:
            found.append(at // size)
            at = data.find(pattern, at + size)
    return found
