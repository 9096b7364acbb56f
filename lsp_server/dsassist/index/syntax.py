"""Answers that come from a file's syntax tree alone: folding and selection."""

from __future__ import annotations

from dataclasses import dataclass

from tree_sitter import Node, Tree

from dsassist.errors import WorkspaceError
from dsassist.index.languages import language_of
from dsassist.index.model import Location
from dsassist.index.rename import Rename

__all__ = ["Fold", "Syntax"]

_COMMENTS = frozenset({"comment", "line_comment", "block_comment"})
_IMPORTS = frozenset(
    {
        "import_statement",
        "import_from_statement",
        "future_import_statement",
        "import_declaration",
        "use_declaration",
        "preproc_include",
    }
)


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines that an editor can hide: all after the first."""

    first: int
    last: int
    kind: str
    """``region``, ``comment`` or ``imports``."""


class Syntax(Rename):
    """See the module's docstring."""

    def _tree(self, path: str) -> tuple[bytes, Tree]:
        overlay = self._overlays.get(path)
        language = language_of(path)
        if language is None:
            raise WorkspaceError(f"{path} is in no language that is indexed.")
        if overlay is not None and overlay.tree is not None:
            return overlay.source, overlay.tree
        source = self._text(path)
        tree = language.parser(path).parse(source)
        if overlay is not None:
            overlay.tree = tree
        return source, tree

    def folds(self, path: str) -> tuple[Fold, ...]:
        """What can be folded in a file."""
        with self._reading():
            _, tree = self._tree(path)
        found: dict[int, Fold] = {}
        stack: list[Node] = [tree.root_node]
        run: tuple[str, int, int] | None = None
        while stack:
            node = stack.pop()
            first, last = node.start_point[0], node.end_point[0]
            if node.end_point[1] == 0 and last > first:
                last -= 1
            kind = "comment" if node.type in _COMMENTS else "imports" if node.type in _IMPORTS else ""
            if kind:
                # Comments or imports on lines that follow each other fold as one.
                if run is not None and run[0] == kind and first <= run[2] + 1:
                    run = (kind, run[1], max(run[2], last))
                else:
                    run = (kind, first, last)
                if run[2] > run[1]:
                    found[run[1]] = Fold(run[1], run[2], kind)
                continue
            if node.is_named and node.parent is not None and last > first and first not in found:
                found[first] = Fold(first, last, "region")
            if last > first:
                stack.extend(reversed(node.children))
        return tuple(found[line] for line in sorted(found))

    def selections(self, path: str, line: int, column: int) -> tuple[Location, ...]:
        """The ranges around a position, the innermost first, each larger than the one before."""
        with self._reading():
            source, tree = self._tree(path)
            lines = source.split(b"\n")
            if line >= len(lines):
                return ()
            at = sum(len(text) + 1 for text in lines[:line]) + self._column_bytes(lines[line], column)
            node: Node | None = tree.root_node.descendant_for_byte_range(at, at)
            out: list[Location] = []
            span = (-1, -1)
            while node is not None:
                if (node.start_byte, node.end_byte) != span:
                    span = (node.start_byte, node.end_byte)
                    out.append(self._node_location(path, node, lines))
                node = node.parent
            return tuple(out)

    def _column_bytes(self, line: bytes, column: int) -> int:
        text = line.decode("utf-8", "surrogateescape")
        if self.encoding == "utf-8" or text.isascii():
            return min(column, len(line))
        if self.encoding == "utf-32":
            return len(text[:column].encode("utf-8", "surrogateescape"))
        units = text.encode("utf-16-le", "surrogatepass")[: 2 * column]
        return len(units.decode("utf-16-le", "ignore").encode("utf-8", "surrogatepass"))

    def _units(self, line: bytes, column: int) -> int:
        head = line[:column]
        if self.encoding == "utf-8" or head.isascii():
            return column
        text = head.decode("utf-8", "replace")
        return len(text) if self.encoding == "utf-32" else len(text.encode("utf-16-le")) // 2

    def _node_location(self, path: str, node: Node, lines: list[bytes]) -> Location:
        start, end = node.start_point, node.end_point
        last = lines[end[0]] if end[0] < len(lines) else b""
        return Location(path, start[0], self._units(lines[start[0]], start[1]), end[0], self._units(last, end[1]))
