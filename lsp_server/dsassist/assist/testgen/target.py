"""What tests are made for: a function or method, found by name, by position, or by the lines a diff changed."""

from __future__ import annotations

import ast
import os
import re
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

from dsassist.errors import TestGenerationError, WorkspaceError

__all__ = ["Target", "changed_lines", "in_file", "select"]


@dataclass(frozen=True, slots=True)
class Target:
    """A function with a body of its own. Lines are 1-based; ``start`` is that of the first decorator."""

    path: Path
    qualname: str
    start: int
    line: int
    end: int
    docstring: str = ""
    node: ast.FunctionDef | ast.AsyncFunctionDef = field(repr=False, compare=False, default=None)  # type: ignore[assignment]

    @property
    def name(self) -> str:
        """The last part of the qualified name."""
        return self.qualname.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """The class, "" for a function."""
        return self.qualname.rpartition(".")[0]


def read_tree(path: Path) -> tuple[str, ast.Module]:
    """Source and syntax tree.

    Raises:
        WorkspaceError: the file cannot be read or is not text.
        TestGenerationError: it is not valid Python.
    """
    try:
        with tokenize.open(path) as stream:  # heeds a coding line and a byte order mark
            source = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{path} cannot be read: {error}.") from error
    except SyntaxError as error:
        raise TestGenerationError(f"{path} is not valid Python: {error}.", remedy="Correct it first.") from error
    try:
        return source, ast.parse(source)
    except (SyntaxError, ValueError) as error:
        where = f"{error.msg}, line {error.lineno}" if isinstance(error, SyntaxError) else error
        raise TestGenerationError(f"{path} is not valid Python: {where}.", remedy="Correct it first.") from error


def in_file(path: Path) -> list[Target]:
    """Every function and method of module-level classes that has something to execute, in the order of the file."""
    _, tree = read_tree(path)
    found: list[Target] = []

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if not _is_declaration(node):
                    start = min([node.lineno, *(item.lineno for item in node.decorator_list)])
                    found.append(
                        Target(
                            path,
                            prefix + node.name,
                            start,
                            node.lineno,
                            node.end_lineno or node.lineno,
                            ast.get_docstring(node) or "",
                            node,
                        )
                    )
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If | ast.Try):
                holds = _holds_here(node.test) if isinstance(node, ast.If) else None
                visit(node.body if holds is not False else [], prefix)
                visit(node.orelse if holds is not True else [], prefix)

    visit(tree.body, "")
    last = {target.qualname: target for target in found}
    return [target for target in found if last[target.qualname] is target]


def _holds_here(test: ast.expr) -> bool | None:
    """Whether ``sys.platform == "win32"``, ``os.name == "nt"`` or ``TYPE_CHECKING`` holds on this system; None for
    another condition."""
    text = ast.unparse(test)
    if text in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        return False
    if match := re.fullmatch(r"(sys\.platform|os\.name) (==|!=) '(\w+)'", text):
        actual = sys.platform if match.group(1) == "sys.platform" else os.name
        return (actual == match.group(3)) is (match.group(2) == "==")
    if match := re.fullmatch(r"sys\.platform\.startswith\('(\w+)'\)", text):
        return sys.platform.startswith(match.group(1))
    return None


def _is_declaration(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """An overload, an abstract method or a body of nothing but a docstring, ``...`` or ``pass``."""
    for decorator in node.decorator_list:
        text = ast.unparse(decorator)
        if text.rpartition(".")[2] in ("overload", "abstractmethod", "abstractproperty", "setter", "deleter"):
            return True
    for statement in node.body:
        if isinstance(statement, ast.Pass) or (
            isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        ):
            continue
        return bool(
            isinstance(statement, ast.Raise)
            and statement.exc is not None
            and "NotImplemented" in ast.unparse(statement.exc)
            and len(node.body) <= 2
        )
    return True


def select(path: Path, name: str = "", *, line: int | None = None, lines: set[int] | None = None) -> list[Target]:
    """Targets of ``path`` by dotted ``name`` (a function, method or class), by a 1-based ``line``, or that touch
    ``lines``.

    Raises:
        TestGenerationError: nothing there to test.
    """
    targets = in_file(path)
    if name:
        chosen = [item for item in targets if item.qualname == name or item.qualname.startswith(f"{name}.")]
        if not chosen:
            chosen = [item for item in targets if item.name == name]
        if not chosen:
            known = ", ".join(item.qualname for item in targets[:8])
            raise TestGenerationError(
                f"{path.name} has no function or class {name} to test.", remedy=f"It has: {known}." if known else ""
            )
        return chosen
    if line is not None:
        chosen = [item for item in targets if item.start <= line <= item.end]
        if not chosen:
            _, tree = read_tree(path)
            for node in tree.body:
                if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or node.lineno):
                    chosen = [item for item in targets if item.qualname.startswith(f"{node.name}.")]
        if not chosen:
            raise TestGenerationError(
                f"There is no function or class at line {line} of {path.name}.", remedy="Put the cursor inside one."
            )
        return chosen
    if lines is not None:
        return [item for item in targets if any(item.start <= number <= item.end for number in lines)]
    return targets


def changed_lines(diff: str) -> dict[str, set[int]]:
    """Lines added or changed by a unified diff: path in the new version → 1-based lines."""
    changed: dict[str, set[int]] = {}
    path, number = "", 0
    for text in diff.splitlines():
        if text.startswith("+++ "):
            name = text[4:].split("\t")[0]
            path = name.removeprefix("b/") if name != "/dev/null" else ""
        elif match := re.match(r"@@ -\S+ \+(\d+)", text):
            number = int(match.group(1))
        elif text.startswith("--- "):
            path = ""
        elif path and text.startswith("+"):
            changed.setdefault(path, set()).add(number)
            number += 1
        elif path and text.startswith("-"):
            changed.setdefault(path, set()).add(number)
        elif path:
            number += 1
    return changed
