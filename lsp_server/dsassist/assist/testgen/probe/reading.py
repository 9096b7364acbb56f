"""What the target's code says about objects: attributes that it reads, containers that it looks things up in."""

from __future__ import annotations

import ast
import inspect
import itertools
import types
from collections.abc import Iterator

__all__ = ["fields", "members", "own_fields"]


def own_fields(node: ast.AST, tree: ast.Module, owner: type) -> list[str]:
    """Attributes that objects of ``owner`` are given in its class and that ``node`` reads of whatever variable: code
    that walks along such objects calls the next one by another name."""
    given: set[str] = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.ClassDef) and item.name in {kind.__name__ for kind in owner.__mro__}:
            given |= {
                inner.attr
                for inner in ast.walk(item)
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store)
            }
    return [name for name in dict.fromkeys(name for names in fields(node).values() for name in names) if name in given]


def fields(node: ast.AST) -> dict[str, list[str]]:
    """Name → its attributes that are read and not called: ``state.level``."""
    called = {id(item.func) for item in ast.walk(node) if isinstance(item, ast.Call)}
    found: dict[str, list[str]] = {}
    for item in ast.walk(node):
        if isinstance(item, ast.Attribute) and isinstance(item.value, ast.Name) and isinstance(item.ctx, ast.Load):
            known = found.setdefault(item.value.id, [])
            if id(item) not in called and item.attr not in known:
                known.append(item.attr)
    return found


def members(node: ast.AST, module: types.ModuleType, owner: type | None) -> Iterator[str | int]:
    """Some members of the containers that the code looks things up in: ``value in KEYWORDS``, ``self.table[name]``."""
    boxes: list[ast.expr] = []
    for item in ast.walk(node):
        if isinstance(item, ast.Compare) and any(isinstance(kind, ast.In | ast.NotIn) for kind in item.ops):
            boxes += item.comparators
        elif isinstance(item, ast.Subscript):
            boxes.append(item.value)
        elif isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr in ("get", "index"):
            boxes.append(item.func.value)
        elif isinstance(item, ast.For | ast.comprehension):
            boxes.append(item.iter)
    for box in boxes:
        held: object = None
        if isinstance(box, ast.Name):
            held = vars(module).get(box.id)
        elif isinstance(box, ast.Attribute) and isinstance(box.value, ast.Name):
            place = vars(module).get(box.value.id)
            if box.value.id in ("self", "cls"):
                held = inspect.getattr_static(owner, box.attr, None) if owner is not None else None
            elif isinstance(place, type | types.ModuleType):
                held = inspect.getattr_static(place, box.attr, None)
        if isinstance(held, dict | list | tuple | set | frozenset):
            yield from (member for member in itertools.islice(held, 6) if isinstance(member, str | int))
