"""How a target is called in a test: a plain call, ``await``, iteration, ``with``, an operator, a property."""

from __future__ import annotations

import inspect
import types
from typing import Any, NamedTuple

from _dsassist_probe.names import Names

__all__ = ["Target", "shape_of"]

_OPERATORS = {
    "__add__": "+", "__sub__": "-", "__mul__": "*", "__truediv__": "/", "__floordiv__": "//", "__mod__": "%", "__pow__": "**",
    "__and__": "&", "__or__": "|", "__xor__": "^", "__lshift__": "<<", "__rshift__": ">>", "__matmul__": "@",
    "__eq__": "==", "__ne__": "!=", "__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=",
}  # fmt: skip
_BUILTINS = {
    "__len__": "len({self})", "__repr__": "repr({self})", "__str__": "str({self})", "__bool__": "bool({self})", "__int__": "int({self})",
    "__float__": "float({self})", "__bytes__": "bytes({self})", "__abs__": "abs({self})", "__neg__": "-{self}", "__pos__": "+{self}",
    "__invert__": "~{self}", "__iter__": "list({self})", "__reversed__": "list(reversed({self}))", "__dir__": "dir({self})", "__next__": "next({self})",
}  # fmt: skip


class Target(NamedTuple):
    """``function`` is the plain function behind decorators of the language; ``bound`` when its first parameter is
    filled in."""

    function: Any
    owner: type | None
    kind: str
    name: str
    bound: bool

    @classmethod
    def find(cls, module: types.ModuleType, qualname: str) -> Target:
        """The target named ``qualname`` in ``module``.

        Raises:
            LookupError: it is not there at run time.
        """
        *owners, name = qualname.split(".")
        owner: Any = module
        for part in owners:
            owner = vars(owner).get(part) if isinstance(owner, type) else getattr(owner, part, None)
            if owner is None:
                raise LookupError(f"{qualname} is not there once the module is imported")
        thing = inspect.getattr_static(owner, name, None)
        if thing is None and name.startswith("__") and isinstance(owner, type):
            thing = inspect.getattr_static(owner, f"_{owner.__name__.lstrip('_')}{name}", None)
        if thing is None:
            raise LookupError(f"{qualname} is not there once the module is imported")
        if not isinstance(owner, type):
            return cls(thing, None, "function", name, False)
        if isinstance(thing, staticmethod):
            return cls(thing.__func__, owner, "static", name, False)
        if isinstance(thing, classmethod):
            return cls(thing.__func__, owner, "class", name, True)
        if isinstance(thing, property):
            return cls(thing.fget, owner, "property", name, True)
        if hasattr(thing, "func") and not inspect.isfunction(thing):  # functools.cached_property and its kin
            return cls(thing.func, owner, "property", name, True)
        if hasattr(thing, "fget"):
            return cls(thing.fget, owner, "property", name, True)
        return cls(thing, owner, "method", name, True)


def shape_of(target: Target, names: Names, module: types.ModuleType) -> dict[str, Any]:
    """``template`` with {call}, {self} or {operand}; ``receiver`` whether an object comes first; ``bare`` when no
    argument is needed."""
    name = target.name
    shape: dict[str, Any] = {
        "kind": target.kind,
        "receiver": False,
        "bare": True,
        "function": name,
        "variable": "",
        "names": names.table,
    }
    if target.owner is None:
        shape["function"] = names.ref(module.__name__, name)
        shape["template"] = _awaited(target.function, "{call}", names)
        return shape
    owner = names.of(target.owner)
    if name.startswith("__") and not name.endswith("__"):
        name = f"_{target.owner.__name__.lstrip('_')}{name}"
        shape["function"] = name
    shape["variable"] = _variable(target.owner.__name__)
    if shape["variable"] in names.table:
        shape["variable"] = "subject"
    if target.kind in ("static", "class"):
        shape["function"] = f"{owner}.{name}"
        shape["template"] = _awaited(target.function, "{call}", names)
        return shape
    if name in ("__init__", "__new__", "__post_init__"):
        shape.update(function=owner, template="result = {call}", kind="construct")
        return shape
    if name == "__init_subclass__":
        shape.update(function=f"{owner}.{name}", template="result = {call}")
        return shape
    shape["receiver"] = True
    shape["unbound"] = _awaited(target.function, "{call}", names)
    shape["unbound_function"] = (
        f"{owner}.{name}.fget" if isinstance(vars(target.owner).get(name), property) else f"{owner}.{name}"
    )
    if target.kind == "property":
        shape["template"] = "result = {self}." + name
    elif name in _OPERATORS:
        shape["template"] = "result = {self} " + _OPERATORS[name] + " {operand}"
    elif name in _BUILTINS:
        shape["template"] = "result = " + _BUILTINS[name]
    elif name == "__getitem__":
        shape["template"] = "result = {self}[{operand}]"
    elif name == "__setitem__":
        shape["template"] = "{self}[{operand}] = {second}"
    elif name == "__delitem__":
        shape["template"] = "del {self}[{operand}]"
    elif name == "__contains__":
        shape["template"] = "result = {operand} in {self}"
    elif name in ("__enter__", "__exit__"):
        shape["template"] = "with {self} as result:\n    pass"
    else:
        shape["template"] = _awaited(target.function, "{call}", names)
    return shape


def _variable(name: str) -> str:
    """``HTTPClient`` → ``client``: the last word of a class's name, a word that is no keyword or builtin."""
    word = ""
    for letter in reversed(name.strip("_")):
        word = letter + word
        if letter.isupper() and len(word) > 2:
            break
    word = "".join(filter(str.isalnum, word)).lower()
    taken = {
        "list",
        "dict",
        "set",
        "str",
        "int",
        "type",
        "object",
        "iter",
        "map",
        "filter",
        "error",
        "result",
        "class",
        "import",
        "for",
        "in",
        "is",
    }
    return word if word.isidentifier() and word not in taken else "subject"


def _awaited(function: Any, call: str, names: Names) -> str:
    inner = inspect.unwrap(function) if callable(function) else function
    if inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(function):
        return f"result = {names.ref('asyncio')}.run({call})"
    if inspect.isasyncgenfunction(inner):
        if inner is not function:
            return f"result = {call}"
        return f"async def collect():\n    return [item async for item in {call}]\nresult = {names.ref('asyncio')}.run(collect())"
    if inspect.isgeneratorfunction(inner):
        if inner is not function:  # contextlib.contextmanager and its kin
            return f"with {call} as result:\n    pass"
        return f"result = list({names.ref('itertools', 'islice')}({call}, 10))"
    return f"result = {call}"
