"""Readable, unique names for tests."""

from __future__ import annotations

import ast
import re

from dsassist.assist.testgen.case import Case

__all__ = ["test_name"]

_SPECIAL = {
    "__init__": "constructor", "__new__": "constructor", "__post_init__": "constructor", "__len__": "len", "__eq__": "equality", "__ne__": "inequality",
    "__lt__": "less_than", "__le__": "at_most", "__gt__": "greater_than", "__ge__": "at_least", "__repr__": "repr", "__str__": "str", "__iter__": "iteration",
    "__getitem__": "item", "__setitem__": "setting_item", "__delitem__": "deleting_item", "__contains__": "membership", "__call__": "call",
    "__enter__": "with_block", "__exit__": "with_block", "__bool__": "truth", "__hash__": "hash",
}  # fmt: skip


def snake(name: str) -> str:
    """``ValueError`` → ``value_error``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def test_name(qualname: str, cases: list[Case], taken: set[str]) -> str:
    """``test_<owner>_<name>_<what happens>[_<for what>]``, not in ``taken``; it is added there."""
    *owner, name = qualname.split(".")
    subject = "_".join([*(snake(part) for part in owner), _SPECIAL.get(name, snake(name))])
    base = f"test_{subject}_{_outcome(cases[0])}" if len(cases) == 1 else f"test_{subject}_{_outcomes(cases)}"
    for candidate in (base, f"{base}_{_distinction(cases[0])}" if _distinction(cases[0]) else base):
        if candidate not in taken:
            taken.add(candidate)
            return candidate
    number = 2
    while f"{base}_{number}" in taken:
        number += 1
    taken.add(f"{base}_{number}")
    return f"{base}_{number}"


def _outcomes(cases: list[Case]) -> str:
    kinds = {_outcome(case) for case in cases}
    return kinds.pop() if len(kinds) == 1 else "gives_expected_values"


_INVARIANT = {
    "round trip": "can_be_undone", "idempotent": "twice_is_once", "involution": "twice_is_nothing", "ordered": "is_in_order",
    "length": "keeps_length", "bounded": "stays_in_bounds",
}  # fmt: skip


def _outcome(case: Case) -> str:
    if case.invariant:
        return _INVARIANT[case.invariant]
    if case.outcome == "raise":
        return f"raises_{snake(case.exception.rpartition('.')[2])}"
    if not case.facts:
        return "runs"
    left, relation, right = case.facts[0]
    if left == "result" and relation == "is" and right in ("True", "False", "None"):
        return f"is_{right.lower()}"
    if left.startswith(("output.", "errors.")):
        return "prints"
    if not left.startswith(
        ("result", "list(result", "len(result", "sorted(result", "str(result", "repr(result", "type(result")
    ):
        return (
            f"changes_{re.split(r'[^A-Za-z0-9_]', left.partition('(')[2] or left)[0]}"
            if ".mock_calls" not in left
            else "calls_collaborator"
        )
    if relation == "==" and right in ('""', "[]", "{}", "()", "set()", 'b""'):
        return "is_empty"
    word = case.kind.strip("_")
    return f"returns_{snake(word)}" if word.isidentifier() and word not in ("object",) else "returns"


def _distinction(case: Case) -> str:
    """What is special about the arguments: ``for_empty_text``, ``for_negative_int`` …"""
    for keyword, code in case.arguments:
        value = _literal(code) if not code.isidentifier() else _literal(_assigned(case, code))
        label = ""
        if value is None and code == "None":
            label = "none"
        elif isinstance(value, bool):
            label = f"{keyword}_{str(value).lower()}" if keyword else str(value).lower()
        elif isinstance(value, int | float):
            label = (
                "zero"
                if value == 0
                else "negative"
                if value < 0
                else f"{keyword}_{value}"
                if keyword and isinstance(value, int)
                else ""
            )
        elif isinstance(value, str | bytes | list | tuple | dict | set) and not value:
            label = f"empty_{type(value).__name__}"
        elif isinstance(value, str | list | tuple | dict):
            label = "_".join(filter(None, (keyword, _shown(value))))
        if label:
            return f"for_{label.strip('_')}"
    return "without_arguments" if not case.arguments and case.source == "inputs" else ""


def _shown(value: object) -> str:
    """The words of a short value: ``"a, b"`` → ``a_b``, ``{"year": 3}`` → ``year``."""
    if isinstance(value, dict):
        value = list(value)[:3]
    parts = value[:3] if isinstance(value, list | tuple) else [value]
    if not all(isinstance(part, str | int) for part in parts):
        return ""
    words = re.findall(r"[A-Za-z0-9]+", " ".join(map(str, parts)))
    return snake("_".join(words[:3]))[:20].strip("_")


def _assigned(case: Case, name: str) -> str:
    return next((line.partition("=")[2].strip() for line in case.setup if line.startswith(f"{name} = ")), name)


def _literal(code: str) -> object:
    try:
        return ast.literal_eval(code)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ...
