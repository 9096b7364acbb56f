"""What a JavaScript or TypeScript file holds: exported functions, their parameters, and the ways to change them."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter
import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Node

from dsassist.errors import TestGenerationError, WorkspaceError

__all__ = [
    "SUFFIXES",
    "EcmaTarget",
    "Parameter",
    "changed",
    "in_file",
    "instrumented",
    "literals",
    "mutants",
    "select",
    "shapes",
]

SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts")
_FUNCTIONS = ("function_declaration", "generator_function_declaration", "arrow_function", "function_expression")


@dataclass(frozen=True, slots=True)
class Parameter:
    """``kind`` is the text of its type, "" without one; ``default`` code, "" without one."""

    name: str
    kind: str = ""
    default: str = ""
    optional: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class EcmaTarget:
    """An exported function, or a static method of an exported class (``Class.method``). Lines are 1-based."""

    path: Path
    qualname: str
    line: int
    end: int
    docstring: str
    parameters: tuple[Parameter, ...]
    default: bool = False
    node: Node = field(repr=False, compare=False, default=None)  # type: ignore[assignment]

    @property
    def start(self) -> int:
        """The first line."""
        return self.line

    @property
    def owner(self) -> str:
        """The class, "" for a function."""
        return self.qualname.rpartition(".")[0]


@functools.cache
def _parser(suffix: str) -> tree_sitter.Parser:
    typed = suffix in (".ts", ".mts", ".cts")
    language = tree_sitter_typescript.language_typescript() if typed else tree_sitter_javascript.language()
    return tree_sitter.Parser(tree_sitter.Language(language))


def parse(path: Path, text: str) -> Node:
    """The syntax tree of ``text``."""
    return _parser(path.suffix).parse(text.encode()).root_node


def _text(node: Node | None) -> str:
    return node.text.decode() if node is not None and node.text is not None else ""


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything below it."""
    yield node
    for child in node.children:
        yield from walk(child)


