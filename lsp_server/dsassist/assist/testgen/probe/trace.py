"""Lines and jumps of the target that a call executes."""

from __future__ import annotations

import ast
import dis
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

__all__ = ["Tracer", "executable_lines", "statement_lines"]


_BRANCHES = frozenset(
    code
    for name, code in dis.opmap.items()
    if "_IF_" in name or name in ("FOR_ITER", "POP_JUMP_IF_TRUE", "POP_JUMP_IF_FALSE")
)
"""Instructions that go one of two ways."""
_MOST_STEPS = 40_000


def statement_lines(tree: ast.AST, start: int, end: int) -> dict[int, int]:
    """Every line between ``start`` and ``end`` → the first line of the innermost simple statement (or header) it
    belongs to."""
    first: dict[int, int] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt | ast.excepthandler) or not start <= getattr(node, "lineno", 0) <= end:
            continue
        body = getattr(node, "body", None)
        last = node.end_lineno or node.lineno
        if isinstance(body, list) and body:
            last = max(node.lineno, body[0].lineno - 1)
        for line in range(node.lineno, last + 1):
            if line not in first or node.lineno > first[line]:
                first[line] = node.lineno
    return first


def executable_lines(tree: ast.AST, start: int, end: int) -> set[int]:
    """First lines of the statements in the body of the definition at ``start``, docstrings and bare declarations
    aside."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not start <= node.lineno <= end:
            continue
        for inner in ast.walk(node):
            if not isinstance(inner, ast.stmt) or inner is node or isinstance(inner, ast.Global | ast.Nonlocal):
                continue
            if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
                continue
            lines.add(inner.lineno)
    return lines


class Tracer:
    """Collects ``(from, to)`` line pairs of code that lies in ``path`` between two lines; entry is ``-first line``.

    ``jumps`` are the ways that branches of the byte code went: also those within a line, as in ``a and b or c``.
    """

    def __init__(self, path: str, start: int, end: int, statements: dict[int, int], *, fine: bool = False) -> None:
        self.path, self.start, self.end, self.statements = path, start, end, statements
        self.fine = fine
        self.arcs: set[tuple[int, int]] = set()
        self.jumps: set[int] = set()
        self._branches: dict[types.CodeType, frozenset[int]] = {}
        self._seen = 0
        self._wanted: dict[types.CodeType, bool] = {}

    def _global(self, frame: types.FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        wanted = self._wanted.get(code)
        if wanted is None:
            wanted = (
                code.co_filename == self.path
                and self.start <= code.co_firstlineno <= self.end
                and code.co_name != "<module>"
            )
            self._wanted[code] = wanted
        if not wanted:
            return None
        frame.f_trace_opcodes = self.fine and self._seen < _MOST_STEPS
        if self.fine and code not in self._branches:
            self._branches[code] = frozenset(
                item.offset for item in dis.get_instructions(code) if item.opcode in _BRANCHES
            )
        return self._local(code.co_firstlineno, self._branches.get(code, frozenset()))

    def _local(self, first: int, branches: frozenset[int]) -> Callable[..., Any]:
        previous, last = -first, -1
        arcs, statements, jumps = self.arcs, self.statements, self.jumps

        def trace(frame: types.FrameType, event: str, argument: object) -> Callable[..., Any]:
            nonlocal previous, last
            if event == "opcode":
                if last in branches:
                    jumps.add(first * 10**8 + last // 2 * 10**4 + frame.f_lasti // 2)
                last = frame.f_lasti
                self._seen += 1
                if self._seen > _MOST_STEPS:
                    frame.f_trace_opcodes = False
            elif event == "line":
                line = statements.get(frame.f_lineno, frame.f_lineno)
                if line != previous:
                    arcs.add((previous, line))
                    previous = line
            elif event == "return":
                arcs.add((previous, -first))
            return trace

        return trace

    @staticmethod
    def one_sided(jumps: set[int]) -> bool:
        """Whether a branch always went the same way."""
        ways: dict[int, int] = {}
        for jump in jumps:
            ways[jump // 10**4] = ways.get(jump // 10**4, 0) + 1
        return any(count == 1 for count in ways.values())

    def __enter__(self) -> Tracer:
        threading.settrace(self._global)
        sys.settrace(self._global)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)

    def lines(self) -> set[int]:
        """Statement lines that ran."""
        return {line for arc in self.arcs for line in arc if line > 0}
