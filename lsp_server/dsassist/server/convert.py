"""Positions: a client's lines and code units ↔ offsets in the text.

Inside the server a place in a text is one number, an offset in code points (what ``str`` indexes) or in UTF-8 bytes
(what tree-sitter speaks). LSP counts a line's characters in UTF-16 units unless client and server agreed otherwise.
Only ``\\n``, ``\\r\\n`` and ``\\r`` end a line, as LSP says: a form feed does not.

Nothing here raises on a position outside the text: it is clamped to the nearest place inside, which is what editors
expect of a server that is one edit behind. Text may hold lone surrogates (they come as ``\\ud83d`` in JSON) and keeps
them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal

from lsprotocol import types

__all__ = [
    "Encoding",
    "TextMap",
    "byte_offset",
    "code_point_offset",
    "encode",
    "join_surrogates",
    "units_to_code_points",
]

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def encode(text: str) -> bytes:
    """UTF-8 with lone surrogates kept, as every byte offset of ours counts."""
    return text.encode("utf-8", "surrogatepass")


def join_surrogates(text: str) -> str:
    """``text`` with pairs of surrogates as the one character they stand for.

    Two edits can put the halves side by side; a client counts them as it counts the joined character, and so must we.
    """
    if text.isascii() or not _SPLIT_PAIR.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def byte_offset(text: str, offset: int) -> int:
    """Code points → UTF-8 bytes."""
    return offset if text.isascii() else len(encode(text[:offset]))


def code_point_offset(data: bytes, offset: int) -> int:
    """UTF-8 bytes → code points. An offset inside a character goes to its start."""
    if data.isascii():
        return min(offset, len(data))
    return len(data[: _character_start(data, offset)].decode("utf-8", "surrogatepass"))


def _character_start(data: bytes, offset: int) -> int:
    offset = min(offset, len(data))
    while 0 < offset < len(data) and data[offset] & 0xC0 == 0x80:
        offset -= 1
    return offset


def units_to_code_points(line: str, units: int, encoding: Encoding) -> int:
    """How many code points of ``line`` the first ``units`` code units make; inside a character, those before it.

    Only the part of the line before the position is ever encoded, so a line of megabytes costs what its prefix costs.
    """
    units = max(units, 0)
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    head = line[:units]  # a code point is at least one unit in every encoding
    if encoding == "utf-8":
        return code_point_offset(encode(head), units)
    data = head.encode("utf-16-le", "surrogatepass")
    cut = min(units * 2, len(data))
    if 2 <= cut < len(data) and 0xD8 <= data[cut - 1] <= 0xDB and 0xDC <= data[cut + 1] <= 0xDF:
        cut -= 2
    return len(data[:cut].decode("utf-16-le", "surrogatepass"))


def code_points_to_units(head: str, encoding: Encoding) -> int:
    """How many code units ``head`` takes."""
    if encoding == "utf-32" or head.isascii():
        return len(head)
    if encoding == "utf-8":
        return len(encode(head))
    return len(head.encode("utf-16-le", "surrogatepass")) // 2


class TextMap:
    """Positions of one unchanging text. Building one costs a scan for line ends."""

    __slots__ = ("_starts", "encoding", "text")

    def __init__(self, text: str, encoding: Encoding = "utf-16") -> None:
        self.text = text
        self.encoding: Encoding = encoding
        self._starts: list[int] = [0, *(match.end() for match in _LINE_END.finditer(text))]

    @property
    def line_count(self) -> int:
        """At least 1; a text that ends with a line end has an empty last line."""
        return len(self._starts)

    @property
    def line_starts(self) -> Sequence[int]:
        """Offset of the first code point of each line."""
        return self._starts

    def line(self, number: int) -> str:
        """Line ``number`` (0-based) without its end; empty outside the text."""
        if not 0 <= number < len(self._starts):
            return ""
        start = self._starts[number]
        return self.text[start : self._line_end(number)]

    def _line_end(self, number: int) -> int:
        if number + 1 >= len(self._starts):
            return len(self.text)
        end = self._starts[number + 1]
        return end - (2 if self.text[end - 2 : end] == "\r\n" else 1)

    def offset(self, position: types.Position) -> int:
        """Where ``position`` is, in code points."""
        if position.line < 0:
            return 0
        if position.line >= len(self._starts):
            return len(self.text)
        return self._starts[position.line] + units_to_code_points(
            self.line(position.line), position.character, self.encoding
        )

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