def in_file(path: Path) -> list[EcmaTarget]:
    """Every function that another module can call, in the order of the file.

    Raises:
        WorkspaceError: the file cannot be read or is not text.
        TestGenerationError: its syntax is wrong.
    """
    try:
        root = parse(path, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{path} cannot be read: {error}.") from error
    if root.has_error:
        raise TestGenerationError(f"{path} has a syntax error.", remedy="Correct it first.")
    exported = _exported(root)
    found: list[EcmaTarget] = []
    for statement in root.children:
        default = statement.type == "export_statement" and any(child.type == "default" for child in statement.children)
        inner = (
            (statement.child_by_field_name("declaration") or statement)
            if statement.type == "export_statement"
            else statement
        )
        public = statement.type == "export_statement"
        if inner.type in _FUNCTIONS or inner.type == "generator_function_declaration":
            name = _text(inner.child_by_field_name("name"))
            if name and (public or name in exported):
                found.append(_target(path, name, inner, statement, default))
        elif inner.type in ("lexical_declaration", "variable_declaration"):
            for item in inner.named_children:
                value = item.child_by_field_name("value")
                name = _text(item.child_by_field_name("name"))
                if value is not None and value.type in _FUNCTIONS and (public or name in exported):
                    found.append(_target(path, name, value, statement, False))
        elif inner.type == "class_declaration":
            owner = _text(inner.child_by_field_name("name"))
            body = inner.child_by_field_name("body")
            for item in body.named_children if body is not None and (public or owner in exported) else ():
                name = _text(item.child_by_field_name("name"))
                static = any(child.type == "static" for child in item.children)
                if item.type == "method_definition" and static and name.isidentifier():
                    found.append(_target(path, f"{owner}.{name}", item, item, default))
    return [item for item in found if item.node.child_by_field_name("body") is not None]


def _exported(root: Node) -> set[str]:
    """Names in ``export { … }``, ``module.exports = { … }`` and ``exports.name = …``."""
    found: set[str] = set()
    for statement in root.children:
        text = _text(statement)
        if statement.type == "export_statement":
            found |= {
                _text(node.child_by_field_name("name")) for node in walk(statement) if node.type == "export_specifier"
            }
        elif match := re.match(r"module\.exports\s*=\s*\{([^}]*)\}", text):
            found |= {part.partition(":")[0].strip() for part in match.group(1).split(",")}
        elif match := re.match(r"(?:module\.)?exports\.(\w+)\s*=\s*(\w+)", text):
            found |= {match.group(1)} if match.group(1) == match.group(2) else set()
    return found


def _target(path: Path, name: str, node: Node, statement: Node, default: bool) -> EcmaTarget:
    before = statement.prev_sibling
    document = (
        _text(before) if before is not None and before.type == "comment" and _text(before).startswith("/**") else ""
    )
    place = node.child_by_field_name("parameters") or node.child_by_field_name("parameter")
    parameters = tuple(_parameters(place))
    return EcmaTarget(
        path, name, statement.start_point[0] + 1, statement.end_point[0] + 1, document, parameters, default, node
    )


def _parameters(place: Node | None) -> Iterator[Parameter]:
    if place is None:
        return
    if place.type == "identifier":  # x => …
        yield Parameter(_text(place))
        return
    for item in place.named_children:
        if item.type == "comment":
            continue
        pattern = item.child_by_field_name("pattern") or item.child_by_field_name("left") or item
        default = _text(item.child_by_field_name("value") or item.child_by_field_name("right"))
        kind = _text(item.child_by_field_name("type")).lstrip(":").strip()
        rest = pattern.type == "rest_pattern"
        name = _text(pattern.named_children[0] if rest else pattern)
        optional = item.type == "optional_parameter" or bool(default) or rest
        shown = name if name.isidentifier() else "options"
        fields = {_text(node) for node in walk(pattern) if node.type == "shorthand_property_identifier_pattern"}
        if fields and not kind:
            kind = "{" + "; ".join(f"{field}: any" for field in sorted(fields)) + "}"
        yield Parameter(shown, kind, default, optional, rest)


def select(path: Path, name: str = "", *, line: int | None = None, lines: set[int] | None = None) -> list[EcmaTarget]:
    """As for Python: by name, by a line, or those that touch ``lines``.

    Raises:
        TestGenerationError: nothing there to test.
    """
    targets = in_file(path)
    if name:
        chosen = [item for item in targets if item.qualname == name or item.qualname.startswith(f"{name}.")]
        if not chosen:
            known = ", ".join(item.qualname for item in targets[:8])
            raise TestGenerationError(
                f"{path.name} exports no function {name}.", remedy=f"It has: {known}." if known else ""
            )
        return chosen
    if line is not None:
        chosen = [item for item in targets if item.line <= line <= item.end]
        if not chosen:
            raise TestGenerationError(
                f"There is no exported function at line {line} of {path.name}.", remedy="Put the cursor inside one."
            )
        return chosen
    return changed(targets, lines) if lines is not None else targets


def changed(targets: list[EcmaTarget], lines: set[int]) -> list[EcmaTarget]:
    """Those that touch ``lines``."""
    return [item for item in targets if any(item.line <= number <= item.end for number in lines)]


def shapes(target: EcmaTarget) -> dict[str, str]:
    """The text of every interface and type of the file, by name."""
    root = target.node
    while root.parent is not None:
        root = root.parent
    found: dict[str, str] = {}
    for node in walk(root):
        if node.type in ("interface_declaration", "type_alias_declaration"):
            body = node.child_by_field_name("body") or node.child_by_field_name("value")
            found[_text(node.child_by_field_name("name"))] = re.sub(
                r"/\*.*?\*/|//[^\n]*", "", _text(body), flags=re.DOTALL
            )
    return found


def literals(target: EcmaTarget) -> list[str]:
    """Code of the strings and numbers that the function, and constants of its file, are written with, and neighbours."""
    found: list[str] = []
    root = target.node
    while root.parent is not None:
        root = root.parent
    constants = [
        item
        for item in root.children
        if item.type in ("lexical_declaration", "export_statement") and "=>" not in _text(item)
    ]
    places = [target.node, *(item for item in constants if len(_text(item)) < 400 and "function" not in _text(item))]
    for node in (inner for place in places for inner in walk(place)):
        if node.type == "string" and len(_text(node)) < 60:
            found.append(_text(node))
        elif node.type == "number":
            text = _text(node)
            found.append(text)
            if re.fullmatch(r"\d{1,9}", text):
                found += [str(int(text) + 1), str(int(text) - 1)]
    return list(dict.fromkeys(found))[:24]


# --- changed copies --------------------------------------------------------------------------------------------------

_SWAPPED = {
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"), "===": ("!==",), "!==": ("===",), "==": ("!=",), "!=": ("==",),
    "+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "%": ("*",), "**": ("*",), "&&": ("||",), "||": ("&&",), "??": ("&&",),
    "+=": ("-=",), "-=": ("+=",), "*=": ("+=",), "++": ("--",), "--": ("++",),
}  # fmt: skip


_PAIRS = (("min", "max"), ("toLowerCase", "toUpperCase"), ("startsWith", "endsWith"), ("some", "every"), ("push", "unshift"),
          ("pop", "shift"), ("floor", "ceil"), ("trimStart", "trimEnd"), ("padStart", "padEnd"), ("indexOf", "lastIndexOf"))  # fmt: skip
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
            for new in _SWAPPED.get(_text(operator), ()):
                yield f"{_text(operator)} → {new}", operator.start_byte, operator.end_byte, new
    elif node.type in ("if_statement", "while_statement", "ternary_expression"):
        condition = node.child_by_field_name("condition")
        if condition is not None:
            new = f"(!({_text(condition)}))"
            yield "negate the condition", condition.start_byte, condition.end_byte, new
    elif node.type == "member_expression":
        name = node.child_by_field_name("property")
        opposite = _OPPOSITES.get(_text(name))
        if name is not None and opposite:
            yield f"{_text(name)} → {opposite}", name.start_byte, name.end_byte, opposite
    elif node.type == "return_statement" and node.named_children:
        value = node.named_children[0]
        yield "return undefined", value.start_byte, value.end_byte, "undefined"
    elif node.type == "number":
        yield f"{_text(node)} + 1", node.start_byte, node.end_byte, f"({_text(node)} + 1)"
    elif (
        node.type == "string"
        and node.parent is not None
        and node.parent.type not in ("literal_type", "import_statement")
    ):
        quote = _text(node)[0]
        yield "change the text", node.start_byte, node.end_byte, f"{_text(node)[:-1]}XX{quote}"
    elif node.type in ("true", "false"):
        new = "false" if node.type == "true" else "true"
        yield f"{node.type} → {new}", node.start_byte, node.end_byte, new
    elif node.type == "expression_statement" and node.named_children[0].type in (
        "call_expression",
        "assignment_expression",
    ):
        yield f"remove `{_text(node).splitlines()[0][:50]}`", node.start_byte, node.end_byte, ";"
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
