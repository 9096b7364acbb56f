"""What goes over the wire for references, made without LSP's types: they take longer to load and to fill than the
answer to find."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote_from_bytes, unquote, urlsplit

if TYPE_CHECKING:
    from dsassist.index import Location, Reference

__all__ = [
    "Addresses",
    "Cutter",
    "Question",
    "Ready",
    "frame",
    "is_own_pipe",
    "path_of",
    "range_text",
    "references_text",
    "reply",
]


class Question(NamedTuple):
    """Parameters of ``textDocument/references``."""

    uri: str
    line: int
    character: int
    declared: bool
    """With the definition."""

    @classmethod
    def of(cls, params: Any) -> Question | None:
        """From JSON; None for anything that is not quite as it should be."""
        try:
            place, context = params["position"], params["context"]
            found = cls(params["textDocument"]["uri"], place["line"], place["character"], context["includeDeclaration"])
        except (KeyError, TypeError):
            return None
        fits = type(found.line) is int and type(found.character) is int and min(found.line, found.character) >= 0
        return found if fits and isinstance(found.uri, str) and isinstance(found.declared, bool) else None


class Addresses(dict[str, str]):
    """The addresses of a folder's files, as JSON, by their paths."""

    def __init__(self, root: Path) -> None:
        self._root = root.as_uri().rstrip("/")

    def __missing__(self, path: str) -> str:
        # As ``Path.as_uri`` has it, which takes ten times as long.
        address = json.dumps(f"{self._root}/{quote_from_bytes(os.fsencode(path))}")
        if len(self) < 20_000:
            self[path] = address
        return address


class Cutter:
    """Cuts bytes into messages. ``receive`` gets each one's body."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        self.buffer = bytearray()
        self._length = -1
        """Of the body that is awaited, -1 while the head is read."""

    def add(self, data: bytes) -> None:
        """More bytes: hand on every message that is whole."""
        buffer = self.buffer
        buffer += data
        while True:
            if self._length < 0:
                end = buffer.find(b"\r\n\r\n")
                if end < 0:
                    return
                self._length = _length(bytes(buffer[:end]))
                del buffer[: end + 4]
                if self._length < 0:
                    continue  # a head without a length: look for the next one
            if len(buffer) < self._length:
                return
            body = bytes(buffer[: self._length])
            del buffer[: self._length]
            self._length = -1
            self._receive(body)

    def rest(self) -> bytes:
        """What is left, as it came over the wire."""
        head = b"" if self._length < 0 else b"Content-Length: %d\r\n\r\n" % self._length
        return head + bytes(self.buffer)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return -1


def frame(text: str) -> bytes:
    """A message with its head."""
    body = text.encode("utf-8")
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def reply(number: Any, result: str) -> bytes:
    """The answer to a request; ``result`` is JSON."""
    return frame(f'{{"id": {json.dumps(number)}, "jsonrpc": "2.0", "result": {result}}}')


class Ready(str):
    """The result of a request as JSON: nothing is left to be made of it."""

    __slots__ = ()


def range_text(place: Location) -> str:
    """A place's range as JSON."""
    return (
        f'{{"start": {{"line": {place.line}, "character": {place.column}}}, '
        f'"end": {{"line": {place.end_line}, "character": {place.end_column}}}}}'
    )


def references_text(references: Iterable[Reference], declared: bool, addresses: Addresses) -> str:
    """References as JSON, with the definition or without."""
    out = []
    for item in references:
        if not declared and item.is_definition:
            continue
        place = item.location
        out.append(f'{{"uri": {addresses[place.path]}, "range": {range_text(place)}}}')
    return f"[{', '.join(out)}]"


def path_of(uri: str) -> Path | None:
    """A ``file:`` address of this machine as a path, None for any other. POSIX only."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc and parts.path else None


def is_own_pipe(stdin: BinaryIO, stdout: BinaryIO) -> bool:
    """A pipe or socket that stdout does not share: reading without blocking would make writing so, too."""
    if sys.platform == "win32":
        return False
    try:
        ours, theirs = os.fstat(stdin.fileno()), os.fstat(stdout.fileno())
    except (OSError, ValueError):
        return False
    kind = stat.S_IFMT(ours.st_mode)
    return kind in (stat.S_IFIFO, stat.S_IFSOCK) and (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)
