"""Readable, unique names for tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from dsassist.assist.testgen.case import Case

__all__ = ["snake", "test_name"]

_MOST = 88

_SPECIAL = {
    "__init__": "constructor", "__new__": "constructor", "__post_init__": "constructor", "__len__": "len", "__eq__": "equality", "__ne__": "inequality",
    "__lt__": "less_than", "__le__": "at_most", "__gt__": "greater_than", "__ge__": "at_least", "__repr__": "repr", "__str__": "str", "__iter__": "iteration",
    "__getitem__": "item", "__setitem__": "setting_item", "__delitem__": "deleting_item", "__contains__": "membership", "__call__": "call",
    "__enter__": "with_block", "__exit__": "with_block", "__bool__": "truth", "__hash__": "hash",
}  # fmt: skip


def snake(name: str) -> str:
    """``ValueError`` → ``value_error``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")


def test_name(
    qualname: str, cases: list[Case], taken: set[str], situation: str = "", parameters: Sequence[str] = ()
) -> str:
    """``test_<owner>_<name>[_<what happens>][_<when or for what>]``, not in ``taken``; it is added there."""
    *owner, name = qualname.split(".")
    subject = "_".join([*(snake(part) for part in owner), _SPECIAL.get(name, snake(name))])
    told = _outcome(cases[0]) if len(cases) == 1 else _outcomes(cases)
    if len(cases) == 1:
        detail = _distinction(cases[0], parameters)
    else:
        detail = "_and_".join(keyword for keyword, _ in cases[0].arguments if keyword)
        detail = f"with_{detail}" if detail else ""
    plain = told.startswith("returns") or told in ("gives_expected_values", "runs")
    parts = [
        ("", situation) if plain else (told, situation),
        ("", detail) if plain else (told, detail),
        (told, ""),
        (told, situation),
        (told, detail),
        (situation, detail),
        (told, "_".join(filter(None, (situation, detail)))),
    ]
    if not situation or (detail and len(situation) > 32 and plain):
        parts = parts[1:]
    names = ["_".join(filter(None, ("test", subject, *part))) for part in parts if any(part)]
    for candidate in names:
        if candidate not in taken and len(candidate) <= _MOST:
            taken.add(candidate)
            return candidate
    base, number = min(names, key=len), 2
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
    if ".read_text(" in left or "tmp_path.iterdir()" in left:
        return "writes_file" if ".read_text(" in left else "changes_folder"
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


def _distinction(case: Case, parameters: Sequence[str]) -> str:
    """What is special about the arguments: ``for_empty_text``, ``for_negative_count``, ``for_name_ada`` …"""
    labels = []
    for position, (keyword, code) in enumerate(case.arguments):
        if not keyword and 1 < len(parameters) > position:
            keyword = snake(parameters[position])
        value = _literal(code) if not code.isidentifier() else _literal(_assigned(case, code))
        label = ""
        if value is None and code == "None":
            label = f"{keyword}_none" if keyword else "none"
        elif isinstance(value, bool):
            label = f"{keyword}_{str(value).lower()}" if keyword else str(value).lower()
        elif isinstance(value, int | float):
            label = "zero" if value == 0 else f"{value}".replace("-", "minus_").replace(".", "_")
            label = f"{keyword}_{label}" if keyword else label
        elif isinstance(value, str | bytes | list | tuple | dict | set) and not value:
            label = f"empty_{keyword or type(value).__name__}"
        elif isinstance(value, str | list | tuple | dict):
            label = "_".join(filter(None, (keyword, _shown(value)))) if _shown(value) else ""
        if label and re.fullmatch(r"\w+", label):
            labels.append(snake(label))
    if labels:
        return f"for_{'_and_'.join(labels[:2])}" if len("".join(labels[:2])) < 30 else f"for_{labels[0]}"
    return ""


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
