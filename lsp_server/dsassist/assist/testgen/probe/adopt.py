"""Takes a call that somebody else wrote apart into one value a slot, so that the search can vary it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Sequence
from typing import Any

from _dsassist_probe.plain import Value

__all__ = ["picks_of"]


def picks_of(
    seed: dict[str, Any], slots: Sequence[Any], shape: dict[str, Any], known: Collection[str]
) -> tuple[Value | None, ...] | None:
    """The values of ``seed``'s call of the target, slot by slot; None where it is called another way.

    Args:
        known: names that an import gives.
    """
    try:
        setup = ast.parse("\n".join(seed["setup"])).body
        act = ast.parse(seed["act"])
    except SyntaxError:
        return None
    call = _call(act, str(shape["function"]).rpartition(".")[2])
    if call is None or any(isinstance(item, ast.Starred) for item in call.args):
        return None
    reader = _Reader(setup, known)
    given: dict[int, Value] = {}
    order = [number for number, slot in enumerate(slots) if slot.keyword not in ("self", "**")]
    if slots and slots[0].keyword == "self":
        receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
        value = reader.value(receiver) if receiver is not None else None
        if value is None:
            return None
        given[0] = value
    named = {slot.name: number for number, slot in enumerate(slots)}
    for position, argument in enumerate(call.args):
        value = reader.value(argument)
        if position >= len(order) or value is None or (value.setup and slots[order[position]].keyword == "*"):
            return None
        given[order[position]] = value
    for keyword in call.keywords:
        value = reader.value(keyword.value)
        if keyword.arg not in named or value is None:
            return None
        given[named[keyword.arg]] = value
    picks = tuple(given.get(number) for number in range(len(slots)))
    fits = all(slot.optional or pick is not None for slot, pick in zip(slots, picks))  # noqa: B905
    return picks if fits else None


def _call(tree: ast.AST, name: str) -> ast.Call | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if name == (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")):
                return node
    return None


class _Reader:
    """Expressions over the names that ``setup`` binds."""

    def __init__(self, setup: list[ast.stmt], known: Collection[str]) -> None:
        self.setup, self.known = setup, known

    def value(self, node: ast.expr) -> Value | None:
        """``node`` with the lines that it needs; a name that stands for a literal becomes the literal."""
        needed = _names(node)
        lines: list[ast.stmt] = []
        for statement in reversed(self.setup):
            names = _names(statement)
            if names & needed and (_stored(statement) & needed or isinstance(statement, ast.Expr)):
                lines.insert(0, statement)
                needed |= names
        bound = set().union(*map(_stored, lines), _stored(node))
        if any(name not in bound and name not in self.known and not hasattr(builtins, name) for name in needed):
            return None
        only = lines[0] if len(lines) == 1 and isinstance(node, ast.Name) else None
        if isinstance(only, ast.Assign) and isinstance(only.targets[0], ast.Name) and _is_literal(only.value):
            return Value(ast.unparse(only.value))
        return Value(ast.unparse(node), tuple(ast.unparse(line) for line in lines))


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _names(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def _stored(node: ast.AST) -> set[str]:
    stored = {item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}
    stored |= {item.arg for item in ast.walk(node) if isinstance(item, ast.arg)}
    return stored | {item.name for item in ast.walk(node) if isinstance(item, ast.FunctionDef | ast.ClassDef)}
