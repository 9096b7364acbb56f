"""Fuzzy search over the names of a workspace.

A bit mask of the letters in each name leaves out almost all names before any text is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["NameList"]


def _mask(text: str) -> int:
    mask = 0
    for char in text:
        code = ord(char)
        if 97 <= code <= 122:
            mask |= 1 << (code - 97)
        elif 48 <= code <= 57:
            mask |= 1 << (26 + (code - 48) % 5)
        elif char == "_":
            mask |= 1 << 31
    return mask


class NameList:
    """Names with their masks. Names are only ever added: whoever looks one up finds out whether it still exists."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: list[str] = []
        self._lower: list[str] = []
        self._masks: list[int] = []
        self._known: set[str] = set()
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add names that are new."""
        for name in names:
            if name not in self._known:
                self._known.add(name)
                lower = name.lower()
                self._names.append(name)
                self._lower.append(lower)
                self._masks.append(_mask(lower))

    def search(self, query: str, limit: int) -> list[tuple[float, str]]:
        """The best names for a query, the best first, with a score above 0 that is 1 for the same text."""
        wanted = "".join(query.lower().split())
        if not wanted:
            return []
        mask = _mask(wanted)
        lower = self._lower
        if len(wanted) == 1:
            picked = [at for at, text in enumerate(lower) if text.startswith(wanted)]
        else:
            picked = [at for at, text in enumerate(lower) if wanted in text]
        if len(wanted) > 1 and len(picked) < limit:
            # Letters apart score less than letters together: they are looked for where there is room.
            pattern = re.compile(".*?".join(map(re.escape, wanted)), re.DOTALL).search
            picked = [at for at, item in enumerate(self._masks) if item & mask == mask and pattern(lower[at])]
        scored = [(_score(self._names[at], lower[at], wanted, query), self._names[at]) for at in picked]
        scored.sort(key=lambda item: (-item[0], len(item[1]), item[1]))
        return scored[:limit]


def _score(name: str, lower: str, wanted: str, query: str) -> float:
    if name == query:
        return 1.0
    if lower == wanted:
        return 0.98
    size = len(wanted) / len(lower)
    if lower.startswith(wanted):
        return 0.8 + 0.15 * size
    bare = lower.lstrip("_")
    if bare.startswith(wanted):
        return 0.75 + 0.15 * size
    at = lower.find(wanted)
    if at > 0:
        boundary = name[at - 1] == "_" or (name[at].isupper() and not name[at - 1].isupper())
        return (0.6 if boundary else 0.4) + 0.15 * size
    # Letters in order: those that begin words count most.
    position = hits = 0
    for char in wanted:
        position = lower.find(char, position)
        if position < 0:
            return 0.01
        if position == 0 or name[position].isupper() or name[position - 1] == "_":
            hits += 1
        position += 1
    return 0.1 + 0.25 * hits / len(wanted) + 0.05 * size
