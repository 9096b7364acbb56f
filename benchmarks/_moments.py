"""A typist who writes what a release really changed, and looks up now and then.

A pause is a moment at which a suggestion may be on the screen. Brackets close by themselves as in VS Code, where the
typist will close them in the end. A suggestion is taken when it is what is written next.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from _releases import Hunk

__all__ = ["SECONDS_A_KEY", "Moment", "Taken", "moments", "saved_characters", "taken"]

SECONDS_A_KEY = 0.2
MOST_LINES = 6
"""Of a hunk that are typed: many places tell more than long ones."""
AFTER_MARKS = ("(", ".", "= ")
MARK_SHARE = 0.8
MIDDLE_SHARE = 0.6
MOST_A_LINE = 5
_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Moment:
    """A pause of the typist."""

    hunk: Hunk
    number: int
    """Of the line in the hunk."""
    column: int
    kind: str
    """``line``, ``mark`` or ``middle``."""
    closers: str
    """What the editor closed by itself after the cursor."""
    room: int
    """Characters of the line that are written before the first of these is reached."""
    pending: str
    """Lines below that hold nothing but what the editor closed."""

    @property
    def where(self) -> dict[str, str | int]:
        """In the new release."""
        return {"path": self.hunk.path, "line": self.hunk.line + self.number, "character": self.column}

    @property
    def before(self) -> str:
        """The document before the cursor."""
        above = "".join(line + "\n" for line in self.hunk.lines[: self.number])
        return self.hunk.before + above + self.hunk.lines[self.number][: self.column]

    @property
    def after(self) -> str:
        """The document after the cursor."""
        return self.closers + self.pending + self.hunk.below

    @property
    def rest(self) -> str:
        """What is written next on the line."""
        return self.hunk.lines[self.number][self.column :].rstrip()


def moments(hunk: Hunk, rng: random.Random) -> Iterator[Moment]:
    """Where the typist of a hunk pauses, drawn by ``rng``, from top to bottom."""
    text = "\n".join(hunk.lines)
    closed = _closed_within(text)
    offset = 0
    first = rng.randrange(max(len(hunk.lines) - MOST_LINES, 0) + 1)
    for number, line in enumerate(hunk.lines):
        start = hunk.starts[number]
        # the editor has closed what this line begins with closing
        while start < len(line) and offset + start in closed.values():
            start += 1
        if first <= number < first + MOST_LINES and line[start:].strip():
            columns = {start: "line"}
            for column in range(start + 1, len(line.rstrip())):
                if line[:column].endswith(AFTER_MARKS) and rng.random() < MARK_SHARE:
                    columns[column] = "mark"
            inside = [c for c in range(start + 2, len(line.rstrip())) if line[c - 1].isalnum() and c not in columns]
            if inside and rng.random() < MIDDLE_SHARE:
                columns[rng.choice(inside)] = "middle"
            chosen = sorted([start, *rng.sample(sorted(set(columns) - {start}), min(len(columns), MOST_A_LINE) - 1)])
            for column in chosen:
                here, pending, end = _still_open(text, offset + column, offset, closed)
                room = min(end - offset, len(line.rstrip())) - column
                yield Moment(hunk, number, column, columns[column], here, room, pending)
        offset += len(line) + 1


def _closed_within(text: str) -> dict[int, int]:
    """Brackets of ``text`` that it closes: where each opens and closes. Brackets in strings are taken as they come."""
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for place, character in enumerate(text):
        if character in _PAIRS:
            stack.append(place)
        elif character in _PAIRS.values():
            if stack and _PAIRS[text[stack[-1]]] == character:
                pairs[stack.pop()] = place
            else:
                stack.clear()
    return pairs


def _still_open(text: str, cursor: int, line: int, closed: dict[int, int]) -> tuple[str, str, int]:
    """Closers after the cursor, of brackets opened on its line; lines of closers below, of brackets opened above; and
    where the first of the former is typed over."""
    here, below, first = "", "", len(text)
    for opened in sorted((place for place, end in closed.items() if place < cursor <= end), reverse=True):
        closer = _PAIRS[text[opened]]
        if opened >= line:
            first = first if here else closed[opened]
            here += closer
            continue
        start = text.rfind("\n", 0, opened) + 1
        indent = text[start : start + len(text[start:]) - len(text[start:].lstrip(" \t"))]
        below += f"\n{indent}{closer}"
    return here, below, first


@dataclass(frozen=True)
class Taken:
    """What the typist takes of a suggestion. ``full`` is all of it, else its first line."""

    characters: int
    """Of the suggestion, from its beginning."""
    lines: int
    """Line ends among them."""
    full: bool
    whole_line: bool
    """It reached the end of the line: nothing of that is left to type."""


def taken(moment: Moment, suggestion: str) -> Taken | None:
    """What of ``suggestion`` is what is written next; None where the typist would have to correct it.

    All of it may be a beginning that ends between two words. Text must not be there twice: what the editor has closed
    already counts as written.
    """
    said = [line.rstrip() for line in suggestion.rstrip().split("\n")]
    written, head = moment.rest, said[0]
    if not head or not written.startswith(head) or len(head) > moment.room:
        return None
    reached = len(head) == moment.room
    whole = reached and written[moment.room :] == moment.closers[: len(written) - moment.room]
    if len(said) == 1:
        return Taken(len(head), 0, True, whole) if reached or _between_words(written, len(head)) else None
    if not whole:
        return None
    below = [line.rstrip() for line in moment.hunk.lines[moment.number + 1 :]][: len(said) - 1]
    *between, last = said[1:]
    if not moment.closers and len(below) == len(said) - 1 and between == below[:-1] and below[-1].startswith(last):
        end = len(last) == len(below[-1])
        if end or _between_words(below[-1], len(last)):
            return Taken(len(suggestion.rstrip()), len(said) - 1, True, end)
    return Taken(len(head), 0, False, True)


def _between_words(text: str, place: int) -> bool:
    """Whether ``text`` can be parted at ``place`` without parting a word."""
    return not (_in_word(text[place - 1]) and _in_word(text[place]))


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def saved_characters(text: str) -> int:
    """Characters that would have been typed: editors indent by themselves."""
    return sum(len(line.strip()) if n else len(line.rstrip()) for n, line in enumerate(text.split("\n")))
