"""Values as source code that evaluates to an equal value."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import re
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from _dsassist_probe.names import Names, Unnameable

__all__ = ["Literals", "Unwritable", "quote"]

MAX_CHARACTERS = 400
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}|at 0x|\bid=\d{9,}")


class Unwritable(Exception):
    """No code is known that evaluates to an equal value."""


def quote(text: str) -> str:
    """A string literal with double quotes where that needs no more escapes."""
    plain = repr(text)
    if plain.startswith("'") and '"' not in text:
        return '"' + plain[1:-1].replace("\\'", "'") + '"'
    return plain


class Literals:
    """Writes values; ``private`` are texts (paths of the sandbox) that no literal may contain."""

    def __init__(self, names: Names, private: list[str]) -> None:
        self.names, self.private = names, private
        self.calm = False
        """Whether to leave alone what code of the user's would have to tell: it may change what it looks at."""

    def write(self, value: object) -> str:
        """Code for ``value``, at most ``MAX_CHARACTERS`` long.

        Raises:
            Unwritable: of another kind, too long, or bound to this run (an address, a path of the sandbox, the time).
        """
        try:
            code = self._write(value, 0)
        except RecursionError:
            raise Unwritable("recursive") from None
        if len(code) > MAX_CHARACTERS:
            raise Unwritable("long")
        return code

    def text_is_stable(self, text: str) -> bool:
        """Whether ``text`` names neither an address nor a path of the sandbox."""
        return not _ADDRESS.search(text) and not any(place in text for place in self.private)

    def _write(self, value: Any, depth: int) -> str:
        if depth > 6:
            raise Unwritable("deep")
        kind = type(value)
        if value is None or kind in (bool, int) or value is Ellipsis or value is NotImplemented:
            return repr(value)
        if kind is str:
            if len(value) > MAX_CHARACTERS or not self.text_is_stable(value):
                raise Unwritable("text")
            return quote(value)
        if kind is float:
            if math.isnan(value):
                raise Unwritable("nan")
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if kind in (bytes, complex, range):
            if kind is bytes and len(value) > MAX_CHARACTERS:
                raise Unwritable("bytes")
            return quote_bytes(value) if kind is bytes else repr(value)
        if kind is bytearray:
            return f"bytearray({quote_bytes(bytes(value))})"
        if kind in _CONTAINERS:
            if len(value) > 60:
                raise Unwritable("long")
            return self._container(kind, value, depth + 1)
        if isinstance(value, enum.Enum):
            if value.name is None:
                raise Unwritable("flags")
            return f"{self._name(kind)}.{value.name}"
        return self._object(kind, value, depth + 1)

    def _container(self, kind: type, value: Any, depth: int) -> str:
        if kind is dict:
            pairs = [f"{self._write(key, depth)}: {self._write(item, depth)}" for key, item in value.items()]
            return "{" + ", ".join(pairs) + "}"
        items = [self._write(item, depth) for item in value]
        if kind in (set, frozenset):
            items.sort()
            if not items:
                return f"{kind.__name__}()"
            return "{" + ", ".join(items) + "}" if kind is set else "frozenset({" + ", ".join(items) + "})"
        inner = ", ".join(items)
        if kind is list:
            return f"[{inner}]"
        return f"({inner},)" if len(items) == 1 else f"({inner})"

    def _object(self, kind: type, value: Any, depth: int) -> str:
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType | types.ModuleType):
            return self._name(value)
        if isinstance(value, BaseException):
            raise Unwritable("exceptions compare by identity")
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            arguments = ", ".join(f"{name}={self._write(getattr(value, name), depth)}" for name in kind._fields)
            return f"{self._name(kind)}({arguments})"
        if dataclasses.is_dataclass(value) and "__eq__" in vars(kind):
            arguments = ", ".join(
                f"{field.name}={self._write(getattr(value, field.name), depth)}"
                for field in dataclasses.fields(value)
                if field.init
            )
            return self._checked(f"{self._name(kind)}({arguments})", value)
        if isinstance(value, datetime.datetime | datetime.date) and kind.__module__ == "datetime":
            moment = value.date() if isinstance(value, datetime.datetime) else value
            if abs((moment - datetime.datetime.now(datetime.UTC).date()).days) <= 2:
                raise Unwritable("now")
        module = kind.__module__
        if module in (
            "datetime",
            "decimal",
            "fractions",
            "uuid",
            "collections",
            "pathlib",
            "re",
            "ipaddress",
            "zoneinfo",
            "types",
        ):
            return self._checked(self._standard(value, depth), value)
        if getattr(kind, "__eq__", None) is object.__eq__:
            raise Unwritable("compares by identity")
        return self._checked(self._own_repr(kind, value), value)

    def _standard(self, value: Any, depth: int) -> str:
        kind = type(value)
        if isinstance(
            value, datetime.datetime | datetime.date | datetime.time | datetime.timedelta | datetime.timezone
        ):
            self.names.ref("datetime")
            return repr(value)
        if isinstance(value, decimal.Decimal | fractions.Fraction):
            return f'{self._name(kind)}("{value}")'
        if isinstance(value, uuid.UUID):
            return f'{self.names.ref("uuid", "UUID")}("{value}")'
        if isinstance(value, pathlib.PurePath):
            if not self.text_is_stable(str(value)):
                raise Unwritable("path")
            known = pathlib.Path if isinstance(value, pathlib.Path) else kind
            return f"{self.names.ref('pathlib', known.__name__)}({quote(str(value))})"
        if isinstance(value, re.Pattern):
            flags = value.flags & ~re.UNICODE if isinstance(value.pattern, str) else value.flags
            shown = f", {int(flags)}" if flags else ""
            return f"{self.names.ref('re')}.compile({self._write(value.pattern, depth)}{shown})"
        if isinstance(value, defaultdict):
            return self._write(dict(value), depth)
        if isinstance(value, Counter | OrderedDict | deque):
            inner = (
                dict(value)
                if isinstance(value, Counter)
                else list(value.items())
                if isinstance(value, OrderedDict)
                else list(value)
            )
            return f"{self._name(kind)}({self._write(inner, depth)})"
        if isinstance(value, types.SimpleNamespace):
            arguments = ", ".join(f"{name}={self._write(item, depth)}" for name, item in vars(value).items())
            return f"{self.names.ref('types', 'SimpleNamespace')}({arguments})"
        if isinstance(value, types.MappingProxyType):
            return self._write(dict(value), depth)
        return self._own_repr(kind, value)

    def _own_repr(self, kind: type, value: Any) -> str:
        if self.calm and isinstance(kind.__repr__, types.FunctionType) and kind.__module__ != "collections":
            raise Unwritable("its repr is the user's")
        try:
            text = repr(value)
        except Exception as error:  # noqa: BLE001 - it is the user's code
            raise Unwritable(f"its repr raises {type(error).__name__}") from None
        name = kind.__qualname__
        if not text.startswith(f"{name}(") or len(text) > MAX_CHARACTERS or not self.text_is_stable(text):
            raise Unwritable(name)
        return self._name(kind) + text[len(name) :]

    def _checked(self, code: str, value: Any) -> str:
        """``code``, once it is known to evaluate to an equal value."""
        try:
            again = eval(code, self.names.namespace([code]))
            if again == value:
                return code
        except Exception as error:  # noqa: BLE001 - a repr that is no code fails in any way
            raise Unwritable(str(error)) from None
        raise Unwritable("its code gives another value")

    def _name(self, thing: object) -> str:
        try:
            return str(self.names.of(thing))
        except Unnameable as error:
            raise Unwritable(str(error)) from None


def quote_bytes(value: bytes) -> str:
    """A bytes literal with double quotes where possible."""
    plain = repr(value)
    return 'b"' + plain[2:-1] + '"' if plain.startswith("b'") and b'"' not in value else plain


_CONTAINERS = {list, tuple, dict, set, frozenset}
