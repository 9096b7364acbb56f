"""Values for a type annotation, and instances of the project's own classes."""

from __future__ import annotations

import collections.abc
import contextlib
import enum
import inspect
import io
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from _dsassist_probe.annotations import hints_of, subclasses
from _dsassist_probe.combine import call_text, interleaved, setups, unique
from _dsassist_probe.literal import quote
from _dsassist_probe.names import Names, Unnameable
from _dsassist_probe.plain import ABSTRACT, BY_TYPE, FILE, FOLDER, NEW_FILE, STANDARD, Value, named
from _dsassist_probe.regex import matching

__all__ = ["Builder"]

_DEPTH = 3


class Builder:
    """Knows the module under test; ``valid`` tells which values really evaluate, by trying them in a child."""

    def __init__(self, names: Names, module: types.ModuleType, valid: Callable[[list[Value]], list[bool]]) -> None:
        self.names, self.module, self.valid = names, module, valid
        self._instances: dict[type, list[Value]] = {}
        self._building: list[type] = []
        self.prefer_files = False

    # --- by type ------------------------------------------------------------------------------------------------

    def of_kind(self, kind: str, name: str = "") -> list[Value]:
        """Values of a plain kind: a key of ``BY_TYPE`` or one of path, stream, file, datetime, timedelta."""
        if kind == "path":
            if re.search(r"dir|folder", name):
                return [FOLDER, Value("tmp_path"), *self.text(name)]
            if self.prefer_files:
                return [FILE, Value("str(path)", FILE.setup), NEW_FILE, *self.text(name)]
            return [*self.text(name), FILE, NEW_FILE, *self.standard("pathlib.Path")]
        if kind == "stream":
            return [*self.standard("io.StringIO"), *self.standard("io.BytesIO")]
        if kind in ("datetime", "timedelta"):
            return self.standard(f"datetime.{kind}")
        if kind == "str":
            return self.text(name)
        told, codes = named(name) if name else ("", ())
        numbers = {"int", "float", "number"}
        fitting = codes if told == kind or {told, kind} <= numbers else ()
        return list(unique([Value(code) for code in (*fitting, *BY_TYPE.get(kind, ()))]))

    def text(self, name: str) -> list[Value]:
        """Strings, those first that the parameter's name suggests."""
        suggested = named(name)[1] if name else ()
        return [Value(code) for code in (*suggested, *BY_TYPE["str"])]

    def standard(self, path: str) -> list[Value]:
        """Values of a standard class known by its dotted path."""
        found = [Value(self._imported(template)) for template in STANDARD.get(path, ())]
        if path in ("re.Match", "re.Pattern"):  # the module's own patterns say what it looks for
            patterns = [(name, item) for name, item in vars(self.module).items() if isinstance(item, re.Pattern)]
            for name, pattern in patterns[:6]:
                code = self.names.ref(self.module.__name__, name)
                texts = matching(pattern.pattern) if isinstance(pattern.pattern, str) else []
                made = [f"{code}.search({quote(text)})" for text in texts] if path == "re.Match" else [code]
                found = [*map(Value, made), *found]
        return found

    def _imported(self, template: str) -> str:
        def name(match: re.Match[str]) -> str:
            module, attribute = match.group(1), match.group(2)
            __import__(module)
            return str(self.names.ref(module, attribute))

        return re.sub(r"\{([a-z.]+):(\w*)\}", name, template)

    def of(self, annotation: Any, name: str = "", depth: int = 0) -> list[Value]:
        """Values for ``annotation``, the most ordinary first; empty when nothing is known about it."""
        if annotation in (inspect.Parameter.empty, Any, None, ...) or isinstance(annotation, str):
            return [Value("None")] if annotation is None else []
        if annotation is type(None):
            return [Value("None")]
        if isinstance(annotation, typing.TypeVar):
            bound = annotation.__bound__ or (annotation.__constraints__[0] if annotation.__constraints__ else None)
            return self.of(bound, name, depth) if bound is not None else []
        if isinstance(annotation, typing.ForwardRef):
            return []
        if hasattr(annotation, "__supertype__"):
            return self.of(annotation.__supertype__, name, depth)
        if hasattr(annotation, "__value__") and type(annotation).__name__ == "TypeAliasType":
            return self.of(annotation.__value__, name, depth)
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated or str(origin) in (
            "typing.ClassVar",
            "typing.Final",
            "typing.Required",
            "typing.NotRequired",
        ):
            return self.of(arguments[0], name, depth)
        if origin is typing.Literal:
            return [Value(quote(item) if isinstance(item, str) else repr(item)) for item in arguments]
        if origin in (typing.Union, types.UnionType):
            kinds = sorted(arguments, key=lambda item: item is type(None))
            return list(interleaved([self.of(item, name, depth) for item in kinds]))
        if origin is not None:
            return self._generic(origin, arguments, name, depth)
        if isinstance(annotation, type):
            return self._class(annotation, name, depth)
        return []

    def _generic(self, origin: Any, arguments: tuple[Any, ...], name: str, depth: int) -> list[Value]:
        if origin is collections.abc.Callable:
            return self._callables(arguments, depth)
        if origin is type:
            classes = [item for item in arguments if isinstance(item, type)]
            return [Value(code) for code in filter(None, map(self._name, classes))] or self.of_kind("type")
        if origin is tuple and arguments:
            if len(arguments) == 2 and arguments[1] is ...:
                inner = self.of(arguments[0], "", depth + 1)
                return [
                    Value("(" + "".join(f"{item.code}, " for item in inner[:2]).strip() + ")", setups(inner[:2])),
                    Value("()"),
                ]
            parts = [self.of(item, "", depth + 1) or [Value("1")] for item in arguments]
            return [
                Value(
                    "("
                    + ", ".join(part[min(pick, len(part) - 1)].code for part in parts)
                    + ("," if len(parts) == 1 else "")
                    + ")",
                    setups([part[min(pick, len(part) - 1)] for part in parts]),
                )
                for pick in range(min(4, max(map(len, parts))))
            ]
        kind = ABSTRACT.get(getattr(origin, "__name__", ""), getattr(origin, "__name__", ""))
        if kind == "dict" and len(arguments) == 2:
            keys = self.of(arguments[0], "key", depth + 1) or self.of_kind("str")
            items = self.of(arguments[1], "value", depth + 1) or self.of_kind("object")
            pairs = [f"{key.code}: {item.code}" for key, item in zip(keys, items)]  # noqa: B905
            return [
                Value("{" + ", ".join(pairs[:size]) + "}", setups([*keys[:size], *items[:size]]))
                for size in (1, 0, 2)
                if size <= len(pairs)
            ]
        if kind in ("list", "set", "frozenset", "iterator", "deque") and arguments:
            inner = self.of(arguments[0], "", depth + 1)
            if not inner:
                return self.of_kind("list" if kind == "deque" else kind)
            groups: list[list[Value]] = [inner[:2], [], inner[:1], [inner[0], inner[0]], inner[1:4], inner[:4]]
            texts = [("[" + ", ".join(item.code for item in group) + "]", setups(group)) for group in groups]
            if kind == "list":
                return list(unique([Value(code, setup) for code, setup in texts]))
            wrap = {"iterator": "iter", "deque": self._imported("{collections:deque}") if kind == "deque" else ""}.get(
                kind, kind
            )
            return list(unique([Value(f"{wrap}({code})", setup) for code, setup in texts]))
        return self._class(origin, name, depth) if isinstance(origin, type) else []

    def _callables(self, arguments: tuple[Any, ...], depth: int) -> list[Value]:
        if len(arguments) != 2 or not isinstance(arguments[0], list):
            return self.of_kind("callable")
        names = ["value", "other", "third", "fourth", "fifth"][: len(arguments[0])]
        answers = self.of(arguments[1], "", depth + 1)[:3] if arguments[1] is not type(None) else [Value("None")]
        made = [
            Value(f"lambda {', '.join(names)}: {answer.code}".replace("lambda :", "lambda:"))
            for answer in answers
            if not answer.setup
        ]
        if names and (arguments[1] in arguments[0] or isinstance(arguments[1], typing.TypeVar) or not made):
            made.insert(0, Value(f"lambda {', '.join(names)}: {names[0]}"))
        return made + ([Value("bool")] if arguments[1] is bool and len(names) == 1 else [])

    def _class(self, kind: type, name: str, depth: int) -> list[Value]:
        module, qualname = kind.__module__, kind.__qualname__
        if kind in (
            int,
            float,
            str,
            bytes,
            bool,
            list,
            tuple,
            dict,
            set,
            frozenset,
            complex,
            range,
            slice,
            bytearray,
            object,
            type,
            memoryview,
        ):
            if kind is float:
                return [*self.of_kind("float", name), Value("3")]
            return self.of_kind(kind.__name__, name)
        if module in ("typing", "collections.abc") and qualname in ABSTRACT:
            return self.of_kind(ABSTRACT[qualname], name)
        if qualname in ("IO", "TextIO", "TextIOBase", "TextIOWrapper") or kind is io.IOBase:
            return self.standard("io.StringIO")
        if qualname in ("BinaryIO", "RawIOBase", "BufferedIOBase", "BufferedReader"):
            return self.standard("io.BytesIO")
        if f"{module}.{qualname}" == "pathlib.Path" or qualname == "PathLike":
            files = [FILE, Value('tmp_path / "missing"'), Value("tmp_path")]
            return (
                [*files, *self.standard("pathlib.Path")]
                if self.prefer_files
                else [*self.standard("pathlib.Path"), *files]
            )
        for path in (f"{module}.{qualname}", f"{module.lstrip('_')}.{qualname}"):
            if STANDARD.get(path):
                return self.standard(path)
        if typing.is_typeddict(kind):
            return self._typed_dict(kind, depth)
        if issubclass(kind, enum.Enum):
            code = self._name(kind)
            return [Value(f"{code}.{member.name}") for member in list(kind)[:6]] if code else []
        if issubclass(kind, BaseException) and module == "builtins":
            return [Value(f'{qualname}("bad value")'), Value(f"{qualname}()")]
        if depth >= _DEPTH:
            return self.stand_in(kind)
        return self.instances(kind, depth)[:10] or self.stand_in(kind)

    def _typed_dict(self, kind: type, depth: int) -> list[Value]:
        hints = hints_of(kind, self.module)
        items = {key: (self.of(hint, key, depth + 1) or self.guess(key))[0] for key, hint in hints.items()}
        groups = [list(items), *([key] for key in items), []]
        return [
            Value(
                "{" + ", ".join(f'"{key}": {items[key].code}' for key in group) + "}",
                setups(items[key] for key in group),
            )
            for group in groups
        ][:12]

    def stand_in(self, kind: type | None = None) -> list[Value]:
        """A mock, with the class's interface where it can be named."""
        code = self._name(kind) if kind is not None else ""
        name = self.names.ref("unittest.mock", "Mock" if code else "MagicMock")
        return [Value(f"{name}(spec={code})" if code else f"{name}()", mock=True)]

    def _name(self, thing: object) -> str:
        try:
            return str(self.names.of(thing))
        except Unnameable:
            return ""

    # --- instances ----------------------------------------------------------------------------------------------

    def instances(self, kind: type, depth: int = 0) -> list[Value]:
        """Working ways to get an object of ``kind``: constructor calls, factories, module constants, concrete
        subclasses."""
        if kind in self._instances:
            return self._instances[kind]
        if kind in self._building:
            return []
        self._building.append(kind)
        try:
            found = self._attempts(kind, depth)
            works = self.valid(found)
            kept = [value for value, fine in zip(found, works) if fine]  # noqa: B905
        finally:
            self._building.pop()
        if depth == 0 or kept:
            self._instances[kind] = kept
        return kept

    def _attempts(self, kind: type, depth: int) -> list[Value]:
        found: list[Value] = []
        for name, thing in list(vars(self.module).items()):
            if type(thing) is kind and not name.startswith("__"):
                found.append(Value(self.names.ref(self.module.__name__, name)))
        if not inspect.isabstract(kind) and not getattr(kind, "_is_protocol", False):
            code = self._name(kind)
            if code:
                found += self._constructions(kind, kind, code, depth)
        for holder, name, factory in self._factories(kind):
            if holder:
                with contextlib.suppress(ValueError, TypeError):
                    found += self._constructions(factory, None, f"{holder}.{name}" if name else holder, depth)[:4]
        if len(found) < 3 or inspect.isabstract(kind):
            for below in subclasses(kind)[:4]:
                code = self._name(below)
                if code and not inspect.isabstract(below):
                    found += self._constructions(below, below, code, depth)[:3]
        return list(unique(found))[:24]

    def _factories(self, kind: type) -> list[tuple[str, str, Any]]:
        made: list[tuple[str, str, Any]] = []
        own = self._name(kind)
        for name, item in vars(kind).items():
            if isinstance(item, classmethod | staticmethod) and not name.startswith("_"):
                hint = item.__func__.__annotations__.get("return", "")
                shown = hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
                if shown.strip("'\"") in (kind.__name__, "Self") or re.match(
                    r"(from|of|parse|create|make|new|build|load)(_|$)", name
                ):
                    made.append((own, name, getattr(kind, name)))
        for name, item in list(vars(self.module).items()):
            if (
                isinstance(item, types.FunctionType)
                and item.__module__ == self.module.__name__
                and not name.startswith("_")
            ):
                hint = item.__annotations__.get("return", "")
                if (hint if isinstance(hint, str) else getattr(hint, "__name__", "")) == kind.__name__:
                    made.append((self._name(item), "", item))
        return made[:6]

    def _constructions(self, target: Any, kind: type | None, code: str, depth: int) -> list[Value]:
        try:
            slots = self.parameters(target, depth + 1)
        except (ValueError, TypeError):
            return [Value(f"{code}()")]
        needed = [slot for slot in slots if slot[1]]
        calls = []
        for pick in range(5):
            picks = [(keyword, values[min(pick, len(values) - 1)]) for keyword, _, values, _ in needed if values]
            if len(picks) == len(needed):
                calls.append(picks)
        if calls:
            optional = [
                (keyword or name, values) for keyword, required, values, name in slots if not required and values
            ]
            plain = [(name, values) for name, values in optional if not values[0].mock]
            if len(plain) > 1:  # everything that can be given, then each alone
                calls.insert(1, [*calls[0], *((name, values[0]) for name, values in plain[:8])])
            calls[2:2] = [[*calls[0], (name, values[0])] for name, values in optional[:6]]
            for position in range(len(needed)):
                for value in needed[position][2][1:4]:
                    changed = list(calls[0])
                    changed[position] = (changed[position][0], value)
                    calls.append(changed)
            calls += [[*calls[0], (name, value)] for name, values in optional for value in values[1:3]]
        return [
            Value(
                call_text(code, [(name, value.code) for name, value in call]),
                setups([value for _, value in call]),
                any(value.mock for _, value in call),
            )
            for call in calls[:20]
        ]

    def parameters(self, target: Any, depth: int) -> list[tuple[str, bool, list[Value], str]]:
        """(keyword or "", required, values, name) of each parameter of a callable."""
        signature = inspect.signature(target)
        hints = hints_of(target, self.module)
        slots: list[tuple[str, bool, list[Value], str]] = []
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            annotation = hints.get(parameter.name, parameter.annotation)
            values = self.of(annotation, parameter.name, depth) or self.guess(parameter.name, parameter.default)
            keyword = (
                parameter.name
                if parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty
                else ""
            )
            slots.append((keyword, parameter.default is parameter.empty, unique(values), parameter.name))
        return slots

    def rows(self, names: list[str]) -> list[list[str]]:
        """Arguments for parameters of which only the names are known: ordinary ones, then each varied alone."""
        values = [[value.code for value in self.guess(name) if not value.setup] for name in names]
        base = [codes[0] for codes in values]
        varied = [
            [*base[:place], code, *base[place + 1 :]] for place, codes in enumerate(values) for code in codes[1:8]
        ]
        return [base, *varied]

    def guess(self, name: str, default: Any = inspect.Parameter.empty) -> list[Value]:
        """Values by the parameter's default and name alone."""
        found: list[Value] = []
        if default is not inspect.Parameter.empty and default is not None:
            found += self.of(type(default), name, _DEPTH - 1)
            if not found and isinstance(default, types.FunctionType | types.BuiltinFunctionType):
                found += self.of_kind("callable")
        kind = named(name)[0]
        if kind:
            found += self.of_kind(kind, name)
        if not found:
            # a parameter often has the name of a class: ``token: Token``
            wanted = name.replace("_", "").lower()
            for label, item in list(vars(self.module).items()):
                if isinstance(item, type) and label.lower() == wanted and item not in self._building:
                    found += self.instances(item, _DEPTH - 1)[:4]
        if not found:
            found = [Value('"hello"'), Value("1"), Value("[1, 2]"), Value('{"a": 1}'), Value("None")]
        return found
