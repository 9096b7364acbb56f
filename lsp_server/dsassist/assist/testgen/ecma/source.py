"""What a JavaScript or TypeScript file holds: exported functions, their parameters, and the ways to change them."""

from __future__ import annotations

import dataclasses
import functools
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
    "examples",
    "in_file",
    "literals",
    "parse",
    "select",
    "shapes",
    "text_of",
    "walk",
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


def text_of(node: Node | None) -> str:
    """Its source, "" for none."""
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
    exported, standing = _exported(root), _default(root)
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
            name = text_of(inner.child_by_field_name("name"))
            if name and (public or name in exported or name == standing):
                found.append(_target(path, name, inner, statement, default or (name == standing and not public)))
        elif inner.type in ("lexical_declaration", "variable_declaration"):
            for item in inner.named_children:
                value = item.child_by_field_name("value")
                name = text_of(item.child_by_field_name("name"))
                if value is not None and value.type in _FUNCTIONS and (public or name in exported or name == standing):
                    found.append(_target(path, name, value, statement, name == standing and not public))
        elif default and (value := statement.child_by_field_name("value")) is not None and value.type in _FUNCTIONS:
            found.append(_target(path, _named_after(path), value, statement, True))
        elif inner.type == "class_declaration":
            owner = text_of(inner.child_by_field_name("name"))
            body = inner.child_by_field_name("body")
            for item in body.named_children if body is not None and (public or owner in exported) else ():
                name = text_of(item.child_by_field_name("name"))
                static = any(child.type == "static" for child in item.children)
                if item.type == "method_definition" and static and name.isidentifier():
                    found.append(_target(path, f"{owner}.{name}", item, item, default))
    return [item for item in found if item.node.child_by_field_name("body") is not None]


def _named_after(path: Path) -> str:
    """A name for a function without one, from its file: ``to-case.js`` → ``toCase``."""
    stem = path.parent.name if path.stem == "index" else path.stem
    first, *rest = re.findall(r"[A-Za-z0-9]+", stem) or ["subject"]
    name = first + "".join(part[:1].upper() + part[1:] for part in rest)
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) and name not in ("default", "new", "delete", "in") else "subject"


def _default(root: Node) -> str:
    """The name in ``export default name``, ``export { name as default }``, ``module.exports = name`` or, as compilers
    write it, ``exports.default = name``; "" without one."""
    for statement in root.children:
        text = text_of(statement)
        match = re.match(r"(?:export\s+default\s+|(?:module\.exports|exports\.default)\s*=\s*)(\w+)\s*;?$", text)
        if match is not None:
            return match.group(1)
        if statement.type == "export_statement" and (match := re.search(r"\b(\w+)\s+as\s+default\b", text)):
            return match.group(1)
    return ""


def _exported(root: Node) -> set[str]:
    """Names in ``export { … }``, ``module.exports = { … }`` and ``exports.name = …``."""
    found: set[str] = set()
    for statement in root.children:
        text = text_of(statement)
        if statement.type == "export_statement":
            found |= {
                text_of(node.child_by_field_name("name"))
                for node in walk(statement)
                if node.type == "export_specifier" and node.child_by_field_name("alias") is None
            }
        elif match := re.match(r"module\.exports\s*=\s*\{([^}]*)\}", text):
            found |= {part.partition(":")[0].strip() for part in match.group(1).split(",")}
        elif match := re.match(r"(?:module\.)?exports\.(\w+)\s*=\s*(\w+)", text):
            found |= {match.group(1)} if match.group(1) == match.group(2) else set()
    return found


def _target(path: Path, name: str, node: Node, statement: Node, default: bool) -> EcmaTarget:
    before = statement.prev_sibling
    document = (
        text_of(before) if before is not None and before.type == "comment" and text_of(before).startswith("/**") else ""
    )
    place = node.child_by_field_name("parameters") or node.child_by_field_name("parameter")
    parameters = tuple(_documented(item, document) for item in _parameters(place))
    return EcmaTarget(
        path, name, statement.start_point[0] + 1, statement.end_point[0] + 1, document, parameters, default, node
    )


def _documented(parameter: Parameter, document: str) -> Parameter:
    """``parameter`` with the type that ``@param {type} name`` gives it, where the code gives none."""
    match = re.search(rf"@param\s+\{{([^}}]+)\}}\s+\[?{re.escape(parameter.name)}\b([^\n]*)", document)
    if match is None or parameter.kind:
        return parameter
    kind = match.group(1).strip()
    optional = parameter.optional or kind.endswith("=") or f"[{parameter.name}" in match.group()
    kind = kind.strip("=!?").removeprefix("...").replace("*", "any").replace("Function", "function")
    kind = {"Array": "array", "String": "string", "Number": "number", "Boolean": "boolean", "Object": "object"}.get(
        kind, kind
    )
    return dataclasses.replace(parameter, kind=kind if kind != "any" else "", optional=optional)


def examples(target: EcmaTarget) -> list[tuple[str, ...]]:
    """Arguments of the calls that the function's comment shows, where they are literals."""
    text = re.sub(r"^\s*(/\*\*|\*/|\*)", "", target.docstring, flags=re.MULTILINE)
    found: dict[tuple[str, ...], None] = {}
    for match in re.finditer(rf"(?<![\w$]){re.escape(target.qualname)}\(", text):
        call = _parser(".js").parse(text[match.start() :].split("\n\n")[0].encode()).root_node
        node = next((item for item in walk(call) if item.type == "call_expression"), None)
        given = node.child_by_field_name("arguments") if node is not None and node.start_byte == 0 else None
        if given is None or given.has_error or any(item.type in _BOUND for item in walk(given)):
            continue
        found[tuple(" ".join(text_of(item).split()) for item in given.named_children if item.type != "comment")] = None
    return [row for row in found if all(len(code) < 160 for code in row)][:8]


_BOUND = ("identifier", "shorthand_property_identifier", "template_substitution", "await_expression", "spread_element")
"""What an example's arguments may not hold, for it would have to be made first."""


def _parameters(place: Node | None) -> Iterator[Parameter]:
    if place is None:
        return
    if place.type == "identifier":  # x => …
        yield Parameter(text_of(place))
        return
    for item in place.named_children:
        if item.type == "comment":
            continue
        pattern = item.child_by_field_name("pattern") or item.child_by_field_name("left") or item
        default = text_of(item.child_by_field_name("value") or item.child_by_field_name("right"))
        kind = text_of(item.child_by_field_name("type")).lstrip(":").strip()
        rest = pattern.type == "rest_pattern"
        name = text_of(pattern.named_children[0] if rest else pattern)
        optional = item.type == "optional_parameter" or bool(default) or rest
        shown = name if name.isidentifier() else "options"
        fields = {text_of(node) for node in walk(pattern) if node.type == "shorthand_property_identifier_pattern"}
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
            found[text_of(node.child_by_field_name("name"))] = re.sub(
                r"/\*.*?\*/|//[^\n]*", "", text_of(body), flags=re.DOTALL
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
        if item.type in ("lexical_declaration", "export_statement") and "=>" not in text_of(item)
    ]
    places = [
        target.node,
        *(item for item in constants if len(text_of(item)) < 400 and "function" not in text_of(item)),
    ]
    for node in (inner for place in places for inner in walk(place)):
        if node.type == "string" and len(text_of(node)) < 60:
            found.append(text_of(node))
        elif node.type == "number":
            text = text_of(node)
            found.append(text)
            if re.fullmatch(r"\d{1,9}", text):
                found += [str(int(text) + 1), str(int(text) - 1)]
    return list(dict.fromkeys(found))[:24]
