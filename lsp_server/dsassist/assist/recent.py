"""Places that were edited lately: what is changed in one file often goes on in the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsassist.assist.site import Site
from dsassist.index import ContextPiece

__all__ = ["Recent"]

KEPT = 8
NEAR_LINES = 20
"""Two edits so close are one place."""
AROUND_LINES = 6
SCORE = 0.01
"""Less than what the index finds by name: these come first in the prompt, farther from the cursor."""


@dataclass(frozen=True, slots=True)
class _Place:
    document: str
    path: str
    line: int


class Recent:
    """Remembers the last few places, the newest first."""

    def __init__(self) -> None:
        self._places: list[_Place] = []

    def note(self, document: str, path: str, line: int) -> None:
        """An edit in ``line`` of a document."""
        self._places = [
            place for place in self._places if place.document != document or abs(place.line - line) > NEAR_LINES
        ]
        self._places.insert(0, _Place(document, path, line))
        del self._places[KEPT:]

    def forget(self, document: str) -> None:
        """The document was closed."""
        self._places = [place for place in self._places if place.document != document]

    def pieces(self, site: Site, text_of: Callable[[str], str | None], budget: int) -> list[ContextPiece]:
        """Lines around places in other documents than the site's, at most ``budget`` characters. ``text_of`` gives a
        document's text now."""
        found: list[ContextPiece] = []
        for place in self._places:
            text = None if place.document == site.document else text_of(place.document)
            if text is None:
                continue
            first = max(0, place.line - AROUND_LINES)
            lines = text.split("\n")[first : place.line + AROUND_LINES + 1]
            piece = "\n".join(lines).rstrip()
            if piece.strip() and len(piece) <= budget:
                budget -= len(piece)
                found.append(ContextPiece(place.path, "", piece, SCORE, (first, first + len(lines) - 1)))
        return found
