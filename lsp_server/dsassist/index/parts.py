"""Which top-level statements an edit has changed, and what they say, read alone: in the old text and in the new one."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from dsassist.index.facts import Facts
from dsassist.index.languages.base import ReadsParts
from dsassist.index.model import Kind, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from tree_sitter import Node, Tree

__all__ = ["Edited", "Parts", "Unusual", "expect", "module_names"]

_LARGEST_SHARE = 0.3
"""Of a file's lines: where more would be read again, all are."""


class Edited(NamedTuple):
    """A text and the one that took its place."""

    before: bytes
    tree_before: Tree
    """Which has been told of the edit, so that its positions are those of ``after``."""
    after: bytes
    tree_after: Tree
    start: int
    end: int
    """What lies between is new, in bytes of ``after``."""


class Unusual(Exception):
    """The file has to be read as a whole."""


def expect(condition: bool) -> None:
    """Go on only where it holds.

    Raises:
        Unusual: it does not.
    """
    if not condition:
        raise Unusual


class Parts:
    """Which lines are read again, and what they say: ``first … last`` in the old text, ``first … new_last`` in the new
    one, the last ones exclusive."""

    def __init__(self, language: ReadsParts, path: str, old: Facts, edited: Edited) -> None:
        self._language, self._path, self._old, self._edited = language, path, old, edited
        expect(old.lines == edited.before.count(b"\n") + 1)
        old_root, new_root = edited.tree_before.root_node, edited.tree_after.root_node
        expect(old_root.type == new_root.type)
        self.root = new_root
        self._old_statements, self._statements = old_root.children, new_root.children
        self._starts = list(accumulate(old.line_lengths, initial=0))
        self.more_lines = edited.after.count(b"\n") - edited.before.count(b"\n")
        self.more_bytes = len(edited.after) - len(edited.before)
        self._head, self._tail = self._untouched()
        self._lines = edited.before.split(b"\n") if language.declares_outside(edited.before) else []
        """Of the old text, where one of them may declare a name of the module; else none."""
        names = old.occurrences.names
        self._known = {names[symbol.name]: at for at, symbol in enumerate(old.symbols) if not symbol.scope}
        while True:
            self._measure()
            self.before = self._read(edited.before, self.end - self.start, self._old_statements)
            self.after = self._read(edited.after, self.end - self.start + self.more_bytes, self._statements)
            was, now = module_names(self.before), module_names(self.after)
            if not self._grows(was.keys() | now.keys()):
                break
        # What the statements behind say may depend on these, too.
        expect(not any(map(language.builtin, was.keys() ^ now.keys())))
        expect(_imports(was) == _imports(now))

    def _untouched(self) -> tuple[int, int]:
        """How many statements at the start and at the end of both texts the edit left as they were."""
        edited = self._edited
        low, high = edited.start, edited.end
        for change in edited.tree_before.changed_ranges(edited.tree_after):
            low, high = min(low, change.start_byte), max(high, change.end_byte)
        counts = []
        for statements in (self._old_statements, self._statements):
            head = bisect_left(statements, low, key=lambda node: node.end_byte)
            tail = len(statements) - bisect_left(statements, high + 1, key=lambda node: node.start_byte)
            counts.append((head, min(tail, len(statements) - head)))
        expect(counts[0] == counts[1])
        return counts[0]

    def _measure(self) -> None:
        """From statements to lines. A comment stays with the statement behind it, of which it may be the text."""
        statements = self._statements
        while self._head and statements[self._head - 1].is_extra:
            self._head -= 1
        while self._tail and any(
            nodes[: len(nodes) - self._tail] and nodes[len(nodes) - self._tail - 1].is_extra
            for nodes in (statements, self._old_statements)
        ):
            self._tail -= 1
        self.first = _line_after(statements[self._head - 1]) if self._head else 0
        lines = self._old.lines + self.more_lines
        self.new_last = statements[len(statements) - self._tail].start_point[0] if self._tail else lines
        self.last = self.new_last - self.more_lines
        expect(self.first <= min(self.last, self.new_last))
        expect(max(self.last, self.new_last) - self.first <= _LARGEST_SHARE * lines)
        for node in statements[self._head : len(statements) - self._tail]:
            expect(node.start_point[0] >= self.first and _line_after(node) <= self.new_last)
        self.start, self.end = self._starts[self.first], self._starts[self.last]
        expect(self.start <= self._edited.start and self._edited.end <= self.end + self.more_bytes)

    def _read(self, text: bytes, size: int, statements: Sequence[Node]) -> Facts:
        """The facts of the part of a text, whose statements are these where the whole is parsed."""
        part = text[self.start : self.start + size]
        tree = self._language.parser(self._path).parse(part)
        here = statements[self._head : len(statements) - self._tail]
        expect(tree.root_node.type == self.root.type)
        expect([str(node) for node in tree.root_node.children] == [str(node) for node in here])
        facts = self._language.extract_part(part, tree, self._earlier())
        expect(not facts.extra and not facts.stars and not facts.exports)
        return facts

    def _earlier(self) -> dict[bytes, int]:
        """What the statements above have bound in the module's scope, with its kind."""
        return {
            name.encode(): self._old.symbols[at].kind
            for name, at in self._known.items()
            if self._old.symbols[at].end and self._old.symbols[at].start < self.start
        }

    def _grows(self, names: Set[str]) -> bool:
        """Have the part hold every definition of a name that it binds in the module's scope, and whatever else declares
        it there: they make one symbol."""
        occurrences, known = self._old.occurrences, self._known
        held = self._head, self._tail
        declares, lines = self._language.declares_outside, self._lines
        for name in names & known.keys():
            for place in occurrences.named(name):
                role, line = occurrences.role[place], occurrences.line[place]
                bound = not role & 7 and occurrences.ref[place] == known[name]
                if bound and (role & Role.DEFINITION or (lines and declares(lines[line]))):
                    self._reach(line)
        return held != (self._head, self._tail)

    def _reach(self, line: int) -> None:
        """Have the part hold the statement at a line of the old text."""
        statements = self._statements
        if line < self.first:
            at = bisect_left(statements, line, key=lambda node: node.end_point[0])
            self._head = min(self._head, at)
        elif line >= self.last:
            at = bisect_left(statements, line + self.more_lines, key=lambda node: node.end_point[0])
            expect(at < len(statements))
            self._tail = min(self._tail, len(statements) - at - 1)


def _line_after(node: Node) -> int:
    """The first line that begins behind a node."""
    row, column = node.end_point
    return row + (column > 0)


def module_names(facts: Facts) -> dict[str, int]:
    """What is bound in the module's scope, with its kind."""
    names = facts.occurrences.names
    return {names[symbol.name]: symbol.kind for symbol in facts.symbols if not symbol.scope}


def _imports(kinds: Mapping[str, int]) -> set[str]:
    return {name for name, kind in kinds.items() if kind == Kind.IMPORT}
