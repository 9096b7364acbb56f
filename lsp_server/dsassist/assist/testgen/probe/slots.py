"""Parameters of the target and what may be passed for each."""

from __future__ import annotations

import inspect
import sys
import types
from typing import Any

from _dsassist_probe.annotations import hints_of
from _dsassist_probe.build import Builder
from _dsassist_probe.combine import setups
from _dsassist_probe.plain import Value, suggested
from _dsassist_probe.regex import matching
from _dsassist_probe.states import used

__all__ = ["Slot", "slots_of"]


class Slot:
    """A parameter (or the receiver): its values, the first the most ordinary."""

    def __init__(self, name: str, keyword: str, optional: bool, values: list[Value]) -> None:
        self.name, self.keyword, self.optional = name, keyword, optional
        self.values = values
        self.fields: list[str] = []
        """Attributes of it that the target reads."""
        self._rank: dict[Value, int] = {value: number for number, value in reversed(list(enumerate(values)))}

    def rank(self, value: Value) -> int:
        """How far from ordinary; what was made by varying another value comes after all of them."""
        return self._rank.get(value, 12 + len(value.code) // 12 + 6 * len(value.after))


def slots_of(function: Any, bound: bool, hints: dict[str, Any], builder: Builder) -> list[Slot]:
    """A slot for every parameter; ``hints`` are the static facts found in the code."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return []
    annotations = hints_of(function, builder.module)
    slots: list[Slot] = []
    told = suggested(getattr(function, "__name__", ""))[:4]
    for position, parameter in enumerate(signature.parameters.values()):
        if position == 0 and bound:
            continue
        facts = hints.get(parameter.name, {})
        values = [Value(code) for code in (*told, *facts.get("literals", ()))]
        for pattern in facts.get("regexes", ()):
            values += [Value(repr(text)) for text in matching(pattern)]
        annotation = annotations.get(parameter.name, parameter.annotation)
        builder.prefer_files = bool(facts.get("opens"))
        typed = builder.of(annotation, parameter.name)
        promised = set(typed)
        for kind in facts.get("kinds", ()):
            typed += builder.of_kind(kind, parameter.name)
        for expression in facts.get("classes", ()):
            found = _evaluate(expression, builder.module)
            if isinstance(found, type):
                typed += builder.of(found, parameter.name)[:4]
        if facts.get("classes"):  # it asks what it was given: something else, too
            values += [Value("3"), Value('"hello"'), Value("None")]
        if annotation in (parameter.empty, Any, object) or not typed:
            typed += builder.guess(parameter.name, parameter.default)
            attributes = facts.get("attributes", ())
            if attributes:
                typed = _by_attributes(attributes, builder) + typed
            if facts.get("elements"):
                typed = _listed(_by_attributes(facts["elements"], builder)) + typed
        values = _merged(typed, values)
        kinds = {type(_constant(value)) for value in promised} & {int, str, float, bool, bytes}
        values = [
            value if value in promised or type(_constant(value)) in kinds else value._replace(loose=True)
            for value in values
        ]
        if not any(value.mock for value in values):
            values = [*values[:24], *builder.stand_in()]
        if parameter.kind is parameter.VAR_POSITIONAL:
            slots.append(Slot(parameter.name, "*", True, values))
        elif parameter.kind is parameter.VAR_KEYWORD:
            slots.append(Slot(parameter.name, "**", True, [Value("a=1"), Value('name="x"')]))
        else:
            optional = parameter.default is not parameter.empty
            keyword = (
                parameter.name
                if parameter.kind is parameter.KEYWORD_ONLY
                or (optional and parameter.kind is not parameter.POSITIONAL_ONLY)
                else ""
            )
            slots.append(Slot(parameter.name, keyword, optional, values))
    return slots


def _merged(typed: list[Value], literal: list[Value]) -> list[Value]:
    """An ordinary value first, then those that the code compares with, then the rest."""
    kinds = {type(_constant(value)) for value in typed[:8]}
    fitting = [value for value in literal if type(_constant(value)) in kinds or not typed]
    others = [value for value in literal if value not in fitting]
    return list(dict.fromkeys([*typed[:2], *fitting[:14], *typed[2:], *others[:6]]))[:36]


def _constant(value: Value) -> Any:
    try:
        return eval(value.code, {})
    except Exception:  # noqa: BLE001 - not a constant
        return value


def _evaluate(expression: str, module: types.ModuleType) -> Any:
    try:
        return eval(expression, dict(vars(module)))
    except Exception:  # noqa: BLE001 - a name that is not there any more
        return None


def _listed(items: list[Value]) -> list[Value]:
    """Lists of ``items``: one, two, the other way round."""
    plain = [item for item in items if not item.mock][:3]
    groups = [plain[:2], plain[:1], plain[1::-1] if len(plain) > 1 else [], plain[:1] * 2, plain]
    made = [Value("[" + ", ".join(item.code for item in group) + "]", setups(group)) for group in groups if group]
    return list(dict.fromkeys(made))


def _by_attributes(attributes: list[str], builder: Builder) -> list[Value]:
    """Objects of the project's classes that have what the code uses of the parameter: those of the module first."""
    top = builder.module.__name__.partition(".")[0]
    modules = [
        module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == top and module is not None
    ]
    classes: dict[type, None] = {}
    for module in (builder.module, *modules):
        for item in list(vars(module).values()):
            if isinstance(item, type) and item.__module__.partition(".")[0] == top:
                classes.setdefault(item)
    wanted = set(attributes)
    found: list[Value] = []
    fitting = [item for item in classes if wanted <= set(dir(item)) | set(getattr(item, "__annotations__", ()))]
    for item in sorted(fitting, key=lambda kind: len(kind.__mro__))[:3]:
        made = builder.instances(item, 1)[:3]
        found += [*used(builder, item, made, "", "made")[:3], *made]
    return found[:8]
