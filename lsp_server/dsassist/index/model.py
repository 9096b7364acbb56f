"""The words that the whole index shares: kinds, roles, expression operators, and what queries answer with.

Everything here is small integers or named tuples, so that facts pack into a few kilobytes a file.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal, NamedTuple

__all__ = [
    "Call",
    "Encoding",
    "Kind",
    "Level",
    "Location",
    "Mode",
    "Op",
    "Reference",
    "References",
    "Role",
    "ScopeKind",
    "SymbolFlag",
    "SymbolInfo",
]

Encoding = Literal["utf-8", "utf-16", "utf-32"]
"""What a column counts: bytes, UTF-16 code units, or code points."""


class Kind(IntEnum):
    """What a symbol is. The names are those that a person reads."""

    MODULE = 0
    NAMESPACE = 1
    CLASS = 2
    INTERFACE = 3
    ENUM = 4
    TYPE = 5
    FUNCTION = 6
    METHOD = 7
    PROPERTY = 8
    FIELD = 9
    VARIABLE = 10
    CONSTANT = 11
    PARAMETER = 12
    ENUM_MEMBER = 13
    IMPORT = 14
    MACRO = 15
    STRUCT = 16
    TRAIT = 17
    TYPE_PARAMETER = 18
    LABEL = 19
    CONSTRUCTOR = 20

    @property
    def label(self) -> str:
        """Lower case, with a space: ``enum member``."""
        return self.name.lower().replace("_", " ")


TYPE_KINDS = frozenset({Kind.CLASS, Kind.INTERFACE, Kind.ENUM, Kind.STRUCT, Kind.TRAIT})
CALLABLE_KINDS = frozenset({Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR, Kind.PROPERTY})


class ScopeKind(IntEnum):
    """What opens a scope."""

    MODULE = 0
    CLASS = 1
    FUNCTION = 2
    BLOCK = 3
    """A comprehension, a braced block: its names are not seen outside."""


class SymbolFlag:
    """Properties of a symbol that resolution needs. Plain integers: an ``IntFlag`` is ten times slower to combine."""

    STATIC: Final = 1
    CLASSMETHOD: Final = 2
    ASYNC: Final = 4
    INSTANCE: Final = 8
    """Bound through the receiver (``self.x = …``)."""
    EXPORTED: Final = 16
    DEFAULT_EXPORT: Final = 32
    PRIVATE: Final = 64
    """Not visible from other files (``static`` in C, not exported)."""
    ABSTRACT: Final = 128
    GENERATOR: Final = 256
    DECLARATION: Final = 512
    """Declared here, defined elsewhere (a C prototype)."""
    FIRST_ARGUMENT: Final = 1024
    """The receiver parameter of a method."""
    FIELDS: Final = 2048
    """A class whose fields are its constructor's parameters (a dataclass)."""
    ENTERED: Final = 4096
    """A generator function that is used as a context manager."""
    VARIADIC: Final = 8192
    """``*args``."""
    KEYWORDS: Final = 16384
    """``**kwargs``."""


class Mode(IntEnum):
    """How an occurrence is looked up. The low three bits of a role."""

    NAME = 0
    """Lexically. The reference is a symbol of this file, or ``-1 - scope`` when none binds it here."""
    ATTRIBUTE = 1
    """In the type of an expression; the reference is that expression, or -1."""
    KEYWORD = 2
    """Among the parameters of what an expression calls; the reference is that expression, or -1."""
    IMPORT = 3
    """In an import; the reference is the entry of the import table."""


class Role:
    """Bits above the mode. Plain integers, as above."""

    DEFINITION: Final = 8
    WRITE: Final = 16
    CALL: Final = 32
    TYPE: Final = 64
    """In a type annotation, a base class list or the like."""
    STRING: Final = 128
    """Inside a string: a forward reference."""


MODE_MASK = 7


