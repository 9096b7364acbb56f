"""What can be asserted about a value: facts, each ``[left, relation, right]`` in code over the name of the value.

Relations: ``==``, ``is``, ``isinstance``, ``approx`` (right is a literal with floats), ``startswith``.
"""

from __future__ import annotations

import itertools
import re
import types
from collections.abc import Generator, Iterator, Mapping, Set
from typing import Any
from unittest.mock import NonCallableMock

from _dsassist_probe.literal import Literals, Unwritable, quote

__all__ = ["Fact", "Observer"]

Fact = list[str]


def _has_float(value: Any) -> bool:
    if isinstance(value, float):
        return value != int(value) if value == value and abs(value) < 1e15 else False
    if isinstance(value, list | tuple):
        return any(map(_has_float, value))
    return isinstance(value, dict) and any(map(_has_float, value.values()))


def _flat(value: Any) -> bool:
    """Whether ``pytest.approx`` takes it: a number, or a flat list, tuple or dict with numbers only."""
    if isinstance(value, float):
        return True
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, list | tuple | dict) and all(isinstance(item, int | float) for item in items)


class Observer:
    """Turns values into facts."""

    def __init__(self, literals: Literals) -> None:
        self.literals = literals
        self.most = 6
        """Attributes of an object that are asserted."""
        self.properties = True
        """Whether properties are read, too: one may compute, and keep, what a test would not."""

    def facts(self, value: Any, name: str = "result", depth: int = 0) -> list[Fact]:
        """Facts about ``value``, the strongest first; empty where nothing lasting can be said."""
        if isinstance(value, NonCallableMock):
            return []
        if value is None or value is True or value is False:
            return [[name, "is", repr(value)]]
        try:
            code = self.literals.write(value)
        except Exception:  # noqa: BLE001 - no literal; or what the user's own methods raise
            try:
                return self._partial(value, name, depth)
            except Exception:  # noqa: BLE001 - the same
                return self._kind(value, name)
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            return [[name, "is", code]]
        return [[name, "approx" if _has_float(value) and _flat(value) else "==", code]]

    def _partial(self, value: Any, name: str, depth: int) -> list[Fact]:
        kind = type(value)
        if isinstance(value, str | bytes):
            return self._text(value, name)
        if kind in (list, tuple) or isinstance(value, list | tuple):
            return self._sequence(value, name, depth)
        if kind in (dict,) or (isinstance(value, Mapping) and depth == 0):
            return self._mapping(value, name, depth)
        if isinstance(value, Set):
            return [[f"len({name})", "==", str(len(value))]]
        if isinstance(value, Generator | Iterator):
            return self._iterator(value, name, depth)
        facts: list[Fact] = self._kind(value, name)
        if depth < 2:
            facts += self._attributes(value, name, depth)
        if depth == 0 and self.properties:
            facts += self._described(value, name)
        return facts

    def _text(self, value: str | bytes, name: str) -> list[Fact]:
        if isinstance(value, str) and not self.literals.text_is_stable(value):
            return [[name, "isinstance", "str"]]
        start = quote(value[:60]) if isinstance(value, str) else repr(value[:60])
        return [[f"len({name})", "==", str(len(value))], [name, "startswith", start]]

    def _sequence(self, value: Any, name: str, depth: int) -> list[Fact]:
        facts: list[Fact] = [[f"len({name})", "==", str(len(value))]]
        if depth < 2:
            for position in range(min(3, len(value))):
                facts += self.facts(value[position], f"{name}[{position}]", depth + 1)[:3]
        return facts

    def _mapping(self, value: Any, name: str, depth: int) -> list[Fact]:
        facts: list[Fact] = []
        try:
            facts.append([f"sorted({name})", "==", self.literals.write(sorted(value))])
        except (Unwritable, TypeError):
            facts.append([f"len({name})", "==", str(len(value))])
        if depth < 2:
            for key in itertools.islice(value, 4):
                try:
                    facts += self.facts(value[key], f"{name}[{self.literals.write(key)}]", depth + 1)[:2]
                except Unwritable:
                    continue
        return facts

    def _iterator(self, value: Any, name: str, depth: int) -> list[Fact]:
        if depth:
            return []
        items = list(itertools.islice(value, 50))
        left = f"list({name})"
        if len(items) == 50:
            items = items[:10]
            left = f"list({self.literals.names.ref('itertools', 'islice')}({name}, 10))"
        try:
            return [[left, "==", self.literals.write(items)]]
        except Unwritable:
            return [[f"len({left})", "==", str(len(items))]]

    def _kind(self, value: Any, name: str) -> list[Fact]:
        try:
            return [[name, "isinstance", self.literals._name(type(value))]]
        except Unwritable:
            shown = type(value).__name__
            return [[f"type({name}).__name__", "==", quote(shown)]] if shown.isidentifier() else []

    def _attributes(self, value: Any, name: str, depth: int) -> list[Fact]:
        facts: list[Fact] = []
        public: list[str] = []
        private: list[str] = []
        for attribute in self._attribute_names(value):
            (private if attribute.startswith("_") else public).append(attribute)
        for attribute in [*public, *private]:
            if len(facts) >= (self.most if depth == 0 else 4):
                break
            if self.properties and facts and attribute in private:
                break  # what is private says something only where nothing else does
            try:
                item = getattr(value, attribute)
            except Exception:  # noqa: BLE001 - a property may raise anything
                continue
            if callable(item) or isinstance(item, types.ModuleType):
                continue
            found = self.facts(item, f"{name}.{attribute}", depth + 1)
            facts += [fact for fact in found if fact[1] != "isinstance"][:2]
        return facts

    def _attribute_names(self, value: Any) -> list[str]:
        names = list(getattr(value, "__dict__", {}))
        for kind in type(value).__mro__:
            slots = vars(kind).get("__slots__", ())
            names += [slots] if isinstance(slots, str) else list(slots)
            if self.properties and kind.__module__ != "builtins":
                names += [
                    name for name, item in vars(kind).items() if isinstance(item, property) and not name.startswith("_")
                ]
        # not those that only their own class can name
        return [name for name in dict.fromkeys(names) if name.isidentifier() and not re.match(r"__|_\w+?__\w", name)]

    def _described(self, value: Any, name: str) -> list[Fact]:
        kind = type(value)
        for method, call in (("__str__", "str"), ("__repr__", "repr")):
            own = getattr(kind, method, None)
            if own in (object.__str__, object.__repr__):
                continue
            try:
                text = getattr(value, method)()
                if isinstance(text, str) and len(text) <= 120:
                    return [[f"{call}({name})", "==", self.literals.write(text)]]
            except (Unwritable, Exception):  # noqa: BLE001 - foreign __str__ may raise anything
                continue
        return []
