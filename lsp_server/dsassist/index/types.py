"""What the evaluator knows a value to be. Types are plain tuples, sets of types are tuples of them without repeats.

======================================  ==========================================================================
``("m", files, folder)``                a module: its files, and a folder whose files and folders are members
``("c", path, symbol, arguments)``      the class itself; arguments are type sets
``("i", path, symbol, arguments)``      an instance of it
``("S", path, symbol)``, ``("Z", …)``   the receiver of a method in that class: an instance, the class itself
``("f", path, symbol, receiver)``       a function; receiver is the type it was taken from, or None
``("x", dotted, arguments)``            something of that name outside the workspace
``("b", name, arguments)``              an instance of a built-in or other outside type
``("t", items)``                        a tuple; items are type sets
``("v", name)``                         a type variable
``("o", path, scope)``                  an object whose members are in a scope
``("l", path, expression)``             an anonymous function with that result
``("l", path, expression, types)``      a function type; types are expressions of its parameters' types
``("K", pairs)``                        as a receiver: what type variables stand for in this call
``("B", owner, method)``                a method of a built-in container; owner is its type
======================================  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "CONTAINERS",
    "MAPPINGS",
    "POINTERS",
    "TRANSPARENT",
    "Type",
    "Types",
    "bounded",
    "builtin_method",
    "element",
    "gather",
    "join",
    "pointed",
    "replace",
]

Type = tuple[Any, ...]
Types = tuple[Type, ...]

_MOST = 24
"""A value that may be more things than this is as good as unknown."""

_DEEPEST = 4
"""Nesting of type arguments kept."""

CONTAINERS = frozenset(
    {
        "list", "set", "frozenset", "List", "Set", "FrozenSet", "Sequence", "MutableSequence", "Iterable", "Iterator",
        "Collection", "AbstractSet", "MutableSet", "Deque", "deque", "Generator", "AsyncIterator", "AsyncIterable",
        "AsyncGenerator", "Reversible", "KeysView", "ValuesView", "Queue", "WeakSet", "ContextManager",
        "AsyncContextManager", "AbstractContextManager", "AbstractAsyncContextManager", "Array", "ReadonlyArray", "Vec",
        "VecDeque", "HashSet", "BTreeSet", "ArrayList", "LinkedList", "TreeSet", "LinkedHashSet", "Stream", "vector",
        "span", "Option", "Result", "Optional", "Box", "Rc", "Arc", "RefCell", "Mutex", "RwLock", "Cell", "unique_ptr",
        "shared_ptr", "weak_ptr", "make_unique", "make_shared", "optional", "slice", "IteratorReturn",
    }
)  # fmt: skip
MAPPINGS = frozenset(
    {
        "dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict", "DefaultDict", "ChainMap", "Counter",
        "WeakValueDictionary", "WeakKeyDictionary", "Map", "WeakMap", "HashMap", "BTreeMap", "TreeMap", "LinkedHashMap",
        "ConcurrentHashMap", "map", "unordered_map", "ConcurrentMap", "Record",
    }
)  # fmt: skip
TRANSPARENT = frozenset(
    {
        "Optional", "Union", "ClassVar", "Final", "Annotated", "Required", "NotRequired", "ReadOnly", "InitVar",
        "Awaitable", "Promise", "Readonly", "Partial", "NonNullable", "PromiseLike", "Unpack", "TypeGuard", "TypeIs",
        "Mapped",
    }
)  # fmt: skip

POINTERS = frozenset({"Box", "Rc", "Arc", "unique_ptr", "shared_ptr", "make_unique", "make_shared"})
"""Of the containers, those whose members are those of what they hold."""

_VALUES = frozenset({"get", "pop", "setdefault", "__getitem__", "getOrDefault", "put", "at"})
_SAME = frozenset(
    {
        "copy", "union", "intersection", "difference", "filter", "slice", "concat", "reverse", "sort", "iter",
        "into_iter",
        "iter_mut", "stream", "sorted", "clone", "as_ref", "as_mut", "borrow", "borrow_mut", "lock", "read", "write",
        "splice",
        "limit", "skip", "distinct", "rev", "take", "cloned", "copied", "unwrap_or_default", "toList", "collect",
        "peekable",
    }
)  # fmt: skip
_ONE = frozenset(
    {
        "pop", "popleft", "__getitem__", "__next__", "get", "find", "at", "shift", "findLast", "get_mut", "first",
        "last",
        "unwrap", "expect", "unwrap_or", "unwrap_or_else", "next", "remove", "orElse", "orElseThrow", "getFirst",
        "front",
        "back", "value", "upgrade", "ok_or", "ok_or_else", "first_mut", "last_mut", "push", "orElseGet", "iterator",
        "get_nowait",
    }
)  # fmt: skip


def join(parts: Iterable[Types]) -> Types:
    """All of several sets; empty (unknown) where that is too many."""
    seen: dict[Type, None] = {}
    for part in parts:
        for item in part:
            seen[item] = None
    return tuple(seen) if len(seen) <= _MOST else ()


def gather(parts: Iterable[Types]) -> Types:
    """All of several sets, however many."""
    return tuple(dict.fromkeys(item for part in parts for item in part))


def depth(item: Type) -> int:
    """Nesting of type arguments."""
    tag = item[0]
    if tag in ("c", "i"):
        inner = item[3]
    elif tag in ("x", "b"):
        inner = item[2]
    elif tag == "t":
        inner = item[1]
    else:
        return 0
    return 1 + max((depth(part) for types in inner for part in types), default=0) if inner else 0


def bounded(arguments: tuple[Types, ...]) -> tuple[Types, ...]:
    """Arguments without those that nest too deep, so that there are finitely many types."""
    return tuple(tuple(item for item in types if depth(item) < _DEEPEST) for types in arguments)


def replace(types: Types, change: Callable[[Type], Types]) -> Types:
    """Each type, and each type in its arguments, put through ``change``."""
    out: list[Types] = []
    for item in types:
        tag = item[0]
        if tag in ("v", "S", "Z"):
            out.append(change(item))
        elif tag in ("c", "i") and item[3]:
            out.append(((tag, item[1], item[2], bounded(tuple(replace(part, change) for part in item[3]))),))
        elif tag in ("x", "b") and item[2]:
            out.append(((tag, item[1], bounded(tuple(replace(part, change) for part in item[2]))),))
        elif tag == "t":
            out.append((("t", bounded(tuple(replace(part, change) for part in item[1]))),))
        else:
            out.append((item,))
    return join(out)


def element(item: Type) -> Types | None:
    """What iterating over a built-in container gives, None where the type is no such container."""
    if item[0] == "t":
        return join(item[1])
    if item[0] == "b":
        name, arguments = item[1].rpartition(".")[2], item[2]
        if (name in CONTAINERS or name in MAPPINGS) and arguments:
            first: Types = arguments[0]
            return first
        return ()
    return None


def pointed(item: Type) -> Types:
    """What a pointer points to; nothing, where the type is no pointer."""
    if item[0] != "b" or not item[2] or item[1].rpartition(".")[2] not in POINTERS:
        return ()
    held: Types = item[2][0]
    return held


def builtin_method(owner: Type, method: str) -> Types:
    """The result of calling a method of a built-in container."""
    if owner[0] != "b" or not owner[2]:
        return ()
    name, arguments = owner[1].rpartition(".")[2], owner[2]
    if name in MAPPINGS and len(arguments) > 1:
        if method in _VALUES or method in ("get_mut", "unwrap", "entry", "or_default", "or_insert_with", "or_insert"):
            result: Types = arguments[1]
            if method.startswith(("get", "pop", "setdefault", "put", "__", "at", "or_")):
                return result
            return result
        if method in ("values", "values_mut", "into_values"):
            return (("b", "list", (arguments[1],)),)
        if method in ("keys", "keySet"):
            return (("b", "list", (arguments[0],)),)
        if method in ("items", "entries", "iter", "entrySet", "iter_mut"):
            return (("b", "list", ((("t", bounded((arguments[0], arguments[1]))),),)),)
        if method == "popitem":
            return (("t", bounded((arguments[0], arguments[1]))),)
        return (owner,) if method == "copy" else ()
    if name in CONTAINERS:
        if method in _SAME:
            return (owner,)
        if method in _ONE:
            first: Types = arguments[0]
            return first
    return ()
