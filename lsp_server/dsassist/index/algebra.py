"""Expressions as trees: what each is made of, and how it is numbered anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsassist.index.model import Op

__all__ = ["children", "needed", "renumbered"]

# Looking a member of an enumeration up takes as long as the rest of a line here.
_BUILTIN, _SIGNATURE = int(Op.BUILTIN), int(Op.SIGNATURE)
_RECORD, _LAMBDA = int(Op.RECORD), int(Op.LAMBDA)
_OVER_A = frozenset(
    {
        Op.ATTR, Op.CALL, Op.SUBSCRIPT, Op.ITERATE, Op.ITEM, Op.AWAIT, Op.INSTANCE, Op.ENTER, Op.NEW, Op.FUNCTION,
        Op.DEREFERENCE, Op.TYPE_OF, Op.MEMO, Op.ARGUMENT, Op.GIVEN, Op.EXPECTING, Op.KEY,
        Op.APPLIED, Op.MATCHING,
    }
)  # fmt: skip
_OF_PARTS = frozenset({Op.UNION, Op.TUPLE})
_OVER_B = frozenset({Op.CALL, Op.SUBSCRIPT, Op.MEMO, Op.EXPECTING, Op.KEY, Op.APPLIED})


def children(item: tuple[Any, Any, Any]) -> list[int]:
    """The expressions that an expression is made of."""
    op, a, b = item
    if op in _OVER_A:
        return [a, b] if op in _OVER_B and b >= 0 else [a]
    if op in _OF_PARTS:
        return [part for part in a if part >= 0]
    if op == _BUILTIN:
        return [part for part in b if part >= 0]
    if op == _SIGNATURE:
        return [part for part in (a, *b) if part >= 0]
    if op == _RECORD:
        return [part for part in b if part >= 0]
    if op == _LAMBDA and a >= 0:
        return [a]
    return []


def needed(exprs: Sequence[tuple[Any, Any, Any]], roots: Iterable[int]) -> bytearray:
    """For each expression whether it is one of ``roots`` (-1 among them is none) or a part of one: 1 or 0."""
    found = bytearray(len(exprs))
    stack = [root for root in roots if root >= 0]
    while stack:
        at = stack.pop()
        if not found[at]:
            found[at] = 1
            stack.extend(children(exprs[at]))
    return found


def renumbered(item: tuple[Any, Any, Any], new: list[int]) -> tuple[Any, Any, Any]:
    """An expression with the numbers of its parts looked up in ``new``, which ends with -1."""
    op, a, b = item
    if op in _OVER_A:
        return (op, new[a], new[b] if op in _OVER_B else b)
    if op in _OF_PARTS:
        return (op, tuple(new[part] for part in a), b)
    if op == _BUILTIN:
        return (op, a, tuple(new[part] for part in b))
    if op == _SIGNATURE:
        return (op, new[a], tuple(new[part] for part in b))
    if op == _RECORD:
        return (op, a, tuple(new[part] for part in b))
    if op == _LAMBDA:
        return (op, new[a], b)
    return item
