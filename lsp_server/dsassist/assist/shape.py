"""How much to suggest: the rest of a line, or lines up to the end of a block. Decided from the text around the
cursor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dsassist.assist.site import Site, indent_of

__all__ = ["Shape", "enough", "shape_at"]

AUTOMATIC_LINES = 12
MANUAL_LINES = 30
LOOP_LENGTH = 6
"""A line of so many characters that comes a third time in a row is a loop of the model's."""

_OPENERS = ("{", "(", "[", ":", "=>", "->")
_CLOSER = re.compile(r"\s*(?:[)\]}]|end\b|else\b|elif\b|except\b|finally\b|catch\b)")
_COMMENT = re.compile(r"\s*(?:#|//|--|/\*|\*|\"\"\"|''')")


@dataclass(frozen=True, slots=True)
class Shape:
    """What ends a suggestion."""

    kind: Literal["line", "block"]
    indent: int = 0
    """Columns: a line of text that is indented less ends a block."""
    lines: int = 1
    """The most lines."""
    stops_at_blank: bool = True
    """A blank line ends the block: right for a statement, wrong for a function's body."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Stop texts for the server, as far as it can tell by itself."""
        return ("\n",) if self.kind == "line" else ()


def shape_at(site: Site) -> Shape:
    """A block on a blank line or after something that opens one; otherwise the rest of the line."""
    lines = MANUAL_LINES if site.manual else AUTOMATIC_LINES
    if site.on_blank_line:
        above = site.last_line_with_text()
        opened = above.rstrip().endswith(_OPENERS) and len(indent_of(above).expandtabs(4)) < _columns(site.line_before)
        return Shape("block", _columns(site.line_before), lines, stops_at_blank=not opened)
    if not site.line_after.strip() and site.line_before.rstrip().endswith(("{", ":")) and not _is_comment(site):
        return Shape("block", _columns(site.line_before) + 1, lines, stops_at_blank=False)
    return Shape("line")


def _is_comment(site: Site) -> bool:
    return _COMMENT.match(site.line_before) is not None


def _columns(line: str) -> int:
    return len(indent_of(line).expandtabs(4))


def enough(shape: Shape, text: str) -> int | None:
    """Where ``text``, which the model is still writing, is to be cut; None if it should go on.

    Only lines that are complete are judged, but for one that is indented too little: its first character tells.
    """
    if shape.kind == "line":
        end = text.find("\n")
        return end if end >= 0 else None
    start, blank, seen = 0, 0, [""]
    for number, line in enumerate(text.split("\n")):
        complete = start + len(line) < len(text)
        if number and line.strip():
            if _columns(line) < shape.indent and not _closes(line, text[:start]):
                return _trimmed(text, start)
            if complete and _loops(line, seen):
                return _trimmed(text, start)
        if complete and not line.strip():
            blank += 1
            if number and (shape.stops_at_blank or blank >= 2):
                return _trimmed(text, start)
        elif line.strip():
            blank = 0
        if complete and number + 1 >= shape.lines and line.strip():
            return start + len(line)
        seen.append(line.strip())
        start += len(line) + 1
    return None


def _trimmed(text: str, end: int) -> int:
    return len(text[:end].rstrip())


def _loops(line: str, seen: list[str]) -> bool:
    said = line.strip()
    return len(said) >= LOOP_LENGTH and len(seen) >= 2 and seen[-1] == seen[-2] == said


def _closes(line: str, before: str) -> bool:
    """Whether ``line`` closes a bracket that the suggestion itself opened: it may then stand to the left."""
    if not _CLOSER.match(line):
        return False
    first = line.strip()[0]
    opener = {")": "(", "]": "[", "}": "{"}.get(first)
    return opener is not None and before.count(opener) > before.count(first)
