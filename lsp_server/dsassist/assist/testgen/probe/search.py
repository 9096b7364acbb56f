"""Looks for calls of the target that reach its lines and branches, with coverage as the guide."""

from __future__ import annotations

import inspect
import random
import types
from collections.abc import Sequence
from typing import Any

from _dsassist_probe import fork
from _dsassist_probe.annotations import hints_of
from _dsassist_probe.build import Builder
from _dsassist_probe.combine import call_text
from _dsassist_probe.execute import Executor
from _dsassist_probe.plain import BY_TYPE, Value
from _dsassist_probe.regex import matching

__all__ = ["Slot", "explore", "slots_of"]

_PER_PATH = 14
_USELESS = {"setup", "timeout", "output", "memory", "hang", "died", "unrun", "recursion"}


class Slot:
    """A parameter (or the receiver): its values, the first the most ordinary."""

    def __init__(self, name: str, keyword: str, optional: bool, values: list[Value]) -> None:
        self.name, self.keyword, self.optional = name, keyword, optional
        self.values = values


def slots_of(function: Any, bound: bool, hints: dict[str, Any], builder: Builder) -> list[Slot]:
    """A slot for every parameter; ``hints`` are the static facts found in the code."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return []
    annotations = hints_of(function, builder.module)
    slots = []
    for position, parameter in enumerate(signature.parameters.values()):
        if position == 0 and bound:
            continue
        facts = hints.get(parameter.name, {})
        values = [Value(code) for code in facts.get("literals", ())]
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
        if annotation in (parameter.empty, Any, object) or not typed:
            typed += builder.guess(parameter.name, parameter.default)
            attributes = facts.get("attributes", ())
            if attributes:
                typed = _by_attributes(attributes, builder) + typed
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


def _by_attributes(attributes: list[str], builder: Builder) -> list[Value]:
    """Objects of the module's classes that have what the code uses of the parameter, else a plain namespace."""
    found: list[Value] = []
    for item in list(vars(builder.module).values()):
        if isinstance(item, type) and item.__module__.partition(".")[0] == builder.module.__name__.partition(".")[0]:
            known = set(dir(item)) | set(getattr(item, "__annotations__", ()))
            if set(attributes) <= known:
                found += builder.instances(item, 1)[:3]
    return found[:6]


class _Call:
    """A choice of one value (or none) a slot."""

    def __init__(self, picks: tuple[int, ...]) -> None:
        self.picks = picks


def explore(
    slots: list[Slot],
    shape: dict[str, Any],
    seeds: list[dict[str, Any]],
    executor: Executor,
    budget: fork.Budget,
    wanted: set[int],
    generator: random.Random,
    runs: int = 420,
) -> tuple[list[dict[str, Any]], dict[str, int], list[dict[str, Any]]]:
    """Candidates worth keeping, with their outcomes, counts of what was tried, and some that failed."""
    kept: list[dict[str, Any]] = []
    counts: dict[str, int] = {"tried": 0}
    paths: dict[Any, int] = {}
    covered: set[tuple[int, int]] = set()
    corpus: list[tuple[int, ...]] = []
    seen: set[str] = set()
    failures: list[dict[str, Any]] = []
    stale = 0

    def batch(candidates: Sequence[tuple[dict[str, Any], tuple[int, ...] | None]]) -> int:
        fresh = []
        for candidate, picks in candidates:
            key = "\n".join([*candidate["setup"], candidate["act"]])
            if key not in seen:
                seen.add(key)
                fresh.append((candidate, picks))
        answers = fork.in_children(
            [item[0] for item in fresh], executor.run, prepare=executor.prepare, limit=3.0, budget=budget
        )
        news = 0
        for (candidate, picks), answer in zip(fresh, answers):  # noqa: B905
            counts["tried"] += 1
            outcome = answer["outcome"]
            for flag in answer.get("flags", ()):
                counts[f"flag {flag}"] = counts.get(f"flag {flag}", 0) + 1
            if outcome in _USELESS:
                counts[outcome] = counts.get(outcome, 0) + 1
                failures.append(
                    {
                        "code": [*candidate["setup"], candidate["act"]],
                        "outcome": outcome,
                        "error": answer.get("error", ""),
                    }
                )
                if outcome in ("timeout", "hang"):
                    executor.call_limit = max(0.25, executor.call_limit * 0.7)
                continue
            arcs = {(first, last) for first, last in answer.get("arcs", ())}
            good = bool(arcs) and (outcome == "return" or answer.get("purpose") or answer.get("ordinary"))
            if arcs - covered and (good or len(corpus) < 4) and picks is not None:
                corpus.append(picks)
            if not good:
                counts["crash"] = counts.get("crash", 0) + 1
            else:
                news += len(arcs - covered)
                covered.update(arcs)
            path = (outcome, answer.get("kind"), frozenset(arcs), good)
            paths[path] = paths.get(path, 0) + 1
            if arcs and paths[path] <= (_PER_PATH if good else 1):
                kept.append({**candidate, **answer, "good": good, "plain": picks is None})
        return news

    if seeds:
        batch([(seed, None) for seed in seeds])
    if slots or shape.get("bare"):
        base = tuple(-1 if slot.optional else 0 for slot in slots)
        first = [
            base,
            *(
                _varied(base, position, pick)
                for position, slot in enumerate(slots)
                for pick in range(min(4, len(slot.values)))
            ),
        ]
        batch([(_candidate(slots, picks, shape), picks) for picks in first])
        rest = [
            _varied(base, position, pick) for position, slot in enumerate(slots) for pick in range(4, len(slot.values))
        ]
        batch([(_candidate(slots, picks, shape), picks) for picks in rest])
        while (
            budget.left > 0.3
            and counts["tried"] < runs
            and stale < 4
            and slots
            and counts.get("timeout", 0) + counts.get("hang", 0) < 8
        ):
            pool = corpus or [base]
            made = []
            for _ in range(32):
                picks = list(generator.choice(pool[-8:] if generator.random() < 0.6 else pool))
                for _ in range(generator.choice((1, 1, 2, 3))):
                    position = generator.randrange(len(slots))
                    slot = slots[position]
                    picks[position] = generator.randrange(-1 if slot.optional else 0, len(slot.values))
                made.append((_candidate(slots, tuple(picks), shape), tuple(picks)))
            stale = 0 if batch(made) else stale + 1
            if {line for arc in covered for line in arc} >= wanted and stale >= 2:
                break
    return kept, counts, failures[:8]


