"""Annotations as objects, the classes below a class and its methods."""

from __future__ import annotations

import abc
import ast
import functools
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["hints_of", "methods", "subclasses"]

_PLACES = ("typing", "collections", "types", "datetime", "pathlib", "io", "typing_extensions")


def hints_of(target: Any, module: types.ModuleType) -> dict[str, Any]:
    """Evaluated annotations, one by one, so that a single unresolvable name costs only its own parameter."""
    function: Any = getattr(target, "__init__", None) if isinstance(target, type) else target
    function = inspect.unwrap(getattr(function, "__func__", function))
    raw = dict(getattr(function, "__annotations__", None) or {})
    if isinstance(target, type) and not raw:
        for base in reversed(target.__mro__):
            raw.update(inspect.get_annotations(base))
    scope = dict(vars(sys.modules.get(getattr(function, "__module__", "") or "", module)))
    for name in ("Optional", "Union", "List", "Dict", "Tuple", "Set", "Iterable", "Sequence", "Callable", "Any"):
        scope.setdefault(name, getattr(typing, name))
    return {name: evaluated(item, scope) for name, item in raw.items()}


def evaluated(annotation: Any, scope: dict[str, Any]) -> Any:
    """``annotation`` with its text evaluated; names behind ``TYPE_CHECKING`` are looked up in loaded modules."""
    if not isinstance(annotation, str):
        return annotation
    for _ in range(4):
        try:
            return eval(annotation, scope)
        except NameError as error:
            missing = getattr(error, "name", None)
            found = _imported(missing, str(scope.get("__file__") or "")) if missing else None
            if found is None and missing:
                found = _anywhere(missing, scope.get("__package__") or "")
            if found is None or missing is None:
                break
            scope[missing] = found
        except Exception:  # noqa: BLE001 - an annotation is any expression
            break
    return inspect.Parameter.empty


def _imported(name: str, file: str) -> Any:
    """What ``name`` is by an import anywhere in ``file``, as behind ``TYPE_CHECKING``; None unless that is loaded
    already or of the standard library."""
    module, attribute = _imports(file).get(name, ("", ""))
    if module not in sys.modules and module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return getattr(found, attribute, None) if attribute else found


@functools.cache
def _imports(file: str) -> dict[str, tuple[str, str]]:
    """Name → (module, attribute) of the absolute imports in ``file``."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


def _anywhere(name: str, package: str) -> Any:
    top = package.partition(".")[0]
    for module_name, module in sorted(sys.modules.items(), key=lambda item: item[0].partition(".")[0] != top):
        if module_name.partition(".")[0] in (top, *_PLACES):
            found = getattr(module, name, None)
            if isinstance(found, type) or typing.get_origin(found) is not None:
                return found
    return None


def subclasses(kind: type) -> list[type]:
    """Classes below ``kind`` in the same distribution, the nearest first."""
    found: list[type] = []
    pending: list[type] = [kind]
    while pending and len(found) < 40:
        below: type
        for below in type.__subclasses__(pending.pop(0)):
            if below not in found:
                found.append(below)
                pending.append(below)
    top = kind.__module__.partition(".")[0]
    return [item for item in found if item.__module__.partition(".")[0] == top and abc.ABC not in item.__bases__]


def methods(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    """Public methods of ``kind`` and of the classes of its distribution that it inherits from."""
    top, seen = kind.__module__.partition(".")[0], set[str]()
    for owner in kind.__mro__:
        if owner.__module__.partition(".")[0] == top:
            for name, item in list(vars(owner).items()):
                if not name.startswith("_") and name not in seen and inspect.isfunction(item):
                    seen.add(name)
                    yield name, item
