"""Definitions to ask about, chosen by Python's own parser so that no tool under test picks its questions."""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

from _references.lsp import Place

__all__ = ["KINDS", "python_definitions", "python_files", "sample"]

KINDS = ("function", "class", "method", "attribute", "variable", "parameter", "local")


def python_files(root: Path) -> list[str]:
    """Python files below ``root``, relative."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py") if path.is_file())


def python_definitions(root: Path, path: str) -> list[tuple[str, str, Place]]:
    """(kind, name, place of the name) of every definition in a file; empty where Python cannot parse it."""
    try:
        text = (root / path).read_text("utf-8")
        tree = ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
        return []
    lines = text.split("\n")
    found: list[tuple[str, str, Place]] = []
    seen: set[tuple[int, str, str]] = set()

    def column(line: int, start: int, name: str) -> int:
        """UTF-16 column of a name at or after a byte column."""
        raw = lines[line].encode()
        match = re.search(rb"(?<!\w)" + re.escape(name.encode()) + rb"(?!\w)", raw[start:])
        if match is None:
            return -1
        return len(raw[: start + match.start()].decode("utf-8", "replace").encode("utf-16-le")) // 2

    def add(kind: str, name: str, line: int, start: int, scope: int) -> None:
        at = column(line, start, name)
        if at >= 0 and (scope, kind, name) not in seen and name != "_":
            seen.add((scope, kind, name))
            found.append((kind, name, (path, line, at)))

    def targets(node: ast.AST) -> list[ast.AST]:
        if isinstance(node, ast.Tuple | ast.List):
            return [inner for item in node.elts for inner in targets(item)]
        return [node.value] if isinstance(node, ast.Starred) else [node]

    def visit(node: ast.AST, where: str, scope: int, class_scope: int) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                kind = {"module": "function", "class": "method"}.get(where, "local")
                add(kind, child.name, child.lineno - 1, child.col_offset + 3, scope)
                arguments = [*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs]
                for argument in arguments[1 if where == "class" else 0 :]:
                    add("parameter", argument.arg, argument.lineno - 1, argument.col_offset, id(child))
                visit(child, "function", id(child), scope if where == "class" else class_scope)
            elif isinstance(child, ast.ClassDef):
                add(
                    "class" if where == "module" else "local", child.name, child.lineno - 1, child.col_offset + 5, scope
                )
                visit(child, "class", id(child), id(child))
            elif isinstance(child, ast.Assign | ast.AnnAssign):
                for target in child.targets if isinstance(child, ast.Assign) else [child.target]:
                    for item in targets(target):
                        if isinstance(item, ast.Name):
                            kind = {"module": "variable", "class": "attribute"}.get(where, "local")
                            add(kind, item.id, item.lineno - 1, item.col_offset, scope)
                        elif (
                            isinstance(item, ast.Attribute)
                            and isinstance(item.value, ast.Name)
                            and item.value.id == "self"
                        ):
                            add("attribute", item.attr, item.lineno - 1, item.col_offset + 4, class_scope)
                visit(child, where, scope, class_scope)
            else:
                visit(child, where, scope, class_scope)

    visit(tree, "module", 0, 0)
    return found


def sample(root: Path, files: list[str], count: dict[str, int], seed: int) -> list[tuple[str, str, Place]]:
    """``count[kind]`` definitions of each kind, by seed, at most two a file and kind where there are enough files."""
    chooser = random.Random(seed)
    by_kind: dict[str, list[tuple[str, str, Place]]] = {}
    for path in files:
        for item in python_definitions(root, path):
            by_kind.setdefault(item[0], []).append(item)
    out = []
    for kind in KINDS:
        items = by_kind.get(kind, [])
        chooser.shuffle(items)
        taken: list[tuple[str, str, Place]] = []
        per_file: dict[str, int] = {}
        for item in [*items, *items]:
            if len(taken) == count.get(kind, 0):
                break
            if item not in taken and (per_file.get(item[2][0], 0) < 2 or len(items) < 4 * count.get(kind, 0)):
                per_file[item[2][0]] = per_file.get(item[2][0], 0) + 1
                taken.append(item)
        out += taken
    return out
