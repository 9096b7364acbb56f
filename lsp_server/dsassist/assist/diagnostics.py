"""What other tools say is wrong near the cursor, as the editor told.

A line that is being written is wrong until it is finished, and everybody says so: what came for it after it was begun
is left out. What was said before is why somebody came to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dsassist.assist.context import IMPORTS
from dsassist.assist.site import Site

__all__ = ["Diagnostic", "Diagnostics"]

NEAR_LINES = 8
MOST = 2
MOST_AT_IMPORT = 4
MESSAGE_CHARACTERS = 100
KEPT = 100
"""Of a document."""
_IMPORT = re.compile(rf"\s*{IMPORTS}")
_NAMED = re.compile(r"[\"'`‘“]\w+[\"'`’”]|\bundefined\b|cannot be resolved|could not find|cannot find")


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or a warning. ``line`` is from 0."""

    line: int
    message: str
    warning: bool = False


@dataclass(slots=True)
class _Document:
    said: tuple[Diagnostic, ...] = ()
    writing: int = -1
    """The line that was edited last."""
    before: tuple[Diagnostic, ...] = ()
    """What was said of it before."""


@dataclass(slots=True)
class Diagnostics:
    """Of the open documents."""

    _documents: dict[str, _Document] = field(default_factory=dict)

    def note(self, document: str, said: Iterable[Diagnostic]) -> None:
        """Everything that is said of a document now."""
        known = self._documents.setdefault(document, _Document())
        known.said = tuple(said)[:KEPT]

    def edited(self, document: str, first: int, last: int, lines: int) -> None:
        """Lines ``first`` to ``last`` became ``lines`` lines: what is said of those below moves along."""
        known = self._documents.get(document)
        if known is None:
            return
        if known.writing != first or lines != 1:
            known.writing = first + lines - 1
            known.before = tuple(one for one in known.said if one.line == first) if lines == 1 else ()
        moved = lines - 1 - (last - first)
        if moved:
            known.said = tuple(
                replace(one, line=one.line + moved) if one.line > last else one
                for one in known.said
                if one.line > last or one.line <= first
            )

    def forget(self, document: str) -> None:
        """The document was closed."""
        self._documents.pop(document, None)

    def near(self, site: Site) -> tuple[str, ...]:
        """Lines for a comment at ``site``, the most useful last: what is said nearby; on a line that imports also the
        names that the rest of the file lacks."""
        known = self._documents.get(site.document)
        if known is None:
            return ()
        importing = _IMPORT.match(site.line_before) is not None
        found = []
        said = known.said
        if site.line == known.writing:
            said = (*(one for one in said if one.line != site.line), *known.before)
        for one in said:
            away = abs(one.line - site.line)
            if away <= NEAR_LINES or (importing and not one.warning and _NAMED.search(one.message)):
                found.append((one.warning, away, _said(one)))
        found.sort(key=lambda item: item[:2])
        told = tuple(dict.fromkeys(text for *_, text in found))
        return told[: MOST_AT_IMPORT if importing else MOST][::-1]


def _said(one: Diagnostic) -> str:
    message = " ".join(one.message.split("\n", 1)[0].split())
    message = message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"
    return f"{'warning' if one.warning else 'error'}: {message}"