def _varied(base: tuple[int, ...], position: int, pick: int) -> tuple[int, ...]:
    return (*base[:position], pick, *base[position + 1 :])


def _candidate(slots: list[Slot], picks: tuple[int, ...], shape: dict[str, Any]) -> dict[str, Any]:
    """The lines of a test that calls the target with the picked values."""
    setup: list[str] = []
    watch: list[str] = []
    arguments: list[tuple[str, str]] = []
    receiver = ""
    skipped = False
    mocks = rank = loose = 0
    for slot, pick in zip(slots, picks):  # noqa: B905
        if pick < 0:
            skipped = True
            continue
        value = slot.values[min(pick, len(slot.values) - 1)]
        setup += [line for line in value.setup if line not in setup]
        mocks += value.mock
        rank += pick
        loose += value.loose
        code = value.code
        if slot.keyword == "self":
            receiver = shape["variable"]
            if code != receiver:
                setup.append(f"{receiver} = {code}")
            watch.append(receiver)
            continue
        mutable = (
            (code.startswith(("[", "{", "iter(", "set(")) and len(code) > 2)
            or value.mock
            or (code[:1].isalpha() and code.endswith(")") and "lambda" not in code)
        )
        if mutable and slot.keyword not in ("*", "**"):
            name = slot.name.strip("_") or "argument"
            name = f"{name}_" if name in _TAKEN or name in shape["names"] or name == shape["variable"] else name
            setup.append(f"{name} = {code}")
            watch.append(name)
            code = name
        if slot.keyword == "*":
            arguments.append(("", code) if not skipped else ("", ""))
        elif slot.keyword == "**":
            arguments.append(("", code))
        else:
            arguments.append((slot.keyword, code))
    # positional arguments may not follow keywords: *args after a given optional turns those positional
    if any(not name and "=" not in code for name, code in arguments[1:]) and any(name for name, _ in arguments):
        arguments = [item for item in arguments if item[1]]
        arguments.sort(key=lambda item: bool(item[0]) or item[1].startswith(("a=", "name=")))
    arguments = [item for item in arguments if item[1]]
    return {
        "setup": setup,
        "act": _act(shape, receiver, arguments),
        "watch": watch,
        "source": "inputs",
        "mocks": mocks,
        "rank": rank,
        "loose": loose,
        "arguments": [list(item) for item in arguments],
    }


_TAKEN = {
    "result",
    "output",
    "tmp_path",
    *BY_TYPE,
    "list",
    "dict",
    "object",
    "iter",
    "map",
    "filter",
    "input",
    "format",
    "pytest",
}


def _act(shape: dict[str, Any], receiver: str, arguments: list[tuple[str, str]]) -> str:
    template: str = shape["template"]
    codes = [code for _, code in arguments]
    if "{operand}" in template:
        return template.format(
            self=receiver, operand=codes[0] if codes else "None", second=codes[1] if len(codes) > 1 else "None"
        )
    function = f"{receiver}.{shape['function']}" if receiver else shape["function"]
    return template.replace("{self}", receiver).replace("{call}", call_text(function, arguments))
