"""Who calls what when functions travel as values: as arguments, in containers, through decorators and closures.

References say what a name is. A call through a parameter (``def run(step): step()``) is no reference of the function
that is passed, and yet a call of it. Such calls are worked out when somebody asks for callers or callees, over the few
files that the question touches: every call hands its arguments to the parameters of what it calls, until nothing new
arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dsassist.index.languages.base import FileSet
from dsassist.index.model import Kind, Op, SymbolFlag
from dsassist.index.module import Module
from dsassist.index.resolve import Resolver
from dsassist.index.types import Type, Types, join

__all__ = ["Edge", "Flow"]

_ROUNDS = 5
_MOST_FILES = 40
"""Files beyond this are not taken into a question."""
_MOST_VALUES = 12
"""A parameter that gets more than this from one file is not followed."""

_Value = tuple[str, int]
"""A file and an expression there."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A call at a byte of a file, and a symbol that it may call."""

    path: str
    at: int
    callee: tuple[str, str]
    """Its file and qualified name."""


class Flow(Resolver):
    """Resolution with what parameters are given. ``load_calls`` gives modules that were made for questions about calls;
    they are used for the files of the region, and ``load``'s for all others."""

    def __init__(
        self,
        files: FileSet,
        load: Callable[[str], Module | None],
        load_calls: Callable[[str], Module | None],
        subtypes: Callable[[tuple[str, int]], Iterable[tuple[str, int]]],
    ) -> None:
        super().__init__(files, lambda path: load_calls(path) if path in self.region else load(path))
        self._subtypes = subtypes
        self.region: dict[str, None] = {}
        """The files whose calls are followed."""
        self.passed: dict[tuple[str, str], dict[_Value, None]] = {}
        """Parameter, by its file and qualified name → expressions that calls give it."""

    # Evaluation

    def _symbol_types(self, path: str, symbol: int) -> Types:
        module = self.module(path)
        if module is None:
            return ()
        kind = module.symbols[symbol].kind
        if kind in (Kind.FUNCTION, Kind.METHOD):
            return self.decorated(module, symbol) or super()._symbol_types(path, symbol)
        if kind != Kind.PARAMETER:
            return super()._symbol_types(path, symbol)
        given = join(
            self.evaluate(other, expr)
            for file, expr in self.passed.get((path, module.qualified(symbol)), ())
            if (other := self.module(file)) is not None
        )
        flags = module.symbols[symbol].flags
        if flags & SymbolFlag.VARIADIC:
            given = (("b", "list", (given,)),)
        elif flags & SymbolFlag.KEYWORDS:
            given = (("b", "dict", ((), given)),)
        return join((super()._symbol_types(path, symbol), given))

    def decorated(self, module: Module, symbol: int) -> Types:
        """What a function's decorators leave in its place; empty where that is the function or not known."""
        expr = module.facts.extra.get("decorated", {}).get(symbol, -1)
        if expr < 0:
            return ()
        return tuple(item for item in self.evaluate(module, expr) if item[0] in ("f", "l", "c", "i"))

    def _evaluate(self, module: Module, op: int, a: object, b: object) -> Types:
        if op == Op.RECORD:
            assert isinstance(a, tuple) and isinstance(b, tuple)
            items = tuple((key, self.evaluate(module, value)) for key, value in zip(a, b, strict=False))
            return (*self.evaluate(module, b[-1]), ("d", items))
        if op == Op.LITERAL:
            return (("b", "str", ()), ("s", b))
        if op == Op.KEY:
            assert isinstance(a, int) and isinstance(b, int)
            return self.under_key(self.evaluate(module, a), self.evaluate(module, b), module, b)
        if op == Op.LAMBDA:
            assert isinstance(b, tuple)
            if b and b[0] == "symbol":
                return (("f", module.path, b[1], None),)
            return (("l", module.path, a, (), b),)
        if op == Op.ITEM:
            assert isinstance(a, int)
            held = self.evaluate(module, a)
            exact = self._at_key(held, {str(b)})
            if exact:
                return exact
        return super()._evaluate(module, op, a, b)

    def under_key(self, owners: Types, keys: Types, module: Module, index: int) -> Types:
        """``owner[key]``: what was put there, else anything that the container holds."""
        wanted = {item[1] for item in keys if item[0] == "s"}
        exact = self._at_key(owners, wanted) if wanted else ()
        return exact or self.subscript(tuple(item for item in owners if item[0] != "d"), module, index)

    @staticmethod
    def _at_key(owners: Types, keys: set[str]) -> Types:
        records = [item for item in owners if item[0] == "d"]
        return join(types for record in records for key, types in record[1] if key in keys)

    # Calls

    def callees(self, types: Types) -> list[tuple[str, int]]:
        """The symbols that calling a value runs: functions, classes and their constructors."""
        found: dict[tuple[str, int], None] = {}
        for item in types:
            tag = item[0]
            if tag == "f":
                found[(item[1], item[2])] = None
            elif tag in ("c", "Z"):
                found[(item[1], item[2])] = None
                found.update(dict.fromkeys(self.constructors(item)))
            elif tag in ("i", "S"):
                found.update(dict.fromkeys(self.class_member(item[1], item[2], "__call__")))
        return list(found)

    def constructors(self, item: Type) -> tuple[tuple[str, int], ...]:
        """``__init__`` and ``__new__`` of a class."""
        return (*self.class_member(item[1], item[2], "__init__"), *self.class_member(item[1], item[2], "__new__"))

    def called_at(self, module: Module, callee: int) -> Types:
        """What a call's callee is. A method that the receiver's own class lacks may be a subclass's."""
        types = self.evaluate(module, callee)
        op, a, b = module.facts.expressions[callee]
        if op != Op.ATTR or types:
            return types
        found: list[Types] = []
        for owner in self.evaluate(module, a):
            if owner[0] in ("S", "Z", "i"):
                for path, symbol in self._subtypes((owner[1], owner[2])):
                    own = self.own_member(path, symbol, module.names[b])
                    if own is not None:
                        found.append(self.bound(*own, ("S", path, symbol)))
        return join(found)

    def run(self, paths: Iterable[str]) -> list[Edge]:
        """Every call in some files, and in those that functions are handed to, with what it may call."""
        region = self.region = dict.fromkeys(paths)
        edges: dict[Edge, None] = {}
        for _ in range(_ROUNDS):
            self.memo.clear()
            edges = {}
            before = (len(region), sum(len(values) for values in self.passed.values()))
            for path in list(region):
                module = self.module(path)
                for at, callee, arguments, named in module.facts.extra.get("calls", ()) if module is not None else ():
                    assert module is not None
                    if callee < 0:
                        continue
                    for item in self.called_at(module, callee):
                        for held in self.callees((item,)):
                            edges[Edge(path, at, self.target(("s", *held)))] = None
                        self._hand_over(module, item, arguments, named)
            if before == (len(region), sum(len(values) for values in self.passed.values())):
                break
        return list(edges)

    def _hand_over(
        self,
        module: Module,
        item: Type,
        arguments: tuple[int, ...],
        named: tuple[tuple[str, int], ...],
    ) -> None:
        """The arguments of a call, to the parameters of what it calls."""
        if not arguments and not named:
            return
        if item[0] == "l":
            for symbol, value in zip(item[4] if len(item) > 4 else (), arguments, strict=False):
                lambdas = self.module(item[1])
                if lambdas is not None:
                    self._give(lambdas, symbol, module.path, value)
            return
        members: tuple[tuple[str, int], ...] = ()
        if item[0] == "f":
            members = ((item[1], item[2]),)
        elif item[0] in ("c", "Z"):
            members = self.class_member(item[1], item[2], "__init__")
        elif item[0] in ("i", "S"):
            members = self.class_member(item[1], item[2], "__call__")
        for path, function in members:
            other = self.module(path)
            if other is None:
                continue
            parameters = list(other.symbols[function].parameters)
            if parameters and other.symbols[parameters[0]].flags & SymbolFlag.FIRST_ARGUMENT:
                bound = item[0] != "f" or item[3] is not None
                class_itself = item[0] == "f" and item[3] is not None and item[3][0] == "c"
                is_class_method = other.symbols[function].flags & SymbolFlag.CLASSMETHOD
                if bound and (not class_itself or is_class_method):
                    parameters = parameters[1:]
            self._bind(other, parameters, arguments, named, module.path)
            if path not in self.region and len(self.region) < _MOST_FILES:
                self.region[path] = None
                self.memo.clear()

    def _bind(
        self,
        other: Module,
        parameters: list[int],
        arguments: tuple[int, ...],
        named: tuple[tuple[str, int], ...],
        source: str,
    ) -> None:
        plain = [p for p in parameters if not other.symbols[p].flags & (SymbolFlag.VARIADIC | SymbolFlag.KEYWORDS)]
        rest = [p for p in parameters if other.symbols[p].flags & SymbolFlag.VARIADIC]
        more = [p for p in parameters if other.symbols[p].flags & SymbolFlag.KEYWORDS]
        before_rest = parameters.index(rest[0]) if rest else len(plain)
        for number, value in enumerate(arguments):
            if number < before_rest:
                self._give(other, plain[number], source, value) if number < len(plain) else None
            elif rest:
                self._give(other, rest[0], source, value)
        names = {other.name(parameter): parameter for parameter in plain}
        for name, value in named:
            if name in names:
                self._give(other, names[name], source, value)
            elif more and name != "**":
                self._give(other, more[0], source, value)

    def _give(self, module: Module, symbol: int, source: str, value: int) -> None:
        if value < 0:
            return
        held = self.passed.setdefault((module.path, module.qualified(symbol)), {})
        if len(held) < _MOST_VALUES:
            held[(source, value)] = None