class Op(IntEnum):
    """Operators of the small expression language in which receivers, annotations and values are kept: ``(op, a,
    b)``."""

    NAME = 0
    """symbol a of this file"""
    GLOBAL = 1
    """the name a, not bound in this file, seen from scope b"""
    ATTR = 2
    """member with name b of expression a"""
    CALL = 3
    """result of calling expression a"""
    SUBSCRIPT = 4
    """element b (an expression or -1) of expression a; as a type, its type arguments"""
    ITERATE = 5
    """what iterating over a yields"""
    ITEM = 6
    """item number b of the tuple a"""
    AWAIT = 7
    UNION = 8
    """any of the expressions in the tuple a"""
    BUILTIN = 9
    """an instance of the built-in type with name a; b is a tuple of the expressions of its elements"""
    SELF = 10
    """an instance of the class whose scope is a"""
    CLASS_OF_SCOPE = 11
    """the class whose scope is a"""
    SUPER = 12
    """the bases of the class whose scope is a"""
    INSTANCE = 13
    """an instance of the type that expression a names"""
    ENTER = 14
    """what entering the context manager a gives"""
    IMPORT = 15
    """entry a of the import table"""
    NEW = 16
    """an instance of the class a (``new a``)"""
    FUNCTION = 17
    """an anonymous function whose result is expression a"""
    DEREFERENCE = 18
    """what the pointer a points to"""
    TUPLE = 19
    """a tuple of the expressions in the tuple a"""
    OBJECT = 20
    """the object whose members are in scope a (an object literal, an inline type)"""
    TYPE_OF = 21
    """as a type: the type of the value a"""
    MEMO = 22
    """a value that was narrowed to the type a, else as b"""
    ARGUMENT = 23
    """what the callee a expects as its argument number b"""
    SIGNATURE = 24
    """a function type with the result a; b is a tuple of the types of its parameters"""
    GIVEN = 25
    """what a function gets as its parameter number b % 16, where it is argument number b // 16 of the callee a; with
    15, where a itself is what the function is expected to be"""
    EXPECTING = 26
    """the callee a, called where its result should be b"""

    APPLIED = 31
    """the callee a, called with b as its first argument: its type variables are what b says"""

    MATCHING = 32
    """of the types of a, those whose members may be as the pairs (name, literal) in the tuple b"""
    LITERAL = 29
    """the text a; as a type, that text and no other"""

    # Only in facts that are made for one question about calls (``flow``), never stored:
    RECORD = 27
    """a list or mapping with the keys in the tuple a; b is a tuple of the values, and of the whole as another type"""
    KEY = 28
    """what a has under the key b"""
    LAMBDA = 30
    """an anonymous function with the result a; b is a tuple of the symbols of its parameters"""


class Level(IntEnum):
    """How sure an answer is, the surest first."""

    LEXICAL = 0
    """Bound in the same file."""
    IMPORT = 1
    """Reached through imports and re-exports."""
    MEMBER = 2
    """A member of the class the code is in, by the method resolution order."""
    INFERRED = 3
    """The receiver's type was inferred from annotations, constructors or returns."""
    POSSIBLE = 4
    """The same name, and nothing says that it is another thing."""

    @property
    def label(self) -> str:
        """Lower case."""
        return self.name.lower()


class Location(NamedTuple):
    """A name's place. Lines and columns count from 0; columns in the unit the query asked for. ``path`` is relative,
    with ``/``."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int


class Reference(NamedTuple):
    """One occurrence of a symbol and how it was resolved."""

    location: Location
    level: Level
    role: int
    """Bits of ``Role`` over a ``Mode``."""

    @property
    def is_definition(self) -> bool:
        """Binds or declares the symbol itself; an import that binds its name is a use."""
        return bool(self.role & Role.DEFINITION) and self.level != Level.IMPORT

    @property
    def is_write(self) -> bool:
        """Gives the symbol a value."""
        return bool(self.role & (Role.WRITE | Role.DEFINITION))

    @property
    def is_mention(self) -> bool:
        """A string that names the symbol, outside any annotation."""
        return bool(self.role & Role.STRING) and not self.role & Role.TYPE

    @property
    def is_call(self) -> bool:
        """Is called here."""
        return bool(self.role & Role.CALL)


class SymbolInfo(NamedTuple):
    """A symbol as people see it."""

    name: str
    qualified_name: str
    """Path inside its file: ``Class.method``. Empty for the file itself."""
    kind: Kind
    location: Location
    """Of the name."""
    extent: Location
    """Of the whole definition."""
    container: str = ""
    signature: str = ""
    documentation: str = ""
    flags: int = 0


class References(NamedTuple):
    """The answer to "where is this used"."""

    symbols: tuple[SymbolInfo, ...]
    """What the position denotes; empty when nothing is known."""
    references: tuple[Reference, ...]
    """Resolved occurrences, definitions included, by path and position."""
    possible: tuple[Reference, ...] = ()
    """Occurrences of the same name that nothing rules out. Never among ``references``."""
    mentions: tuple[Reference, ...] = ()
    """Its name in a list of exported names (``__all__``): no use, but a rename has to change it."""
    pending: int = 0
    """Files not indexed yet when the answer was made."""


class Call(NamedTuple):
    """An edge of the call hierarchy: ``symbol`` calls or is called, at ``sites``."""

    symbol: SymbolInfo
    sites: tuple[Location, ...]
