"""Changed copies of a file: with a planted bug, or with counters before the statements of a function."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tree_sitter import Node

from dsassist.assist.testgen.ecma.source import EcmaTarget, parse, text_of, walk

__all__ = ["instrumented", "mutants"]

_SWAPPED = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "===": ("!==",), "!==": ("===",),
    "==": ("!=",), "!=": ("==",), "+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "%": ("*",), "**": ("*",),
    "&&": ("||",), "||": ("&&",), "??": ("&&",), "+=": ("-=",), "-=": ("+=",), "*=": ("+=",),
    "++": ("--",), "--": ("++",),
}  # fmt: skip
_PAIRS = (
    ("min", "max"), ("toLowerCase", "toUpperCase"), ("startsWith", "endsWith"), ("some", "every"), ("push", "unshift"),
    ("pop", "shift"), ("floor", "ceil"), ("trimStart", "trimEnd"), ("padStart", "padEnd"), ("indexOf", "lastIndexOf"),
)  # fmt: skip
_OPPOSITES = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}


def mutants(target: EcmaTarget, text: str, *, seed: int = 0, limit: int = 40) -> list[tuple[int, str, str]]:
    """(line, what was changed, the whole text of the file with that change), at most ``limit`` drawn by ``seed``."""
    data = text.encode()
    body = target.node.child_by_field_name("body")
    assert body is not None
    made: list[tuple[int, str, str]] = []
    if body.type != "statement_block":
        whole = (data[: body.start_byte] + b"undefined" + data[body.end_byte :]).decode()
        made.append((body.start_point[0] + 1, "return undefined", whole))
    for node in walk(body):
        for change, start, end, new in _edits(node):
            changed_text = (data[:start] + new.encode() + data[end:]).decode()
            made.append((node.start_point[0] + 1, change, changed_text))
    made = [item for item in made if not parse(target.path, item[2]).has_error]
    if len(made) > limit:
        made = random.Random(seed).sample(made, limit)
    return sorted(made, key=lambda item: item[0])


def _edits(node: Node) -> Iterator[tuple[str, int, int, str]]:
    """(description, first byte, last byte, new text)."""
    if node.type in ("binary_expression", "augmented_assignment_expression", "update_expression"):
        operator = node.child_by_field_name("operator")
        if operator is not None:
            for new in _SWAPPED.get(text_of(operator), ()):
                yield f"{text_of(operator)} → {new}", operator.start_byte, operator.end_byte, new
    elif node.type in ("if_statement", "while_statement", "ternary_expression"):
        condition = node.child_by_field_name("condition")
        if condition is not None:
            new = f"(!({text_of(condition)}))"
            yield "negate the condition", condition.start_byte, condition.end_byte, new
    elif node.type == "member_expression":
        name = node.child_by_field_name("property")
        opposite = _OPPOSITES.get(text_of(name))
        if name is not None and opposite:
            yield f"{text_of(name)} → {opposite}", name.start_byte, name.end_byte, opposite
    elif node.type == "return_statement" and node.named_children:
        value = node.named_children[0]
        yield "return undefined", value.start_byte, value.end_byte, "undefined"
    elif node.type == "number":
        yield f"{text_of(node)} + 1", node.start_byte, node.end_byte, f"({text_of(node)} + 1)"
    elif (
        node.type == "string"
        and node.parent is not None
        and node.parent.type not in ("literal_type", "import_statement")
    ):
        quote = text_of(node)[0]
        yield "change the text", node.start_byte, node.end_byte, f"{text_of(node)[:-1]}XX{quote}"
    elif node.type in ("true", "false"):
        new = "false" if node.type == "true" else "true"
        yield f"{node.type} → {new}", node.start_byte, node.end_byte, new
    elif node.type == "expression_statement" and node.named_children[0].type in (
        "call_expression",
        "assignment_expression",
    ):
        yield f"remove `{text_of(node).splitlines()[0][:50]}`", node.start_byte, node.end_byte, ";"
    elif node.type == "throw_statement":
        yield "remove the throw", node.start_byte, node.end_byte, ";"


def instrumented(target: EcmaTarget, text: str) -> tuple[str, set[int]]:
    """The file with a counter before every statement of the function, and the lines (1-based) that are counted."""
    body = target.node.child_by_field_name("body")
    assert body is not None
    inserts: list[tuple[int, str]] = []
    lines: set[int] = set()
    if body.type != "statement_block":  # an arrow function without braces
        lines.add(body.start_point[0] + 1)
        inserts += [(body.start_byte, f"(globalThis.__dsassist?.({body.start_point[0] + 1}), "), (body.end_byte, ")")]
    for node in walk(body):
        parent = node.parent
        if parent is None or not node.is_named or node.type == "comment":
            continue
        if parent.type in ("statement_block", "switch_case", "switch_default") and node != parent.child_by_field_name(
            "value"
        ):
            if node.type in (
                "function_declaration",
                "class_declaration",
                "interface_declaration",
                "type_alias_declaration",
            ):
                continue
            lines.add(node.start_point[0] + 1)
            inserts.append((node.start_byte, f"globalThis.__dsassist?.({node.start_point[0] + 1}); "))
        elif node.type.endswith("_statement") and node.type != "statement_block" and parent.type in (
            "if_statement", "else_clause", "for_statement", "for_in_statement", "while_statement",
        ) and node != parent.child_by_field_name("condition"):  # fmt: skip
            if node.type == "if_statement" or parent.child_by_field_name("initializer") == node:
                continue
            lines.add(node.start_point[0] + 1)
            inserts += [
                (node.start_byte, f"{{ globalThis.__dsassist?.({node.start_point[0] + 1}); "),
                (node.end_byte, " }"),
            ]
    data = text.encode()
    for place, new in sorted(inserts, key=lambda item: item[0], reverse=True):
        data = data[:place] + new.encode() + data[place:]
    return data.decode(), lines
