"""Small wrong changes of one function: each as the source of a module that holds nothing else."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dsassist.assist.testgen.target import Target

__all__ = ["Mutant", "mutants"]

_COMPARES: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
_BINARIES: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod:
    ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift:
    ast.LShift,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mutant:
    """``line`` is that of the change in the original file."""

    line: int
    change: str
    source: str


def mutants(target: Target, *, seed: int = 0, limit: int = 40) -> list[Mutant]:
    """Mutants of the body, at most ``limit`` drawn by ``seed``, in the order of their lines."""
    made: list[Mutant] = []
    seen: set[str] = {_module(target, target.node)}
    for line, change, apply in _changes(target.node):
        function = copy.deepcopy(target.node)
        apply(function)
        ast.fix_missing_locations(function)
        try:
            source = _module(target, function)
        except (ValueError, AttributeError):  # an f-string part that cannot be written alone
            continue
        if source not in seen:
            seen.add(source)
            made.append(Mutant(line, change, source))
    if len(made) > limit:
        made = random.Random(seed).sample(made, limit)
    return sorted(made, key=lambda item: item.line)


def _module(target: Target, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    bare = copy.copy(function)
    bare.decorator_list = []
    body: ast.stmt = bare
    for name in reversed(target.qualname.split(".")[:-1]):
        body = ast.ClassDef(name=name, bases=[], keywords=[], body=[body], decorator_list=[])
    module = ast.Module(body=[body], type_ignores=[])
    ast.fix_missing_locations(module)
    return ast.unparse(module)


_Change = tuple[int, str, Callable[[ast.AST], None]]


def _changes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Change]:
    """(line, description, what to do to a copy). Nodes are found again in the copy by their position in a walk."""
    nodes = list(ast.walk(function))
    skip = _untouched(function)
    for position, node in enumerate(nodes):
        if id(node) in skip:
            continue
        for change, edit in _edits(node):
            yield getattr(node, "lineno", function.lineno), change, _at(position, edit)
        for field, body in ast.iter_fields(node):
            if (
                field in ("body", "orelse", "finalbody")
                and isinstance(body, list)
                and body
                and isinstance(body[0], ast.stmt)
            ):
                for index, statement in enumerate(body):
                    if _removable(statement):
                        yield (
                            statement.lineno,
                            f"remove `{ast.unparse(statement).splitlines()[0][:60]}`",
                            _at(position, _removal(field, index)),
                        )


def _untouched(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[int]:
    """Annotations, defaults, decorators and docstrings."""
    parts: list[ast.AST] = [*function.decorator_list, *([function.returns] if function.returns else [])]
    for node in ast.walk(function):
        if isinstance(node, ast.arguments):
            parts.append(node)
        elif isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts.append(node)
        elif isinstance(node, ast.JoinedStr):
            parts += [item for item in node.values if isinstance(item, ast.Constant)]
            parts += [
                item.format_spec for item in node.values if isinstance(item, ast.FormattedValue) and item.format_spec
            ]
        elif isinstance(node, ast.match_case):
            parts.append(node.pattern)
    return {id(inner) for part in parts for inner in ast.walk(part)}


def _at(position: int, edit: Callable[[ast.AST], None]) -> Callable[[ast.AST], None]:
    def apply(function: ast.AST) -> None:
        edit(list(ast.walk(function))[position])

    return apply


def _removable(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant | ast.Yield | ast.YieldFrom)
    return isinstance(statement, ast.AugAssign | ast.Delete | ast.Raise | ast.Break | ast.Continue) or (
        isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Name)
    )


def _removal(field: str, index: int) -> Callable[[ast.AST], None]:
    def edit(node: ast.AST) -> None:
        body = getattr(node, field)
        body[index] = ast.copy_location(ast.Pass(), body[index])

    return edit


def _set(name: str, value: object) -> Callable[[ast.AST], None]:
    def edit(node: ast.AST) -> None:
        setattr(node, name, copy.deepcopy(value))

    return edit


def _edits(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    if isinstance(node, ast.Compare):
        for position, operator in enumerate(node.ops):
            for other in _COMPARES.get(type(operator), ()):
                ops = [*node.ops[:position], other(), *node.ops[position + 1 :]]
                yield f"compare with {other.__name__}", _set("ops", ops)
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARIES:
        other_operator = _BINARIES[type(node.op)]
        yield f"{type(node.op).__name__} → {other_operator.__name__}", _set("op", other_operator())
    elif isinstance(node, ast.AugAssign) and type(node.op) in _BINARIES:
        yield f"{type(node.op).__name__}= changed", _set("op", _BINARIES[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield "and ↔ or", _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "drop the minus", _set("op", ast.UAdd())
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "negate the condition", _set("test", _negated(node.test))
    elif isinstance(node, ast.comprehension):
        for position, test in enumerate(node.ifs):
            yield "negate the filter", _set("ifs", [*node.ifs[:position], _negated(test), *node.ifs[position + 1 :]])
    elif isinstance(node, ast.Return) and node.value is not None:
        nothing = isinstance(node.value, ast.Constant) and node.value.value is None
        yield (
            ("return 1", _set("value", ast.Constant(1)))
            if nothing
            else ("return None", _set("value", ast.Constant(None)))
        )
    elif isinstance(node, ast.Yield) and node.value is not None:
        yield "yield None", _set("value", ast.Constant(None))
    elif (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and not isinstance(node.value, ast.Constant)
    ):
        yield "assign None", _set("value", ast.Constant(None))
    elif isinstance(node, ast.Break):
        yield "break → continue", _become(ast.Continue)
    elif isinstance(node, ast.Constant):
        yield from _constants(node)


def _negated(test: ast.expr) -> ast.expr:
    return (
        test.operand if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) else ast.UnaryOp(ast.Not(), test)
    )


def _become(kind: type[ast.stmt]) -> Callable[[ast.AST], None]:
    def edit(node: ast.AST) -> None:
        node.__class__ = kind

    return edit


def _constants(node: ast.Constant) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    value = node.value
    if isinstance(value, bool):
        yield f"{value} → {not value}", _set("value", not value)
    elif isinstance(value, int | float):
        yield f"{value} → {value + 1}", _set("value", value + 1)
    elif isinstance(value, str):
        yield "change the text", _set("value", f"{value}XX" if value else "XX")
    elif isinstance(value, bytes):
        yield "change the bytes", _set("value", value + b"XX")
