"""How much to suggest: the rest of a line, or lines up to the end of a block, a function or a documentation text.
Decided from the text and the syntax tree around the cursor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from dsassist.assist.site import Site, indent_of
from dsassist.assist.syntax import surroundings

__all__ = ["Shape", "enough", "shape_at"]

AUTOMATIC_LINES = 12
MIDDLE_LINES = 6
"""Where the block goes on below the cursor: something is put in between."""
FUNCTION_LINES = 24
"""Of a function that has no body yet."""
MANUAL_LINES = 30
TEXT_LINES = 4
"""Of documentation."""
LOOP_LENGTH = 6
"""A line of so many characters that comes a third time in a row is a loop of the model's."""
MARK_LENGTH = 4
"""A line below that is shorter (a bracket, ``else:``) says nothing about where the suggestion meets it."""

_OPENERS = ("{", "(", "[", ":", "=>", "->")
_CLOSER = re.compile(r"\s*(?:[)\]}]|end\b|else\b|elif\b|except\b|finally\b|catch\b)")
_COMMENT = re.compile(r"\s*(?:#|//|--|/\*|\*|\"\"\"|''')")
_CONFLICT = re.compile(r"<{7}|={7}$|>{7}|\|{7}")
"""Marks that a merge left: nothing that one writes."""
_TEXT_BEGIN = re.compile(r"\s*[rRuU]?\"\"\"\s*")
"""Documentation that begins: on this line, or as many write it, on the next."""
_TEXT_END = re.compile(r"\"\"\"|'''|\*/")


@dataclass(frozen=True, slots=True)
class Shape:
    """What ends a suggestion."""

    kind: Literal["line", "block", "function", "text"]
    indent: int = 0
    """Columns: a line of text that is indented less ends a block."""
    lines: int = 1
    """The most lines."""
    stops_at_blank: bool = True
    """A blank line ends the block: right for a statement, wrong for a function's body."""
    below: str = ""
    """The next line of the document as it is: a suggestion that comes to it has met what follows."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Stop texts for the server, as far as it can tell by itself."""
        return ("\n",) if self.kind == "line" else ()


def shape_at(site: Site) -> Shape:
    """Lines on a blank line or after something that opens a block; otherwise the rest of the line."""
    around = surroundings(site)
    if site.on_blank_line:
        columns = _columns(site.line_before)
        if around.kind == "docstring":
            return Shape("text", columns, TEXT_LINES)
        above = site.last_line_with_text()
        opened = above.rstrip().endswith(_OPENERS) and len(indent_of(above).expandtabs(4)) < columns
        below = _below(site)
        if around.empty_function:
            return Shape("function", columns, _most(site, FUNCTION_LINES), stops_at_blank=False, below=below)
        goes_on = bool(site.lines_below) and bool(site.lines_below[0].strip())
        inside = goes_on and _columns(site.lines_below[0]) >= columns > 0
        lines = MIDDLE_LINES if inside else AUTOMATIC_LINES
        return Shape("block", columns, _most(site, lines), stops_at_blank=not opened, below=below)
    if around.kind == "docstring" and not site.line_after.strip() and _TEXT_BEGIN.fullmatch(site.line_before):
        return Shape("text", _columns(site.line_before), TEXT_LINES)
    code = around.kind == "code" and _COMMENT.match(site.line_before) is None
    if code and not site.line_after.strip() and site.line_before.rstrip().endswith(("{", ":")):
        columns = _columns(site.line_before) + 1
        return Shape("block", columns, _most(site, AUTOMATIC_LINES), stops_at_blank=False, below=_below(site))
    return Shape("line")


def _most(site: Site, lines: int) -> int:
    return MANUAL_LINES if site.manual else lines


def _below(site: Site) -> str:
    line = next((line.rstrip() for line in site.lines_below if line.strip()), "")
    return line if len(line.strip()) >= MARK_LENGTH else ""


def _columns(line: str) -> int:
    return len(indent_of(line).expandtabs(4))


def enough(shape: Shape, text: str) -> int | None:
    """Where ``text``, which the model is still writing, is to be cut; None if it should go on.

    Only lines that are complete are judged, but for one that is indented too little: its first character tells.
    """
    if shape.kind == "line":
        end = text.find("\n")
        return end if end >= 0 else None
    if _CONFLICT.match(text):
        return 0
    start, blank, seen = 0, 0, [""]
    for number, line in enumerate(text.split("\n")):
        complete = start + len(line) < len(text)
        if number and line.strip():
            if _columns(line) < shape.indent and not _closes(line, text[:start]):
                return _trimmed(text, start)
            if _CONFLICT.match(line):
                return _trimmed(text, start)
            if complete and (_loops(line, seen) or (shape.below and line.rstrip() == shape.below)):
                return _trimmed(text, start)
        if complete and not line.strip():
            blank += 1
            if number and (shape.stops_at_blank or blank >= 2):
                return _trimmed(text, start)
        elif line.strip():
            blank = 0
        if complete and shape.kind == "text" and _TEXT_END.search(line):
            return start + len(line)
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
