"""The names that an argument can be given by, at a cursor in a Python call."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsassist.index.chain import OpenCall
from dsassist.index.model import SymbolFlag
from dsassist.index.module import Module
from dsassist.index.outline import Outlines
from dsassist.index.types import Type, Types

__all__ = ["NO_KEYWORDS", "Keywords", "KeywordsAt", "passed_parameters"]

_BEGINS = re.compile(r"\s*\w*\Z")
_BARE_STAR = re.compile(rb"[(,]\s*\*\s*,")
_BY_NAME = re.compile(r"\b(?:BaseModel|TypedDict)\b|\bkw_only\s*=\s*True\b")
"""Heads of classes whose fields are given by name only: typing's dictionaries, pydantic's models, such dataclasses."""
_NO_FIELD = re.compile(r"\w+\s*:\s*(?:\w+\.)?ClassVar\b")


@dataclass(frozen=True, slots=True)
class KeywordsAt:
    """What an argument has to be given by, where it cannot be given by its place."""

    names: tuple[str, ...] = ()
    """Empty where it can, or nothing is known."""
    sure: bool = False
    """No other name is accepted, and no bracket can close the call instead."""


NO_KEYWORDS = KeywordsAt()


@dataclass(frozen=True, slots=True)
class _Parameters:
    by_place: tuple[str, ...]
    """Those that can be given so, in order."""
    by_name: tuple[str, ...]
    """Those that can only be given so."""
    variadic: bool = False
    others: bool = False
    """Whether names that are not among these are accepted."""


def passed_parameters(module: Module, function: int, *, bound: bool) -> tuple[int, ...]:
    """A function's parameters as a call passes them: without the receiver's where it is ``bound`` to one."""
    parameters = module.symbols[function].parameters
    if bound and parameters and module.symbols[parameters[0]].flags & SymbolFlag.FIRST_ARGUMENT:
        return parameters[1:]
    return parameters


class Keywords(Outlines):
    """See the module's docstring."""

    def _keywords_at(self, callees: Types, call: OpenCall) -> KeywordsAt:
        """For the argument that is begun in ``call``. Behind one that was given by name, and where the places are all
        taken, nothing but a name can follow."""
        if call.spread or not _BEGINS.match(call.begun):
            return NO_KEYWORDS
        found: dict[str, None] = {}
        sure = "\n" not in call.begun
        places = call.position - len(call.given)
        for item in self._resolver.functions(callees):
            known = self._parameters_of(item)
            if known is None or not (known.others or set(call.given) <= {*known.by_place, *known.by_name}):
                return NO_KEYWORDS  # it is called in a way that is not understood
            left = known.by_place[places:]
            if not call.given and (left or known.variadic):
                return NO_KEYWORDS
            found |= dict.fromkeys(name for name in (*left, *known.by_name) if name not in call.given)
            sure = sure and not known.others
        return KeywordsAt(tuple(found), sure)

    def _parameters_of(self, item: Type) -> _Parameters | None:
        module = self._module(item[1]) if item[0] in ("f", "c", "Z") else None
        if module is None or module.language.name != "python":
            return None
        if item[0] == "f":
            return self._of_function(item[1], item[2], bound=item[3] is not None)
        for method in ("__init__", "__new__"):
            for path, symbol in self._resolver.class_member(item[1], item[2], method):
                return self._of_function(path, symbol, bound=True)
        return self._of_fields(item)

    def _of_function(self, path: str, symbol: int, *, bound: bool) -> _Parameters | None:
        module = self._module(path)
        if module is None:
            return None
        sym = module.symbols[symbol]
        symbols = module.symbols
        star = _BARE_STAR.search(self._text(path), sym.start, sym.head_end)
        after = star.end() if star is not None else sym.head_end
        places: list[str] = []
        names: list[str] = []
        variadic = others = False
        for parameter in passed_parameters(module, symbol, bound=bound):
            flags = symbols[parameter].flags
            if flags & SymbolFlag.KEYWORDS:
                others = True
            elif flags & SymbolFlag.VARIADIC:
                variadic = True
            else:
                only = variadic or symbols[parameter].start >= after
                (names if only else places).append(module.name(parameter))
        return _Parameters(tuple(places), tuple(names), variadic, others)

    def _of_fields(self, item: Type) -> _Parameters | None:
        order, complete = self._resolver.ancestors(item[1], item[2])
        heads = [self._head_text(path, owner) for path, owner in order]
        by_name = any(map(_BY_NAME.search, heads))
        if not by_name and not complete:
            return None  # a base outside of the workspace may have a constructor
        fields = self._declared_fields(item)
        names = tuple(name for name, declared in fields.items() if not _NO_FIELD.match(declared))
        return _Parameters((), names) if by_name else _Parameters(names, ())

    def _head_text(self, path: str, symbol: int) -> str:
        module = self._module(path)
        if module is None:
            return ""
        sym = module.symbols[symbol]
        return self._text(path)[sym.start : sym.head_end].decode("utf-8", "replace")
