"""Texts as LSP counts them, without LSP's types, which a session's beginning does not wait for. See ``convert``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

__all__ = [
    "Encoding",
    "Lines",
    "byte_offset",
    "code_point_offset",
    "code_points_to_units",
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


class Lines:
    """The lines of one unchanging text. Making them costs a scan for line ends."""

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

    def at(self, line: int, character: int) -> int:
        """Where a client's position is, in code points; the nearest place inside where it is outside."""
        if line < 0:
            return 0
        if line >= len(self._starts):
            return len(self.text)
        return self._starts[line] + units_to_code_points(self.line(line), character, self.encoding)
