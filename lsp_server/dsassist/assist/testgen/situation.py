"""In words: which branch of the target a case takes that the others do not. It makes a test's name say something."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from dsassist.assist.testgen.case import Case

__all__ = ["situations", "words_of"]

_MOST = 44
_Branch = tuple[int, set[int], str, int]
"""Depth, first line of the block, words, line of the condition."""
_OPERATORS: dict[type[ast.cmpop], tuple[str, type[ast.cmpop]]] = {
    ast.Eq: ("is", ast.NotEq), ast.NotEq: ("is_not", ast.Eq), ast.Is: ("is", ast.IsNot), ast.IsNot: ("is_not", ast.Is),
    ast.Lt: ("is_below", ast.GtE), ast.GtE: ("is_at_least", ast.Lt), ast.Gt: ("is_above", ast.LtE),
    ast.LtE: ("is_at_most", ast.Gt), ast.In: ("is_in", ast.NotIn), ast.NotIn: ("is_not_in", ast.In),
}  # fmt: skip


def situations(node: ast.FunctionDef | ast.AsyncFunctionDef, cases: Sequence[Case]) -> list[str]:
    """A phrase for each case, ``when_total_is_negative``; "" where no branch that has words sets it apart."""
    branches = list(_branches(node))
    taken = [
        _only_way({n for n, branch in enumerate(branches) if branch[1] & _lines(case)}, branches) for case in cases
    ]
    shared = [sum(number in one for one in taken) for number in range(len(branches))]
    found = []
    for one in taken:
        telling = [number for number in one if shared[number] < len(cases) or len(cases) == 1]
        # the rarest branch, the innermost of those
        best = sorted(telling, key=lambda number: (shared[number], -branches[number][0]))
        found.append(next((branches[number][2] for number in best if branches[number][2]), ""))
    return found


def _only_way(taken: set[int], branches: list[_Branch]) -> set[int]:
    """``taken`` without branches of a condition that went both ways, in a loop or a call of itself."""
    lines = [branches[number][3] for number in taken]
    return {number for number in taken if lines.count(branches[number][3]) == 1}


def _lines(case: Case) -> set[int]:
    return {line for arc in case.arcs for line in arc if line > 0}


def _branches(node: ast.AST) -> Iterator[_Branch]:
    """Every block that a condition guards, and what follows one that always leaves."""

    def visit(body: list[ast.stmt], depth: int) -> Iterator[_Branch]:
        for place, statement in enumerate(body):
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if isinstance(statement, ast.If):
                yield depth, {statement.body[0].lineno}, words_of(statement.test, True), statement.lineno
                after = statement.orelse[:1] or (body[place + 1 : place + 2] if _leaves(statement.body) else [])
                if after and not isinstance(after[0], ast.If):
                    yield depth, {after[0].lineno}, words_of(statement.test, False), statement.lineno
            elif isinstance(statement, ast.Try):
                for handler in statement.handlers:
                    kind = handler.type
                    name = (
                        _snake(kind.attr if isinstance(kind, ast.Attribute) else kind.id)
                        if isinstance(kind, ast.Name | ast.Attribute)
                        else ""
                    )
                    yield depth, {handler.body[0].lineno}, f"after_{name}" if name else "", handler.lineno
            for field in ("body", "orelse", "finalbody"):
                inner = getattr(statement, field, None)
                if isinstance(inner, list):
                    yield from visit(inner, depth + 1)
            for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                yield from visit(part.body, depth + 1)

    yield from visit(getattr(node, "body", []), 0)


def _leaves(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def words_of(test: ast.expr, holds: bool) -> str:
    """``total < 0`` → ``when_total_is_negative``; "" for what has no short wording."""
    said = _words(test, holds)
    return said if len(said) <= _MOST else ""


def _words(test: ast.expr, holds: bool) -> str:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _words(test.operand, not holds)
    if isinstance(test, ast.Name | ast.Attribute):
        name = _noun(test)
        if re.match(r"(is|has|should|can|was|needs)_", name):
            return f"when_{name}" if holds else f"when_not_{name}"
        return (f"with_{name}" if holds else f"without_{name}") if name else ""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test, holds)
    if isinstance(test, ast.Call):
        return _called(test, holds)
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) is holds and len(test.values) == 2:
        first, second = (_words(value, holds) for value in test.values)
        same = first.partition("_")[0] == second.partition("_")[0]
        return f"{first}_and_{second.partition('_')[2] if same else second}" if first and second else ""
    return ""


def _compared(test: ast.Compare, holds: bool) -> str:
    kind = type(test.ops[0])
    if not holds:
        kind = _OPERATORS[kind][1]
    left, right = _noun(test.left), _thing(test.comparators[0])
    if not left or not right:
        return ""
    simple = {
        ("is_below", "0"): "is_negative",
        ("is_at_least", "0"): "is_not_negative",
        ("is_above", "0"): "is_positive",
    }
    verb = _OPERATORS[kind][0]
    if isinstance(test.comparators[0], ast.List | ast.Tuple | ast.Set):
        several = {"is_in": "is_known", "is_not_in": "is_unknown"}.get(verb, "")
        if right == "several":
            return f"when_{left}_{several}" if several else ""
        verb = verb.removesuffix("_in")
    return f"when_{left}_{simple.get((verb, right)) or '_'.join(filter(None, (verb, right)))}"


def _called(test: ast.Call, holds: bool) -> str:
    function = test.func
    verb = ("is", "has") if holds else ("is_not", "lacks")
    if isinstance(function, ast.Name) and function.id in ("isinstance", "hasattr") and len(test.args) == 2:
        left, right = _noun(test.args[0]), _thing(test.args[1])
        return f"when_{left}_{verb[function.id == 'hasattr']}_{right}" if left and right and right != "several" else ""
    if isinstance(function, ast.Attribute):
        left, argument = _noun(function.value), _thing(test.args[0]) if len(test.args) == 1 else ""
        told = {
            "startswith": "starts_with",
            "endswith": "ends_with",
            "isdigit": "is_digit",
            "isalpha": "is_alpha",
            "isupper": "is_upper",
            "islower": "is_lower",
        }
        if left and len(test.args) <= 1 and (argument or not test.args):
            said = "_".join(filter(None, (left, told.get(function.attr, function.attr.strip("_")), argument)))
            return f"when_{said}" if holds else f"when_not_{said}"
    return ""


def _noun(node: ast.expr) -> str:
    """What a condition is about: a variable, an attribute, an element, a length."""
    if isinstance(node, ast.Name):
        return _snake(node.id)
    if isinstance(node, ast.Attribute):
        return _snake(node.attr)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        inner = _noun(node.args[0])
        return f"{_snake(node.func.id)}_of_{inner}" if inner else ""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inner = _noun(node.value)
        return f"{inner}_{_thing(node.slice)}" if inner and _thing(node.slice) else ""
    return ""


def _thing(node: ast.expr) -> str:
    """What something is compared with."""
    if isinstance(node, ast.Constant):
        value = node.value
        if value is None or isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            plain = (
                re.fullmatch(r"[A-Za-z0-9_ .-]{1,20}", value)
                and re.sub(r"[^A-Za-z0-9]+", "_", value).strip("_").lower()
            )
            return plain or _SIGNS.get(value, "") if value else "empty"
        if isinstance(value, int | float):
            return f"minus_{-value}".replace(".", "_") if value < 0 else str(value).replace(".", "_")
        return ""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        return f"minus_{_thing(node.operand)}"
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts = [_thing(item) for item in node.elts]
        return "_or_".join(parts) if 0 < len(parts) < 3 and all(parts) else "several"
    return _noun(node)


_SIGNS = {
    "/": "slash", "\\": "backslash", " ": "space", "\n": "newline", "\t": "tab", ".": "dot", ",": "comma", ":": "colon",
    ";": "semicolon", "-": "dash", "_": "underscore", "#": "hash", "*": "star", "?": "question_mark", "+": "plus",
    "!": "exclamation_mark", "=": "equals_sign", "&": "ampersand", "%": "percent", "$": "dollar", "@": "at_sign",
    '"': "quote", "'": "apostrophe", "(": "parenthesis", "[": "bracket", "{": "brace", "<": "less_than",
    ">": "greater_than", "|": "pipe", "~": "tilde", "^": "caret",
}  # fmt: skip


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")
