"""Where something is to be completed: the text around a cursor, in a form that no longer knows about files or editors.

Windows are cut at places that stay put while one types, so that what the model read for the last keystroke is still the
beginning of what it reads for the next.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["SUFFIX_WINDOW", "Site", "cut_prefix", "cut_suffix", "indent_of"]

PREFIX_WINDOW = 16_384
SUFFIX_WINDOW = 4_096
"""Code points kept around the cursor. More than any prompt takes, and little beside a file of megabytes."""

WHOLE = 400_000
"""Code points up to which a site keeps all of its document, for what asks whether something is anywhere in it."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD_END = re.compile(r"\w*\Z")
_INDENT = re.compile(r"[ \t]*")


@dataclass(frozen=True)
class Site:
    """A cursor. Line ends are ``\\n`` in ``prefix`` and ``suffix``, whatever the document's are."""

    document: str
    """Tells documents apart; any text."""
    path: str
    """Relative to the workspace, with ``/``."""
    language: str
    """LSP's language identifier, empty if unknown."""
    prefix: str
    suffix: str
    position: int
    """Code points before the cursor, with every line end counted as one."""
    line: int = 0
    """The cursor's line, from 0."""
    newline: str = "\n"
    repository: str = ""
    manual: bool = False
    """Asked for by the user, not by typing."""
    whole: str | None = field(default=None, compare=False, repr=False)
    """The document as it is; None where it is large."""

    @classmethod
    def at(
        cls,
        text: str,
        offset: int,
        *,
        document: str = "",
        path: str = "",
        language: str = "",
        repository: str = "",
        manual: bool = False,
    ) -> Site:
        """The site at code point ``offset`` of ``text``. A lone surrogate, which no model can read, becomes U+FFFD."""
        offset = min(max(offset, 0), len(text))
        position, newline = offset, "\n"
        before = cut_prefix(text[:offset], PREFIX_WINDOW)
        after = cut_suffix(text[offset : offset + 2 * SUFFIX_WINDOW], SUFFIX_WINDOW)
        if "\r" in text:
            position -= text.count("\r\n", 0, offset)
            newline = "\r\n" if "\r\n" in text else "\r"
            before, after = _unix(before), _unix(after)
        return cls(
            document=document,
            path=path,
            language=language,
            prefix=_readable(before),
            suffix=_readable(after),
            position=position,
            line=text.count("\n", 0, offset),
            newline=newline,
            repository=repository,
            manual=manual,
            whole=text if len(text) <= WHOLE else None,
        )

    @cached_property
    def line_before(self) -> str:
        """The cursor's line up to the cursor."""
        return self.prefix[self.prefix.rfind("\n") + 1 :]

    @cached_property
    def line_after(self) -> str:
        """The cursor's line from the cursor on."""
        return self.suffix.partition("\n")[0]

    @cached_property
    def word_before(self) -> str:
        """The part of a word that ends at the cursor."""
        found = _WORD_END.search(self.line_before)
        return found[0] if found else ""

    @cached_property
    def indent(self) -> str:
        """Whitespace at the beginning of the cursor's line."""
        return indent_of(self.line_before)

    @property
    def on_blank_line(self) -> bool:
        """Nothing but whitespace around the cursor."""
        return not self.line_before.strip() and not self.line_after.strip()

    @cached_property
    def lines_above(self) -> list[str]:
        """Lines before the cursor's, nearest last."""
        return self.prefix.split("\n")[:-1]

    @cached_property
    def lines_below(self) -> list[str]:
        """Lines after the cursor's, nearest first."""
        return self.suffix.split("\n")[1:]

    def last_line_with_text(self) -> str:
        """The nearest line above that is not blank, empty if there is none."""
        return next((line for line in reversed(self.lines_above) if line.strip()), "")


def indent_of(line: str) -> str:
    """The whitespace a line begins with."""
    found = _INDENT.match(line)
    return found[0] if found else ""


def cut_prefix(text: str, limit: int) -> str:
    """The end of ``text``, between three quarters of ``limit`` and ``limit`` long, from a line's beginning if there is
    one.

    The cut moves in steps of a quarter of ``limit``, so most keystrokes leave it where it was.
    """
    if len(text) <= limit:
        return text
    step = max(limit // 4, 1)
    start = -(-(len(text) - limit) // step) * step
    line = text.find("\n", start - 1, start + step)
    return text[line + 1 if line >= 0 else start :]


def cut_suffix(text: str, limit: int) -> str:
    """The beginning of ``text``, at most ``limit`` long, to a line's end if there is one in its second half."""
    if len(text) <= limit:
        return text
    line = text.rfind("\n", limit // 2, limit)
    return text[: line + 1 if line >= 0 else limit]


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _readable(text: str) -> str:
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
