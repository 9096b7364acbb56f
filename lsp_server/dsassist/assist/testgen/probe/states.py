"""Objects in states that a constructor alone does not give."""

from __future__ import annotations

import re

from _dsassist_probe.annotations import methods
from _dsassist_probe.build import Builder
from _dsassist_probe.combine import call_text, setups, unique
from _dsassist_probe.plain import Value

__all__ = ["used"]

_CHANGING = re.compile(
    "(add|append|push|put|set|insert|update|extend|register|write|feed|load|open|start|enqueue|enter|include|mark|store"
    "|save|record|remember|stash|bind|attach|link|connect|track|increment|step|visit|fill|define|declare|assign|consume"
    "|advance|move|note|collect|schedule|subscribe|mount)"
)
"""How names of methods begin that change the object."""


def used(builder: Builder, kind: type, fresh: list[Value], target: str, variable: str) -> list[Value]:
    """Objects of ``kind`` on which methods that change state were called first, bound to ``variable``."""
    made: list[Value] = []
    if not fresh or fresh[0].mock:
        return made
    if target != "__setitem__" and hasattr(kind, "__setitem__"):
        setup = (*fresh[0].setup, f"{variable} = {fresh[0].code}")
        made += [Value(variable, (*setup, f"{variable}[{key}] = 1")) for key in ('"a"', "0")]
    for name, item in methods(kind):
        if name == target:
            continue
        changing = _CHANGING.match(name)
        if not changing and item.__annotations__.get("return", ...) not in (None, "None"):
            continue
        try:
            slots = builder.parameters(item, 1)[1:]
        except (ValueError, TypeError):
            continue
        needed = [slot for slot in slots if slot[1]]
        for pick in (0, 1):
            picks = [(keyword, values[min(pick, len(values) - 1)]) for keyword, _, values, _ in needed if values]
            if len(picks) == len(needed) and not any(value.mock for _, value in picks):
                call = call_text(f"{variable}.{name}", [(keyword, value.code) for keyword, value in picks])
                setup = (
                    *setups([value for _, value in picks]),
                    *fresh[0].setup,
                    f"{variable} = {fresh[0].code}",
                    call,
                )
                made.append(Value(variable, setup))
    made = unique(made)[:12]
    return [value for value, fine in zip(made, builder.valid(made)) if fine][:6]  # noqa: B905
