"""Positions: a client's lines and code units ↔ offsets in the text.

Inside the server a place in a text is one number, an offset in code points (what ``str`` indexes) or in UTF-8 bytes
(what tree-sitter speaks). LSP counts a line's characters in UTF-16 units unless client and server agreed otherwise.
Only ``\\n``, ``\\r\\n`` and ``\\r`` end a line, as LSP says: a form feed does not.

Nothing here raises on a position outside the text: it is clamped to the nearest place inside, which is what editors
expect of a server that is one edit behind. Text may hold lone surrogates (they come as ``\\ud83d`` in JSON) and keeps
them.
"""

from __future__ import annotations

from bisect import bisect_right

from lsprotocol import types

from dsassist.server.texts import (
    Encoding,
    Lines,
    byte_offset,
    code_point_offset,
    code_points_to_units,
    encode,
    join_surrogates,
    units_to_code_points,
)

__all__ = [
    "Encoding",
    "TextMap",
    "byte_offset",
    "code_point_offset",
    "encode",
    "join_surrogates",
    "units_to_code_points",
]


class TextMap(Lines):
    """Positions of one unchanging text."""

    __slots__ = ()

    def offset(self, position: types.Position) -> int:
        """Where ``position`` is, in code points."""
        return self.at(position.line, position.character)

    def position(self, offset: int) -> types.Position:
        """Where the code point ``offset`` is, for the client."""
        offset = min(max(offset, 0), len(self.text))
        number = bisect_right(self._starts, offset) - 1
        head = self.text[self._starts[number] : min(offset, self._line_end(number))]
        return types.Position(line=number, character=code_points_to_units(head, self.encoding))

    def span(self, value: types.Range) -> tuple[int, int]:
        """Start and end of ``value`` in code points, in order even if the client's are not."""
        start, end = self.offset(value.start), self.offset(value.end)
        return min(start, end), max(start, end)

    def range(self, start: int, end: int) -> types.Range:
        """Code points ``start`` to ``end`` for the client."""
        return types.Range(start=self.position(start), end=self.position(end))
